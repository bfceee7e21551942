"""``SQLiteCatalog``: the verbs of the catalog, each one transaction on one of a few lanes."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Concatenate, ParamSpec, TypeVar
from uuid import uuid4

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
from catalog.sqlite import (
    audit,
    feed,
    listing,
    loading,
    members,
    moves,
    partitions,
    placements,
    plans,
    schema,
    snapshot,
    statistics,
    tenants,
)
from catalog.sqlite.lane import Lane

P = ParamSpec("P")
T = TypeVar("T")


# Seconds to empty a catalog, all of whose pages have to be read.
_EMPTY_TIMEOUT = 3600.0
# How many moves of a plan are stored at a time: other writes, of seals too, take turns with these.
_BATCH = 500


class SQLiteCatalog(Catalog):
    """A catalog in the file ``path``, used by any number of processes at once.

    Writes take turns on one lane and in ``BEGIN IMMEDIATE``, across processes too. Reads have another one and never
    wait for a writer (write-ahead log); what walks an index, as counting does, has a third, so that reads need not wait
    for it. ``poll`` is how often, in seconds, feeds look for the writes of other processes.
    """

    def __init__(self, path: str, *, poll: float = 0.02) -> None:
        self._path = os.path.abspath(path)
        self._poll = poll
        self._writing = Lane(self._path, "write", begin="BEGIN IMMEDIATE")
        # The members are processes of this machine: when its power is cut, they have ended, too.
        self._registering = Lane(self._path, "members", begin="BEGIN IMMEDIATE", durable=False)
        self._reading = Lane(self._path, "read", begin="BEGIN")
        self._counting = Lane(self._path, "count", begin="BEGIN")
        self._bells: dict[asyncio.Event, Lane] = {}  # of the feeds that are open
        self._snapshots: set[Lane] = set()

    def __repr__(self) -> str:
        return f"<SQLiteCatalog {self._path}, {len(self._bells)} feeds>"

    @classmethod
    async def open(cls, path: str, *, poll: float = 0.02) -> SQLiteCatalog:
        """Open the file, and initialise it if it is new or empty.

        Raises CatalogUnavailable if that cannot be done. A file with other content is left alone: ``check`` tells.
        """
        catalog = cls(path, poll=poll)
        try:
            await catalog._writing.call(schema.init_if_empty, catalog._path)
        except BaseException:
            await catalog.close()
            raise
        return catalog

    async def _write(
        self, function: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        try:
            return await self._writing.transact(function, *args, **kwargs)
        finally:  # also when cancelled: the transaction may be done, and polling finds it if it is done later
            for bell in self._bells:
                bell.set()

    async def init(self) -> None:
        await self._writing.call(schema.init, self._path)

    async def check(self) -> None:
        await self._reading.call(schema.check, self._path)

    async def ping(self) -> None:
        await self._write(members.ping)

    async def close(self) -> None:
        lanes = (self._writing, self._registering, self._reading, self._counting)
        for lane in (*lanes, *self._bells.values(), *self._snapshots):
            await lane.close()

    async def identity(self) -> str:
        return await self._reading.transact(schema.identity, self._path)

    async def get_placement(self, key: QueueKey) -> Placement | None:
        return await self._reading.transact(placements.get, key, self._path)

    async def insert_placement(self, placement: Placement) -> tuple[Placement, bool]:
        return await self._write(placements.insert, placement, self._path)

    async def insert_placements(self, wanted: Sequence[Placement]) -> list[Placement]:
        return await self._write(placements.insert_many, wanted, self._path)

    async def replace_placement(self, placement: Placement) -> None:
        await self._write(placements.replace, placement, self._path)

    async def remove_placement(self, key: QueueKey, epoch: int, born: str) -> None:
        await self._write(placements.remove, key, epoch, born, self._path)

    async def list_queues(self, project: str, after: str, before: str, limit: int) -> list[Placement]:
        return await self._reading.transact(listing.list_queues, project, after, before, limit, self._path)

    async def search_queues(
        self, project: str, after: str, before: str, limit: int, *, containing: str, examine: int
    ) -> tuple[list[Placement], str | None]:
        arguments = (project, after, before, limit, containing, examine, self._path)
        return await self._reading.transact(listing.search_queues, *arguments)

    async def count_queues(self, project: str, after: str, before: str) -> int:
        return await self._counting.transact(listing.count_queues, project, after, before)

    async def list_placements(
        self,
        *,
        project: str | None = None,
        partitions: Collection[str] | None = None,
        states: Collection[PlacementState] | None = None,
        after: QueueKey | None = None,
        limit: int,
    ) -> list[Placement]:
        return await self._reading.transact(listing.list_all, project, partitions, states, after, limit, self._path)

    async def count_placements(
        self,
        *,
        project: str | None = None,
        partitions: Collection[str] | None = None,
        states: Collection[PlacementState] | None = None,
    ) -> int:
        return await self._counting.transact(listing.count, project, partitions, states)

    async def get_partition(self, name: str) -> Partition | None:
        return await self._reading.transact(partitions.get, name, self._path)

    async def list_partitions(self) -> list[Partition]:
        return await self._reading.transact(partitions.list_all, self._path)

    async def insert_partition(self, partition: Partition) -> None:
        await self._write(partitions.insert, partition, self._path)

    async def replace_partition(self, partition: Partition) -> None:
        await self._write(partitions.replace, partition, self._path)

    async def remove_partition(self, name: str) -> None:
        await self._write(partitions.remove, name, self._path)

    async def get_tenant(self, project: str) -> Tenant | None:
        return await self._reading.transact(tenants.get, project, self._path)

    async def list_tenants(
        self, *, pinned: str | None = None, spread: int | None = None, after: str | None = None, limit: int
    ) -> list[Tenant]:
        return await self._reading.transact(tenants.list_all, pinned, spread, after, limit, self._path)

    async def put_tenant(self, tenant: Tenant) -> None:
        await self._write(tenants.put, tenant)

    async def change_tenant(self, project: str, *, members: Mapping[str, Any]) -> None:
        await self._write(tenants.change, project, members, self._path)

    async def remove_tenant(self, project: str) -> None:
        await self._write(tenants.remove, project)

    async def register_member(self, member: Member) -> None:
        await self._registering.transact(members.register, member, self._path)

    async def renew_member(self, member: Member) -> None:
        await self._registering.transact(members.renew, member, self._path)

    async def list_members(self) -> list[Member]:
        return await self._reading.transact(members.list_all, self._path)

    async def remove_member(self, member_id: str) -> None:
        await self._registering.transact(members.remove, member_id)

    async def expire_member(self, member: Member) -> bool:
        return await self._write(members.expire, member)

    async def get_move(self, move_id: str) -> Move | None:
        return await self._reading.transact(moves.get, move_id, self._path)

    async def insert_move(self, move: Move) -> None:
        await self._write(moves.insert, move, self._path)

    async def replace_move(self, move: Move, token: int | None) -> None:
        await self._write(moves.replace, move, token, self._path)

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
        filters = (project, queue, partition, states, plan, ids)
        return await self._reading.transact(moves.list_all, *filters, after, limit, self._path)

    async def list_ended_moves(self, *, keep: int, skip: int, limit: int) -> list[Move]:
        return await self._counting.transact(moves.list_ended, keep, skip, limit, self._path)

    async def remove_moves(self, ids: Collection[str]) -> None:
        await self._write(moves.remove, ids)

    async def take_move(self, move_id: str, holder: str, seconds: float, *, over: Holder | None = None) -> Move:
        return await self._write(moves.take, move_id, holder, seconds, over, self._path)

    async def renew_move(self, move_id: str, token: int, seconds: float) -> None:
        await self._write(moves.renew, move_id, token, seconds)

    async def release_move(self, move_id: str, token: int) -> None:
        await self._write(moves.release, move_id, token)

    async def put_held_writes(self, found: Mapping[str, HeldWrites]) -> None:
        await self._writing.transact(moves.put_held_writes, found)

    async def list_held_writes(self, move_id: str) -> list[HeldWrites]:
        return await self._reading.transact(moves.list_held_writes, move_id, self._path)

    async def remove_held_writes(self, move_id: str) -> None:
        await self._writing.transact(moves.remove_held_writes, move_id)

    async def get_plan(self, plan_id: str) -> Plan | None:
        return await self._read_plans(plans.get, plan_id, self._path)

    async def has_plan(self, plan_id: str) -> bool:
        return await self._reading.transact(plans.there, plan_id)

    async def remove_plan(self, plan_id: str, version: int) -> None:
        await self._write(plans.remove, plan_id, version, self._path)

    async def orphaned_plans(self) -> list[str]:
        return await self._counting.transact(plans.orphaned)

    async def insert_plan(self, whole: WholePlan) -> None:
        # Not all in one transaction: 20,000 would have seals and renewals wait for half a second.
        for first in range(0, len(whole.moves), _BATCH):
            await self._writing.transact(plans.insert_moves, whole.moves[first : first + _BATCH])
        await self._write(plans.insert, whole.plan, self._path)

    async def replace_plan(self, plan: Plan) -> None:
        await self._write(plans.replace, plan, self._path)

    async def list_plans(
        self,
        *,
        states: Collection[PlanState] | None = None,
        active: bool = False,
        after: str | None = None,
        limit: int,
    ) -> list[Plan]:
        return await self._read_plans(plans.list_all, states, active, after, limit, self._path)

    async def _read_plans(
        self, function: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        try:
            return await self._reading.transact(function, *args, **kwargs)
        except plans.OfBefore:
            await self._write(plans.carry_over)
            return await self._reading.transact(function, *args, **kwargs)

    async def get_planned_move(self, plan_id: str, key: QueueKey) -> PlannedMove | None:
        return await self._reading.transact(plans.get_move, plan_id, key, self._path)

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
        return await self._reading.transact(
            plans.list_moves, plan_id, numbers, outcomes, after, before, limit, self._path
        )

    async def end_planned_moves(self, plan_id: str, endings: Collection[Ending]) -> None:
        await self._writing.transact(plans.end_moves, plan_id, endings)

    async def snapshot(self) -> AsyncGenerator[list[Kept], None]:
        await self._write(plans.carry_over)
        lane = Lane(self._path, "snapshot", begin="BEGIN")
        self._snapshots.add(lane)
        reading: list[Iterator[list[Kept]]] = []

        def advance(connection: sqlite3.Connection) -> list[Kept] | None:
            if not reading:
                reading.append(snapshot.batches(connection, self._path))
            return next(reading[0], None)

        try:
            while batch := await lane.call(advance):
                yield batch
        finally:
            self._snapshots.discard(lane)
            await lane.close()

    async def begin_load(self, *, replace: bool) -> str:
        token = uuid4().hex

        def begin(connection: sqlite3.Connection) -> None:
            loading.begin(
                connection, token, replace, [member.id for member in members.list_all(connection, self._path)]
            )

        # On a lane of its own: to give up while it is being emptied would be to tell that it was not.
        lane = Lane(self._path, "empty", begin="BEGIN IMMEDIATE", patience=_EMPTY_TIMEOUT)
        try:
            await lane.transact(begin)
        finally:
            await lane.close()
        return token

    async def load(self, token: str, values: Sequence[Kept]) -> None:
        await self._write(loading.load, token, values)

    async def end_load(self, token: str) -> None:
        await self._write(loading.end, token)

    async def put_statistics(
        self, subject: StatisticsSubject, found: Collection[Statistics], *, since: str, until: str | None
    ) -> None:
        await self._writing.transact(statistics.put, subject, found, since, until)

    async def get_statistics(self, subject: StatisticsSubject, name: str) -> Statistics | None:
        return await self._reading.transact(statistics.get, subject, name, self._path)

    async def list_statistics(
        self, subject: StatisticsSubject, *, after: str | None = None, limit: int
    ) -> list[Statistics]:
        return await self._reading.transact(statistics.list_all, subject, after, limit, self._path)

    async def get_walk(self) -> Walk:
        return await self._reading.transact(statistics.walk, self._path)

    async def take_walk(self, holder: str, seconds: float, *, over: Holder | None = None) -> Walk:
        return await self._writing.transact(statistics.take, holder, seconds, over, self._path)

    async def save_walk(self, walk: Walk, token: int, seconds: float) -> None:
        await self._writing.transact(statistics.save, walk, token, seconds)

    async def release_walk(self, token: int) -> None:
        await self._writing.transact(statistics.release, token)

    async def get_audit(self) -> Audit:
        return await self._reading.transact(audit.get, self._path)

    async def take_audit(self, holder: str, seconds: float, *, over: Holder | None = None) -> Audit:
        return await self._writing.transact(audit.take, holder, seconds, over, self._path)

    async def save_audit(self, found: Audit, token: int, seconds: float) -> None:
        await self._writing.transact(audit.save, found, token, seconds)

    async def release_audit(self, token: int) -> None:
        await self._writing.transact(audit.release, token)

    async def watch(self) -> AsyncGenerator[Change | Synced, None]:
        bell = asyncio.Event()
        lane = Lane(self._path, "watch", begin="BEGIN")
        self._bells[bell] = lane
        try:
            async with aclosing(feed.watch(self._path, lane, bell, self._poll)) as items:
                async for item in items:
                    yield item
        finally:
            self._bells.pop(bell, None)
            await lane.close()
