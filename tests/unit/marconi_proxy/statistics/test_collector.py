"""The walk: by one collector at a time, to the end, and from the stored position if a collector dies."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from catalog.errors import CatalogUnavailable, LockHeld, LockLost
from catalog.model import (
    Partition,
    Placement,
    PlacementState,
    QueueKey,
    Segment,
    StatisticsSubject,
    SubjectStatistics,
    Walk,
)
from marconi_proxy.background import LOOK
from marconi_proxy.statistics.collector import HOLD, Collector
from marconi_proxy.statistics.totals import QueueCounts
from tests.simulation.memory_catalog import Line, MemoryCatalog, Store
from tests.unit.catalog_stage import partition
from tests.unit.moving_world import FakeClock

PARTITION, PROJECT = StatisticsSubject
INTERVAL = 300.0


class _Died(Exception):
    pass


class World:
    """Three partitions, of which ``down`` do not answer. Each queue that is asked holds one message."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = Store(self.clock.now)
        for name in ("p1", "p2", "p3"):
            self.store.insert_partition(partition(name))
        self.down: set[str] = set()
        self.asked: list[tuple[QueueKey, int]] = []
        self.on_ask: Callable[[], None] = lambda: None

    def put(self, project: str, queue: str, *on: str, state: PlacementState = PlacementState.OPEN) -> None:
        segments = tuple(Segment(n, name, queue) for n, name in enumerate(on or ("p1",)))
        self.store.insert_placement(Placement(project, queue, 1, state, segments, incarnation="b"))

    def fill(self, projects: int, queues: int) -> None:
        for project in range(projects):
            for queue in range(queues):
                self.put(f"project-{project:03}", f"q{queue}", f"p{1 + project % 3}")

    async def ask(self, key: QueueKey, segment: Segment, where: Partition | None) -> QueueCounts | None:
        self.on_ask()
        self.asked.append((key, segment.n))
        return None if where is None or where.name in self.down else QueueCounts(1, 0, 1000.0)

    def collector(self, name: str = "mover", *, per_second: float = 1000.0, line: Line | None = None) -> Collector:
        return Collector(
            MemoryCatalog(self.store, line),
            self.ask,
            self.clock,
            random.Random(1),
            name,
            per_second=per_second,
            interval=INTERVAL,
        )

    def found(self, subject: StatisticsSubject) -> list[SubjectStatistics]:
        return self.store.list_statistics(subject, None)

    def sums(self, subject: StatisticsSubject) -> dict[str, tuple[int, int, int]]:
        """Queues, free messages and what is unknown, by name."""
        return {one.name: (one.queues, one.free, one.unknown) for one in self.found(subject)}


@pytest.fixture
def world() -> World:
    return World()


async def test_everything_is_asked_and_summed_up(world: World) -> None:
    world.put("", "q", "p1")
    world.put("a", "chain", "p1", "p2")
    world.put("a", "~topic", "p2")
    for state in (PlacementState.RESERVED, PlacementState.CREATING, PlacementState.DELETING):
        world.put("b", state.value, "p1", state=state)
    world.put("c", "sealing", "p2", state=PlacementState.SEALING)
    wait = await world.collector().visit()
    assert wait == LOOK
    assert world.sums(PARTITION) == {"p1": (2, 2, 0), "p2": (3, 3, 0), "p3": (0, 0, 0)}
    assert world.sums(PROJECT) == {"": (1, 1, 0), "a": (2, 3, 0), "c": (1, 1, 0)}
    walk = world.store.walk.value
    assert walk.holder is None
    assert walk.ended == world.clock.now()


@pytest.mark.parametrize("per_second", [0.01, 0.1, 0.7, 5.0, 1000.0])
async def test_whatever_the_rate(world: World, per_second: float) -> None:
    world.fill(9, 5)
    await world.collector(per_second=per_second).visit()
    assert world.sums(PARTITION) == dict.fromkeys(("p1", "p2", "p3"), (15, 15, 0))
    assert list(world.sums(PROJECT).values()) == [(5, 5, 0)] * 9
    assert len(world.asked) == len(set(world.asked)) == 45


