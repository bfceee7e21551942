"""The deletion of a queue: first its placement becomes ``deleting``, then the partitions, then the catalog.

Of a queue with history the last segment comes first, with the client's own call; the sealed ones follow. So a refusal
by the last segment leaves the whole queue as it was.

A crash leaves ``deleting``, and creating calls are refused until it ends. A worker that has watched it unchanged for
``takeover_after`` seconds finishes it, on every segment. Until then a call of the first worker may still arrive at a
partition, where it would delete a new queue of the same name. So a worker gives up its calls after half of that time
(``Deletion.limit``).

A deletion does not wait for the end of a seal. Its ``deleting`` ends the seal: the mover's switch fails, and no segment
is opened. After a refusal the queue is open and not sealed again, because workers that acknowledged the seal may have
written since.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from catalog.errors import CatalogError, CatalogUnavailable, PlacementConflict
from catalog.interface import Catalog
from catalog.model import Placement, PlacementState, QueueKey
from marconi_proxy.front_door.placement_watch import PlacementWatch
from marconi_proxy.front_door.placer import ROUNDS, Placer, named, too_many_changes
from marconi_proxy.front_door.refusals import NOT_PROCESSED, RequestRefused, unavailable
from marconi_proxy.partition_client.existence import delete as delete_from
from marconi_proxy.upstream.connection import UpstreamAnswer
from marconi_proxy.upstream.errors import NotSent, UpstreamError, Withdrawn
from marconi_proxy.upstream.exchange import Guard

LOG = logging.getLogger(__name__)

# Sends the client's call to the last segment of a placement, where writes go.
Sender = Callable[[Placement], Awaitable[UpstreamAnswer]]


class _TimeLimit:
    """The guard of a deletion without a lease: nothing is sent after ``until``, however long this process was stopped.
    By then another worker may have finished the deletion, and a queue of the same name may exist."""

    def __init__(self, clock: Callable[[], float], until: float) -> None:
        self._clock = clock
        self._until = until

    def left(self) -> float:
        """Return the seconds left. Raises Withdrawn if there are none."""
        left = self._until - self._clock()
        if left <= 0:
            raise Withdrawn("the time of this deletion was used up")
        return left

    def sending(self) -> None:
        self.left()

    def answered(self, status: int) -> None:
        pass


class Deletion:
    """Belongs to one worker. A call needs its turn (``Lifecycle``). ``clock``: monotonic seconds, also while
    the machine sleeps; ``wall``: seconds since 1970, only to be written down."""

    def __init__(
        self,
        catalog: Catalog,
        placer: Placer,
        watch: PlacementWatch,
        takeover_after: float,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._catalog = catalog
        self._placer = placer
        self._watch = watch
        self._takeover_after = takeover_after
        self.limit = takeover_after / 2
        self._clock = clock
        self._wall = wall

    async def delete(self, key: QueueKey, send: Sender, guard: Guard | None) -> UpstreamAnswer | None:
        """Delete the queue from its partitions, from that of the last segment with ``send``, then from the catalog;
        return the answer to ``send``.

        Returns None, having sent nothing, if there is no placement. A deletion that the partition of the last segment
        refuses changes nothing. Raises RequestRefused, CatalogError, UpstreamError.
        """
        for _ in range(ROUNDS):
            current = await self._catalog.placements.get(key)
            if current is None:
                return None
            if current.state is PlacementState.DELETING and not self.abandoned(current):
                raise self._being_deleted()
            limit = _TimeLimit(self._clock, self._clock() + self.limit)
            ours = replace(current, epoch=current.epoch + 1, state=PlacementState.DELETING, since=self._wall())
            try:
                await self._catalog.placements.replace(ours)
            except PlacementConflict:
                continue
            # A crash from here on leaves ``deleting``.
            return await self._delete(current, ours, limit, send, guard)
        raise too_many_changes()

    async def _delete(
        self, before: Placement, ours: Placement, limit: _TimeLimit, send: Sender, guard: Guard | None
    ) -> UpstreamAnswer:
        try:
            answer = await send(ours)
        except NotSent:
            await self._revert(before, ours)
            raise
        # Any other failure leaves ``deleting``, because the call may still be processed.
        if answer.status < 300:
            await self._delete_sealed(ours, limit, guard)
            # To delete a queue that is only reserved is to give up its reservation.
            if before.state is PlacementState.RESERVED:
                ours = replace(ours, group=None)
            try:
                await self._placer.remove(ours)
            except PlacementConflict:
                LOG.info("queue %s: another worker finished its deletion", named(ours.key))
            except CatalogUnavailable as error:
                self._log_left(ours, error)
        elif answer.status < 500:
            await self._revert(before, ours)
        return answer

    async def _delete_sealed(self, ours: Placement, limit: _TimeLimit, guard: Guard | None) -> None:
        """Delete all segments but the last. Raises RequestRefused if one is left, for a later call to finish."""
        for segment in ours.segments[:-1]:
            try:
                upstream = await self._placer.upstream(segment)
                await delete_from(upstream, ours.key, segment.backend_name, within=limit.left(), guard=guard or limit)
            except (UpstreamError, CatalogError) as error:
                LOG.info("queue %s was deleted in part: %s", named(ours.key), error)
                raise unavailable(
                    "The queue was deleted in part: one of its partitions cannot be reached. Repeat the deletion after "
                    "Retry-After seconds.",
                    max(1, int(self._takeover_after)),
                ) from error

    async def _revert(self, before: Placement, ours: Placement) -> None:
        """Restore the state ``before``, because nothing was deleted. A seal or an abandoned deletion becomes open, as
        in ``fencing.transitions.abort``."""
        ended = before.state in (PlacementState.DELETING, PlacementState.SEALING)
        state = PlacementState.OPEN if ended else before.state
        move = ours.move if len(ours.segments) > 1 else None
        back = replace(ours, epoch=ours.epoch + 1, state=state, since=self._wall(), move=move)
        try:
            await self._catalog.placements.replace(back)
        except (PlacementConflict, CatalogUnavailable) as error:
            self._log_left(ours, error)

    def _log_left(self, ours: Placement, error: Exception) -> None:
        LOG.warning(
            "queue %s stays in state deleting on partition %s until a call to it after %g s: %s",
            named(ours.key),
            ours.partition,
            self._takeover_after,
            error,
        )

    def abandoned(self, placement: Placement) -> bool:
        """Return whether this worker may finish the deletion; if not, schedule another look."""
        return self._watch.unchanged(placement, self._takeover_after)

    def _being_deleted(self) -> RequestRefused:
        return unavailable(f"This queue is being deleted. {NOT_PROCESSED}", max(1, int(self._takeover_after)))

    async def finish(self, placement: Placement, guard: Guard | None) -> None:
        """Finish the deletion that another worker left, or return because a third one was faster: the caller reads the
        placement anew. Raises RequestRefused if its first worker may still be at it, CatalogError, UpstreamError."""
        if not self.abandoned(placement):
            raise self._being_deleted()
        limit = _TimeLimit(self._clock, self._clock() + self.limit)
        ours = replace(placement, epoch=placement.epoch + 1, since=self._wall())
        try:
            await self._catalog.placements.replace(ours)
            # A crash from here on leaves ``deleting``, to be taken over again.
            for segment in ours.segments:
                upstream = await self._placer.upstream(segment)
                await delete_from(upstream, ours.key, segment.backend_name, within=limit.left(), guard=guard or limit)
            await self._placer.remove(ours)
        except PlacementConflict:
            return
