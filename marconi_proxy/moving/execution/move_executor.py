"""One move, driven one step at a time by the holder of its lock.

A step reads the placement, then the record. Both are written by compare-and-set, so this is as good as one read of
both. The step records an event that the record has missed (``protocol.evidence``), and does the work of the state. All
that must survive is in the record: if a mover is killed between two steps, or within one, another mover continues with
``step``. ``seal_round`` seals, because several moves are sealed together.

Order of writes: the placement first, then the record, which ``protocol.evidence`` repairs if the second write is never
made. A queue that is to be created on a partition is written into the record before.
"""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace

from catalog.errors import MoveConflict, PlacementConflict
from catalog.model import BackendQueue, Move, MoveState, PartitionState, Placement, PlacementState
from catalog.unchanged import Unchanged
from marconi_proxy.clock import Clock
from marconi_proxy.fencing import transitions
from marconi_proxy.moving.execution import older_segments
from marconi_proxy.moving.execution.certificate import certificate
from marconi_proxy.moving.execution.disposal import dispose
from marconi_proxy.moving.execution.driven_move import AT_ONCE, NEVER, READY, RETRIED, SOON, DrivenMove, Next, waiting
from marconi_proxy.moving.execution.older_segments import OlderSegments
from marconi_proxy.moving.execution.pace import MovePace, next_look
from marconi_proxy.moving.execution.preparation import Preparation
from marconi_proxy.moving.execution.progress import worth_noting
from marconi_proxy.moving.execution.steps.interface import BUSY, Steps
from marconi_proxy.moving.orders.decisions import next_number
from marconi_proxy.moving.protocol.evidence import happened
from marconi_proxy.moving.protocol.machine import SEALING, Event, before_switch
from marconi_proxy.partition_client.outcome import Unready

# Seconds between two looks at a partition with a full budget.
_SHORTLY = 1.0

_UNDOING = frozenset({MoveState.UNDOING, MoveState.REROUTE_UNDOING})
_EMPTYING = frozenset({MoveState.DRAINING, MoveState.LINGERING})
_RESTING = frozenset({MoveState.PAUSED, MoveState.SUSPENDED})


