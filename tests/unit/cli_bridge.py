"""Commands run in a thread of this process, against an admin API in its event loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from marconi_proxy.admin_client import client as admin_client
from marconi_proxy.cli.main import main
from tests.unit.admin_api import AdminAPI


class Bridge(httpx.BaseTransport):
    """From a thread of synchronous calls into the event loop's transport."""

    def __init__(self, transport: httpx.AsyncBaseTransport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return asyncio.run_coroutine_threadsafe(self._handle(request), self._loop).result()

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        response = await self._transport.handle_async_request(request)
        return httpx.Response(response.status_code, headers=response.headers, content=await response.aread())


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Awaitable[Ended]]


def runner(api: AdminAPI, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command and returns its end."""

    async def run(*arguments: str) -> Ended:
        bridge = Bridge(api.client._transport, asyncio.get_running_loop())
        monkeypatch.setenv("MARCONI_PROXY_ADMIN_TOKEN", "secret")
        make = admin_client.AdminClient
        monkeypatch.setattr(admin_client, "AdminClient", lambda url, token: make(url, token, bridge))
        status: Any
        try:
            status = await asyncio.to_thread(main, list(arguments))
        except SystemExit as exit_:
            status = exit_.code
        finally:
            monkeypatch.setattr(admin_client, "AdminClient", make)
        return Ended(status, *capsys.readouterr())

    return run
