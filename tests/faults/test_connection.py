"""One connection against everything that a host may do to it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

import pytest

from marconi_proxy.upstream.connection import READ_AHEAD, Connection, UpstreamAnswer
from marconi_proxy.upstream.errors import BadAnswer, ConnectFailed, DeadlineExceeded, Unanswered
from marconi_proxy.upstream.pool import Origin, Pool
from tests.faults.conftest import MAX_HEAD
from tests.faults.evil_host import (
    CLOSE,
    HALF_CLOSE,
    OK,
    PATIENCE,
    READ,
    READ_HEAD,
    RESET,
    STALL,
    EvilHost,
    Step,
    answer,
    ever,
    say,
    settled,
    tell,
    unused_port,
    wait,
)

GET = b"GET /v2/queues/q HTTP/1.1\r\nhost: h\r\n\r\n"
# The most that one read of the event loop brings (asyncio reads 256 KiB at a time).
ONE_READ = 262144


def at(seconds: float) -> float:
    """The loop time in so many seconds."""
    return asyncio.get_running_loop().time() + seconds


async def ask(
    connection: Connection,
    request: bytes = GET,
    *,
    head_only: bool = False,
    deadline: float = PATIENCE,
    stall: float = PATIENCE,
) -> UpstreamAnswer:
    return await connection.exchange(request, head_only=head_only, deadline=at(deadline), stall=stall)


# -- what is an answer, whatever the pieces it comes in ----------------------------------------------------------------


class Wire(asyncio.Transport):
    """The transport of a connection to the test itself. ``unsent``: bytes that the test has not taken."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.unsent = 0
        self.aborted = False
        self.reading = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += bytes(data)

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True


class Line(NamedTuple):
    """A connection over a wire; ``kept`` and ``lost`` are what it reported."""

    connection: Connection
    wire: Wire
    kept: list[Connection]
    lost: list[Connection]


def line(max_head: int = MAX_HEAD) -> Line:
    kept: list[Connection] = []
    lost: list[Connection] = []
    wire = Wire()
    connection = Connection("http://host", asyncio.get_running_loop(), max_head, kept.append, lost.append)
    connection.connection_made(wire)
    return Line(connection, wire, kept, lost)


EOF = "the end of the connection"


async def told(line: Line, pieces: Iterable[bytes | str], *, head_only: bool = False) -> tuple[UpstreamAnswer, bytes]:
    """Ask, have the host answer in ``pieces``, and return the answer and its whole body."""
    asking = asyncio.create_task(ask(line.connection, head_only=head_only))
    await settled(lambda: line.wire.sent == GET)
    for piece in pieces:
        if isinstance(piece, str):
            line.connection.connection_lost(None)
        elif not line.wire.aborted:
            line.connection.data_received(piece)
    got = await asking
    return got, await got.read()


class Good(NamedTuple):
    """An answer that is right, and what is to become of the connection."""

    sent: bytes
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    kept: bool
    until_eof: bool = False
    head_only: bool = False


LOCATION = b"/v2/queues/q/messages/" + b"0123456789abcdef," * 18_000

