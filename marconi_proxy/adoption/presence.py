"""Whether the queues of a plan still exist on their partitions."""

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

# The most queues in one listing: the largest page that every server allows.
TOGETHER = 20
_ATTEMPTS = 3


class AdoptionStopped(Exception):
    """The adoption cannot continue. Completed entries remain; it is safe to apply the plan again."""


class Presence:
    """Check the existence of queues. ``upstreams``: by partition. ``rate``: paces the requests to all of them together.

    All methods raise AdoptionStopped if a partition cannot be polled.
    """

    def __init__(self, upstreams: Mapping[str, Upstream], rate: Pacer) -> None:
        self._upstreams = upstreams
        self._rate = rate

    async def exists(self, key: QueueKey, partition: str) -> bool:
        """Return whether a partition has the queue under its own name."""
        return await self._poll(partition, lambda upstream: exists(upstream, key, key.queue.removeprefix(TOPIC_PREFIX)))

    async def existing(self, keys: Sequence[QueueKey], partition: str) -> set[QueueKey]:
        """Return the existing ones of at most TOGETHER keys, of one project, and either all queues or all topics."""
        found: set[QueueKey] = set()
        left = sorted(keys)
        while left:
            some = left
            try:
                there, left = await self._poll(partition, lambda upstream: existing(upstream, some))  # noqa: B023
            except MarkerIgnored:
                return {key for key in keys if await self.exists(key, partition)}
            found.update(there)
        return found

    async def _poll(self, partition: str, ask: Callable[[Upstream], Awaitable[T]]) -> T:
        """Call ``ask``, with retries. Raises MarkerIgnored if ``ask`` does."""
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
    """Yield batches of queues that one listing covers: of one project, on one partition only, and without a dead-letter
    queue that must be placed before them. Yield each other entry alone."""
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
