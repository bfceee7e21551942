"""A server without a network: chunks go in exactly as given, the clock stands still, and clients read when a test lets
them."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

from serving.asgi import CALL
from serving.limits import Limits
from serving.server import Server

LIMITS = Limits(
    max_head=1024,
    head_timeout=30.0,
    body_timeout=60.0,
    keep_alive=5.0,
    send_timeout=10.0,
    max_bodies=100_000,
    max_connections=100,
)
# asyncio's water marks.
HIGH, LOW = 65536, 16384


class Clock:
    """The loop as a server uses it, with a time that only a test changes."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.create_task = loop.create_task
        self.create_future = loop.create_future
        self.now = 1000.0

    def time(self) -> float:
        return self.now


class Transport(asyncio.Transport):
    """``written`` is all there is for the client, ``pending`` the number of bytes of it that a client who does not read
    has not read."""

    def __init__(self, address: str) -> None:
        super().__init__({"peername": (address, 1234), "sockname": ("127.0.0.1", 80)})
        self.protocol: Any = None
        self.written = b""
        self.pending = 0
        self.reads = True
        self.ended = self.closed = self.aborted = self.paused = self.lost = False
        self._stopped = False

    def write(self, data: bytes) -> None:
        assert not self.closed, "written after close"
        assert not self.ended, "written after the end"
        self.written += data
        if self.reads:
            return
        self.pending += len(data)
        if self.pending > HIGH and not self._stopped:
            self._stopped = True
            self.protocol.pause_writing()

    def read(self, size: int) -> None:
        """Let the client read so much of what is pending."""
        assert size <= self.pending
        self.pending -= size
        if self._stopped and self.pending <= LOW:
            self._stopped = False
            self.protocol.resume_writing()
        self._lose_if_done()

    def get_write_buffer_size(self) -> int:
        return self.pending

    def close(self) -> None:
        self.closed = True
        self._lose_if_done()

    def abort(self) -> None:
        self.aborted = self.closed = True
        self.pending = 0
        self._lose_if_done()

    def _lose_if_done(self) -> None:
        if self.closed and not self.pending and not self.lost:
            self.lost = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def pause_reading(self) -> None:
        assert not self.paused
        self.paused = True

    def resume_reading(self) -> None:
        assert self.paused
        self.paused = False


class Application:
    """Answers each request with its body when ``go`` is set, in one of five ways.

    By ASGI only; by ``try_fast_path`` at once or later; offered, but never taken; or taken and handed over to ASGI.
    """

    def __init__(self, way: str = "by ASGI only") -> None:
        self.way = way
        self.requests: list[tuple[str, bytes, bytes]] = []
        self.offered: list[Any] = []
        self.disconnects = 0
        self.go = asyncio.Event()
        self.go.set()
        self._tasks: set[asyncio.Task[None]] = set()
        if way != "by ASGI only":
            self.try_fast_path = self._try_fast_path

    async def __call__(self, scope, receive, send) -> None:
        body, more = b"", True
        while more:
            event = await receive()
            if event["type"] == "http.disconnect":
                self.disconnects += 1
                return
            body += event["body"]
            more = event["more_body"]
        await self.go.wait()
        if scope["extensions"][CALL].gone:
            self.disconnects += 1
            return
        self.requests.append((scope["method"], scope["target"], body))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": body})

    def _try_fast_path(self, request) -> bool:
        self.offered.append(request)
        if self.way == "never":
            return False
        if self.way == "at once" and self.go.is_set():
            self._answer(request)
        else:
            task = asyncio.get_running_loop().create_task(self._answer_later(request))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return True

    async def _answer_later(self, request) -> None:
        await self.go.wait()
        if self.way == "handed over":
            request.hand_over(self)
        else:
            self._answer(request)

    def _answer(self, request) -> None:
        if request.disconnected:
            self.disconnects += 1
        else:
            self.requests.append((request.scope["method"], request.scope["target"], request.body))
        request.respond(200, [(b"a", b"b")], request.body)


WAYS = ["by ASGI only", "at once", "later", "never", "handed over"]


def serve(application: Any, **limits: Any) -> Server:
    return Server(application, replace(LIMITS, **limits), Clock())


async def settle(turns: int = 20) -> None:
    """Let every task go on that can; the application takes a handful of turns."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def pass_time(server: Server, seconds: float) -> None:
    server.loop.now += seconds
    server.enforce(server.loop.now)
    await settle()


class Client:
    """A client's view of a connection: ``send`` chunks, look at ``answers``."""

    def __init__(self, server: Server, address: str = "192.0.2.1") -> None:
        self.server = server
        self.transport = Transport(address)
        self.connection = server.connect()
        self.transport.protocol = self.connection
        self.connection.connection_made(self.transport)

    async def send(self, *chunks: bytes) -> None:
        for chunk in chunks:
            if not self.transport.closed:
                self.connection.data_received(chunk)
        await settle()

    async def end_input(self) -> None:
        if not self.connection.eof_received():
            self.transport.close()
        await settle()

    async def abort(self) -> None:
        self.transport.abort()
        await settle()

    @property
    def closed(self) -> bool:
        return self.transport.closed

    @property
    def answers(self) -> list[tuple[int, dict[bytes, bytes], bytes]]:
        """Status, headers and body of each answer so far; each is complete."""
        found, rest = [], self.transport.written
        while rest:
            head, end, rest = rest.partition(b"\r\n\r\n")
            assert end
            line, *fields = head.split(b"\r\n")
            headers = dict(field.split(b": ", 1) for field in fields)
            assert len(headers) == len(fields), "a header twice"
            size = int(headers.get(b"content-length", 0))
            assert len(rest) >= size
            found.append((int(line.split(b" ")[1]), headers, rest[:size]))
            rest = rest[size:]
        return found

    @property
    def statuses(self) -> list[int]:
        return [status for status, _, _ in self.answers]

    def refusal(self, status: int = 400) -> str:
        """Return the description of the last answer, with which the server ends the connection."""
        seen, headers, body = self.answers[-1]
        assert (seen, headers[b"content-type"], headers[b"connection"]) == (status, b"application/json", b"close")
        assert (headers.get(b"retry-after") is not None) is (status == 503)
        document = json.loads(body)
        assert document.keys() == {"title", "description"}
        return document["description"]


def head(target: bytes = b"/v2", *headers: bytes, method: bytes = b"GET", version: bytes = b"1.1") -> bytes:
    return b"\r\n".join([method + b" " + target + b" HTTP/" + version, b"Host: x", *headers, b"", b""])


POST = head(b"/v2/queues", b"Content-Length: 5", method=b"POST") + b"hello"
CHUNKED = head(b"/v2/queues", b"Transfer-Encoding: chunked", method=b"POST")
