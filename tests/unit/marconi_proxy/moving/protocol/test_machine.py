"""The states of a move: that its table is whole, and so is the picture of it."""

from __future__ import annotations

from itertools import product

import pytest

from catalog.model import COMING_STATES, FINISHED_STATES, MoveState
from marconi_proxy.moving.protocol.machine import (
    EVENTS,
    FIRST,
    TABLE,
    Event,
    NotNow,
    after,
    before_switch,
    picture,
)


def reachable(start: MoveState) -> set[MoveState]:
    found = {start}
    ahead = [start]
    while ahead:
        for following in set(TABLE[ahead.pop()].next.values()) - found:
            found.add(following)
            ahead.append(following)
    return found


def test_every_state_is_in_the_table_and_every_event_is_used_and_explained() -> None:
    assert set(TABLE) == set(MoveState)
    assert {event for place in TABLE.values() for event in place.next} == set(Event) == set(EVENTS)


def test_every_state_can_be_reached() -> None:
    assert reachable(FIRST) == set(MoveState)


@pytest.mark.parametrize("state", MoveState)
def test_every_state_is_documented_and_has_a_way_out(state: MoveState) -> None:
    place = TABLE[state]
    assert place.meaning.endswith(".")
    if state in FINISHED_STATES:
        assert not place.way_out
    else:
        assert place.way_out.endswith(".")
        assert state not in place.next.values()
        assert reachable(state) & FINISHED_STATES


@pytest.mark.parametrize("state", sorted(set(MoveState) - FINISHED_STATES))
def test_every_state_but_the_ends_survives_the_deletion_of_the_queue(state: MoveState) -> None:
    # In these two, all that is left to do is to delete what the move leaves behind, whatever became of the queue.
    assert Event.GONE in TABLE[state].next or state in (MoveState.UNDOING, MoveState.RETIRED)


@pytest.mark.parametrize(("state", "event"), list(product(MoveState, Event)))
def test_the_one_function_follows_the_table(state: MoveState, event: Event) -> None:
    if event in TABLE[state].next:
        assert after(state, event) is TABLE[state].next[event]
    else:
        with pytest.raises(NotNow, match=f"no {event} while {state}"):
            after(state, event)


def test_the_straight_way() -> None:
    state = FIRST
    for event in (
        *(Event.START, Event.PREPARED, Event.SEALED, Event.ABORTED, Event.SEALED, Event.SWITCHED),
        *(Event.EMPTY, Event.NOT_EMPTY, Event.EMPTY, Event.RETIRED, Event.CLEANED),
    ):
        state = after(state, event)
    assert state is MoveState.DONE


def test_the_way_back() -> None:
    state = MoveState.DRAINING
    for event in (
        *(Event.REVERSE, Event.PREPARED, Event.BACK_OFF, Event.PREPARED),
        *(Event.SEALED, Event.ABORTED, Event.SEALED, Event.SWITCHED),
    ):
        state = after(state, event)
    assert state is MoveState.DRAINING


def test_what_never_switched_never_ends_as_if_it_had() -> None:
    early = {state for state in MoveState if before_switch(state)}
    assert {s.value for s in early} == {
        *("planned", "preparing", "armed", "sealing", "paused", "undoing", "cancelled"),
    }
    for state in early:
        for event, following in TABLE[state].next.items():
            assert (following in early) == (event is not Event.SWITCHED)


def test_writes_are_held_only_while_a_seal_is_in_force() -> None:
    held = {state for state, place in TABLE.items() if place.holds_writes}
    assert held == {MoveState.SEALING, MoveState.REROUTE_SEALING}
    for state in held:
        assert {Event.SWITCHED, Event.ABORTED} <= set(TABLE[state].next)


def test_the_picture_has_a_line_for_each_event_of_each_state() -> None:
    lines = picture()
    drawn, state = set(), ""
    for line in filter(None, lines):
        words = line.replace("─", " ").replace(">", " ").split()
        words = [word for word in words if word not in ("┬", "├", "└")]
        state = line[:14].strip() or state
        if not line.endswith("(end)"):
            drawn.add((state, words[-2], words[-1]))
    assert drawn == {(s, e, f) for s, place in TABLE.items() for e, f in place.next.items()}
    assert {line.split()[0] for line in lines if line.endswith("(end)")} == FINISHED_STATES


def test_the_catalog_knows_which_states_are_ends() -> None:
    assert {state for state, place in TABLE.items() if not place.next} == FINISHED_STATES


def test_what_may_still_open_a_segment_is_known_to_the_catalog() -> None:
    """All that may be switched, but where the move is over already: then its queues are being deleted."""
    over = {MoveState.UNDOING, MoveState.REROUTE_UNDOING}
    assert {state for state, place in TABLE.items() if Event.SWITCHED in place.next} - over == COMING_STATES
