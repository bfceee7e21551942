"""Reading everything as of one instant: a snapshot session.

Page by page and not with one cursor, so that each read has a deadline of its own and is repeated by the driver if the
primary is lost. The server keeps the instant for ``minSnapshotHistoryWindowInSeconds``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from typing import TYPE_CHECKING, Any

import pymongo
from pymongo.errors import OperationFailure

from catalog.errors import SnapshotTooOld
from catalog.model import AT_A_TIME, KINDS, Kept, Plan, PlannedMove
from catalog.mongodb.documents import (
    read,
    read_move,
    read_partition,
    read_placement,
    read_plan,
    read_planned_move,
    read_tenant,
)
from catalog.mongodb.store import BATCH_TIMEOUT

if TYPE_CHECKING:
    from catalog.mongodb.store import Collection, Session, Store

_SNAPSHOT_TOO_OLD = 239


def _free_move(document: Mapping[str, Any]) -> Kept:
    return read_move({**document, "holder": None})


_READERS: dict[str, Callable[[Mapping[str, Any]], Kept]] = {
    "partition": read_partition,
    "tenant": read_tenant,
    "placement": read_placement,
    "move": _free_move,
    "plan": read_plan,
    "planned_move": read_planned_move,
}


async def snapshot(store: Store) -> AsyncGenerator[list[Kept], None]:
    """Yield everything that a backup keeps, as ``Catalog.snapshot``."""
    plans: set[str] = set()
    async with store.snapshot() as session:
        for kind in KINDS:
            collection = store.database[f"{kind}s"]
            condition: dict[str, Any] = {}
            while documents := await _page(store, collection, condition, AT_A_TIME[kind], session):
                try:
                    batch = [read(_READERS[kind], document) for document in documents]
                except ValueError as error:
                    raise store.unavailable(f"{kind}s: {error}") from error
                plans.update(value.id for value in batch if isinstance(value, Plan))
                # Those of a plan that is still being stored, or removed, have no plan.
                batch = [value for value in batch if not isinstance(value, PlannedMove) or value.plan in plans]
                if batch:
                    yield batch
                condition = {"_id": {"$gt": documents[-1]["_id"]}}


async def _page(
    store: Store, collection: Collection, condition: dict[str, Any], limit: int, session: Session
) -> list[dict[str, Any]]:
    with store.translated(), pymongo.timeout(BATCH_TIMEOUT):
        try:
            cursor = collection.find(condition, sort=[("_id", 1)], limit=limit, session=session)
            return await cursor.to_list()
        except OperationFailure as error:
            if error.code != _SNAPSHOT_TOO_OLD:
                raise
            raise SnapshotTooOld(
                f"{store.where} no longer knows the instant that was to be read: it took too long. Raise the server "
                "parameter minSnapshotHistoryWindowInSeconds on every member of the replica set, and begin again"
            ) from error
