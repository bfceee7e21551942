"""The collection of members, stamped with the primary's clock, which also computes their ages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from catalog.model import UNPROMISED_LEASE, Member, MemberSighting
from catalog.mongodb.mark import is_marked

if TYPE_CHECKING:
    from catalog.mongodb.store import Collection, Session, Store

# In seconds. Not less than zero: after an election it is another node's clock.
_AGE = {"$max": [0, {"$divide": [{"$subtract": ["$$NOW", "$renewed"]}, 1000]}]}


class Members:
    """The verbs of the interface that concern members."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stored: Collection = store.database["members"]

    async def renew(self, member: Member) -> None:
        """Register or renew it, stamped with the primary's clock, as ``Catalog.renew_member``."""
        # An update by pipeline, for only there is $$NOW; so the values must not be taken for expressions.
        document = member.to_json()
        del document["id"]
        stamped = [{"$set": {"renewed": "$$NOW", **{name: {"$literal": value} for name, value in document.items()}}}]
        async with self._store.conversation() as session:
            renewed = await self._stored.update_one({"_id": member.id}, stamped, upsert=True, session=session)
            if not await is_marked(self._store, session):
                return
            # One that was listed before may go on writing by the lease that it has: who loads must see it, and movers.
            if renewed.upserted_id is not None:
                await self._stored.delete_one({"_id": member.id}, session=session)
        raise self._store.unavailable("it is being loaded from a backup")

    async def list_all(self) -> list[MemberSighting]:
        """Return all of them, by id."""
        async with self._store.conversation() as session:
            return await self._find({}, session)

    async def remove(self, member_id: str) -> None:
        """Forget it, if it is there."""
        async with self._store.conversation() as session:
            await self._stored.delete_one({"_id": member_id}, session=session)

    async def evict(self, member_id: str, idle: float) -> MemberSighting | None:
        """Forget it if it has been silent for so long, as ``Catalog.evict_member``."""
        lease = {"$cond": [{"$gt": ["$lease", 0]}, "$lease", UNPROMISED_LEASE]}  # nothing is less than any number
        patience = {"$max": [lease, idle]}
        silent = {"_id": member_id, "$expr": {"$gt": [_AGE, patience]}}
        async with self._store.conversation() as session:
            while not (await self._stored.delete_one(silent, session=session)).deleted_count:
                found = await self._find({"_id": member_id}, session)
                if not found:
                    return None
                if not found[0].silent(idle):
                    return found[0]
        return None

    async def _find(self, condition: dict[str, Any], session: Session) -> list[MemberSighting]:
        stages: list[dict[str, Any]] = [{"$match": condition}, {"$sort": {"_id": 1}}, {"$set": {"age": _AGE}}]
        documents = await (await self._stored.aggregate(stages, session=session)).to_list()
        try:
            return [MemberSighting(Member.from_json({**d, "id": d["_id"]}), float(d["age"])) for d in documents]
        except (ValueError, TypeError, KeyError) as error:
            raise self._store.unavailable(f"members: a document is damaged ({error!r})") from error
