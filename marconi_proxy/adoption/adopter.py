"""Apply a plan while clients use the queues. It is safe to interrupt and rerun; it skips finished items.

It writes only the catalog, by the verbs and rules of the front door. *Insert or get* decides between the two: a queue
that the front door placed concurrently either equals the one in the plan, or is reported as a conflict and left alone.

A chain has the form of a moved queue: sealed segments, an open one, and the record of a move, by which movers retire
empty segments. Clients may still write to the older segments directly, so the move is *suspended*; ``retire`` resumes
it. The placement is written before the record. A crash in between leaves a chain without a move, until the plan is
applied again.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple

from catalog.errors import MoveConflict, MoveUnderWay, PartitionUnknown
from catalog.errors import PlacementConflict as Changed
from catalog.interface import Catalog
from catalog.model import (
    TOPIC_PREFIX,
    LogEntry,
    Move,
    MoveState,
    Placement,
    PlacementState,
    QueueKey,
    Segment,
)
from marconi_proxy.adoption.entries import ConflictRule, QueueConflict, Single
from marconi_proxy.adoption.plan_file import AdoptionPlan
from marconi_proxy.adoption.presence import AdoptionStopped, Entry, Presence, batches
from marconi_proxy.clock import Clock, Pacer
from marconi_proxy.fencing.barrier import CHAINS, incapable
from marconi_proxy.moving.orders.order import OPERATOR
from marconi_proxy.moving.protocol.evidence import suspended
from marconi_proxy.moving.protocol.machine import Event, after
from marconi_proxy.partition_client.upstreams import Open

_AT_ONCE = 16
_ROUNDS = 10


class AdoptionOutcome(StrEnum):
    """The result for an entry."""

    ADOPTED = "adopted"
    THERE = "there"
    SKIPPED = "skipped"
    GONE = "gone"
    CONFLICT = "conflict"


class _Met(Exception):
    """The queue differs from the plan, and was not changed. The message is the difference."""


@dataclass(slots=True)
class AdoptionSummary:
    """``conflicts``: new ones, as (line number, queue, cause). ``chains``: adopted ones. ``retiring``: resumed ones."""

    outcomes: Counter[AdoptionOutcome] = field(default_factory=Counter)
    conflicts: list[tuple[int, QueueKey, str]] = field(default_factory=list)
    chains: int = 0
    retiring: int = 0


class _Placed(NamedTuple):
    """The stored placement after an attempt to insert one, and whether it is the inserted one."""

    stored: Placement
    new: bool


class Adopter:
    """Apply plans. ``retire``: resume the moves of chains, because no client writes to older segments any more.

    ``token``: returns eight random characters for each new placement, so that each incarnation is unique.
    """

    def __init__(
        self,
        catalog: Catalog,
        open_upstream: Open,
        rate: Pacer,
        clock: Clock,
        *,
        retire: bool,
        token: Callable[[], str] = lambda: secrets.token_hex(4),
    ) -> None:
        self._catalog = catalog
        self._open_upstream = open_upstream
        self._rate = rate
        self._clock = clock
        self._retire = retire
        self._token = token
        self._presence = Presence({}, rate)
        self.summary = AdoptionSummary()

    async def run(self, plan: AdoptionPlan, done: Callable[[], None]) -> None:
        """Apply every entry; call ``done`` after each. Raises AdoptionStopped, CatalogError, BadPlan, OSError."""
        ways = {p.name: self._open_upstream(p) for p in await self._catalog.partitions.all()}
        self._presence = Presence(ways, self._rate)
        if plan.conflicts:
            lacking = incapable(await self._catalog.members.all(), CHAINS)
            if lacking:
                raise AdoptionStopped(
                    f"of a release that cannot serve a chain: member {', '.join(lacking)}; nothing was done"
                )
        todo = batches(plan.entries())
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(_AT_ONCE):
                    group.create_task(self._work(plan, todo, done))
        except ExceptionGroup as failures:
            # The first failure has cancelled the others. Writes in flight are safe to repeat.
            raise failures.exceptions[0] from None

    async def _work(self, plan: AdoptionPlan, todo: Iterator[list[Entry]], done: Callable[[], None]) -> None:
        for batch in todo:
            number = batch[0][0]
            try:
                placed = await self._together(plan.id, batch)
                for number, entry in batch:
                    await self._apply(plan, number, entry, placed.get(entry.key))
                    done()
            except PartitionUnknown as error:
                raise AdoptionStopped(f"line {number}: {error}") from error

    async def _apply(
        self, plan: AdoptionPlan, number: int, entry: QueueConflict | Single, placed: _Placed | None
    ) -> None:
        try:
            outcome = await self._entry(plan, number, entry, placed)
        except _Met as met:
            outcome = AdoptionOutcome.CONFLICT
            self.summary.conflicts.append((number, entry.key, str(met)))
        self.summary.outcomes[outcome] += 1

    async def _entry(
        self, plan: AdoptionPlan, number: int, entry: QueueConflict | Single, placed: _Placed | None
    ) -> AdoptionOutcome:
        if isinstance(entry, Single):
            return await self._single(plan.id, entry, placed)
        if entry.rule is ConflictRule.SKIP:
            return AdoptionOutcome.SKIPPED
        if entry.rule is ConflictRule.PREFER:
            kept = next(candidate for candidate in entry.found if candidate.partition == entry.keep)
            return await self._single(
                plan.id, Single(entry.project, entry.queue, kept.partition, kept.group, kept.dead_letters)
            )
        return await self._chain(plan.id, f"{plan.id}-{number:05d}-", entry)

    # -- one partition -----------------------------------------------------------------------------------------------

    async def _together(self, plan_id: str, batch: list[Entry]) -> dict[QueueKey, _Placed]:
        """Place the existing queues of a batch in one step; return their placements.

        The caller places the others, and a batch of one, individually.
        """
        if len(batch) == 1:
            return {}
        wanted = [entry for _, entry in batch if isinstance(entry, Single)]
        there = await self._presence.existing([single.key for single in wanted], wanted[0].partition)
        clear = [single for single in wanted if single.key in there and await self._about_to_go(single.key) is None]
        placements = [self._single_placement(plan_id, single) for single in clear]
        stored = await self._catalog.placements.insert_many(placements)
        return {new.key: _Placed(found, found == new) for new, found in zip(placements, stored, strict=True)}

    async def _single(self, plan_id: str, wanted: Single, placed: _Placed | None = None) -> AdoptionOutcome:
        """Adopt a queue on one partition. ``placed``: the result of ``_together``, if it has one. Raises _Met."""
        placed = placed or await self._alone(plan_id, wanted)
        if placed is None:
            return AdoptionOutcome.GONE
        if placed.new:
            return AdoptionOutcome.ADOPTED
        stored = placed.stored
        if stored.incarnation.startswith(_origin(plan_id, wanted.key)):
            # Placed by an earlier run, and perhaps moved since.
            return AdoptionOutcome.THERE
        for _ in range(_ROUNDS):
            settled = self._settled(stored, wanted)
            if settled is None:
                return AdoptionOutcome.THERE
            try:
                await self._catalog.placements.replace(settled)
            except Changed as conflict:
                if conflict.current is None:
                    raise _Met("it was deleted concurrently") from conflict
                stored = conflict.current
            else:
                return AdoptionOutcome.ADOPTED if stored.state is PlacementState.RESERVED else AdoptionOutcome.THERE
        raise _Met("too many concurrent calls change it")

    async def _alone(self, plan_id: str, wanted: Single) -> _Placed | None:
        """Place one queue; return None if it is missing, and this plan has not placed it before. Raises _Met."""
        known = await self._catalog.placements.get(wanted.key)
        if known is not None and known.incarnation.startswith(_origin(plan_id, wanted.key)):
            return _Placed(known, new=False)
        if not await self._presence.exists(wanted.key, wanted.partition):
            return None
        if wanted.dead_letters is not None:
            # Before its source, as the front door does: a crash leaves a reservation, which no client sees.
            await self._bind(plan_id, wanted.key, wanted.dead_letters, wanted.partition)
        await self._check_cleared(wanted.key)
        return _Placed(*await self._catalog.placements.insert(self._single_placement(plan_id, wanted)))

    def _settled(self, stored: Placement, wanted: Single) -> Placement | None:
        """Return the change to a stored placement that makes it equal to the plan, None if it is. Raises _Met."""
        last = stored.segments[-1]
        if stored.partition != wanted.partition or last.backend_name != wanted.queue.removeprefix(TOPIC_PREFIX):
            named = "" if stored.partition != wanted.partition else f" as {last.backend_name}"
            raise _Met(f"it is placed on {stored.partition}{named}, and found on {wanted.partition} as well")
        if stored.state is PlacementState.DELETING:
            raise _Met("it is being deleted")
        state = PlacementState.OPEN if stored.state is PlacementState.RESERVED else stored.state
        group = wanted.group if stored.group is None else stored.group
        if stored.state is PlacementState.SEALING and group != stored.group:
            raise _Met("it is being moved; apply the plan again when the move has ended")
        if (state, group) == (stored.state, stored.group):
            return None
        return replace(stored, epoch=stored.epoch + 1, state=state, since=self._clock.now(), group=group)

    async def _bind(self, plan_id: str, source: QueueKey, dead_letters: str, partition: str) -> None:
        """Reserve the placement of the dead-letter queue of ``source``. Raises _Met if it is on another partition."""
        key = QueueKey(source.project, dead_letters)
        reserved = self._placement(
            plan_id, key, (Segment(0, partition, dead_letters),), group=source.queue, state=PlacementState.RESERVED
        )
        stored = await self._catalog.placements.get(key)
        if stored is None:
            await self._check_cleared(key)
            stored, _ = await self._catalog.placements.insert(reserved)
        for _ in range(_ROUNDS):
            if stored.partition != partition:
                raise _Met(f"its dead-letter queue {dead_letters} is on {stored.partition} now")
            if stored.group is not None:
                return
            if stored.state is not PlacementState.OPEN or stored.segments[-1].backend_name != dead_letters:
                raise _Met(f"its dead-letter queue {dead_letters} is {stored.state} now")
            try:
                await self._catalog.placements.replace(replace(stored, epoch=stored.epoch + 1, group=source.queue))
            except Changed as conflict:
                if conflict.current is None:
                    raise _Met(f"its dead-letter queue {dead_letters} was deleted concurrently") from conflict
                stored = conflict.current
            else:
                return
        raise _Met(f"too many concurrent calls change its dead-letter queue {dead_letters}")

    # -- a chain -----------------------------------------------------------------------------------------------------

    async def _chain(self, plan_id: str, name: str, wanted: QueueConflict) -> AdoptionOutcome:
        """Adopt a queue on several partitions as a chain. ``name``: unique prefix of its move's id. Raises _Met."""
        stored = await self._catalog.placements.get(wanted.key)
        if stored is not None and stored.move is not None and stored.move.startswith(name):
            # Placed by an earlier run, perhaps without its move.
            await self._record(stored.move, stored)
            return AdoptionOutcome.THERE
        if stored is not None and stored.incarnation.startswith(_origin(plan_id, wanted.key)):
            # Placed by an earlier run; its move has ended since.
            return AdoptionOutcome.THERE
        move_id = f"{name}{self._token()}"
        there = [
            c
            for c in wanted.found
            if c.partition == wanted.placed or await self._presence.exists(wanted.key, c.partition)
        ]
        if not there:
            return AdoptionOutcome.GONE
        last = there[-1]
        if last.partition != wanted.partitions[-1]:
            # The placement of its dead-letter group depends on that partition.
            raise _Met(f"it is missing on {wanted.partitions[-1]}, the destination of its writes")
        if len(there) == 1:
            if wanted.placed is not None:
                return AdoptionOutcome.GONE
            return await self._single(
                plan_id, Single(wanted.project, wanted.queue, last.partition, last.group, last.dead_letters)
            )
        if last.dead_letters is not None:
            await self._bind(plan_id, wanted.key, last.dead_letters, last.partition)
        await self._check_cleared(wanted.key)
        names = [candidate.partition for candidate in there]
        if wanted.placed is None:
            placement = self._placement(
                plan_id, wanted.key, _segments(wanted.queue, names), group=last.group, move=move_id
            )
            stored, inserted = await self._catalog.placements.insert(placement)
            if not inserted and stored.move is not None and stored.move.startswith(name):
                # Placed by a concurrent run of the same plan.
                await self._record(stored.move, stored)
                return AdoptionOutcome.THERE
            if not inserted:
                raise _Met(f"it is placed on {stored.partition} alone now; make a new plan to chain the others")
            placement = stored
        else:
            placement = await self._preceded(stored, wanted.placed, names, move_id)
        await self._record(move_id, placement)
        return AdoptionOutcome.ADOPTED

    async def _preceded(self, stored: Placement | None, placed: str, names: list[str], move_id: str) -> Placement:
        """Insert segments on other partitions before the only one of a placement. Raises _Met."""
        if stored is None:
            raise _Met("it was deleted since the plan was made; make a new one")
        only = stored.segments[0]
        fits = (
            stored.state is PlacementState.OPEN
            and len(stored.segments) == 1
            and only.partition == placed
            and only.n == stored.base
            and stored.move is None
        )
        if not fits:
            raise _Met("it was moved, or is changing, since the plan was made; make a new one")
        # No client has seen the segment's number: ids of the base are untagged, and the segment remains the base.
        segments = tuple(
            replace(only, n=only.n + number)
            if name == placed
            else Segment(only.n + number, name, stored.queue.removeprefix(TOPIC_PREFIX), sealed=True)
            for number, name in enumerate(names)
        )
        chained = replace(
            stored,
            epoch=stored.epoch + 1,
            since=self._clock.now(),
            segments=segments,
            base=segments[-1].n,
            move=move_id,
        )
        try:
            await self._catalog.placements.replace(chained)
        except Changed as conflict:
            raise _Met("it was changed concurrently; apply the plan again") from conflict
        return chained

    async def _record(self, move_id: str, placement: Placement) -> None:
        """Insert the move of a chain if it is missing, and resume it if ``retire``. Raises _Met."""
        if placement.move != move_id:
            return
        now = self._clock.now()
        move = await self._catalog.moves.get(move_id)
        if move is None:
            older = ", ".join(segment.partition for segment in placement.segments[:-1])
            until = f"until no client writes to {older} directly"
            waits = f"{until}: then apply the plan of its adoption again, with --retire"
            move = suspended(move_id, placement, now, "adopted: it was on several partitions", waits)
            try:
                await self._catalog.moves.insert(move)
            except MoveConflict as conflict:
                # Inserted by a concurrent run of the same plan.
                move = conflict.current or move
            except MoveUnderWay as error:
                raise _Met(f"its older segments cannot be retired: {error}") from error
        self.summary.chains += 1
        while self._retire and move.state is MoveState.SUSPENDED:
            state = after(move.state, Event.RESUME)
            entry = LogEntry(now, state, f"{OPERATOR}no client writes to its older segments directly any more")
            try:
                await self._catalog.moves.replace(
                    replace(move.entered(entry), due=0.0, facts={**move.facts, "waits": "", "failures": 0}), None
                )
            except MoveConflict as conflict:
                if conflict.current is None:
                    return
                move = conflict.current
            else:
                self.summary.retiring += 1
                return

    # -- placements --------------------------------------------------------------------------------------------------

    def _placement(
        self,
        plan_id: str,
        key: QueueKey,
        segments: tuple[Segment, ...],
        *,
        group: str | None,
        state: PlacementState = PlacementState.OPEN,
        move: str | None = None,
    ) -> Placement:
        incarnation = _origin(plan_id, key) + self._token()
        now = self._clock.now()
        return Placement(
            key.project, key.queue, 1, state, segments, since=now, group=group, incarnation=incarnation, move=move
        )

    def _single_placement(self, plan_id: str, wanted: Single) -> Placement:
        segment = Segment(0, wanted.partition, wanted.queue.removeprefix(TOPIC_PREFIX))
        return self._placement(plan_id, wanted.key, (segment,), group=wanted.group)

    async def _check_cleared(self, key: QueueKey) -> None:
        """Raise _Met if ``_about_to_go``."""
        move = await self._about_to_go(key)
        if move is not None:
            raise _Met(f"move {move.id} will delete it, because the queue was deleted")

    async def _about_to_go(self, key: QueueKey) -> Move | None:
        """Return the move that still deletes queues of this name after the placement was removed, None without one."""
        left = await self._catalog.moves.under_way(key)
        return left if left is not None and await self._catalog.placements.get(key) is None else None


def _segments(queue: str, names: list[str]) -> tuple[Segment, ...]:
    backend_name = queue.removeprefix(TOPIC_PREFIX)
    return tuple(Segment(n, name, backend_name, sealed=n < len(names) - 1) for n, name in enumerate(names))


def _origin(plan_id: str, key: QueueKey) -> str:
    """Return the prefix of ``incarnation`` for placements made by this plan, by which a later run recognizes them."""
    return sha256("\0".join((plan_id, *key)).encode()).hexdigest()[:16]
