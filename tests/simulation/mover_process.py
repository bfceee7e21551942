"""Movers as processes of the simulated world: production's mover and what it needs, put together as its daemon does."""

from __future__ import annotations

import asyncio
import random

from catalog.interface import Catalog
from catalog.model import Partition
from marconi_proxy.moving.driving.following import follow
from marconi_proxy.moving.driving.pace import Pace
from marconi_proxy.moving.driving.steps.real import RealSteps
from marconi_proxy.moving.mover import Mover
from marconi_proxy.upstream.exchange import Limits, Upstream
from marconi_proxy.upstream.pool import Pool
from tests.simulation.virtual_loop import Actor, VirtualLoop


class WorldClock:
    """The world's time, for whoever drives moves. ``epoch``: what the loop's zero is in seconds since 1970."""

    def __init__(self, loop: VirtualLoop, epoch: float) -> None:
        self._loop = loop
        self._epoch = epoch

    def now(self) -> float:
        return self._epoch + self._loop.time()

    def monotonic(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def run_mover(
    actor: Actor, catalog: Catalog, clock: WorldClock, pace: Pace, limits: Limits, chance: random.Random
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
    beside = [asyncio.create_task(follow(catalog, changed)), asyncio.create_task(steps.watch.run())]
    await mover.run(asyncio.Event())
    for task in beside:
        task.cancel()
