"""Rounds in the background, one after the other. Any number of movers run it, one of them at a time is at it.

What a crash leaves: the hold, which ends by itself, and the findings of the round before. A round is begun anew then.
Nothing is repaired: findings are logged, and counted in the catalog, for the admin API to show.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace

from catalog.errors import CatalogError
from catalog.interface import Catalog
from catalog.model import AuditState, Holder
from catalog.unchanged import Unchanged
from marconi_proxy.audit.observation import Finding
from marconi_proxy.audit.round import RoundSummary
from marconi_proxy.background import LOOK, Interval, ended, run_as_singleton, take_lock
from marconi_proxy.clock import Clock

LOG = logging.getLogger(__name__)

# A whole round: what it found is handed to the first function, and how far it is to the second.
RunRound = Callable[[Callable[[Finding], Awaitable[None]], Callable[[RoundSummary], None]], Awaitable[RoundSummary]]

# Seconds for which the audit is held from each sign of life, and after which the next one is given.
HOLD = 300.0
_RENEWED = 60.0
# Findings of a round that are logged one by one.
_LOGGED = 100


class Auditor:
    """``name`` is host/pid/boot; ``interval``: seconds from the end of a round to the beginning of the next."""

    def __init__(
        self, catalog: Catalog, run_round: RunRound, clock: Clock, chance: random.Random, name: str, interval: float
    ) -> None:
        self._catalog = catalog
        self._run_round = run_round
        self._clock = clock
        self._chance = chance
        self._name = name
        self._interval = interval
        self._due = Interval(interval, clock, chance)
        self._watched: Unchanged[str] = Unchanged(clock.monotonic)
        self._told = 0

    async def run(self) -> None:
        """Go on for ever."""
        await run_as_singleton(self.visit, self._clock, self._chance, LOG)

    async def visit(self) -> float:
        """Do a round if it is time to; return after how many seconds to look again. Raises CatalogError."""
        wait = self._due.left((await self._catalog.audit.get()).ended)
        if wait > 0:
            return min(wait, LOOK)
        audit = await take_lock(self._watched, "audit", self._take)
        assert audit.holder is not None
        token = audit.holder.token
        try:
            # Another one may have come to an end just before.
            if self._due.left(audit.ended) <= 0:
                audit = await self._round(audit, token)
        finally:
            with contextlib.suppress(CatalogError):
                await self._catalog.audit.release(token)
        # Counted from now on, if this process has just done it.
        return min(self._due.left(audit.ended), LOOK)

    async def _take(self, over: Holder | None) -> AuditState:
        return await self._catalog.audit.acquire(self._name, HOLD, over=over)

    async def _round(self, audit: AuditState, token: int) -> AuditState:
        """Do a round; return what was found."""
        begun = self._clock.now()
        under_way = replace(audit, since=begun)
        await self._catalog.audit.save(under_way, token, HOLD)
        self._told = 0
        round_ = asyncio.ensure_future(self._run_round(self._report, lambda summary: None))
        renewing = asyncio.create_task(self._renew(under_way, token))
        try:
            await asyncio.wait({round_, renewing}, return_when=asyncio.FIRST_COMPLETED)
            if not round_.done():
                await renewing  # raises why it has ended
        finally:
            await ended([renewing, round_])
        found = round_.result()
        over = AuditState(
            begun=begun,
            ended=self._clock.now(),
            queues=found.queues,
            changed=found.changed,
            skipped=found.skipped,
            findings={str(kind): count for kind, count in found.findings.items()},
            unreachable=found.unreachable,
        )
        await self._catalog.audit.save(over, token, HOLD)
        counts = ", ".join(f"{count} {kind}" for kind, count in over.findings.items()) or "nothing wrong"
        LOG.info("audit: %d queues compared: %s; %d could not be asked for", found.queues, counts, found.skipped)
        for name, why in over.unreachable.items():
            LOG.warning("audit: not looked at, or not all of it: partition %s: %s", name, why)
        return over

    async def _renew(self, audit: AuditState, token: int) -> None:
        while True:
            await self._clock.sleep(_RENEWED)
            await self._catalog.audit.save(audit, token, HOLD)

    async def _report(self, finding: Finding) -> None:
        self._told += 1
        if self._told <= _LOGGED:
            LOG.warning(
                "audit: %s: %s/%s on %s as %s: %s",
                finding.kind,
                finding.project or "-",
                finding.queue,
                finding.partition,
                finding.backend_name,
                finding.words,
            )
