"""The mover as a process, a composition root: it opens the catalog and connections, and runs mover, plans, retention,
statistics and audit."""

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
from marconi_proxy.audit.factory import make_auditor
from marconi_proxy.background import ended
from marconi_proxy.clock import SystemClock
from marconi_proxy.moving.execution.move_feed import follow
from marconi_proxy.moving.factory import make_retention, make_steps, pace_of
from marconi_proxy.moving.mover import Mover
from marconi_proxy.moving.plans.executor import PlanExecutor, run_plans, until_news
from marconi_proxy.option_types import redacted
from marconi_proxy.serving.server import check_catalog, configure_logging
from marconi_proxy.statistics.factory import make_collector

LOG = logging.getLogger(__name__)


# Seconds for which a move of a plan counts as unchanged unless the feed shows a change.
_BELIEVED = 60.0
# Seconds for which a plan is left to the mover that changed it.
_YIELDS = 2.0


class PlanRunner:
    """Execute plans. ``changed`` is called for each change of a move, as the mover's is."""

    def __init__(self, conf: cfg.ConfigOpts, catalog: Catalog) -> None:
        longest = conf.moving.max_segments
        self._executor = PlanExecutor(
            catalog, clock=time.time, monotonic=time.monotonic, longest=longest, believed=_BELIEVED, yields=_YIELDS
        )
        self._news = asyncio.Event()

    def changed(self, move_id: str | None) -> None:
        self._executor.changed(move_id)
        self._news.set()

    async def run(self) -> None:
        """Execute plans for ever."""
        await run_plans(self._executor, sleep=until_news(self._news))


def serve(conf: cfg.ConfigOpts) -> None:
    """Run a mover until SIGTERM or SIGINT. Raises StartError if the catalog cannot be used."""
    configure_logging(conf.log.level)
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
        beside: list[Coroutine[Any, Any, None]] = [make_retention(conf, catalog).run()]
        mover = make_mover(conf, catalog, stack, name, beside)
        collector = make_collector(conf, catalog, stack, name)
        if collector is not None:
            beside.append(collector.run())
        auditor = make_auditor(conf, catalog, stack, name)
        if auditor is not None:
            beside.append(auditor.run())
        tasks = [asyncio.create_task(work) for work in beside]
        stack.push_async_callback(ended, tasks)
        LOG.info("mover %s is at work, catalog: %s", name, redacted(conf.catalog.uri))
        await mover.run(stop)
        LOG.info("mover %s has ended", name)


def make_mover(
    conf: cfg.ConfigOpts,
    catalog: Catalog,
    stack: AsyncExitStack,
    name: str,
    beside: list[Coroutine[Any, Any, None]],
) -> Mover:
    """Return a mover over an open catalog. The tasks to run beside it are appended to ``beside``; ``stack`` closes
    their connections."""
    steps = make_steps(conf, catalog, stack)
    chance = random.Random()  # noqa: S311 - spreads load, guards nothing
    mover = Mover(catalog, steps, pace_of(conf), SystemClock(), chance, name)
    runner = PlanRunner(conf, catalog)

    def changed(move_id: str | None, version: int | None) -> None:
        mover.changed(move_id, version)
        runner.changed(move_id)

    beside += [follow(catalog, changed, steps.partitions), steps.watch.run(), runner.run()]
    return mover
