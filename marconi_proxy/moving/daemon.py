"""The mover as a process: what it needs is opened, and it runs until it is told to end."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
import signal
import socket  # noqa: TID251 - only for the host's name
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

from oslo_config import cfg

from catalog import open_catalog
from catalog.interface import Catalog
from marconi_proxy.moving.clock import SystemClock
from marconi_proxy.moving.following import Following
from marconi_proxy.moving.mover import Mover
from marconi_proxy.moving.opening import make_steps, pace_of
from marconi_proxy.moving.plans.executor import run_plans
from marconi_proxy.option_types import redacted
from marconi_proxy.serving.logs import configure
from marconi_proxy.serving.server import check_catalog

LOG = logging.getLogger(__name__)


def beside(conf: cfg.ConfigOpts, catalog: Catalog) -> list[Coroutine[Any, Any, None]]:
    """Return what else runs in the mover's process, each for ever."""
    return [run_plans(catalog, clock=time.time, longest=conf.moving.max_segments)]


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
    # The two know each other: a position is asked of the feed, and the feed tells of moves.
    mover: Mover

    def changed(move_id: str | None, version: int | None) -> None:
        mover.changed(move_id, version)

    following = Following(catalog, changed)
    steps = make_steps(conf, catalog, following.position, stack)
    chance = random.Random()  # noqa: S311 - spreads load, guards nothing
    mover = Mover(catalog, steps, pace_of(conf), SystemClock(), chance, name)
    return mover, following


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
