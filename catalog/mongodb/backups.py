"""Backups: a snapshot of all values, and the load of one.

*Reading* is a snapshot session. It reads page by page and not with one cursor, so that each read has its own deadline,
and the driver can repeat it if the primary is lost. The server keeps the snapshot for
``minSnapshotHistoryWindowInSeconds``.

*Loading* has a mark. A load writes the mark, *then* lists the members, and is refused if there is one. A worker that
registers stores its member, *then* looks for the mark, and removes the member if it finds the mark. All of these are
writes and reads with majority in causally consistent sessions, so at least one of the two sees the other: no worker
serves from a catalog that is being emptied. A member that was listed before stays listed and renews: until its lease
is over its worker may write, and both loads and movers must see it. Then ``emptying`` is set in the mark, and only
then is anything removed.

The state after a crash: before ``emptying``, a mark that only refuses members, which ``init`` removes. After it, a
partial catalog, which stays marked until another load has ended.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pymongo
from pymongo import ReturnDocument
from pymongo.errors import BulkWriteError, OperationFailure

from catalog.errors import CatalogInUse, LoadRefused, NotEmpty, SnapshotTooOld
from catalog.interface.backups import BackupStore
from catalog.model import (
    AT_A_TIME,
    KINDS,
    AuditState,
    BackupValue,
    Move,
    MovePlan,
    Partition,
    Placement,
    PlannedMove,
    Tenant,
    Walk,
    above_all,
)
from catalog.mongodb.documents import (
    move_document,
    partition_document,
    placement_document,
    plan_document,
    planned_move_document,
    read_move,
    read_partition,
    read_placement,
    read_plan,
    read_planned_move,
    read_tenant,
    tenant_document,
)
from catalog.mongodb.lock import FREE
from catalog.mongodb.mark import MARK
from catalog.mongodb.partitions import claim_addresses
from catalog.mongodb.store import BATCH_TIMEOUT, finished

if TYPE_CHECKING:
    from catalog.mongodb.lock import MongoDBLockedValue
    from catalog.mongodb.members import MongoDBMembers
    from catalog.mongodb.moves import MongoDBMoves
    from catalog.mongodb.plans import MongoDBPlans
    from catalog.mongodb.store import CatalogDatabase, Collection, Session

_DUPLICATE_KEY = 11000
_SNAPSHOT_TOO_OLD = 239
# Documents removed in one command.
_BATCH = 5000

_DOCUMENTS: dict[type[BackupValue], Callable[[Any], dict[str, Any]]] = {
    Partition: partition_document,
    Tenant: tenant_document,
    Placement: placement_document,
    Move: move_document,
    MovePlan: plan_document,
    PlannedMove: planned_move_document,
}


def _free_move(document: Mapping[str, Any]) -> BackupValue:
    return read_move({**document, "holder": None})


_READERS: dict[str, Callable[[Mapping[str, Any]], BackupValue]] = {
    "partition": read_partition,
    "tenant": read_tenant,
    "placement": read_placement,
    "move": _free_move,
    "plan": read_plan,
    "planned_move": read_planned_move,
}


class MongoDBBackups(BackupStore):
    """``Catalog.backups``. A load resets the walk and the audit, too."""

    def __init__(
        self,
        store: CatalogDatabase,
        members: MongoDBMembers,
        moves: MongoDBMoves,
        plans: MongoDBPlans,
        walk: MongoDBLockedValue[Walk],
        audit: MongoDBLockedValue[AuditState],
    ) -> None:
        self._store = store
        self._members = members
        self._moves = moves
        self._plans = plans
        self._walk = walk
        self._audit = audit
        self._marks: Collection = store.database["catalog"]

    async def snapshot(self) -> AsyncGenerator[list[BackupValue], None]:
        await self._plans.carry_over()
        plans: set[str] = set()
        async with self._store.snapshot() as session:
            for kind in KINDS:
                collection = self._store.database[f"{kind}s"]
                condition: dict[str, Any] = {}
                while documents := await _page(self._store, collection, condition, AT_A_TIME[kind], session):
                    batch = [self._store.read(f"{kind}s", _READERS[kind], document) for document in documents]
                    plans.update(value.id for value in batch if isinstance(value, MovePlan))
                    # Skip the moves of a plan that is being stored or removed: the snapshot does not have it.
                    batch = [value for value in batch if not isinstance(value, PlannedMove) or value.plan in plans]
                    if batch:
                        yield batch
                    condition = {"_id": {"$gt": documents[-1]["_id"]}}

    @finished
    async def begin_load(self, *, replace: bool) -> str:
        await self._refuse_use()  # also before the mark exists, because under it no member can register
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
        members = [member.id for member in await self._members.all()]
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
            # Reads all moves: there is no index of tokens.
            largest = await moves.find_one({}, {"token": 1}, sort=[("token", -1)], session=session)
            first = {"$add": ["$first_token", above_all(largest["token"] if largest else 0)]}
            marked = await self._marks.update_one(
                {"_id": MARK, "token": token}, [{"$set": {"emptying": True, "first_token": first}}], session=session
            )
            if not marked.matched_count:
                raise _over()
            await self._walk.forget(session)
            await self._audit.forget(session)
        for name in ("statistics", "held_writes", *(f"{kind}s" for kind in reversed(KINDS))):
            collection = self._store.database[name]
            while True:
                async with self._store.conversation(BATCH_TIMEOUT) as session:
                    last = await collection.find_one({}, {"_id": 1}, sort=[("_id", 1)], skip=_BATCH, session=session)
                    await collection.delete_many({"_id": {"$lt": last["_id"]}} if last else {}, session=session)
                if last is None:
                    break

    @finished
    async def load(self, token: str, values: Sequence[BackupValue]) -> None:
        async with self._store.conversation(BATCH_TIMEOUT) as session:
            mark = await self._marks.find_one({"_id": MARK, "token": token}, session=session)
            if mark is None:
                raise _over()
            for kind, type_ in KINDS.items():
                documents = [_DOCUMENTS[type_](value) for value in values if isinstance(value, type_)]
                if type_ is Move:
                    documents = [d | FREE | {"token": mark["first_token"]} for d in documents]
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
            raise LoadRefused(f"a placement names partition {min(missing)}, which is not registered")

    async def end_load(self, token: str) -> None:
        async with self._store.conversation(BATCH_TIMEOUT) as session:
            await claim_addresses(self._store, session)
            ended = await self._marks.delete_one({"_id": MARK, "token": token}, session=session)
        if not ended.deleted_count:
            raise _over()


async def _page(
    store: CatalogDatabase, collection: Collection, condition: dict[str, Any], limit: int, session: Session
) -> list[dict[str, Any]]:
    with store.translated(), pymongo.timeout(BATCH_TIMEOUT):
        try:
            cursor = collection.find(condition, sort=[("_id", 1)], limit=limit, session=session)
            return await cursor.to_list()
        except OperationFailure as error:
            if error.code != _SNAPSHOT_TOO_OLD:
                raise
            raise SnapshotTooOld(
                f"{store.where} has dropped the snapshot: the export took too long. Raise the server parameter "
                "minSnapshotHistoryWindowInSeconds on every member of the replica set, and export again"
            ) from error


def _over() -> LoadRefused:
    return LoadRefused("another load has begun since")
