"""One worker's life: open the store, serve, sweep, close. Everything with a thread or a socket is made after fork."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from partition.admin.application import AdminApplication
from partition.api.answer import Answer, error, no_content
from partition.api.application import Application, send_answer
from partition.api.dialects import DIALECTS
from partition.api.node import Node
from partition.api.refusals import RETRY_AFTER
from partition.errors import StorageError, StorageUnavailable
from partition.serving.readiness import StorageProbe
from partition.storage.interface import Storage
from serving.buffered_request import BufferedRequest
from serving.readiness import Condition, accepting, readiness_answer

LOG = logging.getLogger(__name__)

# Seconds between two attempts to open a store that was there when the server started.
_PAUSE = 1.0
_CLOSED = error(
    503,
    "Service temporarily unavailable",
    "The storage cannot be opened. The request was not processed; retry in a few seconds.",
    RETRY_AFTER,
)

_CLOSED_STORAGE = Condition("storage", False, "it cannot be opened")
_PROBED = ("GET", "HEAD")
_NOT_ALLOWED = error(405, "405 Method Not Allowed", None, (b"allow", ", ".join(_PROBED).encode()))
_LIVENESS = "/v1/health"
_READINESS = frozenset(f"/{dialect.prefix}/ready" for dialect in DIALECTS)

_READINESS_TARGETS = tuple(path.encode() for path in _READINESS)

OpenNode = Callable[[], Awaitable[Node]]


class Worker:
    """An ASGI application with a lifespan, around ``Application``. ``sweep_interval`` in seconds.

    ``admin_port`` is the port of the operator's listener; None if there is none.

    Readiness is answered here, because it is of the worker and not of the API. While the store cannot be opened, all
    other requests but the probe of liveness are answered 503: if the worker ended instead, the master would stop the
    whole server, because it treats workers that do not start as fatal.
    """

    def __init__(self, open_node: OpenNode, sweep_interval: float, admin_port: int | None = None) -> None:
        self._open_node = open_node
        self._admin_port = admin_port
        self._sweep_interval = sweep_interval
        self._node: Node | None = None
        self._storage_probe: StorageProbe | None = None
        self._application: Application | None = None
        self._admin: AdminApplication | None = None

    def try_fast_path(self, request: BufferedRequest) -> bool:
        """Answer the request of a client, if the store is open; return whether it will be answered."""
        scope = request.scope
        if self._application is None or scope["target"].startswith(_READINESS_TARGETS) or self._is_of_operator(scope):
            return False
        return self._application.try_fast_path(request)

    def _is_of_operator(self, scope: dict[str, Any]) -> bool:
        return self._admin is not None and scope["server"][1] == self._admin_port

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] in _READINESS:
            await send_answer(await self._readiness(scope), send)
        elif scope["type"] == "http" and self._application is not None:
            if self._admin is not None and self._is_of_operator(scope):
                await self._admin(scope, receive, send)
            else:
                await self._application(scope, receive, send)
        elif scope["type"] == "http":
            alive = scope["path"] == _LIVENESS and scope["method"] in _PROBED
            await send_answer(no_content() if alive else _CLOSED, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            raise RuntimeError(f"cannot serve {scope['type']}")

    async def _readiness(self, scope: dict[str, Any]) -> Answer:
        """Return the answer to a readiness probe, which needs none of the API's headers."""
        if scope["method"] not in _PROBED:
            return _NOT_ALLOWED
        probe = self._storage_probe
        storage = _CLOSED_STORAGE if probe is None else await probe.condition()
        status, headers, body = readiness_answer([storage, accepting(scope)])
        return Answer(status, tuple(headers), body)

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
        if self._storage_probe is not None:
            await self._storage_probe.stop()
        if self._node is not None:
            await self._node.storage.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _open(self) -> None:
        self._node = await self._open_node()
        self._storage_probe = StorageProbe(self._node.storage)
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
