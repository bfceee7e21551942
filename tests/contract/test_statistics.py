"""Statistics over real catalogs: of partitions that are asked over the wire, one of which is down."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack

from catalog import Catalog
from catalog.model import Partition, StatisticsSubject
from marconi_proxy.clock import Pacer, SystemClock
from marconi_proxy.statistics.collector import Collector
from marconi_proxy.statistics.poller import Poller
from marconi_proxy.upstream.exchange import Upstream
from marconi_proxy.upstream.limits import UpstreamLimits
from marconi_proxy.upstream.pool import Pool
from tests.contract.mover_stage import PROJECT, Stage
from tests.servers.fake_partition import FakePartition


def collector(catalog: Catalog, stack: AsyncExitStack, name: str) -> Collector:
    """One that asks over connections of its own, as fast as it can, and begins anew at once."""
    pool = Pool(connect_timeout=2.0, idle_timeout=5.0, max_head=65536)
    stack.callback(pool.close)
    clock = SystemClock()

    def open_upstream(partition: Partition) -> Upstream:
        return Upstream(partition, pool, UpstreamLimits(deadline=5.0), random.Random(1))

    poller = Poller(open_upstream, clock, Pacer(10_000.0, clock))
    return Collector(catalog, poller.poll, clock, random.Random(1), name, per_second=1.0, interval=0.0)


async def sums(catalog: Catalog, subject: StatisticsSubject) -> dict[str, tuple[int, int, int]]:
    found = await catalog.statistics.find(subject, limit=100)
    return {one.name: (one.queues, one.free, one.unknown) for one in found}


async def test_what_partitions_hold_and_one_that_is_down(catalog: Catalog, other: Catalog) -> None:
    async with AsyncExitStack() as stack:
        hosts = {name: stack.enter_context(FakePartition()) for name in ("p1", "p2", "p3")}
        stage = await stack.enter_async_context(Stage(catalog, hosts))
        for number in range(25):  # three pages
            await stage.put(f"q{number:02}", *["x"] * number, where=("p1", "p2")[number % 2])
        await collector(catalog, stack, "first").visit()
        assert await sums(other, StatisticsSubject.PARTITION) == {
            "p1": (13, 156, 0),
            "p2": (12, 144, 0),
            "p3": (0, 0, 0),
        }
        assert await sums(other, StatisticsSubject.PROJECT) == {PROJECT: (25, 300, 0)}
        hosts["p2"].refuse()
        await collector(other, stack, "second").visit()
        assert await sums(catalog, StatisticsSubject.PARTITION) == {
            "p1": (13, 156, 0),
            "p2": (12, 0, 12),
            "p3": (0, 0, 0),
        }
        assert await sums(catalog, StatisticsSubject.PROJECT) == {PROJECT: (25, 156, 12)}


async def test_of_two_one_asks(catalog: Catalog, other: Catalog) -> None:
    async with AsyncExitStack() as stack:
        hosts = {name: stack.enter_context(FakePartition()) for name in ("p1", "p2", "p3")}
        stage = await stack.enter_async_context(Stage(catalog, hosts))
        await stage.put("orders", "x")
        with hosts["p1"].hold("GET", ".*/stats") as held:
            first = asyncio.create_task(collector(catalog, stack, "first").visit())
            await asyncio.to_thread(held.wait)
            holder = (await other.statistics.walk.get()).holder
            assert holder is not None
            assert holder.name == "first"
            ended = await asyncio.gather(collector(other, stack, "second").visit(), return_exceptions=True)
            assert type(ended[0]).__name__ == "LockHeld"
        await first
        assert (await other.statistics.walk.get()).holder is None
        assert await sums(other, StatisticsSubject.PROJECT) == {PROJECT: (1, 1, 0)}
