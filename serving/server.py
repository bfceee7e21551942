"""The common ground of a worker's connections: the application, limits, timeouts, and the end of all."""

from __future__ import annotations

import asyncio
import email.utils
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from serving.connection import Connection
from serving.deadlines import Deadlines
from serving.limits import Limits

if TYPE_CHECKING:
    from serving.buffered_request import BufferedRequest
    from serving.head_recogniser import Request

Application = Callable[..., Awaitable[None]]

# Seconds between two looks at the timeouts, and so how late one may be noticed.
_TICK = 0.25
# Seconds for which a client that gets no further answer may go on sending. Closing with unread bytes makes the kernel
# reset the connection, and the client loses the answer with the reason (RFC 9112 section 9.6).
LINGER = 1.0
# Bytes per second that a client must read to be served.
_SLOWEST_READER = 1024


def _take_nothing(_: BufferedRequest) -> bool:
    return False


def _recognise_nothing(_: bytes) -> None:
    return None


class Server:
    """One worker's side of HTTP for an ASGI ``application``; ``connect`` makes a protocol for each connection.

    ``application.try_fast_path(request: BufferedRequest) -> bool``, where there is one, is offered each request that
    has arrived whole, before ASGI; and ``application.recognise(received)``, a RequestRecogniser, its bytes before that.
    """

    def __init__(self, application: Application, limits: Limits, loop: asyncio.AbstractEventLoop) -> None:
        self.application = application
        self.limits = limits
        self.loop = loop
        self.try_fast_path: Callable[[BufferedRequest], bool] = getattr(application, "try_fast_path", _take_nothing)
        self.recognise: Callable[[bytes], Request | None] = getattr(application, "recognise", _recognise_nothing)
        self.tasks: set[asyncio.Task[None]] = set()
        # Every answer ends its connection.
        self.draining = False
        self.connections: set[Connection] = set()
        self._per_client: Counter[str] = Counter()
        # Connections that wait: for a head to be complete, for a body, for a next request, for the client to read on,
        # and for the client to stop sending.
        self.heads: Deadlines[Connection] = Deadlines(limits.head_timeout)
        self.bodies: Deadlines[Connection] = Deadlines(limits.body_timeout)
        self.idle: Deadlines[Connection] = Deadlines(limits.keep_alive)
        self.stuck: Deadlines[Connection] = Deadlines(limits.send_timeout)
        self.lingering: Deadlines[Connection] = Deadlines(LINGER)
        self._body_bytes = 0
        self._date = b""
        self._date_until = 0.0
        self._emptied: asyncio.Future[None] | None = None

    def connect(self) -> Connection:
        """Return the protocol of a new connection."""
        return Connection(self)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` for a request in a task, which ``close`` cancels at the latest."""
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def date_line(self) -> bytes:
        """Return the line of the Date header (RFC 9110 section 6.6.1)."""
        now = self.loop.time()
        if now >= self._date_until:
            wall = time.time()
            self._date = b"date: %b\r\n" % email.utils.formatdate(wall, usegmt=True).encode()
            self._date_until = now + 1.0 - wall % 1.0
        return self._date

    # -- room ----------------------------------------------------------------------------------------------------------

    def admit(self, connection: Connection, client: str) -> str | None:
        """Make room for a connection, if need be in place of the one that has been idle for longest.

        Returns None, or why there is none.
        """
        limits = self.limits
        capped = limits.max_per_client and client not in limits.trusted_clients
        if capped and self._per_client[client] >= limits.max_per_client:
            return "This address has reached its limit of connections."
        if len(self.connections) >= limits.max_connections:
            oldest = self.idle.oldest() or self.heads.oldest()
            if oldest is None:
                return "This server has reached its limit of connections."
            oldest.drop()
        self._per_client[client] += 1
        self.connections.add(connection)
        return None

    def forget(self, connection: Connection, client: str) -> None:
        """Give back the room of a connection that is lost."""
        if connection not in self.connections:
            return
        self.connections.remove(connection)
        self._per_client[client] -= 1
        if not self._per_client[client]:
            del self._per_client[client]
        for waiting in (self.heads, self.bodies, self.idle, self.stuck, self.lingering):
            waiting.discard(connection)
        if self._emptied is not None and not self.connections and not self._emptied.done():
            self._emptied.set_result(None)

    def reserve(self, size: int) -> bool:
        """Count bytes of bodies; return False, and count nothing, if there are too many already."""
        if self._body_bytes + size > self.limits.max_bodies:
            return False
        self._body_bytes += size
        return True

    def release(self, size: int) -> None:
        """Count ``reserve`` back."""
        self._body_bytes -= size

    # -- timeouts ------------------------------------------------------------------------------------------------------

    async def watch(self) -> None:
        """Enforce the timeouts until cancelled."""
        while True:
            await asyncio.sleep(_TICK)
            self.enforce(self.loop.time())

    def enforce(self, now: float) -> None:
        """Enforce the timeouts that have passed at ``now``, a time of the loop."""
        for connection in self.idle.expired(now):
            connection.drop()
        for connection in self.heads.expired(now):
            connection.head_timed_out()
        for connection in self.bodies.expired(now):
            connection.body_timed_out()
        for connection in self.stuck.expired(now):
            connection.send_timed_out(now, self.limits.send_timeout * _SLOWEST_READER)
        for connection in self.lingering.expired(now):
            connection.drop()

    # -- the end -------------------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """From now on, end each connection with its next answer."""
        self.draining = True

    async def close(self, patience: float) -> None:
        """End the idle connections now, the others when they have their answers, or by force after ``patience``
        seconds. The application has stopped then, too."""
        self.drain()
        for connection in [one for one in self.connections if one.waits_for_request]:
            connection.drop()
        if self.connections:
            self._emptied = self.loop.create_future()
            await asyncio.wait({self._emptied}, timeout=patience)
        for connection in list(self.connections):
            connection.abort()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
