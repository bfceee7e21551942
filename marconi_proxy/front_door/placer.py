"""The partition of a queue, and the first and the last write of its placement.

Two rules decide. One is the pure ``routing.choice``. The other: a dead-letter queue shares the partition of its source
(API section 8.4). Its place is reserved before the source is placed, and looked up anew when it is created.
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from cachetools import TTLCache

from catalog.errors import PartitionUnknown, PlacementConflict
from catalog.interface import Catalog
from catalog.model import (
    TOPIC_PREFIX,
    Partition,
    Placement,
    PlacementState,
    QueueKey,
    Segment,
    Tenant,
)
from marconi_proxy.fencing import transitions
from marconi_proxy.fencing.transitions import hidden_name
from marconi_proxy.front_door.directory import Directory
from marconi_proxy.front_door.refusals import MAYBE_PROCESSED, NOT_PROCESSED, RequestRefused, not_found, unavailable
from marconi_proxy.routing.choice import Refusal, choose
from marconi_proxy.upstream.exchange import Upstream

# How often a compare-and-set that conflicts is tried anew before the call is refused (503).
ROUNDS = 10
# The most tenants with a logged refusal, and the seconds until their next refusal is logged.
_LOGGED = 1000
_LOGGED_FOR = 600.0

LOG = logging.getLogger(__name__)


def named(key: QueueKey) -> str:
    """Return a queue as log lines name it."""
    return f"{key.project or '-'}/{key.queue}"


def too_many_changes() -> RequestRefused:
    """Return the refusal of a call after ``ROUNDS`` conflicts of its compare-and-set."""
    return unavailable(f"Too many concurrent calls change this queue. {NOT_PROCESSED}")


class Placer:
    """Belongs to one worker. ``clock``: seconds since 1970; ``token`` makes a random one for each new placement."""

    def __init__(
        self, catalog: Catalog, directory: Directory, clock: Callable[[], float], token: Callable[[], str]
    ) -> None:
        self._catalog = catalog
        self._directory = directory
        self._clock = clock
        self._token = token
        self._logged: TTLCache[tuple[str, str | None], None] = TTLCache(_LOGGED, _LOGGED_FOR)

    async def choose(self, key: QueueKey, version: str, *, new: bool) -> Partition:
        """Return the partition for a ``new`` queue, or the one to ask about a queue without a placement. Raises
        RequestRefused, CatalogUnavailable."""
        tenant = await self._directory.tenant(key.project)
        chosen = choose(key, tenant, version, self._directory.partitions, new=new)
        if isinstance(chosen, Partition):
            return chosen
        if chosen is Refusal.VERSION_NOT_SPOKEN:
            # A server answers so for a version that is switched off (API section 1.1).
            raise not_found()
        if chosen is Refusal.PINNED_UNAVAILABLE and tenant is not None:
            self._log_refused(tenant, version)
            raise unavailable(
                f"No new queues of this project can be created with {version} now. The request was not processed; ask "
                "your operator, or retry after Retry-After seconds.",
                30,
            )
        raise unavailable(f"No partition can take this request. {NOT_PROCESSED}", 10)

    def _log_refused(self, tenant: Tenant, version: str) -> None:
        """Log that new queues of a tenant are refused, once for each pin and every ``_LOGGED_FOR`` seconds."""
        refused = tenant.project, tenant.pinned
        if refused not in self._logged:
            self._logged[refused] = None
            LOG.warning(
                "new queues of project %s are refused: it is pinned to partition %s, which takes none of %s now. "
                "Next: marconi-proxy tenant set %s --pin OTHER, or marconi-proxy partition show %s",
                tenant.project or "-",
                tenant.pinned,
                version,
                shlex.quote(tenant.project or "-"),
                tenant.pinned,
            )

    async def insert(self, key: QueueKey, version: str, dead_letter: str | None) -> tuple[Placement, bool]:
        """Insert a placement in state creating on the partition that the rules choose, after reserving the place of the
        dead-letter queue, if any; return as ``insert_at``. Raises RequestRefused, CatalogError."""
        partition = await self.choose(key, version, new=True)
        name = partition.name
        if dead_letter is not None and dead_letter != key.queue:
            name = await self._reserve(key, dead_letter, partition, version)
        return await self.insert_at(key, name, PlacementState.CREATING)

    async def insert_at(
        self,
        key: QueueKey,
        partition: str,
        state: PlacementState,
        group: str | None = None,
        segment: Segment | None = None,
    ) -> tuple[Placement, bool]:
        """Insert a placement of one segment on a partition; return (the placement in the catalog, whether this call
        inserted it).

        ``segment``: if the queue exists, the segment that it was seen as, so that its ids stay valid.
        """
        incarnation = self._token()
        if segment is None:
            segment = Segment(0, partition, key.queue.removeprefix(TOPIC_PREFIX))
            if await self._is_cleared_up(key):
                segment = Segment(1, partition, hidden_name(key.project, key.queue, incarnation, 1))
        placement = Placement(
            key.project, key.queue, 1, state, (segment,), since=self._clock(), group=group, incarnation=incarnation
        )
        try:
            return await self._catalog.placements.insert(placement)
        except PartitionUnknown:
            # An operator has just removed it, and the feed has not shown that yet.
            raise unavailable(f"The queue's partition was removed. {NOT_PROCESSED}") from None

    async def remove(self, placement: Placement) -> None:
        """Remove the placement of a queue that does not exist (any more).

        That of a dead-letter queue becomes ``reserved`` instead, with its last segment. The number of that segment
        stays, so no old id ever names a new message. Raises PlacementConflict, CatalogUnavailable.
        """
        if placement.group is None:
            await self._catalog.placements.remove(placement.key, placement.epoch, placement.incarnation)
            return
        await self._catalog.placements.replace(
            replace(
                placement,
                epoch=placement.epoch + 1,
                state=PlacementState.RESERVED,
                segments=placement.segments[-1:],
                since=self._clock(),
                move=None,
            )
        )

    async def _is_cleared_up(self, key: QueueKey) -> bool:
        """Return whether a move is still deleting queues of this name after the removal of their placement.

        A new queue of the same name on the same partition might be deleted too, by a call in flight. The move cannot
        begin anew, because that needs a placement.
        """
        return await self._catalog.moves.under_way(key) is not None

    async def _reserve(self, source: QueueKey, dead_letter: str, partition: Partition, version: str) -> str:
        """Return the name of the partition where the dead-letter queue is, or will be once it is created.

        Call this before the source is placed: a crash in between leaves a reservation, which is invisible and harmless.
        """
        home = await self._group(source, dead_letter, partition.name)
        if home == partition.name:
            return home
        upstream = await self._directory.upstream(home)
        if upstream is None or choose(source, None, version, [upstream.partition], new=True) != upstream.partition:
            raise unavailable(
                f"The partition of the dead-letter queue takes no new queues of {version}. {NOT_PROCESSED}", 30
            )
        return home

    async def _group(self, source: QueueKey, dead_letter: str, partition: str) -> str:
        """Bind a dead-letter queue to ``source``, reserving ``partition`` if it is not placed; return its partition."""
        key = QueueKey(source.project, dead_letter)
        placement = await self._catalog.placements.get(key)
        if placement is None:
            if await self._is_cleared_up(key):
                # Stores put dead letters into the queue that the metadata names: it can have no other name.
                raise unavailable(f"The old place of the dead-letter queue is being deleted. {NOT_PROCESSED}", 30)
            placement, _ = await self.insert_at(key, partition, PlacementState.RESERVED, group=source.queue)
        for _ in range(ROUNDS):
            if placement.state is PlacementState.SEALING:
                # Its next partition is not decided yet. A mover that sees the group before it seals moves both.
                raise unavailable(f"The dead-letter queue is being moved. {NOT_PROCESSED}")
            if placement.group is not None:
                return placement.partition
            if placement.segments[-1].backend_name != dead_letter:
                # Stores put dead letters into the queue that the metadata names.
                raise _apart(dead_letter)
            try:
                await self._catalog.placements.replace(
                    replace(placement, epoch=placement.epoch + 1, group=source.queue)
                )
            except PlacementConflict as conflict:
                if conflict.current is None:
                    return await self._group(source, dead_letter, partition)
                placement = conflict.current
            else:
                return placement.partition
        raise unavailable(f"Too many concurrent calls change the dead-letter queue. {NOT_PROCESSED}")

    async def follow_source(self, reserved: Placement) -> bool:
        """Move the reservation of a dead-letter queue to the partition where its source is by now.

        Return whether it had to move; the caller must then read the placement anew. Raises RequestRefused,
        CatalogError.
        """
        source = None if reserved.group is None else QueueKey(reserved.project, reserved.group)
        placement = None if source is None else await self._catalog.placements.get(source)
        if placement is None or source is None:
            return False
        if placement.state is PlacementState.SEALING:
            raise unavailable(f"The source of this dead-letter queue is being moved. {NOT_PROCESSED}")
        if placement.state is not PlacementState.OPEN or placement.partition == reserved.partition:
            return False
        move = await self._catalog.moves.under_way(source)
        if move is not None and move.destination == reserved.partition:
            # The source is being moved to the reserved partition.
            return False
        # On a conflict another writer was faster, and the caller reads anew all the same.
        with suppress(PlacementConflict):
            await self._catalog.placements.replace(transitions.rehome(reserved, placement.partition, self._clock()))
        return True

    async def tie(self, placement: Placement, dead_letter: str) -> None:
        """Bind ``dead_letter`` to its source, ``placement``, on the same partition. Raises RequestRefused (409 if it is
        on another partition), CatalogError."""
        if dead_letter == placement.queue:
            return
        if await self._group(placement.key, dead_letter, placement.partition) != placement.partition:
            raise _apart(dead_letter)

    async def upstream(self, segment: Segment) -> Upstream:
        """Return the way to a segment's partition. Raises RequestRefused, CatalogUnavailable."""
        upstream = await self._directory.upstream(segment.partition)
        if upstream is None:
            # A deletion may have reached other segments before this one.
            raise unavailable(f"The queue's partition is not registered. {MAYBE_PROCESSED}", 30)
        return upstream


def _apart(dead_letter: str) -> RequestRefused:
    return RequestRefused(
        409,
        "Resource conflict",
        f"Queue {dead_letter} is placed apart from this queue and cannot take its dead letters. The request was not "
        "processed; name a queue that does not exist yet, or delete both queues and create them again.",
    )
