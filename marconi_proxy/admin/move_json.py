"""Moves as the admin API writes them."""

from __future__ import annotations

from typing import Any

from catalog.model import Move
from marconi_proxy.admin.project_text import shown, shown_project
from marconi_proxy.admin.time_text import iso
from marconi_proxy.moving.orders.ordering import offers
from marconi_proxy.moving.protocol.machine import TABLE

# Not in lists: they grow with what a move has gone through.
_LONG = ("log", "certificate", "facts")


def summary(move: Move) -> dict[str, Any]:
    """Return the JSON of one move in a list: what it is, where it stands, why it is not done, what can be done."""
    document = move.to_json() | {
        "project": shown_project(move.project),
        "queue": shown(move.queue),
        "created": iso(move.created),
        "due": iso(move.due) if move.due else None,
        "left": move.facts.get("left"),
        "waits": waits(move),
        "can": list(offers(move.state)),
    }
    if move.holder is not None:
        document["holder"] = move.holder.to_json() | {"until": iso(move.holder.until)}
    return {name: value for name, value in document.items() if name not in _LONG}


def whole(move: Move) -> dict[str, Any]:
    """Return the JSON of one move with its log, facts and certificate."""
    document = move.to_json()
    log = [entry.to_json() | {"at": iso(entry.at)} for entry in move.log]
    return summary(move) | {name: document[name] for name in _LONG} | {"log": log}


def waits(move: Move) -> str | None:
    """Return why the move is not done, None if it has ended: what its mover saw last, else what its state means."""
    if move.finished:
        return None
    seen = move.facts.get("waits")
    if isinstance(seen, str) and seen:
        return seen
    place = TABLE[move.state]
    idle = "" if move.holder is not None else " No mover holds it now."
    later = f" The next step is not tried before {iso(move.due)}." if move.due else ""
    return f"{place.meaning} {place.way_out}{later}{idle}"
