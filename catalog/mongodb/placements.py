"""The collection of placements. The promise that they name no partition that is gone is explained in ``partitions``."""

from __future__ import annotations

from collections.abc import Collection as Several
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pymongo.errors import DuplicateKeyError

from catalog.errors import Conflict, PartitionUnknown
from catalog.model import LISTED_STATES, RARE_STATES, Placement, PlacementState, QueueKey
from catalog.mongodb.documents import (
    id_range,
    placement_document,
    placement_id,
    read,
    read_placement,
    this_placement,
)
from catalog.mongodb.schema import BY_KEY, BY_PARTITION, BY_RARE_STATE, BY_RARE_STATE_AND_PARTITION

if TYPE_CHECKING:
    from catalog.mongodb.partitions import Partitions
    from catalog.mongodb.store import Collection, Session, Store

_LISTED = sorted(state.value for state in LISTED_STATES)
# A server merges up to internalQueryMaxScansToExplode (200) ranges of an index, and sorts what is more: there is one
# for each partition and each of four rare states.
_MERGED_PARTITIONS = 50
# Seconds for a count, which walks an index: about a million placements a second.
_COUNT_TIMEOUT = 60.0


class Placements:
    """The verbs of the interface that concern placements.

    All writes put whole documents (insert, replace, delete), so that each change event carries its own epoch.
    """

    def __init__(self, store: Store, partitions: Partitions) -> None:
        self._store = store
        self._partitions = partitions
        self._stored: Collection = store.database["placements"]

    async def get(self, key: QueueKey) -> Placement | None:
        """Return the placement, None if there is none."""
        async with self._store.conversation() as session:
            return await self._get(key, session)

    async def insert(self, placement: Placement) -> tuple[Placement, bool]:
        """Insert-or-get, as ``Catalog.insert_placement``."""
        if not placement.born:
            raise ValueError("born: a new placement has a token of its own")
        names = _partitions(placement)
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
                # Ours, just now, or by an earlier attempt that may not have come this far: look again.
                if unfit := await self._partitions.unfit(names, session, known=names):
                    # If the removal meets another epoch, then a worker met the placement and went on with it while
                    # the partition was registered: the second count sees that and puts the partition back.
                    await self._removed(placement.key, placement.epoch, placement.born, session)
                    raise PartitionUnknown(unfit[0])
                return stored, True

    async def replace(self, placement: Placement) -> None:
        """Compare-and-set, as ``Catalog.replace_placement``."""
        names = _partitions(placement)
        async with self._store.conversation() as session:
            while True:
                stored = await self._get(placement.key, session)
                if stored == placement:
                    # A repetition: what was there before is not known any more, so it could not be undone.
                    if unfit := await self._partitions.unfit(names, session, known=names):
                        raise PartitionUnknown(unfit[0])
                    return
                if stored is None or (stored.epoch, stored.born) != (placement.epoch - 1, placement.born):
                    raise Conflict(stored)
                known = _partitions(stored)
                if unfit := await self._partitions.unfit(names, session, known=known):
                    raise PartitionUnknown(unfit[0])
                if not await self._replaced(placement, session):
                    continue  # somebody was faster: look at what they stored
                added = names - known
                if added and (unfit := await self._partitions.unfit(added, session, known=added)):
                    # Back to what it said, but not to the epoch it had: no epoch may ever mean two things.
                    await self._replaced(replace(stored, epoch=placement.epoch + 1), session)
                    raise PartitionUnknown(unfit[0])
                return

    async def remove(self, key: QueueKey, epoch: int, born: str) -> None:
        """Remove that of this epoch and life, as ``Catalog.remove_placement``."""
        async with self._store.conversation() as session:
            while not await self._removed(key, epoch, born, session):
                stored = await self._get(key, session)
                if stored is None:
                    return
                if (stored.epoch, stored.born) != (epoch, born):
                    raise Conflict(stored)

    async def list_queues(self, project: str, after: str, before: str, limit: int) -> list[Placement]:
        """One range of ``_id``, as ``Catalog.list_queues``."""
        return await self._list(_listed(project, after, before), limit)

    async def count_queues(self, project: str, after: str, before: str) -> int:
        """Count what ``list_queues`` would show in all."""
        async with self._store.conversation(_COUNT_TIMEOUT) as session:
            return await self._stored.count_documents(_listed(project, after, before), session=session)

    async def list_all(
        self,
        project: str | None,
        partitions: Several[str] | None,
        states: Several[PlacementState] | None,
        after: QueueKey | None,
        limit: int,
    ) -> list[Placement]:
        """Ranges of one index, merged by the server, as ``Catalog.list_placements``."""
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
        self, project: str | None, partitions: Several[str] | None, states: Several[PlacementState] | None
    ) -> int:
        """Count what ``list_all`` would show in all."""
        if (partitions is not None and not partitions) or (states is not None and not states):
            return 0
        condition = _filter(project, partitions, states, None)
        async with self._store.conversation(_COUNT_TIMEOUT) as session:
            return await self._stored.count_documents(condition, hint=_index(partitions, states), session=session)

    async def _list(self, condition: dict[str, Any], limit: int, index: str = BY_KEY) -> list[Placement]:
        if limit < 1:
            return []  # MongoDB takes 0 for "no limit"
        async with self._store.conversation() as session:
            cursor = self._stored.find(condition, sort=[("_id", 1)], limit=limit, hint=index, session=session)
            documents = await cursor.to_list()
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

    async def _replaced(self, placement: Placement, session: Session) -> bool:
        expected = this_placement(placement.key, placement.epoch - 1, placement.born)
        result = await self._stored.replace_one(expected, placement_document(placement), session=session)
        return result.matched_count == 1

    async def _removed(self, key: QueueKey, epoch: int, born: str, session: Session) -> bool:
        result = await self._stored.delete_one(this_placement(key, epoch, born), session=session)
        return result.deleted_count == 1

    def _read(self, document: dict[str, Any]) -> Placement:
        try:
            return read(read_placement, document)
        except ValueError as error:
            raise self._store.unavailable(f"placements: {error}") from error


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
    """Return the conditions that together are the one of ``_filter``, each of so few ranges that a server merges them
    instead of sorting."""
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


def _listed(project: str, after: str, before: str) -> dict[str, Any]:
    bounds = {"$gt": placement_id(QueueKey(project, after)), "$lt": placement_id(QueueKey(project, before))}
    return {"_id": bounds, "state": {"$in": _LISTED}}


def _partitions(placement: Placement) -> set[str]:
    return {segment.partition for segment in placement.segments}
