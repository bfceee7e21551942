"""The collection of moves.

Who holds a move stands in its document, but is written by updates of ``holder``, ``token`` and ``until`` only, and
never by those that change the move itself: so the two do not overwrite each other, and the feed can tell them apart.
``until`` is set by the primary's clock and compared with it, in the filter of the very write that it guards.
"""

from __future__ import annotations

from collections.abc import Collection as Several
from typing import TYPE_CHECKING, Any

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from catalog.errors import MoveConflict, MoveHeld, MoveNotHeld, MoveUnderWay
from catalog.model import FEW_STATES, Move, MoveState
from catalog.mongodb.documents import move_document, read, read_move

if TYPE_CHECKING:
    from catalog.mongodb.store import Collection, Session, Store

_HELD = {"$gt": ["$until", "$$NOW"]}  # null is less than any time


class Moves:
    """The verbs of the interface that concern moves."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stored: Collection = store.database["moves"]

    async def get(self, move_id: str) -> Move | None:
        """Return the move, None if there is none."""
        async with self._store.conversation() as session:
            return await self._one({"_id": move_id}, session)

    async def insert(self, move: Move) -> None:
        """Store a new one, as ``Catalog.insert_move``."""
        document = move_document(move) | {"holder": None, "token": 0, "until": None}
        async with self._store.conversation() as session:
            while True:
                try:
                    await self._stored.insert_one(document, session=session)
                    return
                except DuplicateKeyError:
                    stored = await self._one({"_id": move.id}, session)
                if stored == move:
                    return
                if stored is not None:
                    raise MoveConflict(move.id, stored)
                if (other := await self._other(move, session)) is not None:
                    raise MoveUnderWay(other)
                # The other one was finished in between.

    async def replace(self, move: Move, token: int | None) -> None:
        """Compare-and-set, as ``Catalog.replace_move``."""
        expected: dict[str, Any] = {"_id": move.id, "version": move.version - 1}
        if token is not None:
            expected |= {"token": token, "$expr": _HELD}
        document = move_document(move)
        del document["_id"]
        async with self._store.conversation() as session:
            while True:
                try:
                    result = await self._stored.update_one(expected, {"$set": document}, session=session)
                    if result.matched_count:
                        return
                except DuplicateKeyError:
                    if (other := await self._other(move, session)) is not None:
                        raise MoveUnderWay(other) from None
                stored = await self._one({"_id": move.id}, session)
                if stored == move:
                    return
                if stored is None:
                    raise MoveConflict(move.id, None)
                if token is not None and (stored.holder is None or stored.holder.token != token):
                    raise MoveNotHeld(move.id, token)
                if stored.version != move.version - 1:
                    raise MoveConflict(move.id, stored)

    async def list_all(
        self,
        project: str | None,
        queue: str | None,
        partition: str | None,
        states: Several[MoveState] | None,
        plan: str | None,
        ids: Several[str] | None,
        after: str | None,
        limit: int,
    ) -> list[Move]:
        """Return those that pass every filter, as ``Catalog.list_moves``."""
        filters = {"project": project, "queue": queue, "partitions": partition, "plan": plan}
        condition: dict[str, Any] = {name: value for name, value in filters.items() if value is not None}
        if states is not None:
            condition["state"] = {"$in": [state.value for state in states]}
        condition["_id"] = {"$gt": after or ""}  # no id is empty
        if ids is not None:
            condition["_id"]["$in"] = list(ids)
        if limit < 1:
            return []  # MongoDB refuses 0
        # The server would remember to walk all moves of a plan, from when there were few.
        few = plan is not None and states and len(states) <= FEW_STATES
        async with self._store.conversation() as session:
            return await self._find(condition, limit, session, "plan_and_state" if few else None)

    async def holders(self) -> list[str]:
        """Return the names of all who hold a move."""
        async with self._store.conversation() as session:
            cursor = self._stored.find({"$expr": _HELD}, {"holder": 1}, session=session)
            return sorted({document["holder"] async for document in cursor})

    async def take(self, move_id: str, holder: str, seconds: float) -> Move:
        """Begin a hold, as ``Catalog.take_move``."""
        free = {"_id": move_id, "$or": [{"$expr": {"$not": [_HELD]}}, {"holder": holder}]}
        hold = {
            "holder": {"$literal": holder},
            "token": {"$add": ["$token", 1]},
            "until": _from_now(seconds),
        }
        async with self._store.conversation() as session:
            while True:
                taken = await self._stored.find_one_and_update(
                    free, [{"$set": hold}], return_document=ReturnDocument.AFTER, session=session
                )
                if taken is not None:
                    return self._read(taken | {"held": True})
                stored = await self._one({"_id": move_id}, session)
                if stored is None:
                    raise MoveConflict(move_id, None)
                if stored.holder is not None and stored.holder.name != holder:
                    raise MoveHeld(move_id, stored.holder)

    async def renew(self, move_id: str, token: int, seconds: float) -> None:
        """Prolong a hold, as ``Catalog.renew_move``."""
        held = {"_id": move_id, "token": token, "$expr": _HELD}
        async with self._store.conversation() as session:
            result = await self._stored.update_one(held, [{"$set": {"until": _from_now(seconds)}}], session=session)
        if not result.matched_count:
            raise MoveNotHeld(move_id, token)

    async def release(self, move_id: str, token: int) -> None:
        """End a hold, as ``Catalog.release_move``."""
        ended = {"$set": {"holder": None, "until": None}}
        async with self._store.conversation() as session:
            await self._stored.update_one({"_id": move_id, "token": token}, ended, session=session)

    async def _other(self, move: Move, session: Session) -> Move | None:
        unfinished = {"project": move.project, "queue": move.queue, "unfinished": True, "_id": {"$ne": move.id}}
        return await self._one(unfinished, session)

    async def _one(self, condition: dict[str, Any], session: Session) -> Move | None:
        found = await self._find(condition, 1, session)
        return found[0] if found else None

    async def _find(
        self, condition: dict[str, Any], limit: int, session: Session, index: str | None = None
    ) -> list[Move]:
        stages: list[dict[str, Any]] = [
            {"$match": condition},
            {"$sort": {"_id": 1}},
            {"$limit": limit},
            {"$set": {"held": _HELD}},
        ]
        options: dict[str, Any] = {} if index is None else {"hint": index}
        documents = await (await self._stored.aggregate(stages, session=session, **options)).to_list()
        return [self._read(document) for document in documents]

    def _read(self, document: dict[str, Any]) -> Move:
        try:
            return read(read_move, document)
        except ValueError as error:
            raise self._store.unavailable(f"moves: {error}") from error


def _from_now(seconds: float) -> dict[str, Any]:
    return {"$add": ["$$NOW", round(seconds * 1000)]}
