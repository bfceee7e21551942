"""Which queue a request names as dead-letter queue (API sections 4.1, 4.5, 6.9)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marconi_proxy.routing.dead_letter import dead_letter_queue
from marconi_proxy.routing.route import parse

NAME = "_dead_letter_queue"


def named(method: str, body: Any, target: bytes = b"/v2/queues/q") -> str | None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return dead_letter_queue(method, parse(method, target), raw)


def add(value: Any, op: str = "add", path: str = f"/metadata/{NAME}") -> dict[str, Any]:
    return {"op": op, "path": path, "value": value}


PUT: dict[str, tuple[Any, str | None]] = {
    "plain": ({NAME: "dlq"}, "dlq"),
    "among others": ({"a": 1, NAME: "dlq", "_max_claim_count": 2}, "dlq"),
    "itself": ({NAME: "q"}, "q"),
    "escaped": (b'{"_dead\\u005fletter_queue": "dlq"}', "dlq"),
    "escaped value": (b'{"_dead_letter_queue": "dl\\u0071"}', "dlq"),
    "the last of two": (b'{"_dead_letter_queue": "one", "_dead_letter_queue": "two"}', "two"),
    "white space around": (b'\n {"_dead_letter_queue" : "dlq"}\t', "dlq"),
    "null": ({NAME: None}, None),
    "a number": ({NAME: 7}, None),
    "a list": ({NAME: ["dlq"]}, None),
    "an illegal name": ({NAME: "not legal"}, None),
    "an empty name": ({NAME: ""}, None),
    "too long a name": ({NAME: "x" * 65}, None),
    "a name with a new line": ({NAME: "dlq\n"}, None),
    "not at the top": ({"a": {NAME: "dlq"}}, None),
    "as a value": ({"a": NAME}, None),
    "in other case": ({NAME.upper(): "dlq"}, None),
    "another attribute": ({NAME + "_messages_ttl": 60}, None),
    "an array": ([{NAME: "dlq"}], None),
    "a patch": ([add("dlq")], None),
    "nothing": (b"", None),
    "no JSON": (b'{"_dead_letter_queue": ', None),
    "no UTF-8": (b'{"_dead_letter_queue": "\xff"}', None),
    "too deep": (b'{"_dead_letter_queue": ' + b"[" * 100_000, None),
    "a huge number": (b'{"_dead_letter_queue": "dlq", "n": ' + b"9" * 5000 + b"}", None),
}


@pytest.mark.parametrize(("body", "expected"), PUT.values(), ids=PUT)
@pytest.mark.parametrize("version", ["v1.1", "v2"])
def test_putting_a_queue(version: str, body: Any, expected: str | None) -> None:
    assert named("PUT", body, f"/{version}/queues/q".encode()) == expected


PATCH: dict[str, tuple[Any, str | None]] = {
    "add": ([add("dlq")], "dlq"),
    "replace": ([add("dlq", "replace")], "dlq"),
    "remove": ([{"op": "remove", "path": f"/metadata/{NAME}"}], None),
    "the area in any case": ([add("dlq", path=f"/Metadata/{NAME}")], "dlq"),
    "the key in other case": ([add("dlq", path=f"/metadata/{NAME.upper()}")], None),
    "another area": ([add("dlq", path=f"/other/{NAME}")], None),
    "another key": ([add("dlq", path="/metadata/colour"), {"op": "add", "path": "/x", "value": NAME}], None),
    "deeper": ([add("dlq", path=f"/metadata/{NAME}/x")], None),
    "the last of two": ([add("one"), add("two", "replace")], "two"),
    "added and removed": ([add("dlq"), {"op": "remove", "path": f"/metadata/{NAME}"}], None),
    "removed and added": ([{"op": "remove", "path": f"/metadata/{NAME}"}, add("dlq")], "dlq"),
    "null": ([add(None)], None),
    "an illegal name": ([add("a b")], None),
    "no value": ([{"op": "add", "path": f"/metadata/{NAME}"}], None),
    "no operation": ([{"path": f"/metadata/{NAME}", "value": "dlq"}], None),
    "an unknown operation": ([add("dlq", "test")], None),
    "among nonsense": ([7, None, {"path": 7}, [], add("dlq")], "dlq"),
    "empty": ([], None),
    "an object": ({NAME: "dlq"}, None),
    "escaped": (json.dumps([add("dlq")]).replace("_", "\\u005f").encode(), "dlq"),
}


@pytest.mark.parametrize(("body", "expected"), PATCH.values(), ids=PATCH)
def test_patching_a_queue(body: Any, expected: str | None) -> None:
    assert named("PATCH", body) == expected


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("PUT", b"/v1/queues/q"),
        ("PUT", b"/v1/queues/q/metadata"),
        ("POST", b"/v2/queues/q/messages"),
        ("POST", b"/v2/queues/q/claims"),
        ("POST", b"/v2/queues/q/subscriptions"),
        ("PUT", b"/v2/topics/t"),
        ("PUT", b"/v2/pools/p"),
        ("GET", b"/"),
    ],
    ids=lambda value: value.decode() if isinstance(value, bytes) else value,
)
def test_other_calls_name_none(method: str, target: bytes) -> None:
    assert named(method, {NAME: "dlq"}, target) is None


@given(st.sampled_from(["PUT", "PATCH"]), st.binary(max_size=60))
def test_any_body_is_read(method: str, body: bytes) -> None:
    assert named(method, NAME.encode() + b"\\" + body) is None
