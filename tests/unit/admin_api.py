"""The admin API in this process, over a real SQLite catalog, with partition hosts that are functions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from catalog import Catalog, open_catalog
from catalog.model import Partition, Placement, PlacementState, Segment
from marconi_proxy import options
from marconi_proxy.admin import application
from marconi_proxy.admin.application import AdminService
from tests.unit.catalog_stage import BORN

Host = Callable[[httpx.Request], httpx.Response]


@dataclass(frozen=True)
class AdminAPI:
    """``client`` talks to it, ``catalog`` is a second opening of its catalog."""

    client: httpx.AsyncClient
    catalog: Catalog


def versions(*ids: str, headers: dict[str, str] | None = None) -> Host:
    """A host that speaks these versions."""
    document = {"versions": [{"id": i, "links": []} for i in ids]}
    return lambda request: httpx.Response(300, json=document, headers=headers)


def our_node(store: str, *, fences: bool = True) -> Host:
    """A host of our own node over this store."""
    told = {"X-Marconi-Store": store} | ({"X-Marconi-Fences": "epoch"} if fences else {})
    return versions("1", "1.1", "2", headers=told)


def network(hosts: dict[str, Host]) -> httpx.MockTransport:
    """A network with these hosts; all others refuse connections."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host not in hosts:
            raise httpx.ConnectError("connection refused")
        return hosts[request.url.host](request)

    return httpx.MockTransport(answer)


@asynccontextmanager
async def admin_api(
    directory: Path, hosts: dict[str, Host] | None = None, **overrides: object
) -> AsyncIterator[AdminAPI]:
    uri = f"sqlite:///{directory / 'catalog.db'}"
    given = {"catalog.uri": uri, "admin.probe_interval": 3600}
    conf = options.load(overrides=given | {name.replace("__", "."): value for name, value in overrides.items()})
    service = AdminService(conf, network(hosts or {}))
    catalog = await open_catalog(uri)
    async with _living(service):
        # A slow first round would find a partition that the test has stored meanwhile, and complain.
        await _probed(service)
        transport = httpx.ASGITransport(service)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://admin") as client:
            yield AdminAPI(client, catalog)
    await catalog.close()


async def _probed(service: AdminService) -> None:
    """Wait until the prober has ended its first round."""
    async with asyncio.timeout(60):
        await service.prober.probed.wait()


class _Clock:
    def __init__(self, now: float) -> None:
        self._now = now

    def time(self) -> float:
        return self._now


@asynccontextmanager
async def admin_api_at(now: float, directory: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AdminAPI]:
    """The same with a token, which its client sends; for it the time is always ``now``."""
    monkeypatch.setattr(application, "time", _Clock(now))
    async with admin_api(directory, admin__token="secret") as api:
        api.client.headers["x-auth-token"] = "secret"
        yield api


@asynccontextmanager
async def _living(application: Any) -> AsyncIterator[None]:
    """Run the ASGI lifespan protocol around the block."""
    events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    replies: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    life = asyncio.create_task(application({"type": "lifespan", "asgi": {"version": "3.0"}}, events.get, replies.put))
    await events.put({"type": "lifespan.startup"})
    assert (await replies.get())["type"] == "lifespan.startup.complete"
    try:
        yield
    finally:
        await events.put({"type": "lifespan.shutdown"})
        assert (await replies.get())["type"] == "lifespan.shutdown.complete"
        await life


async def put_partition(catalog: Catalog, name: str, *hosts: str) -> Partition:
    partition = Partition(name, hosts or (f"http://{name}:8888",))
    await catalog.partitions.insert(partition)
    return partition


async def put_placement(catalog: Catalog, project: str, queue: str, partition: str) -> Placement:
    segments = (Segment(0, partition, queue),)
    placement = Placement(project, queue, 1, PlacementState.OPEN, segments, since=1700000000.5, incarnation=BORN)
    await catalog.placements.insert(placement)
    return placement
