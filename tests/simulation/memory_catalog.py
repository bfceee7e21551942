"""A catalog in memory, and the line to it, which may fail. It passes the contract suite as the real ones do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from catalog.errors import (
    AuditHeld,
    AuditNotHeld,
    CatalogError,
    CatalogInUse,
    CatalogUnavailable,
    Conflict,
    LoadRefused,
    LoadUnfinished,
    MoveConflict,
    MoveHeld,
    MoveNotHeld,
    MoveUnderWay,
    NotEmpty,
    PartitionConflict,
    PartitionInUse,
    PartitionUnknown,
    PlanConflict,
    WalkHeld,
    WalkNotHeld,
)
from catalog.interface import Catalog
from catalog.model import (
    COMING_STATES,
    KINDS,
    LISTED_STATES,
    Audit,
    Change,
    ChangeSubject,
    Ending,
    Holder,
    Kept,
    Member,
    MemberSighting,
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

T = TypeVar("T")

# Seconds of silence after which a feed proves that it is alive.
PROOF_OF_LIFE = 0.5


class Line:
    """The way to the store, on which nothing takes longer than its turn. Others fail, and raise CatalogUnavailable."""

    async def there(self, verb: str) -> None:
        """Before a verb is done."""
        await asyncio.sleep(0)

    async def back(self, verb: str) -> None:
        """After it was done: what is raised here is an answer that was lost."""
        await asyncio.sleep(0)

    async def news(self) -> None:
        """Before a feed shows what there is, or that it is alive."""


@dataclass
class Store:
    """What a catalog holds. Each method is one step. ``clock``: seconds since 1970.

    ``placed`` is every placement that was ever stored, in order.
    """

    clock: Callable[[], float]
    placements: dict[QueueKey, Placement] = field(default_factory=dict)
    partitions: dict[str, Partition] = field(default_factory=dict)
    tenants: dict[str, Tenant] = field(default_factory=dict)
    members: dict[str, tuple[Member, float]] = field(default_factory=dict)
    moves: dict[str, Move] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    # How often a move was taken that somebody else had not released.
    takeovers: int = 0
    holders: dict[str, Holder] = field(default_factory=dict)
    plans: dict[str, Plan] = field(default_factory=dict)
    planned_moves: dict[tuple[str, int], PlannedMove] = field(default_factory=dict)
    statistics: dict[tuple[str, str], Statistics] = field(default_factory=dict)
    walk: Walk = field(default_factory=Walk)
    walks: int = 0
    audit: Audit = field(default_factory=Audit)
    audits: int = 0
    log: list[Change] = field(default_factory=list)
    placed: list[Placement] = field(default_factory=list)
    bells: list[asyncio.Event] = field(default_factory=list)
    # The token of the load of a backup that is not finished.
    loading: str | None = None
    first_token: int = 0
    _shown: dict[str, tuple[Move, Holder, Move]] = field(default_factory=dict)

    def note(
        self,
        subject: ChangeSubject,
        name: tuple[str, ...],
        epoch: int | None = None,
        born: str | None = None,
        sealing: bool = False,
    ) -> None:
        self.log.append(Change(len(self.log) + 1, subject, tuple(name), epoch, born, sealing))
        for bell in self.bells:
            bell.set()

    # -- placements --------------------------------------------------------------------------------------------------

    def _put(self, placement: Placement, known: Collection[str] = ()) -> None:
        for segment in placement.segments:
            if segment.partition not in self.partitions and segment.partition not in known:
                raise PartitionUnknown(segment.partition)
        self.placements[placement.key] = placement
        self.placed.append(placement)
        sealing = placement.state is PlacementState.SEALING
        self.note(ChangeSubject.PLACEMENT, placement.key, placement.epoch, placement.born, sealing)

    def insert_placement(self, placement: Placement) -> tuple[Placement, bool]:
        if not placement.born:
            raise ValueError("born: a new placement has a token of its own")
        stored = self.placements.get(placement.key)
        if stored is not None:
            return stored, stored == placement
        self._put(placement)
        return placement, True

    def insert_placements(self, placements: Sequence[Placement]) -> list[Placement]:
        if not all(placement.born for placement in placements):
            raise ValueError("born: a new placement has a token of its own")
        return [self.insert_placement(placement)[0] for placement in placements]

    def replace_placement(self, placement: Placement) -> None:
        stored = self.placements.get(placement.key)
        if stored == placement:
            return
        if stored is None or (stored.epoch, stored.born) != (placement.epoch - 1, placement.born):
            raise Conflict(stored)
        self._put(placement, {segment.partition for segment in stored.segments})

    def remove_placement(self, key: QueueKey, epoch: int, born: str) -> None:
        stored = self.placements.get(key)
        if stored is None:
            return
        if (stored.epoch, stored.born) != (epoch, born):
            raise Conflict(stored)
        del self.placements[key]
        self.note(ChangeSubject.PLACEMENT, key)

    def listed(self, project: str, after: str, before: str) -> list[Placement]:
        return [
            placement
            for key, placement in sorted(self.placements.items())
            if key.project == project and after < key.queue < before and placement.state in LISTED_STATES
        ]

    def searched(
        self, project: str, after: str, before: str, limit: int, containing: str, examine: int
    ) -> tuple[list[Placement], str | None]:
        rows = [key.queue for key in sorted(self.placements) if key.project == project and after < key.queue < before]
        last = rows[examine - 1] if len(rows) >= examine else None
        found = [
            placement
            for placement in self.listed(project, after, before)
            if containing in placement.queue and (last is None or placement.queue <= last)
        ][:limit]
        return found, found[-1].queue if len(found) == limit else last

    def all_placements(
        self,
        project: str | None,
        partitions: Collection[str] | None,
        states: Collection[PlacementState] | None,
        after: QueueKey | None,
    ) -> list[Placement]:
        return [
            placement
            for key, placement in sorted(self.placements.items())
            if project is None or key.project == project
            if partitions is None or any(segment.partition in partitions for segment in placement.segments)
            if states is None or placement.state in states
            if after is None or key > after
        ]

    # -- partitions and tenants --------------------------------------------------------------------------------------

    def insert_partition(self, partition: Partition) -> None:
        stored = self.partitions.get(partition.name)
        if stored is not None and not _same(stored, partition):
            raise PartitionConflict(partition.name, stored)
        if stored is None:
            self.partitions[partition.name] = partition
            self.note(ChangeSubject.PARTITION, (partition.name,))

    def replace_partition(self, partition: Partition) -> None:
        stored = self.partitions.get(partition.name)
        if stored is not None and _same(stored, partition):
            return
        if stored is None or stored.version != partition.version - 1:
            raise PartitionConflict(partition.name, stored)
        self.partitions[partition.name] = partition
        self.note(ChangeSubject.PARTITION, (partition.name,))

    def remove_partition(self, name: str) -> None:
        named = len(self.all_placements(None, [name], None, None))
        coming = self.list_moves(None, None, name, COMING_STATES, None, None, None)
        if named or coming:
            raise PartitionInUse(name, named, coming[0].id if coming else None)
        if self.partitions.pop(name, None) is not None:
            self.note(ChangeSubject.PARTITION, (name,))

    def list_tenants(self, pinned: str | None, spread: int | None, after: str | None) -> list[Tenant]:
        return [
            tenant
            for project, tenant in sorted(self.tenants.items())
            if after is None or project > after
            if pinned is None or tenant.pinned == pinned
            if spread is None or tenant.spread == spread
        ]

    def put_tenant(self, tenant: Tenant) -> None:
        self.tenants[tenant.project] = tenant
        self.note(ChangeSubject.TENANT, (tenant.project,))

    def change_tenant(self, project: str, members: Mapping[str, Any]) -> None:
        self.put_tenant(replace(self.tenants.get(project) or Tenant(project), **members))

    def remove_tenant(self, project: str) -> None:
        if self.tenants.pop(project, None) is not None:
            self.note(ChangeSubject.TENANT, (project,))

    # -- members -----------------------------------------------------------------------------------------------------

    def renew_member(self, member: Member) -> None:
        if self.loading is not None:
            raise CatalogUnavailable("it is being loaded from a backup")
        self.members[member.id] = member, self.clock()

    def sightings(self) -> list[MemberSighting]:
        now = self.clock()
        return [MemberSighting(member, max(0.0, now - at)) for _, (member, at) in sorted(self.members.items())]

    def evict_member(self, member_id: str, idle: float) -> MemberSighting | None:
        for sighting in self.sightings():
            if sighting.member.id == member_id:
                if not sighting.silent(idle):
                    return sighting
                del self.members[member_id]
        return None

    # -- moves -------------------------------------------------------------------------------------------------------

    def move(self, move_id: str) -> Move | None:
        stored = self.moves.get(move_id)
        holder = self.holders.get(move_id)
        if stored is None or holder is None or holder.until <= self.clock():
            return stored
        # PERF: a record is checked when it is made, and read far more often.
        known = self._shown.get(move_id)
        if known is None or known[0] is not stored or known[1] is not holder:
            known = self._shown[move_id] = stored, holder, replace(stored, holder=holder)
        return known[2]

    def _refuse_second(self, move: Move) -> None:
        for other in self.moves.values():
            if other.key == move.key and other.id != move.id and not (other.finished or move.finished):
                raise MoveUnderWay(other)

    def _put_move(self, move: Move) -> None:
        self._refuse_second(move)
        self.moves[move.id] = replace(move, holder=None)
        self.note(ChangeSubject.MOVE, (move.id,), move.version)

    def insert_move(self, move: Move) -> None:
        stored = self.move(move.id)
        if stored is None:
            self._put_move(move)
        elif stored != move:
            raise MoveConflict(move.id, stored)

    def replace_move(self, move: Move, token: int | None) -> None:
        stored = self.move(move.id)
        if stored == move:
            return
        if stored is None:
            raise MoveConflict(move.id, None)
        if token is not None and (stored.holder is None or stored.holder.token != token):
            raise MoveNotHeld(move.id, token)
        if stored.version != move.version - 1:
            raise MoveConflict(move.id, stored)
        self._put_move(move)

    def list_moves(
        self,
        project: str | None,
        queue: str | None,
        partition: str | None,
        states: Collection[MoveState] | None,
        plan: str | None,
        ids: Collection[str] | None,
        after: str | None,
    ) -> list[Move]:
        found = [self.move(move_id) for move_id in sorted(self.moves) if after is None or move_id > after]
        return [
            move
            for move in found
            if move is not None
            if project is None or move.project == project
            if queue is None or move.queue == queue
            if partition is None or partition in (move.source, move.target)
            if states is None or move.state in states
            if plan is None or move.plan == plan
            if ids is None or move.id in ids
        ]

    def take_move(self, move_id: str, holder: str, seconds: float) -> Move:
        stored = self.move(move_id)
        if stored is None:
            raise MoveConflict(move_id, None)
        if stored.holder is not None and stored.holder.name != holder:
            raise MoveHeld(move_id, stored.holder)
        before = self.holders.get(move_id)
        self.takeovers += before is not None and before.name != holder
        token = self.tokens[move_id] = self.tokens.get(move_id, 0) + 1
        held = self.holders[move_id] = Holder(holder, token, self.clock() + seconds)
        return replace(stored, holder=held)

    def renew_move(self, move_id: str, token: int, seconds: float) -> None:
        holder = self.holders.get(move_id)
        if holder is None or holder.token != token or holder.until <= self.clock():
            raise MoveNotHeld(move_id, token)
        self.holders[move_id] = replace(holder, until=self.clock() + seconds)

    def release_move(self, move_id: str, token: int) -> None:
        holder = self.holders.get(move_id)
        if holder is not None and holder.token == token:
            del self.holders[move_id]

    # -- plans -------------------------------------------------------------------------------------------------------

    def insert_plan(self, whole: WholePlan) -> None:
        stored = self.plans.get(whole.plan.id)
        if stored is None:
            self.plans[whole.plan.id] = whole.plan
            self.planned_moves.update(((move.plan, move.number), move) for move in whole.moves)
            self.note(ChangeSubject.PLAN, (whole.plan.id,), whole.plan.version)
        elif stored != whole.plan:
            raise PlanConflict(whole.plan.id, stored)

    def replace_plan(self, plan: Plan) -> None:
        stored = self.plans.get(plan.id)
        if stored == plan:
            return
        if stored is None or stored.version != plan.version - 1:
            raise PlanConflict(plan.id, stored)
        self.plans[plan.id] = replace(stored, version=plan.version, state=plan.state, progress=plan.progress)
        self.note(ChangeSubject.PLAN, (plan.id,), plan.version)

    def list_plans(self, states: Collection[PlanState] | None, active: bool, after: str | None) -> list[Plan]:
        return [
            plan
            for plan_id, plan in sorted(self.plans.items())
            if (after is None or plan_id > after) and (states is None or plan.state in states)
            if plan.active or not active
        ]

    def moves_of(self, plan_id: str) -> list[PlannedMove]:
        return [move for (plan, _), move in sorted(self.planned_moves.items()) if plan == plan_id]

    def list_planned_moves(
        self,
        plan_id: str,
        numbers: Collection[int] | None,
        outcomes: Collection[Outcome | None] | None,
        after: int,
        before: int | None,
    ) -> list[PlannedMove]:
        return [
            move
            for move in self.moves_of(plan_id)
            if move.number > after and (before is None or move.number < before)
            if numbers is None or move.number in numbers
            if outcomes is None or (move.ending and move.ending.outcome) in outcomes
        ]

    def end_planned_moves(self, plan_id: str, endings: Collection[Ending]) -> None:
        for ending in endings:
            stored = self.planned_moves.get((plan_id, ending.number))
            if stored is not None and stored.ending is None:
                self.planned_moves[plan_id, ending.number] = replace(stored, ending=ending)

    # -- backups -----------------------------------------------------------------------------------------------------

    def check(self) -> None:
        if self.loading is not None:
            raise LoadUnfinished("it is being loaded; run marconi-proxy catalog import again")

    def _kept(self) -> dict[str, dict[Any, Any]]:
        return {
            "partition": self.partitions,
            "tenant": self.tenants,
            "placement": self.placements,
            "move": self.moves,
            "plan": self.plans,
            "planned_move": self.planned_moves,
        }

    def kept(self) -> list[Kept]:
        return [value for held in self._kept().values() for _, value in sorted(held.items())]

    def begin_load(self, replace: bool) -> str:
        alive = [sighting.member.id for sighting in self.sightings() if not sighting.silent()]
        movers = sorted({holder.name for holder in self.holders.values() if holder.until > self.clock()})
        if alive or movers:
            raise CatalogInUse(alive, movers)
        held = [kind for kind, values in self._kept().items() if values]
        if held and not replace and self.loading is None:
            raise NotEmpty(held)
        self.first_token = max(self.first_token, int(self.clock() * 1000), *self.tokens.values(), 0)
        for values in (*self._kept().values(), self.statistics, self.tokens, self.holders):
            values.clear()
        self.walk = Walk()
        self.audit = Audit()
        self.loading = f"load-{len(self.log)}"
        self.note(ChangeSubject.TENANT, ("",))
        return self.loading

    def load(self, token: str, values: Sequence[Kept]) -> None:
        self._require(token)
        for value in values:
            key: Any = value.key if isinstance(value, Placement) else _key(value)
            held = self._kept()[next(kind for kind, type_ in KINDS.items() if isinstance(value, type_))]
            if key in held:
                raise LoadRefused(f"{value} is there already")
            try:
                if isinstance(value, Move):
                    self._refuse_second(value)
                    self.tokens[value.id] = self.first_token
                if isinstance(value, Placement) and {s.partition for s in value.segments} - set(self.partitions):
                    raise LoadRefused(f"{value} names a partition that there is not")
            except MoveUnderWay as error:
                raise LoadRefused(str(error)) from error
            held[key] = value

    def end_load(self, token: str) -> None:
        self._require(token)
        self.loading = None
        self.note(ChangeSubject.TENANT, ("",))

    def _require(self, token: str) -> None:
        if token != self.loading:
            raise LoadRefused("another load was begun since this one")

    # -- statistics --------------------------------------------------------------------------------------------------

    def put_statistics(
        self, subject: StatisticsSubject, found: Collection[Statistics], since: str, until: str | None
    ) -> None:
        for kind, name in list(self.statistics):
            if kind == subject.value and since <= name and (until is None or name < until):
                del self.statistics[kind, name]
        self.statistics |= {(subject.value, one.name): one for one in found}

    def list_statistics(self, subject: StatisticsSubject, after: str | None) -> list[Statistics]:
        return [
            found
            for (kind, name), found in sorted(self.statistics.items())
            if kind == subject.value and (after is None or name > after)
        ]

    def get_walk(self) -> Walk:
        holder = self.walk.holder
        return self.walk if holder is None or holder.until > self.clock() else replace(self.walk, holder=None)

    def take_walk(self, holder: str, seconds: float) -> Walk:
        current = self.get_walk()
        if current.holder is not None and current.holder.name != holder:
            raise WalkHeld(current.holder)
        self.walks += 1
        self.walk = replace(current, holder=Holder(holder, self.walks, self.clock() + seconds))
        return self.walk

    def save_walk(self, walk: Walk, token: int, seconds: float) -> None:
        holder = self.get_walk().holder
        if holder is None or holder.token != token:
            raise WalkNotHeld(token)
        self.walk = replace(walk, holder=replace(holder, until=self.clock() + seconds))

    def release_walk(self, token: int) -> None:
        if self.walk.holder is not None and self.walk.holder.token == token:
            self.walk = replace(self.walk, holder=None)

    # -- the audit ---------------------------------------------------------------------------------------------------

    def get_audit(self) -> Audit:
        holder = self.audit.holder
        return self.audit if holder is None or holder.until > self.clock() else replace(self.audit, holder=None)

    def take_audit(self, holder: str, seconds: float) -> Audit:
        current = self.get_audit()
        if current.holder is not None and current.holder.name != holder:
            raise AuditHeld(current.holder)
        self.audits += 1
        self.audit = replace(current, holder=Holder(holder, self.audits, self.clock() + seconds))
        return self.audit

    def save_audit(self, found: Audit, token: int, seconds: float) -> None:
        holder = self.get_audit().holder
        if holder is None or holder.token != token:
            raise AuditNotHeld(token)
        self.audit = replace(found, holder=replace(holder, until=self.clock() + seconds))

    def release_audit(self, token: int) -> None:
        if self.audit.holder is not None and self.audit.holder.token == token:
            self.audit = replace(self.audit, holder=None)


def _key(value: Kept) -> Any:
    if isinstance(value, Tenant):
        return value.project
    if isinstance(value, PlannedMove):
        return value.plan, value.number
    return value.name if isinstance(value, Partition) else value.id


def _same(one: Partition, other: Partition) -> bool:
    return one == other and one.version == other.version  # equality of partitions leaves the version out


def _first(found: Iterable[T], limit: int) -> list[T]:
    return list(found)[: max(limit, 0)]


class MemoryCatalog(Catalog):
    """One process's way to a ``Store``, over a ``Line`` of its own."""

    def __init__(self, store: Store, line: Line | None = None) -> None:
        self._store = store
        self._line = line or Line()
        self._closed = False

    async def _do(self, verb: str, function: Callable[..., T], *args: Any) -> T:
        self._check()
        await self._line.there(verb)
        self._check()
        try:
            result = function(*args)
        except CatalogError:
            await self._line.back(verb)
            raise
        await self._line.back(verb)
        return result

    def _check(self) -> None:
        if self._closed:
            raise CatalogUnavailable("the catalog was closed")

    async def init(self) -> None:
        await self._do("init", lambda: None)

    async def check(self) -> None:
        await self._do("check", self._store.check)

    async def ping(self) -> None:
        await self._do("ping", lambda: None)

    async def close(self) -> None:
        self._closed = True
        for bell in self._store.bells:
            bell.set()

    async def get_placement(self, key: QueueKey) -> Placement | None:
        return await self._do("get_placement", self._store.placements.get, key)

    async def insert_placement(self, placement: Placement) -> tuple[Placement, bool]:
        return await self._do("insert_placement", self._store.insert_placement, placement)

    async def insert_placements(self, wanted: Sequence[Placement]) -> list[Placement]:
        return await self._do("insert_placements", self._store.insert_placements, wanted)

    async def replace_placement(self, placement: Placement) -> None:
        await self._do("replace_placement", self._store.replace_placement, placement)

    async def remove_placement(self, key: QueueKey, epoch: int, born: str) -> None:
        await self._do("remove_placement", self._store.remove_placement, key, epoch, born)

    async def list_queues(self, project: str, after: str, before: str, limit: int) -> list[Placement]:
        return _first(await self._do("list_queues", self._store.listed, project, after, before), limit)

    async def search_queues(
        self, project: str, after: str, before: str, limit: int, *, containing: str, examine: int
    ) -> tuple[list[Placement], str | None]:
        arguments = (project, after, before, limit, containing, examine)
        return await self._do("search_queues", self._store.searched, *arguments)

    async def count_queues(self, project: str, after: str, before: str) -> int:
        return len(await self._do("count_queues", self._store.listed, project, after, before))

    async def list_placements(
        self,
        *,
        project: str | None = None,
        partitions: Collection[str] | None = None,
        states: Collection[PlacementState] | None = None,
        after: QueueKey | None = None,
        limit: int,
    ) -> list[Placement]:
        found = await self._do("list_placements", self._store.all_placements, project, partitions, states, after)
        return _first(found, limit)

    async def count_placements(
        self,
        *,
        project: str | None = None,
        partitions: Collection[str] | None = None,
        states: Collection[PlacementState] | None = None,
    ) -> int:
        return len(await self._do("count_placements", self._store.all_placements, project, partitions, states, None))

    async def get_partition(self, name: str) -> Partition | None:
        return await self._do("get_partition", self._store.partitions.get, name)

    async def list_partitions(self) -> list[Partition]:
        found = await self._do("list_partitions", lambda: sorted(self._store.partitions.items()))
        return [partition for _, partition in found]

    async def insert_partition(self, partition: Partition) -> None:
        await self._do("insert_partition", self._store.insert_partition, partition)

    async def replace_partition(self, partition: Partition) -> None:
        await self._do("replace_partition", self._store.replace_partition, partition)

    async def remove_partition(self, name: str) -> None:
        await self._do("remove_partition", self._store.remove_partition, name)

    async def get_tenant(self, project: str) -> Tenant | None:
        return await self._do("get_tenant", self._store.tenants.get, project)

    async def list_tenants(
        self, *, pinned: str | None = None, spread: int | None = None, after: str | None = None, limit: int
    ) -> list[Tenant]:
        return _first(await self._do("list_tenants", self._store.list_tenants, pinned, spread, after), limit)

    async def put_tenant(self, tenant: Tenant) -> None:
        await self._do("put_tenant", self._store.put_tenant, tenant)

    async def change_tenant(self, project: str, *, members: Mapping[str, Any]) -> None:
        await self._do("change_tenant", self._store.change_tenant, project, members)

    async def remove_tenant(self, project: str) -> None:
        await self._do("remove_tenant", self._store.remove_tenant, project)

    async def renew_member(self, member: Member) -> None:
        await self._do("renew_member", self._store.renew_member, member)

    async def list_members(self) -> list[MemberSighting]:
        return await self._do("list_members", self._store.sightings)

    async def remove_member(self, member_id: str) -> None:
        await self._do("remove_member", self._store.members.pop, member_id, None)

    async def evict_member(self, member_id: str, *, idle: float = 0.0) -> MemberSighting | None:
        return await self._do("evict_member", self._store.evict_member, member_id, idle)

    async def get_move(self, move_id: str) -> Move | None:
        return await self._do("get_move", self._store.move, move_id)

    async def insert_move(self, move: Move) -> None:
        await self._do("insert_move", self._store.insert_move, move)

    async def replace_move(self, move: Move, token: int | None) -> None:
        await self._do("replace_move", self._store.replace_move, move, token)

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
        filters = (project, queue, partition, states, plan, ids, after)
        return _first(await self._do("list_moves", self._store.list_moves, *filters), limit)

    async def take_move(self, move_id: str, holder: str, seconds: float) -> Move:
        return await self._do("take_move", self._store.take_move, move_id, holder, seconds)

    async def renew_move(self, move_id: str, token: int, seconds: float) -> None:
        await self._do("renew_move", self._store.renew_move, move_id, token, seconds)

    async def release_move(self, move_id: str, token: int) -> None:
        await self._do("release_move", self._store.release_move, move_id, token)

    async def get_plan(self, plan_id: str) -> Plan | None:
        return await self._do("get_plan", self._store.plans.get, plan_id)

    async def insert_plan(self, whole: WholePlan) -> None:
        await self._do("insert_plan", self._store.insert_plan, whole)

    async def replace_plan(self, plan: Plan) -> None:
        await self._do("replace_plan", self._store.replace_plan, plan)

    async def list_plans(
        self,
        *,
        states: Collection[PlanState] | None = None,
        active: bool = False,
        after: str | None = None,
        limit: int,
    ) -> list[Plan]:
        return _first(await self._do("list_plans", self._store.list_plans, states, active, after), limit)

    async def get_planned_move(self, plan_id: str, key: QueueKey) -> PlannedMove | None:
        found = await self._do("get_planned_move", self._store.moves_of, plan_id)
        return next((move for move in found if move.key == key), None)

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
        filters = (plan_id, numbers, outcomes, after, before)
        return _first(await self._do("list_planned_moves", self._store.list_planned_moves, *filters), limit)

    async def end_planned_moves(self, plan_id: str, endings: Collection[Ending]) -> None:
        await self._do("end_planned_moves", self._store.end_planned_moves, plan_id, endings)

    async def snapshot(self) -> AsyncGenerator[list[Kept], None]:
        kept = await self._do("snapshot", self._store.kept)
        for n in range(0, len(kept), 500):
            yield kept[n : n + 500]
            self._check()

    async def begin_load(self, *, replace: bool) -> str:
        return await self._do("begin_load", self._store.begin_load, replace)

    async def load(self, token: str, values: Sequence[Kept]) -> None:
        await self._do("load", self._store.load, token, values)

    async def end_load(self, token: str) -> None:
        await self._do("end_load", self._store.end_load, token)

    async def put_statistics(
        self, subject: StatisticsSubject, found: Collection[Statistics], *, since: str, until: str | None
    ) -> None:
        await self._do("put_statistics", self._store.put_statistics, subject, found, since, until)

    async def get_statistics(self, subject: StatisticsSubject, name: str) -> Statistics | None:
        return await self._do("get_statistics", self._store.statistics.get, (subject.value, name))

    async def list_statistics(
        self, subject: StatisticsSubject, *, after: str | None = None, limit: int
    ) -> list[Statistics]:
        return _first(await self._do("list_statistics", self._store.list_statistics, subject, after), limit)

    async def get_walk(self) -> Walk:
        return await self._do("get_walk", self._store.get_walk)

    async def take_walk(self, holder: str, seconds: float) -> Walk:
        return await self._do("take_walk", self._store.take_walk, holder, seconds)

    async def save_walk(self, walk: Walk, token: int, seconds: float) -> None:
        await self._do("save_walk", self._store.save_walk, walk, token, seconds)

    async def release_walk(self, token: int) -> None:
        await self._do("release_walk", self._store.release_walk, token)

    async def get_audit(self) -> Audit:
        return await self._do("get_audit", self._store.get_audit)

    async def take_audit(self, holder: str, seconds: float) -> Audit:
        return await self._do("take_audit", self._store.take_audit, holder, seconds)

    async def save_audit(self, found: Audit, token: int, seconds: float) -> None:
        await self._do("save_audit", self._store.save_audit, found, token, seconds)

    async def release_audit(self, token: int) -> None:
        await self._do("release_audit", self._store.release_audit, token)

    async def watch(self) -> AsyncGenerator[Change | Synced, None]:
        self._check()
        await self._line.there("watch")
        self._check()
        log = self._store.log
        position = len(log)
        bell = asyncio.Event()
        self._store.bells.append(bell)
        try:
            yield Synced(position, fresh=True)
            while True:
                try:
                    async with asyncio.timeout(PROOF_OF_LIFE):
                        await bell.wait()
                except TimeoutError:
                    pass
                self._check()
                await self._line.news()
                self._check()
                bell.clear()
                if position == len(log):
                    yield Synced(position, fresh=False)
                while position < len(log):
                    position += 1
                    yield log[position - 1]
        finally:
            self._store.bells.remove(bell)
