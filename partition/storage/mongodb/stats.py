"""Stats (API section 6.7): no counters are stored, so none can be wrong; counting walks ranges of indexes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from partition.errors import QueueMissing
from partition.model.clock import age
from partition.model.identifier import Identifiers
from partition.model.message import Edge, Stats
from partition.model.queue import QueueKey
from partition.storage.mongodb.documents import Document
from partition.storage.mongodb.pages import Pages, Part
from partition.storage.mongodb.schema import BY_EXPIRY, BY_STATE

if TYPE_CHECKING:
    from partition.storage.mongodb.store import Session, Store


async def of_queue(store: Store, pages: Pages, key: QueueKey, identifiers: Identifiers, now: int) -> Stats:
    """Raises QueueMissing."""
    living = {"expires": {"$gt": now}}
    ends = [Part(living, {"queue": way, "position": way}, 1) for way in (1, -1)]
    page = await pages.read(key, ends)
    if page is None:
        raise QueueMissing(key.name)
    queue = page.queue["queue"]
    async with store.reading() as session:
        total = await _count(store, {"queue": queue, **living}, BY_EXPIRY, session)
        claimed = await _count(store, {"queue": queue, "until": {"$gt": now}}, BY_STATE, session)
    if not page.messages:
        return Stats(total, min(claimed, total))
    oldest, newest = (_edge(page.messages[end], identifiers, now) for end in (0, -1))
    # Other calls may have happened in between.
    return Stats(total, min(claimed, total), oldest, newest)


async def _count(store: Store, condition: dict[str, Any], index: str, session: Session) -> int:
    # The command, and not an aggregation: it counts keys of the index without reading each of them.
    answer = await store.database.command(
        "count",
        store.messages.name,
        query=condition,
        hint=index,
        readConcern={"level": "majority"},
        session=session,
    )
    return int(answer["n"])


def _edge(document: Document, identifiers: Identifiers, now: int) -> Edge:
    return Edge(identifiers.identifier(document["_id"]), age(document["created"], now), document["created"])
