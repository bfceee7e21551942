"""Ways to partitions on which only so many requests begin in a second."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from catalog.model import Partition
from marconi_proxy.clock import Clock
from marconi_proxy.inventory.rate import Rate
from marconi_proxy.upstream.connection import Answer
from marconi_proxy.upstream.exchange import Call, Upstream

Open = Callable[[Partition], Upstream]


class Paced:
    """Opens ways to partitions. ``per_second`` is for each of them."""

    def __init__(self, open_upstream: Open, per_second: float, clock: Clock) -> None:
        self._open_upstream = open_upstream
        self._per_second = per_second
        self._clock = clock
        self._rates: dict[str, Rate] = {}
        self._ways: dict[str, _Way] = {}

    def rate(self, partition: str) -> Rate:
        return self._rates.setdefault(partition, Rate(self._per_second, self._clock))

    def open(self, partition: Partition) -> Upstream:
        """As the way that it was made with, but each call waits for its turn."""
        way = self._ways.get(partition.name)
        if way is None or way.partition.hosts != partition.hosts:
            way = self._ways[partition.name] = _Way(self._open_upstream(partition), self.rate(partition.name))
        elif way.partition != partition:
            way.update(partition)
        return cast(Upstream, way)


class _Way:
    def __init__(self, upstream: Upstream, rate: Rate) -> None:
        self._upstream = upstream
        self._rate = rate

    async def send(self, call: Call, *, within: float | None = None) -> Answer:
        await self._rate.turn()
        return await self._upstream.send(call, within=within)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._upstream, name)
