"""The collection of moves.

The lock of a move is in its document. Updates of the lock write only its own fields (``lock``), and changes of the move
never write these. So the two do not overwrite each other, and the feed can distinguish them.
"""

from __future__ import annotations

from collections.abc import Collection as Several
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pymongo.errors import DuplicateKeyError

from catalog.errors import LockLost, MoveConflict, MoveUnderWay
from catalog.interface.moves import HeldWritesStore, MoveStore
from catalog.model import FEW_STATES, UNFINISHED_STATES, HeldWrites, Move, MoveState, QueueKey
from catalog.mongodb.documents import move_document, read_move
from catalog.mongodb.lock import FREE, MongoDBLock, held

if TYPE_CHECKING:
    from catalog.mongodb.store import CatalogDatabase, Collection, Session


class MongoDBMoves(MoveStore):
    """``Catalog.moves``."""

    def __init__(self, store: CatalogDatabase) -> None:
        self._store = store
        self._stored: Collection = store.database["moves"]
        self._held_writes: Collection = store.database["held_writes"]

    async def get(self, move_id: str) -> Move | None:
        """Return the move, None if there is none."""
        async with self._store.conversation() as session:
            return await self._one({"_id": move_id}, session)

    async def insert(self, move: Move) -> None:
        document = move_document(move) | FREE | {"token": 0}
        async with self._store.conversation() as session:
            document["ended"] = await self._end(move, session)
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
                # The other move has ended meanwhile.

    async def replace(self, move: Move, token: int | None) -> None:
        expected: dict[str, Any] = {"_id": move.id, "version": move.version - 1}
        if token is not None:
            expected |= held(token)
        document = move_document(move)
        del document["_id"]
        async with self._store.conversation() as session:
            document["ended"] = await self._end(move, session)
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
                    raise LockLost(_what(move.id), token)
                if stored.version != move.version - 1:
                    raise MoveConflict(move.id, stored)

    async def find(
        self,
        *,
        project: str | None = None,
        queue: str | None = None,
        partition: str | None = None,
        states: Several[MoveState] | None = None,
        plan: str | None = None,
        ids: Several[str] | None = None,
        after: str | None = None,
        limit: int,
    ) -> list[Move]:
        filters = {"project": project, "queue": queue, "partitions": partition, "plan": plan}
        condition: dict[str, Any] = {name: value for name, value in filters.items() if value is not None}
        if states is not None:
            condition["state"] = {"$in": [state.value for state in states]}
            # The condition of the partial indexes, in which only unfinished moves are.
            if UNFINISHED_STATES.issuperset(states):
                condition["unfinished"] = True
        condition["_id"] = {"$gt": after or ""}  # no id is empty
        if ids is not None:
            condition["_id"]["$in"] = list(ids)
        # Without the hint, the server keeps a query plan from when the plan had few moves, and walks all of them.
        few = plan is not None and states and len(states) <= FEW_STATES
        hint = "plan_and_state" if few else None
        return [self._read(document) for document in await self._store.page(self._stored, condition, limit, hint=hint)]

    async def under_way(self, key: QueueKey) -> Move | None:
        unfinished = {"project": key.project, "queue": key.queue, "unfinished": True}
        async with self._store.conversation() as session:
            return await self._one(unfinished, session)

    async def find_ended(self, *, keep: int, skip: int, limit: int) -> list[Move]:
        if limit < 1:
            return []
        async with self._store.conversation() as session:
            last = await self._stored.find_one(
                {"unfinished": False}, {"ended": 1}, sort=[("ended", -1), ("_id", -1)], skip=keep, session=session
            )
            if last is None:
                return []
            order = [("ended", 1), ("_id", 1)]
            found = self._stored.find({"unfinished": False}, sort=order, skip=skip, limit=limit, session=session)
            documents = await found.to_list()
        return [self._read(document) for document in documents if _order(document) <= _order(last)]

    async def remove(self, ids: Several[str]) -> None:
        finished = {"_id": {"$in": list(ids)}, "unfinished": False}
        async with self._store.conversation() as session:
            # The moves last: after a crash before, they are still found, and the removal is repeated.
            for move_id in await self._stored.distinct("_id", finished, session=session):
                await self._held_writes.delete_many(_of(move_id), session=session)
            await self._stored.delete_many(finished, session=session)

    async def holders(self) -> list[str]:
        """Return the names of all holders of unfinished moves."""
        async with self._store.conversation() as session:
            return sorted(
                await self._stored.distinct("holder", {"unfinished": True, "holder": {"$ne": None}}, session=session)
            )

    def lock(self, move_id: str) -> MongoDBLock[Move]:
        return _MongoDBMoveLock(self._store, self._stored, move_id, _what(move_id), self._read)

    async def _end(self, move: Move, session: Session) -> int | None:
        """Return the number of a move in the order of ends, None if it has not ended.

        Moves that end concurrently may share a number; their order is that of their ids.
        """
        if not move.finished:
            return None
        last = await self._stored.find_one({"unfinished": False}, {"ended": 1}, sort=[("ended", -1)], session=session)
        return 1 if last is None else (last.get("ended") or 0) + 1

    async def _other(self, move: Move, session: Session) -> Move | None:
        unfinished = {"project": move.project, "queue": move.queue, "unfinished": True, "_id": {"$ne": move.id}}
        return await self._one(unfinished, session)

    async def _one(self, condition: dict[str, Any], session: Session) -> Move | None:
        document = await self._stored.find_one(condition, sort=[("_id", 1)], session=session)
        return None if document is None else self._read(document)

    def _read(self, document: dict[str, Any]) -> Move:
        return self._store.read("moves", read_move, document)


