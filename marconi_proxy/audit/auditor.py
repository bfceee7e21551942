"""The auditor runs one round after the other in the background of a mover. It runs as a singleton among all movers.

A crash leaves the lock, which expires, and the findings of the previous round; the next holder begins a new round. The
auditor repairs nothing: it logs findings and stores their counts in the catalog, where the admin API reads them.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace

from catalog.interface import Catalog
from catalog.model import AuditState
from marconi_proxy.audit.observation import Finding
from marconi_proxy.audit.round import RoundSummary
from marconi_proxy.background import Singleton, ended
from marconi_proxy.clock import Clock

LOG = logging.getLogger(__name__)

# Run a round. The first function receives each finding, the second the counts so far.
RunRound = Callable[[Callable[[Finding], Awaitable[None]], Callable[[RoundSummary], None]], Awaitable[RoundSummary]]

# Seconds until the lock expires after a heartbeat, and seconds between two heartbeats.
HOLD = 300.0
_RENEWED = 60.0
# The most findings of a round that are logged one by one.
_LOGGED = 100


class Auditor:
    """Run rounds. ``name``: host/pid/boot. ``interval``: seconds from the end of a round to the start of the next."""

    def __init__(
        self, catalog: Catalog, run_round: RunRound, clock: Clock, chance: random.Random, name: str, interval: float
    ) -> None:
        self._catalog = catalog
        self._run_round = run_round
        self._clock = clock
        self._singleton = Singleton(catalog.audit, name, HOLD, interval, clock, chance, LOG)
        self._told = 0

    async def run(self) -> None:
        """Visit until cancelled."""
        await self._singleton.run(self._round)

    async def visit(self) -> float:
        """Run a round if one is due; return the seconds until the next visit. Raises CatalogError."""
        return await self._singleton.visit(self._round)

    async def _round(self, audit: AuditState, token: int) -> AuditState:
        """Run a round and store its counts; return them."""
        begun = self._clock.now()
        under_way = replace(audit, since=begun)
        await self._catalog.audit.save(under_way, token, HOLD)
        self._told = 0
        round_ = asyncio.ensure_future(self._run_round(self._report, lambda summary: None))
        renewing = asyncio.create_task(self._renew(under_way, token))
        try:
            await asyncio.wait({round_, renewing}, return_when=asyncio.FIRST_COMPLETED)
            if not round_.done():
                await renewing  # raises the cause of its end
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
        counts = ", ".join(f"{count} {kind}" for kind, count in over.findings.items()) or "no findings"
        LOG.info("audit: %d queues compared: %s; %d could not be polled", found.queues, counts, found.skipped)
        for name, why in over.unreachable.items():
            LOG.warning("audit: not read, or not completely: partition %s: %s", name, why)
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
