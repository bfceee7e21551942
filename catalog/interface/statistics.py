"""Statistics: the sums of messages by partition and by project."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection

from catalog.interface.lock import LockedValue
from catalog.model import StatisticsSubject, SubjectStatistics, Walk


class StatisticsStore(ABC):
    """``Catalog.statistics``. ``walk``: the progress of the walk that computes them."""

    walk: LockedValue[Walk]

    @abstractmethod
    async def put(
        self, subject: StatisticsSubject, found: Collection[SubjectStatistics], *, since: str, until: str | None
    ) -> None:
        """Replace the statistics with since <= name < until by ``found``. ``until`` None is no bound."""

    @abstractmethod
    async def get(self, subject: StatisticsSubject, name: str) -> SubjectStatistics | None: ...

    @abstractmethod
    async def find(
        self, subject: StatisticsSubject, *, after: str | None = None, limit: int
    ) -> list[SubjectStatistics]:
        """Return statistics of one subject by name, after the name ``after`` (exclusive), at most ``limit``."""
