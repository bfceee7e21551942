"""The collection of placements. ``partitions`` explains why none names a removed partition."""

from __future__ import annotations

from collections.abc import Collection as Several
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pymongo.errors import BulkWriteError, DuplicateKeyError

from catalog.errors import PartitionUnknown, PlacementConflict
from catalog.interface.placements import PlacementStore
from catalog.model import LISTED_STATES, RARE_STATES, Placement, PlacementState, QueueKey
from catalog.mongodb.documents import (
    id_range,
    placement_document,
    placement_id,
    placement_key,
    read_placement,
    this_placement,
)
from catalog.mongodb.schema import BY_KEY, BY_PARTITION, BY_RARE_STATE, BY_RARE_STATE_AND_PARTITION
from catalog.mongodb.store import finished

if TYPE_CHECKING:
    from catalog.mongodb.partitions import MongoDBPartitions
    from catalog.mongodb.store import CatalogDatabase, Collection, Session

_LISTED = sorted(state.value for state in LISTED_STATES)
# A server merges up to internalQueryMaxScansToExplode (200) ranges of an index, and sorts beyond that. There is one
# range for each partition and each of four rare states.
_MERGED_PARTITIONS = 50
# Placements in one round trip.
_BATCH = 1000
_DUPLICATE_KEY = 11000
# The number of documents that a search reads first, which is often enough.
_FIRST_LOOK = 1000
# Seconds for a count, which walks an index: about a million placements a second.
_COUNT_TIMEOUT = 60.0


