"""The evidence in a placement about a move with a record that lags behind.

A step of a move that changes the placement is two writes: the placement first, then the record of the move. The second
write may be missing: the mover died, or another process made the first (any worker aborts an overdue seal). The
placement is authoritative; ``happened`` returns the event that the record has missed. ``suspended`` makes the record
that a chain without any should have.
"""

from __future__ import annotations

from catalog.model import FINISHED_STATES, LogEntry, Move, MoveState, Placement, PlacementState
from marconi_proxy.moving.protocol.machine import ARMED, SEALING, TABLE, UNDER_WAY_AGAIN, Event, before_switch


def happened(
    state: MoveState, move: str, incarnation: str, tail: int | None, placement: Placement | None
) -> Event | None:
    """Return the event that the record in ``state`` has missed, None if it has missed nothing.

    ``incarnation``: the token of the placement that ``move`` moves. ``tail``: the number of the last segment when the
    move was last armed, which is the one to seal; recorded before the seal, None earlier.
    """
    if state in FINISHED_STATES:
        return None
    if placement is None or placement.incarnation != incarnation:
        # A placement in state deleting does not count: the deletion may still be refused, and the queue is open again.
        return Event.GONE if Event.GONE in TABLE[state].next else None
    ahead = before_switch(state) or state in UNDER_WAY_AGAIN
    if placement.state is PlacementState.RESERVED and ahead and Event.GONE in TABLE[state].next:
        # A dead-letter queue that was deleted keeps a reserved placement.
        return Event.GONE
    ours = placement.move == move
    if ahead:
        if ours and tail is not None and placement.segments[-1].n > tail:
            return Event.SWITCHED
        sealed = ours and placement.state is PlacementState.SEALING
        if state in ARMED and sealed:
            return Event.SEALED
        if state in SEALING and not sealed:
            return Event.ABORTED
    elif state is MoveState.LINGERING and not ours:
        return Event.RETIRED
    return None


def suspended(move_id: str, placement: Placement, now: float, reason: str, waits: str) -> Move:
    """Return a move as it is after its switch to the placement's last segment, not yet drained.

    It begins suspended: until it is resumed, clients may write to the older segments directly. ``now``: seconds since
    1970. ``waits``: the reason to wait, for operators.
    """
    before, last = placement.segments[-2:]
    switch = {"at": now, "from": before.partition, "to": last.partition, "pause_ms": None}
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
        facts={"switches": [switch], "switched_at": now, "switched_to": last.partition, "waits": waits},
    )
