"""The record of a move for a chain that no move has made. Pure."""

from __future__ import annotations

from catalog.model import LogEntry, Move, MoveMeasurements, MoveProgress, MoveState, Placement, Switch


def suspended(move_id: str, placement: Placement, now: float, reason: str, waits: str) -> Move:
    """Return a move as it is after its switch to the placement's last segment, not yet drained.

    It begins suspended: until it is resumed, clients may write to the older segments directly. ``now``: seconds since
    1970. ``waits``: the reason to wait, for operators.
    """
    before, last = placement.segments[-2:]
    return Move(
        move_id,
        placement.project,
        placement.queue,
        before.partition,
        last.partition,
        MoveState.SUSPENDED,
        created=now,
        log=(LogEntry(now, MoveState.SUSPENDED, reason),),
        incarnation=placement.incarnation,
        tail=before.n,
        backend_name=last.backend_name,
        progress=MoveProgress(
            switches=(Switch(now, before.partition, last.partition),), switched_at=now, switched_to=last.partition
        ),
        measured=MoveMeasurements(waits=waits),
    )
