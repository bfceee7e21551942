"""Queues come to be and go: every write of placements by the front door.

Creation: *insert first, then forward*. The unique key of the catalog decides which partition, so two first requests
agree; what each crash leaves is a placement in state ``creating``, which the next creating call finishes on the same
partition, and which listings do not show. Everybody who forwards a creating call to a placement that is not open stamps
it with a new epoch first; so an epoch that is still one's own says that nobody else's call is under way.

Deletion: ``deleting`` first, then the partition, then the catalog. Of a queue with history the last segment comes
first, with the client's own call, and the sealed ones follow: what the last refuses, is done nowhere. A crash leaves
``deleting``: creating calls wait for it, and whoever meets it after ``takeover_after`` seconds finishes it, on every
segment. Until then the first deleter's call might still arrive at the partition, and would take a new queue of the same
name along; so a deleter gives its call up after half of that time (``deletion_limit``). That a placement has been in a
state for so long is what this worker has watched on its own clock; it looks again by itself when the time is over.

Moves: a queue that is being created, deleted or reserved cannot be sealed, and all writes of placements here are
compare-and-set, so each of them either comes before a switch, which then fails, or after it and sees it. In particular
a deletion does not wait for the end of a seal: its ``deleting`` ends the seal, the mover's switch can only fail, and no
segment is opened any more. If it is refused, the queue is open again and not sealed: whoever has acknowledged the seal
has written since. Calls to partitions here have the fence's guard, as those of clients do: the caller's, or one of
their own, taken before the placement is written by which they go.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from weakref import WeakValueDictionary

from catalog.errors import CatalogError, CatalogUnavailable, PlacementConflict
from catalog.interface import Catalog
from catalog.model import Placement, PlacementState, QueueKey, Segment
from catalog.unchanged import Unchanged
from marconi_proxy.background import ended
from marconi_proxy.front_door.directory import Directory
from marconi_proxy.front_door.placer import ROUNDS, Placer
from marconi_proxy.front_door.refusals import NOT_PROCESSED, ClientGone, RequestRefused, unavailable
from marconi_proxy.front_door.write_gate import GuardedWrite, awake_or_not
from marconi_proxy.partition_client.existence import delete as delete_from
from marconi_proxy.partition_client.existence import exists
from marconi_proxy.upstream.connection import UpstreamAnswer
from marconi_proxy.upstream.errors import NotSent, UpstreamError, Withdrawn
from marconi_proxy.upstream.exchange import Guard

LOG = logging.getLogger(__name__)

# How many placements are watched at a time; and seconds after the end of a wait, so that it is over for certain.
_WATCHED = 10_000
_A_LITTLE = 0.1

# Sends the client's call to the segment of a placement that writes go to.
Sender = Callable[[Placement], Awaitable[UpstreamAnswer]]


class _InTime:
    """The guard of a deletion by who has no lease: nothing is sent after ``until``, however long this process was
    stopped, for others may have taken the deletion over, and a queue of the same name may have been created since."""

    def __init__(self, clock: Callable[[], float], until: float) -> None:
        self._clock = clock
        self._until = until

    def left(self) -> float:
        """Return how many seconds there are. Raises Withdrawn if there are none."""
        left = self._until - self._clock()
        if left <= 0:
            raise Withdrawn("the time for this deletion was used up")
        return left

    def sending(self) -> None:
        self.left()

    def answered(self, status: int) -> None:
        pass


def _always() -> bool:
    return True


def _token() -> str:
    return secrets.token_hex(8)


class Lifecycle:
    """Belongs to one worker. ``deadline``: seconds after which a call to a partition is given up; ``clock``: monotonic
    seconds, also while the machine sleeps; ``wall``: seconds since 1970, only to be written down; ``later(seconds,
    function, *arguments)`` calls it after so many seconds; ``token`` makes a random one for each new placement;
    ``begin`` counts a write of this worker's own."""

    def __init__(
        self,
        catalog: Catalog,
        directory: Directory,
        *,
        takeover_after: float,
        deadline: float,
        clock: Callable[[], float] = awake_or_not,
        wall: Callable[[], float] = time.time,
        later: Callable[..., object] | None = None,
        token: Callable[[], str] = _token,
        begin: Callable[[QueueKey], GuardedWrite] | None = None,
    ) -> None:
        self._catalog = catalog
        self._directory = directory
        self.placer = Placer(catalog, directory, wall, token)
        self._takeover_after = takeover_after
        self.deletion_limit = takeover_after / 2
        self._deadline = deadline
        self._clock = clock
        self._wall = wall
        self._later = later
        self._watched: Unchanged[QueueKey] = Unchanged(clock)
        self._timers: set[QueueKey] = set()
        self._stopped = False
        self._begin_write = begin
        self._locks: WeakValueDictionary[QueueKey, asyncio.Lock] = WeakValueDictionary()
        self._tasks: dict[QueueKey, asyncio.Task[None]] = {}
        self._again: dict[QueueKey, Segment] = {}

    @asynccontextmanager
    async def _turn(self, key: QueueKey) -> AsyncIterator[None]:
        """One change of a queue's placement at a time in this worker: of many first calls one does the work.

        Raises RequestRefused if the turn does not come before the deadline of calls.
        """
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        try:
            async with asyncio.timeout(self._deadline):
                await lock.acquire()
        except TimeoutError:
            raise unavailable(
                f"Timed out behind other calls that create or delete this queue. {NOT_PROCESSED}"
            ) from None
        try:
            yield
        finally:
            lock.release()

    async def stop(self) -> None:
        """Give up what runs in the background."""
        self._stopped = True
        self._again.clear()
        await ended(self._tasks.values())

    # -- creation ----------------------------------------------------------------------------------------------------

    async def create(
        self,
        key: QueueKey,
        version: str,
        send: Sender,
        dead_letter: str | None,
        wanted: Callable[[], bool] = _always,
        guard: Guard | None = None,
    ) -> UpstreamAnswer | None:
        """Place the queue, forward the creating call with ``send``, settle what its answer says; return the answer.

        Returns None, having sent nothing, if the queue is open by now: the call is then like any other. ``dead_letter``
        is the queue that the call names as dead-letter queue. ``wanted`` is asked when it is this call's turn: False
        ends it with ClientGone. ``guard`` of the call. Raises RequestRefused, CatalogError, UpstreamError.
        """
        async with self._turn(key):
            if not wanted():
                raise ClientGone
            known = await self._directory.find(key)
            if known is not None and known.state in (PlacementState.OPEN, PlacementState.SEALING):
                return None
            begun = await self._begin(key, version, dead_letter, guard)
            if begun is None:
                # Opened by another worker a moment ago; the news is on its way.
                self._directory.forget(key)
                return None
            placement, anew = begun
            try:
                answer = await send(placement)
            except NotSent:
                # A creation that somebody else began may have been done.
                if anew:
                    await self._withdraw(placement)
                raise
            # Any other failure leaves ``creating``: nobody knows whether the call was done.
            await self._settle_answer(placement, answer, anew=anew)
            return answer

    async def _begin(
        self, key: QueueKey, version: str, dead_letter: str | None, guard: Guard | None
    ) -> tuple[Placement, bool] | None:
        """Return (the placement in state creating under an epoch of our own, whether nobody began before us), None if
        the queue is open."""
        for _ in range(ROUNDS):
            current = await self._catalog.placements.get(key)
            if current is None:
                placement, inserted = await self.placer.insert(key, version, dead_letter)
                if inserted:
                    return placement, True
                current = placement
            if current.state in (PlacementState.OPEN, PlacementState.SEALING):
                return None
            if current.state is PlacementState.DELETING:
                await self._finish_deletion(current, guard)
                continue
            if current.state is PlacementState.RESERVED and await self.placer.follow_source(current):
                continue
            if dead_letter is not None:
                await self.placer.tie(current, dead_letter)
            ours = replace(current, epoch=current.epoch + 1, state=PlacementState.CREATING, since=self._wall())
            try:
                await self._catalog.placements.replace(ours)
            except PlacementConflict:
                continue
            return ours, current.state is PlacementState.RESERVED
        raise unavailable(f"Too many concurrent calls change this queue. {NOT_PROCESSED}")

    async def _settle_answer(self, placement: Placement, answer: UpstreamAnswer, *, anew: bool) -> None:
        """Write down what a creating call's answer says. Failing to is no failure of the call.

        ``anew``: nobody began before us, so if there is no queue, none can come of an earlier call either.
        """
        try:
            if 200 <= answer.status < 300:
                await self._open(placement)
            elif 400 <= answer.status < 500:
                # v2 creates the queue before it looks at the body of a post (API section 4.6); v1.1 does not.
                await self._settle_creating(placement, withdraw=anew)
        except (CatalogError, UpstreamError, RequestRefused) as error:
            LOG.warning("a placement on %s stays in state creating: %s", placement.partition, error)

    async def _open(self, placement: Placement) -> None:
        """Make it open, whoever else is at it. ``placement`` is as it was when the queue was seen to exist."""
        current = placement
        for _ in range(ROUNDS):
            try:
                await self._catalog.placements.replace(
                    replace(current, epoch=current.epoch + 1, state=PlacementState.OPEN, since=self._wall())
                )
                return
            except PlacementConflict as conflict:
                if conflict.current is None:
                    # Deleted, or withdrawn by somebody who saw no queue yet: the partition tells which.
                    await self._adopt(placement)
                    return
                if (
                    conflict.current.state is not PlacementState.CREATING
                    or conflict.current.incarnation != placement.incarnation
                ):
                    # Of another life, created by somebody after our queue was deleted: theirs to open.
                    return
                current = conflict.current
        LOG.warning("a placement on %s stays in state creating: too many change it", placement.partition)

    async def _withdraw(self, placement: Placement) -> None:
        """Take back a placement whose queue does not exist. If others stamped it meanwhile, it is theirs."""
        try:
            await self._forget(placement)
        except PlacementConflict:
            pass
        except CatalogUnavailable as error:
            LOG.warning("a placement on %s stays in state %s: %s", placement.partition, placement.state, error)

    async def _forget(self, placement: Placement) -> None:
        """Remove the placement of a queue that is not there (any more); of a dead-letter queue the place stays
        reserved: that of its last segment, which keeps its number, so that no old id ever means a new message. Raises
        PlacementConflict, CatalogUnavailable."""
        if placement.group is None:
            await self._catalog.placements.remove(placement.key, placement.epoch, placement.incarnation)
        else:
            await self._catalog.placements.replace(
                replace(
                    placement,
                    epoch=placement.epoch + 1,
                    state=PlacementState.RESERVED,
                    segments=placement.segments[-1:],
                    since=self._wall(),
                    move=None,
                )
            )

    # -- putting right what somebody left ----------------------------------------------------------------------------

    def settle_later(self, key: QueueKey, segment: Segment) -> None:
        """Have ``settle`` done in the background, once at a time for a queue, and after all that led to this call."""
        if key in self._tasks:
            # The one under way may have looked already.
            self._again[key] = segment
            return
        task = self._tasks[key] = asyncio.create_task(self._settle_quietly(key, segment))
        task.add_done_callback(lambda task: self._settled(key, task))

    def _settled(self, key: QueueKey, task: asyncio.Task[None]) -> None:
        self._tasks.pop(key, None)
        segment = self._again.pop(key, None)
        if segment is not None and not task.cancelled():
            self.settle_later(key, segment)

    async def _settle_quietly(self, key: QueueKey, segment: Segment) -> None:
        try:
            await self.settle(key, segment)
        except (CatalogError, UpstreamError, RequestRefused) as error:
            LOG.info("a placement on %s is not settled yet: %s", segment.partition, error)

    async def settle(self, key: QueueKey, segment: Segment) -> None:
        """Bring catalog and partition in line, for a queue last seen as ``segment``. Raises as ``create``."""
        async with self._turn(key):
            placement = await self._catalog.placements.get(key)
            if placement is None:
                await self._adopt(Placement(key.project, key.queue, 1, PlacementState.CREATING, (segment,)))
            elif placement.state is PlacementState.CREATING:
                # Removed only when no creating call of the worker that stamped it can be in flight any more.
                over = self._stands_for(placement, self._deadline + self._takeover_after)
                await self._settle_creating(placement, withdraw=over)
            elif placement.state is PlacementState.DELETING and self._abandoned(placement):
                await self._take_over_deletion(placement)

    async def _take_over_deletion(self, placement: Placement) -> None:
        # Counted before the placement is written by which it goes on: from there on no other segment can be opened.
        write = None if self._begin_write is None else self._begin_write(placement.key)
        try:
            await self._finish_deletion(placement, write)
        finally:
            if write is not None:
                write.end()

    async def _settle_creating(self, placement: Placement, *, withdraw: bool) -> None:
        if await self._is_there(placement):
            await self._open(placement)
        elif withdraw:
            await self._withdraw(placement)

    async def _adopt(self, seen: Placement) -> None:
        """Insert a placement for a queue that exists on its partition though the catalog has forgotten it.

        Not while a move of the queue has to clear up: then it is what the move left of the queue that was deleted.
        """
        if await self._is_there(seen):
            if await self._catalog.moves.under_way(seen.key) is not None:
                return
            await self.placer.insert_at(seen.key, seen.partition, PlacementState.OPEN, segment=seen.segments[-1])

    async def _is_there(self, placement: Placement) -> bool:
        segment = placement.segments[-1]
        return await exists(await self.placer.upstream(segment), placement.key, segment.backend_name)

    # -- deletion ----------------------------------------------------------------------------------------------------

    async def delete(
        self, key: QueueKey, send: Sender, wanted: Callable[[], bool] = _always, guard: Guard | None = None
    ) -> UpstreamAnswer | None:
        """Delete the queue from its partitions, from the last segment's with the client's own call, then from the
        catalog; return the answer.

        Returns None, having sent nothing, if there is no placement. A deletion that the partition of the last segment
        refuses changes nothing. ``wanted`` and ``guard`` as in ``create``. Raises RequestRefused, CatalogError,
        UpstreamError.
        """
        async with self._turn(key):
            if not wanted():
                raise ClientGone
            for _ in range(ROUNDS):
                current = await self._catalog.placements.get(key)
                if current is None:
                    # Deleted by another worker a moment ago; the news is on its way.
                    self._directory.forget(key)
                    return None
                if current.state is PlacementState.DELETING and not self._abandoned(current):
                    raise self._being_deleted()
                begun = self._clock()
                ours = replace(current, epoch=current.epoch + 1, state=PlacementState.DELETING, since=self._wall())
                try:
                    await self._catalog.placements.replace(ours)
                except PlacementConflict:
                    continue
                return await self._delete(current, ours, begun, send, guard)
        raise unavailable(f"Too many concurrent calls change this queue. {NOT_PROCESSED}")

    async def _delete(
        self, before: Placement, ours: Placement, begun: float, send: Sender, guard: Guard | None
    ) -> UpstreamAnswer:
        try:
            answer = await send(ours)
        except NotSent:
            await self._revert(before, ours)
            raise
        # Any other failure leaves ``deleting``: the call may still be done.
        if answer.status < 300:
            await self._delete_sealed(ours, begun, guard)
            # Who deletes what is only reserved, gives up the reservation.
            if before.state is PlacementState.RESERVED:
                ours = replace(ours, group=None)
            try:
                await self._forget(ours)
            except PlacementConflict:
                LOG.info("a deletion was finished by another worker")
            except CatalogUnavailable as error:
                LOG.warning("a placement on %s stays in state deleting: %s", ours.partition, error)
        elif answer.status < 500:
            await self._revert(before, ours)
        return answer

    async def _delete_sealed(self, ours: Placement, begun: float, guard: Guard | None) -> None:
        """Delete all segments but the last, of a deletion that was ``begun`` at this time. Raises RequestRefused if it
        cannot be done: the deletion is to be finished later."""
        in_time = _InTime(self._clock, begun + self.deletion_limit)
        for segment in ours.segments[:-1]:
            try:
                upstream = await self.placer.upstream(segment)
                await delete_from(
                    upstream, ours.key, segment.backend_name, within=in_time.left(), guard=guard or in_time
                )
            except (UpstreamError, CatalogError) as error:
                LOG.info("a deletion was done in part: %s", error)
                raise unavailable(
                    "The queue was deleted in part: one of its partitions cannot be reached. Repeat the deletion after "
                    "Retry-After seconds.",
                    max(1, int(self._takeover_after)),
                ) from error

    async def _revert(self, before: Placement, ours: Placement) -> None:
        """Restore the state before, for nothing was deleted; from a seal the queue becomes open, as in
        ``fencing.transitions.abort``."""
        ended = before.state in (PlacementState.DELETING, PlacementState.SEALING)
        state = PlacementState.OPEN if ended else before.state
        move = ours.move if len(ours.segments) > 1 else None
        back = replace(ours, epoch=ours.epoch + 1, state=state, since=self._wall(), move=move)
        try:
            await self._catalog.placements.replace(back)
        except (PlacementConflict, CatalogUnavailable) as error:
            LOG.warning("a placement on %s stays in state deleting: %s", ours.partition, error)

    def _abandoned(self, placement: Placement) -> bool:
        return self._stands_for(placement, self._takeover_after)

    def _stands_for(self, placement: Placement, seconds: float) -> bool:
        """Return whether this worker has watched the placement unchanged for so long; if not, schedule another look."""
        key = placement.key
        if len(self._watched) > _WATCHED:
            self._watched.keep(lambda _: False)
        standing = self._watched.seen(key, (placement.incarnation, placement.epoch), self._clock())
        if standing > seconds:
            return True
        if self._later is not None and key not in self._timers:
            self._timers.add(key)
            self._later(seconds - standing + _A_LITTLE, self._look_again, key, placement.segments[-1])
        return False

    def _look_again(self, key: QueueKey, segment: Segment) -> None:
        self._timers.discard(key)
        if not self._stopped:
            self.settle_later(key, segment)

    def _being_deleted(self) -> RequestRefused:
        return unavailable(f"This queue is being deleted. {NOT_PROCESSED}", max(1, int(self._takeover_after)))

    async def _finish_deletion(self, placement: Placement, guard: Guard | None) -> None:
        """Finish what another worker left. Raises RequestRefused if that one may still be at it."""
        if not self._abandoned(placement):
            raise self._being_deleted()
        in_time = _InTime(self._clock, self._clock() + self.deletion_limit)
        ours = replace(placement, epoch=placement.epoch + 1, since=self._wall())
        try:
            await self._catalog.placements.replace(ours)
            for segment in ours.segments:
                upstream = await self.placer.upstream(segment)
                within = in_time.left()
                await delete_from(upstream, ours.key, segment.backend_name, within=within, guard=guard or in_time)
            await self._forget(ours)
        except PlacementConflict:
            # Somebody else was faster; the caller reads anew.
            return
