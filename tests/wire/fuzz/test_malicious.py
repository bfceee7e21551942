"""The well-known malicious requests, each with the answers that are allowed."""

from __future__ import annotations

import json
import uuid

import pytest

from tests.servers.fake_partition import until
from tests.wire.fuzz.conftest import Server
from tests.wire.fuzz.strategies import Request, statuses
from tests.wire.raw_http import Answer, exchange
from tests.wire.script import CLIENT

USUAL = f"Host: x\r\nClient-ID: {CLIENT}\r\nX-Project-Id: malicious\r\n".encode()
POST = b"POST /v2/queues/orders/messages HTTP/1.1\r\n" + USUAL
PUT = b"PUT /v2/queues/orders HTTP/1.1\r\n" + USUAL
BODY = b'{"messages": [{"body": 1}]}'
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
GET = b"GET /v2/queues HTTP/1.1\r\n" + USUAL

# Bytes after which nothing can be meant: the first answer, if there is one, is 400.
BAD_FRAMING = {
    "header without colon": GET + b"Nonsense\r\n\r\n",
    "space before colon": GET + b"X-A : b\r\n\r\n",
    "NUL in a value": GET + b"X-A: a\x00b\r\n\r\n",
    "NUL in a name": GET + b"X\x00A: b\r\n\r\n",
    "carriage return in a value": GET + b"X-A: a\rb\r\n\r\n",
    "two lengths": POST + b"Content-Length: 27\r\nContent-Length: 5\r\n\r\n" + BODY,
    "a list of lengths": POST + b"Content-Length: 27, 27\r\n\r\n" + BODY,
    "length and chunks": POST + b"Content-Length: 27\r\n" + CHUNKED + b"0\r\n\r\n",
    "negative length": POST + b"Content-Length: -1\r\n\r\n",
    "length beyond 64 bits": POST + b"Content-Length: 99999999999999999999\r\n\r\n",
    "length with a sign": POST + b"Content-Length: +27\r\n\r\n" + BODY,
    "hexadecimal length": POST + b"Content-Length: 0x1b\r\n\r\n" + BODY,
    "chunk size no number": POST + CHUNKED + b"zz\r\n",
    "negative chunk": POST + CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n",
    "chunk beyond 64 bits": POST + CHUNKED + b"fffffffffffffffff\r\nx",
    "chunk longer than it says": POST + CHUNKED + b"1\r\nhello\r\n0\r\n\r\n",
    "unknown coding": POST + b"Transfer-Encoding: gzip\r\n\r\n" + BODY,
    "HTTP/0.9": b"GET /\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no method": b" /v2/queues HTTP/1.1\r\n" + USUAL + b"\r\n",
    "control character in the target": b"GET /v2/\x01queues HTTP/1.1\r\n" + USUAL + b"\r\n",
    "TLS": bytes.fromhex("16030100a5010000a10303") + bytes(160),
    "nothing but NULs": bytes(1000),
}


@pytest.mark.parametrize("sent", BAD_FRAMING.values(), ids=BAD_FRAMING)
def test_what_cannot_be_read_is_refused(server: Server, sent: bytes) -> None:
    assert statuses(server.address, sent)[:1] in ([], [400])


def test_an_unknown_method_is_not_allowed(server: Server) -> None:
    """It is a valid request (RFC 9110 section 9.1), so the connection stays."""
    assert statuses(server.address, b"BREW /v2/queues HTTP/1.1\r\n" + USUAL + b"\r\n" + GET + b"\r\n")[:2] == [405, 200]


UNFINISHED = {
    "nothing": b"",
    "half a line": b"GET /v2/que",
    "half a head": GET + b"X-A: b",
    "half a body": POST + b"Content-Length: 27\r\n\r\n" + BODY[:10],
    "half a chunk": POST + CHUNKED + b"1b\r\n" + BODY[:10],
    "no last chunk": POST + CHUNKED + b"1b\r\n" + BODY + b"\r\n",
}


@pytest.mark.parametrize("sent", UNFINISHED.values(), ids=UNFINISHED)
def test_who_leaves_early_has_nothing_done(server: Server, sent: bytes) -> None:
    project = uuid.uuid4().hex.encode()
    assert [status for status in statuses(server.address, sent.replace(b"malicious", project)) if status < 400] == []
    listed = exchange(server.address, "GET", "/v1/queues", [("X-Project-Id", project.decode())])
    assert listed.status == 204 or b"orders" in listed.body  # v2 makes the queue before it looks at the post
    stats = _ask(server, "GET", "/v2/queues/orders/stats", project.decode())
    assert stats["messages"]["total"] == 0


def _ask(server: Server, method: str, target: str, project: str) -> dict[str, dict[str, int]]:
    answer = exchange(server.address, method, target, [("Client-ID", CLIENT), ("X-Project-Id", project)])
    assert answer.status == 200, answer
    return json.loads(answer.body)


