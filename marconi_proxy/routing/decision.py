"""Decide about a call: ``decide(placement, route, target)``, a closed union.

The whole table (state of the placement x effect of the route) is in ``decide``, and that of queues with history (reach
of the route x origin of its ids) in ``_spread``; tests/unit/marconi_proxy/routing/test_decision.py walks both.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto
from typing import NamedTuple

from catalog.model import Placement, PlacementState, Segment
from marconi_proxy.routing import query as raw_query
from marconi_proxy.routing.route import Effect, ParsedRoute, Reach, RouteKind, RouteRule
from marconi_proxy.routing.tags import is_news, owner, resume
from marconi_proxy.routing.translation import parts, split


class Forward(NamedTuple):
    """Send the call to this segment's partition. ``unsettled``: it is unknown whether the queue exists there."""

    segment: Segment
    unsettled: bool = False


# -- of queues with history: the call is translated for each segment, and the answers back


class One(NamedTuple):
    """Send the call to this segment."""

    segment: Segment


class FirstNonEmpty(NamedTuple):
    """Take from the first of the segments that has a message."""

    segments: tuple[Segment, ...]


class Paginate(NamedTuple):
    """List the messages of the segments one after the other. ``marker``: the client's, as the first of them knows it;
    None from its start."""

    segments: tuple[Segment, ...]
    marker: str | None


class Merge(NamedTuple):
    """Get messages by their ids from several segments, in the order in which they are asked for."""

    segments: tuple[Segment, ...]
    ids: tuple[str, ...]


class Sum(NamedTuple):
    """Add up the stats of the segments."""

    segments: tuple[Segment, ...]


class All(NamedTuple):
    """Send the call to each of the segments; it is done when all of them have done it."""

    segments: tuple[Segment, ...]


class Mirror(NamedTuple):
    """Send the call to the last of the segments; if that accepts it, repeat it on the others."""

    segments: tuple[Segment, ...]


Spread = One | FirstNonEmpty | Paginate | Merge | Sum | All | Mirror


class Action(Enum):
    """The decisions without arguments.

    BY_RULE: the queue has no placement; send the call to the partition where the queue would be placed; its answer is
    right (API section 8.4). TO_ANY: no queue decides; any partition that speaks the version answers, or refuses what
    the API refuses. CREATE: place the queue, or finish placing it, then forward. DELETE: delete the queue from its
    partitions and the catalog. HOLD: the write waits, because the queue is being switched to another segment. LOOK: an
    id is from a newer segment than the placement has; read the catalog. LOCAL: the front door answers itself.
    NOT_FOUND: no such route, or one that is closed to clients (pools, flavors, health reports). BAD_PATH: a path that
    servers could read differently.
    """

    BY_RULE = auto()
    TO_ANY = auto()
    CREATE = auto()
    DELETE = auto()
    HOLD = auto()
    LOOK = auto()
    LOCAL = auto()
    NOT_FOUND = auto()
    BAD_PATH = auto()


Decision = Forward | Spread | Action

# The call names its segment by an id or a marker.
_BY_TEXT = (Reach.NAMED, Reach.READ, Reach.REMOVE)
_HELD = frozenset({Reach.LAST, Reach.MIRRORED, Reach.EVERY})


def decide_without_queue(route: ParsedRoute, *, well_formed: bool) -> Decision:
    """Decide for a route that names no queue, or a queue or project that the API refuses."""
    kind = route.rule.kind
    if kind is RouteKind.UNKNOWN:
        return Action.NOT_FOUND
    if kind is RouteKind.UNSAFE:
        return Action.BAD_PATH
    # A load balancer probes without the headers of the API, and no partition has this route.
    if kind is RouteKind.READY or (route.rule.local and well_formed):
        return Action.LOCAL
    return Action.TO_ANY


