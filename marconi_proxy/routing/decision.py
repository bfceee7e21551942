"""What is done with a call: ``decide(placement, route, project_ok)``, a closed union of outcomes.

The whole table (state of the placement x effect of the route) is in ``decide``; tests/unit/test_decision.py walks it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from catalog.model import Placement, PlacementState, Segment
from marconi_proxy.routing.route import Effect, Kind, Route


class Forward(NamedTuple):
    """Send it to this segment's partition. ``unsettled``: nobody knows yet whether the queue exists there."""

    segment: Segment
    unsettled: bool = False


@dataclass(frozen=True, slots=True)
class ForwardByRule:
    """The queue has no placement: send it where the queue would be placed, whose answer is right (API section 8.4)."""


@dataclass(frozen=True, slots=True)
class ForwardToAny:
    """No queue decides: any partition that speaks the version answers, or refuses what the API refuses."""


@dataclass(frozen=True, slots=True)
class Create:
    """Place the queue, or finish placing it, then forward."""


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the queue from its partition and then from the catalog."""


@dataclass(frozen=True, slots=True)
class Local:
    """The front door answers it itself."""


@dataclass(frozen=True, slots=True)
class NotFound:
    """No such route, here or on a partition (or one that is not for the outside: pools, flavors, health reports)."""


@dataclass(frozen=True, slots=True)
class BadPath:
    """A path that is refused because not everybody would read it alike."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Writes wait: the queue is being switched to another segment."""


Decision = Forward | ForwardByRule | ForwardToAny | Create | Delete | Local | NotFound | BadPath | Hold

_BY_RULE = ForwardByRule()
_TO_ANY = ForwardToAny()
_CREATE = Create()
_DELETE = Delete()
_LOCAL = Local()
_NOT_FOUND = NotFound()
_BAD_PATH = BadPath()
_HOLD = Hold()


def decide_without_queue(route: Route, *, well_formed: bool) -> Decision:
    """Decide for a route that names no queue, or whose queue or project the API refuses."""
    kind = route.rule.kind
    if kind is Kind.UNKNOWN:
        return _NOT_FOUND
    if kind is Kind.UNSAFE:
        return _BAD_PATH
    if route.rule.local and well_formed:
        return _LOCAL
    return _TO_ANY


def decide(placement: Placement | None, route: Route) -> Decision:
    """Decide for a route with a legal queue name in a legal project. ``placement`` is what the catalog has for it."""
    effect = route.rule.effect
    if placement is None:
        # A v1 post to an unknown queue is not in here: it creates nothing (API section 8.4).
        return _CREATE if effect is Effect.CREATES else _BY_RULE
    state = placement.state
    if state is PlacementState.OPEN:
        return _DELETE if effect is Effect.DELETES else Forward(placement.segments[-1])
    if effect is Effect.DELETES:
        return _DELETE
    if state is PlacementState.SEALING:
        return _HOLD if route.rule.writes else Forward(placement.segments[-1])
    # reserved, creating, deleting: whether the queue exists is for the partition to say, creating it for us to order.
    if effect is Effect.CREATES:
        return _CREATE
    return Forward(placement.segments[-1], unsettled=state is not PlacementState.RESERVED)