HEADS = {
    "one huge header": b"X-A: " + b"a" * 1_000_000 + b"\r\n",
    "many headers": b"X-A: b\r\n" * 50_000,
    "huge name": b"X" * 1_000_000 + b": a\r\n",
    "huge client": b"Client-ID: " + b"a" * 1_000_000 + b"\r\n",
}


@pytest.mark.parametrize("lines", HEADS.values(), ids=HEADS)
def test_huge_heads_are_refused(server: Server, lines: bytes) -> None:
    sent = GET + b"Connection: close\r\n" + lines + b"\r\n"
    assert statuses(server.address, sent, leave=False) in ([], [400])


def test_a_huge_target_is_refused(server: Server) -> None:
    sent = b"GET /v2/queues?" + b"a" * 1_000_000 + b" HTTP/1.1\r\n" + USUAL + b"Connection: close\r\n\r\n"
    assert statuses(server.address, sent, leave=False) in ([], [400])


def test_trailers_are_no_headers(server: Server) -> None:
    """Otherwise they could change the project of a request after all checks of it (RFC 9110 section 6.5.1)."""
    mine, theirs = uuid.uuid4().hex, uuid.uuid4().hex
    headers = (("X-Project-Id", mine), ("Transfer-Encoding", "chunked"))
    request = Request("PUT", "/v1/queues/orders", headers, None)
    assert request.status(server.address, framed=f"0\r\nX-Project-Id: {theirs}\r\n\r\n".encode()) == 201
    found = {
        project: exchange(server.address, "GET", "/v1/queues/orders", [("X-Project-Id", project)]).status
        for project in (mine, theirs)
    }
    assert found == {mine: 204, theirs: 404}


# (body, status of a post): API section 1.5.
BODIES = {
    "deep": (b'{"messages": [{"body": ' + b"[" * 100_000 + b"]" * 100_000 + b"}]}", 400),
    "deep and open": (b"[" * 200_000, 400),
    "deep objects": (b'{"a":' * 30_000 + b"1" + b"}" * 30_000, 400),
    "integer of 200,000 digits": (b'{"messages": [{"body": ' + b"9" * 200_000 + b"}]}", 400),
    "float of 200,000 digits": (b'{"messages": [{"body": 0.' + b"9" * 200_000 + b"}]}", 201),
    "exponent": (b'{"messages": [{"body": 1e999999999}]}', 400),
    "lone surrogate": (b'{"messages": [{"body": "\\ud800"}]}', 201),
    "lone surrogate as a name": (b'{"messages": [{"body": {"\\udfff": 1}}]}', 201),
    "lone surrogate in UTF-8": (b'{"messages": [{"body": "\xed\xa0\x80"}]}', 400),
    "overlong UTF-8": (b'{"messages": [{"body": "\xc0\xaf"}]}', 400),
    "NUL in a text": (b'{"messages": [{"body": "\\u0000"}]}', 201),
    "NUL": (b"\x00" * 100, 400),
    "many members": (json.dumps({"messages": [{"body": dict.fromkeys(map(str, range(20_000)), 0)}]}).encode(), 201),
    "one member many times": (b'{"messages": [{"body": {' + b'"a": 1,' * 30_000 + b'"a": 2}}]}', 201),
    "many messages": (json.dumps({"messages": [{"body": 0}] * 15_000}).encode(), 201),
}


@pytest.mark.parametrize(("body", "status"), BODIES.values(), ids=BODIES)
def test_bodies(server: Server, body: bytes, status: int) -> None:
    project = uuid.uuid4().hex
    headers = (("Client-ID", CLIENT), ("X-Project-Id", project))

    def post() -> Answer | None:
        answer = exchange(server.address, "POST", "/v2/queues/orders/messages", headers, body)
        return None if answer.status == 503 else answer

    # Thousands of messages may take a busy machine longer than a store's time limit.
    answer = until(post, "the store takes it or not")
    assert answer.status == status, (answer.status, answer.body[:200])
    if status == 201:
        listed = exchange(server.address, "GET", "/v2/queues/orders/messages?echo=true&limit=1", headers)
        assert json.loads(listed.body)["messages"][0]["body"] == json.loads(body)["messages"][0]["body"]


