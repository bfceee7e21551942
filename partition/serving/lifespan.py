"""One worker's life: open the store, serve, sweep, close. Everything with a thread or a socket is made after fork."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from partition.admin.application import AdminApplication
from partition.api.answer import error
from partition.api.application import Application
from partition.api.node import Node
from partition.api.refusals import RETRY_AFTER
from partition.errors import StorageError, StorageUnavailable
from partition.storage.interface import Storage
from serving.buffered_request import BufferedRequest

LOG = logging.getLogger(__name__)

# Seconds between two attempts to open a store that was there when the server started.
_PAUSE = 1.0
_CLOSED = error(
    503,
    "Service temporarily unavailable",
    "The storage cannot be opened. The request was not processed; retry in a few seconds.",
    RETRY_AFTER,
)

OpenNode = Callable[[], Awaitable[Node]]


class Worker:
    """An ASGI application with a lifespan, around ``Application``. ``sweep_interval`` in seconds.

    ``admin_port`` is the port of the operator's listener; None if there is none.

    While the store cannot be opened, every request is answered 503: if the worker ended instead, the master would stop
    the whole server, because it treats workers that do not start as fatal.
    """

    def __init__(self, open_node: OpenNode, sweep_interval: float, admin_port: int | None = None) -> None:
        self._open_node = open_node
        self._admin_port = admin_port
        self._sweep_interval = sweep_interval
        self._node: Node | None = None
        self._application: Application | None = None
        self._admin: AdminApplication | None = None

    def try_fast_path(self, request: BufferedRequest) -> bool:
        """Answer the request of a client, if the store is open; return whether it will be answered."""
        if self._application is None or self._is_of_operator(request.scope):
            return False
        return self._application.try_fast_path(request)

    def _is_of_operator(self, scope: dict[str, Any]) -> bool:
        return self._admin is not None and scope["server"][1] == self._admin_port

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http" and self._application is not None:
            if self._admin is not None and self._is_of_operator(scope):
                await self._admin(scope, receive, send)
            else:
                await self._application(scope, receive, send)
        elif scope["type"] == "http":
            headers = [*_CLOSED.headers, (b"content-length", b"%d" % len(_CLOSED.body))]
            await send({"type": "http.response.start", "status": _CLOSED.status, "headers": headers})
            await send({"type": "http.response.body", "body": _CLOSED.body})
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            raise RuntimeError(f"cannot serve {scope['type']}")

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        try:
            await self._open()
        except StorageUnavailable as failure:
            LOG.error("answering 503 until the storage can be opened: %s", failure)
        except StorageError as failure:
            LOG.critical("%s", failure)
            await send({"type": "lifespan.startup.failed", "message": str(failure)})
            return
        working = asyncio.create_task(self._work())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        while not working.done():
            # More than once: a call of pymongo that gets its answer at that moment returns it, and the task continues.
            working.cancel()
            await asyncio.wait({working}, timeout=_PAUSE)
        with contextlib.suppress(asyncio.CancelledError):
            await working
        if self._node is not None:
            await self._node.storage.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _open(self) -> None:
        self._node = await self._open_node()
        self._application = Application(self._node)
        if self._admin_port is not None:
            self._admin = AdminApplication(self._node)
        LOG.info("the storage is open")

    async def _work(self) -> None:
        """Open the store as soon as that is possible, and sweep it from then on."""
        while self._node is None:
            await asyncio.sleep(_PAUSE)
            with contextlib.suppress(StorageError):
                await self._open()
        await sweep_for_ever(self._node.storage, self._sweep_interval)


async def sweep_for_ever(storage: Storage, interval: float) -> None:
    """Sweep a bounded part at a time, without a pause of more than a moment while there is more."""
    failed = False
    while True:
        try:
            more = await storage.sweep()
            failed = False
        except StorageError as error:
            if not failed:
                LOG.error("the sweep stopped, and will be retried: %s", error)
            failed, more = True, False
        # Even then other callers get the store in between.
        await asyncio.sleep(interval / 20 if more else interval)
