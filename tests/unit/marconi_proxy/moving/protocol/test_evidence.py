"""The evidence of a placement about a move with a stale record: every state with every placement it can meet."""

from __future__ import annotations

from dataclasses import replace

import pytest

from catalog.model import FINISHED_STATES, MoveState, Placement, PlacementState, Segment
from marconi_proxy.fencing.transitions import retire, seal, switch
from marconi_proxy.moving.protocol.evidence import happened
from marconi_proxy.moving.protocol.machine import TABLE, Event, before_switch

OPEN = Placement("project", "orders", 1, PlacementState.OPEN, (Segment(0, "p1", "orders"),), incarnation="b")
SEALED = seal(OPEN, "m", 0.0, 4)
SWITCHED = switch(SEALED, "m", "p2", "orders", 0.0)
SEALED_AGAIN = seal(SWITCHED, "m", 0.0, 4)
BACK = switch(SEALED_AGAIN, "m", "p1", "orders.2", 0.0)
RETIRED = retire(SWITCHED, 0, 0.0)
OTHERS = replace(SEALED, move="other")
# As the front door writes it: a deletion under way, which may be refused.
DELETING = replace(OPEN, epoch=2, state=PlacementState.DELETING)
KEPT = replace(OPEN, epoch=3, state=PlacementState.RESERVED)
SEAL_DELETED = replace(SEALED, epoch=3, state=PlacementState.DELETING)
SWITCHED_DELETED = replace(SWITCHED, epoch=4, state=PlacementState.DELETING)

S, E = MoveState, Event


@pytest.mark.parametrize(
    ("state", "tail", "placement", "event"),
    [
        (S.PLANNED, None, OPEN, None),
        (S.PREPARING, None, OPEN, None),
        (S.ARMED, 0, OPEN, None),
        (S.ARMED, 0, SEALED, E.SEALED),
        (S.ARMED, 0, SWITCHED, E.SWITCHED),
        (S.ARMED, 0, OTHERS, None),
        (S.PLANNED, 0, SWITCHED, E.SWITCHED),
        (S.PREPARING, 0, SWITCHED, E.SWITCHED),
        (S.SEALING, 0, SEALED, None),
        (S.SEALING, 0, OPEN, E.ABORTED),
        (S.SEALING, 0, OTHERS, E.ABORTED),
        (S.SEALING, 0, SWITCHED, E.SWITCHED),
        (S.PAUSED, 0, SEALED, None),
        (S.PAUSED, 0, SWITCHED, E.SWITCHED),
        (S.UNDOING, 0, OPEN, None),
        (S.UNDOING, 0, SEALED, None),
        (S.UNDOING, 0, SWITCHED, E.SWITCHED),
        (S.DRAINING, 0, SWITCHED, None),
        (S.LINGERING, 0, SWITCHED, None),
        (S.LINGERING, 0, RETIRED, E.RETIRED),
        (S.SUSPENDED, 0, SWITCHED, None),
        (S.REROUTE_PREPARING, None, SWITCHED, None),
        (S.REROUTE_ARMED, 1, SWITCHED, None),
        (S.REROUTE_ARMED, 1, SEALED_AGAIN, E.SEALED),
        (S.REROUTE_ARMED, 1, BACK, E.SWITCHED),
        (S.REROUTE_SEALING, 1, SEALED_AGAIN, None),
        (S.REROUTE_SEALING, 1, SWITCHED, E.ABORTED),
        (S.REROUTE_SEALING, 1, BACK, E.SWITCHED),
        (S.REROUTE_UNDOING, 1, SWITCHED, None),
        (S.REROUTE_UNDOING, 1, BACK, E.SWITCHED),
        (S.RETIRED, 0, RETIRED, None),
        (S.PLANNED, None, DELETING, None),
        (S.ARMED, 0, DELETING, None),
        (S.SEALING, 0, SEAL_DELETED, E.ABORTED),
        (S.PLANNED, None, KEPT, E.GONE),
        (S.ARMED, 0, KEPT, E.GONE),
        (S.SEALING, 0, KEPT, E.GONE),
        (S.PAUSED, 0, KEPT, E.GONE),
        (S.UNDOING, 0, KEPT, None),
        (S.REROUTE_PREPARING, None, KEPT, E.GONE),
        (S.REROUTE_ARMED, 1, KEPT, E.GONE),
        (S.REROUTE_SEALING, 1, KEPT, E.GONE),
        (S.REROUTE_UNDOING, 1, KEPT, E.GONE),
        (S.DRAINING, 0, KEPT, None),
        (S.LINGERING, 0, replace(KEPT, segments=SWITCHED.segments[-1:]), E.RETIRED),
        (S.SEALING, 0, SWITCHED_DELETED, E.SWITCHED),
        (S.UNDOING, 0, DELETING, None),
        (S.DRAINING, 0, SWITCHED_DELETED, None),
        (S.LINGERING, 0, SWITCHED_DELETED, None),
        (S.REROUTE_ARMED, 1, SWITCHED_DELETED, None),
    ],
)
def test_what_the_record_has_missed(
    state: MoveState, tail: int | None, placement: Placement, event: Event | None
) -> None:
    assert happened(state, "m", "b", tail, placement) is event
    assert event is None or event in TABLE[state].next


@pytest.mark.parametrize("state", MoveState)
@pytest.mark.parametrize("placement", [None, replace(OPEN, incarnation="another")], ids=["none", "another"])
def test_a_queue_that_is_gone(state: MoveState, placement: Placement | None) -> None:
    missed = happened(state, "m", "b", 0, placement)
    assert missed is (Event.GONE if Event.GONE in TABLE[state].next else None)
    if missed is None:
        assert state in FINISHED_STATES or state in (MoveState.UNDOING, MoveState.RETIRED)
    assert before_switch(state) or missed is not Event.SWITCHED