# (target, statuses) of a GET with the usual headers.
TARGETS = {
    "half an escape": ("/v2/queues/a%", {400}),
    "bad escape": ("/v2/queues/a%zz", {400}),
    "encoded NUL": ("/v2/queues/%00", {400}),
    "invalid UTF-8": ("/v2/queues/%ff%fe", {400}),
    "overlong slash": ("/v2/queues/a%c0%afb", {400}),
    "surrogate": ("/v2/queues/%ed%a0%80", {400}),
    "encoded slash": ("/v2/queues/a%2fb", {404}),
    "escaped twice": ("/v2/queues/a%252fb", {400}),
    "dots": ("/v2/queues/a/../b", {400, 404}),
    "encoded dots": ("/v2/queues/%2e%2e/stats", {400}),
    "line feed in an id": ("/v2/queues/a/messages/x%0d%0aX-A:%20b", {404}),
    "line feed in a query": ("/v2/queues/a/messages?marker=%0d%0aX-A:%20b", {200}),
    "NUL in a query": ("/v2/queues/a/messages?marker=%00&echo=%00", {400}),
    "fragment": ("/v2/queues#a", {200, 400}),
    "absolute-form": ("http://elsewhere/v2/queues", {200, 400}),
    "absolute-form without a path": ("http://elsewhere", {400, 404, 300}),
    "authority-form": ("elsewhere:80", {400, 404}),
    "asterisk": ("*", {400, 404}),
    "no slash": ("v2/queues", {400, 404}),
    "two slashes": ("//v2/queues", {200}),
    "backslashes": ("\\v2\\queues", {400, 404}),
    "latin-1": ("/v2/queues/é", {400}),
    "marker of 60,000 digits": ("/v2/queues/a/messages?marker=" + "9" * 60_000, {200, 400}),
    "limit of 60,000 digits": ("/v2/queues/a/messages?limit=" + "9" * 60_000, {400}),
    "10,000 ids": ("/v2/queues/a/messages?ids=" + "a," * 10_000, {400}),
    "10,000 parameters": ("/v2/queues/a/messages?" + "a=b&" * 10_000, {200, 400}),
    "10,000 filters": ("/v2/queues?" + "&".join(f"a{n}=b" for n in range(5_000)), {200, 400}),
}


@pytest.mark.parametrize(("target", "expected"), TARGETS.values(), ids=TARGETS)
def test_targets(server: Server, target: str, expected: set[int]) -> None:
    headers = (("Client-ID", CLIENT), ("X-Project-Id", "malicious"))
    assert Request("GET", target, headers, None).status(server.address) in expected


def test_chunks_are_no_way_around_the_length(server: Server) -> None:
    """API section 1.5: upstream ignores such a body silently; the node refuses it, the front door gives it a length."""
    body = b"1b\r\n" + BODY + b"\r\n0\r\n\r\n"
    headers = (("Client-ID", CLIENT), ("X-Project-Id", uuid.uuid4().hex), ("Transfer-Encoding", "chunked"))
    request = Request("POST", "/v2/queues/orders/messages", headers, None)
    assert request.status(server.address, framed=body) == (201 if server.strict else 400)


def test_pipelined_requests_are_answered_in_their_order(server: Server) -> None:
    # The last one has "Connection: close": a client that closes its side gets no further answers.
    sent = b"".join(
        f"GET /v2/{path} HTTP/1.1\r\n".encode() + USUAL + (b"Connection: close\r\n" if path == "" else b"") + b"\r\n"
        for path in ("queues", "nope", "queues?limit=0", "ping", "")
    )
    assert statuses(server.address, sent, leave=False) == [200, 404, 400, 204, 200]


def test_values_that_no_store_can_keep(server: Server) -> None:
    """Texts that UTF-8 cannot hold, and times that no clock shows."""
    headers = (("Client-ID", CLIENT), ("X-Project-Id", uuid.uuid4().hex))

    def status(method: str, path: str, document: object) -> int:
        return exchange(server.address, method, f"/v2{path}", headers, json.dumps(document).encode()).status

    assert status("POST", "/queues/orders/messages", {"messages": [{"body": 1}]}) == 201
    claim = exchange(server.address, "POST", "/v2/queues/orders/claims", headers).header("Location") or ""
    for grace in (2**63 - 1, -(2**63), 10**12):
        assert status("PATCH", claim.removeprefix("/v2"), {"ttl": 60, "grace": grace}) == 400
    assert status("POST", "/queues/orders/subscriptions", {"subscriber": "http://a/\ud800"}) == 400
    assert status("POST", "/queues/orders/subscriptions", {"subscriber": "http://a", "ttl": 2**63 - 1}) == 400
    assert status("POST", "/queues/orders/share", {"methods": ["\ud800"]}) == 400
    odd = {"_dead_letter_queue": "\ud800", "_max_claim_count": -1, "\ud800": {"\udfff": 1}}
    assert status("PUT", "/queues/odd", odd) == 201
    assert status("POST", "/queues/odd/messages", {"messages": [{"body": "\ud800"}]}) == 201
    assert status("POST", "/queues/odd/claims", {}) == 201
    assert exchange(server.address, "GET", "/v2/queues?detailed=true", headers).status == 200
