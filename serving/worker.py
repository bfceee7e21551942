"""gunicorn's worker: one process with one event loop that serves an ASGI application by our own protocol.

gunicorn names it by the string ``serving.WORKER_CLASS``, so that the master does not import the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys

import uvloop
from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from serving.asgi import Lifespan
from serving.server import Server

# Seconds between two heartbeats to the master.
_HEARTBEAT = 1.0


class ServingWorker(Worker):
    """Serves an ASGI application on gunicorn's sockets.

    gunicorn's ``app`` has the settings: ``limits`` are the ``Limits`` of its connections. A worker that stops accepts
    connections for ``drain_time`` seconds more, and then gives requests in flight ``graceful_timeout`` seconds.

    SIGTERM begins the drain. SIGINT ends it, and so does SIGQUIT, as which gunicorn's master passes on a SIGINT. A
    second SIGTERM changes nothing: a service manager that signals every process sends one, and the master another.
    """

    def init_signals(self) -> None:
        """Take back what the worker inherits from the master; ``run`` has handlers of its own."""
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGUSR1, self.handle_usr1)
        signal.siginterrupt(signal.SIGUSR1, False)

    def run(self) -> None:
        """Serve until a signal or the master's death; exit with gunicorn's code if the application cannot start."""
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            started = runner.run(self._serve())
        if not started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    async def _serve(self) -> bool:
        """Return False if the application could not start."""
        loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._drained = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            loop.add_signal_handler(number, self._stop, number)
        lifespan = Lifespan(self.wsgi)
        heartbeat = loop.create_task(self._beat())
        try:
            if not await lifespan.start():
                return False
            await self._serve_until_stopped(loop)
            await lifespan.stop()
        finally:
            heartbeat.cancel()
        return True

    async def _serve_until_stopped(self, loop: asyncio.AbstractEventLoop) -> None:
        server = Server(self.wsgi, self.app.limits, loop)
        watch = loop.create_task(server.watch())
        backlog = self.cfg.backlog  # asyncio's default would shorten the queue of the listening socket
        listeners = [
            await loop.create_server(server.connect, sock=socket.sock, backlog=backlog) for socket in self.sockets
        ]
        await self._stopping.wait()
        server.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.app.drain_time):
                await self._drained.wait()
        for listener in listeners:
            listener.close()
        for socket in self.sockets:
            socket.close()  # uvloop leaves open what it was given
        await server.close(self.app.graceful_timeout)
        watch.cancel()

    def _stop(self, number: int) -> None:
        if number != signal.SIGTERM:
            self._drained.set()
        self._stopping.set()

    async def _beat(self) -> None:
        """Send the heartbeat to the master; stop if the master is dead.

        A master that was killed outright takes no worker with it, and one left over would hold the port for ever.
        """
        while True:
            self.notify()
            if os.getppid() != self.ppid:
                self._stop(signal.SIGTERM)
            await asyncio.sleep(_HEARTBEAT)