async def test_a_partition_that_is_down_counts_as_unknown_and_does_not_stop_the_others(world: World) -> None:
    world.fill(6, 2)
    world.put("project-000", "chain", "p2", "p1")
    world.down = {"p2"}
    await world.collector().visit()
    assert world.sums(PARTITION) == {"p1": (5, 5, 0), "p2": (5, 0, 5), "p3": (4, 4, 0)}
    assert world.sums(PROJECT)["project-000"] == (3, 3, 1)
    assert world.sums(PROJECT)["project-001"] == (2, 0, 2)


async def test_the_next_walk_begins_after_the_interval_and_forgets_what_is_gone(world: World) -> None:
    world.fill(3, 1)
    collector = world.collector()
    await collector.visit()
    first = world.found(PROJECT)
    world.clock.time += INTERVAL - 20
    assert await collector.visit() == pytest.approx(20)
    assert world.found(PROJECT) == first
    for key in [QueueKey("project-000", "q0"), QueueKey("project-002", "q0")]:
        world.store.remove_placement(key, 1, "b")
    world.put("project-009", "q0")
    world.store.remove_partition("p3")
    world.clock.time += 20
    await collector.visit()
    assert list(world.sums(PROJECT)) == ["project-001", "project-009"]
    assert list(world.sums(PARTITION)) == ["p1", "p2"]
    assert world.found(PROJECT)[0].begun == first[0].begun + INTERVAL


@pytest.mark.parametrize("jump", [-1e6, 1e6], ids=["back", "on"])
async def test_a_clock_that_is_set_changes_nothing(world: World, jump: float) -> None:
    collector = world.collector()
    await collector.visit()
    ended = world.store.walk.value.ended
    world.clock.set = jump
    world.clock.time += INTERVAL - 20
    assert await collector.visit() == pytest.approx(20)
    assert world.store.walk.value.ended == ended
    world.clock.time += 20
    await collector.visit()
    assert world.store.walk.value.ended == world.clock.now()


async def test_a_walk_of_another_process_counts_from_when_it_was_seen(world: World) -> None:
    collector, other = world.collector(), world.collector("other")
    await collector.visit()
    world.clock.time += INTERVAL
    await other.visit()
    world.clock.time += INTERVAL
    await other.visit()
    ended = world.store.walk.value.ended
    assert await collector.visit() == LOOK
    world.clock.time += INTERVAL - 20
    assert await collector.visit() == pytest.approx(20)
    assert world.store.walk.value.ended == ended


async def test_one_walks_at_a_time(world: World) -> None:
    world.fill(2, 1)
    world.store.walk.acquire("another", HOLD, world.store.walk.value.holder)
    with pytest.raises(LockHeld):
        await world.collector().visit()
    assert world.asked == []


async def test_one_that_died_is_taken_over_when_it_was_watched_for_its_hold(world: World) -> None:
    world.fill(2, 1)
    world.store.walk.acquire("dead", HOLD, None)
    collector = world.collector()
    with pytest.raises(LockHeld):
        await collector.visit()
    # A renewal is a sign of life; a clock on the wall that is set is none of death.
    world.clock.time += HOLD
    world.store.walk.save(world.store.walk.value, 1, HOLD)
    world.clock.set = 1e9
    for _ in range(2):
        with pytest.raises(LockHeld):
            await collector.visit()
        world.clock.time += HOLD
    with pytest.raises(LockHeld):
        await world.collector("another").visit()
    world.clock.time += 1
    await collector.visit()
    assert len(world.asked) == 2


