"""The retention of moves and plans: a task of each mover removes the records of those that ended long ago.

A finished move is removed when both are true: ``keep`` others ended after it, in the order in which the catalog stored
their ends; and it ended longer ago than ``seconds``, by the time in its own record. So a clock that is wrong removes no
move that has just finished.

A plan is removed before its moves, once all of them may be removed; the records of its moves follow. An executor that
was frozen since before that can only insert a move of a missing plan, and movers begin none of those.

A plan without records of moves, because it was not applied or has begun none, is removed when it was made longer ago
than ``seconds`` and the plans made after it, by their ids, have ``keep`` moves together. A crash may leave a part of a
plan that was being stored or removed. That part is removed when two consecutive rounds find it.
"""

from __future__ import annotations

import logging
import random
from collections import defaultdict

from catalog import Catalog
from catalog.errors import CatalogError, PlanConflict
from marconi_proxy.clock import Clock
from marconi_proxy.moving.plans.survey import all_moves

LOG = logging.getLogger(__name__)

# Moves read and removed in a batch; the seconds between two batches; the average seconds between two rounds.
_BATCH = 100
_PAUSE = 1.0
_INTERVAL = 3600.0
# Plans read in a batch.
_PLANS = 10
# The version of a missing plan: no plan has it.
_NO_VERSION = 0


class Retention:
    """Remove old records. ``keep``: the finished moves to keep at least. ``seconds``: the least age of removed ones."""

    def __init__(self, catalog: Catalog, clock: Clock, chance: random.Random, *, keep: int, seconds: float) -> None:
        self._catalog = catalog
        self._clock = clock
        self._chance = chance
        self._keep = keep
        self._seconds = seconds
        self._orphaned: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Make a round about every hour, for ever. Errors are logged, and the next round retries."""
        while True:
            await self._clock.sleep(_INTERVAL * self._chance.uniform(0.5, 1.5))
            try:
                await self.round()
            except CatalogError as error:
                LOG.warning("finished moves are removed in a later round: the catalog is not available: %s", error)
            except Exception:
                LOG.exception("removing finished moves failed; the next round retries it")

    async def round(self) -> None:
        """Remove the records that need not be kept any longer. Raises CatalogError."""
        before = self._clock.now() - self._seconds
        moves, of_plans = await self._remove_moves(before)
        plans = await self._remove_plans(before, of_plans)
        if moves or plans:
            LOG.info("removed the records of %d finished moves and %d plans", moves, plans)
        await self._remove_orphans()

    async def _remove_moves(self, before: float) -> tuple[int, dict[str, set[str]]]:
        """Remove moves that ended before ``before``, in seconds since 1970. Return their number and, by plan, the ids
        of old moves that wait for the removal of their plan."""
        there: dict[str, bool] = {}
        waiting: dict[str, set[str]] = defaultdict(set)
        removed = stayed = 0
        while page := await self._catalog.moves.find_ended(keep=self._keep, skip=stayed, limit=_BATCH):
            old = [move for move in page if move.last_at < before]
            going = []
            for move in old:
                if move.plan is not None and move.plan not in there:
                    there[move.plan] = await self._catalog.plans.exists(move.plan)
                if move.plan is not None and there[move.plan]:
                    waiting[move.plan].add(move.id)
                else:
                    going.append(move.id)
            if going:
                await self._catalog.moves.remove(going)
            removed += len(going)
            stayed += len(page) - len(going)
            if not old:
                break  # the following ones ended later
            await self._clock.sleep(_PAUSE)
        return removed, waiting

    async def _remove_plans(self, before: float, waiting: dict[str, set[str]]) -> int:
        """Remove each inactive plan if all records of its moves are ``waiting`` or, without records, if it was made
        before ``before``. Return the number of removed plans."""
        known: list[tuple[str, int, int, bool, bool]] = []
        after: str | None = None
        while page := await self._catalog.plans.find(after=after, limit=_PLANS):
            known += ((plan.id, plan.version, plan.size, plan.active, plan.created < before) for plan in page)
            after = page[-1].id
        removed = later = 0
        for plan_id, version, size, active, old in reversed(known):
            records = waiting.get(plan_id, set())
            may_go = not active and (bool(records) or (old and later >= self._keep))
            if may_go and await self._all_wait(plan_id, records):
                removed += await self._remove_plan(plan_id, version)
            later += size
        return removed

    async def _all_wait(self, plan_id: str, waiting: set[str]) -> bool:
        async for move in all_moves(self._catalog, plan=plan_id):
            if move.id not in waiting:
                return False
        return True

    async def _remove_plan(self, plan_id: str, version: int) -> bool:
        await self._clock.sleep(_PAUSE)
        try:
            await self._catalog.plans.remove(plan_id, version)
        except PlanConflict:
            return False  # the plan was applied meanwhile
        return True

    async def _remove_orphans(self) -> None:
        """Remove planned moves without a plan, if it was missing in the previous round, too.

        So the moves of a plan that is being stored stay. If its writer was frozen for a whole round, its plan is
        refused as damaged.
        """
        orphaned = frozenset(await self._catalog.plans.orphaned())
        for plan_id in sorted(orphaned & self._orphaned):
            if await self._remove_plan(plan_id, _NO_VERSION):
                LOG.warning("removed the rest of plan %s: a crash interrupted its storing or removal", plan_id)
        self._orphaned = orphaned
