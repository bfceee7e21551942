"""The collections of plans and of their moves."""

from __future__ import annotations

import asyncio
from collections.abc import Collection as Several
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from catalog.errors import PlanConflict
from catalog.interface.plans import PlannedMoveStore, PlanStore
from catalog.model import Ending, MoveOutcome, MovePlan, PlannedMove, PlanState, QueueKey, WholePlan
from catalog.mongodb.documents import (
    changing_plan,
    plan_document,
    plan_of_version_3,
    planned_move_document,
    planned_move_id,
    read_plan,
    read_planned_move,
)
from catalog.mongodb.store import BATCH_TIMEOUT

if TYPE_CHECKING:
    from catalog.mongodb.store import CatalogDatabase, Collection

# Moves of a plan in one write.
_BATCH = 500
_DUPLICATE_KEY = 11000


class MongoDBPlans(PlanStore):
    """``Catalog.plans``. Writes are of whole documents, or of all fields that can change."""

    def __init__(self, store: CatalogDatabase, moves: MongoDBPlannedMoves) -> None:
        self._store = store
        self._moves = moves
        self._stored: Collection = store.database["plans"]

    async def get(self, plan_id: str) -> MovePlan | None:
        """Return the plan, None if there is none."""
        async with self._store.conversation() as session:
            document = await self._stored.find_one({"_id": plan_id}, session=session)
        return None if document is None else await self._read(document)

    async def exists(self, plan_id: str) -> bool:
        """Return whether the plan exists."""
        async with self._store.conversation() as session:
            return await self._stored.find_one({"_id": plan_id}, {"_id": 1}, session=session) is not None

    async def remove(self, plan_id: str, version: int) -> None:
        async with self._store.conversation() as session:
            removed = await self._stored.delete_one({"_id": plan_id, "version": version}, session=session)
        if not removed.deleted_count and (stored := await self.get(plan_id)) is not None:
            raise PlanConflict(plan_id, stored)
        # A crash before this leaves moves of a removed plan, which ``orphaned`` finds.
        await self._moves.remove_all(plan_id)

    async def orphaned(self) -> list[str]:
        named = await self._moves.plans()
        async with self._store.conversation(BATCH_TIMEOUT) as session:
            there = await self._stored.distinct("_id", session=session)
        return sorted(named.difference(there))

    async def insert(self, whole: WholePlan) -> None:
        plan = whole.plan
        await self._moves.insert(whole.moves)
        async with self._store.conversation() as session:
            try:
                await self._stored.insert_one(plan_document(plan), session=session)
                return
            except DuplicateKeyError:
                pass
        stored = await self.get(plan.id)
        if stored != plan:
            raise PlanConflict(plan.id, stored)

    async def replace(self, plan: MovePlan) -> None:
        expected = {"_id": plan.id, "version": plan.version - 1, "progress": {"$exists": True}}
        while True:
            async with self._store.conversation() as session:
                result = await self._stored.update_one(expected, {"$set": changing_plan(plan)}, session=session)
            if result.matched_count:
                return
            stored = await self.get(plan.id)
            if stored == plan:
                return
            if stored is None or stored.version != plan.version - 1:
                raise PlanConflict(plan.id, stored)

    async def find(
        self,
        *,
        states: Several[PlanState] | None = None,
        active: bool = False,
        after: str | None = None,
        limit: int,
    ) -> list[MovePlan]:
        condition: dict[str, Any] = {"_id": {"$gt": after or ""}}  # no id is empty
        if states is not None:
            condition["state"] = {"$in": [state.value for state in states]}
        if active:
            # Documents of schema version 3 do not have the field.
            condition["active"] = {"$in": [True, None]}
        documents = await self._store.page(self._stored, condition, limit)
        found = [await self._read(document) for document in documents]
        return [plan for plan in found if plan is not None and (plan.active or not active)]

    async def carry_over(self) -> None:
        """Convert all plans of schema version 3, each as its next version; leave damaged ones unchanged."""
        async with self._store.conversation(BATCH_TIMEOUT) as session:
            before = [document["_id"] async for document in self._stored.find(_OF_BEFORE, {"_id": 1}, session=session)]
        for plan_id in before:
            async with self._store.conversation(BATCH_TIMEOUT) as session:
                document = await self._stored.find_one({"_id": plan_id, **_OF_BEFORE}, session=session)
            if document is not None:
                await self._carry_over(document)

    async def _carry_over(self, document: Mapping[str, Any]) -> bool:
        """Convert one plan; return whether it is not damaged. Store its moves first: a crash in between leaves them and
        the old plan, which is converted again."""
        try:
            plan, moves = await asyncio.to_thread(plan_of_version_3, document)
        except (ValueError, TypeError, KeyError, AttributeError):
            return False
        await self._moves.insert(moves)
        # They may be from an earlier attempt that died, before more of them had ended.
        ended = [move.ending for move in moves if move.ending is not None]
        for first in range(0, len(ended), _BATCH):
            await self._moves.end(plan.id, ended[first : first + _BATCH])
        # If a mover of an earlier release has changed the plan meanwhile, it is converted when it is read next.
        expected = {"_id": plan.id, "version": document["version"], **_OF_BEFORE}
        async with self._store.conversation() as session:
            await self._stored.replace_one(expected, plan_document(plan), session=session)
        return True

    async def _read(self, document: Mapping[str, Any]) -> MovePlan | None:
        """Return the plan in a document. Convert and read it again if it is of schema version 3; None if it is gone."""
        if "progress" not in document and await self._carry_over(document):
            return await self.get(document["_id"])
        return self._store.read("plans", read_plan, document)


