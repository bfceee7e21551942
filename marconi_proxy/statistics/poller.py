"""The poller: reads the contents of segments at a limited rate, and pauses polls of an unreachable partition."""

from __future__ import annotations

import logging
from typing import Any

from catalog.model import Partition, PartitionState, QueueKey, Segment
from catalog.model.field import is_int
from marconi_proxy.clock import Clock, Pacer
from marconi_proxy.partition_client.outcome import CALL, Unready
from marconi_proxy.partition_client.queue_calls import QueueCalls
from marconi_proxy.partition_client.upstreams import Open, Upstreams
from marconi_proxy.statistics.totals import QueueCounts

LOG = logging.getLogger(__name__)

# Seconds for which a partition that did not answer is not polled.
LEFT_ALONE = 30.0
# More messages than a queue can have. An answer with such a count is invalid.
_TOO_MANY = 2**40


class Poller:
    """Poll the contents of segments. An instance belongs to one event loop."""

    def __init__(self, open_upstream: Open, clock: Clock, pacer: Pacer) -> None:
        self._upstreams = Upstreams(open_upstream)
        self._clock = clock
        self._pacer = pacer
        # By partition that did not answer: the monotonic time of its next poll.
        self._silent: dict[str, float] = {}

    async def poll(self, key: QueueKey, segment: Segment, partition: Partition | None) -> QueueCounts | None:
        """Return the counts of a segment, zeros if it has no queue, None if they are unknown.

        ``partition``: that of the segment, None if it is no longer registered.
        """
        if partition is None or partition.state is PartitionState.DISABLED or self._is_silent(partition.name):
            return None
        await self._pacer.turn()
        if self._is_silent(partition.name):  # a concurrent poll failed during the wait
            return None
        calls = QueueCalls(self._upstreams.of(partition), key, segment.backend_name, CALL)
        try:
            status, _, counts = await calls.stats()
        except Unready as error:
            self._fell_silent(partition.name, error)
            return None
        if self._silent.pop(partition.name, None) is not None:
            LOG.info("statistics: partition %s answers again", partition.name)
        if status == 404:  # v1: no such queue (API section 7)
            return QueueCounts()
        if counts is None:
            # Zaqar's MongoDB store fails while all messages of a queue are delayed.
            LOG.debug("statistics: partition %s answered %d to a request for stats", partition.name, status)
            return None
        return _counts_of(counts, self._clock.now())

    def _is_silent(self, name: str) -> bool:
        return self._clock.monotonic() < self._silent.get(name, 0.0)

    def _fell_silent(self, name: str, error: Unready) -> None:
        if name not in self._silent:
            LOG.warning("statistics: contents of partition %s are unknown until it answers: %s", name, error)
        self._silent[name] = self._clock.monotonic() + LEFT_ALONE


def _counts_of(counts: dict[str, Any], now: float) -> QueueCounts | None:
    free, claimed, total = (_count(counts, name) for name in ("free", "claimed", "total"))
    if free is None or claimed is None or total is None:
        return None
    oldest = counts.get("oldest")
    age = oldest.get("age") if isinstance(oldest, dict) else None
    return QueueCounts(
        # Topics have only a total (API section 4.12).
        free=free or max(0, total - claimed),
        claimed=claimed,
        oldest=float(int(now) - max(0, age)) if is_int(age) and age <= now else None,
    )


def _count(counts: dict[str, Any], name: str) -> int | None:
    # Zaqar may return negative counts (API section 2.13).
    found = counts.get(name, 0)
    return max(0, found) if is_int(found) and found < _TOO_MANY else None