class MongoDBPlacements(PlacementStore):
    """``Catalog.placements``.

    All writes are of whole documents (insert, replace, delete), so that each change event has its own epoch.
    """

    def __init__(self, store: CatalogDatabase, partitions: MongoDBPartitions) -> None:
        self._store = store
        self._partitions = partitions
        self._stored: Collection = store.database["placements"]

    async def get(self, key: QueueKey) -> Placement | None:
        """Return the placement, None if there is none."""
        async with self._store.conversation() as session:
            return await self._get(key, session)

    @finished
    async def insert(self, placement: Placement) -> tuple[Placement, bool]:
        placement.require_born()
        names = placement.partitions
        async with self._store.conversation() as session:
            while True:
                unfit = await self._partitions.unfit(names, session)
                inserted = not unfit and await self._inserted(placement, session)
                stored = placement if inserted else await self._get(placement.key, session)
                if stored is None and not unfit:
                    continue  # removed between our insert and our read
                if stored is None:
                    raise PartitionUnknown(unfit[0])
                if stored != placement:
                    return stored, False
                # Ours, from this call or an earlier attempt that may have died before this check: take the second look.
                if unfit := await self._partitions.unfit(names, session, known=names):
                    # If the placement has another epoch by now, a worker has continued with it while the partition was
                    # registered: the second count finds it and restores the partition.
                    await self._removed(placement.key, placement.epoch, placement.incarnation, session)
                    raise PartitionUnknown(unfit[0])
                return stored, True

    @finished
    async def insert_many(self, wanted: Sequence[Placement]) -> list[Placement]:
        firsts: dict[QueueKey, Placement] = {}
        for placement in wanted:
            placement.require_born()
            firsts.setdefault(placement.key, placement)
        first = list(firsts.values())
        stored: dict[QueueKey, Placement] = {}
        for n in range(0, len(first), _BATCH):
            async with self._store.conversation() as session:
                missing = first[n : n + _BATCH]
                while missing:
                    stored |= await self._insert_some(missing, session)
                    missing = [placement for placement in missing if placement.key not in stored]
        return [stored[placement.key] for placement in wanted]

    async def _insert_some(self, placements: Sequence[Placement], session: Session) -> dict[QueueKey, Placement]:
        """Take the steps of ``insert`` for all of them at once; return the stored placements.

        Those that were removed between our insert and our read are missing.
        """
        unfit = set(await self._partitions.unfit(_all_partitions(placements), session))
        barred = [placement for placement in placements if unfit & placement.partitions]
        stored = await self._get_many(barred, session)
        for placement in barred:
            if placement.key not in stored:
                raise PartitionUnknown(min(unfit & placement.partitions))
        fit = [placement for placement in placements if placement.key not in stored]
        taken = await self._taken(fit, session)
        stored |= {placement.key: placement for placement in fit if placement.key not in taken}
        stored |= await self._get_many([placement for placement in fit if placement.key in taken], session)
        ours = [placement for placement in placements if stored.get(placement.key) == placement]
        names = _all_partitions(ours)
        if gone := set(await self._partitions.unfit(names, session, known=names)):
            lost = [placement for placement in ours if gone & placement.partitions]
            for placement in lost:
                await self._removed(placement.key, placement.epoch, placement.incarnation, session)
            raise PartitionUnknown(min(gone))
        return stored

    @finished
    async def replace(self, placement: Placement) -> None:
        names = placement.partitions
        async with self._store.conversation() as session:
            while True:
                stored = await self._get(placement.key, session)
                if stored == placement:
                    # A repeated write: the placement before it is unknown, so the write cannot be undone.
                    if unfit := await self._partitions.unfit(names, session, known=names):
                        raise PartitionUnknown(unfit[0])
                    return
                if stored is None or (stored.epoch, stored.incarnation) != (placement.epoch - 1, placement.incarnation):
                    raise PlacementConflict(stored)
                known = stored.partitions
                if unfit := await self._partitions.unfit(names, session, known=known):
                    raise PartitionUnknown(unfit[0])
                if not await self._replaced(placement, session):
                    continue  # another process was faster: read its placement
                added = names - known
                if added and (unfit := await self._partitions.unfit(added, session, known=added)):
                    # Restore the former content under a new epoch: no epoch may stand for two contents.
                    await self._replaced(replace(stored, epoch=placement.epoch + 1), session)
                    raise PartitionUnknown(unfit[0])
                return

    async def remove(self, key: QueueKey, epoch: int, incarnation: str) -> None:
        async with self._store.conversation() as session:
            while not await self._removed(key, epoch, incarnation, session):
                stored = await self._get(key, session)
                if stored is None:
                    return
                if (stored.epoch, stored.incarnation) != (epoch, incarnation):
                    raise PlacementConflict(stored)

    async def list_queues(self, project: str, after: str, before: str, limit: int) -> list[Placement]:
        return await self._list(_listed(project, after, before), limit)

    async def search_queues(
        self, project: str, after: str, before: str, limit: int, *, containing: str, examine: int
    ) -> tuple[list[Placement], str | None]:
        found: list[Placement] = []
        bounds = _bounds(project, after, before)
        async with self._store.conversation() as session:
            for documents in (min(examine, _FIRST_LOOK), examine - _FIRST_LOOK):
                if documents > 0:
                    # This query reads the index only.
                    nth = self._stored.find({"_id": bounds}, {"_id": 1}, sort=[("_id", 1)], session=session)
                    end = [document["_id"] for document in await nth.skip(documents - 1).limit(1).to_list()]
                    condition: dict[str, Any] = {
                        "_id": bounds | ({"$lte": end[0]} if end else {}),
                        "state": {"$in": _LISTED},
                        "$expr": {"$gte": [{"$indexOfBytes": ["$queue", {"$literal": containing}]}, 0]},
                    }
                    left = limit - len(found)
                    cursor = self._stored.find(condition, sort=[("_id", 1)], limit=left, session=session)
                    found += [self._read(document) for document in await cursor.to_list()]
                    if len(found) == limit:
                        return found, found[-1].queue
                    if not end:
                        return found, None
                    bounds["$gt"] = end[0]
        return found, placement_key(bounds["$gt"]).queue

    async def count_queues(self, project: str, after: str, before: str) -> int:
        """Return the number of placements in the whole range of ``list_queues``."""
        async with self._store.conversation(_COUNT_TIMEOUT) as session:
            return await self._stored.count_documents(_listed(project, after, before), session=session)

    async def find(
        self,
        *,
        project: str | None = None,
        partitions: Several[str] | None = None,
        states: Several[PlacementState] | None = None,
        after: QueueKey | None = None,
        limit: int,
    ) -> list[Placement]:
        index = _index(partitions, states)
        pages = [
            await self._list(condition, limit, index) for condition in _filters(project, partitions, states, after)
        ]
        if len(pages) < 2:
            return pages[0] if pages else []
        # A queue with history is on several of the pages.
        merged = {placement.key: placement for page in pages for placement in page}
        return [placement for _, placement in sorted(merged.items())][: max(limit, 0)]

    async def count(
        self,
        *,
        project: str | None = None,
        partitions: Several[str] | None = None,
        states: Several[PlacementState] | None = None,
    ) -> int:
        if (partitions is not None and not partitions) or (states is not None and not states):
            return 0
        condition = _filter(project, partitions, states, None)
        async with self._store.conversation(_COUNT_TIMEOUT) as session:
            return await self._stored.count_documents(condition, hint=_index(partitions, states), session=session)

    async def _list(self, condition: dict[str, Any], limit: int, index: str = BY_KEY) -> list[Placement]:
        documents = await self._store.page(self._stored, condition, limit, hint=index)
        return [self._read(document) for document in documents]

    async def _get(self, key: QueueKey, session: Session) -> Placement | None:
        document = await self._stored.find_one({"_id": placement_id(key)}, session=session)
        return None if document is None else self._read(document)

    async def _inserted(self, placement: Placement, session: Session) -> bool:
        try:
            await self._stored.insert_one(placement_document(placement), session=session)
        except DuplicateKeyError:
            return False
        return True

    async def _taken(self, placements: Sequence[Placement], session: Session) -> set[QueueKey]:
        """Insert the placements with free keys; return the keys that are taken already."""
        if not placements:
            return set()
        documents = [placement_document(placement) for placement in placements]
        try:
            await self._stored.insert_many(documents, ordered=False, session=session)
        except BulkWriteError as error:
            failed = error.details["writeErrors"]
            if error.details["writeConcernErrors"] or any(one["code"] != _DUPLICATE_KEY for one in failed):
                raise
            return {placements[one["index"]].key for one in failed}
        return set()

    async def _get_many(self, placements: Sequence[Placement], session: Session) -> dict[QueueKey, Placement]:
        """Return the stored placements with the keys of these."""
        if not placements:
            return {}
        ids = [placement_id(placement.key) for placement in placements]
        found = [self._read(d) for d in await self._stored.find({"_id": {"$in": ids}}, session=session).to_list()]
        return {placement.key: placement for placement in found}

    async def _replaced(self, placement: Placement, session: Session) -> bool:
        expected = this_placement(placement.key, placement.epoch - 1, placement.incarnation)
        result = await self._stored.replace_one(expected, placement_document(placement), session=session)
        return result.matched_count == 1

    async def _removed(self, key: QueueKey, epoch: int, incarnation: str, session: Session) -> bool:
        result = await self._stored.delete_one(this_placement(key, epoch, incarnation), session=session)
        return result.deleted_count == 1

    def _read(self, document: dict[str, Any]) -> Placement:
        return self._store.read("placements", read_placement, document)