class MongoDBPlannedMoves(PlannedMoveStore):
    """``Catalog.planned_moves``."""

    def __init__(self, store: CatalogDatabase) -> None:
        self._store = store
        self._stored: Collection = store.database["planned_moves"]

    async def get(self, plan_id: str, key: QueueKey) -> PlannedMove | None:
        """Return the planned move of the queue, None if the plan has none."""
        condition = {"plan": plan_id, "project": key.project, "queue": key.queue}
        async with self._store.conversation() as session:
            document = await self._stored.find_one(condition, session=session)
        return None if document is None else self._read(document)

    async def find(
        self,
        plan_id: str,
        *,
        numbers: Several[int] | None = None,
        outcomes: Several[MoveOutcome | None] | None = None,
        after: int = -1,
        before: int | None = None,
        limit: int,
    ) -> list[PlannedMove]:
        condition: dict[str, Any] = {"plan": plan_id, "number": {"$gt": after}}
        if before is not None:
            condition["number"]["$lt"] = before
        if numbers is not None:
            condition["number"]["$in"] = list(numbers)
        if outcomes is not None:
            condition["outcome"] = {"$in": [outcome and outcome.value for outcome in outcomes]}
        documents = await self._store.page(self._stored, condition, limit, by="number")
        return [self._read(document) for document in documents]

    async def end(self, plan_id: str, endings: Several[Ending]) -> None:
        if endings:
            async with self._store.conversation() as session:
                updates = [_ended(plan_id, ending) for ending in endings]
                await self._stored.bulk_write(updates, ordered=False, session=session)

    async def insert(self, moves: Several[PlannedMove]) -> None:
        """Store the planned moves that do not exist yet."""
        documents = [planned_move_document(move) for move in moves]
        for first in range(0, len(documents), _BATCH):
            async with self._store.conversation(BATCH_TIMEOUT) as session:
                try:
                    await self._stored.insert_many(documents[first : first + _BATCH], ordered=False, session=session)
                except BulkWriteError as error:
                    if any(failed["code"] != _DUPLICATE_KEY for failed in error.details["writeErrors"]):
                        raise

    async def remove_all(self, plan_id: str) -> None:
        """Remove all planned moves of a plan."""
        async with self._store.conversation(BATCH_TIMEOUT) as session:
            await self._stored.delete_many({"plan": plan_id}, session=session)

    async def plans(self) -> set[str]:
        """Return the ids of the plans with planned moves."""
        async with self._store.conversation(BATCH_TIMEOUT) as session:
            # By the first field of an index: one step for each plan.
            return set(await self._stored.distinct("plan", session=session))

    def _read(self, document: Mapping[str, Any]) -> PlannedMove:
        return self._store.read("planned_moves", read_planned_move, document)


_OF_BEFORE = {"progress": {"$exists": False}}


def _ended(plan_id: str, ending: Ending) -> UpdateOne:
    condition = {"_id": planned_move_id(plan_id, ending.number), "outcome": None}
    return UpdateOne(condition, {"$set": {"outcome": ending.outcome.value, "ending": ending.to_json()}})
