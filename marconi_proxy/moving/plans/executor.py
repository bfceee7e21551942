"""The task that executes plans: it begins moves; movers drive them.

The record of a plan, which is small, is authoritative. A round reads it and a bounded number of its moves, decides, and
stores by compare-and-set the moves that are begun and ended. *Then* it inserts the begun moves; the next round records
the endings at the planned moves. A crash in between leaves ``pending`` numbers and ``endings``: the next round of any
executor inserts and records those. A move's id follows from the plan's id and its number, so an executor that was
frozen inserts nothing twice. Any number of executors may run; one that loses the compare-and-set has no effect.

The cost of a round depends on the budgets of the plans, not on their size.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, replace

from catalog import Catalog
from catalog.errors import CatalogError, MoveConflict, MoveUnderWay, PartitionConflict, PlacementConflict, PlanConflict
from catalog.model import (
    UNFINISHED_STATES,
    Ending,
    Move,
    MoveOutcome,
    MovePlan,
    Partition,
    PartitionState,
    Placement,
    PlacementState,
    PlannedMove,
    PlanState,
    Progress,
    QueueKey,
)
from marconi_proxy.fencing.transitions import rehome
from marconi_proxy.moving.orders.order import CatalogView, MoveRefused, MoveRequest, check, made
from marconi_proxy.moving.plans.agenda import LOOKED_AT, Agenda, Agendas
from marconi_proxy.moving.plans.budgets import Budgets
from marconi_proxy.moving.plans.names import planned_move_id
from marconi_proxy.moving.plans.progress import (
    BUSY,
    allowance,
    candidates,
    may_begin,
    missing,
    next_to_begin,
    outcome_of,
)
from marconi_proxy.moving.plans.survey import all_moves

LOG = logging.getLogger(__name__)

_PAGE = 100
# The most seconds between two rounds, and the least, because changes come in bursts.
_INTERVAL = 1.0
_CROWD = 0.1
# Seconds within which an executor inserts a move after storing that it is begun, unless the executor is frozen.
_ABOUT_TO = 60.0


async def run_plans(executor: PlanExecutor, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
    """Make rounds for ever. Errors are logged, and the next round retries. ``sleep`` is used while this executor is at
    work on a plan."""
    while True:
        works = True
        try:
            works = await executor.round()
        except CatalogError as error:
            LOG.warning("plans wait: the catalog is not available: %s", error)
        except Exception:
            LOG.exception("a round of plans failed")
        await (sleep if works else asyncio.sleep)(_INTERVAL)


def until_news(news: asyncio.Event) -> Callable[[float], Awaitable[None]]:
    """Return a sleep that ends early when ``news`` is set, so that moves delayed by a budget are begun at once."""

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(_CROWD)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await news.wait()
        news.clear()

    return sleep


class PlanExecutor:
    """Execute the active plans, each once in every ``round``.

    ``clock``: seconds since 1970, for windows. ``monotonic``: seconds of this process, for the pace. ``longest``: the
    most segments of a chain. ``believed``: seconds for which a move counts as unchanged without a call of ``changed``.
    ``yields``: seconds for which a plan is left to another process that changed it, most likely another executor.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        longest: int,
        believed: float = 0.0,
        yields: float = 0.0,
    ) -> None:
        self._catalog = catalog
        self._clock = clock
        self._longest = longest
        self._agendas = Agendas(monotonic, believed, yields)

    def changed(self, move_id: str | None) -> None:
        """Look at a changed move in the next round; with None, at all, because any may have changed."""
        self._agendas.changed(move_id)

    async def round(self) -> bool:
        """Record the moves that have ended and begin those that may begin, of every plan that is not left to another
        executor. Return whether there was one. Raises CatalogError."""
        plans: list[MovePlan] = []
        while page := await self._catalog.plans.find(active=True, after=plans[-1].id if plans else None, limit=_PAGE):
            plans += page
            if len(page) < _PAGE:
                break
        self._agendas.keep(plan.id for plan in plans)
        due = [(plan, agenda) for plan in plans if (agenda := self._agendas.of(plan.id)).is_due(plan.version)]
        if due:
            partitions = {partition.name: partition for partition in await self._catalog.partitions.all()}
            for plan, agenda in due:
                await _Turn(self._catalog, plan, partitions, self._clock, self._longest, agenda).take()
        return bool(due)