GOOD = {
    "with a length": Good(OK, 200, [(b"content-length", b"2")], b"ok", kept=True),
    "header names in any case": Good(
        b"HTTP/1.1 200 OK\r\nContent-LENGTH: 2\r\nX-Y:  z\r\n\r\nok",
        200,
        [(b"content-length", b"2"), (b"x-y", b"z")],
        b"ok",
        kept=True,
    ),
    "a header twice": Good(
        b"HTTP/1.1 200 OK\r\nx-a: 1\r\ncontent-length: 0\r\nx-a: 2\r\n\r\n",
        200,
        [(b"x-a", b"1"), (b"content-length", b"0"), (b"x-a", b"2")],
        b"",
        kept=True,
    ),
    "any bytes in a body": Good(
        answer(200, bytes(range(256))), 200, [(b"content-length", b"256")], bytes(range(256)), kept=True
    ),
    "a body that looks like an answer": Good(
        answer(200, OK), 200, [(b"content-length", b"%d" % len(OK))], OK, kept=True
    ),
    "300 is no redirect": Good(
        b"HTTP/1.1 300 Multiple Choices\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n",
        300,
        [(b"location", b"/x"), (b"content-length", b"0")],
        b"",
        kept=True,
    ),
    "chunked": Good(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n3;ext=1\r\ncde\r\n0\r\n\r\n",
        200,
        [(b"transfer-encoding", b"chunked")],
        b"abcde",
        kept=True,
    ),
    "chunked with trailers": Good(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nx-sum: 1\r\nlocation: /evil\r\n\r\n",
        200,
        [(b"transfer-encoding", b"chunked")],
        b"ab",
        kept=True,
    ),
    "chunked, then closed": Good(
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        200,
        [(b"connection", b"close"), (b"transfer-encoding", b"chunked")],
        b"ab",
        kept=False,
    ),
    "an empty body in chunks": Good(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        200,
        [(b"transfer-encoding", b"chunked")],
        b"",
        kept=True,
    ),
    "204": Good(b"HTTP/1.1 204 No Content\r\n\r\n", 204, [], b"", kept=True),
    "204 of older releases": Good(
        b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n", 204, [(b"content-length", b"0")], b"", kept=True
    ),
    "304 with the length of what it spares": Good(
        b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", 304, [(b"content-length", b"9")], b"", kept=True
    ),
    "to HEAD": Good(
        b"HTTP/1.1 200 OK\r\ncontent-length: 512\r\n\r\n",
        200,
        [(b"content-length", b"512")],
        b"",
        kept=True,
        head_only=True,
    ),
    "to HEAD, in chunks that never come": Good(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        200,
        [(b"transfer-encoding", b"chunked")],
        b"",
        kept=True,
        head_only=True,
    ),
    "close announced": Good(
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        200,
        [(b"connection", b"close"), (b"content-length", b"2")],
        b"ok",
        kept=False,
    ),
    "until the end of the connection": Good(
        b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nall there is",
        200,
        [(b"connection", b"close")],
        b"all there is",
        kept=False,
        until_eof=True,
    ),
    "HTTP/1.0 without a length": Good(
        b"HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nold",
        200,
        [(b"content-type", b"text/plain")],
        b"old",
        kept=False,
        until_eof=True,
    ),
    "HTTP/1.0 with a length": Good(
        b"HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\nold", 200, [(b"content-length", b"3")], b"old", kept=False
    ),
    "HTTP/1.0 that keeps the connection": Good(
        b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 3\r\n\r\nold",
        200,
        [(b"connection", b"keep-alive"), (b"content-length", b"3")],
        b"old",
        kept=True,
    ),
    "after 100 Continue": Good(
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 200, [(b"content-length", b"2")], b"ok", kept=True
    ),
    "after early hints": Good(
        b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK,
        200,
        [(b"content-length", b"2")],
        b"ok",
        kept=True,
    ),
}


async def check(case: Good, pieces: Iterable[bytes]) -> None:
    wired = line()
    got, body = await told(wired, [*pieces, *([EOF] if case.until_eof else [])], head_only=case.head_only)
    assert (got.status, got.headers, body) == (case.status, case.headers, case.body)
    assert got.complete
    assert wired.kept == ([wired.connection] if case.kept else [])
    assert wired.connection.usable is case.kept
    assert case.until_eof or wired.wire.aborted is not case.kept


@pytest.mark.parametrize("case", GOOD.values(), ids=GOOD)
async def test_a_good_answer(case: Good) -> None:
    await check(case, [case.sent])


@pytest.mark.parametrize("case", GOOD.values(), ids=GOOD)
async def test_a_good_answer_cut_in_two_anywhere(case: Good) -> None:
    for cut in range(1, len(case.sent)):
        await check(case, [case.sent[:cut], case.sent[cut:]])


