"""The one interface to the catalog. Drivers implement it; the contract suite in tests/contract says what it means.

One small interface for each noun: ``catalog.placements.get(key)``. A new verb is a method of its noun here and in each
catalog: ``catalog/sqlite``, ``catalog/mongodb`` and ``tests/simulation/memory_catalog.py``.

Every method may raise ``CatalogUnavailable``; a write that does so may or may not have happened, and is safe to repeat.
Readers see whole documents, and a read that starts after a write returned sees that write (from every process).

*The position of one's own change.* Whoever must know where in the feed a placement was changed (a mover, of its seal)
follows the feed: it waits for ``watch`` to yield its first Synced, *then* replaces the placement, and waits for the
Change with that name, epoch and ``incarnation``; no other change of a catalog has all three. Its position is that of
the write. If the feed breaks off in between, or if somebody else made the change (a mover that died), watch anew: what
a read or write that returned before ``watch`` was called has shown or done is at or before the position of the first
Synced, and to wait until members have acknowledged that one is as good, only later.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator

from catalog.interface.backups import BackupStore
from catalog.interface.lock import LockedValue
from catalog.interface.members import MemberStore
from catalog.interface.moves import HeldWritesStore, MoveStore
from catalog.interface.partitions import PartitionStore
from catalog.interface.placements import PlacementStore
from catalog.interface.plans import PlannedMoveStore, PlanStore
from catalog.interface.statistics import StatisticsStore
from catalog.interface.tenants import TenantStore
from catalog.model import AuditState, Change, Synced

# Bump when stored documents or indexes change shape; ``init`` and ``check`` compare it.
#
# 1: placements, partitions, tenants, members.
# 2: moves and plans; placements have ``incarnation`` and ``move``, members ``acked``, ``capabilities`` and ``lease``.
#    Documents of version 1 stay as they are and are read with defaults. Workers of a release with version 1 go on
#    while ``init`` runs and after it; as they have no capabilities, no queue is moved until they are gone.
# 3: an index of placements in rare states, the mark of a catalog that is being loaded, statistics and the walk that
#    makes them, and the audit. No document changes; workers of a release with version 2 go on.
# 4: expiry without wall clocks (members and locks have a renewal counter). Moves have a number by which they ended and
#    indexes of those that have not; partitions have the addresses of their hosts, the catalog an identity, placements
#    ``floor``. Workers of a release with version 3 go on; no queue is moved until they are gone. Plans are apart from
#    their moves and progress; a plan of version 3 becomes one of these by ``init``, or when it is first read if an
#    admin server of a release before made it later. Movers and admin servers of releases before cannot read plans any
#    more. Indexes of tenants, and of a plan's moves by state.
SCHEMA_VERSION = 4


class Catalog(ABC):
    """An open catalog. Belongs to one process and one event loop: open it after fork.

    ``audit``: what the audit in the background found last.
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
        """Create tables, indexes and the schema version. Idempotent, also when run by several at once.

        A store of an older schema version is brought up to this one and keeps what it holds. Raises WrongSchema if it
        holds a later one, or something else.
        """

    @abstractmethod
    async def check(self) -> None:
        """Raise NotInitialised, WrongSchema or LoadUnfinished unless this code can work with the store."""

    @abstractmethod
    async def ping(self) -> None:
        """Return if the store can be written right now, else raise CatalogUnavailable."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of connections and threads. Idempotent."""

    @abstractmethod
    async def identity(self) -> str:
        """Return the token of this catalog, of hexadecimal digits. It is made at random when the catalog is
        initialised, and stays, also when a backup is loaded. All processes with this catalog read the same one; so it
        tells deployments apart."""

    @abstractmethod
    def watch(self) -> AsyncGenerator[Change | Synced, None]:
        """Yield ``Synced(fresh=True)`` first, then every change in order: of placements, partitions, tenants, moves,
        plans. Locks of moves are not shown: they are renewed all the time.

        Every write that returns after the first Synced was yielded will be shown. While nothing changes, a
        ``Synced(fresh=False)`` at least once a second proves that the feed is alive and how far it has come. Raises
        CatalogUnavailable when it can no longer promise this; the caller drops what it knows and watches anew.
        """
