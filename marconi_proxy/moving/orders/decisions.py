"""The last decision on a move, to stop or to continue: by an operator, or after too many failures. Pure.

Decisions on a group are written into one move after the other, so they have a number, which grows. Times of different
machines could not order them.
"""

from __future__ import annotations

from collections.abc import Iterable

from catalog.model import LogEntry, Move, MoveState
from marconi_proxy.moving.orders.order import OPERATOR
from marconi_proxy.moving.protocol.machine import Event

# The name of the number among the measures of a log entry.
NUMBER = "decision"
# The states of a stopped move, each with the event that stops it.
STOPS = {
    MoveState.PAUSED: Event.PAUSE,
    MoveState.UNDOING: Event.CANCEL,
    MoveState.SUSPENDED: Event.PAUSE,
    MoveState.REROUTE_UNDOING: Event.CANCEL,
}


def last_decision(move: Move) -> LogEntry | None:
    """Return the entry of the last decision in a move's log, None if there is none."""
    decided = (entry for entry in reversed(move.log) if entry.state in STOPS or entry.reason.startswith(OPERATOR))
    return next(decided, None)


def number_of(entry: LogEntry | None) -> int:
    """Return the number of a decision; 0 for None, and for a decision of an earlier release."""
    number = None if entry is None else dict(entry.measures).get(NUMBER)
    return number if isinstance(number, int) else 0


def next_number(moves: Iterable[Move]) -> int:
    """Return the number for a new decision on all of these moves."""
    return 1 + max((number_of(last_decision(move)) for move in moves), default=0)
