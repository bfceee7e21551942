"""A catalog in memory, and the line to it, which may fail. It passes the contract suite as the real ones do."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from catalog.errors import (
    CatalogError,
    CatalogInUse,
    CatalogUnavailable,
    HostTaken,
    LoadRefused,
    LoadUnfinished,
    LockHeld,
    LockLost,
    MoveConflict,
    MoveUnderWay,
    NotEmpty,
    NotRegistered,
    PartitionConflict,
    PartitionInUse,
    PartitionUnknown,
    PlacementConflict,
    PlanConflict,
)
from catalog.interface import ALL_SUBJECTS, Catalog
from catalog.interface.backups import BackupStore
from catalog.interface.lock import Lock, LockedValue
from catalog.interface.members import MemberStore
from catalog.interface.moves import HeldWritesStore, MoveStore
from catalog.interface.partitions import PartitionStore
from catalog.interface.placements import PlacementStore
from catalog.interface.plans import PlannedMoveStore, PlanStore
from catalog.interface.statistics import StatisticsStore
from catalog.interface.tenants import TenantStore
from catalog.model import (
    COMING_STATES,
    KINDS,
    LISTED_STATES,
    UNFINISHED_STATES,
    AuditState,
    BackupValue,
    Change,
    ChangeSubject,
    Ending,
    HeldWrites,
    Holder,
    Member,
    Move,
    MoveOutcome,
    MovePlan,
    MoveState,
    Partition,
    Placement,
    PlacementState,
    PlannedMove,
    PlanState,
    QueueKey,
    StatisticsSubject,
    SubjectStatistics,
    Synced,
    Tenant,
    Walk,
    WholePlan,
    above_all,
)

T = TypeVar("T")
H = TypeVar("H", Walk, AuditState)

# Seconds of silence after which a feed proves that it is alive.
PROOF_OF_LIFE = 0.5


class Line:
    """The way to the store, on which nothing takes longer than its turn. Others fail, and raise CatalogUnavailable."""

    async def there(self, verb: str, *args: Any) -> None:
        """Before a verb is done with ``args``."""
        await asyncio.sleep(0)

    async def back(self, verb: str, *args: Any) -> None:
        """After it was done: what is raised here is an answer that was lost."""
        await asyncio.sleep(0)

    def feed(self) -> None:
        """Before a feed goes on: what is raised here cuts it."""

    def delay(self, shard: int) -> float:
        """Return the seconds that a change takes to be shown."""
        return 0.0

    def shown(self, seen: int, newest: int) -> int:
        """Return the position, from ``seen`` to ``newest``, as of which a placement is read: ``seen`` is the last that
        this process has learnt of."""
        return newest


@dataclass
class Locked(Generic[H]):
    """The only value of its kind, and its lock. ``acquired``: how often it was, the last token."""

    what: str
    value: H
    acquired: int = 0

    def acquire(self, holder: str, seconds: float, over: Holder | None = None) -> H:
        current = self.value.holder
        if current is not None and current.name != holder and current != over:
            raise LockHeld(self.what, current)
        self.acquired += 1
        self.value = replace(self.value, holder=Holder(holder, self.acquired, 0, seconds))
        return self.value

    def renew(self, token: int, seconds: float) -> None:
        self.save(self.value, token, seconds)

    def save(self, value: H, token: int, seconds: float) -> None:
        holder = self.value.holder
        if holder is None or holder.token != token:
            raise LockLost(self.what, token)
        self.value = replace(value, holder=replace(holder, beat=holder.beat + 1, seconds=seconds))

    def release(self, token: int) -> None:
        if self.value.holder is not None and self.value.holder.token == token:
            self.value = replace(self.value, holder=None)


@dataclass
class Store:
    """The content of a catalog. Each method is one step. ``clock``: seconds since 1970.

    ``placed`` is every placement that was ever stored, in order. ``shards``: how many the feed is merged of; the
    changes of a queue are all on one, and two neighbours of different shards may have the same position.
    """

    clock: Callable[[], float]
    identity: str = "5eed5eed5eed5eed"
    placements: dict[QueueKey, Placement] = field(default_factory=dict)
    partitions: dict[str, Partition] = field(default_factory=dict)
    tenants: dict[str, Tenant] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)
    stamps: int = 0
    moves: dict[str, Move] = field(default_factory=dict)
    # Numbers of finished moves, in the order in which they ended.
    ended: dict[str, int] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    # How often a move was taken before its holder had released it.
    takeovers: int = 0
    holders: dict[str, Holder] = field(default_factory=dict)
    held_writes: dict[tuple[str, str], HeldWrites] = field(default_factory=dict)
    plans: dict[str, MovePlan] = field(default_factory=dict)
    planned_moves: dict[tuple[str, int], PlannedMove] = field(default_factory=dict)
    statistics: dict[tuple[str, str], SubjectStatistics] = field(default_factory=dict)
    walk: Locked[Walk] = field(default_factory=lambda: Locked("the walk of statistics", Walk()))
    audit: Locked[AuditState] = field(default_factory=lambda: Locked("the audit", AuditState()))
    log: list[Change] = field(default_factory=list)
    placed: list[Placement] = field(default_factory=list)
    shards: int = 1
    # Of each placement what it was from which position on, None while there was none.
    versions: dict[QueueKey, list[tuple[int, Placement | None]]] = field(default_factory=dict)
    # Called with each placement that was stored, and what was there before.
    on_put: Callable[[Placement | None, Placement], None] | None = None
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
        incarnation: str | None = None,
        sealing: bool = False,
        preparing: bool = False,
    ) -> None:
        position = self.position + 1
        if self.log and position % 3 == 0 and self.shard(name) != self.shard(self.log[-1].name):
            position -= 1
        self.log.append(Change(position, subject, tuple(name), epoch, incarnation, sealing, preparing))
        if subject is ChangeSubject.PLACEMENT:
            key = QueueKey(*name)
            self.versions.setdefault(key, []).append((position, self.placements.get(key)))
        self.ring()

    def ring(self) -> None:
        """Have all feeds look for what is new, and whether they are cut."""
        for bell in self.bells:
            bell.set()

    @property
    def position(self) -> int:
        """That of the last change."""
        return self.log[-1].position if self.log else 0

    def shard(self, name: tuple[str, ...]) -> int:
        return sum(map(ord, name[-1])) % self.shards

    def placement_at(self, key: QueueKey, position: int) -> Placement | None:
        """Return a placement as it was at a position."""
        known = self.versions.get(key, ())
        return next((placement for since, placement in reversed(known) if since <= position), None)

    # -- placements --------------------------------------------------------------------------------------------------

    def _put(self, placement: Placement, known: Collection[str] = ()) -> None:
        for segment in placement.segments:
            if segment.partition not in self.partitions and segment.partition not in known:
                raise PartitionUnknown(segment.partition)
        before = self.placements.get(placement.key)
        self.placements[placement.key] = placement
        self.placed.append(placement)
        sealing, preparing = placement.seal is not None, placement.preparation is not None
        self.note(ChangeSubject.PLACEMENT, placement.key, placement.epoch, placement.incarnation, sealing, preparing)
        if self.on_put is not None:
            self.on_put(before, placement)

    def insert_placement(self, placement: Placement) -> tuple[Placement, bool]:
        if not placement.incarnation:
            raise ValueError("born: a new placement has a token of its own")
        stored = self.placements.get(placement.key)
        if stored is not None:
            return stored, stored == placement
        self._put(placement)
        return placement, True

    def insert_placements(self, placements: Sequence[Placement]) -> list[Placement]:
        if not all(placement.incarnation for placement in placements):
            raise ValueError("born: a new placement has a token of its own")
        return [self.insert_placement(placement)[0] for placement in placements]

    def replace_placement(self, placement: Placement) -> None:
        stored = self.placements.get(placement.key)
        if stored == placement:
            return
        if stored is None or (stored.epoch, stored.incarnation) != (placement.epoch - 1, placement.incarnation):
            raise PlacementConflict(stored)
        self._put(placement, {segment.partition for segment in stored.segments})

    def remove_placement(self, key: QueueKey, epoch: int, incarnation: str) -> None:
        stored = self.placements.get(key)
        if stored is None:
            return
        if (stored.epoch, stored.incarnation) != (epoch, incarnation):
            raise PlacementConflict(stored)
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
        if stored is not None and not stored.same_version(partition):
            raise PartitionConflict(partition.name, stored)
        if stored is None:
            self._refuse_taken(partition, partition.addresses)
            self.partitions[partition.name] = partition
            self.note(ChangeSubject.PARTITION, (partition.name,))

    def _refuse_taken(self, partition: Partition, new: Collection[str]) -> None:
        for other in self.partitions.values():
            for address in other.addresses.keys() & set(new) if other.name != partition.name else ():
                raise HostTaken(partition.addresses[address], other.name)

    def replace_partition(self, partition: Partition) -> None:
        stored = self.partitions.get(partition.name)
        if stored is not None and stored.same_version(partition):
            return
        if stored is None or stored.version != partition.version - 1:
            raise PartitionConflict(partition.name, stored)
        self._refuse_taken(partition, partition.addresses.keys() - stored.addresses.keys())
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

    def _put_member(self, member: Member) -> None:
        if self.loading is not None:
            raise CatalogUnavailable("it is being loaded from a backup")
        self.stamps += 1
        self.members[member.id] = replace(member, renewed=self.clock(), stamp=str(self.stamps))

    def register_member(self, member: Member) -> None:
        self._put_member(member)

    def renew_member(self, member: Member) -> None:
        stored = self.members.get(member.id)
        if stored is None:
            raise NotRegistered(member.id)
        if stored.beat < member.beat:
            self._put_member(member)

    def expire_member(self, member: Member) -> bool:
        stored = self.members.get(member.id)
        if stored is not None and stored.stamp == member.stamp:
            del self.members[member.id]
        return member.id not in self.members

    # -- moves -------------------------------------------------------------------------------------------------------

    def move(self, move_id: str) -> Move | None:
        stored = self.moves.get(move_id)
        holder = self.holders.get(move_id)
        if stored is None or holder is None:
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
        self._number_end(move)
        self.note(ChangeSubject.MOVE, (move.id,), move.version)

    def _number_end(self, move: Move) -> None:
        self.ended.pop(move.id, None)
        if move.finished:
            self.ended[move.id] = max(self.ended.values(), default=0) + 1

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
            raise LockLost(f"move {move.id}", token)
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

    def list_ended_moves(self, keep: int, skip: int) -> list[Move]:
        ids = sorted(self.ended, key=lambda move_id: (self.ended[move_id], move_id))
        return [self.moves[move_id] for move_id in ids[: max(0, len(ids) - keep)][skip:]]

    def remove_moves(self, ids: Collection[str]) -> None:
        for move_id in ids:
            if self.ended.pop(move_id, None) is not None:
                del self.moves[move_id]
                self.remove_held_writes(move_id)
                self.note(ChangeSubject.MOVE, (move_id,))

    def take_move(self, move_id: str, holder: str, seconds: float, over: Holder | None) -> Move:
        stored = self.move(move_id)
        if stored is None:
            raise MoveConflict(move_id, None)
        other = stored.holder is not None and stored.holder.name != holder
        if other and stored.holder != over:
            assert stored.holder is not None
            raise LockHeld(f"move {move_id}", stored.holder)
        self.takeovers += other
        token = self.tokens[move_id] = self.tokens.get(move_id, 0) + 1
        held = self.holders[move_id] = Holder(holder, token, 0, seconds)
        return replace(stored, holder=held)

    def renew_move(self, move_id: str, token: int, seconds: float) -> None:
        holder = self.holders.get(move_id)
        if holder is None or holder.token != token:
            raise LockLost(f"move {move_id}", token)
        self.holders[move_id] = replace(holder, beat=holder.beat + 1, seconds=seconds)

    def release_move(self, move_id: str, token: int) -> None:
        holder = self.holders.get(move_id)
        if holder is not None and holder.token == token:
            del self.holders[move_id]

    def put_held_writes(self, found: Mapping[str, HeldWrites]) -> None:
        for move_id, held in found.items():
            stored = self.moves.get(move_id)
            if stored is not None and not stored.finished:
                self.held_writes[move_id, held.member] = held

    def list_held_writes(self, move_id: str) -> list[HeldWrites]:
        return [held for (move, _), held in sorted(self.held_writes.items()) if move == move_id]

    def remove_held_writes(self, move_id: str) -> None:
        self.held_writes = {key: held for key, held in self.held_writes.items() if key[0] != move_id}

    # -- plans -------------------------------------------------------------------------------------------------------

    def remove_plan(self, plan_id: str, version: int) -> None:
        stored = self.plans.get(plan_id)
        if stored is not None and stored.version != version:
            raise PlanConflict(plan_id, stored)
        self.planned_moves = {key: move for key, move in self.planned_moves.items() if key[0] != plan_id}
        if self.plans.pop(plan_id, None) is not None:
            self.note(ChangeSubject.PLAN, (plan_id,))

    def orphaned_plans(self) -> list[str]:
        return sorted({plan_id for plan_id, _ in self.planned_moves} - self.plans.keys())

    def insert_plan(self, whole: WholePlan) -> None:
        stored = self.plans.get(whole.plan.id)
        if stored is None:
            self.plans[whole.plan.id] = whole.plan
            self.planned_moves.update(((move.plan, move.number), move) for move in whole.moves)
            self.note(ChangeSubject.PLAN, (whole.plan.id,), whole.plan.version)
        elif stored != whole.plan:
            raise PlanConflict(whole.plan.id, stored)

    def replace_plan(self, plan: MovePlan) -> None:
        stored = self.plans.get(plan.id)
        if stored == plan:
            return
        if stored is None or stored.version != plan.version - 1:
            raise PlanConflict(plan.id, stored)
        self.plans[plan.id] = replace(stored, version=plan.version, state=plan.state, progress=plan.progress)
        self.note(ChangeSubject.PLAN, (plan.id,), plan.version)

    def list_plans(self, states: Collection[PlanState] | None, active: bool, after: str | None) -> list[MovePlan]:
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
        outcomes: Collection[MoveOutcome | None] | None,
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

    def kept(self) -> list[BackupValue]:
        values = (value for held in self._kept().values() for _, value in sorted(held.items()))
        return [value for value in values if not isinstance(value, PlannedMove) or value.plan in self.plans]

    def begin_load(self, replace: bool) -> str:
        movers = sorted({holder.name for id_, holder in self.holders.items() if not self.moves[id_].finished})
        if self.members or movers:
            raise CatalogInUse(sorted(self.members), movers)
        held = [kind for kind, values in self._kept().items() if values]
        if held and not replace and self.loading is None:
            raise NotEmpty(held)
        self.first_token = above_all(max(self.first_token, *self.tokens.values(), 0))
        for values in (
            *self._kept().values(),
            self.statistics,
            self.tokens,
            self.holders,
            self.held_writes,
            self.ended,
        ):
            values.clear()
        self.walk.value = Walk()
        self.audit.value = AuditState()
        self.loading = f"load-{len(self.log)}"
        self.note(ChangeSubject.TENANT, ("",))
        return self.loading

    def load(self, token: str, values: Sequence[BackupValue]) -> None:
        self._require(token)
        for value in values:
            key: Any = value.key if isinstance(value, Placement) else _key(value)
            held = self._kept()[next(kind for kind, type_ in KINDS.items() if isinstance(value, type_))]
            if key in held:
                raise LoadRefused(f"{value} is there already")
            try:
                if isinstance(value, Move):
                    self._refuse_second(value)
                    self._number_end(value)
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
            raise LoadRefused("another load has begun since")

    # -- statistics --------------------------------------------------------------------------------------------------

    def put_statistics(
        self, subject: StatisticsSubject, found: Collection[SubjectStatistics], since: str, until: str | None
    ) -> None:
        for kind, name in list(self.statistics):
            if kind == subject.value and since <= name and (until is None or name < until):
                del self.statistics[kind, name]
        self.statistics |= {(subject.value, one.name): one for one in found}

    def list_statistics(self, subject: StatisticsSubject, after: str | None) -> list[SubjectStatistics]:
        return [
            found
            for (kind, name), found in sorted(self.statistics.items())
            if kind == subject.value and (after is None or name > after)
        ]


def _key(value: BackupValue) -> Any:
    if isinstance(value, Tenant):
        return value.project
    if isinstance(value, PlannedMove):
        return value.plan, value.number
    return value.name if isinstance(value, Partition) else value.id


def _first(found: Iterable[T], limit: int) -> list[T]:
    return list(found)[: max(limit, 0)]


class Process:
    """One process's way to a ``Store``, over a ``Line`` of its own."""

    def __init__(self, store: Store, line: Line) -> None:
        self.store = store
        self.line = line
        self.closed = False
        # How far this process has learnt of what is stored, by its own calls and its feed.
        self.seen = 0

    async def do(self, verb: str, function: Callable[..., T], *args: Any) -> T:
        self.check()
        await self.line.there(verb, *args)
        self.check()
        before = self.store.position
        try:
            result = function(*args)
        except CatalogError:
            await self.line.back(verb, *args)
            raise
        if verb == "members.renew" or self.store.position > before:
            self.seen = self.store.position
        await self.line.back(verb, *args)
        return result

    def placement(self, key: QueueKey) -> Placement | None:
        newest = self.store.position
        position = self.line.shown(self.seen, newest)
        self.seen = max(self.seen, position)
        return self.store.placements.get(key) if position == newest else self.store.placement_at(key, position)

    def check(self) -> None:
        if self.closed:
            raise CatalogUnavailable("the catalog was closed")


