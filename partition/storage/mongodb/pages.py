"""Queues and some of their messages in one round trip.

One aggregation reads the queue first, then its messages; ``posting`` explains the order. Where messages come from
several ranges of the index, tidying may move a message to a later range; earlier ranges are read first, so that no
message is missed on its way. Concurrent reads share a round trip, which is most of the cost of a page.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import TYPE_CHECKING, Any, NamedTuple

from cachetools import LRUCache

from partition.model.queue import QueueKey
from partition.storage.mongodb.coalescer import Coalescer
from partition.storage.mongodb.documents import Document, bound, queue_id

if TYPE_CHECKING:
    from partition.storage.mongodb.store import Collection, Session, Store

Condition = dict[str, Any]

# Round trips of one process in flight at once, so that a slow one delays few others.
_LANES = 3
# Pages that share a round trip. Their messages are read into memory at once.
_LARGEST_BATCH = 8


class Part(NamedTuple):
    """The first ``limit`` messages in the order of ``sort`` that fulfil ``condition``."""

    condition: Condition
    sort: dict[str, int]
    limit: int | None = None

    def stages(self, queue: int, tag: int) -> list[dict[str, Any]]:
        """The aggregation that finds them in the queue of this number, and marks them with ``tag``."""
        stages: list[dict[str, Any]] = [{"$match": {"queue": queue} | self.condition}, {"$sort": self.sort}]
        if self.limit is not None:
            stages.append({"$limit": self.limit})
        return [*stages, {"$set": {"tag": tag}}]


class Page(NamedTuple):
    """A declared queue, and messages of it in the order of positions, each once, none beyond what is visible."""

    queue: Document
    messages: list[Document]


class _Wanted(NamedTuple):
    """The queue of this ``_id``, and parts of its messages."""

    id: str
    parts: list[Part]


class Pages:
    """Reads pages. Caches queues as last seen; every page reveals whether the cached queue was stale."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._remembered: MutableMapping[str, Document] = LRUCache(10_000)
        self._turns: Coalescer[int, _Wanted, Page | None] = Coalescer(self._batch, _LARGEST_BATCH)

    async def close(self) -> None:
        await self._turns.close()

    def remembered(self, key: QueueKey) -> Document | None:
        """Return a possibly stale queue, also an undeclared one."""
        return self._remembered.get(queue_id(key))

    async def number(self, key: QueueKey, session: Session) -> int | None:
        """Return the number of the queue, also of an undeclared one."""
        id_ = queue_id(key)
        queue = await self._store.queues.find_one({"_id": id_}, session=session)
        self._remember(id_, queue)
        return None if queue is None else queue["queue"]

    async def read(self, key: QueueKey, parts: list[Part]) -> Page | None:
        """Return the page, None if no such queue is declared."""
        id_ = queue_id(key)
        return await self._turns.take(hash(id_) % _LANES, _Wanted(id_, parts))

    async def read_unsettled(self, key: QueueKey, parts: list[Part], session: Session) -> Page | None:
        """The same without read concern majority: for callers that verify it by a conditional write."""
        return (await self._run(self._store.unsettled, [_Wanted(queue_id(key), parts)], session))[0]

    async def _batch(self, lane: int, wanted: list[_Wanted]) -> list[Page | None]:
        async with self._store.reading() as session:
            return await self._run(self._store.queues, wanted, session)

    async def _run(self, collection: Collection, wanted: list[_Wanted], session: Session) -> list[Page | None]:
        pages: dict[int, Page | None] = {}
        while len(pages) < len(wanted):
            left = [tag for tag in range(len(wanted)) if tag not in pages]
            # The cached queues at the time when their messages were requested.
            numbers = {tag: (self._remembered.get(wanted[tag].id) or {}).get("queue") for tag in left}
            queues, messages = await self._ask(collection, {tag: wanted[tag] for tag in left}, numbers, session)
            for tag in left:
                id_, parts = wanted[tag]
                queue = queues.get(id_)
                self._remember(id_, queue)
                if queue is None or not queue["declared"]:
                    pages[tag] = None
                elif queue["queue"] == numbers[tag] or not parts:
                    pages[tag] = Page(queue, _in_order(messages[tag], bound(queue)))
        return [pages[tag] for tag in range(len(wanted))]

    async def _ask(
        self, collection: Collection, wanted: dict[int, _Wanted], numbers: dict[int, int | None], session: Session
    ) -> tuple[dict[str, Document], dict[int, list[Document]]]:
        """Return the queues by ``_id``, and the messages by tag."""
        ids = list({one.id for one in wanted.values()})
        stages: list[dict[str, Any]] = [{"$match": {"_id": {"$in": ids} if len(ids) > 1 else ids[0]}}]
        for tag, one in wanted.items():
            number = numbers[tag]
            if number is not None:
                stages += [
                    {"$unionWith": {"coll": self._store.messages.name, "pipeline": part.stages(number, tag)}}
                    for part in one.parts
                ]
        cursor = await collection.aggregate(stages, session=session)
        queues: dict[str, Document] = {}
        messages: dict[int, list[Document]] = {tag: [] for tag in wanted}
        for document in await cursor.to_list():
            if "tag" in document:
                messages[document["tag"]].append(document)
            else:
                queues[document["_id"]] = document
        return queues, messages

    def _remember(self, id_: str, queue: Document | None) -> None:
        if queue is None:
            self._remembered.pop(id_, None)
        else:
            self._remembered[id_] = queue


def _in_order(messages: Iterable[Document], most: int) -> list[Document]:
    by_position = {document["position"]: document for document in messages if document["position"] <= most}
    return [by_position[position] for position in sorted(by_position)]


# Free messages are stored in the order of positions; others must be sorted, and are few: see ``sweeping``.
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
