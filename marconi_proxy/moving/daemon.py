"""The mover as a process: what it needs is opened, and it runs until it is told to end."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
import signal
import socket  # noqa: TID251 - only for the host's name
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

from oslo_config import cfg

from catalog import open_catalog
from catalog.interface import Catalog
from catalog.model import Partition
from marconi_proxy.front_door.settings import Settings
from marconi_proxy.moving.clock import SystemClock
from marconi_proxy.moving.following import Following
from marconi_proxy.moving.mover import Mover
from marconi_proxy.moving.pace import Pace
from marconi_proxy.moving.steps.real import RealSteps
from marconi_proxy.option_types import redacted
from marconi_proxy.serving.logs import configure
from marconi_proxy.serving.server import check_catalog
from marconi_proxy.upstream.exchange import Limits, Upstream
from marconi_proxy.upstream.pool import Pool

LOG = logging.getLogger(__name__)


def pace_of(conf: cfg.ConfigOpts) -> Pace:
    """Return the options of ``[moving]`` that are the mover's."""
    return Pace(
        seal_timeout=conf.moving.seal_timeout,
        back_off=conf.moving.back_off,
        linger=conf.moving.linger,
        max_segments=conf.moving.max_segments,
        at_once=conf.moving.at_once,
        seals_per_second=conf.moving.seals_per_second,
        hold=conf.moving.hold,
        give_up_after=conf.moving.give_up_after,
    )


def beside(conf: cfg.ConfigOpts, catalog: Catalog) -> list[Coroutine[Any, Any, None]]:
    """Return what else runs in the mover's process, each for ever."""
    # The executor of plans: run_plans(catalog, clock=time.time, longest=conf.moving.max_segments)
    return []


def serve(conf: cfg.ConfigOpts) -> None:
    """Run a mover until SIGTERM or SIGINT. Raises StartError if the catalog cannot be used."""
    configure(conf.log.level)
    asyncio.run(check_catalog(conf.catalog.uri))
    asyncio.run(_serve(conf))


async def _serve(conf: cfg.ConfigOpts) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        catalog = await open_catalog(conf.catalog.uri)
        stack.push_async_callback(catalog.close)
        name = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"
        mover, following = make_mover(conf, catalog, stack, name)
        tasks = [asyncio.create_task(work) for work in (following.run(), *beside(conf, catalog))]
        stack.push_async_callback(_end, tasks)
        LOG.info("mover %s is at work, catalog: %s", name, redacted(conf.catalog.uri))
        await mover.run(stop)
        LOG.info("mover %s has ended", name)


def make_mover(conf: cfg.ConfigOpts, catalog: Catalog, stack: AsyncExitStack, name: str) -> tuple[Mover, Following]:
    """Return a mover over an open catalog, and what tells it of changes; ``stack`` closes what they need."""
    limits = Settings.from_options(conf).upstream
    pool = Pool(
        connect_timeout=limits.connect_timeout, idle_timeout=limits.idle_timeout, max_head=limits.max_response_head
    )
    stack.callback(pool.close)
    clock = SystemClock()
    chance = random.Random()  # noqa: S311 - spreads load, guards nothing
    # The two know each other: a position is asked of the feed, and the feed tells of moves.
    mover: Mover

    def changed(move_id: str | None, version: int | None) -> None:
        mover.changed(move_id, version)

    following = Following(catalog, changed)
    steps = RealSteps(catalog, _opening(pool, limits, chance), following.position, clock, lambda: secrets.token_hex(8))
    mover = Mover(catalog, steps, pace_of(conf), clock, chance, name)
    return mover, following


def _opening(pool: Pool, limits: Limits, chance: random.Random) -> Callable[[Partition], Upstream]:
    def open_upstream(partition: Partition) -> Upstream:
        return Upstream(partition, pool, limits, chance)

    return open_upstream


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
