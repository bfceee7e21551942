"""How far a plan is, which moves come next, and how one has ended."""

from __future__ import annotations

import pytest

from catalog.model import Ending, Move, MoveOutcome, MovePlan, MoveState, PlannedMove, PlanState, Progress
from marconi_proxy.moving.plans.budgets import Budgets
from marconi_proxy.moving.plans.progress import (
    BUSY,
    CANDIDATES,
    SPAN,
    allowance,
    candidates,
    may_begin,
    missing,
    next_to_begin,
)
from marconi_proxy.moving.protocol.machine import TABLE, before_switch
from tests.unit.move_examples import queue


def plan(size: int, progress: Progress = Progress(), **budgets: object) -> MovePlan:  # noqa: B008
    """A running plan."""
    given = Budgets.from_json({"seals_per_second": 100, **budgets})
    return MovePlan("p", "t", size, state=PlanState.RUNNING, budgets=given.to_json(), progress=progress)


def planned(*ways: str, groups=()) -> list[PlannedMove]:
    """Moves of it; each way is ``source>target``."""
    of = {n: group for group in groups for n in range(group[0], group[1] + 1)}
    return [PlannedMove("a", f"q{n}", *way.split(">"), "p", n, "b", of.get(n)) for n, way in enumerate(ways)]


def begun(moves, busy=(), allowed=100.0, **budgets: object) -> set[int]:
    return {move.number for move in next_to_begin(plan(len(moves), **budgets), moves, busy, allowed)}


def move(number: int, state: MoveState = MoveState.PLANNED) -> Move:
    return Move(f"p-{number:05d}", "a", f"q{number}", "p1", "p2", state)


def test_what_was_begun_is_known_by_few_numbers():
    one = Progress().with_begun([0, 1, 4], 2.0)
    assert (one.next, one.ahead, one.pending, one.allowance) == (2, (4,), (0, 1, 4), 2.0)
    two = one.with_begun([3, 2], 0.0)
    assert (two.next, two.ahead, two.begun, two.open) == (5, (), 5, 5)
    assert [two.has_begun(n) for n in (0, 4, 5)] == [True, True, False]
    assert one.has_begun(4)
    assert not one.has_begun(3)


def test_endings_are_counted_and_pauses_summed_up():
    endings = [
        Ending(0, MoveOutcome.DONE, "", 123.4),
        Ending(2, MoveOutcome.FAILED, "why"),
        Ending(1, MoveOutcome.DONE, "", 121),
    ]
    one = Progress().with_begun(range(4), 0.0).with_endings(endings[:1]).with_endings(endings[1:])
    assert one.endings == tuple(endings)
    assert (one.counts, one.pauses) == ({MoveOutcome.DONE: 2, MoveOutcome.FAILED: 1}, ((120.0, 2),))
    assert (one.pending, one.open, one.ended, one.failures) == ((3,), 1, 3, 1)
    assert Progress.from_json(one.to_json()) == one
    assert Progress.from_json(Progress().to_json()) == Progress()


def test_a_bounded_number_of_moves_is_looked_at():
    one = Progress(next=5, ahead=(6, 8))
    assert candidates(plan(11, one)) == [5, 7, 9, 10]
    assert candidates(plan(20_000, one)) == candidates(plan(500, one))
    assert len(candidates(plan(20_000, one))) == CANDIDATES
    far = Progress(next=5, ahead=tuple(range(6, 5 + SPAN)))
    assert candidates(plan(20_000, far)) == [5]


def test_each_partition_has_its_own_budget_at_either_end():
    moves = planned("p1>p2", "p1>p3", "p4>p2", "p4>p5")
    assert begun(moves, at_once=1) == {0, 3}
    assert begun(moves, at_once=2) == {0, 1, 2, 3}


def test_what_is_begun_counts_with_a_record_or_without():
    moves = planned("p1>p2", "p1>p2")
    assert begun(moves[1:], [move(0)], at_once=1) == set()
    assert begun(moves[1:], moves[:1], at_once=1) == set()
    assert begun(moves[1:], [], at_once=1) == {1}


@pytest.mark.parametrize("state", MoveState)
def test_what_a_partition_is_busy_with_goes_on_and_is_before_its_switch(state):
    assert (state in BUSY) == (before_switch(state) and state not in (MoveState.PAUSED, MoveState.CANCELLED))
    assert state in TABLE


def test_a_group_is_begun_together_or_not_at_all():
    moves = planned("p1>p2", "p1>p2", "p1>p2", groups=[(1, 2)])
    assert begun(moves, at_once=2) == {0}
    assert begun(moves[1:], at_once=2) == {1, 2}
    assert begun(moves[1:], at_once=1) == {1, 2}, "one that is larger than the budget goes alone"
    assert begun(moves[:2]) == {0}, "the last one is not whole"


def test_the_pace_is_kept_and_what_was_not_begun_in_a_second_is_not_saved_up_for_ever():
    moves = planned(*["p1>p2"] * 100)
    assert len(begun(moves, allowed=5.9, at_once=1000)) == 5
    five = {"seals_per_second": 5}
    assert allowance(plan(9, **five), 0.0) == 5.0, "nothing was begun yet"
    some = Progress(allowance=1.0)
    assert allowance(plan(9, some, **five), 0.4) == 3.0
    assert allowance(plan(9, some, **five), 9999.0) == 5.0
    assert allowance(plan(9, Progress(allowance=0.0), seals_per_second=0.1), 5.0) == 0.5


@pytest.mark.parametrize("state", PlanState)
def test_only_a_running_plan_begins_moves(state):
    one = MovePlan("p", "t", 1, state=state)
    assert may_begin(one, 0.0) == (state is PlanState.RUNNING)
    assert not may_begin(plan(1, Progress(next=1)), 0.0)
    assert not may_begin(plan(1, window="01:00-02:00"), 0.0)
    assert may_begin(plan(1, window="01:00-02:00"), 3600.0)


@pytest.mark.parametrize(
    ("placement", "outcome"),
    [
        (None, MoveOutcome.GONE),
        (queue("q0", "p2", incarnation="other"), MoveOutcome.GONE),
        (queue("q0", "p2", incarnation="b"), MoveOutcome.DONE),
        (queue("q0", "p1", incarnation="b"), MoveOutcome.CANCELLED),
    ],
)
def test_how_a_move_ended_whose_record_is_gone(placement, outcome):
    assert missing(planned("p1>p2")[0], placement).outcome is outcome
