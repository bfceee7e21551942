"""Whether the queues of a plan are still on the partitions where it has them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from catalog.model import TOPIC_PREFIX, QueueKey
from marconi_proxy.adoption.entries import QueueConflict, Single
from marconi_proxy.clock import Pacer
from marconi_proxy.partition_client.existence import MarkerIgnored, existing, exists
from marconi_proxy.upstream.errors import UpstreamError
from marconi_proxy.upstream.exchange import Upstream

T = TypeVar("T")

# A line of a plan, and its number.
Entry = tuple[int, QueueConflict | Single]

# Queues in a question: the largest page that every server allows.
TOGETHER = 20
_ATTEMPTS = 3


class AdoptionStopped(Exception):
    """It cannot go on. What is done stays, and the plan can be applied again."""


class Presence:
    """``upstreams`` are the ways to partitions, by their names; ``rate`` bounds the requests to all of them together.
    Everything raises Stopped if a partition does not tell."""

    def __init__(self, upstreams: Mapping[str, Upstream], rate: Pacer) -> None:
        self._upstreams = upstreams
        self._rate = rate

    async def exists(self, key: QueueKey, partition: str) -> bool:
        """Tell whether a partition has the queue by its own name."""
        return await self._told(partition, lambda upstream: exists(upstream, key, key.queue.removeprefix(TOPIC_PREFIX)))

    async def existing(self, keys: Sequence[QueueKey], partition: str) -> set[QueueKey]:
        """Return those that a partition has of at most TOGETHER keys, of one project, all queues or all topics."""
        found: set[QueueKey] = set()
        left = sorted(keys)
        while left:
            some = left
            try:
                there, left = await self._told(partition, lambda upstream: existing(upstream, some))  # noqa: B023
            except MarkerIgnored:
                return {key for key in keys if await self.exists(key, partition)}
            found.update(there)
        return found

    async def _told(self, partition: str, ask: Callable[[Upstream], Awaitable[T]]) -> T:
        """Raises MarkerIgnored if ``ask`` does."""
        upstream = self._upstreams.get(partition)
        if upstream is None:
            raise AdoptionStopped(f"partition {partition} is not registered any more")
        for attempt in range(1, _ATTEMPTS + 1):
            await self._rate.turn()
            try:
                return await ask(upstream)
            except MarkerIgnored:
                raise
            except UpstreamError as error:
                if attempt == _ATTEMPTS:
                    raise AdoptionStopped(f"partition {partition}: {error}") from error
        raise AssertionError("the last attempt returns or raises")


def batches(entries: Iterator[Entry]) -> Iterator[list[Entry]]:
    """Put together what can be asked for at once: some queues that are on one partition only, of one project, and of
    which no others depend. Yield the rest one by one."""
    waiting: dict[tuple[str, bool], list[Entry]] = {}
    project: str | None = None
    for number, entry in entries:
        if isinstance(entry, QueueConflict) or entry.dead_letters is not None:
            yield [(number, entry)]
            continue
        if entry.project != project:
            project = entry.project
            yield from waiting.values()
            waiting.clear()
        place = (entry.partition, entry.queue.startswith(TOPIC_PREFIX))
        batch = waiting.setdefault(place, [])
        batch.append((number, entry))
        if len(batch) == TOGETHER:
            yield waiting.pop(place)
    yield from waiting.values()