class _Noun:
    def __init__(self, process: Process) -> None:
        self._process = process
        self._store = process.store
        self._do = process.do


class MemoryLock(Lock[Move]):
    def __init__(self, process: Process, move_id: str) -> None:
        self._store = process.store
        self._do = process.do
        self._id = move_id

    async def acquire(self, holder: str, seconds: float, *, over: Holder | None = None) -> Move:
        return await self._do("moves.lock.acquire", self._store.take_move, self._id, holder, seconds, over)

    async def renew(self, token: int, seconds: float) -> None:
        await self._do("moves.lock.renew", self._store.renew_move, self._id, token, seconds)

    async def release(self, token: int) -> None:
        await self._do("moves.lock.release", self._store.release_move, self._id, token)


class MemoryLockedValue(LockedValue[H]):
    def __init__(self, process: Process, name: str, locked: Locked[H]) -> None:
        self._do = process.do
        self._name = name
        self._locked = locked

    async def get(self) -> H:
        return await self._do(f"{self._name}.get", lambda: self._locked.value)

    async def acquire(self, holder: str, seconds: float, *, over: Holder | None = None) -> H:
        return await self._do(f"{self._name}.acquire", self._locked.acquire, holder, seconds, over)

    async def renew(self, token: int, seconds: float) -> None:
        await self._do(f"{self._name}.renew", self._locked.renew, token, seconds)

    async def save(self, value: H, token: int, seconds: float) -> None:
        await self._do(f"{self._name}.save", self._locked.save, value, token, seconds)

    async def release(self, token: int) -> None:
        await self._do(f"{self._name}.release", self._locked.release, token)


