"""The task that carries out plans: it begins moves; movers drive them.

The record of a plan is the truth. A round reads it, then the records of its moves, decides, and stores by
compare-and-set what was begun; *then* it inserts the moves that it has begun. A crash between the two leaves a number
that is open and has no move: the next round of any executor inserts it. A move's id follows from the plan's and its
number, and records are never removed, so an executor that was frozen inserts nothing twice. Any number of executors
may run; who loses the compare-and-set has done nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from catalog import Catalog
from catalog.errors import CatalogError, Conflict, MoveConflict, MoveUnderWay, PartitionConflict, PlanConflict
from catalog.model import (
    Move,
    Partition,
    PartitionState,
    Placement,
    PlacementState,
    Plan,
    PlannedMove,
    PlanState,
    QueueKey,
)
from marconi_proxy.moving.orders.ordering import Refused, Situation, Wish, check, made
from marconi_proxy.moving.plans.budgets import Budgets
from marconi_proxy.moving.plans.names import planned_move_id
from marconi_proxy.moving.plans.progress import Outcome, Progress, next_to_begin, outcome_of
from marconi_proxy.moving.plans.records import Records
from marconi_proxy.moving.plans.survey import UNFINISHED, all_moves
from marconi_proxy.moving.protocol.transitions import rehome

_log = logging.getLogger(__name__)

_PAGE = 100
# Seconds between two rounds at least: what is news comes in crowds.
_CROWD = 0.1
_ACTIVE = (PlanState.RUNNING, PlanState.PAUSED)


async def run_plans(
    executor: Executor, *, interval: float = 1.0, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Carry out plans for ever."""
    while True:
        try:
            await executor.round()
        except CatalogError as error:
            _log.warning("plans wait: the catalog is not available: %s", error)
        except Exception:
            _log.exception("a round of plans failed")
        await sleep(interval)


def until_news(news: asyncio.Event) -> Callable[[float], Awaitable[None]]:
    """Return a sleep that ends early when there is ``news``, so that what a budget held back is begun at once."""

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(_CROWD)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await news.wait()
        news.clear()

    return sleep


class Executor:
    """Looks once at every plan that is running or paused, in each ``round``.

    ``clock``: seconds since 1970; ``longest``: segments that a chain may have; ``records``: who knows the moves.
    """

    def __init__(
        self, catalog: Catalog, *, clock: Callable[[], float], longest: int, records: Records | None = None
    ) -> None:
        self._catalog = catalog
        self._clock = clock
        self._longest = longest
        self._records = records or Records(catalog, clock)

    async def round(self) -> None:
        """Settle what has ended and begin what may begin, of every plan. Raises CatalogError."""
        partitions: dict[str, Partition] | None = None
        active: list[str] = []
        after = None
        while plans := await self._catalog.list_plans(states=_ACTIVE, after=after, limit=_PAGE):
            if partitions is None:
                partitions = {partition.name: partition for partition in await self._catalog.list_partitions()}
            for plan in plans:
                await _Turn(self._catalog, plan, partitions, self._clock, self._longest, self._records).take()
            active += [plan.id for plan in plans]
            after = plans[-1].id
        self._records.forget_all_but(active)