def _index(partitions: Several[str] | None, states: Several[PlacementState] | None) -> str:
    rare = states is not None and RARE_STATES.issuperset(states)
    if partitions is None:
        return BY_RARE_STATE if rare else BY_KEY
    return BY_RARE_STATE_AND_PARTITION if rare else BY_PARTITION


def _filters(
    project: str | None,
    partitions: Several[str] | None,
    states: Several[PlacementState] | None,
    after: QueueKey | None,
) -> list[dict[str, Any]]:
    """Split the condition of ``_filter`` into several, each of so few ranges that a server merges them instead of
    sorting."""
    if states is not None and not states:
        return []
    if partitions is None:
        return [_filter(project, None, states, after)]
    names = sorted(set(partitions))
    some = [names[n : n + _MERGED_PARTITIONS] for n in range(0, len(names), _MERGED_PARTITIONS)]
    return [_filter(project, these, states, after) for these in some]


def _filter(
    project: str | None,
    partitions: Several[str] | None,
    states: Several[PlacementState] | None,
    after: QueueKey | None,
) -> dict[str, Any]:
    condition: dict[str, Any] = {"_id": id_range(project, after)}
    if partitions is not None:
        condition["segments.partition"] = {"$in": sorted(set(partitions))}
    if states is not None:
        condition["state"] = {"$in": sorted({state.value for state in states})}
    return condition


def _bounds(project: str, after: str, before: str) -> dict[str, str]:
    return {"$gt": placement_id(QueueKey(project, after)), "$lt": placement_id(QueueKey(project, before))}


def _listed(project: str, after: str, before: str) -> dict[str, Any]:
    return {"_id": _bounds(project, after, before), "state": {"$in": _LISTED}}


def _all_partitions(placements: Iterable[Placement]) -> set[str]:
    return {name for placement in placements for name in placement.partitions}
