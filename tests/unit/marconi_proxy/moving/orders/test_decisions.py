"""The last decision on a group of moves, whatever the clocks of the machines that made them show."""

from __future__ import annotations

from dataclasses import replace

import pytest

from catalog.model import LogEntry, Move, MoveState
from marconi_proxy.moving.execution.move_group import stopped_by
from marconi_proxy.moving.orders.decisions import NUMBER, STOPS, last_decision, next_number, number_of
from marconi_proxy.moving.orders.order import OPERATOR
from marconi_proxy.moving.protocol.machine import Event


def entry(state: MoveState, reason: str = f"{OPERATOR}it", number: int | None = None, at: float = 5.0) -> LogEntry:
    return LogEntry(at, state, reason, () if number is None else ((NUMBER, number),))


def move(*log: LogEntry, id_: str = "m1", state: MoveState = MoveState.ARMED) -> Move:
    return replace(Move(id_, "p", "q", "p1", "p2", log=log), state=log[-1].state if log else state)


def test_a_move_of_which_nothing_was_decided() -> None:
    going = move(entry(MoveState.PREPARING, "its turn came"), entry(MoveState.ARMED, "p2 has the queue"))
    assert last_decision(move()) is None
    assert last_decision(going) is None
    assert number_of(None) == 0
    assert next_number([]) == next_number([move(), going]) == 1


@pytest.mark.parametrize("state", STOPS)
def test_a_stop_is_a_decision_also_after_too_many_failures(state: MoveState) -> None:
    stopped = move(entry(state, "failed 20 times in a row", 3), entry(state, "something else happened", 4))
    assert last_decision(stopped) == stopped.log[-1]


def test_what_an_operator_decided_is_found_behind_what_came_later() -> None:
    decided = entry(MoveState.PLANNED, f"{OPERATOR}resume", 7)
    going = move(entry(MoveState.PAUSED, f"{OPERATOR}pause", 6), decided, entry(MoveState.ARMED, "ready"))
    assert last_decision(going) == decided
    assert number_of(decided) == 7


@pytest.mark.parametrize("measures", [(), ((NUMBER, "many"),), ((NUMBER, 2.5),), (("other", 5),)])
def test_a_decision_of_a_release_before_has_the_number_0(measures: tuple[tuple[str, str | float], ...]) -> None:
    assert number_of(LogEntry(5.0, MoveState.PAUSED, OPERATOR, measures)) == 0


def test_the_next_number_is_larger_than_those_of_all_decisions_on_the_group() -> None:
    moves = [move(entry(MoveState.PAUSED, number=number)) for number in (3, 8, 5)]
    assert next_number([*moves, move()]) == 9


# -- moves that stop together ------------------------------------------------------------------------------------------

PAUSED = MoveState.PAUSED
RESUMED = f"{OPERATOR}resume"


@pytest.mark.parametrize(
    ("stop", "went_on", "stops"),
    [
        (1, None, True),
        (2, 1, True),  # resumed before that
        (1, 2, False),  # resumed since
        (2, 2, False),  # by the same decision
        (0, 0, False),  # both of a release before, which wrote the two in this order
        (1, 0, True),
    ],
)
@pytest.mark.parametrize("clocks", [(5.0, 5.0), (1e9, 5.0), (5.0, 1e9)], ids=["alike", "stop later", "stop earlier"])
def test_a_stop_counts_if_its_number_is_larger_and_no_clock_matters(
    stop: int, went_on: int | None, stops: bool, clocks: tuple[float, float]
) -> None:
    mate = move(entry(PAUSED, f"{OPERATOR}pause", stop, clocks[0]), id_="m2")
    log = [] if went_on is None else [entry(MoveState.PLANNED, RESUMED, went_on, clocks[1])]
    found = stopped_by(mate, move(*log, entry(MoveState.ARMED, "ready", at=clocks[1])))
    assert (found is not None) is stops
    if found is not None:
        assert (found.event, found.number) == (Event.PAUSE, stop)


def test_a_stop_is_passed_on_with_its_number() -> None:
    """So that it is the same decision for the whole group, and a later one is larger than it."""
    mate = move(entry(PAUSED, "failed 20 times in a row", 4), id_="m2")
    found = stopped_by(mate, move())
    assert found is not None
    assert found.number == 4
    assert found.reason == "its group goes together: pause of move m2, which failed 20 times in a row"
    follows = move(entry(PAUSED, found.reason, found.number))
    assert next_number([mate, follows]) == 5
    assert stopped_by(follows, mate) is not None


def test_a_move_that_goes_on_stops_no_other() -> None:
    going = move(entry(PAUSED, number=1), entry(MoveState.PLANNED, RESUMED, 2), id_="m2")
    assert stopped_by(going, move()) is None