class MemoryPlacements(_Noun, PlacementStore):
    async def get(self, key: QueueKey) -> Placement | None:
        return await self._do("placements.get", self._process.placement, key)

    async def insert(self, placement: Placement) -> tuple[Placement, bool]:
        return await self._do("placements.insert", self._store.insert_placement, placement)

    async def insert_many(self, wanted: Sequence[Placement]) -> list[Placement]:
        return await self._do("placements.insert_many", self._store.insert_placements, wanted)

    async def replace(self, placement: Placement) -> None:
        await self._do("placements.replace", self._store.replace_placement, placement)

    async def remove(self, key: QueueKey, epoch: int, incarnation: str) -> None:
        await self._do("placements.remove", self._store.remove_placement, key, epoch, incarnation)

    async def list_queues(self, project: str, after: str, before: str, limit: int) -> list[Placement]:
        return _first(await self._do("placements.list_queues", self._store.listed, project, after, before), limit)

    async def search_queues(
        self, project: str, after: str, before: str, limit: int, *, containing: str, examine: int
    ) -> tuple[list[Placement], str | None]:
        arguments = (project, after, before, limit, containing, examine)
        return await self._do("placements.search_queues", self._store.searched, *arguments)

    async def count_queues(self, project: str, after: str, before: str) -> int:
        return len(await self._do("placements.count_queues", self._store.listed, project, after, before))

    async def find(
        self,
        *,
        project: str | None = None,
        partitions: Collection[str] | None = None,
        states: Collection[PlacementState] | None = None,
        after: QueueKey | None = None,
        limit: int,
    ) -> list[Placement]:
        found = await self._do("placements.find", self._store.all_placements, project, partitions, states, after)
        return _first(found, limit)

    async def count(
        self,
        *,
        project: str | None = None,
        partitions: Collection[str] | None = None,
        states: Collection[PlacementState] | None = None,
    ) -> int:
        return len(await self._do("placements.count", self._store.all_placements, project, partitions, states, None))


