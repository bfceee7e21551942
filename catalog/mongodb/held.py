"""Documents under a lock, each the only one of its kind; all in one collection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from catalog.model import Holder
from catalog.mongodb import lock
from catalog.mongodb.documents import read

if TYPE_CHECKING:
    from catalog.mongodb.store import Collection, Session, Store


class _Value(Protocol):
    @property
    def holder(self) -> Holder | None: ...


V = TypeVar("V", bound=_Value)


class Held(Generic[V]):
    """``name`` is the document's ``_id``; ``from_json`` reads a value of it."""

    def __init__(self, store: Store, name: str, from_json: Callable[[Mapping[str, Any]], V]) -> None:
        self._store = store
        self._name = name
        self._from_json = from_json
        self._documents: Collection = store.database["walks"]

    async def read(self) -> V | None:
        """Return the value with its holder, None if there never was any."""
        async with self._store.conversation() as session:
            return await self._read(session)

    async def take(self, holder: str, seconds: float, over: Holder | None, first: Mapping[str, Any]) -> V | Holder:
        """Begin a hold, and return the value; or the other process that holds it. ``first`` is stored if nothing is."""
        free = {"_id": self._name, **lock.free_for(holder, over)}
        async with self._store.conversation() as session:
            while True:
                taken = await self._documents.find_one_and_update(
                    free, lock.taken(holder, seconds), return_document=ReturnDocument.AFTER, session=session
                )
                if taken is not None:
                    return self._value(taken)
                current = await self._read(session)
                other = None if current is None else current.holder
                if other is not None and other.name != holder and other != over:
                    return other
                try:
                    document = {**first, "_id": self._name, **lock.FREE, "token": 0}
                    await self._documents.insert_one(document, session=session)
                except DuplicateKeyError:
                    pass  # it is there, and may be taken by now

    async def save(self, document: Mapping[str, Any], token: int, seconds: float) -> bool:
        """Store it without its holder, and renew the hold. Return whether the hold lasted."""
        kept = {name: value for name, value in document.items() if name != "holder"}
        update = lock.renewed(seconds)
        update["$set"] |= kept
        async with self._store.conversation() as session:
            result = await self._documents.update_one({"_id": self._name, **lock.held(token)}, update, session=session)
        return bool(result.matched_count)

    async def release(self, token: int) -> None:
        """End a hold."""
        async with self._store.conversation() as session:
            await self._documents.update_one({"_id": self._name, "token": token}, {"$set": lock.FREE}, session=session)

    async def reset(self, document: Mapping[str, Any], session: Session) -> None:
        """Replace what is stored, if anything is, and end the hold: its process can save nothing any more."""
        kept = {name: value for name, value in document.items() if name != "holder"}
        await self._documents.update_one({"_id": self._name}, {"$set": {**kept, **lock.FREE}}, session=session)

    async def _read(self, session: Session) -> V | None:
        document = await self._documents.find_one({"_id": self._name}, session=session)
        return None if document is None else self._value(document)

    def _value(self, document: dict[str, Any]) -> V:
        try:
            holder = lock.holder_of(document)
            return read(self._from_json, document | {"holder": None if holder is None else holder.to_json()})
        except (ValueError, KeyError) as error:
            raise self._store.unavailable(f"walks: {error}") from error
