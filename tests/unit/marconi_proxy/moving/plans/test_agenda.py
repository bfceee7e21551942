"""Which moves of a plan an executor looks at in a round."""

from __future__ import annotations

import pytest

from catalog.model import PlannedMove
from marconi_proxy.moving.plans.agenda import LOOKED_AT, Agenda, Agendas
from marconi_proxy.moving.plans.names import planned_move_id
from tests.contract.plan_stage import Clock


def planned(*numbers: int) -> list[PlannedMove]:
    return [PlannedMove("a", f"q{n}", "p1", "p2", "plan", n) for n in numbers]


@pytest.fixture
def clock():
    return Clock()


def test_moves_are_looked_at_in_turn_and_so_many_in_a_round(clock):
    agenda = Agenda(clock, 60.0)
    agenda.add(range(LOOKED_AT + 5))
    assert agenda.take() == list(range(LOOKED_AT))
    agenda.add([LOOKED_AT, 0])
    assert agenda.take() == [*range(LOOKED_AT, LOOKED_AT + 5), 0]
    assert agenda.take() == []


def test_all_that_have_not_ended_are_looked_at_first_and_then_now_and_again(clock):
    agenda = Agenda(clock, 60.0)
    assert agenda.sweep() == -1
    agenda.swept(planned(*range(0, 2 * LOOKED_AT, 2)))
    assert agenda.sweep() is None, "there is enough to do"
    agenda.take()
    assert agenda.sweep() == 2 * LOOKED_AT - 2
    agenda.swept(planned(900, 901))
    assert agenda.take() == [900, 901]
    assert agenda.sweep() is None
    clock.now += 60.0
    assert agenda.sweep() == -1


def test_without_a_feed_they_are_looked_at_in_every_round(clock):
    agenda = Agenda(clock, 0.0)
    for _ in range(3):
        assert agenda.sweep() == -1
        agenda.swept(planned(1))
        assert agenda.take() == [1]


def test_the_pace_is_by_what_was_seen_here(clock):
    agenda = Agenda(clock, 60.0)
    clock.now += 100.0
    assert agenda.since_begun(7) == 0.0, "another process may have begun them just now"
    clock.now += 2.0
    assert agenda.since_begun(7) == 2.0
    clock.now += 1.0
    agenda.have_begun(9)
    assert agenda.since_begun(9) == 1.0, "it was decided, and stored, after that"
    assert agenda.since_begun(10) == 0.0


def test_changes_go_to_the_agendas_of_their_plans(clock):
    agendas = Agendas(clock, 60.0)
    one, other = agendas.of("one"), agendas.of("20240101T000000-pc0ffee")
    for agenda in (one, other):
        agenda.swept([])
    for id_ in (planned_move_id("20240101T000000-pc0ffee", 7), "20240101T000000-mc0ffee", "none-00003", "7"):
        agendas.changed(id_)
    assert (one.take(), other.take()) == ([], [7])
    assert one.sweep() is None
    agendas.changed(None)
    assert (one.sweep(), other.sweep()) == (-1, -1)
    agendas.keep(["one"])
    assert agendas.of("one") is one
    assert agendas.of("20240101T000000-pc0ffee") is not other


def test_a_plan_that_another_process_changes_is_left_to_it_until_it_stands_unchanged(clock):
    agenda = Agenda(clock, 60.0, yields=2.0)
    assert agenda.is_due(1), "no other process was seen at it"
    agenda.stored(2)
    assert agenda.is_due(2)
    for version in (4, 5, 6):
        assert not agenda.is_due(version)
        clock.now += 1.5
    assert not agenda.is_due(6)
    clock.now += 0.5
    assert agenda.is_due(6)
    agenda.stored(7)
    assert agenda.is_due(7)