class MemoryPartitions(_Noun, PartitionStore):
    async def get(self, name: str) -> Partition | None:
        return await self._do("partitions.get", self._store.partitions.get, name)

    async def all(self) -> list[Partition]:
        found = await self._do("partitions.all", lambda: sorted(self._store.partitions.items()))
        return [partition for _, partition in found]

    async def insert(self, partition: Partition) -> None:
        await self._do("partitions.insert", self._store.insert_partition, partition)

    async def replace(self, partition: Partition) -> None:
        await self._do("partitions.replace", self._store.replace_partition, partition)

    async def remove(self, name: str) -> None:
        await self._do("partitions.remove", self._store.remove_partition, name)


class MemoryTenants(_Noun, TenantStore):
    async def get(self, project: str) -> Tenant | None:
        return await self._do("tenants.get", self._store.tenants.get, project)

    async def find(
        self, *, pinned: str | None = None, spread: int | None = None, after: str | None = None, limit: int
    ) -> list[Tenant]:
        return _first(await self._do("tenants.find", self._store.list_tenants, pinned, spread, after), limit)

    async def put(self, tenant: Tenant) -> None:
        await self._do("tenants.put", self._store.put_tenant, tenant)

    async def change(self, project: str, *, members: Mapping[str, Any]) -> None:
        await self._do("tenants.change", self._store.change_tenant, project, members)

    async def remove(self, project: str) -> None:
        await self._do("tenants.remove", self._store.remove_tenant, project)


