"""The collector walks over all placements, polls their queues, and stores the sums. It runs as a singleton.

A crash leaves the walk as saved before the current page. The next holder of the lock polls that page again. Sums of
projects are stored before the walk is saved, so a repeated page overwrites them. A collector that has lost the lock
without noticing may store sums that are one page old; sums carry their time.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence

from catalog.interface import Catalog
from catalog.model import LISTED_STATES, Partition, Placement, QueueKey, Segment, StatisticsSubject, Walk
from marconi_proxy.background import Singleton
from marconi_proxy.clock import Clock
from marconi_proxy.statistics.totals import PolledPlacement, QueueCounts, advance, finish

LOG = logging.getLogger(__name__)

# Return the counts of a queue's segment, None if unknown. The partition is None if it is not registered.
Poll = Callable[[QueueKey, Segment, Partition | None], Awaitable[QueueCounts | None]]

# The most requests in a page, in seconds at the configured rate; and the most placements.
_PAGE_SECONDS = 10.0
_MOST = 200
# Concurrent requests.
_AT_ONCE = 16
# Seconds that the lock is held beyond the time that a page takes at the configured rate.
HOLD = 120.0


class Collector:
    """Walk again and again, while this process holds the lock.

    ``name``: host/pid/boot. ``per_second``: the most requests that ``poll`` begins in a second. ``interval``: seconds
    from the end of a walk to the beginning of the next.
    """

    def __init__(
        self,
        catalog: Catalog,
        poll: Poll,
        clock: Clock,
        chance: random.Random,
        name: str,
        *,
        per_second: float,
        interval: float,
    ) -> None:
        self._catalog = catalog
        self._poll_segment = poll
        self._clock = clock
        self._name = name
        self._per_second = per_second
        self._singleton = Singleton(catalog.statistics.walk, name, HOLD, interval, clock, chance, LOG)
        self._page = max(1, min(_MOST, int(per_second * _PAGE_SECONDS)))
        self._at_once = asyncio.Semaphore(_AT_ONCE)

    def __repr__(self) -> str:
        return f"<Collector {self._name} {self._per_second:g} requests/s>"

    async def run(self) -> None:
        """Visit until cancelled."""
        await self._singleton.run(self._walk)

    async def visit(self) -> float:
        """Walk to the end if a walk is due; return the seconds until the next visit. Raises CatalogError."""
        return await self._singleton.visit(self._walk)

    async def _walk(self, walk: Walk, token: int) -> Walk:
        """Walk to the end, from where an unfinished walk has come to; return the finished walk."""
        if not walk.under_way:
            walk = Walk(begun=self._clock.now())
        while walk.ended is None:
            page = await self._catalog.placements.find(after=walk.after, limit=self._page)
            requests = sum(len(placement.segments) for placement in page)
            # The sums of the previous page are stored. Hold the lock for as long as this page takes.
            await self._catalog.statistics.walk.save(walk, token, HOLD + 2.0 * requests / self._per_second)
            partitions = {partition.name: partition for partition in await self._catalog.partitions.all()}
            begun = self._clock.now()
            polled = await self._poll_page(page, partitions)
            step = advance(walk, polled, begun, self._clock.now())
            found = None
            if len(page) < self._page:
                step, found = finish(step, partitions, self._clock.now())
            if step.since != step.until:
                await self._catalog.statistics.put(
                    StatisticsSubject.PROJECT, step.complete, since=step.since, until=step.until
                )
            if found is not None:
                await self._catalog.statistics.put(StatisticsSubject.PARTITION, found, since="", until=None)
                # Last: a finished walk is never resumed.
                await self._catalog.statistics.walk.save(step.walk, token, HOLD)
                unknown, queues = sum(one.unknown for one in found), sum(one.queues for one in found)
                LOG.info("statistics: polled %d queues, %d failed", queues, unknown)
            walk = step.walk
        return walk

    async def _poll_page(self, page: Sequence[Placement], partitions: Mapping[str, Partition]) -> list[PolledPlacement]:
        """Poll all segments of a page concurrently."""
        async with asyncio.TaskGroup() as group:
            polls = [group.create_task(self._poll_placement(placement, partitions)) for placement in page]
        return [PolledPlacement(placement, task.result()) for placement, task in zip(page, polls, strict=True)]

    async def _poll_placement(
        self, placement: Placement, partitions: Mapping[str, Partition]
    ) -> list[QueueCounts | None] | None:
        if placement.state not in LISTED_STATES:
            return None
        async with self._at_once:
            return [
                await self._poll_segment(placement.key, one, partitions.get(one.partition))
                for one in placement.segments
            ]
