"""The collection of statistics, and the walk.

The ``_id`` of statistics is their subject, NUL, and the name: those of one subject are a range of it, by name.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pymongo import ReplaceOne

from catalog.errors import WalkHeld, WalkNotHeld
from catalog.model import Holder, Statistics, StatisticsSubject, Walk
from catalog.mongodb.documents import read
from catalog.mongodb.held import Held

if TYPE_CHECKING:
    from catalog.mongodb.store import Collection, Session, Store

# In one message to the server, at most.
_BATCH = 1000


class StatisticsStore:
    """The verbs of the interface that concern statistics and the walk."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stored: Collection = store.database["statistics"]
        self._walk = Held(store, "walk", Walk.from_json)

    async def put(self, subject: StatisticsSubject, found: Iterable[Statistics], since: str, until: str | None) -> None:
        """Replace what there is of a range of names, as ``Catalog.put_statistics``.

        Writes first, and removes what is left over then: what a crash leaves is shown as of earlier, never missing.
        """
        wanted = [{"_id": _id(subject, one.name), **one.to_json()} for one in found]
        end = _end(subject) if until is None else _id(subject, until)
        async with self._store.conversation() as session:
            for start in range(0, len(wanted), _BATCH):
                batch = [ReplaceOne({"_id": one["_id"]}, one, upsert=True) for one in wanted[start : start + _BATCH]]
                await self._stored.bulk_write(batch, ordered=False, session=session)
            gone = {"$gte": _id(subject, since), "$lt": end, "$nin": [one["_id"] for one in wanted]}
            await self._stored.delete_many({"_id": gone}, session=session)

    async def get(self, subject: StatisticsSubject, name: str) -> Statistics | None:
        """Return those of one, None if there are none."""
        async with self._store.conversation() as session:
            document = await self._stored.find_one({"_id": _id(subject, name)}, session=session)
        return None if document is None else self._read(document)

    async def list_all(self, subject: StatisticsSubject, after: str | None, limit: int) -> list[Statistics]:
        """Return them by name, as ``Catalog.list_statistics``."""
        # No project is the empty name.
        bounds = {"$gte": _id(subject, "")} if after is None else {"$gt": _id(subject, after)}
        if limit < 1:
            return []  # MongoDB takes 0 for "no limit"
        async with self._store.conversation() as session:
            condition = {"_id": bounds | {"$lt": _end(subject)}}
            cursor = self._stored.find(condition, sort=[("_id", 1)], limit=limit, session=session)
            documents = await cursor.to_list()
        return [self._read(document) for document in documents]

    async def walk(self) -> Walk:
        """Return how far the walk is."""
        return await self._walk.read() or Walk()

    async def take(self, holder: str, seconds: float, over: Holder | None) -> Walk:
        """Begin a hold, as ``Catalog.take_walk``."""
        taken = await self._walk.take(holder, seconds, over, Walk().to_json())
        if isinstance(taken, Holder):
            raise WalkHeld(taken)
        return taken

    async def save(self, walk: Walk, token: int, seconds: float) -> None:
        """Save how far it is, as ``Catalog.save_walk``."""
        if not await self._walk.save(walk.to_json(), token, seconds):
            raise WalkNotHeld(token)

    async def release(self, token: int) -> None:
        """End a hold, as ``Catalog.release_walk``."""
        await self._walk.release(token)

    async def forget_walk(self, session: Session) -> None:
        """Let the next walk begin at the beginning, and end the hold of who walks: what it has summed up is gone."""
        await self._walk.reset(Walk().to_json(), session)

    def _read(self, document: dict[str, Any]) -> Statistics:
        try:
            return read(Statistics.from_json, document)
        except ValueError as error:
            raise self._store.unavailable(f"statistics: {error}") from error


def _id(subject: StatisticsSubject, name: str) -> str:
    return f"{subject.value}\0{name}"


def _end(subject: StatisticsSubject) -> str:
    return f"{subject.value}\1"
