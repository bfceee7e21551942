"""The states of a move, what happens to it, and what it is then: one table, and the one function that applies it.

The documentation shows this table and draws its picture from it. A move whose writes went to the target once can not
be cancelled any more, only reversed, or sent on to yet another partition: that is why some states exist twice, the
second time as ``back-…``, whichever of the two it is.

``switched`` may be met in states that nobody switches in: the one who did was frozen before it could say so, and others
went on meanwhile. The placement is right, and the record follows it (``evidence``).
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
    Event.START: "its turn came: its partitions have few enough other moves before their switch",
    Event.PREPARED: "the queue is ready on the partition it goes to, and every live worker is capable",
    Event.BACK_OFF: "something is not as it must be; it is tried again later",
    Event.SEALED: "the placement says sealing: workers hold writes",
    Event.ABORTED: "the seal was taken back, by the mover or by a worker that found it overdue",
    Event.SWITCHED: "the placement has the new segment: writes go there",
    Event.EMPTY: "the older segments were found empty, claimed messages included",
    Event.NOT_EMPTY: "a later look at the older segments found something",
    Event.RETIRED: "they were empty twice, and are not in the placement any more",
    Event.CLEANED: "what the move leaves behind was deleted from partitions, or is left to its end",
    Event.PAUSE: "an operator, or too many attempts before the switch: leave it as it is",
    Event.RESUME: "an operator: go on",
    Event.CANCEL: "an operator: leave the queue where it is; after the switch also too many attempts to go another way",
    Event.REVERSE: "an operator: writes shall go to the partition again where they went before",
    Event.ONWARD: "an operator: writes shall go on to yet another partition",
    Event.GONE: "the queue was deleted by its users",
}


class Place(NamedTuple):
    """What a state means, how it ends if nothing is done about it, and what each event leads to.

    ``holds_writes``: how long it lasts is how long clients wait.
    """

    meaning: str
    way_out: str
    next: Mapping[Event, MoveState]
    holds_writes: bool = False


_S = MoveState
_E = Event

TABLE: Mapping[MoveState, Place] = {
    _S.PLANNED: Place(
        "Waits for its turn. Nothing was done.",
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
        "The queue, its metadata and subscriptions are being created on the target; clients notice nothing.",
        "Armed when all is there; back to planned, to be tried again, while it cannot be.",
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
        "Seals when every live worker is fresh and capable; back to planned when the target is not ready any more.",
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
        "Writes are held until every worker has acknowledged that it has none under way to the old segment.",
        "Switches when all have; aborts when they have not in time, by any worker if the mover is gone.",
        {_E.SWITCHED: _S.DRAINING, _E.ABORTED: _S.ARMED, _E.GONE: _S.UNDOING},
        holds_writes=True,
    ),
    _S.DRAINING: Place(
        "Writes go to the new segment; consumers are emptying the older ones. Nothing needs the mover.",
        "Lingers once they are empty; can be reversed or sent on.",
        {
            _E.EMPTY: _S.LINGERING,
            _E.PAUSE: _S.SUSPENDED,
            _E.REVERSE: _S.BACK_PREPARING,
            _E.ONWARD: _S.BACK_PREPARING,
            _E.GONE: _S.VOID,
        },
    ),
    _S.LINGERING: Place(
        "The older segments were empty; whatever may still be under way to them has time to arrive.",
        "Retired if they are empty again later; back to draining if not; can be reversed or sent on.",
        {
            _E.RETIRED: _S.RETIRED,
            _E.NOT_EMPTY: _S.DRAINING,
            _E.PAUSE: _S.SUSPENDED,
            _E.REVERSE: _S.BACK_PREPARING,
            _E.ONWARD: _S.BACK_PREPARING,
            _E.GONE: _S.VOID,
        },
    ),
    _S.RETIRED: Place(
        "The queue has one segment again; the queues of the older ones are being deleted from their partitions.",
        "Done when they are, also if the queue is deleted meanwhile. A new move takes it back.",
        {_E.CLEANED: _S.DONE},
    ),
    _S.DONE: Place("The queue lives on the target; there is a certificate.", "", {}),
    _S.PAUSED: Place(
        "An operator stopped it before the switch, or it failed too often. The queue works where it is.",
        "`resume` begins again at planned; `cancel`.",
        {_E.RESUME: _S.PLANNED, _E.SWITCHED: _S.SUSPENDED, _E.CANCEL: _S.UNDOING, _E.GONE: _S.UNDOING},
    ),
    _S.UNDOING: Place(
        "Cancelled, or the queue was deleted: the placement is barred, then what was created on the target is deleted.",
        "Cancelled when it is; draining if the switch had been made already.",
        {_E.CLEANED: _S.CANCELLED, _E.SWITCHED: _S.DRAINING},
    ),
    _S.CANCELLED: Place("It never came to the switch. The queue is where it was.", "", {}),
    _S.SUSPENDED: Place(
        "An operator stopped it after the switch. Clients write and read as in draining; nothing is retired.",
        "`resume` goes on draining; `reverse`; can be sent on.",
        {
            _E.RESUME: _S.DRAINING,
            _E.REVERSE: _S.BACK_PREPARING,
            _E.ONWARD: _S.BACK_PREPARING,
            _E.GONE: _S.VOID,
        },
    ),
    _S.BACK_PREPARING: Place(
        "Reversed, or sent on: a queue for the new writes is being created on the partition that they are to go to.",
        "As preparing; `cancel`, or too many attempts, go on draining.",
        {
            _E.PREPARED: _S.BACK_ARMED,
            _E.SWITCHED: _S.DRAINING,
            _E.CANCEL: _S.BACK_UNDOING,
            _E.PAUSE: _S.SUSPENDED,
            _E.GONE: _S.VOID,
        },
    ),
    _S.BACK_ARMED: Place(
        "Reversed, or sent on: ready to seal.",
        "As armed; `cancel`, or too many attempts, go on draining.",
        {
            _E.SEALED: _S.BACK_SEALING,
            _E.BACK_OFF: _S.BACK_PREPARING,
            _E.SWITCHED: _S.DRAINING,
            _E.CANCEL: _S.BACK_UNDOING,
            _E.PAUSE: _S.SUSPENDED,
            _E.GONE: _S.VOID,
        },
    ),
    _S.BACK_SEALING: Place(
        "Reversed, or sent on: writes are held as in sealing.",
        "As sealing.",
        {_E.SWITCHED: _S.DRAINING, _E.ABORTED: _S.BACK_ARMED, _E.GONE: _S.VOID},
        holds_writes=True,
    ),
    _S.BACK_UNDOING: Place(
        "The way back, or on, was cancelled: the placement is barred. What was created for it is deleted in the end.",
        "Draining when it is, or if the switch had been made already.",
        {_E.CLEANED: _S.DRAINING, _E.SWITCHED: _S.DRAINING, _E.GONE: _S.VOID},
    ),
    _S.VOID: Place("The queue was deleted by its users after the switch: nothing is left to move.", "", {}),
}

FIRST = MoveState.PLANNED
# A move that was switched before is on its way to be switched once more.
UNDER_WAY_AGAIN = frozenset(
    {MoveState.BACK_PREPARING, MoveState.BACK_ARMED, MoveState.BACK_SEALING, MoveState.BACK_UNDOING}
)
ENDS = frozenset(state for state, place in TABLE.items() if not place.next)


class NotNow(ValueError):
    """What was asked for, or is said to have happened, cannot be in this state."""

    def __init__(self, state: MoveState, event: Event) -> None:
        allowed = ", ".join(TABLE[state].next) or "nothing: it is an end"
        super().__init__(f"no {event} while {state}; what can be: {allowed}")
        self.state = state
        self.event = event


def after(state: MoveState, event: Event) -> MoveState:
    """Return the state that ``event`` leads to. Raises NotNow."""
    following = TABLE[state].next.get(event)
    if following is None:
        raise NotNow(state, event)
    return following


def before_switch(state: MoveState) -> bool:
    """Tell whether writes never went to the target: such a move can be cancelled."""
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
