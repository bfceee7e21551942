"""The collection of members.

``renewed`` is set by the primary's clock. It is shown to people, and otherwise only compared for equality: it is part
of the stamp, because workers of earlier releases have no counter of renewals.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from catalog.errors import NotRegistered
from catalog.interface.members import MemberStore
from catalog.model import Member
from catalog.mongodb.mark import is_marked
from catalog.mongodb.store import finished

if TYPE_CHECKING:
    from catalog.mongodb.store import CatalogDatabase, Collection

_STAMPED = {"$currentDate": {"renewed": True}}


class MongoDBMembers(MemberStore):
    """``Catalog.members``."""

    def __init__(self, store: CatalogDatabase) -> None:
        self._store = store
        self._stored: Collection = store.database["members"]
        # The last listed members by id: a mover that holds writes lists some hundred every few milliseconds, of which
        # few have changed.
        self._listed: dict[str, tuple[dict[str, Any], Member]] = {}

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
        earlier = {"_id": member.id, "$or": [{"beat": {"$lt": member.beat}}, {"beat": None}]}
        async with self._store.conversation() as session:
            renewed = await self._stored.update_one(earlier, {"$set": _document(member), **_STAMPED}, session=session)
            if not renewed.matched_count and not await self._stored.find_one(
                {"_id": member.id}, {"_id": 1}, session=session
            ):
                raise NotRegistered(member.id)

    async def all(self) -> list[Member]:
        """Return all members by id."""
        async with self._store.conversation() as session:
            documents = await self._stored.find({}, sort=[("_id", 1)], session=session).to_list()
        try:
            self._listed = {document["_id"]: (document, self._decoded(document)) for document in documents}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise self._store.unavailable(f"members: a document is damaged ({error!r})") from error
        return [member for _, member in self._listed.values()]

    def _decoded(self, document: dict[str, Any]) -> Member:
        listed, member = self._listed.get(document["_id"], (None, None))
        return member if member is not None and listed == document else _member(document)

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
