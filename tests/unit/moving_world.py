"""A world for movers: catalog and partitions in memory, a clock that goes when a mover waits, and meddlers.

``World`` is an implementation of the steps, which tests/contract compares with the real one. It watches what must never
be: two open segments, a segment without its queue, dead letters where no placement leads, a queue deleted that is named
or not empty, a name used twice.
"""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from catalog.errors import LockLost, MoveConflict, PlacementConflict
from catalog.model import (
    HeldWrites,
    Holder,
    LogEntry,
    Member,
    Move,
    MoveState,
    Partition,
    PartitionState,
    Placement,
    PlacementState,
    QueueKey,
    Seal,
    Segment,
)
from marconi_proxy.fencing.barrier import CHAINS, MemberSighting
from marconi_proxy.moving.execution.pace import MovePace
from marconi_proxy.moving.execution.steps.interface import BUSY, Steps
from marconi_proxy.moving.orders.direction import came_from, settled, turned
from marconi_proxy.moving.protocol.machine import Event, after
from marconi_proxy.partition_client.metadata import dead_letters_of
from marconi_proxy.partition_client.outcome import CALL, Look, Unready

PROJECT = "project"
BORN = "0123456789abcdef"
START = 1_000_000.0


PACE = MovePace()
# Seconds after which the name of a queue that was deleted may be used again, where it must.
REUSE = max(PACE.linger, CALL + PACE.ambiguity)


class FakeClock:
    """``time`` is what has passed since ``START``. ``set`` is by how much the clock on the wall was set."""

    def __init__(self) -> None:
        self.time = START
        self.set = 0.0
        self.slept = 0.0

    def now(self) -> float:
        return self.time + self.set

    def monotonic(self) -> float:
        return self.time - START

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds
        # Some time passes with each sleep, however short.
        self.time = max(self.time + seconds, math.nextafter(self.time, math.inf)) if seconds > 0 else self.time


@dataclass
class FakeQueue:
    """A queue on a partition: the numbers of its free and claimed messages, and its metadata."""

    free: int = 0
    claimed: int = 0
    metadata: dict[str, Any] = field(default_factory=dict)
    subscribers: set[str] = field(default_factory=set)


