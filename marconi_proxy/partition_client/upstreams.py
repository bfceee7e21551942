"""Upstreams of partitions: opened over one pool, cached by name, and paced."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any, cast

from oslo_config import cfg

from catalog.model import Partition
from marconi_proxy.clock import Clock, Pacer
from marconi_proxy.upstream.connection import UpstreamAnswer
from marconi_proxy.upstream.exchange import Upstream, UpstreamCall
from marconi_proxy.upstream.limits import UpstreamLimits
from marconi_proxy.upstream.pool import Pool

Open = Callable[[Partition], Upstream]


def make_upstreams(conf: cfg.ConfigOpts, stack: AsyncExitStack) -> Open:
    """Return a function that opens upstreams. ``stack`` closes the connections. Call this in the event loop."""
    limits = UpstreamLimits.from_options(conf)
    pool = Pool(
        connect_timeout=limits.connect_timeout,
        idle_timeout=limits.idle_timeout,
        max_head=limits.max_response_head,
        resolve_for=limits.resolve_for,
    )
    stack.callback(pool.close)
    chance = random.Random()  # noqa: S311 - spreads load, guards nothing
    return lambda partition: Upstream(partition, pool, limits, chance)


class Upstreams(dict[str, Upstream]):
    """A cache of upstreams by the name of the partition."""

    def __init__(self, open_upstream: Open) -> None:
        super().__init__()
        self._open = open_upstream

    def of(self, partition: Partition) -> Upstream:
        """Return the upstream of a partition, updated to this registration."""
        upstream = self.get(partition.name)
        if upstream is None:
            upstream = self[partition.name] = self._open(partition)
        else:
            upstream.update(partition)
        return upstream


class Paced:
    """Upstreams with a limited rate of requests. ``per_second``: for each partition."""

    def __init__(self, open_upstream: Open, per_second: float, clock: Clock) -> None:
        self._pacers = defaultdict[str, Pacer](lambda: Pacer(per_second, clock))
        self.open = Upstreams(lambda p: cast(Upstream, _Way(open_upstream(p), self.pacer(p.name)))).of

    def pacer(self, partition: str) -> Pacer:
        return self._pacers[partition]


class _Way:
    def __init__(self, upstream: Upstream, pacer: Pacer) -> None:
        self._upstream = upstream
        self._pacer = pacer

    async def send(self, call: UpstreamCall, *, within: float | None = None) -> UpstreamAnswer:
        await self._pacer.turn()
        return await self._upstream.send(call, within=within)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._upstream, name)
