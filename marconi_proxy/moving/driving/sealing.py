"""The one part of moves that holds writes: several queues are sealed, and switched or let go, in one round.

One round of acknowledgements serves them all, for members acknowledge positions of the feed, not queues. Moves of a
group (a queue and its dead-letter queue) are switched together or not at all. What is left by a mover that dies in a
round, the next one finds in the placements: a seal that it goes on with, or aborts if it is overdue.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial

from catalog.errors import CatalogError, Conflict, MoveConflict
from catalog.model import MemberSighting, Move, Placement, PlacementState
from marconi_proxy.moving.clock import Clock
from marconi_proxy.moving.driving.drive import Drive
from marconi_proxy.moving.driving.preparing import opened
from marconi_proxy.moving.driving.steps.interface import Steps, Unready
from marconi_proxy.moving.protocol import transitions
from marconi_proxy.moving.protocol.barrier import CHAINS, Barrier, Incapable, Passed, incapable, is_live
from marconi_proxy.moving.protocol.machine import Event

LOG = logging.getLogger(__name__)

# Seconds between two readings of the members while writes are held.
_GLANCE = 0.01
# A member that has not renewed for this share of its lease has missed some, for it may take a third of it from one to
# the next: it is gone, or will not acknowledge soon.
_FRESH = 0.4
# Seconds for the last look at metadata and subscriptions, however late it has become.
_LEAST = 0.1


def unfit(sightings: Iterable[MemberSighting]) -> str | None:
    """Return why no queue should be sealed now, None if all members would acknowledge it. Names the members."""
    members = list(sightings)
    lacking = incapable(members, CHAINS)
    if lacking:
        return f"of a release that cannot serve a queue that was moved: member {', '.join(lacking)}"
    live = [sighting for sighting in members if is_live(sighting)]
    silent = [s.member.id for s in live if s.age > s.member.lease * _FRESH]
    if silent:
        return f"not heard of, and not gone before its lease ends: member {', '.join(silent)}"
    cut = [s.member.id for s in live if not s.member.synced]
    if cut:
        return f"cut off from the catalog's changes: member {', '.join(cut)}"
    return None


def unheard(move: Move, sightings: Iterable[MemberSighting], now: float) -> str | None:
    """Return why the move is not sealed again yet, None if it may be: a member that did not acknowledge its last seal
    has not been heard of since. Clients would wait in vain once more."""
    missed = move.facts.get("unacknowledged", [])
    since = now - move.log[-1].at if move.log else 0.0
    silent = [s.member.id for s in sightings if s.member.id in missed and is_live(s) and s.age > since]
    return f"not heard of since it did not acknowledge: member {', '.join(silent)}" if silent else None


class Unacknowledged(Unready):
    """These members did not acknowledge a seal in time."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(f"not acknowledged by member {', '.join(names)}")
        self.names = tuple(names)


class _Entry:
    """One queue in a round. ``started``: when its seal was begun, by the monotonic clock; None if in an earlier step.
    ``limit``: when it is aborted. ``marks``: when since the beginning what was over, in milliseconds by name."""

    def __init__(self, drive: Drive) -> None:
        self.drive = drive
        self.started: float | None = None
        self.limit = 0.0
        self.marks: dict[str, float] = {}

    def mark(self, name: str, now: float) -> None:
        """Keep that something was over ``now``, for whoever asks later where the pause went."""
        if self.started is not None:
            self.marks[name] = round((now - self.started) * 1000.0, 1)

    def is_mate(self, other: _Entry) -> bool:
        return self is not other and self.drive.move.id in other.drive.move.group

    @property
    def placement(self) -> Placement:
        # It was read by the step that was ready.
        assert self.drive.placement is not None
        return self.drive.placement

    @property
    def is_sealed(self) -> bool:
        return self.placement.state is PlacementState.SEALING


