"""Apply a plan while clients use the queues. It is safe to interrupt and rerun; it skips finished items.

It writes only the catalog, by the verbs and rules of the front door. *Insert or get* decides between the two: a queue
that the front door placed concurrently either equals the one in the plan, or is reported as a conflict and left alone.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator

from catalog.errors import PartitionUnknown
from catalog.interface import Catalog
from marconi_proxy.adoption.chain_adopter import ChainAdopter
from marconi_proxy.adoption.entries import ConflictRule, QueueConflict, Single
from marconi_proxy.adoption.outcome import AdoptionOutcome, AdoptionSummary, DiffersFromPlan
from marconi_proxy.adoption.placements import PlanPlacements
from marconi_proxy.adoption.plan_file import AdoptionPlan
from marconi_proxy.adoption.presence import AdoptionStopped, Entry, Presence, batches
from marconi_proxy.adoption.single_adopter import Placed, SingleAdopter
from marconi_proxy.clock import Clock, Pacer
from marconi_proxy.fencing.barrier import CHAINS, incapable
from marconi_proxy.partition_client.upstreams import Open

_AT_ONCE = 16


class Adopter:
    """Apply plans. ``retire``: resume the moves of chains, because no client writes to older segments any more.

    ``token``: returns eight random characters for each new placement, so that each incarnation is unique.
    """

    def __init__(
        self,
        catalog: Catalog,
        open_upstream: Open,
        rate: Pacer,
        clock: Clock,
        *,
        retire: bool,
        token: Callable[[], str] = lambda: secrets.token_hex(4),
    ) -> None:
        self._catalog = catalog
        self._open_upstream = open_upstream
        self._rate = rate
        self._clock = clock
        self._retire = retire
        self._token = token
        self.summary = AdoptionSummary()

    async def run(self, plan: AdoptionPlan, done: Callable[[], None]) -> None:
        """Apply every entry; call ``done`` after each. Raises AdoptionStopped, CatalogError, BadPlan, OSError."""
        ways = {p.name: self._open_upstream(p) for p in await self._catalog.partitions.all()}
        if plan.conflicts:
            lacking = incapable(await self._catalog.members.all(), CHAINS)
            if lacking:
                raise AdoptionStopped(
                    f"of a release that cannot serve a chain: member {', '.join(lacking)}; nothing was done"
                )
        presence = Presence(ways, self._rate)
        placements = PlanPlacements(self._catalog, plan.id, self._clock, self._token)
        singles = SingleAdopter(self._catalog, placements, presence, self._clock)
        chains = ChainAdopter(
            self._catalog,
            placements,
            presence,
            singles,
            self.summary,
            self._clock,
            retire=self._retire,
            token=self._token,
        )
        application = _Application(plan.id, singles, chains, self.summary)
        todo = batches(plan.entries())
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(_AT_ONCE):
                    group.create_task(application.work(todo, done))
        except ExceptionGroup as failures:
            # The first failure has cancelled the others. Writes in flight are safe to repeat.
            raise failures.exceptions[0] from None


class _Application:
    """Apply the entries of one plan, and sum up their outcomes."""

    def __init__(self, plan_id: str, singles: SingleAdopter, chains: ChainAdopter, summary: AdoptionSummary) -> None:
        self._plan_id = plan_id
        self._singles = singles
        self._chains = chains
        self._summary = summary

    async def work(self, todo: Iterator[list[Entry]], done: Callable[[], None]) -> None:
        for batch in todo:
            number = batch[0][0]
            try:
                placed = await self._singles.place_together(batch)
                for number, entry in batch:
                    await self._apply(number, entry, placed.get(entry.key))
                    done()
            except PartitionUnknown as error:
                raise AdoptionStopped(f"line {number}: {error}") from error

    async def _apply(self, number: int, entry: QueueConflict | Single, placed: Placed | None) -> None:
        try:
            outcome = await self._outcome(number, entry, placed)
        except DiffersFromPlan as difference:
            outcome = AdoptionOutcome.CONFLICT
            self._summary.conflicts.append((number, entry.key, str(difference)))
        self._summary.outcomes[outcome] += 1

    async def _outcome(self, number: int, entry: QueueConflict | Single, placed: Placed | None) -> AdoptionOutcome:
        if isinstance(entry, Single):
            return await self._singles.adopt(entry, placed)
        if entry.rule is ConflictRule.SKIP:
            return AdoptionOutcome.SKIPPED
        if entry.rule is ConflictRule.PREFER:
            kept = next(candidate for candidate in entry.found if candidate.partition == entry.keep)
            return await self._singles.adopt(
                Single(entry.project, entry.queue, kept.partition, kept.group, kept.dead_letters)
            )
        return await self._chains.adopt(f"{self._plan_id}-{number:05d}-", entry)
