"""Partitions as processes of the simulated world, and the wires to them.

A wire is what an event loop's ``create_connection`` gives: production's pool, connections and parser run on it
unchanged. Behind it is our own partition node over a store in memory. The world draws a ``Fate`` for each
request: it may be done late, after its caller has given up, its answer may be lost, it may be lost itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from partition.api.application import Application
from partition.api.node import Node
from tests.simulation.memory_storage import MemoryStorage, Shelf
from tests.simulation.virtual_loop import Actor, VirtualLoop, acting


@dataclass(frozen=True, slots=True)
class Fate:
    """``before``, ``after``: seconds until a request is done, and until its answer leaves. ``lost``: it is never done;
    ``mute``: it is done, and the connection is closed instead of an answer. ``shown``: of what was posted before that
    many seconds ago only, as on a replica that lags. ``shy``: a claim finds nothing, as it may while
    others are at the same queue."""

    before: float = 0.001
    after: float = 0.001
    lost: bool = False
    mute: bool = False
    lag: float = 0.0
    shy: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """``whose``: the name of the process that sent it."""

    whose: str
    method: str
    target: str
    headers: list[tuple[bytes, bytes]]
    body: bytes


_REASONS = {200: b"OK", 201: b"Created", 204: b"No Content"}


class Wire(asyncio.Transport):
    """The client's end of a connection. Writes are whole requests, one at a time."""

    def __init__(self, host: Host, loop: VirtualLoop, protocol: asyncio.Protocol) -> None:
        super().__init__()
        actor = acting()
        assert actor is not None
        self.actor = actor
        self._host = host
        self._loop = loop
        self._protocol = protocol
        self._closed = False

    def write(self, data: Any) -> None:
        if self._closed:
            return
        stalled = self._host.stall(self.actor, data)
        if stalled:
            # The process was frozen just before; killed meanwhile, it writes nothing.
            self._loop.call_later(stalled, self._send, bytes(data), context=self._host.actor.context)
        else:
            self._send(bytes(data))

    def _send(self, data: bytes) -> None:
        if not self._closed:
            host = self._host
            self._loop.call_later(host.pause(), host.receive, self, data, context=host.actor.context)

    def deliver(self, data: bytes) -> None:
        """Bring an answer, in the time of the client."""
        self._loop.call_soon(self._arrive, data, context=self.actor.context)

    def _arrive(self, data: bytes) -> None:
        if not self._closed:
            self._protocol.data_received(data)

    def hang_up(self) -> None:
        """Close it from the other side."""
        self._loop.call_soon(self._lose, context=self.actor.context)

    def _lose(self) -> None:
        if not self._closed:
            self.close()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._host.wires.pop(self, None)
            self._loop.call_soon(self._protocol.connection_lost, None)

    abort = close

    def vanish(self) -> None:
        """Close it because its process is dead: no callback runs."""
        self._closed = True
        self._host.wires.pop(self, None)

    def is_closing(self) -> bool:
        return self._closed

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Host:
    """A partition: one process over a store that outlives it. ``fate`` draws what becomes of a request; ``pause`` how
    long what was written takes to get here; ``stall`` for how long a process is frozen just before it writes; ``done``
    is called with each request that was done, and its status.

    ``clock``: the partition's, in milliseconds since 1970.
    """

    def __init__(
        self,
        name: str,
        loop: VirtualLoop,
        shelf: Shelf,
        clock: Callable[[], int],
        fate: Callable[[Request], Fate],
        pause: Callable[[], float],
        stall: Callable[[Actor, bytes], float],
        done: Callable[[Request, int], None] = lambda request, status: None,
    ) -> None:
        self.name = name
        self.actor = Actor(name)
        self.up = True
        # In the order in which they were connected: a set would have another one in each process.
        self.wires: dict[Wire, None] = {}
        self.pause = pause
        self.stall = stall
        self._done = done
        self._loop = loop
        self._shelf = shelf
        self._clock = clock
        self._fate = fate
        self._life = 0
        self._application = Application(Node(MemoryStorage(shelf, clock), clock=clock))

    def connect(self, make: Callable[[], asyncio.Protocol]) -> tuple[Wire, asyncio.Protocol]:
        if not self.up:
            raise ConnectionRefusedError(f"{self.name} is down")
        protocol = make()
        wire = Wire(self, self._loop, protocol)
        self.wires[wire] = None
        protocol.connection_made(wire)
        return wire, protocol

    def crash(self) -> None:
        """Die: requests in flight will not be done, and none is answered."""
        self.up = False
        self._life += 1
        for wire in list(self.wires):
            wire.hang_up()

    def restart(self) -> None:
        self.up = True
        self._application = Application(Node(MemoryStorage(self._shelf, self._clock), clock=self._clock))

    def receive(self, wire: Wire, data: bytes) -> None:
        if self.up:
            self._loop.create_task(self._serve(wire, _parsed(wire.actor.name, data)))

    async def _serve(self, wire: Wire, request: Request) -> None:
        fate, life = self._fate(request), self._life
        await asyncio.sleep(fate.before)
        if fate.lost or life != self._life:
            wire.hang_up()
            return
        answer = b"HTTP/1.1 204 No Content\r\n\r\n" if fate.shy else await self._answer(request, fate.lag)
        await asyncio.sleep(fate.after)
        if fate.mute or life != self._life:
            wire.hang_up()
        else:
            wire.deliver(answer)

    async def _answer(self, request: Request, lag: float) -> bytes:
        application = self._application
        if lag:
            until = self._clock() - int(lag)
            application = Application(Node(Lagging(self._shelf, self._clock, until), clock=self._clock))
        path, _, query = request.target.partition("?")
        scope = {
            "type": "http",
            "method": request.method,
            "path": unquote(path),
            "query_string": query.encode(),
            "headers": request.headers,
        }
        status, headers, body = 0, [], b""

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": request.body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            nonlocal status, headers, body
            if message["type"] == "http.response.start":
                status, headers = message["status"], message["headers"]
            else:
                body = message["body"]

        await application(scope, receive, send)
        self._done(request, status)
        lines = b"".join(b"%b: %b\r\n" % pair for pair in headers)
        shown = b"" if request.method == "HEAD" else body
        return b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (status, _REASONS.get(status, b"-"), lines, shown)


class Lagging(MemoryStorage):
    """Shows only what was posted until a time, in the partition's milliseconds."""

    def __init__(self, shelf: Shelf, clock: Callable[[], int], until: int) -> None:
        super().__init__(shelf, clock)
        self._until = until

    def _alive(self, key: Any) -> Any:
        return (message for message in super()._alive(key) if message.created <= self._until)


def _parsed(whose: str, data: bytes) -> Request:
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    method, target, _ = first.decode("latin-1").split(" ")
    headers = []
    for line in lines:
        name, _, value = line.partition(b":")
        headers.append((name.lower(), value.strip()))
    return Request(whose, method, target, headers, body)


class Network:
    """The hosts by the address in their URLs. ``pause``: seconds to connect."""

    def __init__(self, pause: Callable[[], float]) -> None:
        self.hosts: dict[str, Host] = {}
        self._pause = pause

    async def connect(
        self, make: Callable[[], asyncio.Protocol], host: str, port: int
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        await asyncio.sleep(self._pause())
        return self.hosts[host].connect(make)