class Round:
    """``run`` it once. ``drives`` are ready, which is what their last step returned."""

    def __init__(self, steps: Steps, clock: Clock, drives: Sequence[Drive]) -> None:
        self._steps = steps
        self._clock = clock
        self._open = [_Entry(drive) for drive in drives]
        self._failure: Exception | None = None

    async def run(self) -> None:
        """Seal, wait, and switch or abort. Raises the first CatalogError when all that can be done was: the next step
        of each drive finds out where it stands."""
        armed = [entry for entry in self._open if not entry.is_sealed]
        for entry in self._open:
            if entry.is_sealed:
                self._resume(entry)
        if armed:
            members = await self._steps.members()
            obstacle = unfit(members)
            for entry in armed:
                why = obstacle or unheard(entry.drive.move, members, self._clock.now())
                if why is not None and entry in self._open:
                    await self._leave(entry, Unready(why))
            await self._each([entry for entry in armed if entry in self._open], self._seal)
        verdict = await self._pass([entry for entry in armed if entry in self._open])
        if verdict is not None:
            self._mark("acks_ms")
            await self._each(self._open, self._bring_in_step)
            self._mark("in_step_ms")
            # Dead-letter queues first: until its source is switched too, the older segment of one takes the dead
            # letters, and is read. A crash between leaves the source to a round of its own.
            switch = partial(self._switch, passed=verdict)
            await self._each([e for e in self._open if e.placement.group is not None], switch)
            await self._each([e for e in self._open if e.placement.group is None], switch)
        if self._failure is not None:
            raise self._failure

    def _mark(self, name: str) -> None:
        for entry in self._open:
            entry.mark(name, self._clock.monotonic())

    async def _each(self, entries: Sequence[_Entry], work: Callable[[_Entry], Awaitable[None]]) -> None:
        """Do something for several queues at the same time. Who fails leaves the round, and takes its group along."""
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
            await self._abort(entry, str(why), why.names if isinstance(why, Unacknowledged) else ())
        elif isinstance(why, (Conflict, MoveConflict)):
            # Somebody else did something: the next step takes that in.
            LOG.info("%s: %s", entry.drive.name, why)
        else:
            self._failure = self._failure or why
        for mate in [other for other in self._open if other.is_mate(entry)]:
            if mate in self._open:
                await self._leave(mate, Unready(f"its group is moved together, and {entry.drive.name} was not: {why}"))

    # -- the seal ----------------------------------------------------------------------------------------------------

    def _resume(self, entry: _Entry) -> None:
        """Go on with a seal of an earlier step, most likely of a mover that died: it has what is left of its time, by
        the clocks that movers' machines more or less share."""
        longest = entry.drive.pace.longest_seal(entry.drive.move.max_pause_ms)
        held = max(0.0, self._clock.now() - entry.placement.since)
        entry.limit = self._clock.monotonic() + longest - held

    async def _seal(self, entry: _Entry) -> None:
        drive, move = entry.drive, entry.drive.move
        try:
            placement = transitions.seal(entry.placement, move.id, self._clock.now(), drive.pace.max_segments)
        except transitions.Refused as refused:
            raise Unready(str(refused)) from refused
        entry.started = self._clock.monotonic()
        entry.limit = entry.started + drive.pace.longest_seal(move.max_pause_ms)
        await drive.place(placement, "seals the queue")
        entry.mark("seal_ms", self._clock.monotonic())

    async def _write_down(self, entry: _Entry) -> None:
        attempt = entry.drive.move.attempt + 1
        facts = {"sealed_at": entry.placement.since}
        await entry.drive.enter(Event.SEALED, f"attempt {attempt}", facts, {"attempt": attempt})

    async def _abort(self, entry: _Entry, reason: str, members: Sequence[str]) -> None:
        drive = entry.drive
        try:
            if not entry.is_sealed:
                await drive.put_off(reason)
                return
            await drive.abort(reason, members)
        except (Conflict, MoveConflict) as conflict:
            LOG.info("%s: %s", drive.name, conflict)
        except CatalogError as error:
            self._failure = self._failure or error

    # -- the barrier -------------------------------------------------------------------------------------------------

    async def _pass(self, new: Sequence[_Entry]) -> Passed | None:
        """Return when no worker writes to any of the queues. Those whose time is over leave; None if that is all.

        The ``new`` ones are written down meanwhile, which costs clients nothing so.
        """
        if not self._open:
            return None
        queues = [entry.placement for entry in self._open]
        barrier, written = await asyncio.gather(
            self._barrier(queues), self._each(new, self._write_down), return_exceptions=True
        )
        # Only now: nothing may be written by this round when it is over.
        for outcome in (barrier, written):
            if isinstance(outcome, BaseException):
                raise outcome
        assert isinstance(barrier, Barrier)
        while self._open:
            verdict = barrier.verdict
            if isinstance(verdict, Passed):
                return verdict
            now = self._clock.monotonic()
            over = [e for e in self._open if e.limit <= now or isinstance(verdict, Incapable)]
            for entry in over:
                if entry in self._open:
                    await self._leave(entry, Unacknowledged(verdict.names))
            if not over:
                await self._clock.sleep(_GLANCE)
                barrier = barrier.seen(await self._steps.members())
        return None

    async def _barrier(self, queues: Sequence[Placement]) -> Barrier:
        """Return the barrier for all seals: that of the last one."""
        positions = [await self._steps.position(placement) for placement in queues]
        self._mark("shown_ms")
        return Barrier.after_seal(max(positions), await self._steps.members(), CHAINS)

    # -- the switch --------------------------------------------------------------------------------------------------

    async def _bring_in_step(self, entry: _Entry) -> None:
        """What was changed since it was prepared: from the seal on, nobody changes metadata or subscriptions."""
        move, placement = entry.drive.move, entry.placement
        left = max(_LEAST, entry.limit - self._clock.monotonic())
        # First, so that metadata, too, are not changed any more once they are compared.
        await self._steps.close(placement, left)
        await self._steps.bring_in_step(move.key, placement.segments[-1], opened(move, placement), left)

    async def _switch(self, entry: _Entry, passed: Passed) -> None:
        drive, move = entry.drive, entry.drive.move
        target = opened(move, entry.placement)
        placement = transitions.switch(entry.placement, move.id, target.partition, target.physical, self._clock.now())
        sealed_at = entry.placement.since
        await drive.place(placement, "switches the queue")
        if entry.started is not None:
            pause = self._clock.monotonic() - entry.started
        else:
            pause = placement.since - sealed_at
        pause_ms = round(max(0.0, pause) * 1000.0, 1)
        members = len(passed.acknowledged) + len(passed.signed_off) + len(passed.expired)
        await drive.enter(
            Event.SWITCHED,
            f"writes go to {target.partition}",
            drive.switched(placement, passed, pause_ms),
            changes={"pause_ms": pause_ms, "due": 0.0},
            pause_ms=pause_ms,
            acks=len(passed.acknowledged),
            members=members,
            **entry.marks,
        )
        # It has left the round as it should.
        self._open.remove(entry)
