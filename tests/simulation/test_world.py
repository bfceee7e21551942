"""The world around a process: its clocks, a feed of several shards, and a primary that was deposed."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace

import pytest

from catalog.errors import CatalogUnavailable
from catalog.model import Change, Partition, Placement, PlacementState, QueueKey, Segment
from tests.simulation.ambushes import PAUSED
from tests.simulation.memory_catalog import Line, MemoryCatalog, Store
from tests.simulation.mover_process import WorldClock
from tests.simulation.stories import plot
from tests.simulation.virtual_loop import VirtualLoop
from tests.simulation.world import PARTITIONS, World, substituted


def stocked(shards: int, *queues: str) -> Store:
    store = Store(lambda: 0.0, shards=shards)
    store.insert_partition(Partition("p", ("http://p:1",), 100))
    for queue in queues:
        segments = (Segment(0, "p", queue),)
        store.insert_placement(Placement("t", queue, 1, PlacementState.OPEN, segments, incarnation=queue))
    return store


def again(store: Store, queue: str) -> int:
    """Change a placement; return the position of that."""
    placement = store.placements[QueueKey("t", queue)]
    store.replace_placement(replace(placement, epoch=placement.epoch + 1))
    return store.position


class Lagging(Line):
    """Shows the changes of odd shards a second late, and what was before when it is asked."""

    def __init__(self) -> None:
        self.position: int | None = None

    def delay(self, shard: int) -> float:
        return float(shard % 2)

    def shown(self, seen: int, newest: int) -> int:
        return newest if self.position is None else max(seen, self.position)


def test_a_clock_that_is_set_drifts_and_goes_at_its_own_rate() -> None:
    loop = VirtualLoop(start=1000.0)
    clock = WorldClock(loop, 5000.0, offset=60.0, drift=0.01, rate=0.5)
    assert (clock.now(), clock.monotonic()) == (6070.0, 500.0)
    clock.step(-3600.0)
    assert (clock.now(), clock.monotonic()) == (2470.0, 500.0)
    loop.run(asyncio.sleep(10.0))
    assert (clock.now(), clock.monotonic()) == pytest.approx((2480.1, 505.0))


def test_the_clocks_of_a_machine_that_is_paused_stand_still() -> None:
    loop = VirtualLoop(start=0.0)
    clock = WorldClock(loop, 100.0)
    loop.run(asyncio.sleep(1.0))
    clock.pause()
    loop.run(asyncio.sleep(50.0))
    assert clock.monotonic() == 1.0
    clock.resume()
    assert (clock.now(), clock.monotonic()) == (101.0, 1.0)
    loop.run(asyncio.sleep(2.0))
    assert (clock.now(), clock.monotonic()) == (103.0, 3.0)


def test_machines_pause_only_where_every_partition_fences() -> None:
    def pause(*fencing: str) -> bool:
        loop = VirtualLoop()
        with substituted(loop, 0):
            return World(0, loop, 0, fencing=fencing).machines_pause

    assert (pause(*PARTITIONS), pause(*PARTITIONS[1:]), pause()) == (True, False, False)
    plots = [plot(seed) for seed in range(1000)]
    assert 200 < sum(about.all_fence for about in plots) < 300
    assert {about.all_fence for about in plots if PAUSED in about.traps} == {True}
    assert sum(about.trap == PAUSED for about in plots) > 10


def test_shards_lag_and_keep_the_order_of_each_queue() -> None:
    loop = VirtualLoop()
    store = stocked(2, "a", "b")
    assert store.shard(("t", "a")) != store.shard(("t", "b"))

    async def shown() -> list[Change]:
        found: list[Change] = []
        async with aclosing(MemoryCatalog(store, Lagging()).watch()) as feed:
            async for event in feed:
                if isinstance(event, Change):
                    found.append(event)
                elif event.fresh:
                    for queue in "aabbab":
                        again(store, queue)
                if len(found) == 6:
                    return found
        raise AssertionError("unreachable: a feed has no end")

    found = loop.run(shown())
    assert [change.name[1] for change in found] == ["b", "b", "b", "a", "a", "a"]
    for queue in "ab":
        assert [change.epoch for change in found if change.name[1] == queue] == [2, 3, 4]
    positions = [change.position for change in store.log]
    assert positions == sorted(positions)
    assert len(set(positions)) < len(positions)


def test_of_one_shard_every_position_is_another() -> None:
    store = stocked(1, "a", "b")
    positions = [again(store, queue) for queue in "abababab"]
    assert positions == sorted(set(positions))


def test_a_stale_reading_is_never_from_before_what_the_process_has_learnt() -> None:
    loop = VirtualLoop()
    store = stocked(1, "a")
    line = Lagging()
    catalog = MemoryCatalog(store, line)
    key = QueueKey("t", "a")

    async def epoch() -> int:
        placement = await catalog.placements.get(key)
        assert placement is not None
        return placement.epoch

    async def run() -> None:
        line.position = store.position
        again(store, "a")
        assert await epoch() == 1
        line.position = None
        assert await epoch() == 2
        line.position = 0
        assert await epoch() == 2
        # Its own writes count as read.
        again(store, "a")
        await catalog.placements.replace(replace(store.placements[key], epoch=4))
        assert await epoch() == 4
        # And what its feed has shown.
        async with aclosing(catalog.watch()) as feed:
            await anext(feed)
            again(store, "a")
            await anext(feed)
        assert await epoch() == 5
        await catalog.close()
        with pytest.raises(CatalogUnavailable):
            await epoch()

    loop.run(run())
