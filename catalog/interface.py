"""The one interface to the catalog. Drivers implement it; the contract suite in tests/contract says what it means.

Every method may raise ``CatalogUnavailable``; a write that does so may or may not have happened, and is safe to repeat.
Readers see whole documents, and a read that starts after a write returned sees that write (from every process).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from catalog.model import Change, Member, MemberSighting, Partition, Placement, QueueKey, Synced, Tenant

# Bump when stored documents or indexes change shape; ``init`` and ``check`` compare it.
SCHEMA_VERSION = 1


class Catalog(ABC):
    """An open catalog. Belongs to one process and one event loop: open it after fork."""

    # -- the store itself ---------------------------------------------------------------------------------------

    @abstractmethod
    async def init(self) -> None:
        """Create tables, indexes and the schema version. Idempotent, also when run by several at once.

        Raises WrongSchema if the store holds another schema version.
        """

    @abstractmethod
    async def check(self) -> None:
        """Raise NotInitialised or WrongSchema unless this code can work with the store."""

    @abstractmethod
    async def ping(self) -> None:
        """Return if the store can be written right now, else raise CatalogUnavailable."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of connections and threads. Idempotent."""

    # -- placements ---------------------------------------------------------------------------------------------

    @abstractmethod
    async def get_placement(self, key: QueueKey) -> Placement | None: ...

    @abstractmethod
    async def insert_placement(self, placement: Placement) -> tuple[Placement, bool]:
        """Insert-or-get: return (what is stored now, whether that is exactly ``placement``: inserted by this call).

        A repeated insert, after one that ended in CatalogUnavailable, so tells that the first one succeeded. Two
        callers with equal values cannot be told apart; ``since`` makes theirs differ. What is stored already is
        returned whatever partitions ``placement`` names.

        Raises PartitionUnknown if a segment names a partition that is not registered or is being removed: no
        placement ever names a partition that is gone, even when both happen at the same moment.
        """

    @abstractmethod
    async def replace_placement(self, placement: Placement) -> None:
        """Compare-and-set: store ``placement`` if the stored epoch is ``placement.epoch - 1``.

        Raises Conflict(current) otherwise, unless exactly ``placement`` is stored already (a repeated write). Raises
        PartitionUnknown as ``insert_placement`` does for partitions that the stored placement does not name yet; what
        was stored is then stored still, perhaps under a later epoch.
        """

    @abstractmethod
    async def remove_placement(self, key: QueueKey, epoch: int) -> None:
        """Remove the placement if its epoch is ``epoch``. Nothing to remove is success; else Conflict(current)."""

    @abstractmethod
    async def list_queues(self, project: str, after: str, before: str, limit: int) -> list[Placement]:
        """Placements of one project in a state of LISTED_STATES with after < queue < before, by name, at most limit.

        One index range: the cost does not depend on how many queues or partitions there are.
        """

    @abstractmethod
    async def count_queues(self, project: str, after: str, before: str) -> int:
        """How many placements ``list_queues`` would show in all. The cost grows with their number."""

    @abstractmethod
    async def list_placements(
        self, *, project: str | None = None, partition: str | None = None, after: QueueKey | None = None, limit: int
    ) -> list[Placement]:
        """Placements in any state, by (project, queue), after ``after`` (exclusive); None filters nothing.

        ``partition`` keeps those with any segment there.
        """

    @abstractmethod
    async def count_placements(self, *, project: str | None = None, partition: str | None = None) -> int:
        """How many placements ``list_placements`` would show in all."""

    # -- partitions ---------------------------------------------------------------------------------------------

    @abstractmethod
    async def get_partition(self, name: str) -> Partition | None: ...

    @abstractmethod
    async def list_partitions(self) -> list[Partition]:
        """All of them, by name."""

    @abstractmethod
    async def insert_partition(self, partition: Partition) -> None:
        """Store a new partition (``version`` 1). Raises PartitionConflict(current) if the name is taken.

        Unless exactly ``partition`` is stored already, and not being removed (a repeated write).
        """

    @abstractmethod
    async def replace_partition(self, partition: Partition) -> None:
        """Compare-and-set on ``partition.version - 1``. Raises PartitionConflict(current or None).

        Unless exactly ``partition`` is stored already (a repeated write).
        """

    @abstractmethod
    async def remove_partition(self, name: str) -> None:
        """Remove it; nothing to remove is success. Raises PartitionInUse if a placement names it.

        A removal that was interrupted leaves the partition listed but taking no placements, until the removal is
        repeated or ``replace_partition`` revives it.
        """

    # -- tenants ------------------------------------------------------------------------------------------------

    @abstractmethod
    async def get_tenant(self, project: str) -> Tenant | None: ...

    @abstractmethod
    async def put_tenant(self, tenant: Tenant) -> None:
        """Store it, whatever was there."""

    @abstractmethod
    async def change_tenant(self, project: str, *, members: Mapping[str, Any]) -> None:
        """Give the named members of the project's tenant these values, in one step; the others stay as they are.

        Raises ValueError for a value that no Tenant can have, TypeError for a member that it has not.
        """

    @abstractmethod
    async def remove_tenant(self, project: str) -> None:
        """Forget it; nothing to forget is success."""

    # -- members ------------------------------------------------------------------------------------------------

    @abstractmethod
    async def renew_member(self, member: Member) -> None:
        """Register the member, or renew it, stamped with the store's clock."""

    @abstractmethod
    async def list_members(self) -> list[MemberSighting]:
        """All of them, by id."""

    @abstractmethod
    async def remove_member(self, member_id: str) -> None:
        """Forget it; nothing to forget is success."""

    # -- the change feed ----------------------------------------------------------------------------------------

    @abstractmethod
    def watch(self) -> AsyncGenerator[Change | Synced, None]:
        """Yield ``Synced(fresh=True)`` first, then every change of placements, partitions and tenants, in order.

        Every write that returns after the first Synced was yielded will be shown. While nothing changes, a
        ``Synced(fresh=False)`` at least once a second proves that the feed is alive and how far it has come. Raises
        CatalogUnavailable when it can no longer promise this; the caller drops what it knows and watches anew.
        """
