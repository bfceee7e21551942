"""A mover in the explorer's world: production's transitions, barrier, machine and evidence, and the order of steps.

It acts on what it read (``seen``), however long ago, so each of its steps may come after it was frozen for any time.
It reads the placement before the record; since the placement is stored by compare-and-set, that is as good as reading
both at once. A change of the placement is stored there first, and written into the record by a later step.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from catalog.model import FINISHED_STATES, MoveState, Placement, PlacementState
from marconi_proxy.fencing.barrier import CHAINS, Barrier, MemberSighting, Passed
from marconi_proxy.fencing.transitions import abort, bar, prepare, retire, seal, switch
from marconi_proxy.moving.protocol.evidence import happened
from marconi_proxy.moving.protocol.machine import Event
from tests.simulation.rules import Rules
from tests.simulation.store import BORN, Record, Store

_ARMED = frozenset({MoveState.ARMED, MoveState.REROUTE_ARMED})
_SEALING = frozenset({MoveState.SEALING, MoveState.REROUTE_SEALING})
_UNDOING = frozenset({MoveState.UNDOING, MoveState.REROUTE_UNDOING})
_WORKER = re.compile(r"(worker[ -])([12])")


class Mover(NamedTuple):
    """``seen``: the store as last read, and as changed by itself since; None: it must read before it does anything.

    ``early``: the members as read before the seal, which only a broken mover uses. ``barred``: it barred the placement
    since it read that the move is over.
    """

    seen: Store | None = None
    barrier: Barrier | None = None
    early: tuple[MemberSighting, ...] | None = None
    barred: bool = False

    def key(self) -> tuple[object, ...]:
        """All that decides what it can do: not what let members pass."""
        barrier = self.barrier
        return self.seen, barrier and (barrier.seal, barrier.waiting), self.early, self.barred

    def settled(self, store: Store) -> Mover:
        """Return it without a reading that can lead to nothing: both of its compare-and-sets would be refused."""
        seen = self.seen
        stale = seen is not None and seen.placement != store.placement and seen.record != store.record
        return Mover() if stale else self

    def mirrored(self) -> Mover:
        """Return it as it were if the two workers changed places."""
        barrier, early = self.barrier, self.early
        if barrier is not None:
            barrier = replace(barrier, waiting=tuple(sorted(map(mirrored_name, barrier.waiting))))
        if early is not None:
            early = tuple(s._replace(member=replace(s.member, id=mirrored_name(s.member.id))) for s in early)
        return self._replace(barrier=barrier, early=early)


def mirrored_name(words: str) -> str:
    """Return the words with the two workers' names exchanged."""
    return _WORKER.sub(lambda found: found[1] + ("2" if found[2] == "1" else "1"), words)


class Outcome(NamedTuple):
    label: str
    mover: Mover
    store: Store | None = None
    failure: bool = False
    opens: bool = False


def steps(me: int, mover: Mover, store: Store, members: Sequence[MemberSighting], rules: Rules) -> Iterator[Outcome]:
    """Yield the steps that mover number ``me`` may take now. ``store`` and ``members``: the result of a reading now."""
    seen = mover.seen
    if store.record.holder != me:
        # A mover that was replaced stops, but only when it looks.
        yield Outcome("takes the move over", Mover(store._replace(record=store.record._replace(holder=me))), None, True)
    elif seen != store:
        same = seen is not None and seen.placement == store.placement
        yield Outcome("reads placement and record", mover._replace(seen=store) if same else Mover(store))
    if seen is None or seen.record.holder != me:
        return
    record, placement = seen.record, seen.placement
    missed = happened(record.state, record.id, BORN, record.tail, placement)
    if missed is not None:
        # States that only the record shows, and that no process waits for, are written at once.
        then = {Event.SWITCHED: (Event.EMPTY,), Event.RETIRED: (Event.CLEANED,)}.get(missed, ())
        yield _write(f"writes down that it is {missed}", mover, store, record.after(missed, *then))
    elif placement.state is PlacementState.SEALING and placement.move == record.id and record.state in _SEALING:
        yield from _sealed_steps(mover, seen, store, members, rules)
    else:
        yield from _open_steps(mover, seen, store, members, rules)


def _write(label: str, mover: Mover, store: Store, record: Record, **changes: object) -> Outcome:
    """Compare-and-set of the record."""
    seen = mover.seen
    assert seen is not None
    if store.record != seen.record:
        return Outcome(f"{label}, in vain", Mover())
    return Outcome(label, mover._replace(seen=seen._replace(record=record), **changes), store._replace(record=record))


