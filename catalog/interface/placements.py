"""Placements: the partition of each queue."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence

from catalog.model import Placement, PlacementState, QueueKey


class PlacementStore(ABC):
    """``Catalog.placements``."""

    @abstractmethod
    async def get(self, key: QueueKey) -> Placement | None: ...

    @abstractmethod
    async def insert(self, placement: Placement) -> tuple[Placement, bool]:
        """Insert-or-get: return the stored placement, and whether it equals ``placement`` (this call inserted it).

        So an insert that is repeated after CatalogUnavailable shows whether the first one succeeded. Its random
        ``incarnation`` distinguishes the placements of two callers. A stored placement is returned whatever partitions
        ``placement`` names.

        Raises ValueError if ``placement`` has no ``incarnation``. Raises PartitionUnknown if a segment names a
        partition that is not registered or is being removed: no placement ever names a removed partition, even if the
        insert and the removal are concurrent.
        """

    @abstractmethod
    async def insert_many(self, wanted: Sequence[Placement]) -> list[Placement]:
        """Insert-or-get of a batch, each as by ``insert``; return the stored placement for each, in the same order.

        Of several with one key the first one counts. A good batch has a thousand. Raises ValueError if one has no
        ``incarnation``; then none was stored. Raises PartitionUnknown with a partition of one that was not stored; some
        of the others may be stored.
        """

    @abstractmethod
    async def replace(self, placement: Placement) -> None:
        """Compare-and-set: store ``placement`` if the stored one has its ``incarnation`` and epoch ``placement.epoch -
        1``.

        Raises PlacementConflict(current) otherwise, unless exactly ``placement`` is stored already (a repeated write).
        Raises PartitionUnknown as ``insert`` does for partitions that the stored placement does not name yet; the
        stored placement is then unchanged, but may have a later epoch.
        """

    @abstractmethod
    async def remove(self, key: QueueKey, epoch: int, incarnation: str) -> None:
        """Remove the placement if it has this epoch and ``incarnation``.

        Succeeds also if there is none. Raises PlacementConflict(current) if the stored one has another epoch or
        incarnation.
        """

    @abstractmethod
    async def list_queues(self, project: str, after: str, before: str, limit: int) -> list[Placement]:
        """Return placements of a project in LISTED_STATES with after < queue < before, by name, at most ``limit``.

        One index range: the cost is independent of the numbers of queues and partitions.
        """

    @abstractmethod
    async def search_queues(
        self, project: str, after: str, before: str, limit: int, *, containing: str, examine: int
    ) -> tuple[list[Placement], str | None]:
        """Search the range of ``list_queues`` for names that contain ``containing`` (case-sensitive).

        Examine the first ``examine`` placements of the range, in any state, and no others. Return at most ``limit``
        placements, and the name after which the search continues, None at the end of the range. ``limit`` and
        ``examine`` are at least 1.
        """

    @abstractmethod
    async def count_queues(self, project: str, after: str, before: str) -> int:
        """Return the number of placements in the whole range of ``list_queues``. The cost grows with it."""

    @abstractmethod
    async def find(
        self,
        *,
        project: str | None = None,
        partitions: Collection[str] | None = None,
        states: Collection[PlacementState] | None = None,
        after: QueueKey | None = None,
        limit: int,
    ) -> list[Placement]:
        """Return placements by (project, queue), after ``after`` (exclusive), at most ``limit``; None filters nothing.

        ``partitions`` keeps placements with any segment on any of these, ``states`` those in one of them; an empty
        collection keeps none. This merges index ranges, one for each partition or rare state (RARE_STATES): the cost
        grows with ``limit`` and the number of ranges. Partitions together with rare states may also cost the number of
        placements in these states. Other states are filtered while reading.
        """

    @abstractmethod
    async def count(
        self,
        *,
        project: str | None = None,
        partitions: Collection[str] | None = None,
        states: Collection[PlacementState] | None = None,
    ) -> int:
        """Return the number of placements that ``find`` would return without a limit. The cost grows with it."""
