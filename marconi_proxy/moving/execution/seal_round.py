"""The one part of moves that holds writes: the queues of a group are sealed, and switched together or let go.

A queue with its dead-letter queue is a group, most often one queue by itself. Each queue has a barrier of its own, and
groups know nothing of one another: a queue whose writes hang aborts its own seal and no other. What is left by a mover
that dies in a round, the next one finds in the placements: a seal that it goes on with, or aborts if it is overdue.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from catalog.errors import CatalogError, MoveConflict, PlacementConflict
from catalog.model import Move, Placement, PlacementState
from marconi_proxy.clock import Clock
from marconi_proxy.fencing import transitions
from marconi_proxy.fencing.barrier import CHAINS, Barrier, Incapable, MemberSighting, Passed, incapable
from marconi_proxy.moving.execution.move_executor import MoveExecutor
from marconi_proxy.moving.execution.preparation import opened
from marconi_proxy.moving.execution.steps.interface import Steps
from marconi_proxy.moving.protocol.machine import Event
from marconi_proxy.partition_client.outcome import Unready

LOG = logging.getLogger(__name__)

# Seconds between two readings of the members while writes are held, and while it is not known yet which of them live.
_GLANCE = 0.01
_UNPROVEN_GLANCE = 0.1
# A member that has not renewed for this share of its lease has missed some, for it may take a third of it from one to
# the next: it is gone, or will not acknowledge soon.
_FRESH = 0.4
# Seconds for the last look at metadata and subscriptions, however late it has become.
_LEAST = 0.1


def unfit(sightings: Iterable[MemberSighting]) -> str | None:
    """Return why no queue should be sealed now, None if all members would acknowledge it. Names the members."""
    live = [sighting for sighting in sightings if not sighting.expired]
    lacking = incapable([sighting.member for sighting in live], CHAINS)
    if lacking:
        return f"of a release that cannot serve a queue that was moved: member {', '.join(lacking)}"
    silent = [s.member.id for s in live if s.silence > s.member.patience * _FRESH]
    if silent:
        return f"not heard of, and not gone before its lease ends: member {', '.join(silent)}"
    cut = [s.member.id for s in live if not s.member.synced]
    if cut:
        return f"cut off from the catalog's changes: member {', '.join(cut)}"
    return None


def unheard(move: Move, sightings: Iterable[MemberSighting]) -> str | None:
    """Return why the move is not sealed again yet, None if it may be: a member that did not acknowledge its last seal
    has not renewed since. Clients would wait in vain once more."""
    missed = move.facts.get("unacknowledged_stamps", {})
    silent = [s.member.id for s in sightings if not s.expired and missed.get(s.member.id) == s.member.stamp]
    return f"not heard of since it did not acknowledge: member {', '.join(silent)}" if silent else None


class Unacknowledged(Unready):
    """These members, by id with their stamps, did not acknowledge a seal in time."""

    def __init__(self, stamps: Mapping[str, str]) -> None:
        super().__init__(f"not acknowledged by member {', '.join(stamps)}")
        self.stamps = stamps


class _Entry:
    """One queue in a round. ``started``: when its seal was begun, by the monotonic clock; None if in an earlier step.
    ``limit``: when it is aborted. ``marks``: when since the beginning what was over, in milliseconds by name."""

    def __init__(self, executor: MoveExecutor) -> None:
        self.executor = executor
        self.started: float | None = None
        self.limit = 0.0
        self.barrier: Barrier | None = None
        self.marks: dict[str, float] = {}

    def mark(self, name: str, now: float) -> None:
        """Keep that something was over ``now``, to show later where the pause went."""
        if self.started is not None:
            self.marks[name] = round((now - self.started) * 1000.0, 1)

    @property
    def placement(self) -> Placement:
        # It was read by the step that was ready.
        assert self.executor.placement is not None
        return self.executor.placement

    @property
    def is_sealed(self) -> bool:
        return self.placement.state is PlacementState.SEALING


class SealRound:
    """``prove`` it, then ``run`` it, once. ``executors`` are one group, and ready, which is what their last step
    returned."""

    def __init__(self, steps: Steps, clock: Clock, executors: Sequence[MoveExecutor]) -> None:
        self._steps = steps
        self._clock = clock
        self._open = [_Entry(executor) for executor in executors]
        self._members: list[MemberSighting] | None = None
        self._failure: Exception | None = None

    async def prove(self) -> None:
        """Return once it is known which members live. A mover that has just started waits here until each has renewed,
        or was silent for so long that it is not waited for with writes held; unless they are held already. Raises
        CatalogError."""
        while not any(entry.is_sealed for entry in self._open):
            self._members = await self._steps.members()
            if all(s.proven or s.silence > s.member.patience * _FRESH for s in self._members):
                break
            await self._clock.sleep(_UNPROVEN_GLANCE)

    async def run(self) -> None:
        """Seal, wait, and switch or abort. Raises the first CatalogError when all that can be done was: the next step
        of each executor finds out where it stands."""
        armed = [entry for entry in self._open if not entry.is_sealed]
        for entry in self._open:
            if entry.is_sealed:
                self._resume(entry)
        if armed:
            members = await self._steps.members() if self._members is None else self._members
            obstacle = unfit(members)
            for entry in armed:
                why = obstacle or unheard(entry.executor.move, members)
                if why is not None and entry in self._open:
                    await self._leave(entry, Unready(why))
            await self._each([entry for entry in armed if entry in self._open], self._seal)
        if await self._pass([entry for entry in armed if entry in self._open]):
            self._mark("acks_ms")
            await self._each(self._open, self._sync_metadata)
            self._mark("in_step_ms")
            # Dead-letter queues first: until its source is switched too, the older segment of one takes the dead
            # letters, and is read. A crash between leaves the source to a round of its own.
            await self._each([e for e in self._open if e.placement.group is not None], self._switch)
            await self._each([e for e in self._open if e.placement.group is None], self._switch)
        if self._failure is not None:
            raise self._failure

    def _mark(self, name: str) -> None:
        for entry in self._open:
            entry.mark(name, self._clock.monotonic())

    async def _each(self, entries: Sequence[_Entry], work: Callable[[_Entry], Awaitable[None]]) -> None:
        """Do something for several queues at the same time. One that fails leaves the round with its group."""
        entries = list(entries)
        outcomes = await asyncio.gather(*(work(entry) for entry in entries), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, Exception):
                raise outcome
        for entry, outcome in zip(entries, outcomes, strict=True):
            if isinstance(outcome, Exception) and entry in self._open:
                await self._leave(entry, outcome)

    async def _leave(self, entry: _Entry, why: Exception) -> None:
        self._open.remove(entry)
        if isinstance(why, Unready):
            await self._abort(entry, str(why), why.stamps if isinstance(why, Unacknowledged) else {})
        elif isinstance(why, (PlacementConflict, MoveConflict)):
            # Another process did something: the next step takes that in.
            LOG.info("%s: %s", entry.executor.name, why)
        else:
            self._failure = self._failure or why
        if self._open:
            mate = self._open[0]
            await self._leave(mate, Unready(f"its group is moved together, and {entry.executor.name} was not: {why}"))

    # -- the seal ----------------------------------------------------------------------------------------------------

    def _resume(self, entry: _Entry) -> None:
        """Go on with a seal of an earlier step, most likely of a mover that died: it has its time from when this mover
        first saw it."""
        longest = entry.executor.pace.longest_seal(entry.executor.move.max_pause_ms)
        entry.limit = self._clock.monotonic() + longest - entry.executor.stood("seal", entry.placement.epoch)

    async def _seal(self, entry: _Entry) -> None:
        executor, move = entry.executor, entry.executor.move
        try:
            placement = transitions.seal(entry.placement, move.id, self._clock.now(), executor.pace.max_segments)
        except transitions.TransitionRefused as refused:
            raise Unready(str(refused)) from refused
        entry.started = self._clock.monotonic()
        entry.limit = entry.started + executor.pace.longest_seal(move.max_pause_ms)
        await executor.place(placement, "seals the queue")
        executor.stood("seal", placement.epoch)
        entry.mark("seal_ms", self._clock.monotonic())

    async def _write_down(self, entry: _Entry) -> None:
        attempt = entry.executor.move.attempt + 1
        facts = {"sealed_at": entry.placement.since}
        await entry.executor.enter(Event.SEALED, f"attempt {attempt}", facts, {"attempt": attempt})

    async def _abort(self, entry: _Entry, reason: str, members: Mapping[str, str]) -> None:
        executor = entry.executor
        try:
            if not entry.is_sealed:
                await executor.put_off(reason)
                return
            await executor.abort(reason, members)
        except (PlacementConflict, MoveConflict) as conflict:
            LOG.info("%s: %s", executor.name, conflict)
        except CatalogError as error:
            self._failure = self._failure or error

    # -- the barrier -------------------------------------------------------------------------------------------------

    async def _pass(self, new: Sequence[_Entry]) -> bool:
        """Return when no worker writes to any of the queues; False if the group has left, for its time was over.

        The ``new`` ones are written down meanwhile, which costs clients nothing so.
        """
        if not self._open:
            return False
        missing, written = await asyncio.gather(
            self._barrier(), self._each(new, self._write_down), return_exceptions=True
        )
        # Only now: nothing may be written by this round when it is over.
        for outcome in (missing, written):
            if isinstance(outcome, BaseException):
                raise outcome
        if not self._open:
            return False
        assert isinstance(missing, dict)
        if missing:
            await self._leave(self._open[0], Unacknowledged(missing))
        return not missing

    async def _barrier(self) -> dict[str, str]:
        """Wait until every queue's barrier is passed, or the time is over. Return the members that are missing, by id
        with their stamps; none if it is passed."""
        while entries := list(self._open):
            members = await self._steps.members()
            waiting: set[str] = set()
            over = False
            for entry in entries:
                seal = entry.placement.seal
                if seal is None:
                    continue  # it was aborted meanwhile, and has left
                before = entry.barrier
                entry.barrier = before.seen(members) if before else Barrier.after_seal(seal, members, CHAINS)
                verdict = entry.barrier.verdict
                if not isinstance(verdict, Passed):
                    waiting.update(verdict.names)
                    over = over or isinstance(verdict, Incapable) or entry.limit <= self._clock.monotonic()
            if not waiting:
                break
            if over:
                return {s.member.id: s.member.stamp for s in members if s.member.id in waiting}
            await self._clock.sleep(_GLANCE)
        return {}

    # -- the switch --------------------------------------------------------------------------------------------------

    async def _sync_metadata(self, entry: _Entry) -> None:
        """What was changed since it was prepared: from the seal on, clients change no metadata and no subscriptions."""
        move, placement = entry.executor.move, entry.placement
        # First, so that metadata, too, are not changed any more once they are compared.
        await self._steps.close(placement, self._left(entry))
        target = opened(move, placement)
        await self._steps.sync_metadata(move.key, placement.segments[-1], target, self._left(entry))

    def _left(self, entry: _Entry) -> float:
        """Seconds until the seal is given up."""
        return max(_LEAST, entry.limit - self._clock.monotonic())

    async def _switch(self, entry: _Entry) -> None:
        executor, move = entry.executor, entry.executor.move
        assert entry.barrier is not None
        passed = entry.barrier.verdict
        assert isinstance(passed, Passed)
        target = opened(move, entry.placement)
        # Of the placement whose seal the barrier was about: a switch that conflicts is never repeated on a newer epoch.
        assert entry.placement.seal == entry.barrier.seal
        placement = transitions.switch(
            entry.placement, move.id, target.partition, target.backend_name, self._clock.now()
        )
        await executor.place(placement, "switches the queue")
        measures: dict[str, float] = {}
        pause_ms = None
        if entry.started is not None:
            pause_ms = measures["pause_ms"] = round((self._clock.monotonic() - entry.started) * 1000.0, 1)
        await executor.enter(
            Event.SWITCHED,
            f"writes go to {target.partition}",
            executor.switched(placement, passed, pause_ms),
            changes={"pause_ms": pause_ms, "due": 0.0},
            acks=len(passed.acknowledged),
            members=len(passed.acknowledged) + len(passed.signed_off) + len(passed.expired),
            **measures,
            **entry.marks,
        )
        # It has left the round as it should.
        self._open.remove(entry)