def _put(
    label: str,
    mover: Mover,
    store: Store,
    placement: Placement,
    compare: bool = True,
    failure: bool = False,
    **changes: object,
) -> Outcome:
    """Compare-and-set of the placement."""
    seen = mover.seen
    assert seen is not None
    stored = store.put(placement, compare)
    if stored is None:
        return Outcome(f"{label}, in vain", Mover(), None, failure)
    after = Mover(seen._replace(placement=placement, opened=stored.opened, prepared=stored.prepared))
    after = after._replace(**changes)
    return Outcome(label, after, stored, failure, stored.opened > store.opened)


def _sealed_steps(
    mover: Mover, seen: Store, store: Store, members: Sequence[MemberSighting], rules: Rules
) -> Iterator[Outcome]:
    placement, record = seen.placement, seen.record
    if mover.barrier is None:
        counted = members if mover.early is None else mover.early
        assert placement.seal is not None
        barrier = Barrier.after_seal(placement.seal, counted, CHAINS)
        yield Outcome("reads who the members are", mover._replace(barrier=barrier, early=None))
    else:
        later = mover.barrier.seen(members)
        if later != mover.barrier:
            yield Outcome(f"sees {', '.join(later.waiting) or 'nobody'} missing", mover._replace(barrier=later))
    passed = mover.barrier is not None and isinstance(mover.barrier.verdict, Passed)
    if passed or not rules.barrier:
        n = placement.segments[-1].n + 1
        opened = switch(placement, record.id, f"p{n}", "orders", 0.0)
        yield _put(f"switches to segment {n}", mover, store, opened)
    yield _put("aborts the seal", mover, store, abort(placement, 0.0), rules.abort_compares, failure=True)


def _open_steps(
    mover: Mover, seen: Store, store: Store, members: Sequence[MemberSighting], rules: Rules
) -> Iterator[Outcome]:
    placement, record = seen.placement, seen.record
    state = record.state
    if state in _UNDOING:
        if mover.barred or not rules.bar_before_undo:
            undone = record.after(Event.CLEANED)._replace(ready=False)
            yield _write("deletes the queue on the target", mover, store, undone)
        else:
            yield _put("bars the placement", mover, store, bar(placement, 0.0), barred=True)
    if placement.state is not PlacementState.OPEN:
        return
    if state in _ARMED:
        if not rules.snapshot_after_seal and mover.early is None:
            yield Outcome("reads who the members are", mover._replace(early=tuple(members)))
        else:
            sealed = seal(placement, record.id, 0.0, 4)
            yield _put("seals", mover, store, sealed, early=mover.early)
            if store.prepared < rules.preparations and placement.move is None:
                yield _put("prepares the seal", mover, store, prepare(placement, record.id))
    elif state is MoveState.DRAINING:
        yield _write("finds the old segments empty", mover, store, record.after(Event.EMPTY))
    elif state is MoveState.LINGERING:
        n = placement.segments[0].n
        yield _put(f"retires segment {n}", mover, store, retire(placement, n, 0.0))


def armed(record: Record, placement: Placement, *events: Event) -> Record:
    """Return the record of a move that is ready to seal. The queue created meanwhile concerns no worker."""
    return record.after(*events, Event.PREPARED)._replace(tail=placement.segments[-1].n, ready=True)


def orders(store: Store, switches: int) -> Iterator[tuple[str, Store, bool]]:
    """Yield the orders of operators: (words, the store after it, whether it uses up a failure). ``switches``: the most
    in all; two of them are two moves, or a move and its reverse."""
    record, placement = store.record, store.placement
    room = store.opened < switches and placement.state is PlacementState.OPEN
    if record.state in FINISHED_STATES and record.number == 0 and room and len(placement.segments) == 1:
        another = armed(Record(1, holder=record.holder), placement, Event.START)
        yield "another move is ordered, and armed", store._replace(record=another), False
    if record.state in (MoveState.DRAINING, MoveState.LINGERING) and room:
        back = armed(record, placement, Event.REVERSE)
        yield "the move is reversed, and the way back armed", store._replace(record=back), False
    if record.state in _ARMED:
        cancelled = record.after(Event.CANCEL)
        yield "the move is cancelled", store._replace(record=cancelled), True
