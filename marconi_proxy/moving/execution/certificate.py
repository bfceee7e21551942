"""The certificate of a finished move: measurements, each made by the process that did the work. Pure."""

from __future__ import annotations

from typing import Any

from catalog.model import Move


def certificate(move: Move, at: float) -> dict[str, Any]:
    """Return the certificate of a move that ends at ``at``, in seconds since 1970.

    ``switches`` has all switches, several if the move was reversed or sent on; the other members are about the last
    one. ``pause_ms`` lasts from just before the seal to just after the switch, by the clock of the mover that did both;
    null if that mover died in between. ``writes`` sums up the members' counts of held writes. ``barrier`` has the
    members by the way in which they passed the barrier.
    """
    progress, measured = move.progress, move.measured
    holds, last = measured.holds, progress.switches[-1]
    return {
        "queue": move.queue,
        "project": move.project or None,
        "from": last.source,
        "to": last.target,
        "ordered_at": move.created,
        "switched_at": progress.switched_at,
        "done_at": at,
        "pause_ms": move.pause_ms,
        "switches": [switch.to_json() for switch in progress.switches],
        "seals_tried": move.attempt,
        "barrier": None if measured.barrier is None else measured.barrier.to_json(),
        "writes": {
            "held": sum(hold.held for hold in holds),
            "refused": sum(hold.refused for hold in holds),
            "longest_ms": max((hold.longest_ms for hold in holds), default=0),
        },
        "left_at_switch": measured.left_at_switch,
        "zero_checks": [{"at": at} for at in progress.zero_checks],
        "deleted": [list(queue) for queue in progress.deleted],
    }
