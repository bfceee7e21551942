"""The interface of the catalog. Drivers implement it, and ``tests/contract`` is its contract.

One small interface for each noun: ``catalog.placements.get(key)``. A new verb is a method of its noun here and in each
catalog: ``catalog/sqlite``, ``catalog/mongodb`` and ``tests/simulation/memory_catalog.py``.

Every method may raise ``CatalogUnavailable``. A write that raises it may have been done, and is safe to repeat. Readers
see whole documents. A read that starts after a write has returned sees that write, in every process.

*The position of a change in the feed.* A mover, for example, needs the position of its seal. It waits until ``watch``
yields the first Synced, *then* replaces the placement, and waits for the Change with that name, epoch and
``incarnation``; no other change of a catalog has all three. The position of this Change is that of the write. If the
feed breaks off in between, or another process made the change (a mover that died), watch anew. Every read and write
that returned before the call of ``watch`` lies at or before the position of the first Synced. So it suffices to wait
until the members have acknowledged that position, which may take longer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Collection

from catalog.interface.backups import BackupStore
from catalog.interface.lock import LockedValue
from catalog.interface.members import MemberStore
from catalog.interface.moves import HeldWritesStore, MoveStore
from catalog.interface.partitions import PartitionStore
from catalog.interface.placements import PlacementStore
from catalog.interface.plans import PlannedMoveStore, PlanStore
from catalog.interface.statistics import StatisticsStore
from catalog.interface.tenants import TenantStore
from catalog.model import AuditState, Change, ChangeSubject, Synced

# Bump when stored documents or indexes change shape; ``init`` and ``check`` compare it.
#
# 1: placements, partitions, tenants, members.
# 2: moves and plans; placements have ``incarnation`` and ``move``, members ``acked``, ``capabilities`` and ``lease``.
#    Documents of version 1 stay as they are and are read with defaults. Workers of a release with version 1 go on
#    during ``init`` and after it; as they have no capabilities, no queue is moved until they are gone.
# 3: an index of placements in rare states, the mark of a catalog that is being loaded, statistics and the walk that
#    computes them, and the audit. No document changes; workers of a release with version 2 go on.
# 4: expiry without wall clocks (members and locks have a renewal counter). Finished moves have a number in the order of
#    their ends, and unfinished ones have indexes; partitions have the addresses of their hosts, the catalog an
#    identity, placements ``floor``. Workers of a release with version 3 go on; no queue is moved until they are gone.
#    Plans are separate from their moves and progress. ``init`` converts plans of version 3; one that an admin server of
#    an earlier release stores later is converted when it is first read. Movers and admin servers of earlier releases
#    can no longer read plans. Indexes of tenants, and of a plan's moves by state.
SCHEMA_VERSION = 4
ALL_SUBJECTS = frozenset(ChangeSubject)


class Catalog(ABC):
    """An open catalog. Belongs to one process and one event loop: open it after fork.

    ``audit``: the results of the last background audit.
    """

    placements: PlacementStore
    partitions: PartitionStore
    tenants: TenantStore
    members: MemberStore
    moves: MoveStore
    held_writes: HeldWritesStore
    plans: PlanStore
    planned_moves: PlannedMoveStore
    statistics: StatisticsStore
    audit: LockedValue[AuditState]
    backups: BackupStore

    @abstractmethod
    async def init(self) -> None:
        """Create tables, indexes and the schema version. Idempotent, also in several processes at once.

        Upgrade a store of an older schema version; its data stays. Raises WrongSchema if the store has a later version
        or data of something else.
        """

    @abstractmethod
    async def check(self) -> None:
        """Raise NotInitialised, WrongSchema or LoadUnfinished unless this release can use the store."""

    @abstractmethod
    async def ping(self) -> None:
        """Check that the store can be written now. Raises CatalogUnavailable."""

    @abstractmethod
    async def close(self) -> None:
        """Release connections and threads. Idempotent."""

    @abstractmethod
    async def identity(self) -> str:
        """Return the token of this catalog, of hexadecimal digits. It distinguishes deployments.

        ``init`` makes it at random, and it never changes, also when a backup is loaded."""

    @abstractmethod
    def watch(self, subjects: Collection[ChangeSubject] = ALL_SUBJECTS) -> AsyncGenerator[Change | Synced, None]:
        """Yield ``Synced(fresh=True)`` first, then every change of ``subjects`` in order. Omit locks of moves, because
        they are renewed all the time.

        The feed has every such write that returns after the first Synced was yielded. While there is none, a
        ``Synced(fresh=False)`` at least once a second is the heartbeat of the feed and has its position. Raises
        CatalogUnavailable when this can no longer be guaranteed; the caller then drops its cache and watches anew.
        """
