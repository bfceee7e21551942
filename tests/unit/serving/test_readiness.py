"""The answer to a readiness probe."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from serving.asgi import CALL
from serving.readiness import Condition, accepting, readiness_answer

HELD = Condition("lease", True, "held for 20.0 s more")
CUT = Condition("catalog", False, "the change feed is cut", (("reads_refused", 3),))


@pytest.mark.parametrize(
    ("conditions", "status", "ready"),
    [([], 200, True), ([HELD], 200, True), ([HELD, CUT], 503, False), ([CUT], 503, False)],
)
def test_an_answer_names_every_condition(conditions: list[Condition], status: int, ready: bool) -> None:
    answered, headers, body = readiness_answer(iter(conditions))
    assert answered == status
    assert (b"content-type", b"application/json") in headers
    assert (b"cache-control", b"no-store") in headers
    assert ((b"retry-after", b"1") in headers) is not ready
    assert json.loads(body) == {
        "ready": ready,
        "conditions": {
            one.name: {"met": one.met, "reason": one.reason, **({"reads_refused": 3} if one is CUT else {})}
            for one in conditions
        },
    }


@pytest.mark.parametrize(
    ("extensions", "met"),
    [
        ({}, True),
        ({"extensions": {}}, True),
        ({"extensions": {CALL: SimpleNamespace(draining=False)}}, True),
        ({"extensions": {CALL: SimpleNamespace(draining=True)}}, False),
    ],
    ids=["another server", "no extension", "serving", "draining"],
)
def test_a_worker_accepts_until_its_server_drains(extensions: dict[str, Any], met: bool) -> None:
    assert accepting({"type": "http", **extensions}).met is met
