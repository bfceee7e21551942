"""Loading a backup, and the mark of a catalog that is being loaded.

A load writes the mark, *then* lists the members, and is refused if there is one. A worker that registers stores its
member, *then* looks for the mark, and takes the member back if it finds it. All of these are writes and reads with
majority in causally consistent sessions, so at least one of the two sees the other: no worker serves from a catalog
that is being emptied. A member that was listed before stays listed and renews: until its lease is over its worker may
write, and both loads and movers must see it. Then ``emptying`` is set in the mark, and only then is anything removed.

What a crash leaves: before ``emptying``, a mark that only refuses, which ``init`` takes away. After it, a catalog of
which part is gone or part is there, and the mark says so until another load has come to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pymongo import ReturnDocument
from pymongo.errors import BulkWriteError

from catalog.errors import CatalogInUse, LoadRefused, NotEmpty
from catalog.model import KINDS, Kept, Move, Partition, Placement, Plan, PlannedMove, Tenant, above_all
from catalog.mongodb import lock
from catalog.mongodb.documents import (
    move_document,
    partition_document,
    placement_document,
    plan_document,
    planned_move_document,
    tenant_document,
)
from catalog.mongodb.mark import MARK
from catalog.mongodb.partitions import claim_addresses
from catalog.mongodb.store import BATCH_TIMEOUT

if TYPE_CHECKING:
    from catalog.mongodb.audit import AuditStore
    from catalog.mongodb.members import Members
    from catalog.mongodb.moves import Moves
    from catalog.mongodb.statistics import StatisticsStore
    from catalog.mongodb.store import Collection, Session, Store

_DUPLICATE_KEY = 11000
# How many documents are removed at a time.
_BATCH = 5000

_DOCUMENTS: dict[type[Kept], Callable[[Any], dict[str, Any]]] = {
    Partition: partition_document,
    Tenant: tenant_document,
    Placement: placement_document,
    Move: move_document,
    Plan: plan_document,
    PlannedMove: planned_move_document,
}


class Loading:
    """The verbs of the interface that load backups."""

    def __init__(
        self, store: Store, members: Members, moves: Moves, statistics: StatisticsStore, audit: AuditStore
    ) -> None:
        self._store = store
        self._members = members
        self._moves = moves
        self._statistics = statistics
        self._audit = audit
        self._marks: Collection = store.database["catalog"]

    async def begin(self, replace: bool) -> str:
        """Empty the catalog, as ``Catalog.begin_load``."""
        await self._refuse_use()  # before the mark is there too, for under it none can register
        token = uuid4().hex
        began = {
            "token": token,
            "since": "$$NOW",
            "emptying": {"$ifNull": ["$emptying", False]},
            "first_token": {"$ifNull": ["$first_token", 0]},
        }
        async with self._store.conversation() as session:
            mark = await self._marks.find_one_and_update(
                {"_id": MARK}, [{"$set": began}], upsert=True, return_document=ReturnDocument.AFTER, session=session
            )
        try:
            await self._refuse_use()
            if not replace and not (mark and mark["emptying"]):
                await self._refuse_contents()
        except BaseException:
            async with self._store.conversation() as session:
                await self._marks.delete_one({"_id": MARK, "token": token, "emptying": False}, session=session)
            raise
        await self._empty(token)
        return token

    async def _refuse_use(self) -> None:
        members = [member.id for member in await self._members.list_all()]
        movers = await self._moves.holders()
        if members or movers:
            raise CatalogInUse(members, movers)

    async def _refuse_contents(self) -> None:
        async with self._store.conversation() as session:
            found = {kind: await self._store.database[f"{kind}s"].find_one({}, session=session) for kind in KINDS}
        held = [kind for kind, document in found.items() if document is not None]
        if held:
            raise NotEmpty(held)

    async def _empty(self, token: str) -> None:
        async with self._store.conversation(BATCH_TIMEOUT) as session:
            moves = self._store.database["moves"]
            # Of all moves: it has no index.
            largest = await moves.find_one({}, {"token": 1}, sort=[("token", -1)], session=session)
            first = {"$add": ["$first_token", above_all(largest["token"] if largest else 0)]}
            marked = await self._marks.update_one(
                {"_id": MARK, "token": token}, [{"$set": {"emptying": True, "first_token": first}}], session=session
            )
            if not marked.matched_count:
                raise _over()
            await self._statistics.forget_walk(session)
            await self._audit.forget(session)
        for name in ("statistics", "held_writes", *(f"{kind}s" for kind in reversed(KINDS))):
            collection = self._store.database[name]
            while True:
                async with self._store.conversation(BATCH_TIMEOUT) as session:
                    last = await collection.find_one({}, {"_id": 1}, sort=[("_id", 1)], skip=_BATCH, session=session)
                    await collection.delete_many({"_id": {"$lt": last["_id"]}} if last else {}, session=session)
                if last is None:
                    break

    async def load(self, token: str, values: Sequence[Kept]) -> None:
        """Store the values, as ``Catalog.load``."""
        async with self._store.conversation(BATCH_TIMEOUT) as session:
            mark = await self._marks.find_one({"_id": MARK, "token": token}, session=session)
            if mark is None:
                raise _over()
            for kind, type_ in KINDS.items():
                documents = [_DOCUMENTS[type_](value) for value in values if isinstance(value, type_)]
                if type_ is Move:
                    documents = [d | lock.FREE | {"token": mark["first_token"]} for d in documents]
                if documents:
                    await self._insert(kind, documents, session)

    async def _insert(self, kind: str, documents: list[dict[str, Any]], session: Session) -> None:
        await self._require_partitions(kind, documents, session)
        try:
            await self._store.database[f"{kind}s"].insert_many(documents, ordered=False, session=session)
        except BulkWriteError as error:
            for failed in error.details["writeErrors"]:
                if failed["code"] == _DUPLICATE_KEY:
                    raise LoadRefused(f"{kind}s: {failed['errmsg']}") from error
            raise

    async def _require_partitions(self, kind: str, documents: list[dict[str, Any]], session: Session) -> None:
        if kind != "placement":
            return
        wanted = {segment["partition"] for document in documents for segment in document["segments"]}
        found = self._store.database["partitions"].find({"_id": {"$in": sorted(wanted)}}, {"_id": 1}, session=session)
        if missing := wanted - {document["_id"] for document in await found.to_list()}:
            raise LoadRefused(f"a placement names partition {min(missing)}, which there is not")

    async def end(self, token: str) -> None:
        """Take the mark away, as ``Catalog.end_load``."""
        async with self._store.conversation(BATCH_TIMEOUT) as session:
            await claim_addresses(self._store, session)
            ended = await self._marks.delete_one({"_id": MARK, "token": token}, session=session)
        if not ended.deleted_count:
            raise _over()


def _over() -> LoadRefused:
    return LoadRefused("another load was begun since this one")