def decide(placement: Placement | None, route: ParsedRoute, target: bytes, *, latest: bool = False) -> Decision:
    """Decide for a route with a legal queue name in a legal project. ``placement`` is the catalog's, or None;
    ``target`` is the raw request target, ``latest`` whether the placement was just read."""
    effect = route.rule.effect
    if placement is None:
        # A v1 post to an unknown queue is not CREATE: it creates nothing (API section 8.4).
        return Action.CREATE if effect is Effect.CREATES else Action.BY_RULE
    state = placement.state
    segments = placement.segments
    # PERF: every call to a queue that was never moved ends here.
    if state is PlacementState.OPEN and len(segments) == 1 and segments[0].n == placement.base:
        if effect is Effect.DELETES:
            return Action.DELETE
        # After a pause of its machine, a worker may not have seen a move, and its own clock shows a valid lease.
        # PERF: the cheap check for a possible tag comes first; most often there is none.
        may_be_news = route.rule.reach in _BY_TEXT and (b"-" in target or b"%" in target) and not latest
        if may_be_news and _names_news(placement, route, target):
            return Action.LOOK
        return Forward(segments[0])
    if effect is Effect.DELETES:
        return Action.DELETE
    if state is PlacementState.OPEN:
        return _spread(placement, route, target, latest)
    if state is PlacementState.SEALING:
        if is_held(route.rule):
            return Action.HOLD
        # Also for a queue without history yet: this worker may not have seen the switch.
        return _spread(placement, route, target, latest)
    # reserved, creating, deleting: only the partition knows whether the queue exists; only the front door creates it.
    if effect is Effect.CREATES:
        return Action.CREATE
    if has_history(placement):
        return _spread(placement, route, target, latest)
    return Forward(segments[-1], unsettled=state is not PlacementState.RESERVED)


def is_held(rule: RouteRule) -> bool:
    """Return whether a call must not reach a segment once another one is being opened after it.

    Consumers' calls may: messages that they take, renew, release or remove stay in their segment.
    """
    return rule.writes and rule.reach in _HELD


def has_history(placement: Placement) -> bool:
    """Return whether ids of its segments may differ from those that clients see."""
    return len(placement.segments) != 1 or placement.segments[0].n != placement.base


def _spread(placement: Placement, route: ParsedRoute, target: bytes, latest: bool) -> Decision:
    """Decide for a queue with history: the segments of the call (architecture section 6)."""
    segments = placement.segments
    reach = route.rule.reach
    if reach is Reach.LAST:
        return One(segments[-1])
    path, query = split(target)
    if reach is Reach.NAMED:
        texts = parts(path)[5:6]
    elif reach is Reach.READ or reach is Reach.REMOVE:
        texts = raw_query.values(query, "ids")
        if reach is Reach.READ and not texts:
            marker = raw_query.last(query, "marker")
            if marker is None:
                return Paginate(segments, None)
            if not latest and is_news(placement, marker):
                return Action.LOOK
            return Paginate(*resume(placement, marker))
        if reach is Reach.REMOVE and _pops(route, query):
            return FirstNonEmpty(segments) if not texts else One(segments[-1])
    elif len(segments) == 1:
        return One(segments[-1])
    elif reach is Reach.FIRST:
        return FirstNonEmpty(segments)
    elif reach is Reach.SUM:
        return Sum(segments)
    else:
        return Mirror(segments) if reach is Reach.MIRRORED else All(segments)
    if not latest and any(is_news(placement, text) for text in texts):
        return Action.LOOK
    owners = _owners(placement, texts)
    if len(owners) == 1:
        return One(owners[0])
    return Merge(owners, tuple(texts)) if reach is Reach.READ else All(owners)


def _names_news(placement: Placement, route: ParsedRoute, target: bytes) -> bool:
    """Return whether an id or a marker of the call is from a segment that the placement does not have yet."""
    reach = route.rule.reach
    path, query = split(target)
    texts: list[str | None] = []
    if reach is Reach.NAMED:
        texts += parts(path)[5:6]
    elif reach is Reach.READ or reach is Reach.REMOVE:
        texts += raw_query.values(query, "ids")
        if reach is Reach.READ and not texts:
            texts.append(raw_query.last(query, "marker"))
    return any(text is not None and is_news(placement, text) for text in texts)


def _pops(route: ParsedRoute, query: str) -> bool:
    """Return whether a deletion of messages is a pop (API section 3.5). v1 has none."""
    return route.version != "v1" and bool(raw_query.values(query, "pop"))


def _owners(placement: Placement, texts: Iterable[str]) -> tuple[Segment, ...]:
    """Return the segments of ids, in the order of the chain. The last one stands in for retired ones, and refuses a
    text that is no id at all."""
    owners = {owner(placement, text) for text in texts}
    return tuple(segment for segment in placement.segments if segment in owners) or placement.segments[-1:]
