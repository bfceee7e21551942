"""What of a plan was begun and how it ended, and which moves come next."""

from __future__ import annotations

from dataclasses import replace

import pytest

from catalog.model import Move, MoveState, Plan, PlannedMove, PlanState
from marconi_proxy.moving.plans.budgets import Budgets
from marconi_proxy.moving.plans.progress import Outcome, Progress, next_to_begin
from marconi_proxy.moving.protocol.machine import TABLE, before_switch

NOW = 1000.0


def plan(*ways: str, groups=(), **budgets: object) -> Plan:
    """A running plan; each way is ``source>target``."""
    moves = tuple(PlannedMove("a", f"q{n}", *way.split(">")) for n, way in enumerate(ways))
    given = Budgets.from_json({"seals_per_second": 100, **budgets})
    preconditions = {"groups": [list(group) for group in groups]}
    return Plan("p", "t", moves, state=PlanState.RUNNING, budgets=given.to_json(), preconditions=preconditions)


def begun(one: Plan, progress: Progress = Progress(), moves=None) -> set[int]:  # noqa: B008
    return set(next_to_begin(one, progress, moves or {}, NOW).open)


def move(number: int, state: MoveState) -> Move:
    return Move(f"p-{number:05d}", "a", f"q{number}", "p1", "p2", state)


def test_what_is_written_down_comes_back():
    one = Progress(frozenset({3, 1}), {0: Outcome.DONE, 2: Outcome.FAILED}, {2: "why"}, {0: 1.5}, 7.0, 0.25, "note")
    assert Progress.of(replace(plan("p1>p2"), results=one.to_json())) == one
    assert Progress.of(plan("p1>p2")) == Progress()
    assert (one.failures, one.counts()["done"], one.waiting(plan(*["p1>p2"] * 6))) == (1, 1, [4, 5])


def test_each_partition_has_its_own_budget_at_either_end():
    assert begun(plan("p1>p2", "p1>p3", "p4>p2", "p4>p5", at_once=1)) == {0, 3}
    assert begun(plan("p1>p2", "p1>p3", "p4>p2", "p4>p5", at_once=2)) == {0, 1, 2, 3}


@pytest.mark.parametrize("state", MoveState)
def test_what_has_come_to_its_switch_counts_no_more(state):
    one = plan("p1>p2", "p1>p2", at_once=1)
    progress = Progress(open=frozenset({0}))
    counts = before_switch(state)
    assert begun(one, progress, {0: move(0, state)}) == ({0} if counts else {0, 1})
    assert state in TABLE


def test_what_is_begun_and_has_no_record_yet_counts():
    assert begun(plan("p1>p2", "p1>p2", at_once=1), Progress(open=frozenset({0}))) == {0}


def test_a_group_is_begun_together_or_not_at_all():
    one = plan("p1>p2", "p1>p2", "p1>p2", groups=[(1, 2)], at_once=2)
    assert begun(one) == {0}
    assert begun(one, Progress(ended={0: Outcome.DONE})) == {1, 2}


@pytest.mark.parametrize("state", [PlanState.PLANNED, PlanState.PAUSED, PlanState.STOPPED, PlanState.DONE])
def test_only_a_running_plan_begins_moves(state):
    assert begun(replace(plan("p1>p2"), state=state)) == set()


def test_what_could_not_be_begun_in_a_second_is_not_saved_up_for_ever():
    one = plan(*["p1>p2"] * 100, at_once=1000, seals_per_second=5)
    later = next_to_begin(one, Progress(last=NOW - 9999), {}, NOW)
    assert (len(later.open), later.last, later.allowance) == (5, NOW, 0.0)
