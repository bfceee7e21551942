"""The collector, made from options and an open catalog."""

from __future__ import annotations

import random
from contextlib import AsyncExitStack

from oslo_config import cfg

from catalog.interface import Catalog
from marconi_proxy.clock import Pacer, SystemClock
from marconi_proxy.partition_client.upstreams import make_upstreams
from marconi_proxy.statistics.collector import Collector
from marconi_proxy.statistics.poller import Poller


def make_collector(conf: cfg.ConfigOpts, catalog: Catalog, stack: AsyncExitStack, name: str) -> Collector | None:
    """Return a collector over an open catalog, None if statistics are disabled.

    ``stack`` closes its connections. ``name``: host/pid/boot. Call this in the event loop.
    """
    per_second = conf.statistics.requests_per_second
    if not per_second:
        return None
    clock = SystemClock()
    poller = Poller(make_upstreams(conf, stack), clock, Pacer(per_second, clock))
    chance = random.Random()  # noqa: S311 - spreads load, guards nothing
    return Collector(
        catalog, poller.poll, clock, chance, name, per_second=per_second, interval=conf.statistics.interval
    )
