"""The JSON of moves in the admin API."""

from __future__ import annotations

from typing import Any

from catalog.model import LogEntry, Move, MoveState
from marconi_proxy.clock import iso
from marconi_proxy.moving.execution.progress import moment
from marconi_proxy.moving.orders.direction import writes_to
from marconi_proxy.moving.orders.order import OPERATOR, offers
from marconi_proxy.project_text import shown, shown_project

# Not in lists, because they grow with the history of a move.
_LONG = ("log", "certificate", "facts")


def summary(move: Move, now: float) -> dict[str, Any]:
    """Return the JSON of one move in a list: its state, the cause of its wait, and the possible actions."""
    document = move.to_json() | {
        "project": shown_project(move.project),
        "queue": shown(move.queue),
        "created": iso(move.created),
        "due": iso(move.due) if move.due else None,
        "writes_to": writes_to(move),
        "left": move.facts.get("left"),
        "waits": waits(move, now),
        "can": list(offers(move.state)),
    }
    return {name: value for name, value in document.items() if name not in _LONG}


def whole(move: Move, now: float) -> dict[str, Any]:
    """Return the JSON of one move with its log, facts and certificate."""
    document = move.to_json()
    log = [entry.to_json() | {"at": iso(entry.at)} for entry in move.log]
    return summary(move, now) | {name: document[name] for name in _LONG} | {"log": log}


# The cause of the wait by state, unless the mover recorded another one.
_WAITS = {
    MoveState.PLANNED: "for a mover to begin it",
    MoveState.PREPARING: "until the queue is ready on {destination}",
    MoveState.ARMED: "for its turn to be sealed",
    MoveState.SEALING: "until every worker has acknowledged the seal",
    MoveState.DRAINING: "until consumers have emptied the older segments",
    MoveState.LINGERING: "to look once more at the older segments, which were empty",
    MoveState.RETIRED: "until the queues of the older segments are deleted",
    MoveState.PAUSED: "for an operator to resume or cancel it",
    MoveState.UNDOING: "until what it has created is deleted",
    MoveState.SUSPENDED: "for an operator to resume or reverse it",
    MoveState.REROUTE_PREPARING: "until the queue is ready on {destination}",
    MoveState.REROUTE_ARMED: "for its turn to be sealed",
    MoveState.REROUTE_SEALING: "until every worker has acknowledged the seal",
    MoveState.REROUTE_UNDOING: "until no worker can write to the other partition any more",
}
_RESTING = (MoveState.PAUSED, MoveState.SUSPENDED)
# Movers enter and leave these states without a record.
_UNTOLD = (*_RESTING, MoveState.DRAINING)
# Seconds after which a pending step is overdue: much longer than healthy movers need.
_OVERDUE = 60.0


def waits(move: Move, now: float) -> str | None:
    """Return the cause of the wait in one sentence, None if the move has ended."""
    if move.finished:
        return None
    seen = str(move.facts.get("waits") or "")
    last = move.log[-1] if move.log else None
    if move.state in _RESTING or not seen:
        what = _WAITS[move.state].format(destination=move.destination)
        if move.state in _RESTING and last is not None and not last.reason.startswith(OPERATOR):
            what += f": {last.reason}"
        seen_at = None
    else:
        what, seen_at = seen, _seen_at(move, seen, last)
    words = what if seen_at is None else f"{what} (seen at {moment(seen_at)})"
    if move.due > now and move.state not in _RESTING:
        return f"{words}; the next step is at {moment(move.due)}"
    since = max(move.due, move.created, last.at if last is not None else 0.0)
    # An observation without a time may be recent.
    told = move.state not in _UNTOLD and (not seen or (last is not None and last.reason == seen))
    if told and move.holder is None and now - since > _OVERDUE:
        return f"{words}; no mover has taken it up since {moment(since)}"
    return words


def _seen_at(move: Move, seen: str, last: LogEntry | None) -> float | None:
    """Return the time of the mover's observation, None if it is not recorded."""
    if last is not None and last.reason == seen:
        return last.at
    looked_at = move.facts.get("looked_at")
    # With this prefix, the observation is not from a poll of segments.
    return looked_at if isinstance(looked_at, float) and not seen.startswith("for ") else None
