"""Dead letters (API section 6.9): messages that were claimed too often, moved to another queue.

A message is moved by one write of its document, so it is always in exactly one of the two queues, and keeps its
identifier. The positions are reserved like those of a post; after a crash they are settled like those of a post, but
arrived messages stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from partition.model.clock import MILLISECONDS
from partition.model.queue import QueueKey
from partition.storage.mongodb.documents import Document
from partition.storage.mongodb.posting import Posting, only_duplicates
from partition.storage.mongodb.schema import gone

if TYPE_CHECKING:
    from partition.storage.mongodb.store import Session, Store


class Burial:
    """Moves messages to dead letter queues."""

    def __init__(self, store: Store, posting: Posting) -> None:
        self._store = store
        self._posting = posting

    async def bury(self, key: QueueKey, dead: list[Document], ttl: int | None, now: int, session: Session) -> None:
        """Move messages to the queue ``key``, created undeclared if missing. A new ttl starts a new life there.

        A message stays if another call took it meanwhile, or if its new place is occupied.
        """
        reserved = await self._posting.reserve_undeclared(key, len(dead), session)
        changes: dict[str, Any] = {"queue": reserved.queue, "until": 0, "claims": 0, "buried": True}
        if ttl is not None:
            expires = now + ttl * MILLISECONDS
            changes |= {"created": now, "ttl": ttl, "expires": expires, "gone": gone(expires, now)}
        moves = [
            UpdateOne(
                {
                    "_id": document["_id"],
                    "queue": document["queue"],
                    "until": {"$gte": -now, "$lte": now},
                    "claim": document.get("claim"),
                },
                {"$set": changes | {"position": reserved.first + n}},
            )
            for n, document in enumerate(dead)
        ]
        try:
            await self._store.messages.bulk_write(moves, ordered=False, session=session)
        except BulkWriteError as error:
            if not only_duplicates(error):
                raise
        await self._posting.settle(reserved, session)
