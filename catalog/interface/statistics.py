"""Statistics: what queues hold in all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection

from catalog.interface.lock import LockedValue
from catalog.model import StatisticsSubject, SubjectStatistics, Walk


class StatisticsStore(ABC):
    """``Catalog.statistics``. ``walk``: how far the walk is that makes them."""

    walk: LockedValue[Walk]

    @abstractmethod
    async def put(
        self, subject: StatisticsSubject, found: Collection[SubjectStatistics], *, since: str, until: str | None
    ) -> None:
        """Store what was ``found``, all of it with since <= name < until; what was there of others in that range is
        forgotten. ``until`` None is no bound."""

    @abstractmethod
    async def get(self, subject: StatisticsSubject, name: str) -> SubjectStatistics | None: ...

    @abstractmethod
    async def find(
        self, subject: StatisticsSubject, *, after: str | None = None, limit: int
    ) -> list[SubjectStatistics]:
        """Those of one subject by name, after the name ``after`` (exclusive), at most limit."""
