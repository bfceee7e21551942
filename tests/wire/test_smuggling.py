"""Requests in other requests: whatever a client sends, the front door forwards what a strict parser reads in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import h11
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.servers.fake_partition import Call, FakePartition, raw_answer
from tests.servers.marconi import marconi_proxy
from tests.wire.conftest import logged
from tests.wire.door import Door
from tests.wire.evil.client import answers, talk

PROJECT = "smuggling"
# Asks for so many streams, drawn anew: for the nightly run.
_ASKED_FOR = os.environ.get("MARCONI_TEST_FUZZ_EXAMPLES")
SMUGGLE = settings(
    max_examples=int(_ASKED_FOR or 500), derandomize=_ASKED_FOR is None, print_blob=True, database=None, deadline=None
)


@dataclass(frozen=True)
class Read:
    """A request, by the parts that decide what it does. ``number`` identifies it in the stream."""

    method: str
    target: str
    number: str
    project: str | None
    body: bytes


@dataclass(frozen=True)
class Stage:
    address: tuple[str, int]
    host: FakePartition


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A front door with one worker, before a partition that records requests, and accepts all."""
    logs = tmp_path_factory.mktemp("smuggling")
    catalog = f"sqlite:///{logs / 'catalog.db'}"
    with marconi_proxy(catalog, logs, workers=1) as proxy, logged(proxy.public), FakePartition() as host:
        door = Door(proxy)
        door.tell_all(door.register(host.url), host)
        assert door.ask("PUT", "/v1/queues/q", PROJECT).status == 201
        with host.script("GET|POST|PUT|PATCH", r"/v1/queues/q.*", raw_answer(204, [])):
            yield Stage(proxy.public_address, host)
        assert " ERROR " not in proxy.public.log.read_text()


# -- hostile streams ---------------------------------------------------------------------------------------------------

