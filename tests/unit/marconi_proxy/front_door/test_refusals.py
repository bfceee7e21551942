"""Faults become answers that stock clients understand (API section 8.5)."""

from __future__ import annotations

import json

import pytest

from catalog.errors import CatalogUnavailable, NotInitialised, PartitionUnknown, PlacementConflict
from marconi_proxy.front_door.refusals import RequestRefused, bad_request, from_fault, not_found, unavailable
from marconi_proxy.upstream.errors import (
    BadAnswer,
    ConnectFailed,
    DeadlineExceeded,
    NotSent,
    PartitionBusy,
    PartitionDisabled,
    Unanswered,
    UpstreamError,
)

SECRET = "partition p7 at http://10.1.2.3:8888"


def test_an_answer() -> None:
    status, headers, body = RequestRefused(503, "Title", 'A "quoted" caf\u00e9.', 7).answer()
    assert status == 503
    assert dict(headers) == {
        b"content-type": b"application/json",
        b"vary": b"Accept",
        b"content-length": b"%d" % len(body),
        b"retry-after": dict(headers)[b"retry-after"],
    }
    assert 7 <= int(dict(headers)[b"retry-after"]) <= 14
    assert json.loads(body) == {"title": "Title", "description": 'A "quoted" caf\u00e9.'}


def test_an_answer_with_a_title_only() -> None:
    _, headers, body = not_found().answer()
    assert json.loads(body) == {"title": "404 Not Found"}
    assert b"retry-after" not in dict(headers)


def test_an_answer_for_those_who_admit_no_json() -> None:
    _, headers, body = not_found(show=False).answer()
    assert body == b""
    assert dict(headers)[b"content-length"] == b"0"


@pytest.mark.parametrize(
    ("refused", "status", "title", "retry_after"),
    [
        (bad_request("x"), 400, "Invalid API request", None),
        (not_found(), 404, "404 Not Found", None),
        (unavailable("x"), 503, "Service temporarily unavailable", 1),
        (unavailable("x", 30), 503, "Service temporarily unavailable", 30),
    ],
    ids=["bad request", "not found", "unavailable", "for long"],
)
def test_kinds(refused: RequestRefused, status: int, title: str, retry_after: int | None) -> None:
    assert (refused.status, refused.title, refused.retry_after) == (status, title, retry_after)


@pytest.mark.parametrize(
    ("fault", "nothing_done"),
    [
        (NotSent(SECRET), True),
        (ConnectFailed(SECRET), True),
        (PartitionBusy(SECRET), True),
        (PartitionDisabled(SECRET), True),
        (Unanswered(SECRET), False),
        (Unanswered(SECRET, on_kept_connection=True), False),
        (DeadlineExceeded(SECRET), False),
        (BadAnswer(SECRET), False),
        (UpstreamError(SECRET), False),
        (CatalogUnavailable(SECRET), True),
        (NotInitialised(SECRET), True),
        (PartitionUnknown(SECRET), True),
        (PlacementConflict(None), True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_faults(fault: Exception, nothing_done: bool) -> None:
    refused = from_fault(fault)
    status, headers, body = refused.answer()
    # Never 502, 504 or 413: stock clients take those for success.
    assert status == 503
    assert int(dict(headers)[b"retry-after"]) >= 1
    description = json.loads(body)["description"]
    assert ("was not processed" in description) is nothing_done
    assert ("may have been processed" in description) is not nothing_done
    assert "p7" not in description
    assert "10.1.2.3" not in description


@pytest.mark.parametrize("mistake", [ValueError("x"), KeyError("x"), RequestRefused(400, "x")], ids=repr)
def test_a_mistake_of_ours_is_not_taken_for_a_fault(mistake: Exception) -> None:
    with pytest.raises(type(mistake)):
        from_fault(mistake)
