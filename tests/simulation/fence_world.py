"""The world of the fence protocol, small enough to visit all of it: 2 workers, 1 queue, 2 moves, 2 movers, a clock.

A state is five numbers and how many failures may still happen. Each number names a value that was met before, so what
a process may do in a situation is worked out once, by the real classes, and looked up ever after.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from typing import Generic, NamedTuple, TypeVar

from catalog.model import FINISHED_STATES, PlacementState
from marconi_proxy.fencing.barrier import MemberSighting
from tests.simulation import mover as moving
from tests.simulation.mover import Mover
from tests.simulation.rules import Rules
from tests.simulation.search import Step
from tests.simulation.store import FIRST_STORE, Store
from tests.simulation.worker import Worker

_BITS = 20
_MASK = (1 << _BITS) - 1
T = TypeVar("T")


class _Numbers(Generic[T]):
    """Gives equal values the same number."""

    def __init__(self, key: Callable[[T], Hashable]) -> None:
        self._key = key
        self._numbers: dict[Hashable, int] = {}
        self.values: list[T] = []

    def of(self, value: T) -> int:
        number = self._numbers.setdefault(self._key(value), len(self.values))
        if number == len(self.values):
            self.values.append(value)
        return number


Parts = tuple[int, int, int, int, int, int]


def pack(store: int, one: int, other: int, worker1: int, worker2: int, failures: int) -> int:
    """Return a state, of its parts: the store, the two movers, the two workers, and the failures that are left."""
    return ((((store << _BITS | one) << _BITS | other) << _BITS | worker1) << _BITS | worker2) << _BITS | failures


def unpack(state: int) -> Parts:
    """Return the parts of a state."""
    return (
        state >> 5 * _BITS,
        state >> 4 * _BITS & _MASK,
        state >> 3 * _BITS & _MASK,
        state >> 2 * _BITS & _MASK,
        state >> _BITS & _MASK,
        state & _MASK,
    )


class _WorkerStep(NamedTuple):
    label: str
    worker: int
    store: int
    failure: int
    problem: str | None


class _MoverStep(NamedTuple):
    label: str
    mover: int
    store: int
    failure: int
    opens: int | None


class FenceWorld:
    """``switches``: at most, in all; two are two moves, or a move and its reverse. ``failures``: how many may happen in
    all: a process frozen or crashed, an answer or a feed lost, a worker that signs off, a clock that lags, a write that
    is timed out, a seal aborted, a mover replaced, a move cancelled.

    Whatever comes late, or never, needs no failure: any process may stand still for any time.
    """

    def __init__(self, switches: int, failures: int, rules: Rules | None = None) -> None:
        self._rules = rules or Rules()
        self._switches = switches
        self._stores: _Numbers[Store] = _Numbers(lambda store: store)
        self._movers: _Numbers[Mover] = _Numbers(Mover.key)
        self._workers: _Numbers[Worker] = _Numbers(Worker.key)
        self._members: _Numbers[tuple[MemberSighting, ...]] = _Numbers(lambda members: members)
        self._of_worker: dict[tuple[int, int, int], list[_WorkerStep]] = {}
        self._of_mover: dict[tuple[int, int, int, int], list[_MoverStep]] = {}
        self._ticks: dict[tuple[int, int, bool], int] = {}
        self._settled: dict[tuple[int, int], int] = {}
        self._settled_movers: dict[tuple[int, int], int] = {}
        self._ordered: dict[int, list[tuple[str, int, int]]] = {}
        self._mirrored: dict[int, int] = {}
        self._seen_by_all: dict[tuple[int, int], int] = {}
        self._taken: set[str] = set()
        absent = Worker(self._rules)
        present = next(step.worker for step in absent.steps(FIRST_STORE))
        self.first = pack(
            self._stores.of(FIRST_STORE),
            self._movers.of(Mover(FIRST_STORE)),
            self._movers.of(Mover()),
            self._workers.of(absent),
            self._workers.of(present),
            failures,
        )

    def steps(self, state: int) -> list[Step[int]]:
        # PERF: this is where the time goes; no more objects than needed.
        store, one, other, worker1, worker2, failures = unpack(state)
        found: list[Step[int]] = []
        for label, worker, then, failure, problem in self._worker_steps(0, worker1, store):
            if failure <= failures:
                parts = (then, one, other, worker, worker2, failures - failure)
                found.append(self._step(label, store, parts, problem))
        for label, worker, then, failure, problem in self._worker_steps(1, worker2, store):
            if failure <= failures:
                parts = (then, one, other, worker1, worker, failures - failure)
                found.append(self._step(label, store, parts, problem))
        members = self._all_members(worker1, worker2)
        for which in (0, 1):
            for label, mover, then, failure, opens in self._mover_steps(which, (one, other)[which], store, members):
                if failure <= failures:
                    problem = None if opens is None else self._breaks(opens, store, worker1, worker2)
                    movers = (one, mover) if which else (mover, other)
                    parts = (then, *movers, worker1, worker2, failures - failure)
                    found.append(self._step(label, store, parts, problem))
        for label, then, failure in self._orders(store):
            if failure <= failures:
                parts = (then, one, other, worker1, worker2, failures - failure)
                found.append(self._step(label, store, parts, None))
        tick1, tick2 = self._tick(worker1, store), self._tick(worker2, store)
        found.append(self._step("time passes", store, (store, one, other, tick1, tick2, failures), None))
        if failures:
            slow1, slow2 = self._tick(worker1, store, slow=True), self._tick(worker2, store, slow=True)
            for name, number, ticks in (("1", worker1, (slow1, tick2)), ("2", worker2, (tick1, slow2))):
                if not self._workers.values[number].lagged:
                    label = f"time passes, and the clock of worker {name} lags"
                    found.append(self._step(label, store, (store, one, other, *ticks, failures - 1), None))
        return found

    def _step(self, label: str, before: int, after: Parts, problem: str | None) -> Step[int]:
        self._taken.add(label)
        store, one, other, worker1, worker2, failures = after
        if store != before:
            worker1, worker2 = self._settle(worker1, store), self._settle(worker2, store)
            one, other = self._settle_mover(one, store), self._settle_mover(other, store)
        # Two states that are each other's mirror image lead to the same: one of them is enough.
        if worker1 > worker2:
            state = pack(store, self._mirror(one), self._mirror(other), worker2, worker1, failures)
            return label, state, problem, True
        return label, pack(store, one, other, worker1, worker2, failures), problem, False

    def _orders(self, store: int) -> list[tuple[str, int, int]]:
        found = self._ordered.get(store)
        if found is None:
            found = self._ordered[store] = [
                (label, self._stores.of(then), int(failure))
                for label, then, failure in moving.orders(self._stores.values[store], self._switches)
            ]
        return found

    @property
    def met(self) -> set[str]:
        """Return the labels of all steps taken so far, without numbers."""
        return {re.sub(r" \d+", "", label) for label in self._taken}

    def mirror(self, label: str) -> str:
        return moving.mirrored_name(label)

    def is_good_end(self, state: int) -> bool:
        """The moves are over, the queue is open in one segment, every process has read that and has nothing to do."""
        number, _, _, worker1, worker2, _ = unpack(state)
        store = self._stores.values[number]
        return (
            store.record.state in FINISHED_STATES
            and store.placement.state is PlacementState.OPEN
            and len(store.placement.segments) == 1
            and self._rests(worker1, store)
            and self._rests(worker2, store)
        )

    def _rests(self, number: int, store: Store) -> bool:
        worker = self._workers.values[number]
        return not worker.up or (worker.write is None and worker.orphan is None and worker.applied == store.position)

    def _worker_steps(self, which: int, number: int, store: int) -> list[_WorkerStep]:
        found = self._of_worker.get((which, number, store))
        if found is None:
            found = self._of_worker[which, number, store] = [
                self._worker_step(
                    f"worker {which + 1} {label}", worker, stored or self._stores.values[store], failure, problem
                )
                for label, worker, stored, failure, problem in self._workers.values[number].steps(
                    self._stores.values[store]
                )
            ]
        return found

    def _worker_step(self, label: str, worker: Worker, store: Store, failure: bool, problem: str | None) -> _WorkerStep:
        number = self._workers.of(worker.settled(store))
        return _WorkerStep(label, number, self._stores.of(store), int(failure), problem)

    def _settle(self, number: int, store: int) -> int:
        found = self._settled.get((number, store))
        if found is None:
            settled = self._workers.values[number].settled(self._stores.values[store])
            found = self._settled[number, store] = self._workers.of(settled)
        return found

    def _settle_mover(self, number: int, store: int) -> int:
        found = self._settled_movers.get((number, store))
        if found is None:
            settled = self._movers.values[number]
            if self._rules.abort_compares:
                settled = settled.settled(self._stores.values[store])
            found = self._settled_movers[number, store] = self._movers.of(settled)
        return found

    def _mirror(self, number: int) -> int:
        found = self._mirrored.get(number)
        if found is None:
            found = self._mirrored[number] = self._movers.of(self._movers.values[number].mirrored())
        return found

    def _mover_steps(self, which: int, number: int, store: int, members: int) -> list[_MoverStep]:
        found = self._of_mover.get((which, number, store, members))
        if found is None:
            happening = moving.steps(
                which,
                self._movers.values[number],
                self._stores.values[store],
                self._members.values[members],
                self._rules,
            )
            found = self._of_mover[which, number, store, members] = [
                _MoverStep(
                    f"mover {which + 1} {label}",
                    self._movers.of(mover),
                    store if stored is None else self._stores.of(stored),
                    int(failure),
                    stored.opened if opens and stored is not None else None,
                )
                for label, mover, stored, failure, opens in happening
            ]
        return found

    def _breaks(self, opens: int, store: int, *workers: int) -> str | None:
        if not self._stores.values[store].record.ready:
            return f"segment {opens} was opened though its queue was deleted"
        problems = (self._workers.values[number].breaks_switch_to(opens) for number in workers)
        return next((problem for problem in problems if problem is not None), None)

    def _all_members(self, worker1: int, worker2: int) -> int:
        found = self._seen_by_all.get((worker1, worker2))
        if found is None:
            one, other = self._workers.values[worker1], self._workers.values[worker2]
            members = (*one.sightings("worker-1"), *other.sightings("worker-2"))
            found = self._seen_by_all[worker1, worker2] = self._members.of(members)
        return found

    def _tick(self, number: int, store: int, slow: bool = False) -> int:
        found = self._ticks.get((number, store, slow))
        if found is None:
            later = self._workers.values[number].tick(slow).settled(self._stores.values[store])
            found = self._ticks[number, store, slow] = self._workers.of(later)
        return found
