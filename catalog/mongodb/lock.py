"""Locks: the fields ``holder``, ``token``, ``beat`` and ``seconds`` of the documents that have them.

Releases before schema version 4 compare ``until`` with the clock. Here it is always a time without end, so that a
process of such a release does not take the lock. A holder of such a release renews only ``until``, and has no ``beat``
and no ``seconds``: then ``until`` counts as its beat.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from catalog.errors import LockHeld, LockLost
from catalog.interface.lock import Held, Lock, LockedValue, V
from catalog.model import Holder

if TYPE_CHECKING:
    from catalog.mongodb.store import CatalogDatabase, Collection, Session

_FOR_EVER = datetime(9999, 12, 31)
_SINCE = datetime(1970, 1, 1)
FREE: dict[str, Any] = {"holder": None, "until": None}


def held(token: int) -> dict[str, Any]:
    """Return the condition that the lock is still held under ``token``."""
    return {"token": token, "holder": {"$ne": None}}


def holder_of(document: Mapping[str, Any]) -> Holder | None:
    """Return the holder in a document, None if the lock is free. Raises KeyError if the document has no lock."""
    if document["holder"] is None:
        return None
    until = document["until"]
    if until == _FOR_EVER:
        return Holder(document["holder"], document["token"], document["beat"], document["seconds"])
    # A holder of an earlier release promises nothing; ``beat`` and ``seconds`` are those of a holder before it.
    return Holder(document["holder"], document["token"], (until - _SINCE) // timedelta(milliseconds=1))


class MongoDBLock(Lock[V]):
    """The lock of ``what`` in the document ``id_`` of a collection, of which ``read`` makes a value."""

    def __init__(
        self, store: CatalogDatabase, documents: Collection, id_: str, what: str, read: Callable[[dict[str, Any]], V]
    ) -> None:
        self._store = store
        self._documents = documents
        self._id = id_
        self._what = what
        self._read = read

    @abstractmethod
    async def _store_first(self, session: Session) -> None:
        """Store an empty value if there can be one, else raise the error of a missing value."""

    async def acquire(self, holder: str, seconds: float, *, over: Holder | None = None) -> V:
        hold = {"holder": holder, "beat": 0, "seconds": seconds, "until": _FOR_EVER}
        update = {"$set": hold, "$inc": {"token": 1}}
        async with self._store.conversation() as session:
            while True:
                acquired = await self._documents.find_one_and_update(
                    {"_id": self._id, **_free_for(holder, over)},
                    update,
                    return_document=ReturnDocument.AFTER,
                    session=session,
                )
                if acquired is not None:
                    return self._read(acquired)
                stored = await self._documents.find_one({"_id": self._id}, session=session)
                if stored is None:
                    await self._store_first(session)
                    continue
                other = self._read(stored).holder
                if other is not None and other.name != holder and other != over:
                    raise LockHeld(self._what, other)

    async def renew(self, token: int, seconds: float) -> None:
        await self._renew(token, seconds, {})

    async def _renew(self, token: int, seconds: float, members: Mapping[str, Any]) -> None:
        update = {"$set": {**members, "seconds": seconds}, "$inc": {"beat": 1}}
        async with self._store.conversation() as session:
            result = await self._documents.update_one({"_id": self._id, **held(token)}, update, session=session)
        if not result.matched_count:
            raise LockLost(self._what, token)

    async def release(self, token: int) -> None:
        async with self._store.conversation() as session:
            await self._documents.update_one({"_id": self._id, "token": token}, {"$set": FREE}, session=session)


class MongoDBLockedValue(MongoDBLock[V], LockedValue[V]):
    """The only value of its kind, in the document ``id_`` of the collection ``walks``. ``empty``: its value before the
    first ``save``."""

    def __init__(
        self, store: CatalogDatabase, id_: str, what: str, empty: V, from_json: Callable[[Mapping[str, Any]], V]
    ) -> None:
        super().__init__(store, store.database["walks"], id_, what, self._value)
        self._empty = empty
        self._from_json = from_json

    async def get(self) -> V:
        async with self._store.conversation() as session:
            document = await self._documents.find_one({"_id": self._id}, session=session)
        return self._empty if document is None else self._value(document)

    async def save(self, value: V, token: int, seconds: float) -> None:
        await self._renew(token, seconds, _members(value))

    async def forget(self, session: Session) -> None:
        """Reset the value, if it exists, and end its lock, so that the holder can no longer save."""
        await self._documents.update_one({"_id": self._id}, {"$set": _members(self._empty) | FREE}, session=session)

    async def _store_first(self, session: Session) -> None:
        try:
            first = {**_members(self._empty), "_id": self._id, **FREE, "token": 0}
            await self._documents.insert_one(first, session=session)
        except DuplicateKeyError:
            pass  # another process stored it, and may hold the lock

    def _value(self, document: dict[str, Any]) -> V:
        try:
            holder = holder_of(document)
            return self._from_json({**document, "holder": None if holder is None else holder.to_json()})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise self._store.unavailable(f"walks: the document {self._id!r} is damaged ({error})") from error


def _members(value: Held) -> dict[str, Any]:
    return {name: member for name, member in value.to_json().items() if name != "holder"}


def _free_for(holder: str, over: Holder | None) -> dict[str, Any]:
    """Return the condition that ``holder`` may take the lock: free, its own already, or with the holder ``over``."""
    ways: list[dict[str, Any]] = [{"holder": None}, {"holder": holder}]
    if over is not None:
        beats = [{"until": _FOR_EVER, "beat": over.beat}, {"until": _SINCE + timedelta(milliseconds=over.beat)}]
        ways.append({"holder": over.name, "token": over.token, "$or": beats})
    return {"$or": ways}
