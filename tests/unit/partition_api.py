"""The partition's application without sockets: calls in, answers out, over a store that can be made to fail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from partition.api.application import Application
from partition.api.node import Node
from partition.model.limits import Limits
from partition.storage.opening import open_storage

HEADERS = {"Client-ID": "3381af92-2b9e-11e3-b191-71861300734c", "X-Project-Id": "p"}


class Stage:
    """A node and a client of it. ``call`` sends the usual headers; None as a value leaves one out."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(Application(node)), base_url="http://node")

    async def call(
        self, method: str, path: str, json: Any = None, headers: dict[str, str | None] | None = None, **more: Any
    ) -> httpx.Response:
        sent = {name: value for name, value in {**HEADERS, **(headers or {})}.items() if value is not None}
        return await self._client.request(method, path, json=json, headers=sent, **more)


@asynccontextmanager
async def stage(directory: Path, limits: Limits | None = None, **more: Any) -> AsyncIterator[Stage]:
    """A node over a new store below ``directory``."""
    storage = await open_storage(f"sqlite:///{directory / 'store.db'}")
    try:
        yield Stage(Node(storage, limits or Limits(), **more))
    finally:
        await storage.close()
