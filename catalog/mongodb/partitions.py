"""The collection of partitions, and its half of the invariant that no placement names a removed partition.

MongoDB has no foreign keys. ``remove`` marks the partition ``leaving``, *then* counts the placements that name it,
then deletes it, and then counts once more: if it finds a placement from after the first count, it restores the
partition. A process that adds a placement writes it, *then* reads the partition again (the second look), and removes
the placement if the partition is gone. All of these are writes and reads with majority in causally consistent sessions,
so they have one order: if the placement came before the deletion, one of the counts sees it; if it came after, the
second look does not find the partition. At least one of the two sides sees the other.

A second look that sees the mark undoes nothing: the second count follows, and clients may have written to the new
segment already. A switch is never undone either: after its mark, ``remove`` searches for moves before their switch, and
finds each one that made its first look before the mark.

The state after a crash of a removal: the mark. The partition is listed and takes no placements until the removal is
repeated or ``replace`` revives it. The state after a crash of an addition between its write and its second look, if a
removal ran from mark to second count between its first look and its write: a placement in its first state that names a
removed partition. A change of this placement raises ``PartitionUnknown``; the placement can be removed.

``addresses`` are those of its hosts. A unique index lets only one partition have each of them, also if two are stored
concurrently. A partition that shared an address with another one before the index existed lacks it here.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pymongo.errors import DuplicateKeyError

from catalog.errors import HostTaken, PartitionConflict, PartitionInUse
from catalog.interface.partitions import PartitionStore
from catalog.model import COMING_STATES, Partition
from catalog.mongodb.documents import partition_document, read_partition
from catalog.mongodb.store import finished

if TYPE_CHECKING:
    from catalog.mongodb.store import CatalogDatabase, Collection, Session


class MongoDBPartitions(PartitionStore):
    """``Catalog.partitions``. Methods with a session belong to a larger conversation."""

    def __init__(self, store: CatalogDatabase) -> None:
        self._store = store
        self._stored: Collection = store.database["partitions"]
        self._placements: Collection = store.database["placements"]
        self._moves: Collection = store.database["moves"]

    async def get(self, name: str) -> Partition | None:
        """Return the partition, None if there is none."""
        async with self._store.conversation() as session:
            return await self._get(name, session)

    async def all(self) -> list[Partition]:
        """Return all partitions by name."""
        async with self._store.conversation() as session:
            documents = await self._stored.find({}, sort=[("_id", 1)], session=session).to_list()
        return [self._read(document) for document in documents]

    async def insert(self, partition: Partition) -> None:
        async with self._store.conversation() as session:
            while True:
                document = await self._stored.find_one({"_id": partition.name}, session=session)
                if document is None:
                    taken = await self._taken(partition, session)
                    for address in partition.addresses.keys() & taken.keys():
                        raise HostTaken(partition.addresses[address], taken[address])
                    with suppress(DuplicateKeyError):  # of the name, or of an address
                        await self._stored.insert_one(_claiming(partition, partition.addresses), session=session)
                        return
                    continue
                current = self._read(document)
                if current.same_version(partition) and "leaving" not in document:
                    return
                raise PartitionConflict(partition.name, current)

    async def replace(self, partition: Partition) -> None:
        # This removes the mark of a removal, too.
        expected = {"_id": partition.name, "version": partition.version - 1}
        async with self._store.conversation() as session:
            while True:
                current = await self._get(partition.name, session)
                if current is not None and current.same_version(partition):
                    return
                if current is None or current.version != partition.version - 1:
                    raise PartitionConflict(partition.name, current)
                taken = await self._taken(partition, session)
                for address, host in partition.addresses.items():
                    if address in taken and address not in current.addresses:
                        raise HostTaken(host, taken[address])
                document = _claiming(partition, partition.addresses.keys() - taken.keys())
                with suppress(DuplicateKeyError):  # of an address: the next read returns its partition
                    result = await self._stored.replace_one(expected, document, session=session)
                    if result.matched_count:
                        return

    @finished
    async def remove(self, name: str) -> None:
        # The order of the steps is explained above.
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
                    continue  # revived, or under another removal: start again
                if named := await self._count(name, session):
                    # Its addresses may have been claimed since.
                    del deleted["leaving"]
                    deleted.pop("addresses", None)
                    with suppress(DuplicateKeyError):  # registered again meanwhile: as good
                        await self._stored.insert_one(deleted, session=session)
                    raise PartitionInUse(name, named)
                return

    async def unfit(self, names: Iterable[str], session: Session, *, known: Iterable[str] = ()) -> list[str]:
        """Return those of ``names`` that no placement may name: not registered, or being removed.

        Those of ``known`` need only be registered: a removal that finds them in use ends without effect.
        """
        wanted = set(names)
        fit = set(known)
        documents = self._stored.find({"_id": {"$in": sorted(wanted)}}, {"leaving": 1}, session=session)
        registered = {d["_id"] for d in await documents.to_list() if "leaving" not in d or d["_id"] in fit}
        return sorted(wanted - registered)

    async def _taken(self, partition: Partition, session: Session) -> dict[str, str]:
        """Return, by address, the other partitions that have addresses of this one."""
        found = self._stored.find({"_id": {"$ne": partition.name}}, session=session)
        others = [self._read(document) for document in await found.to_list()]
        return {address: other.name for other in others for address in other.addresses}

    async def _get(self, name: str, session: Session) -> Partition | None:
        document = await self._stored.find_one({"_id": name}, session=session)
        return None if document is None else self._read(document)

    async def _count(self, name: str, session: Session) -> int:
        return await self._placements.count_documents({"segments.partition": name}, session=session)

    async def _coming(self, name: str, session: Session) -> str | None:
        """Return the id of a move that may still add a placement to the partition, None if there is none."""
        # All these states are unfinished; the condition is given for the partial index.
        states = [state.value for state in COMING_STATES]
        coming = {"partitions": name, "unfinished": True, "state": {"$in": states}}
        document = await self._moves.find_one(coming, {"_id": 1}, session=session)
        return None if document is None else str(document["_id"])

    def _read(self, document: dict[str, object]) -> Partition:
        return self._store.read("partitions", read_partition, document)


async def claim_addresses(store: CatalogDatabase, session: Session) -> None:
    """Claim the addresses of every partition without a claim, from an earlier release or a backup, unless another
    partition has them."""
    partitions = store.database["partitions"]
    for document in await partitions.find({"addresses": {"$exists": False}}, session=session).to_list():
        for address in read_partition(document).addresses:
            with suppress(DuplicateKeyError):
                await partitions.update_one(
                    {"_id": document["_id"], "version": document["version"]},
                    {"$addToSet": {"addresses": address}},
                    session=session,
                )


def _claiming(partition: Partition, addresses: Iterable[str]) -> dict[str, Any]:
    """Return the document of a partition with its claims. Without any, it has no list: the index would have an entry
    for an empty one."""
    claimed = sorted(addresses)
    return partition_document(partition) | ({"addresses": claimed} if claimed else {})