class World(Steps):
    """``before`` is awaited before each call, with its name; ``on_state`` maps states to an action, which is run
    once, when a move enters one. ``silent`` are the members that do not acknowledge; no member acknowledges seals of
    the queues in ``hanging``. ``sealed`` are all seals there were."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.placements: dict[QueueKey, Placement] = {}
        self.moves: dict[str, Move] = {}
        self.tokens: dict[str, int] = {}
        self.partitions = {name: make_partition(name) for name in ("p1", "p2", "p3")}
        self.queues: dict[tuple[str, str], FakeQueue] = {}
        # Of each: the life, and the epoch below which it takes no writes of that.
        self.closed: dict[tuple[str, str], tuple[str, int]] = {}
        self.silent: set[str] = set()
        self.hanging: set[str] = set()
        self.sightings = {name: MemberSighting(member(name), 1.0) for name in ("w1", "w2")}
        self.held: dict[str, list[HeldWrites]] = {}
        self.on_state: dict[MoveState, Callable[[], None]] = {}
        self.before: Callable[[str], Awaitable[None]] | None = None
        self.unreachable: set[str] = set()
        self.plans: set[str] = set()
        self.feed: list[tuple[QueueKey, int, str]] = []
        self.lives = 0
        self.sealed: list[Seal] = []
        self.removed: dict[tuple[str, str], float] = {}
        self.opened: dict[tuple[str, str, str], int] = {}

    # -- what tests do -----------------------------------------------------------------------------------------------

    def put(
        self, queue: str, where: str = "p1", *, free: int = 0, group: str | None = None, **metadata: Any
    ) -> QueueKey:
        """Create a queue."""
        key = QueueKey(PROJECT, queue)
        self.placements[key] = Placement(
            PROJECT, queue, 1, PlacementState.OPEN, (Segment(0, where, queue),), incarnation=BORN, group=group
        )
        self.queues[where, queue] = FakeQueue(free, metadata=metadata)
        return key

    def order(self, id_: str, queue: str, target: str = "p2", *, group: tuple[str, ...] = (), **more: Any) -> None:
        """Order a move."""
        placement = self.placements[QueueKey(PROJECT, queue)]
        self.moves[id_] = Move(
            id_,
            PROJECT,
            queue,
            placement.partition,
            target,
            created=START,
            incarnation=placement.incarnation,
            group=group,
            **more,
        )

    def decide(self, id_: str, event: Event, destination: str | None = None) -> None:
        """Do what an operator does; ``destination``: where a move is sent on to."""
        move = self.moves[id_]
        entry = LogEntry(self.clock.now(), after(move.state, event), f"an operator: {event}")
        changed = settled(move.entered(entry))
        if event in (Event.REVERSE, Event.ONWARD):
            placement = self.placements[move.key]
            changed = turned(changed, placement, destination or came_from(move, placement))
        self._store(changed)

    def delete(self, key: QueueKey) -> None:
        """Delete a queue, as its users do."""
        placement = self.placements.pop(key, None)
        for segment in placement.segments if placement is not None else ():
            self.queues.pop((segment.partition, segment.backend_name), None)

    def empty(self) -> None:
        """Let consumers empty all sealed segments."""
        for placement in self.placements.values():
            for segment in placement.segments[:-1]:
                queue = self.queues[segment.partition, segment.backend_name]
                queue.free = queue.claimed = 0

    def take(self, id_: str) -> tuple[Move, int]:
        """Take the lock of a move from its holder."""
        self.tokens[id_] = self.tokens.get(id_, 0) + 1
        return self.moves[id_], self.tokens[id_]

    def chain(self, queue: str) -> list[str]:
        """Return the partitions of a queue's segments, and where it is sealed or held."""
        placement = self.placements[QueueKey(PROJECT, queue)]
        held = [placement.state.value] if placement.state is not PlacementState.OPEN else []
        return [f"{s.partition}{' sealed' if s.sealed else ''}" for s in placement.segments] + held

    def last(self, queue: str) -> FakeQueue:
        """Return what writes to a queue go to."""
        segment = self.placements[QueueKey(PROJECT, queue)].segments[-1]
        return self.queues[segment.partition, segment.backend_name]

    def kept(self) -> list[tuple[str, str]]:
        """Return the queues on partitions, hidden names as the queue's own."""
        return sorted((partition, plain(backend_name)) for partition, backend_name in self.queues)

    # -- the steps ---------------------------------------------------------------------------------------------------

    async def _called(self, name: str) -> None:
        if self.before is not None:
            await self.before(name)

    async def placement(self, key: QueueKey) -> Placement | None:
        await self._called("placement")
        return self.placements.get(key)

    async def move(self, move_id: str) -> Move | None:
        await self._called("move")
        return self.moves.get(move_id)

    async def has_plan(self, plan_id: str) -> bool:
        await self._called("has_plan")
        return plan_id in self.plans

    async def partition(self, name: str) -> Partition | None:
        await self._called("partition")
        return self.partitions.get(name)

    async def members(self) -> list[MemberSighting]:
        await self._called("members")
        seals = frozenset(p.seal for p in self.placements.values() if p.seal and p.queue not in self.hanging)
        prepared = {p.preparation for p in self.placements.values() if p.preparation}
        relied_on = {p.seal.preparation for p in self.placements.values() if p.seal}
        for name, seen in self.sightings.items():
            acks = seals | prepared | (seen.member.acks & relied_on)
            acks = frozenset[Seal]() if name in self.silent else acks
            self.sightings[name] = seen._replace(member=restamped(seen.member, acks=acks))
        return list(self.sightings.values())

    async def busy(self, partition: str, limit: int) -> int:
        await self._called("busy")
        busy = [m for m in self.moves.values() if m.state in BUSY and partition in (m.source, m.target)]
        return len(busy[:limit])

    async def record(self, move: Move, token: int) -> None:
        await self._called("record")
        stored = self.moves[move.id]
        if stored == move:
            return
        if token != self.tokens.get(move.id):
            raise LockLost(f"move {move.id}", token)
        if move.version != stored.version + 1:
            raise MoveConflict(move.id, stored)
        self._store(move)

    def _store(self, move: Move) -> None:
        entered = self.moves[move.id].state is not move.state
        holder = Holder("mover", self.tokens.get(move.id, 1))
        self.moves[move.id] = move if move.holder == holder else replace(move, holder=holder)
        if entered:
            action = self.on_state.pop(move.state, None)
            if action is not None:
                action()

    async def place(self, placement: Placement, what: str) -> None:
        await self._called("place")
        stored = self.placements.get(placement.key)
        if stored == placement:
            return
        if stored is None or stored.incarnation != placement.incarnation or stored.epoch != placement.epoch - 1:
            raise PlacementConflict(stored)
        assert [s.n for s in placement.segments if not s.sealed] == [placement.segments[-1].n]
        for segment in placement.segments:
            assert (segment.partition, segment.backend_name) in self.queues, f"{segment} has no queue"
        self._watch_dead_letters(placement)
        self._watch_marks(stored, placement)
        self._watch_names(placement)
        self.placements[placement.key] = placement
        if placement.seal is not None:
            self.sealed.append(placement.seal)

    def _watch_names(self, placement: Placement) -> None:
        """No two segments of a queue have the same name on a partition, also one after the other."""
        for segment in placement.segments:
            n = self.opened.setdefault((placement.incarnation, segment.partition, segment.backend_name), segment.n)
            assert n == segment.n or placement.group is not None, f"{segment} has the name of segment {n}"

    def _watch_marks(self, before: Placement, after: Placement) -> None:
        """A segment that gets another one behind it is closed to all writes of before; the one that takes writes is
        open to those that are to come."""
        if after.segments[-1].n > before.segments[-1].n:
            assert self._mark(before) == after.epoch, f"{before} was not closed"
        if after.state is PlacementState.OPEN:
            assert self._mark(after) <= after.epoch, f"{after} is closed to itself"

    def _mark(self, placement: Placement) -> int:
        last = placement.segments[-1]
        life, epoch = self.closed.get((last.partition, last.backend_name), ("", 0))
        return epoch if life == placement.incarnation else 0

    def _watch_dead_letters(self, placement: Placement) -> None:
        last = placement.segments[-1]
        name = dead_letters_of(self.queues[last.partition, last.backend_name].metadata)
        taker = self.placements.get(placement.key._replace(queue=name)) if name is not None else None
        if taker is not None and taker.state is not PlacementState.RESERVED and taker.key != placement.key:
            named = [segment.partition for segment in taker.segments]
            assert last.partition in named, f"dead letters of {placement} come into what no placement names"

    async def held_writes(self, move_id: str) -> list[HeldWrites]:
        await self._called("held_writes")
        return self.held.get(move_id, [])

    async def forget_held_writes(self, move_id: str) -> None:
        await self._called("forget_held_writes")
        self.held.pop(move_id, None)

    async def dead_letter_queue(self, key: QueueKey, segment: Segment) -> str | None:
        await self._called("dead_letter_queue")
        return dead_letters_of(self._queue(segment).metadata)

    async def source_of(self, key: QueueKey, partition: str) -> str | None:
        await self._called("source_of")
        for placement in self.placements.values():
            for segment in placement.segments:
                if segment.partition == partition and placement.key != key:
                    name = dead_letters_of(self._queue(segment).metadata)
                    if name == key.queue and placement.state is not PlacementState.RESERVED:
                        return placement.queue
        return None

    def _queue(self, segment: Segment) -> FakeQueue:
        if segment.partition in self.unreachable:
            raise Unready(f"partition {segment.partition} does not answer")
        return self.queues.get((segment.partition, segment.backend_name), FakeQueue())

    async def sync_metadata(self, key: QueueKey, source: Segment, target: Segment, within: float) -> None:
        await self._called("sync_metadata")
        old, new = self._queue(source), self._queue(target)
        removed = self.removed.pop((target.partition, target.backend_name), None)
        if removed is not None:
            # A deletion of it may still be done, or a worker read by what it knew.
            assert self.placements[key].group is not None, f"{target} is made again"
            assert self.clock.monotonic() - removed >= REUSE, f"{target} is made again too early"
        self.queues[target.partition, target.backend_name] = replace(
            new, metadata=dict(old.metadata), subscribers=set(old.subscribers)
        )

    async def close(self, placement: Placement, within: float) -> None:
        await self._called("close")
        last = placement.segments[-1]
        self._queue(last)
        self.closed[last.partition, last.backend_name] = (
            placement.incarnation,
            max(self._mark(placement), placement.epoch + 1),
        )

    async def look(self, key: QueueKey, segment: Segment) -> Look:
        await self._called("look")
        try:
            queue = self._queue(segment)
        except Unready as error:
            return Look(segment.partition, problem=str(error))
        total = queue.free + queue.claimed
        return Look(segment.partition, queue.free, queue.claimed, total, total > 0)

    async def unsubscribe(self, key: QueueKey, segment: Segment) -> None:
        await self._called("unsubscribe")
        self._queue(segment).subscribers.clear()

    async def remove(self, key: QueueKey, segment: Segment) -> None:
        await self._called("remove")
        queue = self._queue(segment)
        placement = self.placements.get(key)
        named = placement is not None and any(
            (s.partition, s.backend_name) == (segment.partition, segment.backend_name) for s in placement.segments
        )
        assert not named, f"{segment} is deleted and named by {placement}"
        assert queue.free + queue.claimed == 0, f"{segment} is deleted with messages"
        self.queues.pop((segment.partition, segment.backend_name), None)
        self.removed[segment.partition, segment.backend_name] = self.clock.monotonic()


def plain(backend_name: str) -> str:
    """Return the name of the queue that has this name on a partition."""
    return re.sub(r"-\d+-[0-9a-f]{12}$", "", backend_name)


def restamped(member: Member, *, stamp: str | None = None, acks: frozenset[Seal] | None = None) -> Member:
    """Return it as it is read when it has renewed (another ``stamp``), or acknowledges other seals."""
    changed = member if acks is None else replace(member, acks=acks)
    return Member.from_json(changed.to_json(), stamp=member.stamp if stamp is None else stamp)


def make_partition(
    name: str, *, state: PartitionState = PartitionState.ENABLED, versions: tuple[str, ...] = ("v2",)
) -> Partition:
    return Partition(name, (f"http://{name}.example:8888",), state=state, api_versions=versions)


def member(name: str, *, capabilities: tuple[str, ...] = (CHAINS,), synced: bool = True, lease: float = 30.0) -> Member:
    document = Member(name, synced=synced, capabilities=capabilities, lease=lease).to_json()
    return Member.from_json(document, stamp=f"{name}-1")
