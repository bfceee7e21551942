"""A front-door worker in the explorer's world: production's Lease and Fence, and the protocol around them.

Every method named in ``steps`` is one thing that happens at once, to a copy. The inside of one (a look in the
cache and the registration before it; a check of the lease and the sending after it) has no ``await`` in production.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterator
from typing import NamedTuple, cast

from catalog.model import Member, Placement, PlacementState, Seal
from marconi_proxy.fencing.barrier import CHAINS, MemberSighting
from marconi_proxy.fencing.fence import Ticket
from marconi_proxy.fencing.transitions import abort, withdraw
from tests.simulation.rules import LEASE, Rules
from tests.simulation.store import KEY, Store

_NEVER = 2  # ticks: an age at which no lease of LEASE is alive


class Row(NamedTuple):
    """A member document. ``age``: ticks since it was renewed; a mover that watched it from the first one knows that."""

    age: int
    acks: frozenset[Hashable]

    def sighting(self, name: str) -> MemberSighting:
        acks = cast(frozenset[Seal], self.acks)
        member = Member(name, acks=acks, capabilities=(CHAINS,), lease=LEASE)
        return MemberSighting(member, self.age, expired=self.age > LEASE)

    def older(self) -> Row:
        return self._replace(age=min(self.age + 1, _NEVER))


def _in_force(store: Store) -> set[Seal]:
    """Return the seal or preparation that is in force, and the preparation that the seal may rely on."""
    placement = store.placement
    if placement.seal is not None:
        return {placement.seal, placement.seal.preparation}
    return set() if placement.preparation is None else {placement.preparation}


def _settled_row(row: Row | None, store: Store) -> Row | None:
    if row is None or row.age >= _NEVER:
        return None
    return row._replace(acks=row.acks & _in_force(store))


class Write:
    """One call that writes. ``started`` to segment ``n`` once it was sent; ``frozen``: checked, and then nothing."""

    def __init__(self, ticket: Ticket | None, n: int, term: int) -> None:
        self.ticket = ticket
        self.n = n
        self.term = term
        self.frozen = False
        self.started = False


class Outcome(NamedTuple):
    """``store`` is None if the step does not touch it. ``failure``: it uses up one of the failures."""

    label: str
    worker: Worker
    store: Store | None = None
    failure: bool = False
    problem: str | None = None


class Worker:
    """``row``: its member document; ``ghost``: that of the process before, which crashed. ``known``: the cache.

    ``unused``: the preparation that it acknowledges, or has acknowledged, and withdraws before it uses the queue.
    ``renewal``: stored, and the answer is under way. ``orphan``: a timed-out write that is under way, as
    its segment and the term in which it was started.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.up = False
        self.row: Row | None = None
        self.ghost: Row | None = None
        self._reset(0)
        self.orphan: tuple[int, int] | None = None
        self.clock = 0.0

    def _reset(self, position: int) -> None:
        self.lagged = False
        self.lease = self._rules.lease()
        self.fence = self._rules.fence()
        self.applied = position
        self.cut = False
        self.known: Placement | None = None
        self.unused: Seal | None = None
        self.renewal: float | None = None
        self.write: Write | None = None

    def __deepcopy__(self, memo: dict[int, object]) -> Worker:
        clone = copy.copy(self)
        for name in ("lease", "fence", "write"):
            setattr(clone, name, copy.deepcopy(getattr(self, name), memo))
        return clone

    def sightings(self, name: str) -> list[MemberSighting]:
        rows = ((name, self.row), (f"{name}-crashed", self.ghost))
        return [row.sighting(name) for name, row in rows if row is not None]

    # -- what is the same ---------------------------------------------------------------------------------------------

    def key(self) -> tuple[object, ...]:
        """All that decides what can happen from here on, of a worker that is settled; times as differences to now."""
        fence, now, write = self.fence, self.clock, self.write
        return (
            self.up,
            self.lagged,
            self.row,
            self.ghost,
            self.lease.left(now),
            self.lease.number > 0,
            self.applied,
            self.cut,
            self.known,
            self.unused,
            None if self.renewal is None else self.renewal - now,
            write and (write.n, self._holds(write), write.frozen, write.started),
            write and write.ticket and write.ticket.overtaken,
            self.orphan and (self.orphan[0], self._is_current(self.orphan[1])),
            tuple(ticket.writes for ticket in fence._current.values()),
            tuple(ticket.writes for ticket in fence._overtaken.get(KEY, ())),
            fence._seals.get(KEY),
            tuple((until - now, ticket.overtaken) for until, ticket in fence._ambiguous),
        )

    def settled(self, store: Store) -> Worker:
        """Return it without what makes no difference any more, now that the store holds this.

        An acknowledgement counts for the seal that is in force only. A member without a lease counts as much as
        none. Of changes that were not shown yet, the last ones have the same effect as all of them. A stale placement
        decides where a write goes to and nothing else, and a seal that is over holds no write. An answer to a renewal
        that comes too late to change the lease need not come. A write of an ended term is under way for its ticket
        only: whether it was sent or not, nothing but its end is to come.
        """
        worker = copy.deepcopy(self)
        worker.row = _settled_row(self.row, store)
        worker.ghost = _settled_row(self.ghost, store)
        if worker.up:
            worker.applied = max(self.applied, store.position - self._rules.lag)
        if worker.fence._seals.get(KEY) not in _in_force(store):
            worker.fence._seals.clear()
        if worker.unused != store.placement.preparation:
            worker.unused = None
        if worker.known is not None and worker.known != store.placement and self._rules.abort_compares:
            stale = worker.known.state is PlacementState.OPEN
            worker.known = store.stale(worker.known.segments[-1].n) if stale else None
        if worker.renewal is not None:
            lease = copy.deepcopy(worker.lease)
            begins = lease.confirmed(worker.renewal, worker.clock)
            if not begins and lease.left(worker.clock) <= worker.lease.left(worker.clock):
                worker.renewal = None
        write = worker.write
        if write is not None and worker._is_spent(write):
            write.n, write.term, write.started = 0, 0, True
        return worker

    # -- time ---------------------------------------------------------------------------------------------------------

    def tick(self, slow: bool) -> Worker:
        """A tick of the store's clock; ``slow``: this worker's own does not tick with it.

        That may be once: more is more than MARGIN makes up for.
        """
        later = copy.deepcopy(self)
        if later.row is not None:
            later.row = later.row.older()
        if later.ghost is not None:
            later.ghost = later.ghost.older()
        later.orphan = None  # AMBIGUITY is one tick: it is done by now, or will never be
        if slow:
            later.lagged = True
        else:
            later.clock += 1.0
            later.fence.idle(later.clock)  # lets go of what is not ambiguous any more
        return later

    # -- promises -----------------------------------------------------------------------------------------------------

    def breaks_switch_to(self, n: int) -> str | None:
        """Return the promise that opening segment ``n`` now would break: a write to an older one is under way, and this
        worker may rely on its lease."""
        write = self.write
        if write is not None and write.started and write.n < n and self._is_current(write.term):
            return "a segment was opened while a write to an older one was under way"
        if self.orphan is not None and self.orphan[0] < n and self._is_current(self.orphan[1]):
            return "a segment was opened while a timed-out write to an older one could still be done"
        return None

    # -- what may happen ----------------------------------------------------------------------------------------------

    def steps(self, store: Store) -> Iterator[Outcome]:
        if not self.up:
            yield self._step("joins", store, Worker._join)
            return
        if self.renewal is None:
            fresh = _settled_row(Row(0, self.fence.acks(self.clock)), store)
            if self.row != fresh or not self.lease.may_write(self.clock):
                yield self._step("renews its lease", store, Worker._renew)
        if self.renewal is not None:
            yield self._step("hears that its lease was renewed", store, Worker._renewed)
            yield self._step("never hears that its lease was renewed", store, Worker._lose, failure=True)
        if self.cut:
            yield self._step("has a feed again, and forgets what it knew", store, Worker._resume_feed)
        else:
            if self.applied < store.position:
                yield self._step(f"is shown change {self.applied + 1}", store, Worker._take_in)
            yield self._step("loses its feed", store, Worker._cut_feed, failure=True)
        if self.known is None and not self.lease.number:
            after = copy.deepcopy(self)
            stored = after._find(store)[1]
            yield Outcome("reads the placement for a GET", after, stored)
        yield from self._write_steps(store)
        if self.known is not None and self.known.state is PlacementState.SEALING:
            yield self._overdue(store)
        if self.write is None and self.fence.idle(self.clock):
            yield self._step("signs off", store, Worker._leave, failure=True)
        yield self._step("crashes", store, Worker._crash, failure=True)

    def _write_steps(self, store: Store) -> Iterator[Outcome]:
        write = self.write
        if write is None:
            if self.lease.may_write(self.clock):
                yield self._look(store)
        elif write.started:
            yield self._step(f"gets the answer of segment {write.n}", store, Worker._answer)
            if self.orphan is None:
                yield self._step(f"gives up the write to segment {write.n}", store, Worker._give_up, failure=True)
        elif write.frozen:
            late = "" if self._holds(write) else ", late"
            yield self._step(f"thaws and sends to segment {write.n}{late}", store, Worker._send)
        else:
            yield self._step("checks its lease and sends, if it holds", store, Worker._check_and_send)
            yield self._step(
                "checks its lease and freezes before it sends", store, Worker._check_and_freeze, failure=True
            )

    def _step(
        self, label: str, store: Store, act: Callable[[Worker, Store], str | None], failure: bool = False
    ) -> Outcome:
        after = copy.deepcopy(self)
        problem = act(after, store)
        return Outcome(label, after, None, failure, problem)

    # -- membership ---------------------------------------------------------------------------------------------------

    def _join(self, store: Store) -> None:
        self.up = True
        self._reset(store.position)

    def _renew(self, store: Store) -> None:
        self.renewal = self.lease.sent(self.clock)
        self.row = Row(0, self.fence.acks(self.clock))

    def _renewed(self, store: Store) -> None:
        assert self.renewal is not None
        new_term = self.lease.confirmed(self.renewal, self.clock)
        self.renewal = None
        if new_term and self._rules.forget_on_new_term:
            self.known = None

    def _lose(self, store: Store) -> None:
        self.renewal = None

    def _leave(self, store: Store) -> None:
        self.up = False
        self.row = None
        self._reset(0)

    def _crash(self, store: Store) -> None:
        self.up = False
        if self.row is not None and self.row.age < _NEVER:
            self.ghost = self.row
        self.row = None
        self.orphan = None
        self._reset(0)

    # -- the feed -----------------------------------------------------------------------------------------------------

    def _take_in(self, store: Store) -> None:
        position = self.applied + 1
        unused = self.known is None
        if self.known is not None and self.known.epoch != position:
            self.known = None
        # The fence sees a change only while it lasts: less than any store shows.
        newest = store.placement if store.placement.epoch == position else None
        self.unused = newest.preparation if newest is not None and unused else None
        self.fence.change(KEY, self.unused or (newest.seal if newest is not None else None))
        self.applied = position

    def _cut_feed(self, store: Store) -> None:
        self.cut = True

    def _resume_feed(self, store: Store) -> None:
        self.cut = False
        self.known = None
        self.fence.missed()
        # In production this is a step of its own: until then, no seal is acknowledged.
        if store.placement.seal is not None:
            self.fence.change(KEY, store.placement.seal)
        self.applied = store.position

    def _find(self, store: Store) -> tuple[Placement, Store | None]:
        """Return the placement, and the store after a withdrawal."""
        if self.known is not None:
            return self.known, None
        placement, stored = store.placement, None
        if self._rules.withdraw and self.unused is not None and self.unused == placement.preparation:
            placement = withdraw(placement)
            stored = store.put(placement)
        if not self.cut:
            self.known = placement
        return placement, stored

    # -- a write ------------------------------------------------------------------------------------------------------

    def _look(self, store: Store) -> Outcome:
        after = copy.deepcopy(self)
        stored = after._begin_write(store)
        withdrawn = "" if stored is None else ", after a withdrawal of the preparation"
        return Outcome(f"takes a write and looks up the placement{withdrawn}", after, stored)

    def _begin_write(self, store: Store) -> Store | None:
        ticket = self.fence.begin(KEY) if self._rules.register_first else None
        term = self.lease.term(self.clock)
        placement, stored = self._find(store)
        if placement.state is PlacementState.OPEN:
            self.write = Write(ticket, placement.segments[-1].n, term)
        elif ticket is not None:
            self.fence.end(ticket, self.clock)
        return stored

    def _is_current(self, term: int) -> bool:
        return term != 0 and term == self.lease.term(self.clock)

    def _holds(self, write: Write) -> bool:
        term = self.lease.term(self.clock)
        return bool(term) and (term == write.term or not self._rules.recheck_term)

    def _is_spent(self, write: Write) -> bool:
        """Return whether it makes no difference any more where a write goes to, and whether it was sent."""
        rules = self._rules
        as_it_should = rules.recheck_term and rules.refuse_late and rules.register_first
        return as_it_should and not write.frozen and not self._holds(write)

    def _end(self, ambiguous: bool = False) -> None:
        assert self.write is not None
        if self.write.ticket is not None:
            self.fence.end(self.write.ticket, self.clock, ambiguous)
        self.write = None

    def _check(self) -> bool:
        write = self.write
        assert write is not None
        if not self._holds(write):
            self._end()
            return False
        if write.ticket is None:
            write.ticket = self.fence.begin(KEY)
        return True

    def _check_and_send(self, store: Store) -> str | None:
        return self._send(store) if self._check() else None

    def _check_and_freeze(self, store: Store) -> None:
        if self._check() and self.write is not None:
            self.write.frozen = True

    def _send(self, store: Store) -> str | None:
        write = self.write
        assert write is not None
        late = write.frozen and not self._holds(write)  # counted: nothing else can be done about it
        write.frozen = False
        write.started = True
        if write.n < store.opened and not late:
            return f"a write to segment {write.n} was started after segment {store.opened} was opened"
        return None

    def _answer(self, store: Store) -> str | None:
        write = self.write
        assert write is not None
        success = self._holds(write) or not self._rules.refuse_late
        self._end()
        if not success:
            return None
        if write.n not in {segment.n for segment in store.placement.segments}:
            return f"a write was acknowledged that arrived in segment {write.n} after that was retired"
        if write.n < store.opened:
            return f"a write was acknowledged that arrived in segment {write.n} after {store.opened} was opened"
        return None

    def _give_up(self, store: Store) -> None:
        assert self.write is not None
        self.orphan = self.write.n, self.write.term
        self._end(ambiguous=self._rules.count_ambiguous)

    # -- an overdue seal ----------------------------------------------------------------------------------------------

    def _overdue(self, store: Store) -> Outcome:
        assert self.known is not None
        after = copy.deepcopy(self)
        after.known = None
        stored = store.put(abort(self.known, 0.0), self._rules.abort_compares)
        return Outcome("finds the seal overdue and aborts it", after, stored, failure=True)
