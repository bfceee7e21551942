"""Both implementations next to each other, and next to the general parsers, of which they accept a subset."""

from __future__ import annotations

import os
import random
import shutil
import sysconfig
from pathlib import Path

import httptools
import pytest

from serving import head_recogniser
from serving.head_recogniser import MOST, TWINS, RequestRecogniser, ResponseRecogniser
from serving.request_parser import BadRequest, RequestHead, RequestParser

SHOWN = (b"x-project-id", b"x-request-id")
FORWARDED = (b"x-project-id",)
DROPPED = (b"keep-alive", b"date")
DOUBTFUL = (b"transfer-encoding", b"te", b"expect", b"upgrade")
RULES = (SHOWN, FORWARDED, DROPPED, DOUBTFUL)

BOTH = [pytest.param(TWINS, id="pure")]
if head_recogniser.COMPILED:
    BOTH.append(pytest.param((RequestRecogniser, ResponseRecogniser), id="compiled"))

MUTATIONS = int(os.environ.get("MARCONI_TEST_MUTATIONS", "20000"))


def test_it_is_compiled_where_that_is_possible() -> None:
    headers = Path(sysconfig.get_paths()["include"], "Python.h")
    assert head_recogniser.COMPILED or not (shutil.which("cc") and headers.exists())


def head(*lines: bytes, first: bytes = b"GET /v2/queues HTTP/1.1", host: bytes = b"Host: door") -> bytes:
    return b"\r\n".join([first, *([host] if host else []), *lines, b"", b""])


@pytest.mark.parametrize("both", BOTH)
def test_a_request_is_recognised(both: tuple) -> None:
    recognise = both[0](*RULES)
    received = head(
        *(b"X-Project-Id: one two", b"X-Request-Id: req-1", b"Connection: keep-alive", b"Keep-Alive: 5"),
        *(b"CONTENT-length: 012", b"X-Other:a\tb", b"X-Other: again"),
        first=b"POST /v2/queues/q?a=%2F HTTP/1.1",
    )
    assert recognise(received + b"body") == (
        len(received),
        b"POST",
        b"/v2/queues/q?a=%2F",
        b"x-project-id: one two\r\nx-other: a\tb\r\nx-other: again\r\n",
        12,
        (b"one two", b"req-1"),
    )


@pytest.mark.parametrize("both", BOTH)
def test_a_response_is_recognised(both: tuple) -> None:
    recognise = both[1](*RULES)
    received = head(
        b"Date: today", b"X-Request-Id: 1", b"Content-Length: 0", first=b"HTTP/1.1 404 Not  Found", host=b""
    )
    assert recognise(received) == (len(received), 404, b"", 0, (None, b"1"))
    assert recognise(head(b"A: b", first=b"HTTP/1.1 204 ", host=b"")) == (23, 204, b"a: b\r\n", 0, (None, None))


