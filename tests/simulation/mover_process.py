"""Movers as processes of the simulated world: production's mover and what it needs, put together as its daemon does."""

from __future__ import annotations

import asyncio
import random

from catalog.interface import Catalog
from catalog.model import Partition
from marconi_proxy.moving.execution.move_feed import follow
from marconi_proxy.moving.execution.pace import MovePace
from marconi_proxy.moving.execution.steps.real import RealSteps
from marconi_proxy.moving.mover import Mover
from marconi_proxy.upstream.exchange import Upstream
from marconi_proxy.upstream.limits import UpstreamLimits
from marconi_proxy.upstream.pool import Pool
from tests.simulation.virtual_loop import Actor, VirtualLoop


class WorldClock:
    """The clocks of one machine. ``epoch``: what the loop's zero is in seconds since 1970, as long as the wall's clock
    is right. That one may be ``step``ped, goes faster by ``drift`` and is ``offset`` from the others'; the monotonic
    one goes at its own ``rate``, and stands still while the machine is paused."""

    def __init__(
        self, loop: VirtualLoop, epoch: float, offset: float = 0.0, drift: float = 0.0, rate: float = 1.0
    ) -> None:
        self._loop = loop
        self._epoch = epoch + offset
        self._drift = drift
        self.rate = rate
        self._stood = 0.0
        self._paused_at: float | None = None

    def now(self) -> float:
        return self._epoch + self._loop.now * (1.0 + self._drift)

    def monotonic(self) -> float:
        now = self._loop.now if self._paused_at is None else self._paused_at
        return (now - self._stood) * self.rate

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def step(self, seconds: float) -> None:
        """Set the wall's clock."""
        self._epoch += seconds

    def pause(self) -> None:
        """Stop the machine: its clocks stand still."""
        self._paused_at = self._loop.now

    def resume(self) -> None:
        """Let it go on where it was."""
        assert self._paused_at is not None
        stood = self._loop.now - self._paused_at
        self._paused_at = None
        self._stood += stood
        self._epoch -= stood


async def run_mover(
    actor: Actor, catalog: Catalog, clock: WorldClock, pace: MovePace, limits: UpstreamLimits, chance: random.Random
) -> None:
    """Be a mover, for ever."""
    pool = Pool(
        connect_timeout=limits.connect_timeout, idle_timeout=limits.idle_timeout, max_head=limits.max_response_head
    )
    mover: Mover

    def changed(move_id: str | None, version: int | None) -> None:
        mover.changed(move_id, version)

    def open_upstream(partition: Partition) -> Upstream:
        return Upstream(partition, pool, limits, chance)

    steps = RealSteps(catalog, open_upstream, clock)
    mover = Mover(catalog, steps, pace, clock, chance, actor.name)
    beside = [asyncio.create_task(follow(catalog, changed, steps.partitions)), asyncio.create_task(steps.watch.run())]
    await mover.run(asyncio.Event())
    for task in beside:
        task.cancel()
