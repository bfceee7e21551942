"""The certificate of a finished move: measurements, each made by the process that did the work. Pure."""

from __future__ import annotations

from typing import Any

from catalog.model import Move

_SUMMED = ("held", "refused")


def certificate(move: Move, at: float) -> dict[str, Any]:
    """Return the certificate of a move that ends at ``at``, in seconds since 1970.

    ``switches`` has all switches, several if the move was reversed or sent on; the other members are about the last
    one. ``pause_ms`` lasts from just before the seal to just after the switch, by the clock of the mover that did both;
    null if that mover died in between. ``writes`` sums up the members' counts of held writes. ``barrier`` has the
    members by the way in which they passed the barrier.
    """
    facts = move.facts
    holds = facts.get("holds", [])
    switches = facts["switches"]
    return {
        "queue": move.queue,
        "project": move.project or None,
        "from": switches[-1]["from"],
        "to": switches[-1]["to"],
        "ordered_at": move.created,
        "switched_at": facts.get("switched_at"),
        "done_at": at,
        "pause_ms": move.pause_ms,
        "switches": switches,
        "seals_tried": move.attempt,
        "barrier": facts.get("barrier"),
        "writes": {
            **{name: sum(hold.get(name, 0) for hold in holds) for name in _SUMMED},
            "longest_ms": max((hold.get("longest_ms", 0) for hold in holds), default=0),
        },
        "left_at_switch": facts.get("left_at_switch"),
        "zero_checks": facts.get("zero_checks", []),
        "deleted": facts.get("deleted", []),
    }
