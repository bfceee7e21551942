"""One worker's life: open the store, serve, sweep, close. Everything with a thread or a socket is made after fork."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from partition.api.application import Application
from partition.api.node import Node
from partition.errors import StorageError
from partition.storage.interface import Storage

_log = logging.getLogger(__name__)

OpenNode = Callable[[], Awaitable[Node]]


class Worker:
    """An ASGI application with a lifespan, around ``Application``. ``sweep_interval`` in seconds."""

    def __init__(self, open_node: OpenNode, sweep_interval: float) -> None:
        self._open_node = open_node
        self._sweep_interval = sweep_interval
        self._application: Application | None = None

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http" and self._application is not None:
            await self._application(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            raise RuntimeError(f"cannot serve {scope['type']}")

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        try:
            node = await self._open_node()
        except StorageError as error:
            _log.critical("%s", error)
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        self._application = Application(node)
        sweeping = asyncio.create_task(sweep_for_ever(node.storage, self._sweep_interval))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        sweeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sweeping
        await node.storage.close()
        await send({"type": "lifespan.shutdown.complete"})


async def sweep_for_ever(storage: Storage, interval: float) -> None:
    """Sweep a bounded part at a time, without a pause of more than a moment while there is more."""
    failed = False
    while True:
        try:
            more = await storage.sweep()
            failed = False
        except StorageError as error:
            if not failed:
                _log.error("the sweep stopped, and goes on when it can: %s", error)
            failed, more = True, False
        # Even then others get the store in between.
        await asyncio.sleep(interval / 20 if more else interval)
