"""Queues, topics and their metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymongo.errors import DuplicateKeyError

from partition.errors import QueueChanged, QueueMissing
from partition.model.queue import Epoch, Kind, Metadata, Queue, QueueKey, QueueQuery, lower_bound, place
from partition.storage.mongodb.documents import at_version, emptied, parsed, prefix, queue_id, read_key, read_queue
from partition.storage.mongodb.marks import admitting, refuse
from partition.validation.json_document import text

if TYPE_CHECKING:
    from partition.storage.mongodb.numbers import Numbers
    from partition.storage.mongodb.store import Session, Store

# Queues that a filtered page reads at a time: filters are not indexed.
_FILTER_CHUNK = 500
# Messages of a deleted queue that one round of the sweep deletes.
_DROPPED_AT_A_TIME = 1000

_SEEN = {"queue": 1, "name": 1, "revision": 1, "metadata": 1}


class Queues:
    """Queues and topics, without their messages."""

    def __init__(self, store: Store, numbers: Numbers) -> None:
        self._store = store
        self._numbers = numbers

    async def get(self, key: QueueKey) -> Queue | None:
        async with self._store.reading() as session:
            wanted = {"_id": queue_id(key), "declared": True}
            document = await self._store.queues.find_one(wanted, _SEEN, session=session)
        return None if document is None else read_queue(document)

    async def create(self, key: QueueKey, metadata: Metadata, epoch: Epoch | None) -> bool:
        """Raises QueueClosed."""
        stored = text(dict(metadata))
        async with self._store.writing() as session:
            document = {
                "_id": queue_id(key),
                "queue": await self._numbers.take(1, session),
                "name": key.name,
                "declared": True,
                "revision": 0,
                "metadata": stored,
                "last": 0,
                "pending": [],
            }
            while True:
                try:
                    await self._store.queues.insert_one(document, session=session)
                except DuplicateKeyError:
                    pass
                else:
                    return True
                # An undeclared queue of dead letters becomes a declared one, with them in it.
                undeclared = {"_id": queue_id(key), "declared": False, **admitting(epoch)}
                change = {"$set": {"declared": True, "metadata": stored}, "$inc": {"revision": 1}}
                if (await self._store.queues.update_one(undeclared, change, session=session)).matched_count:
                    return True
                found = await self._store.queues.find_one({"_id": queue_id(key)}, {"closed": 1}, session=session)
                if found is not None:
                    refuse(key, found, epoch)
                    return False

    async def replace_metadata(
        self, key: QueueKey, metadata: Metadata, version: str | None, epoch: Epoch | None
    ) -> None:
        """Raises QueueClosed, QueueMissing, QueueChanged."""
        wanted = {"_id": queue_id(key), "declared": True, **at_version(version), **admitting(epoch)}
        change = {"$set": {"metadata": text(dict(metadata))}, "$inc": {"revision": 1}}
        async with self._store.writing() as session:
            result = await self._store.queues.update_one(wanted, change, session=session)
            if not result.matched_count:
                found = await self._store.unsettled.find_one({"_id": queue_id(key)}, {"closed": 1}, session=session)
                refuse(key, found, epoch)
                raise QueueMissing(key.name) if version is None else QueueChanged(key.name)

    async def delete(self, key: QueueKey) -> None:
        """Record the deletion, then delete the queue; the sweep deletes its messages, and completes interrupted
        deletions."""
        async with self._store.writing() as session:
            with self._store.translated(writing=False):
                document = await self._store.queues.find_one({"_id": queue_id(key)}, {"queue": 1}, session=session)
            if document is not None:
                dropped = {"_id": document["queue"]}
                await self._store.dropped.update_one(dropped, {"$set": dropped}, upsert=True, session=session)
                await self._remove(document["queue"], session)

    async def _remove(self, queue: int, session: Session) -> None:
        """Remove the document of a queue; if it has marks, keep only those, under the number of a new queue."""
        unmarked, marked = ({"queue": queue, "closed": {"$exists": exists}} for exists in (False, True))
        while True:
            if (await self._store.queues.delete_one(unmarked, session=session)).deleted_count:
                return
            change = {"$set": emptied(await self._numbers.take(1, session)), "$unset": {"shut": ""}}
            if (await self._store.queues.update_one(marked, change, session=session)).matched_count:
                return
            if await self._store.queues.find_one({"queue": queue}, {"_id": 1}, session=session) is None:
                return

    async def sweep(self, session: Session) -> bool:
        """Remove some messages of a queue that was deleted, or is to be; return whether there may be more."""
        dropped = await self._store.dropped.find_one({}, session=session)
        if dropped is None:
            return False
        queue = dropped["_id"]
        await self._remove(queue, session)
        found = await self._store.messages.find(
            {"queue": queue}, {"_id": 1}, limit=_DROPPED_AT_A_TIME, session=session
        ).to_list()
        if found:
            await self._store.messages.delete_many({"_id": {"$in": [one["_id"] for one in found]}}, session=session)
        else:
            # A post in flight may arrive even later: MongoDB removes it when it has expired.
            await self._store.dropped.delete_one({"_id": queue}, session=session)
        return True

    async def list_page(self, query: QueueQuery) -> list[Queue]:
        """Walk the names from ``query.after``; with filters, until the page is full."""
        page: list[Queue] = []
        within = _within(query.project, query.kind)
        after = prefix(query.project, query.kind) + query.after
        selective = bool(query.name_part or query.filters)
        chunk = _FILTER_CHUNK if selective else query.limit
        async with self._store.reading() as session:
            while True:
                documents = await self._store.queues.find(
                    {"_id": within | {"$gt": after}, "declared": True},
                    _SEEN,
                    sort=[("_id", 1)],
                    limit=chunk,
                    session=session,
                ).to_list()
                for document in documents:
                    if query.name_part in document["name"] and _matches(document["metadata"], query):
                        page.append(read_queue(document))
                        if len(page) == query.limit:
                            return page
                if not selective or len(documents) < chunk:
                    return page
                after = documents[-1]["_id"]

    async def count(self, project: str, kind: Kind) -> int:
        async with self._store.reading() as session:
            wanted = {"_id": _within(project, kind), "declared": True}
            return await self._store.queues.count_documents(wanted, session=session)

    async def inventory(self, after: QueueKey | None, limit: int) -> list[tuple[QueueKey, Queue]]:
        """Read a page of each kind, and merge the two."""
        found = []
        async with self._store.reading() as session:
            for kind in Kind:
                project, name = lower_bound(after, kind)
                page = self._store.queues.find(
                    {"_id": {"$gt": prefix(project, kind) + name, "$lt": f"{int(kind)}\1"}, "declared": True},
                    _SEEN,
                    sort=[("_id", 1)],
                    limit=limit,
                    session=session,
                )
                found += [(read_key(document), read_queue(document)) for document in await page.to_list()]
        found.sort(key=lambda one: place(one[0]))
        return found[:limit]


def _within(project: str, kind: Kind) -> dict[str, Any]:
    first = prefix(project, kind)
    return {"$gt": first, "$lt": first[:-1] + "\1"}


def _matches(metadata: str, query: QueueQuery) -> bool:
    if not query.filters:
        return True
    stored = parsed(metadata)
    return all(type(stored.get(name)) is type(value) and stored[name] == value for name, value in query.filters)