@pytest.mark.parametrize("after", range(1, 12))
async def test_another_one_goes_on_where_one_died(world: World, after: int) -> None:
    world.fill(4, 3)
    left = after

    def die() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise _Died

    world.on_ask = die
    with pytest.raises(ExceptionGroup):
        await world.collector("first", per_second=0.2).visit()  # two placements to a page
    world.on_ask = lambda: None
    before = len(world.asked)
    begun = world.store.walk.value.begun
    world.clock.time += 1
    await world.collector("second", per_second=0.2).visit()
    assert world.sums(PARTITION) == {"p1": (6, 6, 0), "p2": (3, 3, 0), "p3": (3, 3, 0)}
    assert list(world.sums(PROJECT).values()) == [(3, 3, 0)] * 4
    assert {one.begun for one in world.found(PARTITION)} == {begun}
    # Nothing is asked again but the page in which it happened.
    assert len(world.asked) - before <= 12 - (after - 1) // 2 * 2


async def test_who_has_lost_the_walk_stops(world: World) -> None:
    world.fill(4, 3)
    asked = 0

    def be_slow() -> None:
        nonlocal asked
        asked += 1
        if asked == 5:
            world.clock.time += 2 * HOLD
            world.store.walk.acquire("another", HOLD, world.store.walk.value.holder)

    world.on_ask = be_slow
    with pytest.raises(LockLost):
        await world.collector(per_second=0.2).visit()
    assert len(world.asked) == 6
    holder = world.store.walk.value.holder
    assert holder is not None
    assert holder.name == "another"


class _Broken(Line):
    """Fails at the calls of these numbers, before or after they are done."""

    def __init__(self, *numbers: int, after: bool) -> None:
        self._numbers = numbers
        self._after = after
        self.calls = 0

    async def there(self, verb: str, *args: Any) -> None:
        self.calls += 1
        if self.calls in self._numbers and not self._after:
            raise CatalogUnavailable(verb)

    async def back(self, verb: str, *args: Any) -> None:
        if self.calls in self._numbers and self._after:
            raise CatalogUnavailable(verb)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", range(1, 40))
async def test_the_catalog_may_fail_at_any_time(world: World, number: int, after: bool) -> None:
    world.fill(4, 3)
    line = _Broken(number, after=after)
    collector = world.collector(per_second=0.2, line=line)
    for _ in range(2):
        try:
            await collector.visit()
        except CatalogUnavailable:
            world.clock.time += HOLD
    assert world.store.walk.value.ended is not None
    assert world.sums(PARTITION) == {"p1": (6, 6, 0), "p2": (3, 3, 0), "p3": (3, 3, 0)}
    assert list(world.sums(PROJECT).values()) == [(3, 3, 0)] * 4


async def test_it_goes_on_for_ever_whatever_happens(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.fill(2, 2)
    failures: list[Exception] = [ValueError("a bug"), ValueError("another")]

    def fail() -> None:
        if failures:
            raise failures.pop()

    world.on_ask = fail
    running = asyncio.create_task(world.collector(line=_Broken(1, after=False)).run())
    async with asyncio.timeout(30):
        while len(world.found(PARTITION)) < 3:  # noqa: ASYNC110 -- its time is the fake clock's
            await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    messages = [record.getMessage() for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
    assert messages[0] == "waits: the catalog is not available: statistics.walk.get"
    assert set(messages[1:]) == {"failed, and is tried again"}


async def test_a_walk_that_was_begun_is_gone_on_with_and_not_begun_anew(world: World) -> None:
    world.fill(2, 2)
    token = world.store.walk.acquire("first", HOLD, None).holder
    assert token is not None
    project = SubjectStatistics(PROJECT, "project-000", 1, 7, begun=5.0, ended=6.0)
    sums = (SubjectStatistics(PARTITION, "p1", 1, 7, begun=5.0, ended=6.0),)
    walk = Walk(begun=5.0, after=QueueKey("project-000", "q0"), partitions=sums, project=project)
    world.store.walk.save(walk, token.token, HOLD)
    world.store.walk.release(token.token)
    await world.collector().visit()
    assert world.sums(PROJECT) == {"project-000": (2, 8, 0), "project-001": (2, 2, 0)}
    assert world.sums(PARTITION)["p1"] == (2, 8, 0)
    assert replace(world.found(PARTITION)[0], ended=0.0).begun == 5.0
