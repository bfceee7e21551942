"""What is done with a call: ``decide(placement, route, target)``, a closed union.

The whole table (state of the placement x effect of the route) is in ``decide``, and that of queues with history (reach
of the route x where its ids are from) in ``_spread``; tests/unit/test_decision.py walks both.
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
    """Send it to this segment's partition. ``unsettled``: nobody knows yet whether the queue exists there."""

    segment: Segment
    unsettled: bool = False


# -- of queues with history: the call is translated for each segment, and the answers back


class One(NamedTuple):
    """Send it to this segment."""

    segment: Segment


class FirstNonEmpty(NamedTuple):
    """Take from the first of the segments that has something."""

    segments: tuple[Segment, ...]


class Paginate(NamedTuple):
    """List the messages of the segments one after the other. ``marker``: what the first of them calls the client's,
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
    """Send it to each of the segments; it is done when all of them have done it."""

    segments: tuple[Segment, ...]


class Mirror(NamedTuple):
    """Send it to the last of the segments, and if that accepts it, have the others follow."""

    segments: tuple[Segment, ...]


Spread = One | FirstNonEmpty | Paginate | Merge | Sum | All | Mirror


class Action(Enum):
    """What is done where there is nothing more to say.

    BY_RULE: the queue has no placement; send the call where the queue would be placed, whose answer is right (API
    section 8.4). TO_ANY: no queue decides; any partition that speaks the version answers, or refuses what the API
    refuses. CREATE: place the queue, or finish placing it, then forward. DELETE: delete the queue from its partitions
    and the catalog. HOLD: writes wait, for the queue is being switched to another segment. LOOK: an id is from a newer
    segment than the placement has: look what the catalog has now. LOCAL: the front door answers itself. NOT_FOUND: no
    such route, or one that is not for the outside (pools, flavors, health reports). BAD_PATH: a path that is refused
    because not everybody would read it alike.
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

# About what an id or a marker names.
_BY_TEXT = (Reach.NAMED, Reach.READ, Reach.REMOVE)
_HELD = frozenset({Reach.LAST, Reach.MIRRORED, Reach.EVERY})


def decide_without_queue(route: ParsedRoute, *, well_formed: bool) -> Decision:
    """Decide for a route that names no queue, or whose queue or project the API refuses."""
    kind = route.rule.kind
    if kind is RouteKind.UNKNOWN:
        return Action.NOT_FOUND
    if kind is RouteKind.UNSAFE:
        return Action.BAD_PATH
    if route.rule.local and well_formed:
        return Action.LOCAL
    return Action.TO_ANY


def decide(placement: Placement | None, route: ParsedRoute, target: bytes, *, latest: bool = False) -> Decision:
    """Decide for a route with a legal queue name in a legal project. ``placement`` is what the catalog has for it;
    ``target`` is the raw request target, ``latest`` tells that the placement was just read."""
    effect = route.rule.effect
    if placement is None:
        # A v1 post to an unknown queue is not in here: it creates nothing (API section 8.4).
        return Action.CREATE if effect is Effect.CREATES else Action.BY_RULE
    state = placement.state
    segments = placement.segments
    # PERF: every call to a queue that was never moved ends here.
    if state is PlacementState.OPEN and len(segments) == 1 and segments[0].n == placement.base:
        if effect is Effect.DELETES:
            return Action.DELETE
        # A worker whose machine was paused may not know of any move, and has its lease by its own clock.
        # PERF: so it is asked first whether there may be a tag, which costs little, and most often there is none.
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
        # Also of a queue without history yet: the switch may be news that has not come here.
        return _spread(placement, route, target, latest)
    # reserved, creating, deleting: whether the queue exists is for the partition to say, creating it for us to order.
    if effect is Effect.CREATES:
        return Action.CREATE
    if has_history(placement):
        return _spread(placement, route, target, latest)
    return Forward(segments[-1], unsettled=state is not PlacementState.RESERVED)


def is_held(rule: RouteRule) -> bool:
    """Tell whether a call must not reach a segment once another one is being opened after it.

    Consumers' calls may: what they take, renew, release or remove stays in the segment that it is in.
    """
    return rule.writes and rule.reach in _HELD


def has_history(placement: Placement) -> bool:
    """Tell whether what its segments give out may look other than what clients are shown."""
    return len(placement.segments) != 1 or placement.segments[0].n != placement.base


def _spread(placement: Placement, route: ParsedRoute, target: bytes, latest: bool) -> Decision:
    """Decide for a queue with history: which of its segments the call is about (architecture section 6)."""
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
    """Tell whether what a call names by an id or a marker is from a segment that the placement does not have yet."""
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
    """Whether a deletion of messages is a pop (API section 3.5). v1 has none."""
    return route.version != "v1" and bool(raw_query.values(query, "pop"))


def _owners(placement: Placement, texts: Iterable[str]) -> tuple[Segment, ...]:
    """The segments that ids are from, in the order of the chain. The last one speaks for those that were retired, and
    refuses what is no id at all."""
    owners = {owner(placement, text) for text in texts}
    return tuple(segment for segment in placement.segments if segment in owners) or placement.segments[-1:]
