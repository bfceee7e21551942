"""A partition host that misbehaves by scripts: a raw TCP server, one script per connection.

A script is a sequence of steps, each an ``async`` function of the connection (``Peer``); when it ends, the connection
is closed. The n-th connection follows the n-th script, and the last script serves all further ones::

    async with EvilHost([READ, say(b"HTTP/1.1 200 OK\\r\\n"), RESET], [ever(READ, say(OK))]) as host:
        ...

Everything read is kept in ``EvilHost.requests``, so that a test can count what a partition would have done.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import NamedTuple, Self

from marconi_proxy.upstream.pool import Origin

# How long, in seconds, to wait for what must come. Only failures wait so long.
PATIENCE = 30.0

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


def answer(status: int, body: bytes = b"", *headers: bytes) -> bytes:
    """Serialise an answer with Content-Length."""
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"HTTP/1.1 %d Scripted\r\n%bcontent-length: %d\r\n\r\n%b" % (status, lines, len(body), body)


class Request(NamedTuple):
    """A request as it came in on connection number ``connection`` (from 0). ``headers`` by lower-case name."""

    connection: int
    method: bytes
    target: bytes
    headers: dict[bytes, bytes]
    body: bytes


class Peer:
    """One connection, as the host sees it."""

    def __init__(self, host: EvilHost, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.host = host
        self.number = number
        self._reader = reader
        self._writer = writer
        self.socket: socket.socket = writer.get_extra_info("socket")

    async def read_head(self) -> tuple[bytes, bytes, dict[bytes, bytes]]:
        """Read up to the empty line. Raises IncompleteReadError when the client closes instead."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        first, *lines = head[:-4].split(b"\r\n")
        method, target, _ = first.split(b" ")
        pairs = (line.partition(b": ") for line in lines)
        return method, target, {name.lower(): value for name, _, value in pairs}

    async def read_request(self) -> Request:
        """Read a whole request, which must frame its body by Content-Length, and keep it."""
        method, target, headers = await self.read_head()
        body = await self._reader.readexactly(int(headers.get(b"content-length", b"0")))
        request = Request(self.number, method, target, headers, body)
        self.host.note(request)
        return request

    async def send(self, data: bytes) -> None:
        """Hand ``data`` to the kernel."""
        self._writer.write(data)
        await self._writer.drain()

    def half_close(self) -> None:
        """Close the sending direction; go on reading."""
        self._writer.write_eof()

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def hang_up_now(self) -> None:
        """Close in both directions before anything else can run: the client's loop learns of it later."""
        # A descriptor of our own, for the transport does not lend its socket out for this.
        with socket.socket(fileno=os.dup(self.socket.fileno())) as own:
            own.shutdown(socket.SHUT_RDWR)

    async def wait_closed_by_client(self) -> None:
        """Return when the client has closed the connection."""
        while await self._reader.read(65536):
            pass

    def close(self) -> None:
        self._writer.close()


Step = Callable[[Peer], Awaitable[object]]
Script = Sequence[Step]


async def READ(peer: Peer) -> None:  # noqa: N802 - steps without arguments are written like keywords in scripts
    """Read a whole request."""
    await peer.read_request()


async def READ_HEAD(peer: Peer) -> None:  # noqa: N802
    """Read a request's head, and leave its body unread."""
    await peer.read_head()


async def RESET(peer: Peer) -> None:  # noqa: N802
    """Reset the connection."""
    peer.reset()


async def HALF_CLOSE(peer: Peer) -> None:  # noqa: N802
    """Shut down the sending side; then wait for the client to close its own."""
    peer.half_close()
    await peer.wait_closed_by_client()


async def CLOSE(peer: Peer) -> None:  # noqa: N802
    """Close the connection."""
    peer.close()


async def STALL(peer: Peer) -> None:  # noqa: N802
    """Do nothing until the client closes the connection."""
    await peer.wait_closed_by_client()


def say(*pieces: bytes) -> Step:
    """Send bytes, each piece handed to the kernel by itself."""

    async def step(peer: Peer) -> None:
        for piece in pieces:
            await peer.send(piece)

    return step


def wait(event: asyncio.Event) -> Step:
    """Wait until the test sets the event."""

    async def step(peer: Peer) -> None:
        await event.wait()

    return step


def later(seconds: float) -> Step:
    """Be slow: go on after so many seconds."""

    async def step(peer: Peer) -> None:
        await asyncio.sleep(seconds)

    return step


def tell(event: asyncio.Event) -> Step:
    """Set the event, as a step of a script: it shows a test that the steps before were done."""

    async def step(peer: Peer) -> None:
        event.set()

    return step


def ever(*steps: Step) -> Step:
    """Repeat ``steps`` until the client closes the connection."""

    async def step(peer: Peer) -> None:
        while True:
            for one in steps:
                await one(peer)

    return step


def serve(handler: Callable[[Request], bytes | Awaitable[bytes]]) -> Step:
    """Be a well-behaved server: answer every request with the bytes that ``handler`` returns for it."""

    async def step(peer: Peer) -> None:
        while True:
            reply = handler(await peer.read_request())
            await peer.send(reply if isinstance(reply, bytes) else await reply)

    return step


class EvilHost:
    """The server, listening on a port of its own while the context is open.

    ``connections`` counts those accepted; ``requests`` are those read whole, in the order read.
    """

    def __init__(self, *scripts: Script) -> None:
        self._scripts = scripts
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Condition()
        self.connections = 0
        self.requests: list[Request] = []
        self.peers: list[Peer] = []
        self.ended: Counter[int] = Counter()
        self.failures: list[BaseException] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=2**26)
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.origin = Origin.of(self.url)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for peer in self.peers:
            peer.close()
        await asyncio.sleep(0)  # a transport releases its socket in the next step
        if error is None and self.failures:
            raise self.failures[0]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = self.connections
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        peer = Peer(self, number, reader, writer)
        self.peers.append(peer)
        try:
            for step in self._scripts[min(number, len(self._scripts) - 1)]:
                await step(peer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client hung up, or the test is over
        except Exception as failure:
            self.failures.append(failure)
        finally:
            self._tasks.discard(task)
            peer.close()
            self.ended[number] += 1
            await self._notify()

    def note(self, request: Request) -> None:
        self.requests.append(request)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def script_ended(self, number: int) -> None:
        """Return when connection ``number`` has come to the end of its script, or was closed by the client."""
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: self.ended[number])


def unused_port() -> int:
    """Return a port without a listener."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def settled(condition: Callable[[], object]) -> None:
    """Let the event loop run until ``condition`` holds. For what follows from events already under way."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0)
