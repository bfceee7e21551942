"""The collection of members, stamped with the primary's clock, which also computes their ages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from catalog.model import Member, MemberSighting

if TYPE_CHECKING:
    from catalog.mongodb.store import Collection, Store


class Members:
    """The verbs of the interface that concern members."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stored: Collection = store.database["members"]

    async def renew(self, member: Member) -> None:
        """Register or renew it, stamped with the primary's clock."""
        # An update by pipeline, for only there is $$NOW. The values are numbers, so none is taken for an expression.
        stamped = [{"$set": {"applied": member.applied, "synced": member.synced, "renewed": "$$NOW"}}]
        async with self._store.conversation() as session:
            await self._stored.update_one({"_id": member.id}, stamped, upsert=True, session=session)

    async def list_all(self) -> list[MemberSighting]:
        """Return all of them, by id."""
        # Not less than zero: after an election it is another node's clock.
        age = {"$max": [0, {"$divide": [{"$subtract": ["$$NOW", "$renewed"]}, 1000]}]}
        pipeline: list[dict[str, Any]] = [{"$sort": {"_id": 1}}, {"$set": {"age": age}}]
        async with self._store.conversation() as session:
            documents = await (await self._stored.aggregate(pipeline, session=session)).to_list()
        try:
            return [
                MemberSighting(Member(id=d["_id"], applied=d["applied"], synced=d["synced"]), float(d["age"]))
                for d in documents
            ]
        except (ValueError, TypeError, KeyError) as error:
            raise self._store.unavailable(f"members: a document is damaged ({error!r})") from error

    async def remove(self, member_id: str) -> None:
        """Forget it, if it is there."""
        async with self._store.conversation() as session:
            await self._stored.delete_one({"_id": member_id}, session=session)