class MemoryMembers(_Noun, MemberStore):
    async def register(self, member: Member) -> None:
        await self._do("members.register", self._store.register_member, member)

    async def renew(self, member: Member) -> None:
        await self._do("members.renew", self._store.renew_member, member)

    async def all(self) -> list[Member]:
        return await self._do("members.all", lambda: [m for _, m in sorted(self._store.members.items())])

    async def remove(self, member_id: str) -> None:
        await self._do("members.remove", self._store.members.pop, member_id, None)

    async def expire(self, member: Member) -> bool:
        return await self._do("members.expire", self._store.expire_member, member)


class MemoryMoves(_Noun, MoveStore):
    async def get(self, move_id: str) -> Move | None:
        return await self._do("moves.get", self._store.move, move_id)

    async def insert(self, move: Move) -> None:
        await self._do("moves.insert", self._store.insert_move, move)

    async def replace(self, move: Move, token: int | None) -> None:
        await self._do("moves.replace", self._store.replace_move, move, token)

    async def find(
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
        return _first(await self._do("moves.find", self._store.list_moves, *filters), limit)

    async def under_way(self, key: QueueKey) -> Move | None:
        filters = (key.project, key.queue, None, UNFINISHED_STATES, None, None, None)
        return next(iter(await self._do("moves.under_way", self._store.list_moves, *filters)), None)

    async def find_ended(self, *, keep: int, skip: int, limit: int) -> list[Move]:
        return _first(await self._do("moves.find_ended", self._store.list_ended_moves, keep, skip), limit)

    async def remove(self, ids: Collection[str]) -> None:
        await self._do("moves.remove", self._store.remove_moves, ids)

    def lock(self, move_id: str) -> Lock[Move]:
        return MemoryLock(self._process, move_id)


class MemoryHeldWrites(_Noun, HeldWritesStore):
    async def put(self, found: Mapping[str, HeldWrites]) -> None:
        await self._do("held_writes.put", self._store.put_held_writes, found)

    async def find(self, move_id: str) -> list[HeldWrites]:
        return await self._do("held_writes.find", self._store.list_held_writes, move_id)

    async def remove(self, move_id: str) -> None:
        await self._do("held_writes.remove", self._store.remove_held_writes, move_id)


class MemoryPlans(_Noun, PlanStore):
    async def get(self, plan_id: str) -> MovePlan | None:
        return await self._do("plans.get", self._store.plans.get, plan_id)

    async def exists(self, plan_id: str) -> bool:
        return await self._do("plans.exists", self._store.plans.__contains__, plan_id)

    async def remove(self, plan_id: str, version: int) -> None:
        await self._do("plans.remove", self._store.remove_plan, plan_id, version)

    async def orphaned(self) -> list[str]:
        return await self._do("plans.orphaned", self._store.orphaned_plans)

    async def insert(self, whole: WholePlan) -> None:
        await self._do("plans.insert", self._store.insert_plan, whole)

    async def replace(self, plan: MovePlan) -> None:
        await self._do("plans.replace", self._store.replace_plan, plan)

    async def find(
        self,
        *,
        states: Collection[PlanState] | None = None,
        active: bool = False,
        after: str | None = None,
        limit: int,
    ) -> list[MovePlan]:
        return _first(await self._do("plans.find", self._store.list_plans, states, active, after), limit)


class MemoryPlannedMoves(_Noun, PlannedMoveStore):
    async def get(self, plan_id: str, key: QueueKey) -> PlannedMove | None:
        found = await self._do("planned_moves.get", self._store.moves_of, plan_id)
        return next((move for move in found if move.key == key), None)

    async def find(
        self,
        plan_id: str,
        *,
        numbers: Collection[int] | None = None,
        outcomes: Collection[MoveOutcome | None] | None = None,
        after: int = -1,
        before: int | None = None,
        limit: int,
    ) -> list[PlannedMove]:
        filters = (plan_id, numbers, outcomes, after, before)
        return _first(await self._do("planned_moves.find", self._store.list_planned_moves, *filters), limit)

    async def end(self, plan_id: str, endings: Collection[Ending]) -> None:
        await self._do("planned_moves.end", self._store.end_planned_moves, plan_id, endings)


class MemoryStatistics(_Noun, StatisticsStore):
    def __init__(self, process: Process) -> None:
        super().__init__(process)
        self.walk = MemoryLockedValue(process, "statistics.walk", process.store.walk)

    async def put(
        self, subject: StatisticsSubject, found: Collection[SubjectStatistics], *, since: str, until: str | None
    ) -> None:
        await self._do("statistics.put", self._store.put_statistics, subject, found, since, until)

    async def get(self, subject: StatisticsSubject, name: str) -> SubjectStatistics | None:
        return await self._do("statistics.get", self._store.statistics.get, (subject.value, name))

    async def find(
        self, subject: StatisticsSubject, *, after: str | None = None, limit: int
    ) -> list[SubjectStatistics]:
        return _first(await self._do("statistics.find", self._store.list_statistics, subject, after), limit)


class MemoryBackups(_Noun, BackupStore):
    async def snapshot(self) -> AsyncGenerator[list[BackupValue], None]:
        kept = await self._do("backups.snapshot", self._store.kept)
        for n in range(0, len(kept), 500):
            yield kept[n : n + 500]
            self._process.check()

    async def begin_load(self, *, replace: bool) -> str:
        return await self._do("backups.begin_load", self._store.begin_load, replace)

    async def load(self, token: str, values: Sequence[BackupValue]) -> None:
        await self._do("backups.load", self._store.load, token, values)

    async def end_load(self, token: str) -> None:
        await self._do("backups.end_load", self._store.end_load, token)


class MemoryCatalog(Catalog):
    """One process's way to a ``Store``, over a ``Line`` of its own."""

    def __init__(self, store: Store, line: Line | None = None) -> None:
        process = self._process = Process(store, line or Line())
        self.placements = MemoryPlacements(process)
        self.partitions = MemoryPartitions(process)
        self.tenants = MemoryTenants(process)
        self.members = MemoryMembers(process)
        self.moves = MemoryMoves(process)
        self.held_writes = MemoryHeldWrites(process)
        self.plans = MemoryPlans(process)
        self.planned_moves = MemoryPlannedMoves(process)
        self.statistics = MemoryStatistics(process)
        self.backups = MemoryBackups(process)
        self.audit = MemoryLockedValue(process, "audit", store.audit)

    async def init(self) -> None:
        await self._process.do("init", lambda: None)

    async def check(self) -> None:
        await self._process.do("check", self._process.store.check)

    async def ping(self) -> None:
        await self._process.do("ping", lambda: None)

    async def close(self) -> None:
        self._process.closed = True
        self._process.store.ring()

    async def identity(self) -> str:
        return await self._process.do("identity", lambda: self._process.store.identity)

    async def watch(self, subjects: Collection[ChangeSubject] = ALL_SUBJECTS) -> AsyncGenerator[Change | Synced, None]:
        process, line = self._process, self._process.line
        process.check()
        await line.there("watch")
        process.check()
        store, clock = process.store, asyncio.get_running_loop().time
        taken = len(store.log)
        position = process.seen = store.position
        # The changes under way, by shard, each with the time at which it is shown.
        coming: list[deque[tuple[float, Change]]] = [deque() for _ in range(store.shards)]
        bell = asyncio.Event()
        store.bells.append(bell)
        try:
            yield Synced(position, fresh=True)
            while True:
                due = min((shard[0][0] for shard in coming if shard), default=clock() + PROOF_OF_LIFE)
                await _rung(bell, due)
                process.check()
                line.feed()
                bell.clear()
                for change in [change for change in store.log[taken:] if change.subject in subjects]:
                    shard = coming[store.shard(change.name)]
                    when = clock() + line.delay(store.shard(change.name))
                    shard.append((max(when, shard[-1][0]) if shard else when, change))
                taken = len(store.log)
                if not any(coming):
                    yield Synced(position, fresh=False)
                for shard in coming:
                    while shard and shard[0][0] <= clock():
                        change = shard.popleft()[1]
                        position = max(position, change.position)
                        process.seen = max(process.seen, change.position)
                        yield change
        finally:
            store.bells.remove(bell)


async def _rung(bell: asyncio.Event, until: float) -> None:
    """Wait for the bell, until a time of the loop at the latest."""
    if not bell.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await bell.wait()
