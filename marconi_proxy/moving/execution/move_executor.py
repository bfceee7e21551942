"""One move, driven one step at a time by whoever holds it.

A step reads the placement, then the record (both are compared when they are written, so that is as good as both at
once), takes in what the record has missed (``evidence``), and does what the state asks for. All that must survive is in
the record: whoever is killed between two steps, or within one, another mover goes on with ``step``. To seal is left to
``sealing``, for several moves do it together.

Order of writes: first the placement, then the record, which ``evidence`` repairs if the second is never made; and what
is about to be created on a partition is written into the record before.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from catalog.errors import MoveConflict, PlacementConflict
from catalog.model import LogEntry, Measure, Move, MoveState, PartitionState, Placement, PlacementState, Segment
from catalog.unchanged import Unchanged
from marconi_proxy.clock import Clock
from marconi_proxy.fencing import transitions
from marconi_proxy.fencing.barrier import Passed
from marconi_proxy.moving.execution.certificate import certificate
from marconi_proxy.moving.execution.pace import MovePace, next_look
from marconi_proxy.moving.execution.preparation import Preparation, keeps_name
from marconi_proxy.moving.execution.progress import left, why, worth_noting
from marconi_proxy.moving.execution.steps.interface import BUSY, Steps
from marconi_proxy.moving.orders.decisions import next_number
from marconi_proxy.moving.orders.direction import settled
from marconi_proxy.moving.protocol.evidence import happened
from marconi_proxy.moving.protocol.machine import Event, after, before_switch
from marconi_proxy.partition_client.outcome import CALL, Look, Unready

LOG = logging.getLogger(__name__)

# Seconds to wait where somebody else is at work, who is quick or is found out by others.
_SHORTLY = 1.0
# Of how many switches a move can tell.
_SWITCHES = 50
# Seconds until the next attempt to delete what is left behind, while its partition cannot be reached.
_SOON = 5.0

_ARMED = frozenset({MoveState.ARMED, MoveState.REROUTE_ARMED})
_SEALING = frozenset({MoveState.SEALING, MoveState.REROUTE_SEALING})
NOTHING: Mapping[str, Any] = {}
_UNDOING = frozenset({MoveState.UNDOING, MoveState.REROUTE_UNDOING})
_EMPTYING = frozenset({MoveState.DRAINING, MoveState.LINGERING})
_RESTING = frozenset({MoveState.PAUSED, MoveState.SUSPENDED})


class Next(NamedTuple):
    """When the next step is worth making: in ``wait`` seconds, infinite if not before the record is changed by others.
    ``ready``: what it waits for is to be sealed, or that its seal goes on."""

    wait: float = 0.0
    ready: bool = False


AT_ONCE = Next()
READY = Next(0.0, True)
NEVER = Next(math.inf)


class MoveExecutor:
    """``token`` is that of the hold of ``move``. Any step may raise CatalogError, LockLost among them: the mover
    must then let the move be. After any other error the next step goes on from what is stored.

    ``watched`` is what this process has seen of moves, by (id, subject). All waiting goes by it: for how long a record
    has stood as it is, on this process's monotonic clock. A mover that takes a move over begins each wait anew.
    """

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
        self.steps = steps
        self.pace = pace
        self.clock = clock
        self.move = move
        self.token = token
        self.placement: Placement | None = None
        self._chance = chance
        self._watched: Unchanged[tuple[str, str]] = Unchanged(clock.monotonic) if watched is None else watched
        self._preparation = Preparation(steps, pace, clock)

    def __repr__(self) -> str:
        return f"<MoveExecutor {self.move.id} {self.move.state}>"

    @property
    def name(self) -> str:
        return f"move {self.move.id} {self.move.project or '-'}/{self.move.queue}"

    @property
    def is_gone(self) -> bool:
        """Whether the queue is not there any more, or another one is, by the placement that was read last. The place of
        a dead-letter queue stays reserved when it is deleted."""
        placement = self.placement
        return (
            placement is None
            or placement.incarnation != self.move.incarnation
            or placement.state is PlacementState.RESERVED
        )

    def stood(self, subject: str, value: object) -> float:
        """Return for how many seconds this process has watched the ``subject`` of this move have this value."""
        return self._watched.seen((self.move.id, subject), value, self._watched.now())

    # -- the record --------------------------------------------------------------------------------------------------

    async def enter(
        self,
        event: Event,
        reason: str,
        facts: Mapping[str, Any] = NOTHING,
        changes: Mapping[str, Any] = NOTHING,
        **measures: Measure,
    ) -> None:
        """Write down that ``event`` happened: the state it leads to, why, what was measured, new ``facts``, and
        ``changes`` of fields. Raises MoveConflict if somebody else wrote meanwhile."""
        before = self.move
        state = after(before.state, event)
        entry = LogEntry(self.clock.now(), state, reason, tuple(measures.items()))
        changed = settled(replace(before, facts={**before.facts, **facts}, **changes).entered(entry))
        await self.steps.record(changed, self.token)
        self.move = changed
        told = "".join(f", {name} {value}" for name, value in measures.items())
        LOG.info("%s: %s -> %s (%s%s)", self.name, before.state, state, reason, told)

    async def note(self, facts: dict[str, Any], **changes: Any) -> None:
        """Write down facts, and ``changes`` of fields, without anything having happened."""
        changed = replace(self.move, facts={**self.move.facts, **facts}, version=self.move.version + 1, **changes)
        await self.steps.record(changed, self.token)
        self.move = changed

    async def put_off(self, reason: str) -> Next:
        """Stay, and try again later."""
        failures = self._failures() + 1
        wait = self._wait_after(failures)
        LOG.info("%s: %s, waits %.1f s: %s", self.name, self.move.state, wait, reason)
        await self.note({"waits": reason, "failures": failures}, due=self.clock.now() + wait)
        return Next(self._left_to_retry())

    async def wait_for(self, what: str) -> Next:
        """Stay, and look again soon: what is missing is to come by itself."""
        if self.move.facts.get("waits") != what:
            LOG.info("%s: %s, waits: %s", self.name, self.move.state, what)
            await self.note({"waits": what})
        return Next(_SOON)

    def _failures(self) -> int:
        return int(self.move.facts.get("failures", 0))

    def _wait_after(self, failures: int) -> float:
        # The same each time it is asked for, and different for each move.
        return self.pace.wait_after(failures, random.Random(f"{self.move.id}/{self.move.attempt}/{failures}"))  # noqa: S311

    def _left_to_retry(self) -> float:
        """Return how many seconds there are until a state that failed is to be tried again."""
        failures = self._failures()
        if not failures or self.move.state not in _RETRIED:
            return 0.0
        return max(0.0, self._wait_after(failures) - self.stood("retry", (self.move.state, failures)))

    def _left_to_linger(self) -> float:
        """Return how many seconds there are until the second look at the older segments."""
        if self.move.state is not MoveState.LINGERING:
            return 0.0
        return max(0.0, self.pace.linger - self.stood("linger", self.move.facts.get("emptied")))

    async def back_off(self, event: Event, reason: str, more: Mapping[str, Any] = NOTHING) -> None:
        """Enter the state that a failure leads to, and try again later."""
        failures = self._failures() + 1
        facts = {**more, "waits": reason, "failures": failures}
        due = self.clock.now() + self._wait_after(failures)
        await self.enter(event, reason, facts, changes={"due": due})
        self._left_to_retry()

    async def abort(self, reason: str, members: Mapping[str, str] = NOTHING) -> None:
        """Take back the seal of the queue, and try again later. ``members`` are those that have not acknowledged it,
        with their stamps. Raises CatalogError."""
        await self.place(transitions.abort(self._known(), self.clock.now()), "aborts the seal")
        if self.move.state in _SEALING:
            facts = {"unacknowledged": list(members), "unacknowledged_stamps": dict(members)}
            await self.back_off(Event.ABORTED, reason, facts)
        else:
            # It was not written down that it was sealed.
            await self.put_off(reason)

    # -- a step ------------------------------------------------------------------------------------------------------

    async def step(self) -> Next:
        """Do what is next. Raises CatalogError."""
        try:
            return await self._step()
        except MoveConflict as conflict:
            if conflict.current is None:
                return NEVER
            # An operator decided something meanwhile.
            return AT_ONCE
        except PlacementConflict:
            return AT_ONCE

    async def read(self) -> bool:
        """Read placement and record; return whether there is something to do about it."""
        self.placement = await self.steps.placement(self.move.key)
        move = await self.steps.move(self.move.id)
        if move is None:
            return False
        self.move = move
        return not move.finished

    async def _step(self) -> Next:
        if not await self.read():
            return NEVER
        move, placement = self.move, self.placement
        missed = happened(move.state, move.id, move.incarnation, move.tail, placement)
        try:
            if missed is not None:
                return await self._catch_up(missed)
            if move.state in _SEALING:
                return READY
            if placement is not None and _is_sealed_by(placement, move) and move.state not in _UNDOING:
                # An operator was faster than the mover that sealed it, and that one is gone.
                await self.place(transitions.abort(placement, self.clock.now()), "aborts the seal")
                return AT_ONCE
            if move.state in _RESTING:
                return NEVER
            wait = max(self._left_to_linger(), self._left_to_retry())
            if wait > 0:
                return Next(wait)
            if placement is not None and placement.state is PlacementState.DELETING and move.state in _EMPTYING:
                # What is seen on partitions now tells nothing: the deletion may be refused, and the queue goes on.
                return await self.wait_for("for the end of a deletion of the queue")
            if self._failures() >= self.pace.give_up_after and move.state in _RETRIED:
                reason = f"failed {self._failures()} times in a row, the last time: {move.facts.get('waits', '')}"
                # After the switch there is something better to do than to wait for an operator: to go on draining.
                event = Event.PAUSE if before_switch(self.move.state) else Event.CANCEL
                await self.enter(event, reason, {"failures": 0}, decision=next_number([self.move]))
                return AT_ONCE
            return await _STEPS[move.state](self)
        except Unready as unready:
            return await self.wait_for(str(unready))

    async def _catch_up(self, missed: Event) -> Next:
        """Write down what the placement tells and the record has missed."""
        placement = self.placement
        if missed is Event.GONE:
            reason = "the queue was deleted by its users"
            # There is no state for this after the switch: it comes before the end is written.
            if not before_switch(self.move.state) and (wait := await self._dispose()) > 0:
                return Next(wait)
        elif missed is Event.SWITCHED:
            assert placement is not None
            reason = "found to be switched"
            await self.enter(
                missed, reason, self.switched(placement, None, None), changes={"due": 0.0, "pause_ms": None}
            )
            return AT_ONCE
        elif missed is Event.SEALED:
            assert placement is not None
            await self.enter(
                missed, "found to be sealed", {"sealed_at": placement.since}, changes={"attempt": self.move.attempt + 1}
            )
            return AT_ONCE
        elif missed is Event.ABORTED:
            await self.back_off(missed, "the seal was taken back by another process")
            return AT_ONCE
        else:
            reason = f"found to be {missed}"
        await self.enter(missed, reason)
        return AT_ONCE

    def switched(self, placement: Placement, passed: Passed | None, pause_ms: float | None) -> dict[str, Any]:
        """Return the facts of a switch; what its mover alone could tell is None."""
        barrier = None
        if passed is not None:
            barrier = {
                "acknowledged": list(passed.acknowledged),
                "signed_off": list(passed.signed_off),
                "expired": list(passed.expired),
            }
        switch = {
            "at": placement.since,
            "from": placement.segments[-2].partition,
            "to": placement.partition,
            "pause_ms": pause_ms,
        }
        return {
            "switched_at": placement.since,
            "switched_to": placement.partition,
            "switches": [*self.move.facts.get("switches", []), switch][-_SWITCHES:],
            "barrier": barrier,
            "failures": 0,
            "unacknowledged": [],
            "unacknowledged_stamps": {},
            "waits": "",
            "zero_checks": [],
            "left_at_switch": None,
        }

    # -- before the switch -------------------------------------------------------------------------------------------

    async def _plan(self) -> Next:
        plan = self.move.plan
        if plan is not None and not await self.steps.has_plan(plan):
            # Records of finished moves go after their plan: an executor that was frozen since has inserted it again.
            await self.wait_for(f"plan {plan} is not in the catalog any more, so it is not begun: cancel it")
            return Next(math.inf)
        for name in (self.move.source, self.move.target):
            full = await self.steps.busy(name, self.pace.at_once) >= self.pace.at_once
            if full and not await self._group_has_begun():
                await self.wait_for(f"partition {name} has {self.pace.at_once} moves at a time")
                return Next(self._chance.uniform(1.0, 3.0) * _SHORTLY)
        await self.enter(Event.START, "its turn came", {"waits": ""})
        return AT_ONCE

    async def _group_has_begun(self) -> bool:
        """Tell whether one of its group keeps a place of the budget: it waits for this one, however full it is."""
        mates = [await self.steps.move(id_) for id_ in self.move.group]
        return any(mate is not None and mate.state in BUSY for mate in mates)

    async def _prepare(self) -> Next:
        placement = self._known()
        try:
            backend_name = await self._preparation.choose(self.move, placement)
            put = [self.move.destination, backend_name]
            touched = self._touched()
            if self.move.backend_name != backend_name or put not in touched:
                # First, so that whoever goes on after a crash knows what to delete.
                facts = {"touched": touched if put in touched else [*touched, put]}
                await self.note(facts, backend_name=backend_name)
            await self._preparation.make(self.move, placement)
        except Unready as unready:
            if self.move.state is MoveState.REROUTE_PREPARING:
                return await self.put_off(str(unready))
            await self.back_off(Event.BACK_OFF, str(unready))
            return AT_ONCE
        tail = placement.segments[-1].n
        ready = {"waits": "", "failures": 0}
        await self.enter(Event.PREPARED, f"{self.move.destination} has the queue", ready, {"tail": tail, "due": 0.0})
        return AT_ONCE

    async def _arm(self) -> Next:
        placement = self._known()
        reason = await self._not_armed(placement)
        if reason is not None:
            await self.back_off(Event.BACK_OFF, reason)
            return AT_ONCE
        return READY

    async def _not_armed(self, placement: Placement) -> str | None:
        """Return what is not as it was when the move was armed, None if nothing is."""
        if placement.state is not PlacementState.OPEN:
            return f"the queue is {placement.state}"
        if placement.segments[-1].n != self.move.tail or self.move.backend_name is None:
            return "the queue has other segments than when it was prepared"
        target = await self.steps.partition(self.move.destination)
        if target is None or target.state is PartitionState.DISABLED:
            return f"partition {self.move.destination} is not there any more"
        if self.move.group:
            try:
                # One of its group may have ended since it was prepared.
                await self._preparation.check_dead_letters(self.move, placement)
            except Unready as unready:
                return str(unready)
        return None

    async def _undo(self) -> Next:
        placement = self.placement
        ours = placement is not None and placement.incarnation == self.move.incarnation
        if placement is not None and ours and placement.state in (PlacementState.OPEN, PlacementState.SEALING):
            # The record says already that it is over: who was frozen before that can not switch after this.
            await self.place(transitions.bar(placement, self.clock.now()), "bars the placement")
        if self.move.state is MoveState.REROUTE_UNDOING:
            # What was created stays written down, and is deleted when the move ends: its partition may be away, and the
            # move, which is to go on without it, would wait for that.
            changes = {"backend_name": None, "due": 0.0}
            await self.enter(Event.CLEANED, "it goes on as before", {"waits": "", "failures": 0}, changes=changes)
            return AT_ONCE
        if (wait := await self._dispose()) > 0:
            return Next(wait)
        facts = {"waits": "", "failures": 0}
        changes = {"backend_name": None, "due": 0.0}
        await self.enter(Event.CLEANED, "nothing of it is left", facts, changes=changes)
        return AT_ONCE

    # -- after the switch --------------------------------------------------------------------------------------------

    async def _drain(self) -> Next:
        seen = await self._look(self._known())
        facts = dict(seen.facts)
        now = self.clock.now()
        if seen.empty:
            touched = self._touched()
            touched += [
                put for s in self._known().segments[:-1] if (put := [s.partition, s.backend_name]) not in touched
            ]
            facts |= {"touched": touched, "zero_checks": [{"at": now}], "left": 0, "waits": ""}
            # The version tells this time of lingering from every other one.
            facts["emptied"] = self.move.version + 1
            due = now + self.pace.linger
            await self.enter(Event.EMPTY, "the older segments are empty", facts, changes={"due": due})
            return AT_ONCE
        await self._note_look(seen, now)
        return Next(next_look(self.stood("switch", self._known().segments[-1].n)))

    async def _linger(self) -> Next:
        placement = self._known()
        seen = await self._look(placement)
        now = self.clock.now()
        if seen.unknown:
            await self._note_look(seen, now)
            return Next(_SOON)
        if not seen.empty:
            # A mover that was frozen after it had found them empty can not retire them any more.
            await self.place(transitions.bar(placement, now), "bars the placement")
            facts = {**seen.facts, "left": seen.left, "waits": seen.why}
            await self.enter(Event.NOT_EMPTY, seen.why, facts, changes={"due": 0.0})
            return AT_ONCE
        checks = [*self.move.facts.get("zero_checks", [])[:1], {"at": now}]
        await self.note({**seen.facts, "zero_checks": checks, "left": 0, "waits": ""})
        # Compared with the epoch that was read before the look: nothing was switched in between.
        for segment in placement.segments[:-1]:
            placement = transitions.retire(placement, segment.n, now)
            await self.place(placement, f"retires segment {segment.n}")
        await self.enter(Event.RETIRED, "they were empty twice", changes={"due": 0.0})
        return AT_ONCE

    async def _look(self, placement: Placement) -> _Seen:
        """Look at all sealed segments, and at what members say of this move."""
        looks = [await self.steps.look(self.move.key, segment) for segment in placement.segments[:-1]]
        facts: dict[str, Any] = {}
        if self.move.facts.get("left_at_switch") is None and not any(look.problem for look in looks):
            facts["left_at_switch"] = left(looks)
        if held := await self.steps.held_writes(self.move.id):
            facts["holds"] = [one.to_json() for one in held]
        awaited = None
        if placement.group not in (None, placement.queue) and all(look.empty for look in looks):
            facts["dead_letters_from"] = source = await self._dead_letters_from(placement)
            awaited = f"dead letters of queue {source} may still come" if source is not None else None
        return _Seen(looks, awaited, facts)

    async def _dead_letters_from(self, placement: Placement) -> str | None:
        """Return the name of a queue of which dead letters may still come into a sealed segment, None if there is none:
        a store puts them there while the queue that they are from has a segment on the same partition."""
        places = sorted({segment.partition for segment in placement.segments[:-1]})
        # The catalog knows one, and there may be others. To ask all queues each time would be too much.
        last = str(self.move.facts.get("dead_letters_from") or placement.group)
        if await self._still_from(last, placement, places):
            return last
        for place in places:
            other = await self.steps.source_of(placement.key, place)
            if other is not None:
                return other
        return None

    async def _still_from(self, queue: str, placement: Placement, places: Sequence[str]) -> bool:
        key = placement.key._replace(queue=queue)
        source = await self.steps.placement(key)
        if source is None or source.state is PlacementState.RESERVED:
            return False
        names = [await self.steps.dead_letter_queue(key, s) for s in source.segments if s.partition in places]
        return placement.queue in names

    async def _note_look(self, seen: _Seen, now: float) -> None:
        facts = self.move.facts
        remaining = facts.get("left", 0) if seen.unknown else seen.left
        if worth_noting(facts, remaining, seen.why, self.stood("look", (facts.get("left"), facts.get("waits")))):
            await self.note({**seen.facts, "left": remaining, "waits": seen.why, "looked_at": now})

    async def _clean(self) -> Next:
        if (wait := await self._dispose()) > 0:
            return Next(wait)
        facts: dict[str, Any] = {"waits": ""}
        now = self.clock.now()
        measured = replace(self.move, facts={**self.move.facts, **facts})
        # The queue itself may be gone by now, or another one.
        changes = {"certificate": certificate(measured, now)}
        await self.enter(Event.CLEANED, "the older queues are deleted", facts, changes=changes)
        # A crash before leaves counts that are removed with the record.
        await self.steps.forget_held_writes(self.move.id)
        return AT_ONCE

    def _left_to_reuse(self) -> float:
        """Return how many seconds there are until a name that was deleted may be used again where it was; the move does
        not end before. Counted from when this process saw the deletions done.

        A queue that keeps its name may come back; until then a worker that is cut off may read by what it knows. And a
        deletion that was not answered may be done late: by then a new life of the queue may have its plain name again.
        """
        placement, deleted = self.placement, self.move.facts.get("deleted", [])
        wait = 0.0
        if self.move.facts.get("doubtful"):
            wait = CALL + self.pace.ambiguity
        if (
            deleted
            and placement is not None
            and placement.incarnation == self.move.incarnation
            and keeps_name(placement)
        ):
            wait = max(self.pace.linger, CALL + self.pace.ambiguity)
        return max(0.0, wait - self.stood("deleted", len(deleted)))

    # -- what steps share --------------------------------------------------------------------------------------------

    def _known(self) -> Placement:
        # Without one the queue is gone, which is taken in before any step that needs it.
        assert self.placement is not None
        return self.placement

    def _touched(self) -> list[list[str]]:
        """(partition, name) of every queue that this move has created, or emptied."""
        return [list(put) for put in self.move.facts.get("touched", [])]

    def _left_behind(self, placement: Placement | None) -> tuple[Segment, ...]:
        """Those of them that the placement, which was just read, does not name."""
        named = {(s.partition, s.backend_name) for s in placement.segments} if placement is not None else set()
        return tuple(
            Segment(n, partition, backend_name)
            for n, (partition, backend_name) in enumerate(self._touched())
            if (partition, backend_name) not in named
        )

    async def _dispose(self) -> float:
        """Delete what this move has created or emptied and no placement names; return after how many seconds the move
        may end (``_left_to_reuse``). Raises Unready.

        A queue that is created anew meanwhile has another name (``Placing``), and no other move of it can begin.
        """
        key, placement = self.move.key, self.placement
        deleted = [list(put) for put in self.move.facts.get("deleted", [])]
        gone = placement is None or placement.incarnation != self.move.incarnation
        behind = [s for s in self._left_behind(placement) if [s.partition, s.backend_name] not in deleted]
        behind = [s for s in behind if await self.steps.partition(s.partition) is not None]
        if not gone:
            behind = [segment for segment in behind if await self._is_empty(segment)]
        for segment in behind:
            await self.steps.unsubscribe(key, segment)
            await self._make_sure(segment)
            await self.steps.remove(key, segment)
            deleted.append([segment.partition, segment.backend_name])
            # It is not deleted again. A crash before this leaves a deletion whose fate is not known.
            await self.note({"deleted": deleted, "deleting": None})
        if (wait := self._left_to_reuse()) > 0:
            await self.wait_for("until its name can be used again")
        return wait

    async def _is_empty(self, segment: Segment) -> bool:
        """Tell whether there is nothing in a queue that is to be deleted. Raises Unready."""
        look = await self.steps.look(self.move.key, segment)
        if look.problem is not None:
            raise Unready(f"to delete a queue: {look.problem}")
        if not look.empty:
            # It came after all was seen to be over, by a way that is none of ours. Better kept than lost.
            LOG.warning("%s: keeps queue %s on %s: it is not empty", self.name, segment.backend_name, segment.partition)
        return look.empty

    async def _make_sure(self, segment: Segment) -> None:
        """Make sure, as late as can be, that what is about to be deleted is this mover's to delete: it holds the move,
        and the placement is what it was. Raises LockLost, MoveConflict, PlacementConflict.

        With that it is written down what is about to be deleted: if that is found later, the fate of the deletion is
        not known.
        """
        doubtful = self.move.facts.get("deleting") is not None or self.move.facts.get("doubtful", False)
        await self.note({"deleting": [segment.partition, segment.backend_name], "doubtful": doubtful})
        now = await self.steps.placement(self.move.key)
        if now != self.placement:
            raise PlacementConflict(now)

    async def place(self, placement: Placement, what: str) -> None:
        """Store what became of the placement. Raises PlacementConflict."""
        await self.steps.place(placement, what)
        self.placement = placement


def _is_sealed_by(placement: Placement, move: Move) -> bool:
    return placement.state is PlacementState.SEALING and placement.move == move.id


class _Seen(NamedTuple):
    """What a look at the older segments has shown. ``awaited``: what may still come into them though they are empty."""

    looks: list[Look]
    awaited: str | None
    facts: dict[str, Any]

    @property
    def unknown(self) -> bool:
        return any(look.problem is not None for look in self.looks)

    @property
    def empty(self) -> bool:
        return self.awaited is None and all(look.empty for look in self.looks)

    @property
    def left(self) -> int:
        return left(self.looks)

    @property
    def why(self) -> str:
        return self.awaited or why(self.looks)


# The states in which a failure puts the next attempt off.
_RETRIED = frozenset({MoveState.PLANNED, MoveState.ARMED, MoveState.REROUTE_PREPARING, MoveState.REROUTE_ARMED})

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
