"""Placements: which queue lies where."""

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
        """Insert-or-get: return (what is stored now, whether that is exactly ``placement``: inserted by this call).

        A repeated insert, after one that ended in CatalogUnavailable, so tells that the first one succeeded. Two
        callers with equal values cannot be told apart; ``incarnation`` makes theirs differ. What is stored already is
        returned whatever partitions ``placement`` names.

        Raises ValueError if ``placement`` has no ``incarnation``. Raises PartitionUnknown if a segment names a
        partition that is not registered or is being removed: no placement ever names a partition that is gone, even
        when both happen at the same moment.
        """

    @abstractmethod
    async def insert_many(self, wanted: Sequence[Placement]) -> list[Placement]:
        """Insert-or-get of many at once, each as by ``insert``: return what is stored now for each of them.

        In the same order; of several with one key the first one counts. A thousand at a time are a good number. Raises
        ValueError, having stored none, if one has no ``incarnation``. After PartitionUnknown, which names a partition
        of one that is not stored, some of the others may be.
        """

    @abstractmethod
    async def replace(self, placement: Placement) -> None:
        """Compare-and-set: store ``placement`` if the stored one has its ``incarnation`` and epoch ``placement.epoch -
        1``.

        Raises Conflict(current) otherwise, unless exactly ``placement`` is stored already (a repeated write). Raises
        PartitionUnknown as ``insert`` does for partitions that the stored placement does not name yet; what
        was stored is then stored still, perhaps under a later epoch.
        """

    @abstractmethod
    async def remove(self, key: QueueKey, epoch: int, incarnation: str) -> None:
        """Remove the placement if it has this epoch and ``incarnation``.

        Nothing to remove is success. Raises Conflict(current) if there is another, also one of a later life.
        """

    @abstractmethod
    async def list_queues(self, project: str, after: str, before: str, limit: int) -> list[Placement]:
        """Placements of one project in a state of LISTED_STATES with after < queue < before, by name, at most limit.

        One index range: the cost does not depend on how many queues or partitions there are.
        """

    @abstractmethod
    async def search_queues(
        self, project: str, after: str, before: str, limit: int, *, containing: str, examine: int
    ) -> tuple[list[Placement], str | None]:
        """Of those that ``list_queues`` would show, the first whose queue's name contains ``containing``, case and all.

        Looks at the first ``examine`` placements of the range, in any state, and not beyond. Returns what was found,
        at most ``limit``, and the name after which the search goes on: None if the range was searched to its end.
        ``limit`` and ``examine`` are from 1.
        """

    @abstractmethod
    async def count_queues(self, project: str, after: str, before: str) -> int:
        """How many placements ``list_queues`` would show in all. The cost grows with their number."""

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
        """Placements by (project, queue), after ``after`` (exclusive), at most limit; None filters nothing.

        ``partitions`` keeps those with any segment on any of these, ``states`` those in one of them; empty ones keep
        nothing. A merge of index ranges, one for each partition or rare state (RARE_STATES): the cost grows with
        ``limit`` and the number of ranges. Beside that, partitions with rare states may cost as much as there are
        placements in these states, and other states pass over those that are in none of them.
        """

    @abstractmethod
    async def count(
        self,
        *,
        project: str | None = None,
        partitions: Collection[str] | None = None,
        states: Collection[PlacementState] | None = None,
    ) -> int:
        """How many placements ``find`` would show in all. The cost grows with their number."""
