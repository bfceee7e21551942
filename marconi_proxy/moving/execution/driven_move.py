"""A move that this process drives: the record and the placement as read last, and each write of the two.

Both are written by compare-and-set. All waits are measured here, by the time for which a record has stood unchanged.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from catalog.model import BarrierMembers, LogEntry, Measure, Move, MoveState, Placement, PlacementState, Switch
from catalog.unchanged import Unchanged
from marconi_proxy.clock import Clock
from marconi_proxy.fencing import transitions
from marconi_proxy.fencing.barrier import Passed
from marconi_proxy.moving.execution.pace import MovePace
from marconi_proxy.moving.execution.steps.interface import Steps
from marconi_proxy.moving.orders.direction import settled
from marconi_proxy.moving.protocol.machine import SEALING, Event, after

LOG = logging.getLogger(__name__)

# The number of switches that a record keeps, the last ones.
_SWITCHES = 50
# Seconds until the next attempt, while a partition cannot be reached.
SOON = 5.0

_NO_MEMBERS: Mapping[str, str] = {}
# The states in which a failure delays the next attempt.
RETRIED = frozenset({MoveState.PLANNED, MoveState.ARMED, MoveState.REROUTE_PREPARING, MoveState.REROUTE_ARMED})


class Next(NamedTuple):
    """When to make the next step: in ``wait`` seconds, infinite if only a change of the record by others allows one.

    ``ready``: the move is to be sealed, or its seal is to be continued.
    """

    wait: float = 0.0
    ready: bool = False


AT_ONCE = Next()
READY = Next(0.0, True)
NEVER = Next(math.inf)


class DrivenMove:
    """``move``, whose lock this process holds with ``token``.

    Any write may raise CatalogError. After LockLost the mover must leave the move alone; after any other error the next
    step continues from the stored state.

    ``watched``: the observations of moves by this process, by (id, subject). All waits are measured by it, on this
    process's monotonic clock: the time for which a record has stood unchanged. A mover that takes a move over begins
    each wait anew.
    """

    def __init__(
        self,
        steps: Steps,
        pace: MovePace,
        clock: Clock,
        move: Move,
        token: int,
        watched: Unchanged[tuple[str, str]] | None = None,
    ) -> None:
        self.steps = steps
        self.pace = pace
        self.clock = clock
        self.move = move
        self.token = token
        self.placement: Placement | None = None
        self._watched: Unchanged[tuple[str, str]] = Unchanged(clock.monotonic) if watched is None else watched

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.move.id} {self.move.state}>"

    @property
    def name(self) -> str:
        return f"move {self.move.id} {self.move.project or '-'}/{self.move.queue}"

    @property
    def is_gone(self) -> bool:
        """Whether the queue was deleted, or replaced by a later one, according to the placement that was read last. A
        dead-letter queue that was deleted keeps a reserved placement."""
        placement = self.placement
        return (
            placement is None
            or placement.incarnation != self.move.incarnation
            or placement.state is PlacementState.RESERVED
        )

    def _known(self) -> Placement:
        # Without a placement the queue is gone, and ``_catch_up`` has recorded that before any step that needs it.
        assert self.placement is not None
        return self.placement

    def stood(self, subject: str, value: object) -> float:
        """Return the seconds for which this process has seen the ``subject`` of this move have this value."""
        return self._watched.seen((self.move.id, subject), value, self._watched.now())

    # -- the record --------------------------------------------------------------------------------------------------

    async def enter(self, event: Event, reason: str, changed: Move | None = None, **measures: Measure) -> None:
        """Record ``event``: the state that it leads to, the reason and measures. ``changed``: the record with the new
        values of other fields, if any change.

        Raises NotNow if the state does not allow the event, MoveConflict if the record was changed meanwhile, LockLost.
        """
        before = self.move
        state = after(before.state, event)
        entry = LogEntry(self.clock.now(), state, reason, tuple(measures.items()))
        entered = settled((changed or before).entered(entry))
        await self.steps.record(entered, self.token)
        self.move = entered
        measured = "".join(f", {name} {value}" for name, value in measures.items())
        LOG.info("%s: %s -> %s (%s%s)", self.name, before.state, state, reason, measured)

    async def note(self, changed: Move) -> None:
        """Record new values of fields in the same state. Raises MoveConflict, LockLost."""
        noted = replace(changed, version=self.move.version + 1)
        await self.steps.record(noted, self.token)
        self.move = noted

    async def put_off(self, reason: str) -> Next:
        """Stay in the state, count a failure, and retry after a backoff. Raises CatalogError."""
        failed = self._failed(reason)
        wait = self._wait_after(failed.progress.failures)
        LOG.info("%s: %s, waits %.1f s: %s", self.name, self.move.state, wait, reason)
        await self.note(failed)
        return Next(self._left_to_retry())

    async def wait_for(self, what: str) -> Next:
        """Stay in the state and look again soon: ``what`` is expected without intervention, so this is no failure.

        Raises CatalogError.
        """
        if self.move.measured.waits != what:
            LOG.info("%s: %s, waits: %s", self.name, self.move.state, what)
            await self.note(waiting(self.move, what))
        return Next(SOON)

    def _failed(self, reason: str) -> Move:
        """Return the record with one more failure, and the approximate time of the retry."""
        failures = self.move.progress.failures + 1
        return replace(
            waiting(self.move, reason),
            progress=replace(self.move.progress, failures=failures),
            due=self.clock.now() + self._wait_after(failures),
        )

    def _wait_after(self, failures: int) -> float:
        # Repeatable for one attempt, and different for each move.
        return self.pace.wait_after(failures, random.Random(f"{self.move.id}/{self.move.attempt}/{failures}"))  # noqa: S311

    def _left_to_retry(self) -> float:
        """Return the seconds until the retry of a state that failed, 0 without a failure."""
        failures = self.move.progress.failures
        if not failures or self.move.state not in RETRIED:
            return 0.0
        return max(0.0, self._wait_after(failures) - self.stood("retry", (self.move.state, failures)))

    async def back_off(self, event: Event, reason: str, members: Mapping[str, str] | None = None) -> None:
        """Record a failure as ``event``, and retry after a backoff. ``members``: those of an aborted seal, as for
        ``abort``. Raises CatalogError."""
        failed = self._failed(reason)
        if members is not None:
            failed = replace(failed, progress=replace(failed.progress, unacknowledged=tuple(members.items())))
        await self.enter(event, reason, failed)
        self._left_to_retry()

    def sealed(self, placement: Placement) -> Move:
        """Return the record with one more attempt to seal, by the sealed placement."""
        measured = replace(self.move.measured, sealed_at=placement.since)
        return replace(self.move, attempt=self.move.attempt + 1, measured=measured)

    def switched(self, placement: Placement, passed: Passed | None, pause_ms: float | None) -> Move:
        """Return the record of a switch. ``passed`` and ``pause_ms`` are known only to the mover that switched, and
        None for any other."""
        progress, measured = self.move.progress, self.move.measured
        barrier = None if passed is None else BarrierMembers(passed.acknowledged, passed.signed_off, passed.expired)
        switch = Switch(placement.since, placement.segments[-2].partition, placement.partition, pause_ms)
        return replace(
            self.move,
            progress=replace(
                progress,
                switches=(*progress.switches, switch)[-_SWITCHES:],
                switched_at=switch.at,
                switched_to=switch.target,
                unacknowledged=(),
                failures=0,
                zero_checks=(),
            ),
            measured=replace(measured, waits="", left_at_switch=None, barrier=barrier),
            pause_ms=pause_ms,
            due=0.0,
        )

    # -- the placement -----------------------------------------------------------------------------------------------

    async def read(self) -> bool:
        """Read placement and record; return whether the move exists and is unfinished. Raises CatalogError."""
        self.placement = await self.steps.placement(self.move.key)
        move = await self.steps.move(self.move.id)
        if move is None:
            return False
        self.move = move
        return not move.finished

    async def place(self, placement: Placement, what: str) -> None:
        """Store the changed placement by compare-and-set; ``what`` names the change.

        Raises PlacementConflict, Unready.
        """
        await self.steps.place(placement, what)
        self.placement = placement

    async def abort(self, reason: str, members: Mapping[str, str] = _NO_MEMBERS) -> None:
        """Abort the seal of the queue, and retry after a backoff.

        ``members``: those that have not acknowledged the seal, by id, with their stamps. Raises CatalogError.
        """
        await self.place(transitions.abort(self._known(), self.clock.now()), "aborts the seal")
        if self.move.state in SEALING:
            await self.back_off(Event.ABORTED, reason, members)
        else:
            # The record does not have the seal yet.
            await self.put_off(reason)


def waiting(move: Move, reason: str) -> Move:
    """Return the record with a reason to wait."""
    return replace(move, measured=replace(move.measured, waits=reason))
