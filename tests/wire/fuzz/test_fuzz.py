"""Our node, and the front door before it, answer random requests without a fault of ours, and in bounded time.

A run draws the same requests each time. With ``MARCONI_TEST_FUZZ_EXAMPLES``, as in the nightly run, that many of each
kind are drawn anew, and a failure prints the blob that repeats it.
"""

from __future__ import annotations

import json
import os
import uuid
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings

from tests.wire.fuzz.conftest import Server
from tests.wire.fuzz.strategies import BYTES, Request, requests, statuses
from tests.wire.raw_http import Answer, exchange
from tests.wire.script import CLIENT

_ASKED_FOR = os.environ.get("MARCONI_TEST_FUZZ_EXAMPLES")
FUZZ = settings(
    max_examples=int(_ASKED_FOR or 300),
    derandomize=_ASKED_FOR is None,
    print_blob=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
# After so many requests what they name is made again.
REFRESH = 20
# Large requests are the point here, and shown when one fails.
pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")


def fresh_ids(server: Server) -> dict[str, str]:
    """A message, a claim and a subscription that are there until a drawn request deletes them."""
    headers = (("Client-ID", CLIENT), ("X-Project-Id", "fuzz"))

    def made(method: str, path: str, document: object = None) -> Answer:
        body = None if document is None else json.dumps(document).encode()
        return exchange(server.address, method, f"/v2/queues/orders{path}", headers, body)

    assert made("DELETE", "").status == 204
    assert made("POST", "/messages", {"messages": [{"body": 1}, {"body": 2}]}).status == 201
    claim = json.loads(made("POST", "/claims?limit=1").body)["messages"][0]
    subscriber = {"subscriber": f"http://127.0.0.1:9/{uuid.uuid4().hex}"}
    subscription = json.loads(made("POST", "/subscriptions", subscriber).body)["subscription_id"]
    return {"message": claim["id"], "claim": claim["href"].partition("=")[2], "subscription": subscription}


def test_requests_are_answered_without_fault(server: Server) -> None:
    seen: Counter[int] = Counter()
    ids: dict[str, str] = {}

    @FUZZ
    @given(requests())
    def fuzz(request: Request) -> None:
        if seen.total() % REFRESH == 0:
            ids.update(fresh_ids(server))
        status = request.of(ids).status(server.address)
        assert status < 500
        seen[status] += 1

    fuzz()
    # Requests that are all refused at the gate would show nothing.
    assert {200, 204, 400, 404, 405} <= set(seen), seen


def test_bytes_end_in_an_answer_or_the_end(server: Server) -> None:
    seen: Counter[int] = Counter()

    @FUZZ
    @given(BYTES)
    def fuzz(sent: bytes) -> None:
        found = statuses(server.address, sent)
        assert [status for status in found if status >= 500] == []
        seen.update(found)

    fuzz()
    assert 400 in seen, seen
