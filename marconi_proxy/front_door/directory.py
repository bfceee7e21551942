"""This worker's knowledge of the catalog: placements in a bounded cache, all partitions, the tenants of recent calls.

The change feed keeps it true. While the feed is cut, the cache goes on serving (static stability), and nothing is added
to it. When the feed is back, the cache is emptied and filled anew.

The step that drops a placement for a change also brings the change to the worker's fence. So a write that begins later
looks up the new placement, and a write that began earlier is waited for (``fencing.fence``).

A worker that does not use a queue when the queue is prepared for a seal acknowledges the preparation. From then on it
withdraws the preparation, by compare-and-set, before it uses the queue again; a seal that relies on the preparation
then fails.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Iterator
from contextlib import aclosing, contextmanager

from cachetools import LRUCache

from catalog.errors import CatalogError, PlacementConflict
from catalog.interface import Catalog
from catalog.model import (
    Change,
    ChangeSubject,
    Partition,
    Placement,
    PlacementState,
    QueueKey,
    Seal,
    Segment,
    Synced,
    Tenant,
)
from marconi_proxy.background import ended
from marconi_proxy.fencing.fence import Fence
from marconi_proxy.fencing.transitions import withdraw
from marconi_proxy.front_door.placement_cache import PlacementCache
from marconi_proxy.front_door.seals import Seals
from marconi_proxy.front_door.write_gate import awake_or_not
from marconi_proxy.partition_client.upstreams import Open, Upstreams
from marconi_proxy.upstream.exchange import Upstream

LOG = logging.getLogger(__name__)

# The most seconds between two attempts to open a feed that was cut, with full jitter.
_RETRY_INTERVAL = 1.0
_TENANTS = 10_000
# Sealed queues in one read.
_PAGE = 500
# The others are most changes of a catalog while queues move, and concern no worker.
_SUBJECTS = frozenset({ChangeSubject.PLACEMENT, ChangeSubject.PARTITION, ChangeSubject.TENANT})
# The most placements remembered as dropped for a change: calls may have been forwarded by them.
_DROPPED = 10_000


class Directory:
    """Belongs to one worker and one event loop. ``start`` it, and ``stop`` it.

    ``applied``: the position of the last change taken in; ``synced``: whether the feed is alive; ``clock``: monotonic
    seconds, also while the machine sleeps. Three callbacks:

    ``on_removal`` when the feed shows the removal of a placement that was cached: calls may have been forwarded by it.
    ``on_seal`` when the feed has shown a seal, or the preparation of one for a queue that this worker does not use,
    because a mover waits for its acknowledgement.
    ``on_identity`` with the catalog's identity, each time this worker gets in step with the catalog.
    """

    def __init__(
        self,
        catalog: Catalog,
        open_upstream: Open,
        cache_size: int,
        fence: Fence | None = None,
        seals: Seals | None = None,
        clock: Callable[[], float] = awake_or_not,
    ) -> None:
        self._catalog = catalog
        self._placements = PlacementCache(cache_size)
        self._dropped: LRUCache[QueueKey, Segment] = LRUCache(_DROPPED)
        self._fence = fence
        self._seals = seals
        self._clock = clock
        self._heard = clock()
        self._changes = 0
        self._awaited: dict[QueueKey, asyncio.Future[None]] = {}
        self.on_removal: Callable[[QueueKey, Segment], None] | None = None
        self.on_seal: Callable[[], None] | None = None
        self.on_identity: Callable[[str], None] | None = None
        self._tenants: LRUCache[str, Tenant | None] = LRUCache(_TENANTS)
        self._reads: dict[QueueKey, asyncio.Task[Placement | None]] = {}
        # Queues that this worker is creating, with the last change of each that the feed has shown meanwhile.
        self._created: dict[QueueKey, Change | None] = {}
        # Kept while the feed is cut: a mover may go by an acknowledgement that was stored before.
        self._unused: dict[QueueKey, Seal] = {}
        self._upstreams = Upstreams(open_upstream)
        self.applied = 0
        self.synced = False
        self._loading = asyncio.Lock()
        self._first_sync = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        state = "synced" if self.synced else "cut off"
        known = f"{len(self._placements)} placements, {len(self._upstreams)} partitions"
        return f"<Directory {state} at {self.applied}, {known}>"

    async def start(self, patience: float) -> None:
        """Begin to follow the catalog; return when in step with it, or after ``patience`` seconds at the latest."""
        self._follower = asyncio.create_task(self._follow(), name="catalog feed")
        try:
            await asyncio.wait_for(self._first_sync.wait(), patience)
        except TimeoutError:
            LOG.warning(
                "the catalog cannot be reached yet; calls are refused until it answers. Next: check [catalog] uri"
            )

    async def stop(self) -> None:
        """Stop following."""
        await ended([self._follower])

    # -- placements --------------------------------------------------------------------------------------------------

    @property
    def unused(self) -> Collection[Seal]:
        """Return the preparations that this worker may acknowledge at leisure."""
        return self._unused.values()

    def cached(self, key: QueueKey) -> Placement | None:
        """Return the placement from the cache. None means that it is not there, not that the queue does not exist."""
        return self._placements.get(key)

    def forget(self, key: QueueKey) -> None:
        """Drop the placement of a queue, because the catalog has another one."""
        self._reads.pop(key, None)
        self._created.pop(key, None)
        self._placements.drop(key)
        self._tell(key)

    def forget_all(self) -> None:
        """Drop all placements and tenants, also those of reads in flight: movers may have switched queues since without
        waiting for this worker."""
        self._reads.clear()
        self._created.clear()
        self._placements.clear()
        self._tenants.clear()
        for key in list(self._awaited):
            self._tell(key)

    @contextmanager
    def creating(self, key: QueueKey) -> Iterator[None]:
        """Let ``learn`` keep the placement of a queue that the caller creates meanwhile, one at a time for a queue."""
        self._created[key] = None
        try:
            yield
        finally:
            self._created.pop(key, None)

    def learn(self, written: Placement) -> None:
        """Cache a placement that this worker has just written, so that the queue is known though the catalog is away.

        Nothing is cached outside of ``creating``, or if the feed is cut or has shown a later change since it began.
        """
        key = written.key
        if not self.synced or key not in self._created:
            return
        shown = self._created[key]
        if shown is None or _includes(written, shown):
            # A read in flight may be older than this write.
            self._reads.pop(key, None)
            self._placements.put(key, written)

    def change(self, key: QueueKey) -> asyncio.Future[None]:
        """Return a future of the queue's next change, which all its waiters share.

        The caller must have looked up the queue, and the feed must have shown no change of it since
        (``Ticket.overtaken``).
        """
        awaited = self._awaited.get(key)
        if awaited is None:
            awaited = self._awaited[key] = asyncio.get_running_loop().create_future()
        return awaited

    def _tell(self, key: QueueKey) -> None:
        awaited = self._awaited.pop(key, None)
        if awaited is not None and not awaited.done():
            awaited.set_result(None)

    async def find(self, key: QueueKey) -> Placement | None:
        """Return the placement, from the cache or by one read that concurrent calls share. Raises
        CatalogUnavailable."""
        known = self._placements.get(key)
        if known is not None:
            return known
        read = self._reads.get(key)
        if read is None:
            read = self._reads[key] = asyncio.create_task(self._read(key))
        # A caller that is cancelled must not cancel the read of the others.
        return await asyncio.shield(read)

    async def look(self, key: QueueKey) -> Placement | None:
        """Return the placement from the catalog, because the cached one may be stale. Raises CatalogUnavailable; the
        cache is unchanged then."""
        placement = await self._used(key)
        known = self._placements.get(key)
        if known is not None and known != placement:
            # A read in flight may be older than this one.
            self._reads.pop(key, None)
            self._drop(key, known)
            self._tell(key)
        self._note_seal(placement)
        return placement

    def _note_seal(self, placement: Placement | None) -> None:
        if placement is not None and self._seals is not None:
            self._seals.read(placement)

    def _drop(self, key: QueueKey, known: Placement) -> None:
        self._placements.drop(key)
        self._dropped[key] = known.segments[-1]

    async def _read(self, key: QueueKey) -> Placement | None:
        this = asyncio.current_task()
        try:
            placement = await self._used(key)
            # A change that came in meanwhile took this read off the list, because the read may be older.
            if placement is not None and self.synced and self._reads.get(key) is this:
                self._placements.put(key, placement)
            self._note_seal(placement)
            return placement
        finally:
            if self._reads.get(key) is this:
                del self._reads[key]

    async def _used(self, key: QueueKey) -> Placement | None:
        """Read the placement of a queue that is to be used from now on."""
        placement = await self._catalog.placements.get(key)
        # Without an await between the last read and the end: no preparation may be acknowledged after this check.
        while placement is not None and (unused := self._unused.get(key)) is not None:
            if placement.preparation != unused:
                break
            try:
                withdrawn = withdraw(placement)
                await self._catalog.placements.replace(withdrawn)
                placement = withdrawn
            except PlacementConflict as conflict:
                placement = conflict.current
        return placement

    # -- partitions and tenants --------------------------------------------------------------------------------------

    @property
    def upstreams(self) -> Collection[Upstream]:
        return self._upstreams.values()

    @property
    def partitions(self) -> list[Partition]:
        return [u.partition for u in self._upstreams.values()]

    async def upstream(self, name: str) -> Upstream | None:
        """Return the way to a partition, reading the catalog if the partition is not known yet; None if it is not
        registered. Raises CatalogUnavailable."""
        found = self._upstreams.get(name)
        if found is None:
            await self._load_partitions()
            found = self._upstreams.get(name)
        return found

    def known_upstream(self, name: str) -> Upstream | None:
        return self._upstreams.get(name)

    async def tenant(self, project: str) -> Tenant | None:
        """Return the operator's decisions for a project, None if there are none. Raises CatalogUnavailable."""
        if project in self._tenants:
            return self._tenants[project]
        changes = self._changes
        tenant = await self._catalog.tenants.get(project)
        if self.synced and self._changes == changes:
            self._tenants[project] = tenant
        return tenant

    async def _load_partitions(self) -> None:
        # One read at a time, so that an older one never overwrites a newer one.
        async with self._loading:
            partitions = await self._catalog.partitions.all()
            for partition in partitions:
                self._upstreams.of(partition)
            for gone in self._upstreams.keys() - {p.name for p in partitions}:
                del self._upstreams[gone]

    # -- the feed ----------------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        while True:
            try:
                async with aclosing(self._catalog.watch(_SUBJECTS)) as feed:
                    async for event in feed:
                        await self._take_in(event)
            except CatalogError as error:
                if self.synced or not self._first_sync.is_set():
                    LOG.warning("the catalog's change feed is cut; calls go by the cached placements: %s", error)
            except Exception:
                LOG.exception("the catalog's change feed failed")
            self.synced = False
            await asyncio.sleep(random.uniform(0.1, _RETRY_INTERVAL))  # noqa: S311 - spreads load, guards nothing

    async def _take_in(self, event: Change | Synced) -> None:
        self._heard = self._clock()
        self._changes += 1
        if isinstance(event, Change):
            if event.subject is ChangeSubject.PLACEMENT:
                self._take_in_placement(QueueKey(*event.name), event)
            elif event.subject is ChangeSubject.TENANT:
                self._tenants.pop(event.name[0], None)
            elif event.subject is ChangeSubject.PARTITION:
                await self._load_partitions()
        elif event.fresh:
            self.forget_all()
            if self._fence is not None:
                # Also the first time: a worker with a late feed may be writing by then.
                self._fence.missed()
            await self._load_partitions()
            await self._load_seals()
            if self.on_identity is not None:
                self.on_identity(await self._catalog.identity())
            LOG.info("in step with the catalog at position %d", event.position)
            self.synced = True
            self._first_sync.set()
        self.applied = event.position

    async def _load_seals(self) -> None:
        """Take in the seals in force. The feed shows only those that come after its beginning."""
        after = None
        while page := await self._catalog.placements.find(states=[PlacementState.SEALING], after=after, limit=_PAGE):
            for placement in page:
                # No await here, as in ``_take_in_placement``: a read in flight may be older than the seal.
                self.forget(placement.key)
                if self._fence is not None:
                    self._fence.change(placement.key, placement.seal)
                self._note_seal(placement)
            after = page[-1].key
        if self._seals is not None and len(self._seals) and self.on_seal is not None:
            self.on_seal()

    def silence(self) -> float:
        """Return the seconds since the feed has shown a change or a proof of life."""
        return self._clock() - self._heard

    def _take_in_placement(self, key: QueueKey, change: Change) -> None:
        # No await here: cache, fence and waiters must change in one step.
        reading = self._reads.pop(key, None)
        known = self._placements.get(key)
        seal = change.seal
        self._unused.pop(key, None)
        if change.preparation is not None and known is None and reading is None:
            seal = self._unused[key] = change.preparation
        if key in self._created:
            self._created[key] = change
        if known is not None and not _includes(known, change):
            self._drop(key, known)
        if self._fence is not None:
            self._fence.change(key, seal)
        self._tell(key)
        if self._seals is not None:
            self._seals.shown(key, change)
        if seal is not None and self.on_seal is not None:
            self.on_seal()
        if change.epoch is None:
            segment = self._dropped.pop(key, None)
            if segment is not None and self.on_removal is not None:
                self.on_removal(key, segment)


def _includes(placement: Placement, change: Change) -> bool:
    """Return whether the placement is the result of this change, or of a later one of the same life."""
    return change.epoch is not None and change.epoch <= placement.epoch and change.incarnation == placement.incarnation
