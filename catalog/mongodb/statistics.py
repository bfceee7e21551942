"""The collection of statistics, and the walk.

The ``_id`` of statistics is subject, NUL, name, so those of one subject are one range, by name.
"""

from __future__ import annotations

from collections.abc import Collection as Several
from typing import TYPE_CHECKING, Any

from pymongo import ReplaceOne

from catalog.interface.statistics import StatisticsStore
from catalog.model import StatisticsSubject, SubjectStatistics, Walk
from catalog.mongodb.lock import MongoDBLockedValue
from catalog.mongodb.store import finished

if TYPE_CHECKING:
    from catalog.mongodb.store import CatalogDatabase, Collection

# The most documents in one message to the server.
_BATCH = 1000


class MongoDBStatistics(StatisticsStore):
    """``Catalog.statistics``."""

    walk: MongoDBLockedValue[Walk]

    def __init__(self, store: CatalogDatabase) -> None:
        self._store = store
        self._stored: Collection = store.database["statistics"]
        self.walk = MongoDBLockedValue(store, "walk", "the walk of statistics", Walk(), Walk.from_json)

    @finished
    async def put(
        self, subject: StatisticsSubject, found: Several[SubjectStatistics], *, since: str, until: str | None
    ) -> None:
        # Write first, then remove the rest: after a crash some statistics are stale, and none is missing.
        wanted = [{"_id": _id(subject, one.name), **one.to_json()} for one in found]
        end = _end(subject) if until is None else _id(subject, until)
        async with self._store.conversation() as session:
            for start in range(0, len(wanted), _BATCH):
                batch = [ReplaceOne({"_id": one["_id"]}, one, upsert=True) for one in wanted[start : start + _BATCH]]
                await self._stored.bulk_write(batch, ordered=False, session=session)
            gone = {"$gte": _id(subject, since), "$lt": end, "$nin": [one["_id"] for one in wanted]}
            await self._stored.delete_many({"_id": gone}, session=session)

    async def get(self, subject: StatisticsSubject, name: str) -> SubjectStatistics | None:
        """Return the statistics of one partition or project, None if there are none."""
        async with self._store.conversation() as session:
            document = await self._stored.find_one({"_id": _id(subject, name)}, session=session)
        return None if document is None else self._read(document)

    async def find(
        self, subject: StatisticsSubject, *, after: str | None = None, limit: int
    ) -> list[SubjectStatistics]:
        # The global namespace has the empty name.
        bounds = {"$gte": _id(subject, "")} if after is None else {"$gt": _id(subject, after)}
        documents = await self._store.page(self._stored, {"_id": bounds | {"$lt": _end(subject)}}, limit)
        return [self._read(document) for document in documents]

    def _read(self, document: dict[str, Any]) -> SubjectStatistics:
        return self._store.read("statistics", SubjectStatistics.from_json, document)


def _id(subject: StatisticsSubject, name: str) -> str:
    return f"{subject.value}\0{name}"


def _end(subject: StatisticsSubject) -> str:
    return f"{subject.value}\1"
