"""The collection of plans."""

from __future__ import annotations

from collections.abc import Collection as Several
from typing import TYPE_CHECKING, Any

from pymongo.errors import DuplicateKeyError

from catalog.errors import PlanConflict
from catalog.model import FINISHED_PLAN_STATES, Plan, PlanState
from catalog.mongodb.documents import plan_document, read, read_plan

if TYPE_CHECKING:
    from catalog.mongodb.store import Collection, Session, Store


class Plans:
    """The verbs of the interface that concern plans. All writes put whole documents."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stored: Collection = store.database["plans"]

    async def get(self, plan_id: str) -> Plan | None:
        """Return the plan, None if there is none."""
        async with self._store.conversation() as session:
            return await self._get(plan_id, session)

    async def there(self, plan_id: str) -> bool:
        """Tell whether there is such a plan."""
        async with self._store.conversation() as session:
            return await self._stored.find_one({"_id": plan_id}, {"_id": 1}, session=session) is not None

    async def remove(self, plan_id: str) -> None:
        """Remove a finished one, as ``Catalog.remove_plan``."""
        finished = {"_id": plan_id, "state": {"$in": sorted(state.value for state in FINISHED_PLAN_STATES)}}
        async with self._store.conversation() as session:
            removed = await self._stored.delete_one(finished, session=session)
            stored = None if removed.deleted_count else await self._get(plan_id, session)
        if stored is not None:
            raise PlanConflict(plan_id, stored)

    async def insert(self, plan: Plan) -> None:
        """Store a new one, as ``Catalog.insert_plan``."""
        async with self._store.conversation() as session:
            try:
                await self._stored.insert_one(plan_document(plan), session=session)
            except DuplicateKeyError:
                stored = await self._get(plan.id, session)
                if stored != plan:
                    raise PlanConflict(plan.id, stored) from None

    async def replace(self, plan: Plan) -> None:
        """Compare-and-set, as ``Catalog.replace_plan``."""
        expected = {"_id": plan.id, "version": plan.version - 1}
        async with self._store.conversation() as session:
            while True:
                result = await self._stored.replace_one(expected, plan_document(plan), session=session)
                if result.matched_count:
                    return
                stored = await self._get(plan.id, session)
                if stored == plan:
                    return
                if stored is None or stored.version != plan.version - 1:
                    raise PlanConflict(plan.id, stored)

    async def list_all(self, states: Several[PlanState] | None, after: str | None, limit: int) -> list[Plan]:
        """Return those in one of the states, as ``Catalog.list_plans``."""
        condition: dict[str, Any] = {"_id": {"$gt": after or ""}}  # no id is empty
        if states is not None:
            condition["state"] = {"$in": [state.value for state in states]}
        if limit < 1:
            return []  # MongoDB takes 0 for "no limit"
        async with self._store.conversation() as session:
            cursor = self._stored.find(condition, sort=[("_id", 1)], limit=limit, session=session)
            documents = await cursor.to_list()
        return [self._read(document) for document in documents]

    async def _get(self, plan_id: str, session: Session) -> Plan | None:
        document = await self._stored.find_one({"_id": plan_id}, session=session)
        return None if document is None else self._read(document)

    def _read(self, document: dict[str, Any]) -> Plan:
        try:
            return read(read_plan, document)
        except ValueError as error:
            raise self._store.unavailable(f"plans: {error}") from error
