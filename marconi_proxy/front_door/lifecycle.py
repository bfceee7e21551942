"""The life of queues: every write of placements by the front door, one call at a time for each queue.

``creation`` and ``deletion`` have the two protocols. Here are the turns of concurrent calls, and the background work
that settles what a crash or a lost answer left.

Queues in state creating, deleting or reserved cannot be sealed, and every write of a placement is a compare-and-set. So
each write comes before a switch, which fails then, or after it and sees it.

Calls to partitions have a guard of the fence, as the calls of clients do: that of the client's call, or one of this
worker's own. It is taken before the write of the placement on which the call is based.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from catalog.errors import CatalogError
from catalog.interface import Catalog
from catalog.model import Placement, PlacementState, QueueKey, Segment
from marconi_proxy.background import ended
from marconi_proxy.front_door.creation import Creation
from marconi_proxy.front_door.deletion import Deletion, Sender
from marconi_proxy.front_door.directory import Directory
from marconi_proxy.front_door.placement_watch import PlacementWatch
from marconi_proxy.front_door.placer import Placer, named
from marconi_proxy.front_door.refusals import NOT_PROCESSED, ClientGone, RequestRefused, unavailable
from marconi_proxy.front_door.write_gate import WritePermit, awake_or_not
from marconi_proxy.upstream.connection import UpstreamAnswer
from marconi_proxy.upstream.errors import UpstreamError
from marconi_proxy.upstream.exchange import Guard

LOG = logging.getLogger(__name__)


def _always() -> bool:
    return True


def _token() -> str:
    return secrets.token_hex(8)


class Lifecycle:
    """Belongs to one worker. ``takeover_after``: seconds without a change after which another worker's deletion is
    abandoned; ``deadline``: seconds that a call to a partition may take; ``clock``: monotonic seconds, also while the
    machine sleeps; ``wall``: seconds since 1970, only to be written down; ``later(seconds, function, *arguments)``
    calls the function after that many seconds; ``token`` makes a random one for each new placement; ``begin`` counts a
    write of this worker's own."""

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
        begin: Callable[[QueueKey], WritePermit] | None = None,
    ) -> None:
        self._catalog = catalog
        self._directory = directory
        self._deadline = deadline
        # After both, no creating call of a dead worker can be in flight.
        self._creating_ends = deadline + takeover_after
        self._begin_write = begin
        self._watch = PlacementWatch(clock, later, self.settle_later)
        self.placer = Placer(catalog, directory, wall, token)
        self._deletion = Deletion(catalog, self.placer, self._watch, takeover_after, clock, wall)
        self._creation = Creation(catalog, self.placer, self._deletion, wall, directory.learn)
        self._locks: WeakValueDictionary[QueueKey, asyncio.Lock] = WeakValueDictionary()
        self._tasks: dict[QueueKey, asyncio.Task[None]] = {}
        self._again: dict[QueueKey, Segment] = {}
        self._stopped = False

    @property
    def deletion_limit(self) -> float:
        """Return the seconds after which a deletion gives up its calls."""
        return self._deletion.limit

    async def stop(self) -> None:
        """Give up the background work, and begin no more."""
        self._stopped = True
        await ended(self._tasks.values())

    @asynccontextmanager
    async def _turn(self, key: QueueKey, wanted: Callable[[], bool] = _always) -> AsyncIterator[None]:
        """Let one call at a time change a queue's placement in this worker, so that one of many first calls does the
        work.

        Raises RequestRefused if the turn does not come before the deadline of calls, ClientGone if ``wanted`` returns
        False when it comes.
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
            if not wanted():
                raise ClientGone
            yield
        finally:
            lock.release()

    async def create(
        self,
        key: QueueKey,
        version: str,
        send: Sender,
        dead_letter: str | None,
        wanted: Callable[[], bool] = _always,
        guard: Guard | None = None,
    ) -> UpstreamAnswer | None:
        """Create the queue as ``Creation.create`` does. ``wanted`` returns whether the client still waits; ``guard``:
        that of the call. Returns None if the queue is open: the call is then like any other. Raises ClientGone,
        RequestRefused, CatalogError, UpstreamError."""
        async with self._turn(key, wanted):
            known = await self._directory.find(key)
            if known is not None and known.state in (PlacementState.OPEN, PlacementState.SEALING):
                return None
            with self._directory.creating(key):
                answer = await self._creation.create(key, version, send, dead_letter, guard)
            if answer is None:
                # Another worker has just opened it, and the feed has not shown that yet.
                self._directory.forget(key)
            return answer

    async def delete(
        self, key: QueueKey, send: Sender, wanted: Callable[[], bool] = _always, guard: Guard | None = None
    ) -> UpstreamAnswer | None:
        """Delete the queue as ``Deletion.delete`` does. Parameters and errors as for ``create``."""
        async with self._turn(key, wanted):
            answer = await self._deletion.delete(key, send, guard)
            if answer is None:
                # Another worker has just deleted it, and the feed has not shown that yet.
                self._directory.forget(key)
            return answer

    # -- settling ----------------------------------------------------------------------------------------------------

    def settle_later(self, key: QueueKey, segment: Segment) -> None:
        """Run ``settle`` in the background: once at a time for a queue, and once more if this is called meanwhile."""
        if self._stopped:
            return
        if key in self._tasks:
            # The task under way may have looked already.
            self._again[key] = segment
            return
        task = self._tasks[key] = asyncio.create_task(self._settle_quietly(key, segment))
        task.add_done_callback(lambda _: self._settled(key))

    def _settled(self, key: QueueKey) -> None:
        self._tasks.pop(key, None)
        segment = self._again.pop(key, None)
        if segment is not None:
            self.settle_later(key, segment)

    async def _settle_quietly(self, key: QueueKey, segment: Segment) -> None:
        try:
            await self.settle(key, segment)
        except (CatalogError, UpstreamError, RequestRefused) as error:
            LOG.info("queue %s on partition %s is not settled yet: %s", named(key), segment.partition, error)

    async def settle(self, key: QueueKey, segment: Segment) -> None:
        """Make the catalog agree with the partition of ``segment``, where the queue was last seen, or finish an
        abandoned deletion. Raises RequestRefused, CatalogError, UpstreamError."""
        async with self._turn(key):
            placement = await self._catalog.placements.get(key)
            if placement is None:
                await self._creation.adopt(Placement(key.project, key.queue, 1, PlacementState.CREATING, (segment,)))
            elif placement.state is PlacementState.CREATING:
                over = self._watch.unchanged(placement, self._creating_ends)
                await self._creation.settle(placement, withdraw=over)
            elif placement.state is PlacementState.DELETING and self._deletion.abandoned(placement):
                await self._take_over_deletion(placement)

    async def _take_over_deletion(self, placement: Placement) -> None:
        # Counted before the placement is written: after that write, no other segment can be opened.
        write = None if self._begin_write is None else self._begin_write(placement.key)
        try:
            await self._deletion.finish(placement, write)
        finally:
            if write is not None:
                write.end()