class MoveExecutor(DrivenMove):
    """Drive ``move``, one step at a time. ``chance`` spreads the steps that wait for a partition's budget."""

    def __init__(
        self,
        steps: Steps,
        pace: MovePace,
        clock: Clock,
        chance: random.Random,
        move: Move,
        token: int,
        watched: Unchanged[tuple[str, str]] | None = None,
    ) -> None:
        super().__init__(steps, pace, clock, move, token, watched)
        self._chance = chance
        self._preparation = Preparation(steps, pace, clock)

    async def step(self) -> Next:
        """Make one step from the stored state. Raises CatalogError, but no conflict: the next step resolves those."""
        try:
            return await self._step()
        except MoveConflict as conflict:
            if conflict.current is None:
                return NEVER
            # An operator changed the record meanwhile.
            return AT_ONCE
        except PlacementConflict:
            return AT_ONCE

    async def _step(self) -> Next:
        if not await self.read():
            return NEVER
        move, placement = self.move, self.placement
        missed = happened(move.state, move.id, move.incarnation, move.tail, placement)
        try:
            if missed is not None:
                return await self._catch_up(missed)
            if move.state in SEALING:
                return READY
            if placement is not None and _is_sealed_by(placement, move) and move.state not in _UNDOING:
                # The mover that sealed the queue died before it recorded the seal, and an operator changed the state.
                await self.place(transitions.abort(placement, self.clock.now()), "aborts the seal")
                return AT_ONCE
            if move.state in _RESTING:
                return NEVER
            wait = max(self._left_to_linger(), self._left_to_retry())
            if wait > 0:
                return Next(wait)
            if placement is not None and placement.state is PlacementState.DELETING and move.state in _EMPTYING:
                # Looks at partitions prove nothing now: the deletion may be refused, and the queue lives on.
                return await self.wait_for("for the end of a deletion of the queue")
            failures = move.progress.failures
            if failures >= self.pace.give_up_after and move.state in RETRIED:
                reason = f"failed {failures} times in a row, the last time: {move.measured.waits or ''}"
                # Before the switch, pause and wait for an operator. After a switch, continue draining.
                event = Event.PAUSE if before_switch(self.move.state) else Event.CANCEL
                given_up = replace(move, progress=replace(move.progress, failures=0))
                await self.enter(event, reason, given_up, decision=next_number([move]))
                return AT_ONCE
            return await _STEPS[move.state](self)
        except Unready as unready:
            return await self.wait_for(str(unready))

    async def _catch_up(self, missed: Event) -> Next:
        """Record the event that the placement shows and the record has missed. Raises CatalogError, Unready."""
        placement = self.placement
        if missed is Event.GONE:
            reason = "the queue was deleted by its users"
            # After the switch the event leads to an end, and no step follows: delete the leftovers first.
            if not before_switch(self.move.state) and (wait := await dispose(self)) > 0:
                return Next(wait)
        elif missed is Event.SWITCHED:
            assert placement is not None
            await self.enter(missed, "found to be switched", self.switched(placement, None, None))
            return AT_ONCE
        elif missed is Event.SEALED:
            assert placement is not None
            await self.enter(missed, "found to be sealed", self.sealed(placement))
            return AT_ONCE
        elif missed is Event.ABORTED:
            await self.back_off(missed, "the seal was aborted by another process")
            return AT_ONCE
        else:
            reason = f"found to be {missed}"
        await self.enter(missed, reason)
        return AT_ONCE

    def _left_to_linger(self) -> float:
        """Return the seconds until the second look at the older segments, 0 in any other state."""
        if self.move.state is not MoveState.LINGERING:
            return 0.0
        return max(0.0, self.pace.linger - self.stood("linger", self.move.progress.emptied))

    # -- before the switch -------------------------------------------------------------------------------------------

    async def _plan(self) -> Next:
        plan = self.move.plan
        if plan is not None and not await self.steps.has_plan(plan):
            # The plan and its finished moves were removed. An executor frozen since before inserted this one again.
            await self.wait_for(f"plan {plan} is not in the catalog any more, so it is not begun: cancel it")
            return Next(math.inf)
        for name in (self.move.source, self.move.target):
            full = await self.steps.busy(name, self.pace.at_once) >= self.pace.at_once
            if full and not await self._group_has_begun():
                await self.wait_for(f"partition {name} has {self.pace.at_once} moves at a time")
                return Next(self._chance.uniform(1.0, 3.0) * _SHORTLY)
        await self.enter(Event.START, "its turn came", waiting(self.move, ""))
        return AT_ONCE

    async def _group_has_begun(self) -> bool:
        """Return whether another move of the group takes of the budget already. That one waits for this one, so this
        one begins even if the budget is full. Raises CatalogError."""
        mates = [await self.steps.move(id_) for id_ in self.move.group]
        return any(mate is not None and mate.state in BUSY for mate in mates)

    async def _prepare(self) -> Next:
        placement = self._known()
        try:
            backend_name = await self._preparation.choose(self.move, placement)
            put = BackendQueue(self.move.destination, backend_name)
            if self.move.backend_name != backend_name or put not in self.move.progress.touched:
                # Recorded before it is created: after a crash, the next mover finds there the queue to delete.
                progress = self.move.progress.touching(put)
                await self.note(replace(self.move, progress=progress, backend_name=backend_name))
            await self._preparation.make(self.move, placement)
        except Unready as unready:
            if self.move.state is MoveState.REROUTE_PREPARING:
                return await self.put_off(str(unready))
            await self.back_off(Event.BACK_OFF, str(unready))
            return AT_ONCE
        tail = placement.segments[-1].n
        ready = replace(self.move.unhindered(), tail=tail, due=0.0)
        await self.enter(Event.PREPARED, f"{self.move.destination} has the queue", ready)
        return AT_ONCE

    async def _arm(self) -> Next:
        placement = self._known()
        reason = await self._not_armed(placement)
        if reason is not None:
            await self.back_off(Event.BACK_OFF, reason)
            return AT_ONCE
        return READY

    async def _not_armed(self, placement: Placement) -> str | None:
        """Return the reason why the move is no longer ready to be sealed, None if it is. Raises CatalogError."""
        if placement.state is not PlacementState.OPEN:
            return f"the queue is {placement.state}"
        if placement.segments[-1].n != self.move.tail or self.move.backend_name is None:
            return "the queue has other segments than when it was prepared"
        target = await self.steps.partition(self.move.destination)
        if target is None or target.state is PartitionState.DISABLED:
            return f"partition {self.move.destination} is not registered any more"
        if self.move.group:
            try:
                # Another move of the group may have ended since the preparation.
                await self._preparation.check_dead_letters(self.move, placement)
            except Unready as unready:
                return str(unready)
        return None

    async def _undo(self) -> Next:
        placement = self.placement
        ours = placement is not None and placement.incarnation == self.move.incarnation
        if placement is not None and ours and placement.state in (PlacementState.OPEN, PlacementState.SEALING):
            # The record has the cancellation already. With the epoch bumped, a mover that was frozen before it can no
            # longer seal or switch.
            await self.place(transitions.bar(placement, self.clock.now()), "bars the placement")
        if self.move.state is MoveState.REROUTE_UNDOING:
            # The queue that was created stays in the record, and is deleted when the move ends. Its partition may be
            # unreachable, and to delete it now would make draining wait for that partition.
            reason = "it goes on as before"
        elif (wait := await dispose(self)) > 0:
            return Next(wait)
        else:
            reason = "nothing of it is left"
        await self.enter(Event.CLEANED, reason, replace(self.move.unhindered(), backend_name=None, due=0.0))
        return AT_ONCE

    # -- after the switch --------------------------------------------------------------------------------------------

    async def _drain(self) -> Next:
        seen = await older_segments.look(self, self._known())
        now = self.clock.now()
        if seen.empty:
            emptied = [BackendQueue(s.partition, s.backend_name) for s in self._known().segments[:-1]]
            # The version distinguishes this wait from every other one.
            progress = replace(
                seen.record.progress.touching(*emptied), zero_checks=(now,), emptied=self.move.version + 1
            )
            changed = replace(seen.counted, progress=progress, due=now + self.pace.linger)
            await self.enter(Event.EMPTY, "the older segments are empty", changed)
            return AT_ONCE
        await self._note_look(seen, now)
        return Next(next_look(self.stood("switch", self._known().segments[-1].n)))

    async def _linger(self) -> Next:
        placement = self._known()
        seen = await older_segments.look(self, placement)
        now = self.clock.now()
        if seen.unknown:
            await self._note_look(seen, now)
            return Next(SOON)
        if not seen.empty:
            # A mover that was frozen after it had found them empty fails its compare-and-set, and cannot retire them.
            await self.place(transitions.bar(placement, now), "bars the placement")
            await self.enter(Event.NOT_EMPTY, seen.why, replace(seen.counted, due=0.0))
            return AT_ONCE
        progress = seen.record.progress
        progress = replace(progress, zero_checks=(*progress.zero_checks[:1], now))
        await self.note(replace(seen.counted, progress=progress))
        # Each is a compare-and-set on the epoch that was read before the look, so no switch came in between.
        for segment in placement.segments[:-1]:
            placement = transitions.retire(placement, segment.n, now)
            await self.place(placement, f"retires segment {segment.n}")
        await self.enter(Event.RETIRED, "they were empty twice", replace(self.move, due=0.0))
        return AT_ONCE

    async def _note_look(self, seen: OlderSegments, now: float) -> None:
        before, found = self.move.measured, seen.counted.measured
        if worth_noting(before, found, self.stood("look", (before.left, before.waits))):
            await self.note(replace(seen.counted, measured=replace(found, looked_at=now)))

    async def _clean(self) -> Next:
        if (wait := await dispose(self)) > 0:
            return Next(wait)
        # The queue may have been deleted by now, or replaced: this reads the record only.
        proof = certificate(self.move, self.clock.now())
        changed = replace(waiting(self.move, ""), certificate=proof)
        await self.enter(Event.CLEANED, "the older queues are deleted", changed)
        # A crash before this leaves the counts, which are removed with the record.
        await self.steps.forget_held_writes(self.move.id)
        return AT_ONCE


def _is_sealed_by(placement: Placement, move: Move) -> bool:
    return placement.state is PlacementState.SEALING and placement.move == move.id


_STEPS: dict[MoveState, Callable[[MoveExecutor], Awaitable[Next]]] = {
    MoveState.PLANNED: MoveExecutor._plan,
    MoveState.PREPARING: MoveExecutor._prepare,
    MoveState.ARMED: MoveExecutor._arm,
    MoveState.UNDOING: MoveExecutor._undo,
    MoveState.DRAINING: MoveExecutor._drain,
    MoveState.LINGERING: MoveExecutor._linger,
    MoveState.RETIRED: MoveExecutor._clean,
    MoveState.REROUTE_PREPARING: MoveExecutor._prepare,
    MoveState.REROUTE_ARMED: MoveExecutor._arm,
    MoveState.REROUTE_UNDOING: MoveExecutor._undo,
}
