"""The prober: polls all partition hosts in rounds, keeps the results, and updates the catalog from them.

It informs operators; forwarding decides for itself. Each worker of the admin API runs one.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import httpx

from catalog import Catalog
from catalog.errors import CatalogError, PartitionConflict
from catalog.model import Partition
from marconi_proxy.partition_client.discovery import HostReport, SeveralStores, ask, discovered
from marconi_proxy.routing.headers import pseudonym

LOG = logging.getLogger(__name__)

# Concurrent polls: bounds file descriptors; a round of n stuck hosts lasts n / 100 timeouts.
_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class HostHealth:
    """The result of the last poll of one host, with its time."""

    sighting: HostReport
    checked: datetime


def sharing(partitions: Iterable[Partition]) -> dict[str, list[str]]:
    """Return the names of the partitions by store, for each store with several."""
    names: dict[str, list[str]] = defaultdict(list)
    for partition in partitions:
        if partition.store is not None:
            names[partition.store].append(partition.name)
    return {store: sorted(sharers) for store, sharers in names.items() if len(sharers) > 1}


class Prober:
    """``latest`` maps a host's base URL to its HostHealth; ``partitions`` is the list that the last round worked on.
    ``probed`` is set once the first round has ended."""

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
        self.probed = asyncio.Event()
        self._complaints: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Probe until cancelled. A failed round does not end it."""
        while True:
            try:
                await self.round()
            except CatalogError as error:
                LOG.warning("cannot probe: the catalog is not available: %s", error)
            except Exception:
                LOG.exception("a round of probes failed")
            self.probed.set()
            await self._sleep(self._interval)

    async def round(self) -> None:
        """Poll every host of every partition once, concurrently. Raises CatalogError."""
        partitions = await self._catalog.partitions.all()
        self.partitions = partitions
        async with asyncio.TaskGroup() as group:
            probes = [group.create_task(self._probe(partition)) for partition in partitions]
        self._complain([probe.result() for probe in probes])
        known = {host for partition in partitions for host in partition.hosts}
        for host in self.latest.keys() - known:
            del self.latest[host]

    def ours(self, hosts: Iterable[str]) -> list[str]:
        """Return the hosts that are front doors over this catalog, by their last poll."""
        return [host for host in hosts if host in self.latest and self.latest[host].sighting.is_ours]

    async def look(self, partition: Partition) -> Partition:
        """Poll the hosts of one partition, keep the results, and return the partition updated from them.

        Raises SeveralStores.
        """
        sightings = await asyncio.gather(*(self._ask(partition, host) for host in partition.hosts))
        return discovered(partition, sightings)

    async def _probe(self, partition: Partition) -> Partition | str:
        """Return the partition as it is now known; what is wrong with it, if it is not even one store."""
        try:
            found = await self.look(partition)
        except SeveralStores as error:
            return str(error)
        if found == partition:
            return partition
        try:
            await self._catalog.partitions.replace(replace(found, version=partition.version + 1))
        except PartitionConflict:
            # Changed concurrently, perhaps by another prober with the same result. The next round retries.
            return partition
        except CatalogError as error:
            LOG.warning("cannot store the reports of the hosts of partition %s: %s", partition.name, error)
            return partition
        LOG.info(
            "partition %s speaks %s, %s queues to late writes, store %s",
            partition.name,
            ", ".join(found.api_versions),
            "closes" if found.fences else "does not close",
            found.store or "unknown",
        )
        return found

    def _complain(self, found: Iterable[Partition | str]) -> None:
        """Warn once of each partition that is not exactly one store."""
        found = list(found)
        complaints = {one for one in found if isinstance(one, str)}
        for store, names in sharing(one for one in found if isinstance(one, Partition)).items():
            complaints.add(
                f"partitions {', '.join(names)} are over one store, {store}: move no queue between them, and let only "
                "one of them keep its hosts"
            )
        for complaint in sorted(complaints - self._complaints):
            LOG.warning("%s", complaint)
        self._complaints = frozenset(complaints)

    async def _ask(self, partition: Partition, host: str) -> HostReport:
        if self._own is None:
            self._own = pseudonym(await self._catalog.identity()).decode()
        async with self._slots:
            sighting = await ask(self._client, host, self._timeout, self._own)
        before = self.latest.get(host)
        self.latest[host] = HostHealth(sighting, self._now())
        # Only the crossing is logged: a host that stays down would fill the log.
        if not sighting.reachable and (before is None or before.sighting.reachable):
            LOG.warning("host %s of partition %s is down: %s", host, partition.name, sighting.error)
        elif sighting.reachable and before is not None and not before.sighting.reachable:
            LOG.warning("host %s of partition %s is up again", host, partition.name)
        return sighting