DOUBTFUL_REQUESTS = {
    "nothing": b"",
    "half a line": b"GET /v2",
    "no end": head()[:-2],
    "half an end": head()[:-1],
    "another method": head(first=b"OPTIONS / HTTP/1.1"),
    "lower case": head(first=b"get / HTTP/1.1"),
    "HTTP/1.0": head(first=b"GET / HTTP/1.0"),
    "two slashes": head(first=b"GET //v2 HTTP/1.1"),
    "absolute form": head(first=b"GET http://door/ HTTP/1.1"),
    "a space in the target": head(first=b"GET /a b HTTP/1.1"),
    "a byte above ASCII in the target": head(first=b"GET /\xe9 HTTP/1.1"),
    "no target": head(first=b"GET  HTTP/1.1"),
    "an empty line before it": b"\r\n" + head(),
    "no host": head(host=b""),
    "two hosts": head(b"Host: door"),
    "an IPv6 host": head(host=b"Host: [::1]"),
    "a host with a user": head(host=b"Host: a@b"),
    "a long port": head(host=b"Host: a:123456"),
    "an empty port": head(host=b"Host: a:"),
    "only a port": head(host=b"Host: :80"),
    "a bare LF": head().replace(b"\r\n", b"\n", 1),
    "a bare CR": head(b"A: b\rc"),
    "CR CR LF": head(b"A: b\r"),
    "folded": head(b"A: b", b" c"),
    "no colon": head(b"A"),
    "no name": head(b": b"),
    "a space before the colon": head(b"A : b"),
    "an underscore": head(b"X_Project_Id: b"),
    "an empty value": head(b"A: "),
    "nothing after the colon": head(b"A:"),
    "two spaces": head(b"A:  b"),
    "a tab first": head(b"A:\tb"),
    "a space last": head(b"A: b "),
    "NUL": head(b"A: b\0c"),
    "DEL": head(b"A: b\x7f"),
    "a byte above ASCII": head(b"A: \xe9"),
    "two lengths": head(b"Content-Length: 1", b"Content-Length: 1"),
    "a signed length": head(b"Content-Length: +1"),
    "a list of lengths": head(b"Content-Length: 1, 1"),
    "a long length": head(b"Content-Length: 1234567890"),
    "close": head(b"Connection: close"),
    "Keep-Alive": head(b"Connection: Keep-Alive"),
    "keep-alive and more": head(b"Connection: keep-alive, te"),
    "a doubtful name": head(b"TE: trailers"),
    "a coding": head(b"Transfer-Encoding: chunked"),
    "shown twice": head(b"X-Project-Id: a", b"X-Project-Id: a"),
    "too long": head(b"A: " + b"b" * MOST),
}


@pytest.mark.parametrize("received", DOUBTFUL_REQUESTS.values(), ids=DOUBTFUL_REQUESTS)
@pytest.mark.parametrize("both", BOTH)
def test_a_doubtful_request_is_not_recognised(both: tuple, received: bytes) -> None:
    assert both[0](*RULES)(received) is None


DOUBTFUL_RESPONSES = {
    "informational": head(first=b"HTTP/1.1 100 Continue", host=b""),
    "304": head(b"Content-Length: 0", first=b"HTTP/1.1 304 Not Modified", host=b""),
    "beyond 599": head(b"Content-Length: 0", first=b"HTTP/1.1 600 ?", host=b""),
    "no length": head(first=b"HTTP/1.1 200 OK", host=b""),
    "a length of a 204": head(b"Content-Length: 0", first=b"HTTP/1.1 204 No Content", host=b""),
    "no space after the status": head(b"Content-Length: 0", first=b"HTTP/1.1 200", host=b""),
    "HTTP/1.0": head(b"Content-Length: 0", first=b"HTTP/1.0 200 OK", host=b""),
    "a tab in the phrase": head(b"Content-Length: 0", first=b"HTTP/1.1 200 O\tK", host=b""),
    "closing": head(b"Content-Length: 0", b"Connection: close", first=b"HTTP/1.1 200 OK", host=b""),
    "chunked": head(b"Transfer-Encoding: chunked", first=b"HTTP/1.1 200 OK", host=b""),
}


@pytest.mark.parametrize("received", DOUBTFUL_RESPONSES.values(), ids=DOUBTFUL_RESPONSES)
@pytest.mark.parametrize("both", BOTH)
def test_a_doubtful_response_is_not_recognised(both: tuple, received: bytes) -> None:
    assert both[1](*RULES)(received) is None


@pytest.mark.parametrize("both", BOTH)
@pytest.mark.parametrize("size", [MOST, MOST + 1])
def test_a_head_of_the_most_bytes_is_recognised(both: tuple, size: int) -> None:
    short = head(*(b"A:b",) * 1000, b"C: ")
    received = head(*(b"A:b",) * 1000, b"C: " + b"d" * (size - len(short)))
    assert len(received) == size
    found = both[0](*RULES)(received + b"more")
    assert (found is not None) == (size == MOST)
    if found is not None:
        assert found[3].count(b"a: b\r\n") == 1000


