"""The creation of a queue: its placement is inserted first, then the client's call is forwarded.

The catalog's unique key decides the partition, so concurrent first calls agree on it. A crash leaves a placement in
state ``creating``. Listings do not show it, and the next creating call finishes it on the same partition.

A worker bumps the epoch of a placement that is not open before it forwards a creating call. So a placement that still
has the epoch of this worker had no call of another worker since.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from catalog.errors import CatalogError, CatalogUnavailable, PlacementConflict
from catalog.interface import Catalog
from catalog.model import Placement, PlacementState, QueueKey
from marconi_proxy.front_door.deletion import Deletion, Sender
from marconi_proxy.front_door.placer import ROUNDS, Placer, named, too_many_changes
from marconi_proxy.front_door.refusals import RequestRefused
from marconi_proxy.partition_client.existence import exists
from marconi_proxy.upstream.connection import UpstreamAnswer
from marconi_proxy.upstream.errors import NotSent, UpstreamError
from marconi_proxy.upstream.exchange import Guard

LOG = logging.getLogger(__name__)

_CREATED = (PlacementState.OPEN, PlacementState.SEALING)


class Creation:
    """Belongs to one worker. A call needs its turn (``Lifecycle``). ``deletion`` finishes abandoned deletions
    of the same name first. ``wall``: seconds since 1970, only to be written down. ``opened`` is called with each
    placement that this worker has opened."""

    def __init__(
        self,
        catalog: Catalog,
        placer: Placer,
        deletion: Deletion,
        wall: Callable[[], float],
        opened: Callable[[Placement], None],
    ) -> None:
        self._catalog = catalog
        self._placer = placer
        self._deletion = deletion
        self._wall = wall
        self._opened = opened

    async def create(
        self, key: QueueKey, version: str, send: Sender, dead_letter: str | None, guard: Guard | None
    ) -> UpstreamAnswer | None:
        """Place the queue, forward the creating call with ``send``, record the outcome; return the answer.

        Returns None, having sent nothing, if the queue is open. ``dead_letter``: the queue that the call names as
        dead-letter queue. Raises RequestRefused, CatalogError, UpstreamError.
        """
        begun = await self._begin(key, version, dead_letter, guard)
        if begun is None:
            return None
        placement, anew = begun
        try:
            answer = await send(placement)
        except NotSent:
            # If another worker began before, its call may have created the queue.
            if anew:
                await self._withdraw(placement)
            raise
        # Any other failure leaves ``creating``, because the call may have been processed.
        await self._record(placement, answer, anew=anew)
        return answer

    async def _begin(
        self, key: QueueKey, version: str, dead_letter: str | None, guard: Guard | None
    ) -> tuple[Placement, bool] | None:
        """Return (the placement in state creating under an epoch of this worker, whether no worker began before), None
        if the queue is open."""
        for _ in range(ROUNDS):
            current = await self._catalog.placements.get(key)
            if current is None:
                current, inserted = await self._placer.insert(key, version, dead_letter)
                if inserted:
                    return current, True
            if current.state in _CREATED:
                return None
            if current.state is PlacementState.DELETING:
                await self._deletion.finish(current, guard)
                continue
            if current.state is PlacementState.RESERVED and await self._placer.follow_source(current):
                continue
            if dead_letter is not None:
                await self._placer.tie(current, dead_letter)
            ours = replace(current, epoch=current.epoch + 1, state=PlacementState.CREATING, since=self._wall())
            try:
                await self._catalog.placements.replace(ours)
            except PlacementConflict:
                continue
            return ours, current.state is PlacementState.RESERVED
        raise too_many_changes()

    async def _record(self, placement: Placement, answer: UpstreamAnswer, *, anew: bool) -> None:
        """Record the outcome of a creating call. A failure to do so does not fail the call.

        ``anew``: no worker began before. If there is no queue then, no earlier call can create it later.
        """
        try:
            if 200 <= answer.status < 300:
                await self._open(placement)
            elif 400 <= answer.status < 500:
                # v2 creates the queue before it checks the body of a post (API section 4.6); v1.1 does not.
                await self.settle(placement, withdraw=anew)
        except (CatalogError, UpstreamError, RequestRefused) as error:
            _log_left(placement, error)

    async def settle(self, placement: Placement, *, withdraw: bool) -> None:
        """Open a placement in state creating if its queue exists on the partition; if not and ``withdraw``, remove it.
        Raises RequestRefused, CatalogError, UpstreamError."""
        if await self._exists(placement):
            await self._open(placement)
        elif withdraw:
            await self._withdraw(placement)

    async def _open(self, placement: Placement) -> None:
        """Open a placement over concurrent changes. ``placement``: as it was when its queue was seen to exist."""
        current = placement
        for _ in range(ROUNDS):
            ours = replace(current, epoch=current.epoch + 1, state=PlacementState.OPEN, since=self._wall())
            try:
                await self._catalog.placements.replace(ours)
                self._opened(ours)
                return
            except PlacementConflict as conflict:
                if conflict.current is None:
                    # Deleted, or withdrawn by a worker that saw no queue yet: the partition has the answer.
                    await self.adopt(placement)
                    return
                if (
                    conflict.current.state is not PlacementState.CREATING
                    or conflict.current.incarnation != placement.incarnation
                ):
                    # Open already, or of a later life: then its own worker opens it.
                    return
                current = conflict.current
        _log_left(placement, "too many concurrent calls change it")

    async def adopt(self, seen: Placement) -> None:
        """Insert a placement for a queue that exists on its partition and has none, as it was ``seen``.

        Do nothing while a move of the queue is under way: what is on the partition then is the rest of a deleted queue,
        which the move is going to delete. Raises RequestRefused, CatalogError, UpstreamError.
        """
        if await self._exists(seen) and await self._catalog.moves.under_way(seen.key) is None:
            await self._placer.insert_at(seen.key, seen.partition, PlacementState.OPEN, segment=seen.segments[-1])

    async def _exists(self, placement: Placement) -> bool:
        segment = placement.segments[-1]
        return await exists(await self._placer.upstream(segment), placement.key, segment.backend_name)

    async def _withdraw(self, placement: Placement) -> None:
        """Remove the placement of a queue that does not exist, unless another worker has bumped its epoch."""
        try:
            await self._placer.remove(placement)
        except PlacementConflict:
            pass
        except CatalogUnavailable as error:
            _log_left(placement, error)


def _log_left(placement: Placement, cause: object) -> None:
    LOG.warning(
        "queue %s stays in state %s on partition %s until the next call to it: %s",
        named(placement.key),
        placement.state,
        placement.partition,
        cause,
    )
