"""The states and events of a move: one transition table, and the one function that applies it.

The documentation shows this table and draws its picture from it. Once writes went to the target, a move can no longer
be cancelled, only reversed, or sent on to another partition. Therefore some states exist twice, the second time as
``back-…``, for a reversal and for an onward move alike.

``switched`` may occur in states without a switch: the mover that switched was frozen before it could record the switch,
and others continued meanwhile. The placement is authoritative, and the record follows it (``evidence``).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from catalog.model import MoveState


class Event(StrEnum):
    START = "start"
    PREPARED = "prepared"
    BACK_OFF = "back-off"
    SEALED = "sealed"
    ABORTED = "aborted"
    SWITCHED = "switched"
    EMPTY = "empty"
    NOT_EMPTY = "not-empty"
    RETIRED = "retired"
    CLEANED = "cleaned"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    REVERSE = "reverse"
    ONWARD = "onward"
    GONE = "gone"


EVENTS: Mapping[Event, str] = {
    Event.START: "the budgets of its partitions admit it: few enough of their other moves are before the switch",
    Event.PREPARED: "the queue is ready on its destination, and every live worker is capable",
    Event.BACK_OFF: "a precondition does not hold; the step is retried later",
    Event.SEALED: "the placement is sealing: workers hold writes",
    Event.ABORTED: "the seal was aborted, by the mover or by a worker that found it overdue",
    Event.SWITCHED: "the placement has the new segment: writes go there",
    Event.EMPTY: "the older segments were found empty, claimed messages included",
    Event.NOT_EMPTY: "a later check of the older segments found a message",
    Event.RETIRED: "they were empty twice, and are removed from the placement",
    Event.CLEANED: "the leftovers of the move were deleted from partitions, or will be at its end",
    Event.PAUSE: "by an operator, or after too many attempts before the switch",
    Event.RESUME: "by an operator: continue",
    Event.CANCEL: "by an operator: leave the queue where it is; for a second way also after too many attempts",
    Event.REVERSE: "by an operator: send writes back to the previous partition",
    Event.ONWARD: "by an operator: send writes on to another partition",
    Event.GONE: "the queue was deleted by its users",
}


class Place(NamedTuple):
    """The meaning of a state, its end without intervention, and the next state for each event.

    ``holds_writes``: clients wait for as long as this state lasts.
    """

    meaning: str
    way_out: str
    next: Mapping[Event, MoveState]
    holds_writes: bool = False


_S = MoveState
_E = Event

TABLE: Mapping[MoveState, Place] = {
    _S.PLANNED: Place(
        "Waits to be started. Nothing was changed.",
        "Starts when its partitions have few enough other moves before their switch; can be cancelled.",
        {
            _E.START: _S.PREPARING,
            _E.SWITCHED: _S.DRAINING,
            _E.PAUSE: _S.PAUSED,
            _E.CANCEL: _S.UNDOING,
            _E.GONE: _S.UNDOING,
        },
    ),
    _S.PREPARING: Place(
        "The queue, its metadata and subscriptions are being created on the target; clients are not affected.",
        "Armed when all of them exist; back to planned, for a retry, if they cannot be created.",
        {
            _E.PREPARED: _S.ARMED,
            _E.BACK_OFF: _S.PLANNED,
            _E.SWITCHED: _S.DRAINING,
            _E.PAUSE: _S.PAUSED,
            _E.CANCEL: _S.UNDOING,
            _E.GONE: _S.UNDOING,
        },
    ),
    _S.ARMED: Place(
        "Ready to seal. After an aborted seal it waits here for longer each time.",
        "Seals when every live worker is fresh and capable; back to planned when the target is no longer ready.",
        {
            _E.SEALED: _S.SEALING,
            _E.BACK_OFF: _S.PLANNED,
            _E.SWITCHED: _S.DRAINING,
            _E.PAUSE: _S.PAUSED,
            _E.CANCEL: _S.UNDOING,
            _E.GONE: _S.UNDOING,
        },
    ),
    _S.SEALING: Place(
        "Writes are held until every worker has acknowledged that it has none in flight to the old segment.",
        "Switches when all have acknowledged; aborts after a timeout, by any worker if the mover is dead.",
        {_E.SWITCHED: _S.DRAINING, _E.ABORTED: _S.ARMED, _E.GONE: _S.UNDOING},
        holds_writes=True,
    ),
    _S.DRAINING: Place(
        "Writes go to the new segment; consumers are emptying the older ones. Nothing needs the mover.",
        "Lingers once they are empty; can be reversed or sent on.",
        {
            _E.EMPTY: _S.LINGERING,
            _E.PAUSE: _S.SUSPENDED,
            _E.REVERSE: _S.REROUTE_PREPARING,
            _E.ONWARD: _S.REROUTE_PREPARING,
            _E.GONE: _S.VOID,
        },
    ),
    _S.LINGERING: Place(
        "The older segments were empty; writes that may still be in flight to them have time to arrive.",
        "Retired if they are empty again later; back to draining if not; can be reversed or sent on.",
        {
            _E.RETIRED: _S.RETIRED,
            _E.NOT_EMPTY: _S.DRAINING,
            _E.PAUSE: _S.SUSPENDED,
            _E.REVERSE: _S.REROUTE_PREPARING,
            _E.ONWARD: _S.REROUTE_PREPARING,
            _E.GONE: _S.VOID,
        },
    ),
    _S.RETIRED: Place(
        "The queue has one segment again; the queues of the older ones are being deleted from their partitions.",
        "Done when they are deleted, even if the queue is deleted meanwhile. A new move takes it back.",
        {_E.CLEANED: _S.DONE},
    ),
    _S.DONE: Place("The queue lives on the target; there is a certificate.", "", {}),
    _S.PAUSED: Place(
        "Paused by an operator before the switch, or after too many failures. The queue stays in service where it is.",
        "`resume` starts again at planned; `cancel`.",
        {_E.RESUME: _S.PLANNED, _E.SWITCHED: _S.SUSPENDED, _E.CANCEL: _S.UNDOING, _E.GONE: _S.UNDOING},
    ),
    _S.UNDOING: Place(
        "Cancelled, or the queue was deleted: the placement is barred, then what was created on the target is deleted.",
        "Cancelled when it is deleted; draining if the switch had already happened.",
        {_E.CLEANED: _S.CANCELLED, _E.SWITCHED: _S.DRAINING},
    ),
    _S.CANCELLED: Place("It ended before the switch. The queue is where it was.", "", {}),
    _S.SUSPENDED: Place(
        "Paused by an operator after the switch. Clients write and read as in draining; nothing is retired.",
        "`resume` continues draining; `reverse`; can be sent on.",
        {
            _E.RESUME: _S.DRAINING,
            _E.REVERSE: _S.REROUTE_PREPARING,
            _E.ONWARD: _S.REROUTE_PREPARING,
            _E.GONE: _S.VOID,
        },
    ),
    _S.REROUTE_PREPARING: Place(
        "Reversed, or sent on: a queue for the new writes is being created on their destination.",
        "As preparing; `cancel`, or too many attempts, continue draining.",
        {
            _E.PREPARED: _S.REROUTE_ARMED,
            _E.SWITCHED: _S.DRAINING,
            _E.CANCEL: _S.REROUTE_UNDOING,
            _E.PAUSE: _S.SUSPENDED,
            _E.GONE: _S.VOID,
        },
    ),
    _S.REROUTE_ARMED: Place(
        "Reversed, or sent on: ready to seal.",
        "As armed; `cancel`, or too many attempts, continue draining.",
        {
            _E.SEALED: _S.REROUTE_SEALING,
            _E.BACK_OFF: _S.REROUTE_PREPARING,
            _E.SWITCHED: _S.DRAINING,
            _E.CANCEL: _S.REROUTE_UNDOING,
            _E.PAUSE: _S.SUSPENDED,
            _E.GONE: _S.VOID,
        },
    ),
    _S.REROUTE_SEALING: Place(
        "Reversed, or sent on: writes are held as in sealing.",
        "As sealing.",
        {_E.SWITCHED: _S.DRAINING, _E.ABORTED: _S.REROUTE_ARMED, _E.GONE: _S.VOID},
        holds_writes=True,
    ),
    _S.REROUTE_UNDOING: Place(
        "The second way was cancelled: the placement is barred. The queue created for it is deleted at the end.",
        "Draining when it is barred, or if the switch had already happened.",
        {_E.CLEANED: _S.DRAINING, _E.SWITCHED: _S.DRAINING, _E.GONE: _S.VOID},
    ),
    _S.VOID: Place("The queue was deleted by its users after the switch: there is nothing left to move.", "", {}),
}

FIRST = MoveState.PLANNED
ARMED = frozenset({MoveState.ARMED, MoveState.REROUTE_ARMED})
SEALING = frozenset({MoveState.SEALING, MoveState.REROUTE_SEALING})
# States of a move that has switched before and is to switch again.
UNDER_WAY_AGAIN = frozenset(
    {MoveState.REROUTE_PREPARING, MoveState.REROUTE_ARMED, MoveState.REROUTE_SEALING, MoveState.REROUTE_UNDOING}
)


class NotNow(ValueError):
    """The requested or reported event is impossible in this state."""

    def __init__(self, state: MoveState, event: Event) -> None:
        allowed = ", ".join(TABLE[state].next) or "none, it is an end"
        super().__init__(f"no {event} while {state}; possible: {allowed}")
        self.state = state
        self.event = event


def after(state: MoveState, event: Event) -> MoveState:
    """Return the state that ``event`` leads to. Raises NotNow."""
    following = TABLE[state].next.get(event)
    if following is None:
        raise NotNow(state, event)
    return following


def before_switch(state: MoveState) -> bool:
    """Return whether writes never went to the target: such a move can be cancelled."""
    return state in _BEFORE_SWITCH


def _reachable(start: MoveState, without: Event | None = None) -> frozenset[MoveState]:
    found, ahead = {start}, [start]
    while ahead:
        for event, following in TABLE[ahead.pop()].next.items():
            if event is not without and following not in found:
                found.add(following)
                ahead.append(following)
    return frozenset(found)


_BEFORE_SWITCH = _reachable(FIRST, without=Event.SWITCHED)


def picture() -> list[str]:
    """Draw the table: a tree of lines for each state, one for each event."""
    events = max(map(len, Event))
    states = max(map(len, MoveState))
    lines = []
    for state, place in TABLE.items():
        if not place.next:
            lines += [f"{state:<{states}} (end)", ""]
            continue
        for number, (event, following) in enumerate(place.next.items()):
            first, last = number == 0, number == len(place.next) - 1
            joint = "───" if first and last else "─┬─" if first else " └─" if last else " ├─"
            lines.append(f"{state if first else '':<{states}} {joint} {event + ' ':─<{events + 1}}──> {following}")
        lines.append("")
    return lines[:-1]