_FRAMING = st.sampled_from(
    [
        b"Content-Length: %d",
        b"Content-Length: %d",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: chunked",
        *(
            b"Content-Length: 0",
            b"Content-Length: 5",
            b"Content-Length: 100",
            b"Content-Length:%d",
            b"Content-Length : %d",
        ),
        *(b"content-length: 0%d", b"Content-Length: +%d", b"Content-Length: %d, %d", b"Content-Length: %d\t"),
        *(b"Content-Length: 0x5", b"Content-Length:\x0b%d", b"Content-Length: %d;", b"Content-Length\x00: 5"),
        *(b"Content_Length: 100", b"X: y\nContent-Length: 5", b"X: y\rContent-Length: 5", b" Content-Length: 5"),
        *(b"Transfer-Encoding: CHUNKED", b"Transfer-Encoding:chunked", b"Transfer-Encoding : chunked"),
        *(b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked, gzip", b"Transfer-Encoding: identity"),
        *(b"Transfer-Encoding: xchunked", b"Transfer-Encoding: chunked\x0b", b"Transfer-Encoding:\tchunked"),
        *(b"Transfer-Encoding: chunked;a=b", b"Transfer_Encoding: chunked", b"X: y\r\n Transfer-Encoding: chunked"),
        *(b"Transfer-Encoding:\r\n chunked", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x", b"X\x00: y"),
        *(
            b"Expect: 100-continue",
            b"Connection: close",
            b"Connection: content-length",
            b"Connection: transfer-encoding",
        ),
        *(b"Upgrade: h2c\r\nConnection: Upgrade", b"Connection: keep-alive", b"Trailer: X-Project-Id", b"TE: trailers"),
        *(b"Host: y", b"X-Project-Id: other", b"X_Project_Id: other", b"X-HTTP-Method-Override: PUT"),
    ]
)
_LINES = st.sampled_from(
    [
        *[b"POST /v1/queues/q/messages HTTP/1.1"] * 6,
        *(b"GET /v1/queues/q/messages HTTP/1.1", b"PUT /v1/queues/q HTTP/1.1", b"POST /v1/queues/q/messages HTTP/1.0"),
        *(
            b"GET http://y/v1/queues/q/stats HTTP/1.1",
            b"POST  /v1/queues/q/messages HTTP/1.1",
            b"GET /v1/queues/q HTTP/1.10",
        ),
        *(
            b"POST /v1/queues/q/messages?a=b HTTP/1.1",
            b"PATCH /v1/queues/q HTTP/1.1",
            b"\r\nGET /v1/queues/q/stats HTTP/1.1",
        ),
        *(b"POST /v1/queues/q/messages HTTP/1.1\n", b"GET /v1/queues/q/stats", b"POST /v1/queues/q/messages http/1.1"),
    ]
)
_CHUNKS = st.sampled_from(
    [
        *(b"5\r\nhello\r\n0\r\n\r\n", b"0\r\n\r\n", b"5;a=b\r\nhello\r\n0\r\nX-Project-Id: other\r\n\r\n"),
        *(b"5\nhello\n0\n\n", b"5 \r\nhello\r\n0\r\n\r\n", b"+5\r\nhello\r\n0\r\n\r\n", b"0x5\r\nhello\r\n0\r\n\r\n"),
        *(
            b"5\r\nhelloX\r\n0\r\n\r\n",
            b"4\r\nhello\r\n0\r\n\r\n",
            b"5\r\nhello\r\n00\r\n\r\n",
            b"-0\r\n\r\n",
            b"5;\n\r\nhello\r\n0\r\n\r\n",
        ),
        *(
            b"5\r\nhello0\r\n\r\n",
            b"5\r\nhello\r\n0\r\n",
            b"5\r\r\nhello\r\n0\r\n\r\n",
            b"10000000000000000\r\n",
            b"0\r\n\r\r\n\n",
        ),
    ]
)
_BYTES = st.sampled_from(
    [b"\r", b"\n", b"\r\n", b" ", b"\t", b"\x00", b"\x0b", b":", b",", b"0", b"1", b";", b"\xff", b"\r\n\r\n"]
)


@st.composite
def _request(draw: st.DrawFn, depth: int = 1) -> bytes:
    """A request, or almost. ``%n``: its number."""
    inner = _request(depth - 1) if depth else st.just(b"")
    body = draw(st.one_of(st.sampled_from([b"", b"hello", b"0\r\n\r\n"]), _CHUNKS, inner))
    headers = [header.replace(b"%d", b"%d" % len(body)) for header in draw(st.lists(_FRAMING, max_size=3))]
    if any(header.lower().startswith(b"transfer-encoding: chunked") for header in headers) and draw(st.booleans()):
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
    fixed = [b"Host: x", b"X-Project-Id: " + PROJECT.encode(), b"X-Number: %n"]
    return b"\r\n".join([draw(_LINES), *fixed, *headers, b"", body])


@st.composite
def _stream(draw: st.DrawFn) -> bytes:
    """Requests, one behind the other, with numbers; now and then some of the bytes are changed."""
    stream = b"".join(draw(st.lists(_request(), min_size=1, max_size=4)))
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        at = draw(st.integers(0, len(stream)))
        stream = stream[:at] + draw(_BYTES) + stream[at + draw(st.integers(0, 2)) :]
    first, *rest = stream.split(b"%n")
    return first + b"".join(b"%d" % number + piece for number, piece in enumerate(rest))


def _read_by_h11(stream: bytes) -> list[Read]:
    """Return the requests before the first that is none, or after which the connection ends."""
    requests: list[Read] = []
    while True:
        while stream.startswith(b"\r\n"):  # RFC 9112 section 2.2; h11 refuses an empty line
            stream = stream[2:]
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        try:
            connection.receive_data(stream)
            head = connection.next_event()
            body = b""
            while isinstance(piece := connection.next_event(), h11.Data):
                body += piece.data
        except h11.RemoteProtocolError:
            return requests
        if not isinstance(head, h11.Request) or not isinstance(piece, h11.EndOfMessage):
            return requests
        requests.append(_as_read(head, body))
        connection.send(h11.Response(status_code=204, headers=[]))
        connection.send(h11.EndOfMessage())
        if connection.our_state is not h11.DONE:
            return requests
        stream = connection.trailing_data[0]


def _as_read(head: h11.Request, body: bytes) -> Read:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
    target = head.target.decode("latin-1").removeprefix("http://y")
    return Read(head.method.decode(), target, headers.get("x-number", ""), headers.get("x-project-id"), body)


def _as_seen(call: Call) -> Read:
    return Read(call.method, call.target, call.headers["x-number"], call.project, call.body)


@SMUGGLE
@given(_stream())
def test_the_partition_sees_what_a_strict_parser_reads(stage: Stage, stream: bytes) -> None:
    before = len(stage.host.calls)
    received = answers(talk(stage.address, stream))
    given = [answer.status for answer in received if answer.status >= 200]
    seen = [_as_seen(call) for call in stage.host.calls[before:] if "x-number" in call.headers]
    read = _read_by_h11(stream)
    event(f"{len(seen)} forwarded")
    assert _is_within(seen, read), (seen, read)
    assert len(seen) <= len(given)
    assert len(given) <= len(read) + 1
    assert not any(status in (502, 504) or status >= 505 for status in given)


def _is_within(some: list[Read], all_: list[Read]) -> bool:
    """Return whether the requests are among all of them, in this order, each once."""
    rest = iter(all_)
    return all(request in rest for request in some)
