"""The collections of statistics and of the walk.

The ``_id`` of statistics is their subject, NUL, and the name: those of one subject are a range of it, by name. Who
walks stands in the document of the walk, with ``token`` and ``until``, as in those of moves.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC
from typing import TYPE_CHECKING, Any

from pymongo import ReplaceOne, ReturnDocument
from pymongo.errors import DuplicateKeyError

from catalog.errors import WalkHeld, WalkNotHeld
from catalog.model import Statistics, StatisticsSubject, Walk
from catalog.mongodb.documents import read

if TYPE_CHECKING:
    from catalog.mongodb.store import Collection, Session, Store

_WALK = "walk"
_HELD = {"$gt": ["$until", "$$NOW"]}  # null is less than any time
# In one message to the server, at most.
_BATCH = 1000


class StatisticsStore:
    """The verbs of the interface that concern statistics and the walk."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stored: Collection = store.database["statistics"]
        self._walks: Collection = store.database["walks"]

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
        async with self._store.conversation() as session:
            return await self._walk(session)

    async def take(self, holder: str, seconds: float) -> Walk:
        """Begin a hold, as ``Catalog.take_walk``."""
        free = {"_id": _WALK, "$or": [{"$expr": {"$not": [_HELD]}}, {"holder": holder}]}
        hold = {"holder": {"$literal": holder}, "token": {"$add": ["$token", 1]}, "until": _from_now(seconds)}
        async with self._store.conversation() as session:
            while True:
                taken = await self._walks.find_one_and_update(
                    free, [{"$set": hold}], return_document=ReturnDocument.AFTER, session=session
                )
                if taken is not None:
                    return self._read_walk(taken | {"held": True})
                current = await self._walk(session)
                if current.holder is not None and current.holder.name != holder:
                    raise WalkHeld(current.holder)
                try:
                    first = {"_id": _WALK, **_document(Walk()), "holder": None, "token": 0, "until": None}
                    await self._walks.insert_one(first, session=session)
                except DuplicateKeyError:
                    pass  # it is there, and may be taken by now

    async def save(self, walk: Walk, token: int, seconds: float) -> None:
        """Save how far it is, as ``Catalog.save_walk``."""
        held = {"_id": _WALK, "token": token, "$expr": _HELD}
        changed = {name: {"$literal": value} for name, value in _document(walk).items()}
        async with self._store.conversation() as session:
            result = await self._walks.update_one(
                held, [{"$set": {**changed, "until": _from_now(seconds)}}], session=session
            )
        if not result.matched_count:
            raise WalkNotHeld(token)

    async def release(self, token: int) -> None:
        """End a hold, as ``Catalog.release_walk``."""
        ended = {"$set": {"holder": None, "until": None}}
        async with self._store.conversation() as session:
            await self._walks.update_one({"_id": _WALK, "token": token}, ended, session=session)

    async def _walk(self, session: Session) -> Walk:
        stages: list[dict[str, Any]] = [{"$match": {"_id": _WALK}}, {"$set": {"held": _HELD}}]
        documents = await (await self._walks.aggregate(stages, session=session)).to_list()
        return self._read_walk(documents[0]) if documents else Walk()

    def _read(self, document: dict[str, Any]) -> Statistics:
        try:
            return read(Statistics.from_json, document)
        except ValueError as error:
            raise self._store.unavailable(f"statistics: {error}") from error

    def _read_walk(self, document: dict[str, Any]) -> Walk:
        holder = None
        try:
            if document["held"]:
                until = document["until"].replace(tzinfo=UTC).timestamp()
                holder = {"name": document["holder"], "token": document["token"], "until": until}
            return read(Walk.from_json, document | {"holder": holder})
        except (ValueError, KeyError) as error:
            raise self._store.unavailable(f"walks: {error}") from error


def _document(walk: Walk) -> dict[str, Any]:
    document = walk.to_json()
    del document["holder"]
    return document


def _id(subject: StatisticsSubject, name: str) -> str:
    return f"{subject.value}\0{name}"


def _end(subject: StatisticsSubject) -> str:
    return f"{subject.value}\1"


def _from_now(seconds: float) -> dict[str, Any]:
    return {"$add": ["$$NOW", round(seconds * 1000)]}
