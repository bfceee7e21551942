"""The direction of a move after its switch: reversed, or sent on to yet another partition. Pure.

``source`` and ``target`` of a move that is only reversed stay as they were; ``destination`` is where it goes next.
"""

from __future__ import annotations

from dataclasses import replace

from catalog.model import Move, MoveState, Placement
from marconi_proxy.moving.protocol.machine import before_switch

_SETTLED = frozenset({MoveState.DRAINING, MoveState.LINGERING, MoveState.SUSPENDED, MoveState.RETIRED, MoveState.DONE})


def writes_to(move: Move) -> str:
    """Return the partition that writes of the queue go to, by the record of the move; after its end, the partition that
    they went to then."""
    if before_switch(move.state):
        return move.source
    return move.progress.switched_to or move.destination


def came_from(move: Move, placement: Placement) -> str:
    """Return the partition that writes of the queue went to before the last switch."""
    if len(placement.segments) > 1:
        return placement.segments[-2].partition
    return move.target if placement.partition == move.source else move.source


def goes_back(move: Move, placement: Placement) -> bool:
    """Return whether a move that is to be switched once more goes back to the previous partition, rather than on."""
    # The record may lag behind a switch, so consider the chain only up to the segment that the move was to seal.
    found = tuple(segment for segment in placement.segments if move.tail is None or segment.n <= move.tail)
    return came_from(move, replace(placement, segments=found or placement.segments)) == move.destination


def turned(move: Move, placement: Placement, destination: str) -> Move:
    """Return the move as one that sends writes to partition ``destination`` next."""
    # The segment to seal is not known before the move is armed again.
    return replace(
        _leading(move, placement.partition, destination), destination=destination, tail=None, backend_name=None, due=0.0
    )


def settled(move: Move) -> Move:
    """Return a move as it is to be recorded: if its second way was given up, source and target are those of its last
    switch."""
    if move.state not in _SETTLED or not move.progress.switches:
        return move
    last = move.progress.switches[-1]
    return replace(_leading(move, last.source, last.target), destination=last.target)


def _leading(move: Move, source: str, target: str) -> Move:
    if {source, target} == {move.source, move.target}:
        return move
    # A move's ``destination`` must be one of both at any time, so change them in one step.
    return replace(move, source=source, target=target, destination=target)
