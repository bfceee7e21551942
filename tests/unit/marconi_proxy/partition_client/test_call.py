"""Calls of our own: their headers, and how their answers are read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from catalog.model import Partition
from marconi_proxy.partition_client.call import answer_to, own_call
from marconi_proxy.upstream.errors import ConnectFailed
from marconi_proxy.upstream.exchange import UpstreamCall
from tests.unit.node_upstream import Given, Way

HOST = "http://p1:8888"


def headers(call: UpstreamCall) -> dict[bytes, bytes]:
    return dict(line.split(b": ", 1) for line in call.lines.split(b"\r\n") if line)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("method", "body", "length", "kind"),
    [
        ("GET", None, None, None),
        ("DELETE", None, None, None),
        ("PUT", None, b"0", None),
        ("PUT", {}, b"2", b"application/json"),
        ("POST", [], b"2", b"application/json"),
        ("PATCH", [1], b"3", b"application/json"),
    ],
)
def test_a_body_and_its_length(method: str, body: Any, length: bytes | None, kind: bytes | None) -> None:
    call = own_call(method, "/v2/queues/q", "p", body)
    assert (call.method, call.target) == (method.encode(), b"/v2/queues/q")
    assert (headers(call).get(b"content-length"), headers(call).get(b"content-type")) == (length, kind)
    assert call.body == (b"" if body is None else json.dumps(body).encode())
    assert call.repeatable


def test_more_headers_and_another_media_type() -> None:
    call = own_call("PATCH", "/", "caf\xe9", [], kind=b"text/x", more=b"x-marconi-epoch: 1\r\n")
    found = headers(call)
    assert (found[b"content-type"], found[b"x-marconi-epoch"], found[b"x-project-id"]) == (b"text/x", b"1", b"caf\xe9")
    assert b"x-project-id" not in headers(own_call("GET", "/", ""))


@pytest.mark.parametrize(
    ("body", "document"),
    [(b'{"a": 1}', {"a": 1}), (b"null", None), (b"", None), (b"<html>", None), (b"\xff", None), (b"[" * 50_000, None)],
)
async def test_what_is_no_json_is_none(body: bytes, document: object) -> None:
    async def answered(call: UpstreamCall) -> Given:
        return Given(503, body)

    way: Any = Way(Partition("p1", (HOST,)), {HOST: answered}, [])
    assert await answer_to(way, own_call("GET", "/", "p")) == (503, document)


async def test_a_partition_that_is_away() -> None:
    way: Any = Way(Partition("p1", (HOST,)), {}, [])
    with pytest.raises(ConnectFailed):
        await answer_to(way, own_call("GET", "/", "p"))