@dataclass(slots=True)
class _Turn:
    """One look at one plan, as it was read: discarded after its compare-and-set."""

    catalog: Catalog
    plan: MovePlan
    partitions: dict[str, Partition]
    clock: Callable[[], float]
    longest: int
    agenda: Agenda

    async def take(self) -> None:
        progress = self.plan.progress
        if progress.endings:
            await self.catalog.planned_moves.end(self.plan.id, progress.endings)
        if (swept := self.agenda.sweep()) is not None:
            self.agenda.swept(await self._open(swept))
        self.agenda.add(progress.pending)
        numbers = self.agenda.take()
        stored = False
        try:
            stored = await self._decide(numbers)
        finally:
            if not stored:
                self.agenda.add(numbers)

    async def _open(self, after: int) -> list[PlannedMove]:
        """Return moves after this number that are begun and have not ended, among them some that still wait."""
        progress = self.plan.progress
        before = max(progress.next, *(number + 1 for number in progress.ahead[-1:]), 0)
        return await self.catalog.planned_moves.find(
            self.plan.id, outcomes=[None], after=after, before=before, limit=LOOKED_AT
        )

    async def _decide(self, numbers: Collection[int]) -> bool:
        """Decide by the plan and these of its moves, store the decision, and begin moves. Return False if the plan was
        changed meanwhile. Raises CatalogError."""
        seconds = self.agenda.since_begun(self.plan.progress.begun)
        after, unrecorded = await self._settled(numbers, seconds)
        state, begun = self.plan.state, list[PlannedMove]()
        going_on = state in (PlanState.RUNNING, PlanState.PAUSED)
        if state is PlanState.RUNNING and after.failures >= Budgets.from_json(self.plan.budgets).stop_after:
            state = PlanState.STOPPED
            after = replace(after, note=f"stopped after {after.failures} failures")
        elif going_on and after.ended == self.plan.size:
            state = PlanState.DONE
            after = replace(after, note=await self._finish())
        elif may_begin(self.plan, self.clock()) and len(after.pending) <= LOOKED_AT:
            allowed = allowance(self.plan, seconds)
            begun = await self._to_begin(unrecorded, allowed) if allowed >= 1.0 else []
            if begun:
                after = after.with_begun([move.number for move in begun], allowed - len(begun))
        if after == self.plan.progress and state is self.plan.state:
            return True
        changed = replace(self.plan, version=self.plan.version + 1, state=state, progress=after)
        try:
            await self.catalog.plans.replace(changed)
        except PlanConflict:
            # Another executor or an operator changed the plan: the next round decides anew.
            return False
        self.agenda.stored(changed.version)
        if state is not self.plan.state:
            LOG.info("plan %s: %s -> %s (%s)", self.plan.id, self.plan.state, state, after.note or "all have ended")
        if begun:
            self.agenda.have_begun(after.begun)
        for move in begun:
            # If one cannot be begun after all, the next round finds and records that.
            await self._begin(move)
        return True

    async def _settled(self, numbers: Collection[int], seconds: float) -> tuple[Progress, list[PlannedMove]]:
        """Return the progress with the endings of these moves, and those of them that are begun and have no record.

        The latter are inserted if possible; those of a stopped plan are cancelled after ``_ABOUT_TO`` seconds.
        """
        before = self.plan.progress
        known = {ending.number for ending in before.endings}
        looked_at = [number for number in numbers if before.has_begun(number) and number not in known]
        planned = await self._planned(looked_at)
        moves = await self._records(looked_at)
        stopped = self.plan.state is PlanState.STOPPED
        endings: list[Ending] = []
        unrecorded: list[PlannedMove] = []
        for one in planned:
            if one.ending is not None:
                continue
            move = moves.get(self._id(one.number))
            if move is not None:
                ending = await self._ended(one, move)
            elif one.number in before.pending:
                ending = self._given_up(one, seconds) if stopped else await self._begin(one)
                unrecorded += [one] if ending is None else []
            else:
                ending = missing(one, await self.catalog.placements.get(one.key))
            endings += [ending] if ending is not None else []
        waiting = {one.number for one in unrecorded}
        still = tuple(n for n in before.pending if n in waiting or n not in looked_at)
        return replace(before, endings=(), pending=still).with_endings(endings), unrecorded

    def _given_up(self, planned: PlannedMove, seconds: float) -> Ending | None:
        """Return the ending of a move that was not inserted before its plan was stopped; None while the executor that
        has begun it may still insert it."""
        if seconds < _ABOUT_TO:
            return None
        return Ending(planned.number, MoveOutcome.CANCELLED, "the plan was stopped first")

    async def _ended(self, planned: PlannedMove, move: Move) -> Ending | None:
        if not move.finished and outcome_of(planned.number, move, planned.target, None) is None:
            return None
        return outcome_of(planned.number, move, planned.target, await self.catalog.placements.get(move.key))

    async def _to_begin(self, unrecorded: list[PlannedMove], allowed: float) -> list[PlannedMove]:
        waiting = await self._planned(candidates(self.plan))
        first = waiting[0].group if waiting else None
        if first is not None and first[1] > waiting[-1].number:
            waiting = await self._planned(range(first[0], first[1] + 1))
        busy: list[Move | PlannedMove] = [*unrecorded]
        busy += [move async for move in all_moves(self.catalog, plan=self.plan.id, states=BUSY)]
        return next_to_begin(self.plan, waiting, busy, allowed)

    async def _planned(self, numbers: Collection[int]) -> list[PlannedMove]:
        if not numbers:
            return []
        return await self.catalog.planned_moves.find(self.plan.id, numbers=numbers, limit=len(numbers))

    async def _records(self, numbers: Collection[int]) -> dict[str, Move]:
        if not numbers:
            return {}
        ids = [self._id(number) for number in numbers]
        return {move.id: move for move in await self.catalog.moves.find(ids=ids, limit=len(ids))}

    async def _begin(self, planned: PlannedMove) -> Ending | None:
        """Insert the move. Return its ending if there is nothing to begin, None if it is begun or has to wait."""
        placement = await self.catalog.placements.get(planned.key)
        if placement is None or placement.incarnation != planned.incarnation:
            return Ending(planned.number, MoveOutcome.GONE)
        if placement.state is PlacementState.DELETING:
            return None
        if placement.partition == planned.target and placement.move is None:
            return Ending(planned.number, MoveOutcome.DONE, "it was there already")
        if placement.state is PlacementState.RESERVED:
            return await self._rehome(placement, planned)
        return await self._insert(planned, placement)

    async def _insert(self, planned: PlannedMove, placement: Placement) -> Ending | None:
        id_ = self._id(planned.number)
        under_way = {m.key: m async for m in self._unfinished(planned) if m.id != id_}
        view = CatalogView({placement.key: placement}, self.partitions, under_way, self.longest)
        budgets = Budgets.from_json(self.plan.budgets)
        request = MoveRequest(planned.key, planned.target, budgets.max_pause_ms, self.clock(), self.plan.id)
        try:
            check(placement, planned.target, view)
            await self.catalog.moves.insert(made(request, placement, id_, await self._others(planned)))
        except MoveRefused as refused:
            # If another executor has begun it since, this is no refusal.
            if await self.catalog.moves.get(id_):
                return None
            return Ending(planned.number, MoveOutcome.REFUSED, str(refused))
        except MoveConflict:
            return None
        except MoveUnderWay as error:
            return Ending(planned.number, MoveOutcome.REFUSED, str(error))
        return None

    def _unfinished(self, planned: PlannedMove) -> AsyncIterator[Move]:
        return all_moves(self.catalog, project=planned.project, queue=planned.queue, states=UNFINISHED_STATES)

    async def _others(self, planned: PlannedMove) -> list[str]:
        """Return the ids of the other moves of the same dead-letter group."""
        if planned.group is None:
            return []
        ids = []
        for other in await self._planned(range(planned.group[0], planned.group[1] + 1)):
            placement = None if other == planned else await self.catalog.placements.get(other.key)
            if placement is not None and placement.state is not PlacementState.RESERVED:
                ids.append(self._id(other.number))
        return ids

    def _id(self, number: int) -> str:
        return planned_move_id(self.plan.id, number)

    async def _rehome(self, placement: Placement, planned: PlannedMove) -> Ending | None:
        """Move the reserved placement of a dead-letter queue to the target, once its source is there. Return the
        ending, None while the source is on its way."""
        source = QueueKey(placement.project, placement.group or "")
        leader = await self.catalog.placements.get(source) if placement.group else None
        if leader is not None and leader.partition != planned.target:
            going = await self.catalog.planned_moves.get(self.plan.id, source)
            known = {ending.number for ending in self.plan.progress.endings}
            if going is not None and going.ending is None and going.number not in known:
                return None
            return Ending(planned.number, MoveOutcome.CANCELLED, f"its source {source.queue} is on {leader.partition}")
        try:
            await self.catalog.placements.replace(rehome(placement, planned.target, self.clock()))
        except PlacementConflict:
            return None
        return Ending(planned.number, MoveOutcome.DONE)

    async def _finish(self) -> str | None:
        """Return a note about the placements left on partitions that the plan was to empty, None if there are none.
        Mark the empty ones as drained.

        This precedes the state done: after a crash in between, the next round repeats it.
        """
        left = []
        for name in self.plan.preconditions["emptied"]:
            partition = self.partitions.get(name)
            count = await self.catalog.placements.count(partitions=[name])
            if count:
                left.append(f"partition {name} still has {count} placement{'s' if count != 1 else ''}")
            elif partition is not None and partition.state is PartitionState.CORDONED:
                drained = replace(partition, state=PartitionState.DRAINED, version=partition.version + 1)
                try:
                    await self.catalog.partitions.replace(drained)
                except PartitionConflict:
                    LOG.info("partition %s is not marked as drained, because it was changed meanwhile", name)
        return "; ".join(left) or None
