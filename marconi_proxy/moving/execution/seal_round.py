"""The one part of moves that holds writes: the queues of a group are sealed, and switched together or not at all.

A group is a queue with its dead-letter queues; most often it is one queue. Each queue has a barrier of its own, and
groups are independent: a queue with hanging writes causes no abort of another group's seal. If a mover dies in a round,
the next mover finds the seals in the placements. It continues them, or aborts those that are overdue.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress

from catalog.errors import CatalogError, MoveConflict, PlacementConflict
from catalog.model import Move, Placement, PlacementState, Seal
from marconi_proxy.clock import Clock
from marconi_proxy.fencing import transitions
from marconi_proxy.fencing.barrier import CHAINS, Barrier, Incapable, MemberSighting, Passed, incapable
from marconi_proxy.moving.execution.move_executor import MoveExecutor
from marconi_proxy.moving.execution.preparation import opened
from marconi_proxy.moving.execution.steps.interface import Steps
from marconi_proxy.moving.protocol.machine import Event
from marconi_proxy.partition_client.outcome import Unready

LOG = logging.getLogger(__name__)

# Seconds between two reads of the members: while writes are held, and before the round knows which members live.
_GLANCE = 0.01
_UNHELD_GLANCE = 0.1
# Renewals come every third of a lease at the latest. A member that is silent for this share of its lease has missed
# one: it is dead, or will not acknowledge soon.
_FRESH = 0.4
# The most seconds for which a round waits for acknowledgements of a preparation: twice the time that members take.
_PREPARATION = 0.5
# The least seconds for the comparison of metadata and subscriptions, even when the seal is overdue.
_LEAST = 0.1


def unfit(sightings: Iterable[MemberSighting]) -> str | None:
    """Return the reason not to seal any queue now, with the ids of members; None if all would acknowledge a seal."""
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
    """Return the reason not to seal the queue of ``move`` again yet, None if there is none: a member that did not
    acknowledge its last seal has not renewed since, so clients would wait in vain."""
    missed = move.progress.unacknowledged
    silent = [s.member.id for s in sightings if not s.expired and (s.member.id, s.member.stamp) in missed]
    return f"not heard of since it did not acknowledge: member {', '.join(silent)}" if silent else None


class Unacknowledged(Unready):
    """The members of ``stamps``, by id with their stamps, did not acknowledge a seal in time."""

    def __init__(self, stamps: Mapping[str, str]) -> None:
        super().__init__(f"not acknowledged by member {', '.join(stamps)}")
        self.stamps = stamps


class _Entry:
    """One queue in a round.

    ``started``: the monotonic time at which this round began its seal, None if an earlier one sealed it. ``limit``: the
    monotonic time at which the seal is aborted. ``marks``: by name of a phase, its end in milliseconds after
    ``started``.
    """

    def __init__(self, executor: MoveExecutor) -> None:
        self.executor = executor
        self.started: float | None = None
        self.limit = 0.0
        self.barrier: Barrier | None = None
        self.marks: dict[str, float] = {}

    def mark(self, name: str, now: float) -> None:
        """Record the end of a phase at ``now``, so that the log of the move shows the parts of the pause."""
        if self.started is not None:
            self.marks[name] = round((now - self.started) * 1000.0, 1)

    @property
    def placement(self) -> Placement:
        # The step that was ready has read it.
        assert self.executor.placement is not None
        return self.executor.placement

    @property
    def is_sealed(self) -> bool:
        return self.placement.state is PlacementState.SEALING


class SealRound:
    """Seal and switch the queues of one group: ``prove``, ``prepare``, then ``run``, each once. The last step of each
    of the ``executors`` returned ``ready``."""

    def __init__(self, steps: Steps, clock: Clock, executors: Sequence[MoveExecutor]) -> None:
        self._steps = steps
        self._clock = clock
        self._open = [_Entry(executor) for executor in executors]
        self._members: list[MemberSighting] | None = None
        self._failure: Exception | None = None

    async def prove(self) -> None:
        """Wait until each member has either renewed or been silent for too long, as this mover has seen it.

        So a mover that has just started holds no writes for a dead member. If a queue is sealed already, return at
        once. Raises CatalogError.
        """
        while not any(entry.is_sealed for entry in self._open):
            self._members = await self._steps.members()
            if all(s.proven or s.silence > s.member.patience * _FRESH for s in self._members):
                break
            await self._clock.sleep(_UNHELD_GLANCE)

    async def prepare(self) -> None:
        """Prepare the seals, so that the members that do not use the queues acknowledge them before writes are held.

        Return when all members have, or after ``_PREPARATION`` seconds, because others use the queues. With few
        members, and if a queue is sealed already, return at once. Raises CatalogError.
        """
        members = self._members
        if members is None:
            return
        prepared = {seal for entry in self._open if (seal := await self._prepared(entry, len(members))) is not None}
        until = self._clock.monotonic() + _PREPARATION
        while prepared and self._clock.monotonic() < until:
            await self._clock.sleep(_UNHELD_GLANCE)
            self._members = await self._steps.members()
            if all(prepared <= sighting.member.acks for sighting in self._members):
                break

    async def _prepared(self, entry: _Entry, members: int) -> Seal | None:
        """Prepare the seal of one queue unless it is prepared; return the preparation, None if it gets none."""
        executor, placement = entry.executor, entry.placement
        if placement.move is None and members >= executor.pace.prepare_from:
            with suppress(PlacementConflict, Unready):  # the seal meets the same obstacle, and reports it
                await executor.place(transitions.prepare(placement, executor.move.id), "prepares the seal")
        return entry.placement.preparation

    async def run(self) -> None:
        """Seal, wait for the barriers, and switch or abort.

        Raises the first CatalogError, after the work on all queues has ended; the next step of each executor reads the
        outcome.
        """
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
            # Dead-letter queues first: until the source is switched too, dead letters go to the older segment, which
            # clients still read. A crash between the two leaves the source to a round of its own.
            await self._each([e for e in self._open if e.placement.group is not None], self._switch)
            await self._each([e for e in self._open if e.placement.group is None], self._switch)
        if self._failure is not None:
            raise self._failure

    def _mark(self, name: str) -> None:
        for entry in self._open:
            entry.mark(name, self._clock.monotonic())

    async def _each(self, entries: Sequence[_Entry], work: Callable[[_Entry], Awaitable[None]]) -> None:
        """Await ``work`` for several queues concurrently. One that fails leaves the round, and its group with it."""
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
            # Another process changed the placement or the record: the next step reads the change.
            LOG.info("%s: %s", entry.executor.name, why)
        else:
            self._failure = self._failure or why
        if self._open:
            mate = self._open[0]
            await self._leave(mate, Unready(f"its group is moved together, and {entry.executor.name} was not: {why}"))

    # -- the seal ----------------------------------------------------------------------------------------------------

    def _resume(self, entry: _Entry) -> None:
        """Continue a seal of an earlier round, most likely of a mover that died. Its time counts from the moment when
        this mover first saw it."""
        longest = entry.executor.pace.longest_seal(entry.executor.move.max_pause_ms)
        entry.limit = self._clock.monotonic() + longest - entry.executor.stood("seal", entry.placement.epoch)

    async def _seal(self, entry: _Entry) -> None:
        executor, move = entry.executor, entry.executor.move
        entry.started = self._clock.monotonic()
        entry.limit = entry.started + executor.pace.longest_seal(move.max_pause_ms)
        try:
            await self._put_seal(entry)
        except PlacementConflict as conflict:
            if entry.placement.preparation is None or conflict.current != transitions.withdraw(entry.placement):
                raise
            # A member uses the queue since its preparation: all members have to acknowledge this seal.
            executor.placement = conflict.current
            await self._put_seal(entry)
        executor.stood("seal", entry.placement.epoch)
        entry.mark("seal_ms", self._clock.monotonic())

    async def _put_seal(self, entry: _Entry) -> None:
        executor = entry.executor
        try:
            sealed = transitions.seal(entry.placement, executor.move.id, self._clock.now(), executor.pace.max_segments)
        except transitions.TransitionRefused as refused:
            raise Unready(str(refused)) from refused
        await executor.place(sealed, "seals the queue")

    async def _write_down(self, entry: _Entry) -> None:
        sealed = entry.executor.sealed(entry.placement)
        await entry.executor.enter(Event.SEALED, f"attempt {sealed.attempt}", sealed)

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
        """Return True once no worker writes to any of the queues, False if the group has left the round.

        The seals of the ``new`` ones are recorded meanwhile, so that clients do not wait for that.
        """
        if not self._open:
            return False
        missing, written = await asyncio.gather(
            self._barrier(), self._each(new, self._write_down), return_exceptions=True
        )
        # Raised only now, when both have ended: this round may not write anything after its end.
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
        """Wait until the barriers of all queues are passed, or one is overdue or cannot be passed. Return the missing
        members, by id with their stamps; none if all are passed. Raises CatalogError."""
        while entries := list(self._open):
            members = await self._steps.members()
            waiting: set[str] = set()
            over = False
            for entry in entries:
                seal = entry.placement.seal
                if seal is None:
                    continue  # aborted meanwhile: the entry has left the round
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
        """Close the sealed segment, and copy the changes since the preparation to the target. During the seal, clients
        change neither metadata nor subscriptions. Raises CatalogError, Unready."""
        move, placement = entry.executor.move, entry.placement
        # Closed first, so that no late write changes the metadata after the comparison.
        await self._steps.close(placement, self._left(entry))
        target = opened(move, placement)
        await self._steps.sync_metadata(move.key, placement.segments[-1], target, self._left(entry))

    def _left(self, entry: _Entry) -> float:
        """Return the seconds until the seal is aborted, at least ``_LEAST``."""
        return max(_LEAST, entry.limit - self._clock.monotonic())

    async def _switch(self, entry: _Entry) -> None:
        executor, move = entry.executor, entry.executor.move
        assert entry.barrier is not None
        passed = entry.barrier.verdict
        assert isinstance(passed, Passed)
        target = opened(move, entry.placement)
        # The barrier belongs to the seal of this placement: a switch that conflicts is never retried on a newer epoch.
        assert entry.placement.seal == entry.barrier.seal
        placement = transitions.switch(
            entry.placement, move.id, target.partition, target.backend_name, self._clock.now()
        )
        await executor.place(placement, "switches the queue")
        measures: dict[str, float] = {}
        pause_ms = None
        if entry.started is not None:
            pause_ms = measures["pause_ms"] = round((self._clock.monotonic() - entry.started) * 1000.0, 1)
        if prepared := sum(entry.barrier.seal.preparation in s.member.acks for s in self._members or ()):
            measures["prepared"] = prepared
        await executor.enter(
            Event.SWITCHED,
            f"writes go to {target.partition}",
            executor.switched(placement, passed, pause_ms),
            acks=len(passed.acknowledged),
            members=len(passed.acknowledged) + len(passed.signed_off) + len(passed.expired),
            **measures,
            **entry.marks,
        )
        # Switched: its part of the round is done.
        self._open.remove(entry)
