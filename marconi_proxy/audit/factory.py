"""Rounds, repairs and the auditor, made from options and an open catalog."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from oslo_config import cfg

from catalog.interface import Catalog
from marconi_proxy.audit.auditor import Auditor
from marconi_proxy.audit.findings import AuditBounds
from marconi_proxy.audit.inspector import Inspector
from marconi_proxy.audit.observation import Finding
from marconi_proxy.audit.repair import Repair
from marconi_proxy.audit.round import AuditRound, RoundSummary, Scope
from marconi_proxy.clock import Clock, SystemClock
from marconi_proxy.front_door.directory import Directory
from marconi_proxy.front_door.lifecycle import Lifecycle
from marconi_proxy.moving.execution.steps.real import RealSteps
from marconi_proxy.partition_client.upstreams import Open, Paced, make_upstreams


def bounds_of(conf: cfg.ConfigOpts) -> AuditBounds:
    """Return the bounds that follow from the options of front door and mover."""
    clocks = conf.audit.clocks
    return AuditBounds(
        # The longest that a call or a takeover may take, as ``Lifecycle.settle`` has it.
        unfinished=conf.upstream.deadline + conf.directory.takeover_after + clocks,
        late=conf.moving.ambiguity + clocks,
    )


def make_auditor(conf: cfg.ConfigOpts, catalog: Catalog, stack: AsyncExitStack, name: str) -> Auditor | None:
    """Return an auditor over an open catalog, None if it is disabled.

    ``stack`` closes its connections. ``name``: host/pid/boot. Call this in the event loop.
    """
    if not conf.audit.rate:
        return None
    clock = SystemClock()
    factory = AuditFactory.open(conf, catalog, make_upstreams(conf, stack), clock, conf.audit.rate)

    async def run_round(
        on_finding: Callable[[Finding], Awaitable[None]], on_step: Callable[[RoundSummary], None]
    ) -> RoundSummary:
        return await factory.round(on_finding, on_step).run(Scope())

    chance = random.Random()  # noqa: S311 - spreads load, guards nothing
    return Auditor(catalog, run_round, clock, chance, name, conf.audit.interval)


@dataclass(frozen=True, slots=True)
class AuditFactory:
    """The parts that rounds and repairs share. ``open_upstream``: as from ``make_upstreams``."""

    conf: cfg.ConfigOpts
    catalog: Catalog
    open_upstream: Open
    clock: Clock
    paced: Paced
    steps: RealSteps
    inspector: Inspector
    bounds: AuditBounds

    @staticmethod
    def open(
        conf: cfg.ConfigOpts, catalog: Catalog, open_upstream: Open, clock: Clock, per_second: float
    ) -> AuditFactory:
        """Return a factory. ``per_second``: requests to each partition. Call this in the event loop."""
        paced = Paced(open_upstream, per_second, clock)
        steps = RealSteps(catalog, paced.open, clock)
        bounds = bounds_of(conf)
        inspector = Inspector(catalog, paced, steps, clock, bounds.late)
        return AuditFactory(conf, catalog, open_upstream, clock, paced, steps, inspector, bounds)

    def round(
        self, on_finding: Callable[[Finding], Awaitable[None]], on_step: Callable[[RoundSummary], Any]
    ) -> AuditRound:
        return AuditRound(
            self.catalog,
            self.open_upstream,
            self.paced,
            self.inspector,
            self.clock,
            self.bounds,
            confirm_after=self.conf.audit.confirm_after,
            on_finding=on_finding,
            on_step=on_step,
        )

    def repair(self, say: Callable[[Finding, str], None]) -> Repair:
        # Its calls are not paced, because a deletion must end within its deadline. ``Repair`` waits before it begins.
        directory = Directory(self.catalog, self.open_upstream, 1)
        lifecycle = Lifecycle(
            self.catalog,
            directory,
            takeover_after=self.conf.directory.takeover_after,
            deadline=self.conf.upstream.deadline,
            clock=self.clock.monotonic,
            wall=self.clock.now,
        )
        return Repair(self.catalog, self.inspector, self.steps, lifecycle, self.paced, self.clock, self.bounds, say)