@pytest.mark.parametrize("case", GOOD.values(), ids=GOOD)
async def test_a_good_answer_byte_by_byte(case: Good) -> None:
    await check(case, [case.sent[i : i + 1] for i in range(len(case.sent))])


async def test_a_location_of_300_kilobytes_is_not_cut() -> None:
    wired = line()
    sent = answer(201, b"{}", b"location: " + LOCATION)
    got, _ = await told(wired, [sent[i : i + 65536] for i in range(0, len(sent), 65536)])
    assert len(LOCATION) > 300_000
    assert dict(got.headers)[b"location"] == LOCATION
    assert wired.kept


SURPLUS = {
    "two answers at once": [OK + OK],
    "two answers, cut in the second": [OK + OK[:9], OK[9:]],
    "garbage after the answer": [OK + b"\0\1\2"],
    "a body after 204": [b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello"],
    "half an answer more": [OK + b"HTTP/1.1 "],
    "an answer and a 408": [OK + b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\r\n"],
}


@pytest.mark.parametrize("pieces", SURPLUS.values(), ids=SURPLUS)
async def test_a_connection_with_more_than_the_answer_is_never_used_again(pieces: list[bytes]) -> None:
    wired = line()
    got, body = await told(wired, pieces)
    assert (got.status, body) in ((200, b"ok"), (204, b""))
    assert wired.kept == []
    assert wired.wire.aborted


async def test_a_body_after_the_answer_to_head_is_not_taken_for_the_next_answer() -> None:
    wired = line()
    got, body = await told(wired, [b"HTTP/1.1 200 OK\r\ncontent-length: 76\r\n\r\nHTTP/1.1 200 OK\r\n"], head_only=True)
    assert (got.status, body) == (200, b"")
    assert wired.kept == []
    assert wired.wire.aborted


async def test_a_connection_is_not_kept_while_the_request_is_not_all_sent() -> None:
    # The host answered early; what it has not read it might read as the next request.
    wired = line()
    wired.wire.unsent = 1
    got, _ = await told(wired, [OK])
    assert got.status == 200
    assert wired.kept == []
    assert wired.wire.aborted


BAD = {
    "garbage": [b"\x16\x03\x01\x02\0\x01\0\x01\xfc"],
    "another protocol": [b"SSH-2.0-OpenSSH_9.2\r\n"],
    "HTTP/0.9": [b"<html>hello</html>", EOF],
    "a length that is no number": [b"HTTP/1.1 200 OK\r\ncontent-length: two\r\n\r\nok"],
    "a negative length": [b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"],
    "two lengths": [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok"],
    "length and chunks": [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"],
    "chunks and length": [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n0\r\n\r\n"],
    "a chunk size that is none": [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxy\r\nab\r\n"],
    "a chunk that is too long": [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n"],
    "a coding that is not chunked": [b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nab", EOF],
    "a folded header": [b"HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 0\r\n\r\n"],
    "bare line feeds": [b"HTTP/1.1 200 OK\ncontent-length: 0\n\n"],
    "a header without a colon": [b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n"],
    "an upgrade that nobody asked for": [b"HTTP/1.1 101 Go\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"],
    "no end of 100 Continue": [b"HTTP/1.1 100 Continue\r\n\r\n" * 50_000],
    "a status below 100": [b"HTTP/1.1 099 Odd\r\n\r\n" + b"x" * READ_AHEAD, EOF],
    "a head without end": [b"HTTP/1.1 200 OK\r\nx: " + b"y" * MAX_HEAD],
    "headers without end": [b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200_000],
    "nothing but a status line": [b"HTTP/1.1 200 OK\r\n", EOF],
    "a body cut short": [b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell", EOF],
    "no body": [b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", EOF],
    "chunks cut short": [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n", EOF],
    "chunks without trailers' end": [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", EOF],
    "100 Continue and then the end": [b"HTTP/1.1 100 Continue\r\n\r\n", EOF],
}


@pytest.mark.parametrize("pieces", BAD.values(), ids=BAD)
async def test_a_bad_answer(pieces: list[bytes | str]) -> None:
    wired = line()
    with pytest.raises(BadAnswer, match="http://host "):
        await told(wired, pieces)
    assert wired.kept == []
    assert wired.wire.aborted or wired.lost


@pytest.mark.parametrize("limit", [100, 101], ids=["one byte too many", "exactly"])
async def test_the_bound_on_a_head(limit: int) -> None:
    head = b"HTTP/1.1 200 OK\r\nx: " + b"y" * 67 + b"\r\ncontent-"
    assert len(head) == 97
    wired = line(max_head=limit)
    pieces = [head, b"leng", b"th: 0\r\n\r\n"]
    if limit == 100:
        with pytest.raises(BadAnswer, match="more than 100 bytes of headers"):
            await told(wired, pieces)
    else:
        got, _ = await told(wired, pieces)
        assert got.status == 200


# -- the same over sockets, and what only sockets can do ---------------------------------------------------------------


async def first(pool: Pool, host: EvilHost) -> Connection:
    return await pool.connect(host.origin, at(PATIENCE))


@pytest.mark.parametrize("case", GOOD.values(), ids=GOOD)
async def test_a_good_answer_over_a_socket(pool: Pool, case: Good) -> None:
    steps: list[Step] = [READ, say(case.sent)]
    async with EvilHost([*steps, CLOSE if case.until_eof else STALL]) as host:
        connection = await first(pool, host)
        got = await ask(connection, head_only=case.head_only)
        assert (got.status, got.headers, await got.read()) == (case.status, case.headers, case.body)
        assert pool.take(host.origin, PATIENCE) is (connection if case.kept else None)


@pytest.mark.parametrize("pieces", BAD.values(), ids=BAD)
async def test_a_bad_answer_over_a_socket(pool: Pool, pieces: list[bytes | str]) -> None:
    async with EvilHost([READ, say(*(p for p in pieces if isinstance(p, bytes))), HALF_CLOSE]) as host:
        with pytest.raises(BadAnswer):
            await ask(await first(pool, host))
        await host.script_ended(0)
        assert pool.take(host.origin, PATIENCE) is None


UNANSWERED: dict[str, list[Step]] = {
    "closed before reading": [CLOSE],
    "reset before reading": [RESET],
    "closed after the head": [READ_HEAD, CLOSE],
    "closed after reading": [READ, CLOSE],
    "reset after reading": [READ, RESET],
    "half-closed before reading": [HALF_CLOSE],
    "half-closed after reading": [READ, HALF_CLOSE],
}


@pytest.mark.parametrize("script", UNANSWERED.values(), ids=UNANSWERED)
async def test_no_answer(pool: Pool, script: list[Step]) -> None:
    async with EvilHost(script) as host:
        connection = await first(pool, host)
        with pytest.raises(Unanswered) as caught:
            await ask(connection)
        assert type(caught.value) is Unanswered
        assert not caught.value.on_kept_connection
        assert not connection.usable


@pytest.mark.parametrize("script", UNANSWERED.values(), ids=UNANSWERED)
async def test_no_answer_on_a_kept_connection(pool: Pool, script: list[Step]) -> None:
    go = asyncio.Event()
    async with EvilHost([READ, say(OK), wait(go), *script]) as host:
        connection = await first(pool, host)
        await ask(connection)
        assert connection.usable
        # Nothing runs between this and the sending of the request.
        go.set()
        with pytest.raises(Unanswered) as caught:
            await ask(connection)
        assert caught.value.on_kept_connection
        assert connection.used == 2


async def test_a_reset_is_not_the_end_of_an_answer(pool: Pool) -> None:
    go = asyncio.Event()
    endless = say(b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * READ_AHEAD)
    async with EvilHost([READ, endless, wait(go), RESET]) as host:
        got = await ask(await first(pool, host))
        assert (got.status, got.complete) == (200, False)
        go.set()
        with pytest.raises(BadAnswer, match="broke off"):
            await got.read()


STALLED = {
    "at once": b"",
    "in the status line": b"HTTP/1.1 20",
    "after 100 Continue": b"HTTP/1.1 100 Continue\r\n\r\n",
    "in the headers": b"HTTP/1.1 200 OK\r\ncontent-le",
    "in a small body": b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhal",
    "before the end of a connection": b"HTTP/1.0 200 OK\r\n\r\nall",
    "in a chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab",
}


@pytest.mark.parametrize("sent", STALLED.values(), ids=STALLED)
async def test_a_host_that_stalls(pool: Pool, sent: bytes) -> None:
    async with EvilHost([READ, say(sent), STALL]) as host:
        connection = await first(pool, host)
        with pytest.raises(DeadlineExceeded):
            await ask(connection, deadline=0.05)
        await host.script_ended(0)  # because this side closed the connection
        assert not connection.usable


async def test_a_host_that_stalls_in_a_long_body(pool: Pool) -> None:
    async with EvilHost([READ, say(b"HTTP/1.1 200 OK\r\ncontent-length: 70000\r\n\r\n" + b"x" * 69999), STALL]) as host:
        got = await ask(await first(pool, host), stall=0.05)
        assert (got.status, got.complete) == (200, False)
        with pytest.raises(DeadlineExceeded):
            await got.read()
        await host.script_ended(0)


async def test_a_large_request_is_sent_whole(pool: Pool) -> None:
    body = bytes(range(256)) * 40_000
    async with EvilHost([READ, say(OK)]) as host:
        request = b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        assert (await ask(await first(pool, host), request)).body == b"ok"
        assert host.requests[0].body == body


@pytest.mark.parametrize(
    "reply", [answer(400, b"too large"), b"HTTP/1.1 100 Continue\r\n\r\n" + OK], ids=["400", "100"]
)
async def test_an_answer_before_the_request_was_read(pool: Pool, reply: bytes) -> None:
    body = b"x" * 20_000_000  # more than the kernel buffers
    async with EvilHost([READ_HEAD, say(reply), STALL]) as host:
        connection = await first(pool, host)
        got = await ask(connection, b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        assert got.status in (400, 200)
        assert got.complete
        assert not connection.usable
        assert pool.take(host.origin, PATIENCE) is None


async def test_a_long_body_waits_for_its_reader(pool: Pool) -> None:
    piece = bytes(range(256)) * 256
    count = 320
    sent = asyncio.Event()
    long = [READ, say(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (len(piece) * count), *[piece] * count)]
    async with EvilHost([*long, tell(sent), STALL]) as host:
        connection = await first(pool, host)
        got = await ask(connection)
        assert len(got.body) <= READ_AHEAD + ONE_READ
        digest, length = hashlib.sha256(got.body), len(got.body)
        transport = connection._transport
        paused = 0
        async for chunk in got.rest():
            # While the reader is busy with this chunk, at most one read more is taken in.
            assert connection._buffered + len(chunk) <= 2 * (READ_AHEAD + ONE_READ)
            digest.update(chunk)
            length += len(chunk)
            if not transport.is_reading():
                paused += 1
                assert not sent.is_set() or length > len(piece) * count // 2
        assert length == len(piece) * count == 20_971_520
        assert digest.digest() == hashlib.sha256(piece * count).digest()
        assert paused > 10
        assert pool.take(host.origin, PATIENCE) is connection


async def test_a_reader_that_never_comes_back_holds_the_host(pool: Pool) -> None:
    sent = asyncio.Event()
    endless = b"x" * 65536
    async with EvilHost([READ, say(b"HTTP/1.1 200 OK\r\n\r\n"), ever(say(endless)), tell(sent)]) as host:
        connection = await first(pool, host)
        got = await ask(connection)
        await settled(lambda: not connection._transport.is_reading())
        assert len(got.body) + connection._buffered <= 2 * (READ_AHEAD + ONE_READ)
        got.abandon()
        await host.script_ended(0)
        assert not sent.is_set()
        assert not connection.usable


async def test_an_answer_given_up_closes_its_connection(pool: Pool) -> None:
    async with EvilHost(
        [READ, say(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n" + b"x" * 70000), STALL]
    ) as host:
        connection = await first(pool, host)
        got = await ask(connection)
        got.abandon()
        got.abandon()
        await host.script_ended(0)
        assert [chunk async for chunk in got.rest()] == []
        assert not connection.usable


async def test_a_call_given_up_closes_its_connection(pool: Pool) -> None:
    asked = asyncio.Event()
    async with EvilHost([READ, tell(asked), STALL]) as host:
        asking = asyncio.create_task(ask(await first(pool, host)))
        await asked.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await host.script_ended(0)
        assert pool.take(host.origin, PATIENCE) is None


# -- the pool ----------------------------------------------------------------------------------------------------------


async def two_kept(pool: Pool, host: EvilHost) -> tuple[Connection, Connection]:
    """Return two kept connections, the older one first."""
    one, other = await first(pool, host), await first(pool, host)
    await ask(one)
    await ask(other)
    return one, other


async def test_the_connection_kept_last_is_used_first(pool: Pool) -> None:
    async with EvilHost([ever(READ, say(OK))]) as host:
        one, other = await two_kept(pool, host)
        assert repr(pool) == "<Pool 0 busy, 2 idle, 1 origins>"
        assert pool.take(host.origin, PATIENCE) is other
        assert pool.take(host.origin, PATIENCE) is one
        assert pool.take(host.origin, PATIENCE) is None
        assert repr(pool) == "<Pool 2 busy, 0 idle, 1 origins>"


async def test_a_connection_too_old_for_one_call_stays_for_others(pool: Pool) -> None:
    async with EvilHost([ever(READ, say(OK))]) as host:
        one, other = await two_kept(pool, host)
        one.idle_since -= 20.0
        other.idle_since -= 10.0
        assert pool.take(host.origin, 5.0) is None
        assert pool.take(host.origin, 15.0) is other
        assert pool.take(host.origin, 15.0) is None
        assert pool.take(host.origin, 25.0) is one


UNASKED = {
    "408": say(b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"),
    "an answer": say(OK),
    "garbage": say(b"\0"),
    "the end": CLOSE,
    "half the end": HALF_CLOSE,
    "a reset": RESET,
}


@pytest.mark.parametrize("step", UNASKED.values(), ids=UNASKED)
async def test_what_comes_unasked_on_an_idle_connection_ends_it(pool: Pool, step: Step) -> None:
    go = asyncio.Event()
    async with EvilHost([READ, say(OK), wait(go), step, STALL], [READ, say(OK)]) as host:
        connection = await first(pool, host)
        await ask(connection)
        go.set()
        await settled(lambda: not connection.usable)
        assert pool.take(host.origin, PATIENCE) is None
        assert (await ask(await first(pool, host))).body == b"ok"


async def test_connections_idle_for_too_long_are_closed(pool: Pool) -> None:
    async with EvilHost([ever(READ, say(OK))]) as host:
        one, other = await two_kept(pool, host)
        one.idle_since -= 61.0
        other.idle_since -= 59.0
        pool._sweeper.cancel()
        pool._sweep()
        await host.script_ended(0)
        assert not one.usable
        assert pool.take(host.origin, 60.0) is other
        await settled(lambda: repr(pool) == "<Pool 1 busy, 0 idle, 1 origins>")


async def test_closing_the_pool_ends_calls_under_way(pool: Pool) -> None:
    asked = asyncio.Event()
    async with EvilHost([READ, tell(asked), STALL]) as host:
        asking = asyncio.create_task(ask(await first(pool, host)))
        await asked.wait()
        pool.close()
        with pytest.raises(Unanswered):
            await asyncio.wait_for(asking, PATIENCE / 2)
        await host.script_ended(0)


async def test_closing_the_pool_ends_answers_under_way(pool: Pool) -> None:
    async with EvilHost(
        [READ, say(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n" + b"x" * 70000), STALL]
    ) as host:
        got = await ask(await first(pool, host))
        reading = asyncio.create_task(got.read())
        await settled(lambda: got._connection is not None and got._connection._ready is not None)
        pool.close()
        with pytest.raises(Unanswered):
            await asyncio.wait_for(reading, PATIENCE / 2)


async def test_a_closed_pool_opens_no_connection(pool: Pool) -> None:
    async with EvilHost([ever(READ, say(OK))]) as host:
        kept, _ = await two_kept(pool, host)
        pool.close()
        assert not kept.usable
        assert pool.take(host.origin, PATIENCE) is None
        with pytest.raises(ConnectFailed, match="closed"):
            await first(pool, host)
        assert host.connections == 2


async def test_a_host_that_refuses(pool: Pool) -> None:
    async with EvilHost([CLOSE]) as host:
        refusing = host.origin._replace(port=unused_port())
    with pytest.raises(ConnectFailed, match="cannot be reached"):
        await pool.connect(refusing, at(PATIENCE))


async def test_a_name_that_does_not_resolve(pool: Pool) -> None:
    async with EvilHost([CLOSE]) as host:
        nowhere = host.origin._replace(host="a..b")
    with pytest.raises(ConnectFailed, match=r"a\.\.b"):
        await pool.connect(nowhere, at(PATIENCE))


@pytest.mark.parametrize("limit", ["deadline", "connect_timeout"])
async def test_a_host_that_does_not_shake_hands(pool: Pool, limit: str) -> None:
    async with EvilHost([STALL]) as host:
        secure = host.origin._replace(scheme="https")
        if limit == "connect_timeout":
            pool.connect_timeout = 0.05
        with pytest.raises(ConnectFailed, match="in time"):
            await pool.connect(secure, at(0.05 if limit == "deadline" else PATIENCE))


async def test_a_host_that_speaks_no_tls(pool: Pool) -> None:
    async with EvilHost([say(OK), STALL]) as host:
        with pytest.raises(ConnectFailed, match="cannot be reached"):
            await pool.connect(host.origin._replace(scheme="https"), at(PATIENCE))


async def test_a_connection_lost_at_once_is_not_kept_in_mind(pool: Pool) -> None:
    async with EvilHost([RESET]) as host:
        for _ in range(20):
            await first(pool, host)
        await settled(lambda: not pool._all)


ORIGINS = {
    "http://p1.example:8888": Origin("http", "p1.example", 8888, b"p1.example:8888"),
    "http://p1.example": Origin("http", "p1.example", 80, b"p1.example"),
    "https://p1.example": Origin("https", "p1.example", 443, b"p1.example"),
    "http://[::1]:8888": Origin("http", "::1", 8888, b"[::1]:8888"),
}


@pytest.mark.parametrize("url", ORIGINS)
def test_the_origin_of_a_url(url: str) -> None:
    assert Origin.of(url) == ORIGINS[url]


async def test_a_deadline_that_is_reached_does_not_stand_in_the_way_of_the_next_exchange() -> None:
    connection, _, kept, _ = line()
    ready: list[int] = []
    for deadline in (0.0, PATIENCE):
        connection.begin(
            GET, head_only=False, deadline=at(deadline), stall=PATIENCE, ready=partial(ready.append, len(ready))
        )
        connection.data_received(OK)
        assert connection.result().body == b"ok"
    assert (ready, kept) == ([0, 1], [connection] * 2)
