"""The prober: asks every partition host in rounds, remembers what it saw, and teaches the catalog API versions.

It informs operators; forwarding decides for itself. Each worker of the admin API runs one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import httpx

from catalog import Catalog
from catalog.errors import CatalogError, PartitionConflict
from catalog.model import Partition
from marconi_proxy.admin.discovery import Sighting, ask, common_versions
from marconi_proxy.routing.headers import pseudonym

_log = logging.getLogger(__name__)

# Hosts asked at a time: bounds file descriptors; a round of n stuck hosts lasts n / 100 timeouts.
_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class HostHealth:
    """What the last round saw of one host, and when."""

    sighting: Sighting
    checked: datetime


class Prober:
    """``latest`` maps a host's base URL to its HostHealth; ``partitions`` is the list that the last round worked on."""

    def __init__(
        self,
        catalog: Catalog,
        client: httpx.AsyncClient,
        *,
        interval: float,
        timeout: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._catalog = catalog
        self._client = client
        self._interval = interval
        self._timeout = timeout
        self._now = now
        self._sleep = sleep
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._own: str | None = None
        self.latest: dict[str, HostHealth] = {}
        self.partitions: list[Partition] = []

    async def run(self) -> None:
        """Probe for ever. Nothing that a round meets ends it."""
        while True:
            try:
                await self.round()
            except CatalogError as error:
                _log.warning("cannot probe: the catalog is not available: %s", error)
            except Exception:
                _log.exception("a round of probes failed")
            await self._sleep(self._interval)

    async def round(self) -> None:
        """Ask every host of every partition once, all at a time. Raises CatalogError."""
        partitions = await self._catalog.list_partitions()
        self.partitions = partitions
        async with asyncio.TaskGroup() as group:
            for partition in partitions:
                group.create_task(self._probe(partition))
        known = {host for partition in partitions for host in partition.hosts}
        for host in self.latest.keys() - known:
            del self.latest[host]

    def ours(self, hosts: Iterable[str]) -> list[str]:
        """Return those of the hosts that were seen last to be front doors over this catalog."""
        return [host for host in hosts if host in self.latest and self.latest[host].sighting.is_ours]

    async def look(self, partition: Partition) -> tuple[str, ...]:
        """Ask the hosts of one partition, remember what was seen, and return the API versions they share. Raises
        CatalogError."""
        sightings = await asyncio.gather(*(self._ask(partition, host) for host in partition.hosts))
        return common_versions(partition.name, sightings)

    async def _probe(self, partition: Partition) -> None:
        versions = await self.look(partition)
        if not versions or partition.api_versions_set or versions == partition.api_versions:
            return
        try:
            await self._catalog.replace_partition(
                replace(partition, api_versions=versions, version=partition.version + 1)
            )
        except PartitionConflict:
            # Changed meanwhile, perhaps by another prober with the same news. The next round sees.
            return
        except CatalogError as error:
            _log.warning("cannot record the API versions of partition %s: %s", partition.name, error)
            return
        _log.info("partition %s speaks %s", partition.name, ", ".join(versions))

    async def _ask(self, partition: Partition, host: str) -> Sighting:
        if self._own is None:
            self._own = pseudonym(await self._catalog.identity()).decode()
        async with self._slots:
            sighting = await ask(self._client, host, self._timeout, self._own)
        before = self.latest.get(host)
        self.latest[host] = HostHealth(sighting, self._now())
        # Only the crossing is logged: a host that stays down would fill the log.
        if not sighting.reachable and (before is None or before.sighting.reachable):
            _log.warning("host %s of partition %s is down: %s", host, partition.name, sighting.error)
        elif sighting.reachable and before is not None and not before.sighting.reachable:
            _log.warning("host %s of partition %s is up again", host, partition.name)
        return sighting
