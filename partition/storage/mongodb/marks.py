"""Marks: the writes that a queue refuses, by their epoch.

They are in the document of the queue, ``closed``: one ``{life, epoch}`` for each of its last lives, the newest last;
and ``shut`` while posts without an epoch are refused too. Every write that marks can refuse includes one conditional
write of this document, so it happens before the mark or after it. If a post has reserved its positions before, the mark
waits for it, or takes it back (``Posting.wait_for_earlier``).
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from partition.errors import QueueClosed
from partition.model.queue import MARKED_LIVES, Epoch, QueueKey
from partition.storage.mongodb.documents import Document, queue_id, undeclared
from partition.storage.mongodb.schema import FENCED, STORE, VERSION

if TYPE_CHECKING:
    from pymongo.asynchronous.client_session import AsyncClientSession

    from partition.storage.mongodb.numbers import Numbers
    from partition.storage.mongodb.posting import Posting
    from partition.storage.mongodb.store import Store

_RESERVED = {"_id": 0, "queue": 1, "last": 1}


def admitting(epoch: Epoch | None) -> dict[str, Any]:
    """The condition that no mark refuses a write with this epoch."""
    if epoch is None:
        return {}
    return {"closed": {"$not": {"$elemMatch": {"life": epoch.life, "epoch": {"$gt": epoch.number}}}}}


def admitting_post(epoch: Epoch | None) -> dict[str, Any]:
    """The same for a post, which also needs an epoch where the queue is shut."""
    return {"shut": {"$ne": True}} if epoch is None else admitting(epoch)


def refuse(key: QueueKey, document: Document | None, epoch: Epoch | None) -> None:
    """Raise QueueClosed if a mark in the document made one of these conditions false."""
    marks = [] if document is None else document.get("closed", [])
    refusing = [
        mark["epoch"]
        for mark in marks
        if (epoch is None and document is not None and document.get("shut"))
        or (epoch is not None and mark["life"] == epoch.life and mark["epoch"] > epoch.number)
    ]
    if refusing:
        raise QueueClosed(key.name, max(refusing))


class Marks:
    """Sets and removes them."""

    def __init__(self, store: Store, numbers: Numbers, posting: Posting) -> None:
        self._store = store
        self._numbers = numbers
        self._posting = posting

    async def fence(self, key: QueueKey, epoch: Epoch) -> None:
        """Set the mark, unless its life has a higher one; return when no earlier post is in flight."""
        async with self._store.writing() as session:
            # Before the first mark, so that a store with marks never opens in an earlier release.
            await self._set_version(FENCED, session)
            while True:
                wanted: dict[str, Any] = {"_id": queue_id(key)}
                known = await self._store.unsettled.find_one(wanted, {"closed": 1}, session=session)
                if known is None:
                    # A missing queue gets a mark too: otherwise late posts would create it.
                    blank = undeclared(key, await self._numbers.take(1, session))
                    with suppress(DuplicateKeyError):  # another process was faster
                        await self._store.queues.insert_one(blank, session=session)
                    continue
                marks = known.get("closed", [])
                change: dict[str, Any] = {"closed": marks}
                if not any(mark["life"] == epoch.life and mark["epoch"] >= epoch.number for mark in marks):
                    others = [mark for mark in marks if mark["life"] != epoch.life]
                    mark = {"life": epoch.life, "epoch": epoch.number}
                    change = {"closed": [*others, mark][-MARKED_LIVES:], "shut": True}
                # Also without a change: the order of this write separates earlier posts from later ones.
                found = await self._store.queues.find_one_and_update(
                    wanted | {"closed": known.get("closed", {"$exists": False})},
                    {"$set": change},
                    projection=_RESERVED,
                    return_document=ReturnDocument.AFTER,
                    session=session,
                )
                if found is not None:
                    break
            # Again: a concurrent reopen of all queues may have reset it before this mark, and searched for marks before
            # it.
            await self._set_version(FENCED, session)
            await self._posting.wait_for_earlier(found["queue"], found["last"], session)

    async def reopen(self) -> int:
        """Remove all of them; return how many queues had some."""
        async with self._store.writing() as session:
            change = {"$unset": {"closed": "", "shut": ""}}
            result, _ = await self._store.repeated(
                lambda: self._store.queues.update_many({"closed": {"$exists": True}}, change, session=session)
            )
            await self._set_version(VERSION, session)
            if await self._store.queues.find_one({"closed": {"$exists": True}}, {"_id": 1}, session=session):
                # A mark was set meanwhile.
                await self._set_version(FENCED, session)
        return int(result.matched_count)

    async def _set_version(self, version: int, session: AsyncClientSession) -> None:
        await self._store.store.update_one({"_id": STORE}, {"$set": {"version": version}}, session=session)
