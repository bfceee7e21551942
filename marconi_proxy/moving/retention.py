"""Removing the records of moves and plans that ended long ago, in the background. Any number of movers do so at once.

A finished move goes when both are true: ``keep`` others ended after it, in the order in which the catalog stored their
ends; and it ended longer ago than ``seconds``, by the time in its own record. So a clock that was set wrong removes
nothing that has just finished.

A plan goes before its moves, once all of them may go; the records of its moves go only when the plan has gone. An
executor that was frozen since before that can only insert a move whose plan is gone, and movers begin none of those.

A plan without records of moves, because it was not applied or has begun none, goes when it was made longer ago than
``seconds`` and the plans made after it, by their ids, have ``keep`` moves together. What a crash has left of a plan
that was just being stored or removed goes when it is there from one round to the next.
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

# Moves that are read, and removed, at a time; the seconds between two such batches; and from one round to the next.
_BATCH = 100
_PAUSE = 1.0
_INTERVAL = 3600.0
# Plans that are read at a time.
_PLANS = 10
# No plan has it.
_NO_VERSION = 0


class Retention:
    """``keep``: how many finished moves are kept at least; ``seconds``: how long all of them are kept at least."""

    def __init__(self, catalog: Catalog, clock: Clock, chance: random.Random, *, keep: int, seconds: float) -> None:
        self._catalog = catalog
        self._clock = clock
        self._chance = chance
        self._keep = keep
        self._seconds = seconds
        self._orphaned: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Go on for ever."""
        while True:
            await self._clock.sleep(_INTERVAL * self._chance.uniform(0.5, 1.5))
            try:
                await self.round()
            except CatalogError as error:
                LOG.warning("finished moves are removed later: the catalog is not available: %s", error)
            except Exception:
                LOG.exception("removing finished moves failed, and is tried again")

    async def round(self) -> None:
        """Remove what need not be kept any longer. Raises CatalogError."""
        before = self._clock.now() - self._seconds
        moves, of_plans = await self._remove_moves(before)
        plans = await self._remove_plans(before, of_plans)
        if moves or plans:
            LOG.info("removed the records of %d finished moves and %d plans", moves, plans)
        await self._remove_orphans()

    async def _remove_moves(self, before: float) -> tuple[int, dict[str, set[str]]]:
        """Remove moves that ended before ``before``. Return how many, and those that wait for their plan to go, by
        plan."""
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
                break  # those that ended later are not old either
            await self._clock.sleep(_PAUSE)
        return removed, waiting

    async def _remove_plans(self, before: float, waiting: dict[str, set[str]]) -> int:
        """Remove the plans that are not under way and of whose moves every record is ``waiting``; if there is none, of
        those made before ``before``. Return how many."""
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
            return False  # it was applied meanwhile
        return True

    async def _remove_orphans(self) -> None:
        """Remove planned moves whose plan was missing in the round before, too.

        So none of a plan that is just being stored; if that was frozen for as long, the plan is refused as damaged.
        """
        orphaned = frozenset(await self._catalog.plans.orphaned())
        for plan_id in sorted(orphaned & self._orphaned):
            if await self._remove_plan(plan_id, _NO_VERSION):
                LOG.warning("removed what was left of plan %s: storing or removing it was broken off", plan_id)
        self._orphaned = orphaned
