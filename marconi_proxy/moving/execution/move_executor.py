"""One move, driven one step at a time by the holder of its lock.

A step reads the placement, then the record. Both are written by compare-and-set, so this is as good as one read of
both. The step records an event that the record has missed (``protocol.evidence``), and does the work of the state. All
that must survive is in the record: if a mover is killed between two steps, or within one, another mover continues with
``step``. ``seal_round`` seals, because several moves are sealed together.

Order of writes: the placement first, then the record, which ``protocol.evidence`` repairs if the second write is never
made. A queue that is to be created on a partition is written into the record before.
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
from marconi_proxy.moving.protocol.machine import SEALING, Event, after, before_switch
from marconi_proxy.partition_client.outcome import CALL, Look, Unready

LOG = logging.getLogger(__name__)

# Seconds between two looks at a partition with a full budget.
_SHORTLY = 1.0
# The number of switches that a record keeps, the last ones.
_SWITCHES = 50
# Seconds until the next attempt, while a partition cannot be reached.
_SOON = 5.0

NOTHING: Mapping[str, Any] = {}
_UNDOING = frozenset({MoveState.UNDOING, MoveState.REROUTE_UNDOING})
_EMPTYING = frozenset({MoveState.DRAINING, MoveState.LINGERING})
_RESTING = frozenset({MoveState.PAUSED, MoveState.SUSPENDED})


class Next(NamedTuple):
    """When to make the next step: in ``wait`` seconds, infinite if only a change of the record by others allows one.

    ``ready``: the move is to be sealed, or its seal is to be continued.
    """

    wait: float = 0.0
    ready: bool = False


AT_ONCE = Next()
READY = Next(0.0, True)
NEVER = Next(math.inf)


class MoveExecutor:
    """Drive ``move``. This process holds its lock with ``token``.

    Any step may raise CatalogError. After LockLost the mover must leave the move alone; after any other error the next
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
        """Whether the queue was deleted, or replaced by a later one, according to the placement that was read last. A
        dead-letter queue that was deleted keeps a reserved placement."""
        placement = self.placement
        return (
            placement is None
            or placement.incarnation != self.move.incarnation
            or placement.state is PlacementState.RESERVED
        )

    def stood(self, subject: str, value: object) -> float:
        """Return the seconds for which this process has seen the ``subject`` of this move have this value."""
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
        """Record ``event``: the state that it leads to, the reason, measures, new ``facts``, and ``changes`` of fields.

        Raises NotNow if the state does not allow the event, MoveConflict if the record was changed meanwhile, LockLost.
        """
        before = self.move
        state = after(before.state, event)
        entry = LogEntry(self.clock.now(), state, reason, tuple(measures.items()))
        changed = settled(replace(before, facts={**before.facts, **facts}, **changes).entered(entry))
        await self.steps.record(changed, self.token)
        self.move = changed
        measured = "".join(f", {name} {value}" for name, value in measures.items())
        LOG.info("%s: %s -> %s (%s%s)", self.name, before.state, state, reason, measured)

    async def note(self, facts: dict[str, Any], **changes: Any) -> None:
        """Record facts, and ``changes`` of fields, in the same state. Raises MoveConflict, LockLost."""
        changed = replace(self.move, facts={**self.move.facts, **facts}, version=self.move.version + 1, **changes)
        await self.steps.record(changed, self.token)
        self.move = changed

    async def put_off(self, reason: str) -> Next:
        """Stay in the state, count a failure, and retry after a backoff. Raises CatalogError."""
        failures = self._failures() + 1
        wait = self._wait_after(failures)
        LOG.info("%s: %s, waits %.1f s: %s", self.name, self.move.state, wait, reason)
        await self.note({"waits": reason, "failures": failures}, due=self.clock.now() + wait)
        return Next(self._left_to_retry())

    async def wait_for(self, what: str) -> Next:
        """Stay in the state and look again soon: ``what`` is expected without intervention, so this is no failure.

        Raises CatalogError.
        """
        if self.move.facts.get("waits") != what:
            LOG.info("%s: %s, waits: %s", self.name, self.move.state, what)
            await self.note({"waits": what})
        return Next(_SOON)

    def _failures(self) -> int:
        return int(self.move.facts.get("failures", 0))

    def _wait_after(self, failures: int) -> float:
        # Repeatable for one attempt, and different for each move.
        return self.pace.wait_after(failures, random.Random(f"{self.move.id}/{self.move.attempt}/{failures}"))  # noqa: S311

    def _left_to_retry(self) -> float:
        """Return the seconds until the retry of a state that failed, 0 without a failure."""
        failures = self._failures()
        if not failures or self.move.state not in _RETRIED:
            return 0.0
        return max(0.0, self._wait_after(failures) - self.stood("retry", (self.move.state, failures)))

    def _left_to_linger(self) -> float:
        """Return the seconds until the second look at the older segments, 0 in any other state."""
        if self.move.state is not MoveState.LINGERING:
            return 0.0
        return max(0.0, self.pace.linger - self.stood("linger", self.move.facts.get("emptied")))

    async def back_off(self, event: Event, reason: str, more: Mapping[str, Any] = NOTHING) -> None:
        """Record a failure as ``event``, and retry after a backoff. ``more``: further facts. Raises CatalogError."""
        failures = self._failures() + 1
        facts = {**more, "waits": reason, "failures": failures}
        due = self.clock.now() + self._wait_after(failures)
        await self.enter(event, reason, facts, changes={"due": due})
        self._left_to_retry()

    async def abort(self, reason: str, members: Mapping[str, str] = NOTHING) -> None:
        """Abort the seal of the queue, and retry after a backoff.

        ``members``: those that have not acknowledged the seal, by id, with their stamps. Raises CatalogError.
        """
        await self.place(transitions.abort(self._known(), self.clock.now()), "aborts the seal")
        if self.move.state in SEALING:
            facts = {"unacknowledged": list(members), "unacknowledged_stamps": dict(members)}
            await self.back_off(Event.ABORTED, reason, facts)
        else:
            # The record does not have the seal yet.
            await self.put_off(reason)

    # -- a step ------------------------------------------------------------------------------------------------------

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

    async def read(self) -> bool:
        """Read placement and record; return whether the move exists and is unfinished. Raises CatalogError."""
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
            if self._failures() >= self.pace.give_up_after and move.state in _RETRIED:
                reason = f"failed {self._failures()} times in a row, the last time: {move.facts.get('waits', '')}"
                # Before the switch, pause and wait for an operator. After a switch, continue draining.
                event = Event.PAUSE if before_switch(self.move.state) else Event.CANCEL
                await self.enter(event, reason, {"failures": 0}, decision=next_number([self.move]))
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
            await self.back_off(missed, "the seal was aborted by another process")
            return AT_ONCE
        else:
            reason = f"found to be {missed}"
        await self.enter(missed, reason)
        return AT_ONCE

    def switched(self, placement: Placement, passed: Passed | None, pause_ms: float | None) -> dict[str, Any]:
        """Return the facts of a switch. ``passed`` and ``pause_ms`` are known only to the mover that switched; without
        them the facts have null."""
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
            # The plan and its finished moves were removed. An executor frozen since before inserted this one again.
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
        """Return whether another move of the group takes of the budget already. That one waits for this one, so this
        one begins even if the budget is full. Raises CatalogError."""
        mates = [await self.steps.move(id_) for id_ in self.move.group]
        return any(mate is not None and mate.state in BUSY for mate in mates)

    async def _prepare(self) -> Next:
        placement = self._known()
        try:
            backend_name = await self._preparation.choose(self.move, placement)
            put = [self.move.destination, backend_name]
            touched = self._touched()
            if self.move.backend_name != backend_name or put not in touched:
                # Recorded before it is created: after a crash, the next mover finds there the queue to delete.
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
            # The version distinguishes this wait from every other one.
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
            # A mover that was frozen after it had found them empty fails its compare-and-set, and cannot retire them.
            await self.place(transitions.bar(placement, now), "bars the placement")
            facts = {**seen.facts, "left": seen.left, "waits": seen.why}
            await self.enter(Event.NOT_EMPTY, seen.why, facts, changes={"due": 0.0})
            return AT_ONCE
        checks = [*self.move.facts.get("zero_checks", [])[:1], {"at": now}]
        await self.note({**seen.facts, "zero_checks": checks, "left": 0, "waits": ""})
        # Each is a compare-and-set on the epoch that was read before the look, so no switch came in between.
        for segment in placement.segments[:-1]:
            placement = transitions.retire(placement, segment.n, now)
            await self.place(placement, f"retires segment {segment.n}")
        await self.enter(Event.RETIRED, "they were empty twice", changes={"due": 0.0})
        return AT_ONCE

    async def _look(self, placement: Placement) -> _Seen:
        """Look at all sealed segments, and read the members' counts of held writes. Raises CatalogError, Unready."""
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
        """Return the name of a queue whose dead letters may still enter a sealed segment, None if there is none.

        A store puts them there while their source has a segment on the same partition (API section 8.4). Raises
        CatalogError, Unready.
        """
        places = sorted({segment.partition for segment in placement.segments[:-1]})
        # The catalog names one source, and there may be others. Polling all queues at each look would cost too much, so
        # check the last known one first.
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
        # The queue may have been deleted by now, or replaced: this reads the record only.
        changes = {"certificate": certificate(measured, now)}
        await self.enter(Event.CLEANED, "the older queues are deleted", facts, changes=changes)
        # A crash before this leaves the counts, which are removed with the record.
        await self.steps.forget_held_writes(self.move.id)
        return AT_ONCE

    def _left_to_reuse(self) -> float:
        """Return the seconds until a deleted name may be used again on its partition; the move ends no earlier. They
        count from the moment when this process saw the deletions done.

        A queue that keeps its name may return there, and until then a worker that is cut off may read by a stale
        placement. A deletion without an answer may be executed late, when a new incarnation of the queue may have its
        plain name again.
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
        # Without a placement the queue is gone, and ``_catch_up`` has recorded that before any step that needs it.
        assert self.placement is not None
        return self.placement

    def _touched(self) -> list[list[str]]:
        """Return [partition, name] of every queue that this move created or emptied."""
        return [list(put) for put in self.move.facts.get("touched", [])]

    def _left_behind(self, placement: Placement | None) -> tuple[Segment, ...]:
        """Return, as segments, the touched queues that the placement does not name. It must have just been read."""
        named = {(s.partition, s.backend_name) for s in placement.segments} if placement is not None else set()
        return tuple(
            Segment(n, partition, backend_name)
            for n, (partition, backend_name) in enumerate(self._touched())
            if (partition, backend_name) not in named
        )

    async def _dispose(self) -> float:
        """Delete the queues that this move created or emptied and that the placement does not name.

        Returns the seconds after which the move may end (``_left_to_reuse``). Raises CatalogError, Unready. A queue
        that is created anew meanwhile has another name (``Placing``), and no other move of it can begin.
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
            # From here on it is not deleted again. A crash before this leaves a deletion of unknown outcome.
            await self.note({"deleted": deleted, "deleting": None})
        if (wait := self._left_to_reuse()) > 0:
            await self.wait_for("until its name can be used again")
        return wait

    async def _is_empty(self, segment: Segment) -> bool:
        """Return whether a queue that is to be deleted is empty. Raises CatalogError, Unready."""
        look = await self.steps.look(self.move.key, segment)
        if look.problem is not None:
            raise Unready(f"to delete a queue: {look.problem}")
        if not look.empty:
            # The message was not posted through this proxy. Keep it rather than lose it.
            LOG.warning(
                "%s: queue %s is kept on partition %s, because it is not empty; next: look at its messages there",
                self.name,
                segment.backend_name,
                segment.partition,
            )
        return look.empty

    async def _make_sure(self, segment: Segment) -> None:
        """Check, right before a deletion, that this mover holds the lock and that the placement is unchanged.

        The same write records the deletion as begun. If a later mover finds that entry, the outcome of the deletion is
        unknown. Raises LockLost, MoveConflict, Conflict.
        """
        doubtful = self.move.facts.get("deleting") is not None or self.move.facts.get("doubtful", False)
        await self.note({"deleting": [segment.partition, segment.backend_name], "doubtful": doubtful})
        now = await self.steps.placement(self.move.key)
        if now != self.placement:
            raise PlacementConflict(now)

    async def place(self, placement: Placement, what: str) -> None:
        """Store the changed placement by compare-and-set; ``what`` names the change.

        Raises PlacementConflict, Unready.
        """
        await self.steps.place(placement, what)
        self.placement = placement


def _is_sealed_by(placement: Placement, move: Move) -> bool:
    return placement.state is PlacementState.SEALING and placement.move == move.id


class _Seen(NamedTuple):
    """The result of a look at the older segments. ``awaited``: messages that may still enter them, None if none may."""

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


# The states in which a failure delays the next attempt.
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
