"""Which records of finished moves and plans are kept, and which go."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from catalog.errors import CatalogUnavailable
from catalog.model import LogEntry, MovePlan, MoveState, PlanState, Progress
from marconi_proxy.moving import retention
from marconi_proxy.moving.retention import Retention
from tests.contract.examples import move, whole_plan
from tests.simulation.memory_catalog import MemoryCatalog, Store

DAY = 86400.0
NOW = 1000 * DAY


class Clock:
    def __init__(self) -> None:
        self.time = NOW
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def catalog(clock: Clock) -> AsyncIterator[MemoryCatalog]:
    catalog = MemoryCatalog(Store(clock.now))
    yield catalog
    await catalog.close()


async def ended(
    catalog: MemoryCatalog, id_: str, days: float, *, state: MoveState = MoveState.DONE, plan: str | None = None
) -> None:
    """Store a move that was ordered a day before it ended, so many days ago."""
    at = NOW - days * DAY
    finished = move(id_, f"queue-{id_}", state=state, plan=plan, created=at - DAY)
    await catalog.moves.insert(replace(finished, log=(LogEntry(at, state, "it is over"),)))


async def made(catalog: MemoryCatalog, id_: str, *queues: str, **changes: Any) -> MovePlan:
    """Store a plan as it is after these ``changes``."""
    whole = whole_plan(id_, *queues)
    plan = replace(whole.plan, **changes)
    await catalog.plans.insert(replace(whole, plan=plan))
    return plan


def keeper(catalog: MemoryCatalog, clock: Clock, keep: int = 2, days: float = 30) -> Retention:
    return Retention(catalog, clock, random.Random(1), keep=keep, seconds=days * DAY)


async def left(catalog: MemoryCatalog) -> list[str]:
    return [one.id for one in await catalog.moves.find(limit=1000)]


async def test_what_is_old_and_not_among_the_last_goes(catalog: MemoryCatalog, clock: Clock) -> None:
    for n, days in enumerate((50, 40, 35, 20, 10, 5)):
        await ended(catalog, f"m-{n}", days)
    await catalog.moves.insert(move("m-7", "waits"))
    await keeper(catalog, clock, keep=4).round()
    assert await left(catalog) == ["m-2", "m-3", "m-4", "m-5", "m-7"]  # old, but among the last
    await keeper(catalog, clock, keep=0).round()
    assert await left(catalog) == ["m-3", "m-4", "m-5", "m-7"]  # not among the last, but young


async def test_a_clock_that_jumps_removes_nothing_that_has_just_ended(catalog: MemoryCatalog, clock: Clock) -> None:
    for n in range(5):
        await ended(catalog, f"m-{n}", 0)
    clock.time += 10_000 * DAY
    await keeper(catalog, clock).round()
    assert await left(catalog) == ["m-3", "m-4"]
    # A mover with a clock that is far behind has ended it.
    await ended(catalog, "m-0", 900)
    await keeper(catalog, clock).round()
    assert await left(catalog) == ["m-0", "m-4"]


async def test_without_a_time_there_are_so_many(catalog: MemoryCatalog, clock: Clock) -> None:
    for n in range(9):
        await ended(catalog, f"m-{n}", 0.001)
    await keeper(catalog, clock, days=0).round()
    assert await left(catalog) == ["m-7", "m-8"]


async def test_a_plan_goes_before_the_records_of_its_moves(catalog: MemoryCatalog, clock: Clock) -> None:
    for n in range(3):
        await ended(catalog, f"plan-1-{n:05}", 60, plan="plan-1")
    await ended(catalog, "m-1", 55)
    for n in range(2):
        await ended(catalog, f"m-{n + 2}", 1)
    created = NOW - 70 * DAY
    running = await made(catalog, "plan-1", "queue-plan-1-00000", state=PlanState.RUNNING, created=created)
    await keeper(catalog, clock).round()
    assert await left(catalog) == ["m-2", "m-3", "plan-1-00000", "plan-1-00001", "plan-1-00002"]
    await catalog.plans.replace(replace(running, state=PlanState.DONE, version=2))
    await keeper(catalog, clock).round()
    assert not await catalog.plans.exists("plan-1")
    assert len(await left(catalog)) == 5
    await keeper(catalog, clock).round()
    assert await left(catalog) == ["m-2", "m-3"]


@pytest.mark.parametrize("other", ["young", "unfinished", "last"])
async def test_a_plan_stays_while_one_of_its_moves_has_to(catalog: MemoryCatalog, clock: Clock, other: str) -> None:
    await made(catalog, "plan-1", state=PlanState.STOPPED, created=NOW - 70 * DAY)
    await ended(catalog, "plan-1-00000", 60, plan="plan-1")
    if other == "young":
        await ended(catalog, "plan-1-00001", 10, plan="plan-1")
    elif other == "unfinished":
        await catalog.moves.insert(move("plan-1-00001", "drains", state=MoveState.DRAINING, plan="plan-1"))
    for n in range(2 if other != "last" else 1):
        await ended(catalog, f"m-{n}", 1)
    if other == "last":
        await ended(catalog, "plan-1-00001", 60, plan="plan-1")
    await keeper(catalog, clock).round()
    assert await catalog.plans.exists("plan-1")
    assert {"plan-1-00000", "plan-1-00001"} <= set(await left(catalog))


async def plans(catalog: MemoryCatalog) -> list[str]:
    return [one.id for one in await catalog.plans.find(limit=100)]


@pytest.mark.parametrize("state", [PlanState.PLANNED, PlanState.STOPPED, PlanState.DONE])
async def test_a_plan_that_has_no_records_of_moves_goes_in_time(
    catalog: MemoryCatalog, clock: Clock, state: PlanState
) -> None:
    for n, days in enumerate((80, 60, 40, 20, 1)):
        await made(catalog, f"plan-{n}", "a", "b", state=state, created=NOW - days * DAY)
    await keeper(catalog, clock, keep=7).round()
    assert await plans(catalog) == ["plan-1", "plan-2", "plan-3", "plan-4"]  # 8 moves are the last 7, and one
    await keeper(catalog, clock, keep=0).round()
    assert await plans(catalog) == ["plan-3", "plan-4"]
    assert {plan_id for plan_id, _ in catalog._process.store.planned_moves} == {"plan-3", "plan-4"}


async def test_a_plan_that_is_under_way_stays(catalog: MemoryCatalog, clock: Clock) -> None:
    begun = Progress().with_begun([0], 0.0)
    for id_, state in (("plan-1", PlanState.RUNNING), ("plan-2", PlanState.PAUSED), ("plan-3", PlanState.STOPPED)):
        await made(catalog, id_, state=state, progress=begun)
    await keeper(catalog, clock, keep=0).round()
    assert await plans(catalog) == ["plan-1", "plan-2", "plan-3"]


async def test_a_plan_that_is_applied_meanwhile_stays(catalog: MemoryCatalog, clock: Clock) -> None:
    await made(catalog, "plan-1")
    plan = await made(catalog, "plan-2")

    class Applying(Clock):
        async def sleep(self, seconds: float) -> None:
            if catalog._process.store.plans["plan-2"].version == 1:
                await catalog.plans.replace(replace(plan, state=PlanState.RUNNING, version=2))

    await keeper(catalog, Applying(), keep=0).round()
    assert await plans(catalog) == ["plan-2"]


async def test_a_clock_that_jumps_removes_no_plan_that_has_just_been_made(catalog: MemoryCatalog, clock: Clock) -> None:
    for n in range(4):
        await made(catalog, f"plan-{n}", created=NOW)
    clock.time += 10_000 * DAY
    await keeper(catalog, clock).round()
    assert await plans(catalog) == ["plan-2", "plan-3"]


async def test_what_is_left_of_a_plan_goes_when_it_is_still_there_in_the_next_round(
    catalog: MemoryCatalog, clock: Clock
) -> None:
    await made(catalog, "plan-1", created=NOW)
    there = dict(catalog._process.store.planned_moves)

    def left_of(*ids: str) -> set[str]:
        for id_ in ids:
            catalog._process.store.planned_moves.update(((id_, n.number), n) for n in whole_plan(id_, "a", "b").moves)
        return {plan_id for plan_id, _ in catalog._process.store.planned_moves}

    left_of("plan-2", "plan-3")
    subject = keeper(catalog, clock)
    await subject.round()
    assert left_of() == {"plan-1", "plan-2", "plan-3"}
    await made(catalog, "plan-3", "a", "b", created=NOW)  # it was just being stored
    left_of("plan-4")
    await subject.round()
    assert left_of() == {"plan-1", "plan-3", "plan-4"}
    await subject.round()
    assert left_of() == {"plan-1", "plan-3"}
    assert there.items() <= catalog._process.store.planned_moves.items()


async def test_many_go_in_small_batches(catalog: MemoryCatalog, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_BATCH", 10)
    batches: list[int] = []
    remove = catalog.moves.remove

    async def counted(ids: list[str]) -> None:
        batches.append(len(ids))
        await remove(ids)

    monkeypatch.setattr(catalog.moves, "remove", counted)
    await made(catalog, "plan-1", state=PlanState.PAUSED)
    for n in range(95):
        await ended(catalog, f"m-{n:02}", 60, plan="plan-1" if n % 5 == 0 else None)
    await keeper(catalog, clock, keep=0).round()
    assert max(batches) <= 10
    assert sum(batches) == 76
    assert await left(catalog) == [f"m-{n:02}" for n in range(0, 95, 5)]
    assert len(clock.slept) >= 9


async def test_it_goes_on_when_the_catalog_is_there_again(
    catalog: MemoryCatalog, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds: list[str] = []

    class Enough(BaseException):
        pass

    async def list_ended_moves(**_: int) -> list[object]:
        rounds.append("asked")
        if len(rounds) == 3:
            raise Enough
        raise CatalogUnavailable("it is away") if len(rounds) == 1 else RuntimeError("something is wrong")

    monkeypatch.setattr(catalog.moves, "find_ended", list_ended_moves)
    with pytest.raises(Enough):
        await keeper(catalog, clock).run()