def parsed(received: bytes) -> tuple | None:
    """Return what RequestRecogniser promises, made from the general parser's reading; None where that refuses."""
    parser = RequestParser(65536)
    parser.feed(received)
    try:
        event = parser.next_event()
    except BadRequest:
        return None
    assert isinstance(event, RequestHead), "a head that is not complete was recognised"
    assert event.keep_alive
    assert not event.expects_continue
    lines, values = [], dict.fromkeys(SHOWN)
    for name, value in event.headers:
        if name in SHOWN:
            values[name] = value
        if name not in (b"host", b"content-length", b"connection", b"x-request-id", *DROPPED):
            lines.append(b"%b: %b\r\n" % (name, value))
    length = event.length if b"content-length" in dict(event.headers) else None
    return len(received) - parser.buffered, event.method, event.target, b"".join(lines), length, tuple(values.values())


class Reading:
    """A reading by httptools, which parses what is not recognised of a partition."""

    def __init__(self, received: bytes) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = self.kept = False
        self._parser = httptools.HttpResponseParser(self)
        self._parser.feed_data(received)
        self.status = self._parser.get_status_code()

    def on_headers_complete(self) -> None:
        self.kept = self._parser.should_keep_alive()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_message_complete(self) -> None:
        self.complete = True


SEED_REQUESTS = [
    head(b"X-Project-Id: p", b"Client-ID: c", b"Content-Length: 3", first=b"POST /v2/queues/q/messages HTTP/1.1"),
    head(b"Connection: keep-alive", b"Keep-Alive: 5", b"X-Request-Id: r", first=b"DELETE /v1/queues/q HTTP/1.1"),
]
SEED_RESPONSES = [
    head(b"Content-Length: 2", b"Date: d", b"Server: s", first=b"HTTP/1.1 200 OK", host=b""),
    head(b"X-Request-Id: r", b"Connection: keep-alive", first=b"HTTP/1.1 204 No Content", host=b""),
]
PIECES = [
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b":",
    b": ",
    b"0",
    b"9",
    b"-",
    b"_",
    b"\0",
    b"\x7f",
    b"\xff",
    b"/",
    b",",
    b"",
]


def mutated(chance: random.Random, good: list[bytes], doubtful: dict[str, bytes]) -> bytes:
    """Return one of the seeds with some bytes replaced by others that matter, or by a piece of another seed."""
    seeds = [*good, *doubtful.values()]
    made = chance.choice(good if chance.random() < 0.7 else seeds)
    for _ in range(chance.randint(1, 3)):
        begin = chance.randint(0, len(made))
        end = min(len(made), begin + chance.choice([0, 0, 1, 1, 2, 10]))
        other = chance.choice(seeds)
        piece = chance.choice(PIECES)
        if chance.random() < 0.3:
            at = chance.randint(0, len(other))
            piece = other[at : at + chance.randint(1, 30)]
        made = made[:begin] + piece + made[end:]
    return made


def test_mutated_requests_are_read_alike_by_all() -> None:
    chance = random.Random(20261201)
    implementations = [param.values[0][0](*RULES) for param in BOTH]
    recognised = 0
    for _ in range(MUTATIONS):
        received = mutated(chance, SEED_REQUESTS, DOUBTFUL_REQUESTS)
        first, *others = [recognise(received) for recognise in implementations]
        assert all(other == first for other in others), received
        if first is not None:
            recognised += 1
            assert parsed(received) == first, received
    assert recognised > MUTATIONS / 50


def test_mutated_responses_are_read_alike_by_all() -> None:
    chance = random.Random(20261202)
    implementations = [param.values[0][1](*RULES) for param in BOTH]
    recognised = 0
    for _ in range(MUTATIONS):
        received = mutated(chance, SEED_RESPONSES, DOUBTFUL_RESPONSES)
        first, *others = [recognise(received) for recognise in implementations]
        assert all(other == first for other in others), received
        if first is None:
            continue
        recognised += 1
        end, status, lines, length, _ = first
        reading = Reading(received[:end] + b"x" * length)
        assert reading.complete, received
        assert reading.kept, received
        assert reading.status == status
        kept = [
            b"%b: %b\r\n" % pair
            for pair in reading.headers
            if pair[0] not in (b"content-length", b"connection", b"x-request-id", *DROPPED)
        ]
        assert b"".join(kept) == lines, received
    assert recognised > MUTATIONS / 50
