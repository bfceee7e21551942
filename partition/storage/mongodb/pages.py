"""A queue and some of its messages in one round trip.

One aggregation reads the queue first, then its messages; ``posting`` says why in this order. Where messages come from
several ranges of the index, those that may move to a later range by being tidied are read before it, so that none is
missed on its way.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from cachetools import LRUCache

from partition.model.queue import QueueKey
from partition.storage.mongodb.documents import Document, bound, queue_id

if TYPE_CHECKING:
    from partition.storage.mongodb.store import Collection, Session, Store

Condition = dict[str, Any]

# Not needed of a message that is read, or of the queue that it is read with.
_UNSEEN = {"$project": {"gone": 0, "client": 0}}


class Part(NamedTuple):
    """Messages that fulfil ``condition``, of which the first ``limit`` in the order of ``sort`` are wanted."""

    condition: Condition
    sort: dict[str, int]
    limit: int | None = None

    def stages(self, queue: int) -> list[dict[str, Any]]:
        """The aggregation that finds them in the queue of this number."""
        stages: list[dict[str, Any]] = [{"$match": {"queue": queue} | self.condition}, {"$sort": self.sort}]
        if self.limit is not None:
            stages.append({"$limit": self.limit})
        return [*stages, _UNSEEN]


class Page(NamedTuple):
    """A declared queue, and messages of it in the order of positions, each once, none beyond what is visible."""

    queue: Document
    messages: list[Document]


class Pages:
    """Reads pages. Remembers queues as it last saw them; every page tells whether what was remembered was right."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._remembered: MutableMapping[str, Document] = LRUCache(10_000)

    def remembered(self, key: QueueKey) -> Document | None:
        """Return the queue as it once was, also one that was never declared."""
        return self._remembered.get(queue_id(key))

    async def number(self, key: QueueKey, session: Session) -> int | None:
        """Return the number of the queue, also of one that was never declared."""
        id_ = queue_id(key)
        return self._seen(id_, await self._store.queues.find_one({"_id": id_}, session=session))

    def _seen(self, id_: str, queue: Document | None) -> int | None:
        if queue is None:
            self._remembered.pop(id_, None)
            return None
        self._remembered[id_] = queue
        number: int = queue["queue"]
        return number

    async def read(
        self, key: QueueKey, parts: Sequence[Part], session: Session, *, settled: bool = True
    ) -> Page | None:
        """Return the page, None if no such queue is declared. Not ``settled``: a majority may not have it yet."""
        id_ = queue_id(key)
        remembered = self._remembered.get(id_)
        number = remembered["queue"] if remembered else None
        collection = self._store.queues if settled else self._store.unsettled
        while True:
            found = await self._run(collection, id_, number, parts, session)
            queue = found[0] if found else None
            was = number
            number = self._seen(id_, queue)
            if queue is None or not queue["declared"]:
                return None
            if number == was or not parts:
                return Page(queue, _in_order(found[1:], bound(queue)))

    async def _run(
        self, collection: Collection, id_: str, number: int | None, parts: Iterable[Part], session: Session
    ) -> list[dict[str, Any]]:
        stages: list[dict[str, Any]] = [{"$match": {"_id": id_}}]
        if number is not None:
            stages += [
                {"$unionWith": {"coll": self._store.messages.name, "pipeline": part.stages(number)}} for part in parts
            ]
        cursor = await collection.aggregate(stages, session=session)
        found = await cursor.to_list()
        # A queue that is gone has messages for a while.
        return found if found and "declared" in found[0] else []


def _in_order(messages: Iterable[Document], most: int) -> list[Document]:
    by_position = {document["position"]: document for document in messages if document["position"] <= most}
    return [by_position[position] for position in sorted(by_position)]


# Free messages are in the order of positions as they are; others have to be sorted, and are few: see ``sweeping``.
_FREE = {"until": 1, "position": 1}
_SORTED = {"position": 1}


def takeable(limit: int, now: int, *, delayed: bool, extra: Condition | None = None) -> list[Part]:
    """The first messages that are not claimed, and not delayed unless ``delayed``. ``extra`` restricts them further."""
    living = {"expires": {"$gt": now}} | (extra or {})
    ripe: Condition = {"$lte": now, "$ne": 0}
    if not delayed:
        ripe["$gte"] = -now
    return [
        Part({"until": ripe} | living, _SORTED, limit),
        Part({"until": 0} | living, _FREE, limit),
    ]


def listed(limit: int, now: int, *, delayed: bool, extra: Condition) -> list[Part]:
    """The first messages, claimed ones too; delayed ones only if ``delayed``."""
    shown = {} if delayed else {"until": {"$gte": -now}}
    return [Part({"expires": {"$gt": now}} | shown | extra, {"queue": 1, "position": 1}, limit)]
