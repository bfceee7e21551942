"""Documents that somebody holds for a time, each the only one of its kind; all in one collection.

Who holds one stands in it, with ``token`` and ``until``, as in those of moves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from catalog.model import Holder
from catalog.mongodb.documents import read

if TYPE_CHECKING:
    from catalog.mongodb.store import Collection, Session, Store

_HELD = {"$gt": ["$until", "$$NOW"]}  # null is less than any time


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

    async def take(self, holder: str, seconds: float, first: Mapping[str, Any]) -> V | Holder:
        """Begin a hold, and return the value; or who holds it. ``first`` is stored if nothing is."""
        free = {"_id": self._name, "$or": [{"$expr": {"$not": [_HELD]}}, {"holder": holder}]}
        hold = {"holder": {"$literal": holder}, "token": {"$add": ["$token", 1]}, "until": _from_now(seconds)}
        async with self._store.conversation() as session:
            while True:
                taken = await self._documents.find_one_and_update(
                    free, [{"$set": hold}], return_document=ReturnDocument.AFTER, session=session
                )
                if taken is not None:
                    return self._value(taken | {"held": True})
                current = await self._read(session)
                if current is not None and current.holder is not None and current.holder.name != holder:
                    return current.holder
                try:
                    document = {**first, "_id": self._name, "holder": None, "token": 0, "until": None}
                    await self._documents.insert_one(document, session=session)
                except DuplicateKeyError:
                    pass  # it is there, and may be taken by now

    async def save(self, document: Mapping[str, Any], token: int, seconds: float) -> bool:
        """Store it, whoever it says is its holder, and let the hold end ``seconds`` from now. Return whether the hold
        lasted."""
        held = {"_id": self._name, "token": token, "$expr": _HELD}
        changed = {name: {"$literal": value} for name, value in document.items() if name != "holder"}
        async with self._store.conversation() as session:
            result = await self._documents.update_one(
                held, [{"$set": {**changed, "until": _from_now(seconds)}}], session=session
            )
        return bool(result.matched_count)

    async def release(self, token: int) -> None:
        """End a hold."""
        ended = {"$set": {"holder": None, "until": None}}
        async with self._store.conversation() as session:
            await self._documents.update_one({"_id": self._name, "token": token}, ended, session=session)

    async def reset(self, document: Mapping[str, Any], session: Session) -> None:
        """Replace what is stored, if anything is, and end the hold: who has it can save nothing any more."""
        kept = {name: value for name, value in document.items() if name != "holder"}
        ended = {"$set": {**kept, "holder": None, "until": None}}
        await self._documents.update_one({"_id": self._name}, ended, session=session)

    async def _read(self, session: Session) -> V | None:
        stages: list[dict[str, Any]] = [{"$match": {"_id": self._name}}, {"$set": {"held": _HELD}}]
        documents = await (await self._documents.aggregate(stages, session=session)).to_list()
        return self._value(documents[0]) if documents else None

    def _value(self, document: dict[str, Any]) -> V:
        holder = None
        try:
            if document["held"]:
                until = document["until"].replace(tzinfo=UTC).timestamp()
                holder = {"name": document["holder"], "token": document["token"], "until": until}
            return read(self._from_json, document | {"holder": holder})
        except (ValueError, KeyError) as error:
            raise self._store.unavailable(f"walks: {error}") from error


def _from_now(seconds: float) -> dict[str, Any]:
    return {"$add": ["$$NOW", round(seconds * 1000)]}
