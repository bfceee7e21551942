"""The collection of members.

``renewed`` is set by the primary's clock. It is shown to people, and otherwise only compared for equality: it is part
of the stamp, because workers of earlier releases have no counter of renewals.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import bson

from catalog.errors import NotRegistered
from catalog.interface.members import MemberStore
from catalog.model import Member
from catalog.mongodb.mark import is_marked
from catalog.mongodb.store import finished

if TYPE_CHECKING:
    from catalog.mongodb.store import CatalogDatabase, Collection

_STAMPED = {"$currentDate": {"renewed": True}}
# Members in one reply of the server.
_BATCH = 1000


class MongoDBMembers(MemberStore):
    """``Catalog.members``."""

    def __init__(self, store: CatalogDatabase) -> None:
        self._store = store
        self._stored: Collection = store.database["members"]
        # The last listed members by their documents as stored. PERF: a mover lists some hundred, of which few have
        # changed, many times in a second.
        self._listed: dict[bytes, Member] = {}

    @finished
    async def register(self, member: Member) -> None:
        async with self._store.conversation() as session:
            update = {"$set": _document(member), **_STAMPED}
            stored = await self._stored.update_one({"_id": member.id}, update, upsert=True, session=session)
            if not await is_marked(self._store, session):
                return
            # A member that was listed before may write until its lease ends: loads and movers must see it.
            if stored.upserted_id is not None:
                await self._stored.delete_one({"_id": member.id}, session=session)
        raise self._store.unavailable("it is being loaded from a backup")

    @finished
    async def renew(self, member: Member) -> None:
        # One command only, because each worker sends it every few seconds and for each seal. It ignores the mark: a
        # load is refused if it finds a member, and else no member can register, so none is left to renew.
        #
        # A member of an earlier release has no beat, which counts as less than any number.
        earlier = {"_id": member.id, "beat": {"$not": {"$gte": member.beat}}}
        async with self._store.conversation() as session:
            # PERF: ``update_many``, because the driver and the store keep no record of it for a retry. A worker whose
            # renewal fails in an election sends the next one in time.
            renewed = await self._stored.update_many(earlier, {"$set": _document(member), **_STAMPED}, session=session)
            if not renewed.matched_count and not await self._stored.find_one(
                {"_id": member.id}, {"_id": 1}, session=session
            ):
                raise NotRegistered(member.id)

    async def all(self) -> list[Member]:
        """Return all members by id."""
        async with self._store.conversation() as session:
            found = self._stored.find_raw_batches({}, sort=[("_id", 1)], batch_size=_BATCH, session=session)
            batches = cast("list[bytes]", await found.to_list())
        documents = [document for batch in batches for document in _split(batch)]
        try:
            self._listed = {
                document: self._listed.get(document) or _member(bson.decode(document)) for document in documents
            }
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise self._store.unavailable(f"members: a document is damaged ({error!r})") from error
        return list(self._listed.values())

    async def remove(self, member_id: str) -> None:
        """Remove the member, if it exists."""
        async with self._store.conversation() as session:
            await self._stored.delete_one({"_id": member_id}, session=session)

    async def expire(self, member: Member) -> bool:
        beat, _, renewed = member.stamp.partition(":")
        same = {"_id": member.id, "beat": int(beat) if beat else None, "renewed": _time(renewed)}
        async with self._store.conversation() as session:
            await self._stored.delete_one(same, session=session)
            return await self._stored.find_one({"_id": member.id}, {"_id": 1}, session=session) is None


def _split(batch: bytes) -> Iterator[bytes]:
    """Yield the documents of a batch; each begins with its length."""
    start = 0
    while start < len(batch):
        end = start + int.from_bytes(batch[start : start + 4], "little")
        yield batch[start:end]
        start = end


def _document(member: Member) -> dict[str, Any]:
    document = member.to_json()
    del document["id"]
    return document


def _member(document: dict[str, Any]) -> Member:
    renewed = document["renewed"].replace(tzinfo=UTC)
    beat = document.get("beat")
    stamp = f"{'' if beat is None else beat}:{renewed.isoformat()}"
    return Member.from_json({**document, "id": document["_id"]}, renewed=renewed.timestamp(), stamp=stamp)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=None)
