"""Where a move leads that goes another way after its switch: back, or on to yet another partition. Pure.

``source`` and ``target`` of a move that is only reversed stay what they were; ``destination`` says which way it goes.
"""

from __future__ import annotations

from dataclasses import replace

from catalog.model import Move, MoveState, Placement
from marconi_proxy.moving.protocol.machine import before_switch

_SETTLED = frozenset({MoveState.DRAINING, MoveState.LINGERING, MoveState.SUSPENDED, MoveState.RETIRED, MoveState.DONE})


def writes_to(move: Move) -> str:
    """Return the partition that writes of the queue go to, as far as its record tells; of a move that has ended, the
    one that they went to then."""
    if before_switch(move.state):
        return move.source
    return str(move.facts.get("switched_to") or move.destination)


def came_from(move: Move, placement: Placement) -> str:
    """Return the partition where writes of a queue went before they went where they go now."""
    if len(placement.segments) > 1:
        return placement.segments[-2].partition
    return move.target if placement.partition == move.source else move.source


def goes_back(move: Move, placement: Placement) -> bool:
    """Tell whether a move that is to be switched once more goes where writes went before, rather than on."""
    # Its record may not say yet that it was switched: what it found is the chain up to the segment it was to seal.
    found = tuple(segment for segment in placement.segments if move.tail is None or segment.n <= move.tail)
    return came_from(move, replace(placement, segments=found or placement.segments)) == move.destination


def turned(move: Move, placement: Placement, destination: str) -> Move:
    """Return the move as one that is to send writes ``destination`` a partition next."""
    # The segment to be sealed is another one now: until it is known, none is.
    return replace(
        _leading(move, placement.partition, destination), destination=destination, tail=None, backend_name=None, due=0.0
    )


def settled(move: Move) -> Move:
    """Return a move as it is to be written down: if it was to go another way and does not, it is what was switched
    last."""
    if move.state not in _SETTLED or "switches" not in move.facts:
        return move
    last = move.facts["switches"][-1]
    return replace(_leading(move, last["from"], last["to"]), destination=last["to"])


def _leading(move: Move, source: str, target: str) -> Move:
    if {source, target} == {move.source, move.target}:
        return move
    # Both at once, and ``destination`` is one of them meanwhile.
    return replace(move, source=source, target=target, destination=target)