@dataclass(slots=True)
class _Turn:
    """One look at one plan, as it was read: nothing here outlives the compare-and-set that it leads to."""

    catalog: Catalog
    plan: Plan
    partitions: dict[str, Partition]
    clock: Callable[[], float]
    longest: int
    records: Records

    async def take(self) -> None:
        before = Progress.of(self.plan)
        moves = await self.records.of(self.plan.id, before.open)
        settled = await self._settled(before, moves)
        now = self.clock()
        budgets = Budgets.from_json(self.plan.budgets)
        state = self.plan.state
        after = settled
        if state is PlanState.RUNNING and settled.failures >= budgets.stop_after:
            state = PlanState.STOPPED
            after = replace(settled, note=f"stopped after {settled.failures} failures")
        elif not settled.open and not settled.waiting(self.plan):
            state = PlanState.DONE
            after = replace(settled, note=await self._finish())
        else:
            after = next_to_begin(self.plan, settled, moves, now)
        if after == before and state is self.plan.state:
            return
        changed = replace(self.plan, version=self.plan.version + 1, state=state, results=after.to_json())
        try:
            await self.catalog.replace_plan(changed)
        except PlanConflict:
            # Another executor, or an operator: the next round decides by what is there then.
            return
        if state is not self.plan.state:
            _log.info("plan %s: %s -> %s (%s)", self.plan.id, self.plan.state, state, after.note or "all have ended")
        for number in sorted(after.open - before.open):
            # What cannot be begun after all is found, and written down, by the next round.
            await self._begin(number, after)

    async def _settled(self, progress: Progress, moves: dict[int, Move]) -> Progress:
        """Write down how open moves have ended, and insert those that have no record."""
        for number in sorted(progress.open):
            move = moves.get(number)
            if move is None:
                refused = await self._begin(number, progress)
                if refused is not None:
                    progress = progress.with_outcome(number, *refused)
                continue
            target = self.plan.moves[number].target
            if not move.finished and outcome_of(move, target, None) is None:
                continue
            ended = outcome_of(move, target, await self.catalog.get_placement(move.key))
            if ended is not None:
                progress = progress.with_outcome(number, *ended, pause=move.pause_ms)
        return progress

    async def _begin(self, number: int, progress: Progress) -> tuple[Outcome, str] | None:
        """Insert the move. Return its outcome if there is nothing to begin, None if it is begun or has to wait."""
        planned = self.plan.moves[number]
        placement = await self.catalog.get_placement(planned.key)
        born = self.plan.preconditions["born"][number]
        if placement is None or placement.born != born:
            return Outcome.GONE, ""
        if placement.state is PlacementState.DELETING:
            return None
        if placement.partition == planned.target and placement.move is None:
            return Outcome.DONE, "it was there already"
        if placement.state is PlacementState.RESERVED:
            return await self._rehome(placement, planned, progress)
        return await self._insert(number, placement)

    async def _insert(self, number: int, placement: Placement) -> tuple[Outcome, str] | None:
        planned = self.plan.moves[number]
        under_way = {m.key: m async for m in self._unfinished(planned) if m.id != self._id(number)}
        situation = Situation({placement.key: placement}, self.partitions, under_way, self.longest)
        budgets = Budgets.from_json(self.plan.budgets)
        wish = Wish(planned.key, planned.target, budgets.max_pause_ms, self.clock(), self.plan.id)
        try:
            check(placement, planned.target, situation)
            await self.catalog.insert_move(made(wish, placement, self._id(number), await self._others(number)))
        except Refused as refused:
            # Another executor may have begun it since: then it is no refusal.
            return None if await self.catalog.get_move(self._id(number)) else (Outcome.REFUSED, str(refused))
        except MoveConflict:
            return None
        except MoveUnderWay as error:
            return Outcome.REFUSED, str(error)
        return None

    def _unfinished(self, planned: PlannedMove) -> AsyncIterator[Move]:
        return all_moves(self.catalog, project=planned.project, queue=planned.queue, states=UNFINISHED)

    async def _others(self, number: int) -> list[str]:
        """The ids of the moves that belong to the same dead-letter group."""
        groups: list[list[int]] = self.plan.preconditions.get("groups", [])
        group = next((group for group in groups if number in group), [])
        ids = []
        for other in group:
            placement = None if other == number else await self.catalog.get_placement(self.plan.moves[other].key)
            if placement is not None and placement.state is not PlacementState.RESERVED:
                ids.append(self._id(other))
        return ids

    def _id(self, number: int) -> str:
        return planned_move_id(self.plan.id, number)

    async def _rehome(
        self, placement: Placement, planned: PlannedMove, progress: Progress
    ) -> tuple[Outcome, str] | None:
        """Keep the place of a dead-letter queue that does not exist yet where its source goes, once that has gone."""
        source = QueueKey(placement.project, placement.group or "")
        leader = await self.catalog.get_placement(source) if placement.group else None
        if leader is not None and leader.partition != planned.target:
            numbers = {move.key: n for n, move in enumerate(self.plan.moves)}
            number = numbers.get(source)
            if number is not None and number not in progress.ended:
                return None
            return Outcome.CANCELLED, f"its source {source.queue} is on {leader.partition}"
        try:
            await self.catalog.replace_placement(rehome(placement, planned.target, self.clock()))
        except Conflict:
            return None
        return Outcome.DONE, ""

    async def _finish(self) -> str | None:
        """Say what is left on partitions that the plan was to empty; call those drained that are empty.

        Before the plan is called done: a crash between leaves that to be repeated.
        """
        left = []
        for name in self.plan.preconditions["emptied"]:
            partition = self.partitions.get(name)
            count = await self.catalog.count_placements(partitions=[name])
            if count:
                left.append(f"partition {name} still has {count} placement{'s' if count != 1 else ''}")
            elif partition is not None and partition.state is PartitionState.CORDONED:
                drained = replace(partition, state=PartitionState.DRAINED, version=partition.version + 1)
                try:
                    await self.catalog.replace_partition(drained)
                except PartitionConflict:
                    _log.info("partition %s was changed by somebody else: not called drained", name)
        return "; ".join(left) or None
