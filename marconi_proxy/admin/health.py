"""``/v1/health``: the results of the last round of probes, and the registered front-door workers."""

from __future__ import annotations

import asyncio
from typing import Any

import falcon
import falcon.asgi

from catalog import Catalog
from catalog.errors import CatalogError
from catalog.model import Partition
from marconi_proxy.admin.members import MemberRoll, Observed, member_json
from marconi_proxy.admin.prober import HostHealth, Prober
from marconi_proxy.clock import iso


class HealthResource:
    """``lease``: seconds after which a member without a lease of its own counts as gone. ``timeout``: seconds for the
    catalog's answer."""

    def __init__(self, catalog: Catalog, prober: Prober, roll: MemberRoll, *, lease: float, timeout: float) -> None:
        self._catalog = catalog
        self._prober = prober
        self._roll = roll
        self._lease = lease
        self._timeout = timeout

    async def show(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        reachable = True
        partitions = self._prober.partitions
        members: list[Observed] = []
        try:
            async with asyncio.timeout(self._timeout):
                await self._catalog.ping()
                partitions = await self._catalog.partitions.all()
                members = await self._roll.read()
        except (CatalogError, TimeoutError):
            reachable = False
            resp.status = falcon.HTTP_503
            resp.set_header("Retry-After", "1")
        resp.media = {
            "catalog": {"reachable": reachable},
            "partitions": {p.name: _partition_json(p, self._prober.latest) for p in partitions},
            "members": [member_json(m, self._lease) for m in members],
        }


def _partition_json(partition: Partition, latest: dict[str, HostHealth]) -> dict[str, Any]:
    return {
        "state": partition.state.value,
        "api_versions": list(partition.api_versions),
        "hosts": {host: _host_json(latest.get(host)) for host in partition.hosts},
    }


def _host_json(health: HostHealth | None) -> dict[str, Any]:
    if health is None:
        return {"reachable": False, "error": "not probed yet", "checked": None}
    sighting, checked = health.sighting, iso(health.checked.timestamp())
    return {"reachable": sighting.reachable, "error": sighting.error, "checked": checked}
