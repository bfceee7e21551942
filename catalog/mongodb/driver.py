"""``MongoDBCatalog``: the verbs of the catalog, each handed to the collection it concerns."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from catalog.interface import Catalog
from catalog.model import (
    Audit,
    Change,
    Ending,
    HeldWrites,
    Holder,
    Kept,
    Member,
    Move,
    MoveState,
    Outcome,
    Partition,
    Placement,
    PlacementState,
    Plan,
    PlannedMove,
    PlanState,
    QueueKey,
    Statistics,
    StatisticsSubject,
    Synced,
    Tenant,
    Walk,
    WholePlan,
)
from catalog.mongodb import feed, schema, snapshot
from catalog.mongodb.audit import AuditStore
from catalog.mongodb.loading import Loading
from catalog.mongodb.members import Members
from catalog.mongodb.moves import Moves
from catalog.mongodb.partitions import Partitions
from catalog.mongodb.placements import Placements
from catalog.mongodb.plans import Plans
from catalog.mongodb.statistics import StatisticsStore
from catalog.mongodb.store import Store
from catalog.mongodb.tenants import Tenants


class MongoDBCatalog(Catalog):
    """A catalog in the MongoDB database that the URI names.

    Verbs that write in several steps run to their end even if the caller is cancelled.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._partitions = Partitions(store)
        self._placements = Placements(store, self._partitions)
        self._tenants = Tenants(store)
        self._members = Members(store)
        self._moves = Moves(store)
        self._plans = Plans(store)
        self._statistics = StatisticsStore(store)
        self._audit = AuditStore(store)
        self._loading = Loading(store, self._members, self._moves, self._statistics, self._audit)

    def __repr__(self) -> str:
        return f"<MongoDBCatalog {self._store.where}>"

    @classmethod
    async def open(cls, uri: str) -> MongoDBCatalog:
        """Make a catalog for ``uri``, connecting when first used. Raises BadCatalogURI."""
        return cls(Store(uri))

    async def init(self) -> None:
        await schema.init(self._store, self._plans)

    async def check(self) -> None:
        await schema.check(self._store)

    async def ping(self) -> None:
        await schema.ping(self._store)

    async def close(self) -> None:
        await self._store.close()

    async def identity(self) -> str:
        return await schema.identity(self._store)

    async def get_placement(self, key: QueueKey) -> Placement | None:
        return await self._placements.get(key)

    async def insert_placement(self, placement: Placement) -> tuple[Placement, bool]:
        return await self._store.finish(self._placements.insert(placement))

    async def insert_placements(self, wanted: Sequence[Placement]) -> list[Placement]:
        return await self._store.finish(self._placements.insert_many(wanted))

    async def replace_placement(self, placement: Placement) -> None:
        await self._store.finish(self._placements.replace(placement))

    async def remove_placement(self, key: QueueKey, epoch: int, born: str) -> None:
        await self._placements.remove(key, epoch, born)

    async def list_queues(self, project: str, after: str, before: str, limit: int) -> list[Placement]:
        return await self._placements.list_queues(project, after, before, limit)

    async def search_queues(
        self, project: str, after: str, before: str, limit: int, *, containing: str, examine: int
    ) -> tuple[list[Placement], str | None]:
        return await self._placements.search_queues(project, after, before, limit, containing, examine)

    async def count_queues(self, project: str, after: str, before: str) -> int:
        return await self._placements.count_queues(project, after, before)

    async def list_placements(
        self,
        *,
        project: str | None = None,
        partitions: Collection[str] | None = None,
        states: Collection[PlacementState] | None = None,
        after: QueueKey | None = None,
        limit: int,
    ) -> list[Placement]:
        return await self._placements.list_all(project, partitions, states, after, limit)

    async def count_placements(
        self,
        *,
        project: str | None = None,
        partitions: Collection[str] | None = None,
        states: Collection[PlacementState] | None = None,
    ) -> int:
        return await self._placements.count(project, partitions, states)

    async def get_partition(self, name: str) -> Partition | None:
        return await self._partitions.get(name)

    async def list_partitions(self) -> list[Partition]:
        return await self._partitions.list_all()

    async def insert_partition(self, partition: Partition) -> None:
        await self._partitions.insert(partition)

    async def replace_partition(self, partition: Partition) -> None:
        await self._partitions.replace(partition)

    async def remove_partition(self, name: str) -> None:
        await self._store.finish(self._partitions.remove(name))

    async def get_tenant(self, project: str) -> Tenant | None:
        return await self._tenants.get(project)

    async def list_tenants(
        self, *, pinned: str | None = None, spread: int | None = None, after: str | None = None, limit: int
    ) -> list[Tenant]:
        return await self._tenants.list_all(pinned, spread, after, limit)

    async def put_tenant(self, tenant: Tenant) -> None:
        await self._tenants.put(tenant)

    async def change_tenant(self, project: str, *, members: Mapping[str, Any]) -> None:
        await self._tenants.change(project, members)

    async def remove_tenant(self, project: str) -> None:
        await self._tenants.remove(project)

    async def register_member(self, member: Member) -> None:
        await self._store.finish(self._members.register(member))

    async def renew_member(self, member: Member) -> None:
        await self._store.finish(self._members.renew(member))

    async def list_members(self) -> list[Member]:
        return await self._members.list_all()

    async def remove_member(self, member_id: str) -> None:
        await self._members.remove(member_id)

    async def expire_member(self, member: Member) -> bool:
        return await self._members.expire(member)

    async def get_move(self, move_id: str) -> Move | None:
        return await self._moves.get(move_id)

    async def insert_move(self, move: Move) -> None:
        await self._moves.insert(move)

    async def replace_move(self, move: Move, token: int | None) -> None:
        await self._moves.replace(move, token)

    async def list_moves(
        self,
        *,
        project: str | None = None,
        queue: str | None = None,
        partition: str | None = None,
        states: Collection[MoveState] | None = None,
        plan: str | None = None,
        ids: Collection[str] | None = None,
        after: str | None = None,
        limit: int,
    ) -> list[Move]:
        return await self._moves.list_all(project, queue, partition, states, plan, ids, after, limit)

    async def list_ended_moves(self, *, keep: int, skip: int, limit: int) -> list[Move]:
        return await self._moves.list_ended(keep, skip, limit)

    async def remove_moves(self, ids: Collection[str]) -> None:
        await self._moves.remove(ids)

    async def take_move(self, move_id: str, holder: str, seconds: float, *, over: Holder | None = None) -> Move:
        return await self._moves.take(move_id, holder, seconds, over)

    async def renew_move(self, move_id: str, token: int, seconds: float) -> None:
        await self._moves.renew(move_id, token, seconds)

    async def release_move(self, move_id: str, token: int) -> None:
        await self._moves.release(move_id, token)

    async def put_held_writes(self, found: Mapping[str, HeldWrites]) -> None:
        await self._moves.put_held_writes(found)

    async def list_held_writes(self, move_id: str) -> list[HeldWrites]:
        return await self._moves.list_held_writes(move_id)

    async def remove_held_writes(self, move_id: str) -> None:
        await self._moves.remove_held_writes(move_id)

    async def get_plan(self, plan_id: str) -> Plan | None:
        return await self._plans.get(plan_id)

    async def has_plan(self, plan_id: str) -> bool:
        return await self._plans.there(plan_id)

    async def remove_plan(self, plan_id: str, version: int) -> None:
        await self._plans.remove(plan_id, version)

    async def orphaned_plans(self) -> list[str]:
        return await self._plans.orphaned()

    async def insert_plan(self, whole: WholePlan) -> None:
        await self._plans.insert(whole.plan, whole.moves)

    async def replace_plan(self, plan: Plan) -> None:
        await self._plans.replace(plan)

    async def list_plans(
        self,
        *,
        states: Collection[PlanState] | None = None,
        active: bool = False,
        after: str | None = None,
        limit: int,
    ) -> list[Plan]:
        return await self._plans.list_all(states, active, after, limit)

    async def get_planned_move(self, plan_id: str, key: QueueKey) -> PlannedMove | None:
        return await self._plans.get_move(plan_id, key)

    async def list_planned_moves(
        self,
        plan_id: str,
        *,
        numbers: Collection[int] | None = None,
        outcomes: Collection[Outcome | None] | None = None,
        after: int = -1,
        before: int | None = None,
        limit: int,
    ) -> list[PlannedMove]:
        return await self._plans.list_moves(plan_id, numbers, outcomes, after, before, limit)

    async def end_planned_moves(self, plan_id: str, endings: Collection[Ending]) -> None:
        await self._plans.end_moves(plan_id, endings)

    async def snapshot(self) -> AsyncGenerator[list[Kept], None]:
        await self._plans.carry_over()
        async with aclosing(snapshot.snapshot(self._store)) as batches:
            async for batch in batches:
                yield batch

    async def begin_load(self, *, replace: bool) -> str:
        return await self._store.finish(self._loading.begin(replace))

    async def load(self, token: str, values: Sequence[Kept]) -> None:
        await self._store.finish(self._loading.load(token, values))

    async def end_load(self, token: str) -> None:
        await self._loading.end(token)

    async def put_statistics(
        self, subject: StatisticsSubject, found: Collection[Statistics], *, since: str, until: str | None
    ) -> None:
        await self._store.finish(self._statistics.put(subject, found, since, until))

    async def get_statistics(self, subject: StatisticsSubject, name: str) -> Statistics | None:
        return await self._statistics.get(subject, name)

    async def list_statistics(
        self, subject: StatisticsSubject, *, after: str | None = None, limit: int
    ) -> list[Statistics]:
        return await self._statistics.list_all(subject, after, limit)

    async def get_walk(self) -> Walk:
        return await self._statistics.walk()

    async def take_walk(self, holder: str, seconds: float, *, over: Holder | None = None) -> Walk:
        return await self._statistics.take(holder, seconds, over)

    async def save_walk(self, walk: Walk, token: int, seconds: float) -> None:
        await self._statistics.save(walk, token, seconds)

    async def release_walk(self, token: int) -> None:
        await self._statistics.release(token)

    async def get_audit(self) -> Audit:
        return await self._audit.get()

    async def take_audit(self, holder: str, seconds: float, *, over: Holder | None = None) -> Audit:
        return await self._audit.take(holder, seconds, over)

    async def save_audit(self, found: Audit, token: int, seconds: float) -> None:
        await self._audit.save(found, token, seconds)

    async def release_audit(self, token: int) -> None:
        await self._audit.release(token)

    def watch(self) -> AsyncGenerator[Change | Synced, None]:
        return feed.watch(self._store)
