"""The collection of partitions, and its half of the promise that no placement names a partition that is gone.

MongoDB has no foreign keys. ``remove`` marks the partition ``leaving``, *then* counts the placements that name it,
then deletes it, and then counts once more: if it finds a placement that came after the first count, it puts the
partition back. Who adds a placement writes it, *then* looks at the partition again, and undoes it if that is gone. All
of these are writes and reads with majority in causally consistent sessions, so they have one order: if the placement
came before the deletion, one of the counts sees it; if it came after, the second look sees nothing. At least one of the
two sides sees the other.

A second look that sees the mark undoes nothing: the second count is still to come, and clients may have written to the
new segment already. Nor is a switch ever undone: ``remove`` looks after its mark for moves that have not come to their
switch, and finds any whose first look came before the mark.

What is left by a crash: of a removal, the mark: the partition is listed and takes no placements until the removal is
repeated or ``replace`` revives it. Of an addition, between its write and its second look, and only if a removal ran
from mark to second count between its first look and its write: a placement in its first state that names a partition
that is gone. Whoever meets it is told so by ``PartitionUnknown`` when trying to change it, and can remove it.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import uuid4

from pymongo.errors import DuplicateKeyError

from catalog.errors import PartitionConflict, PartitionInUse
from catalog.model import COMING_STATES, Partition
from catalog.mongodb.documents import partition_document, read, read_partition

if TYPE_CHECKING:
    from catalog.mongodb.store import Collection, Session, Store


class Partitions:
    """The verbs of the interface that concern partitions. Methods with a session belong to a larger conversation."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stored: Collection = store.database["partitions"]
        self._placements: Collection = store.database["placements"]
        self._moves: Collection = store.database["moves"]

    async def get(self, name: str) -> Partition | None:
        """Return the partition, None if there is none."""
        async with self._store.conversation() as session:
            return await self._get(name, session)

    async def list_all(self) -> list[Partition]:
        """Return all of them, by name."""
        async with self._store.conversation() as session:
            documents = await self._stored.find({}, sort=[("_id", 1)], session=session).to_list()
        return [self._read(document) for document in documents]

    async def insert(self, partition: Partition) -> None:
        """Store a new one, as ``Catalog.insert_partition``."""
        async with self._store.conversation() as session:
            while True:
                try:
                    await self._stored.insert_one(partition_document(partition), session=session)
                    return
                except DuplicateKeyError:
                    document = await self._stored.find_one({"_id": partition.name}, session=session)
                if document is None:
                    continue  # removed in between
                current = self._read(document)
                if _same(current, partition) and "leaving" not in document:
                    return
                raise PartitionConflict(partition.name, current)

    async def replace(self, partition: Partition) -> None:
        """Compare-and-set, as ``Catalog.replace_partition``. Takes the mark of a removal away."""
        expected = {"_id": partition.name, "version": partition.version - 1}
        async with self._store.conversation() as session:
            while True:
                result = await self._stored.replace_one(expected, partition_document(partition), session=session)
                if result.matched_count:
                    return
                current = await self._get(partition.name, session)
                if current is not None and _same(current, partition):
                    return
                if current is None or current.version != partition.version - 1:
                    raise PartitionConflict(partition.name, current)

    async def remove(self, name: str) -> None:
        """Remove it, as ``Catalog.remove_partition``. The order of the steps is explained above."""
        async with self._store.conversation() as session:
            while True:
                # The mark is this removal's own, so that it cannot delete what was revived and marked anew.
                mark = {"_id": name, "leaving": uuid4().hex}
                marked = await self._stored.update_one(
                    {"_id": name}, {"$set": {"leaving": mark["leaving"]}}, session=session
                )
                if not marked.matched_count:
                    return
                named, coming = await self._count(name, session), await self._coming(name, session)
                if named or coming is not None:
                    await self._stored.update_one(mark, {"$unset": {"leaving": ""}}, session=session)
                    raise PartitionInUse(name, named, coming)
                deleted = await self._stored.find_one_and_delete(mark, session=session)
                if deleted is None:
                    continue  # revived, or another removal is at it: from the start
                if named := await self._count(name, session):
                    del deleted["leaving"]
                    with suppress(DuplicateKeyError):  # registered anew by somebody: as good
                        await self._stored.insert_one(deleted, session=session)
                    raise PartitionInUse(name, named)
                return

    async def unfit(self, names: Iterable[str], session: Session, *, known: Iterable[str] = ()) -> list[str]:
        """Return those of ``names`` that no placement may name: not registered, or being removed.

        Those of ``known`` need only be registered: a removal that finds them in use will let them be.
        """
        wanted = set(names)
        fit = set(known)
        documents = self._stored.find({"_id": {"$in": sorted(wanted)}}, {"leaving": 1}, session=session)
        registered = {d["_id"] for d in await documents.to_list() if "leaving" not in d or d["_id"] in fit}
        return sorted(wanted - registered)

    async def _get(self, name: str, session: Session) -> Partition | None:
        document = await self._stored.find_one({"_id": name}, session=session)
        return None if document is None else self._read(document)

    async def _count(self, name: str, session: Session) -> int:
        return await self._placements.count_documents({"segments.partition": name}, session=session)

    async def _coming(self, name: str, session: Session) -> str | None:
        """Return the id of a move that may still bring the partition a queue."""
        # They are unfinished: said, so that the partial index is used.
        states = [state.value for state in COMING_STATES]
        coming = {"partitions": name, "unfinished": True, "state": {"$in": states}}
        document = await self._moves.find_one(coming, {"_id": 1}, session=session)
        return None if document is None else str(document["_id"])

    def _read(self, document: dict[str, object]) -> Partition:
        try:
            return read(read_partition, document)
        except ValueError as error:
            raise self._store.unavailable(f"partitions: {error}") from error


def _same(one: Partition, other: Partition) -> bool:
    return one == other and one.version == other.version  # equality of partitions leaves the version out
