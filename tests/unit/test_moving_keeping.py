"""Which records of finished moves and plans are kept, and which go."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from catalog.errors import CatalogUnavailable
from catalog.model import LogEntry, MoveState, Plan, PlanState
from marconi_proxy.moving import keeping
from marconi_proxy.moving.keeping import Keeping
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
    await catalog.insert_move(replace(finished, log=(LogEntry(at, state, "it is over"),)))


async def made(catalog: MemoryCatalog, id_: str, *queues: str, **changes: Any) -> Plan:
    """Store a plan as it is after these ``changes``."""
    whole = whole_plan(id_, *queues)
    plan = replace(whole.plan, **changes)
    await catalog.insert_plan(replace(whole, plan=plan))
    return plan


def keeper(catalog: MemoryCatalog, clock: Clock, keep: int = 2, days: float = 30) -> Keeping:
    return Keeping(catalog, clock, random.Random(1), keep=keep, seconds=days * DAY)


async def left(catalog: MemoryCatalog) -> list[str]:
    return [one.id for one in await catalog.list_moves(limit=1000)]


async def test_what_is_old_and_not_among_the_last_goes(catalog: MemoryCatalog, clock: Clock) -> None:
    for n, days in enumerate((50, 40, 35, 20, 10, 5)):
        await ended(catalog, f"m-{n}", days)
    await catalog.insert_move(move("m-7", "waits"))
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
    # A mover whose clock is far behind has ended it.
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
    await catalog.replace_plan(replace(running, state=PlanState.DONE, version=2))
    await keeper(catalog, clock).round()
    assert not await catalog.has_plan("plan-1")
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
        await catalog.insert_move(move("plan-1-00001", "drains", state=MoveState.DRAINING, plan="plan-1"))
    for n in range(2 if other != "last" else 1):
        await ended(catalog, f"m-{n}", 1)
    if other == "last":
        await ended(catalog, "plan-1-00001", 60, plan="plan-1")
    await keeper(catalog, clock).round()
    assert await catalog.has_plan("plan-1")
    assert {"plan-1-00000", "plan-1-00001"} <= set(await left(catalog))


async def test_a_plan_that_has_no_records_of_moves_goes_in_time(catalog: MemoryCatalog, clock: Clock) -> None:
    for id_, days in (("plan-1", 80), ("plan-2", 40), ("plan-3", 1)):
        await made(catalog, id_, state=PlanState.DONE, created=NOW - days * DAY)
    await made(catalog, "plan-4", created=NOW - 80 * DAY)  # it was never applied
    await ended(catalog, "m-1", 50)
    await keeper(catalog, clock, keep=1).round()
    assert len(await catalog.list_plans(limit=9)) == 4  # no move has ended since that is not among the last
    await keeper(catalog, clock, keep=0).round()
    assert [one.id for one in await catalog.list_plans(limit=9)] == ["plan-2", "plan-3", "plan-4"]


async def test_many_go_in_small_batches(catalog: MemoryCatalog, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "_BATCH", 10)
    batches: list[int] = []
    remove = catalog.remove_moves

    async def counted(ids: list[str]) -> None:
        batches.append(len(ids))
        await remove(ids)

    monkeypatch.setattr(catalog, "remove_moves", counted)
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

    monkeypatch.setattr(catalog, "list_ended_moves", list_ended_moves)
    with pytest.raises(Enough):
        await keeper(catalog, clock).run()
