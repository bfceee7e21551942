"""Probes of partition hosts by a worker that forwards, so that no call of a client has to find out that a host is dead.

A probe is a GET of the health of a version that the partition speaks. The result decides over the ejection of the host
(``upstream.balance``). A partition with one host is not probed, because nothing follows from the result.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable

from catalog.model import PartitionState
from marconi_proxy.background import ended
from marconi_proxy.clock import Clock
from marconi_proxy.partition_client.call import own_call
from marconi_proxy.upstream.balance import Host
from marconi_proxy.upstream.exchange import Upstream, UpstreamCall

LOG = logging.getLogger(__name__)

# API section 1.12: answered by every release without reading a queue. The newest version first.
_PROBES = {
    "v2": own_call("GET", "/v2/ping", ""),
    "v1.1": own_call("GET", "/v1.1/ping", ""),
    "v1": own_call("GET", "/v1/health", ""),
}


def probe_of(upstream: Upstream) -> UpstreamCall | None:
    """Return the call that probes a host of a partition; None if none of its hosts is to be probed."""
    partition = upstream.partition
    if len(partition.hosts) == 1 or partition.state is PartitionState.DISABLED:
        return None
    return next((call for version, call in _PROBES.items() if version in partition.api_versions), None)


class HostProbes:
    """Probes the hosts of ``upstreams()`` every ``interval`` seconds, more or less; 0 for never. ``start`` it in the
    event loop, and ``stop`` it. No host is probed twice at a time."""

    def __init__(
        self, upstreams: Callable[[], Iterable[Upstream]], interval: float, clock: Clock, chance: random.Random
    ) -> None:
        self._upstreams = upstreams
        self._interval = interval
        self._clock = clock
        self._chance = chance
        self._under_way: dict[Host, asyncio.Task[None]] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._interval:
            self._task = asyncio.create_task(self._run(), name="host probes")

    async def stop(self) -> None:
        await ended([self._task, *self._under_way.values()])

    async def _run(self) -> None:
        while True:
            # The workers of a machine start together, and are not to probe together.
            await self._clock.sleep(self._interval * self._chance.uniform(0.7, 1.3))
            self.round()

    def round(self) -> None:
        """Begin a probe of each host that has none under way."""
        for upstream in self._upstreams():
            call = probe_of(upstream)
            for host in upstream.hosts if call is not None else ():
                if host not in self._under_way:
                    assert call is not None
                    task = asyncio.create_task(upstream.probe(host, call))
                    self._under_way[host] = task
                    task.add_done_callback(lambda _, host=host: self._under_way.pop(host))  # type: ignore[misc]
