"""Removing the records of moves and plans that ended long ago, in the background. Any number of movers do so at once.

A finished move goes when both are true: ``keep`` others ended after it, in the order in which the catalog stored their
ends; and it ended longer ago than ``seconds``, by the time in its own record. So a clock that was set wrong removes
nothing that has just finished.

A plan goes before its moves, once all of them may go; the records of its moves go only when the plan has gone. An
executor that was frozen since before that can only insert a move whose plan is gone, and movers begin none of those.
"""

from __future__ import annotations

import logging
import random
from collections import defaultdict

from catalog import Catalog
from catalog.errors import CatalogError
from catalog.model import FINISHED_PLAN_STATES
from marconi_proxy.moving.clock import Clock
from marconi_proxy.moving.plans.survey import all_moves

LOG = logging.getLogger(__name__)

# Moves that are read, and removed, at a time; the seconds between two such batches; and from one round to the next.
_BATCH = 100
_PAUSE = 1.0
_INTERVAL = 3600.0
# Plans that are read at a time.
_PLANS = 10


class Keeping:
    """``keep``: how many finished moves are kept at least; ``seconds``: how long all of them are kept at least."""

    def __init__(self, catalog: Catalog, clock: Clock, chance: random.Random, *, keep: int, seconds: float) -> None:
        self._catalog = catalog
        self._clock = clock
        self._chance = chance
        self._keep = keep
        self._seconds = seconds

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
        moves, newest, of_plans = await self._remove_moves(before)
        plans = await self._remove_plans(min(before, newest), of_plans)
        if moves or plans:
            LOG.info("removed the records of %d finished moves and %d plans", moves, plans)

    async def _remove_moves(self, before: float) -> tuple[int, float, dict[str, set[str]]]:
        """Remove moves that ended before ``before``. Return how many; when the newest of those that may go was ordered;
        and the moves that wait for their plan to go, by plan."""
        there: dict[str, bool] = {}
        waiting: dict[str, set[str]] = defaultdict(set)
        newest = float("-inf")
        removed = stayed = 0
        while page := await self._catalog.list_ended_moves(keep=self._keep, skip=stayed, limit=_BATCH):
            old = [move for move in page if move.last_at < before]
            going = []
            for move in old:
                newest = max(newest, move.created)
                if move.plan is not None and move.plan not in there:
                    there[move.plan] = await self._catalog.has_plan(move.plan)
                if move.plan is not None and there[move.plan]:
                    waiting[move.plan].add(move.id)
                else:
                    going.append(move.id)
            if going:
                await self._catalog.remove_moves(going)
            removed += len(going)
            stayed += len(page) - len(going)
            if not old:
                break  # those that ended later are not old either
            await self._clock.sleep(_PAUSE)
        return removed, newest, waiting

    async def _remove_plans(self, before: float, waiting: dict[str, set[str]]) -> int:
        """Remove the finished plans that were made before ``before`` and of whose moves every record is ``waiting``."""
        removed = 0
        after: str | None = None
        while page := await self._catalog.list_plans(states=FINISHED_PLAN_STATES, after=after, limit=_PLANS):
            for plan in page:
                if plan.created >= before or not await self._all_wait(plan.id, waiting.get(plan.id, set())):
                    continue
                await self._catalog.remove_plan(plan.id)
                removed += 1
                await self._clock.sleep(_PAUSE)
            after = page[-1].id
        return removed

    async def _all_wait(self, plan_id: str, waiting: set[str]) -> bool:
        async for move in all_moves(self._catalog, plan=plan_id):
            if move.id not in waiting:
                return False
        return True
