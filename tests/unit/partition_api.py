"""The partition's application without sockets: calls in, answers out, over a store that can be made to fail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from partition.api.application import Application
from partition.api.node import Node
from partition.model.limits import Limits
from partition.storage.opening import open_storage

HEADERS = {"Client-ID": "3381af92-2b9e-11e3-b191-71861300734c", "X-Project-Id": "p"}


class WholeRequest:
    """The part of a ``BufferedRequest`` that the application uses."""

    def __init__(self, scope: dict[str, Any], body: bytes) -> None:
        self.scope = scope
        self.body = body
        self.answer: tuple[int, Any, bytes] | None = None
        self.work: Coroutine[Any, Any, None] | None = None

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        self.work = work

    def respond(self, status: int, headers: Any, body: bytes) -> None:
        self.answer = (status, headers, body)


class WholeRequests(httpx.AsyncBaseTransport):
    """Offers each request to the application's way without ASGI; one with a body in chunks goes by ASGI."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._asgi = httpx.ASGITransport(application)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if "transfer-encoding" in request.headers:
            return await self._asgi.handle_async_request(request)
        scope = {
            "method": request.method,
            "target": request.url.raw_path,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
        }
        whole = WholeRequest(scope, await request.aread())
        assert self._application.try_fast_path(whole)  # type: ignore[arg-type]
        assert whole.work is not None
        await whole.work
        assert whole.answer is not None
        status, headers, body = whole.answer
        return httpx.Response(status, headers=list(headers), content=body)


class Stage:
    """A node and a client of it. ``call`` sends the usual headers; None as a value leaves one out."""

    def __init__(self, node: Node, *, by_asgi: bool = True) -> None:
        self.node = node
        application = Application(node)
        transport = httpx.ASGITransport(application) if by_asgi else WholeRequests(application)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://node")

    async def call(
        self, method: str, path: str, json: Any = None, headers: dict[str, str | None] | None = None, **more: Any
    ) -> httpx.Response:
        sent = {name: value for name, value in {**HEADERS, **(headers or {})}.items() if value is not None}
        return await self._client.request(method, path, json=json, headers=sent, **more)


@asynccontextmanager
async def stage(
    directory: Path, limits: Limits | None = None, *, by_asgi: bool = True, **more: Any
) -> AsyncIterator[Stage]:
    """A node over a new store below ``directory``."""
    storage = await open_storage(f"sqlite:///{directory / 'store.db'}")
    try:
        yield Stage(Node(storage, limits or Limits(), **more), by_asgi=by_asgi)
    finally:
        await storage.close()