class _MongoDBMoveLock(MongoDBLock[Move]):
    async def _store_first(self, session: Session) -> None:
        raise MoveConflict(self._id, None)


class MongoDBHeldWrites(HeldWritesStore):
    """``Catalog.held_writes``."""

    def __init__(self, store: CatalogDatabase) -> None:
        self._store = store
        self._stored: Collection = store.database["held_writes"]
        self._moves: Collection = store.database["moves"]

    async def put(self, found: Mapping[str, HeldWrites]) -> None:
        wanted = {"_id": {"$in": list(found)}, "unfinished": True}
        async with self._store.conversation() as session:
            # A move that ends after this read may keep the stored reports until its record is removed.
            for move_id in await self._moves.distinct("_id", wanted, session=session):
                document = {"move": move_id, **found[move_id].to_json()}
                await self._stored.replace_one(
                    {"_id": f"{move_id}\0{found[move_id].member}"}, document, upsert=True, session=session
                )

    async def find(self, move_id: str) -> list[HeldWrites]:
        """Return the reports of all members on a move, by the ids of the members."""
        async with self._store.conversation() as session:
            documents = await self._stored.find(_of(move_id), sort=[("_id", 1)], session=session).to_list()
        try:
            return [HeldWrites.from_json(document) for document in documents]
        except (ValueError, TypeError, KeyError) as error:
            raise self._store.unavailable(f"held_writes: a document is damaged ({error!r})") from error

    async def remove(self, move_id: str) -> None:
        """Remove the reports of all members on a move."""
        async with self._store.conversation() as session:
            await self._stored.delete_many(_of(move_id), session=session)


def _what(move_id: str) -> str:
    return f"move {move_id}"


def _of(move_id: str) -> dict[str, Any]:
    # Ids of moves have no NUL, and nothing comes between that and \1.
    return {"_id": {"$gt": f"{move_id}\0", "$lt": f"{move_id}\1"}}


def _order(document: dict[str, Any]) -> tuple[int, str]:
    """Return the sort key among finished moves. Movers of the previous release store no number."""
    return document.get("ended") or 0, document["_id"]
