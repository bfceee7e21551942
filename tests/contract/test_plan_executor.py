"""Plans are carried out exactly, however many executors there are and wherever they die, on every kind of catalog."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from catalog import Catalog
from catalog.errors import CatalogUnavailable
from catalog.model import MoveOutcome, MoveState, PartitionState, PlanState
from marconi_proxy.moving.plans.budgets import Budgets
from marconi_proxy.moving.plans.selection import PlanKind, Selection
from marconi_proxy.moving.protocol.machine import before_switch
from tests.catalog_wraps import Passing
from tests.contract.plan_stage import (
    Clock,
    endings,
    enter,
    executor,
    finish,
    furnish,
    outcomes,
    progress,
    records,
    running,
    state,
)


class Dying(Passing):
    """A catalog that lets its user die at the nth call: before the call is made, or after it, without its answer."""

    def __init__(self, catalog: Catalog, after: int, *, heard: bool) -> None:
        super().__init__(catalog, self._called)
        self.left = after
        self._heard = heard

    async def _called(self, verb: str, call: Callable[[], Awaitable[Any]]) -> Any:
        self.left -= 1
        if self.left < 0 or (not self.left and self._heard):
            raise CatalogUnavailable("dead")
        answer = await call()
        if not self.left:
            raise CatalogUnavailable("dead")
        return answer


class Shuffled(Passing):
    """A catalog that begins and ends calls in a random order, so that its users overtake each other anywhere."""

    def __init__(self, catalog: Catalog, chance: random.Random) -> None:
        super().__init__(catalog, self._called)
        self._chance = chance

    async def _called(self, verb: str, call: Callable[[], Awaitable[Any]]) -> Any:
        await self._turns()
        answer = await call()
        await self._turns()
        return answer

    async def _turns(self) -> None:
        for _ in range(self._chance.randrange(8)):
            await asyncio.sleep(0)


async def test_a_plan_is_begun_within_its_budget_and_done_when_all_has_ended(catalog: Catalog) -> None:
    clock = Clock()
    await furnish(catalog, [f"q{n}" for n in range(5)])
    made = await running(catalog, Budgets(at_once=2))
    one = executor(catalog, clock)
    for begun in (2, 4, 5):
        await one.round()
        assert len(await records(catalog)) == begun
        await one.round()
        assert len(await records(catalog)) == begun
        assert await finish(catalog)
        clock.now += 10
    await one.round()
    assert await state(catalog) is PlanState.DONE
    assert await outcomes(catalog) == dict.fromkeys(range(5), MoveOutcome.DONE)
    assert (await progress(catalog)).pauses == ((20.0, 5),)
    assert {ending.pause_ms for ending in (await endings(catalog)).values()} == {20.0}
    await one.round()
    assert (await progress(catalog)).endings == ()
    assert await catalog.plans.find(active=True, limit=9) == []
    moved = await catalog.placements.find(partitions=["p2"], limit=9)
    assert {p.key for p in moved} == {m.key for m in made.moves}


@pytest.mark.parametrize("heard", [True, False], ids=["before it", "after it"])
async def test_an_executor_that_dies_at_any_call_leaves_nothing_undone_or_done_twice(
    catalog: Catalog, heard: bool
) -> None:
    clock = Clock()
    await furnish(catalog, ["a", "b", "c"])
    await running(catalog, Budgets(at_once=2))
    deaths = 0
    for calls in range(1, 100):
        dying = Dying(catalog, calls, heard=heard)
        try:
            await executor(dying, clock).round()  # type: ignore[arg-type]
        except CatalogUnavailable:
            deaths += 1
        busy = [m for m in await records(catalog) if before_switch(m.state) and not m.finished]
        assert len(busy) <= 2
        if calls % 3 == 0:
            await finish(catalog)
        clock.now += 10
        if await state(catalog) is PlanState.DONE:
            break
    assert deaths > 5
    assert await outcomes(catalog) == dict.fromkeys(range(3), MoveOutcome.DONE)
    assert (await progress(catalog)).counts == {MoveOutcome.DONE: 3}
    assert Counter(m.queue for m in await records(catalog)) == {"a": 1, "b": 1, "c": 1}


@pytest.mark.parametrize("seed", range(4))
async def test_executors_at_once_are_harmless(catalog: Catalog, other: Catalog, seed: int) -> None:
    chance = random.Random(seed)
    clock = Clock()
    queues = [f"q{n}" for n in range(9)]
    await furnish(catalog, queues)
    await running(catalog, Budgets(at_once=3, seals_per_second=100))
    executors = [executor(Shuffled(one, chance), clock) for one in (catalog, other, catalog)]  # type: ignore[arg-type]
    for _ in range(60):
        await asyncio.gather(*(one.round() for one in executors))
        open_now = [m for m in await records(catalog) if not m.finished]
        assert len(open_now) <= 3
        for move in open_now:
            if chance.random() < 0.7:
                await enter(catalog, move, MoveState.DONE)
        clock.now += 1
        if await state(catalog) is PlanState.DONE:
            break
    assert await state(catalog) is PlanState.DONE
    assert sorted(m.queue for m in await records(catalog)) == queues
    assert await outcomes(catalog) == dict.fromkeys(range(9), MoveOutcome.DONE)
    assert (await progress(catalog)).counts == {MoveOutcome.DONE: 9}


async def test_a_drained_partition_is_called_so_and_can_be_removed(catalog: Catalog) -> None:
    clock = Clock()
    await furnish(catalog, ["a", "b"], ("p1", "p2", "p3"))
    partition = await catalog.partitions.get("p1")
    assert partition is not None
    await running(catalog, selection=Selection(PlanKind.DRAIN, "p1"))
    cordoned = replace(partition, state=PartitionState.CORDONED, version=partition.version + 1)
    await catalog.partitions.replace(cordoned)
    one = executor(catalog, clock)
    await one.round()
    assert await finish(catalog) == 2
    await one.round()
    assert await state(catalog) is PlanState.DONE
    assert (await progress(catalog)).note is None
    drained = await catalog.partitions.get("p1")
    assert drained is not None
    assert drained.state is PartitionState.DRAINED
    await catalog.partitions.remove("p1")
    assert await catalog.partitions.get("p1") is None
