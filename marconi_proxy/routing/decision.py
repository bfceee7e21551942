"""What is done with a call: ``decide(placement, route)``, a closed union.

The whole table (state of the placement x effect of the route) is in ``decide``; tests/unit/test_decision.py walks it.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from catalog.model import Placement, PlacementState, Segment
from marconi_proxy.routing.route import Effect, Kind, Route


class Forward(NamedTuple):
    """Send it to this segment's partition. ``unsettled``: nobody knows yet whether the queue exists there."""

    segment: Segment
    unsettled: bool = False


class Outcome(Enum):
    """What is done where there is nothing more to say.

    BY_RULE: the queue has no placement; send the call where the queue would be placed, whose answer is right (API
    section 8.4). TO_ANY: no queue decides; any partition that speaks the version answers, or refuses what the API
    refuses. CREATE: place the queue, or finish placing it, then forward. DELETE: delete the queue from partition and
    catalog. HOLD: writes wait, for the queue is being switched to another segment. LOCAL: the front door
    answers itself. NOT_FOUND: no such route, or one that is not for the outside (pools, flavors, health reports).
    BAD_PATH: a path that is refused because not everybody would read it alike.
    """

    BY_RULE = auto()
    TO_ANY = auto()
    CREATE = auto()
    DELETE = auto()
    HOLD = auto()
    LOCAL = auto()
    NOT_FOUND = auto()
    BAD_PATH = auto()


Decision = Forward | Outcome


def decide_without_queue(route: Route, *, well_formed: bool) -> Decision:
    """Decide for a route that names no queue, or whose queue or project the API refuses."""
    kind = route.rule.kind
    if kind is Kind.UNKNOWN:
        return Outcome.NOT_FOUND
    if kind is Kind.UNSAFE:
        return Outcome.BAD_PATH
    if route.rule.local and well_formed:
        return Outcome.LOCAL
    return Outcome.TO_ANY


def decide(placement: Placement | None, route: Route) -> Decision:
    """Decide for a route with a legal queue name in a legal project. ``placement`` is what the catalog has for it."""
    effect = route.rule.effect
    if placement is None:
        # A v1 post to an unknown queue is not in here: it creates nothing (API section 8.4).
        return Outcome.CREATE if effect is Effect.CREATES else Outcome.BY_RULE
    state = placement.state
    if state is PlacementState.OPEN:
        return Outcome.DELETE if effect is Effect.DELETES else Forward(placement.segments[-1])
    if effect is Effect.DELETES:
        return Outcome.DELETE
    if state is PlacementState.SEALING:
        return Outcome.HOLD if route.rule.writes else Forward(placement.segments[-1])
    # reserved, creating, deleting: whether the queue exists is for the partition to say, creating it for us to order.
    if effect is Effect.CREATES:
        return Outcome.CREATE
    return Forward(placement.segments[-1], unsettled=state is not PlacementState.RESERVED)
