"""The meaning of a request line: ``parse(method, target)``.

The table ``ROUTES`` is API section 8.1: for every kind of resource its versions and methods, the effect of a call on
the catalog, and whether it may be sent again after it might have reached a partition. ``parse`` walks the *decoded*
path exactly as a partition does (API section 1.1: percent-decoding comes before routing, so ``%2F`` splits), because a
misread route would be a security hole. Only calls in the table are ever forwarded; the target itself is forwarded
undecoded.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from catalog.model import API_VERSIONS, TOPIC_PREFIX


class RouteKind(Enum):
    """The kind of resource that a path names."""

    ROOT = auto()
    HOME = auto()
    PING = auto()
    HEALTH = auto()
    READY = auto()
    QUEUES = auto()
    QUEUE = auto()
    METADATA = auto()
    STATS = auto()
    MESSAGES = auto()
    MESSAGE = auto()
    CLAIMS = auto()
    CLAIM = auto()
    PURGE = auto()
    SHARE = auto()
    SUBSCRIPTIONS = auto()
    SUBSCRIPTION = auto()
    CONFIRM = auto()
    TOPICS = auto()
    TOPIC = auto()
    TOPIC_MESSAGES = auto()
    TOPIC_SUBSCRIPTIONS = auto()
    TOPIC_PART = auto()
    UNKNOWN = auto()
    UNSAFE = auto()


class Effect(Enum):
    """The effect of a call on the placement of its queue."""

    NONE = auto()
    CREATES = auto()
    DELETES = auto()


class Reach(Enum):
    """The segments of a queue with history that a call is about.

    LAST: the one that writes go to, which also knows whether the queue exists, and its metadata. FIRST: the first in
    read order that has a message to take. NAMED: the segment of the id in the path. READ, REMOVE: messages, by ``ids``
    those of their segments; without, the segments from the marker's on, or the first to pop from. SUM: every one, added
    up. MIRRORED: the last, repeated on the others once it has accepted. EVERY: each alike.
    """

    LAST = auto()
    FIRST = auto()
    NAMED = auto()
    READ = auto()
    REMOVE = auto()
    SUM = auto()
    MIRRORED = auto()
    EVERY = auto()


class RouteRule(NamedTuple):
    """One row of the table.

    ``repeatable``: sending it twice has the effect of sending it once (API section 8.1, column Retry). ``local``: the
    front door answers it itself if it is well-formed. ``writes``: it may change the content of the queue. ``reach``:
    its segments if the queue has history.
    """

    kind: RouteKind
    effect: Effect = Effect.NONE
    repeatable: bool = True
    local: bool = False
    writes: bool = False
    reach: Reach = Reach.LAST


class ParsedRoute(NamedTuple):
    """A parsed request line.

    ``version`` is one of API_VERSIONS, or "" for ROOT and UNKNOWN. ``queue`` is the catalog's name for the queue or
    topic ("" if the route has none); ``named`` whether that is a legal name (API section 1.4).
    """

    rule: RouteRule
    version: str
    queue: str
    named: bool


# The strict rule of API section 1.4: the whole string, and neither of the two names that no client can address.
_NAME = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9_.\-]{1,64}\Z")

_V1, _LATER, _V2, _ALL = ("v1",), ("v1.1", "v2"), ("v2",), API_VERSIONS

# (kind, versions): {method: rule}. A method that is missing changes nothing and may be repeated: a partition refuses
# it with 405, or answers OPTIONS.
ROUTES: dict[tuple[RouteKind, tuple[str, ...]], dict[str, RouteRule]] = {
    (RouteKind.ROOT, ("",)): {"GET": RouteRule(RouteKind.ROOT, local=True)},
    (RouteKind.HOME, _ALL): {},
    (RouteKind.PING, _LATER): {
        "GET": RouteRule(RouteKind.PING, local=True),
        "HEAD": RouteRule(RouteKind.PING, local=True),
    },
    (RouteKind.HEALTH, _V1): {
        "GET": RouteRule(RouteKind.HEALTH, local=True),
        "HEAD": RouteRule(RouteKind.HEALTH, local=True),
    },
    (RouteKind.READY, _ALL): {
        "GET": RouteRule(RouteKind.READY, local=True),
        "HEAD": RouteRule(RouteKind.READY, local=True),
    },
    (RouteKind.QUEUES, _ALL): {"GET": RouteRule(RouteKind.QUEUES, local=True)},
    (RouteKind.QUEUE, _ALL): {
        "PUT": RouteRule(RouteKind.QUEUE, Effect.CREATES, writes=True),
        "DELETE": RouteRule(RouteKind.QUEUE, Effect.DELETES, writes=True),
        "PATCH": RouteRule(RouteKind.QUEUE, writes=True, reach=Reach.MIRRORED),
    },
    (RouteKind.METADATA, _V1): {"PUT": RouteRule(RouteKind.METADATA, writes=True, reach=Reach.MIRRORED)},
    (RouteKind.STATS, _ALL): {"GET": RouteRule(RouteKind.STATS, reach=Reach.SUM)},
    (RouteKind.MESSAGES, _V1): {
        "GET": RouteRule(RouteKind.MESSAGES, reach=Reach.READ),
        "POST": RouteRule(RouteKind.MESSAGES, repeatable=False, writes=True),
        "DELETE": RouteRule(RouteKind.MESSAGES, writes=True, reach=Reach.REMOVE),
    },
    (RouteKind.MESSAGES, _LATER): {
        "GET": RouteRule(RouteKind.MESSAGES, reach=Reach.READ),
        "POST": RouteRule(RouteKind.MESSAGES, Effect.CREATES, repeatable=False, writes=True),
        "DELETE": RouteRule(RouteKind.MESSAGES, writes=True, reach=Reach.REMOVE),
    },
    (RouteKind.MESSAGE, _ALL): {
        "GET": RouteRule(RouteKind.MESSAGE, reach=Reach.NAMED),
        "DELETE": RouteRule(RouteKind.MESSAGE, writes=True, reach=Reach.NAMED),
    },
    (RouteKind.CLAIMS, _ALL): {"POST": RouteRule(RouteKind.CLAIMS, repeatable=False, writes=True, reach=Reach.FIRST)},
    (RouteKind.CLAIM, _ALL): {
        "GET": RouteRule(RouteKind.CLAIM, reach=Reach.NAMED),
        "PATCH": RouteRule(RouteKind.CLAIM, writes=True, reach=Reach.NAMED),
        "DELETE": RouteRule(RouteKind.CLAIM, writes=True, reach=Reach.NAMED),
    },
    (RouteKind.PURGE, _V2): {"POST": RouteRule(RouteKind.PURGE, writes=True, reach=Reach.EVERY)},
    (RouteKind.SHARE, _V2): {},
    (RouteKind.SUBSCRIPTIONS, _V2): {"POST": RouteRule(RouteKind.SUBSCRIPTIONS, Effect.CREATES, writes=True)},
    (RouteKind.SUBSCRIPTION, _V2): {
        "PATCH": RouteRule(RouteKind.SUBSCRIPTION, writes=True),
        "DELETE": RouteRule(RouteKind.SUBSCRIPTION, writes=True),
    },
    (RouteKind.CONFIRM, _V2): {"PUT": RouteRule(RouteKind.CONFIRM, writes=True)},
    (RouteKind.TOPICS, _V2): {"GET": RouteRule(RouteKind.TOPICS, local=True)},
    (RouteKind.TOPIC, _V2): {
        "PUT": RouteRule(RouteKind.TOPIC, Effect.CREATES, writes=True),
        "DELETE": RouteRule(RouteKind.TOPIC, Effect.DELETES, writes=True),
        "PATCH": RouteRule(RouteKind.TOPIC, writes=True, reach=Reach.MIRRORED),
    },
    # Every release of Zaqar fails on messages and subscriptions of topics (API section 4.12); marconi-partition treats
    # them as those of queues.
    (RouteKind.TOPIC_MESSAGES, _V2): {
        "POST": RouteRule(RouteKind.TOPIC_MESSAGES, Effect.CREATES, repeatable=False, writes=True),
        "DELETE": RouteRule(RouteKind.TOPIC_MESSAGES, repeatable=False, writes=True),
    },
    (RouteKind.TOPIC_SUBSCRIPTIONS, _V2): {
        "POST": RouteRule(RouteKind.TOPIC_SUBSCRIPTIONS, Effect.CREATES, writes=True)
    },
    (RouteKind.TOPIC_PART, _V2): {
        "POST": RouteRule(RouteKind.TOPIC_PART, writes=True),
        "PUT": RouteRule(RouteKind.TOPIC_PART, writes=True),
        "PATCH": RouteRule(RouteKind.TOPIC_PART, writes=True),
        "DELETE": RouteRule(RouteKind.TOPIC_PART, writes=True),
    },
}

# Below /{version}: how many segments, with names for the fixed ones; None is a variable one.
_PATHS: dict[RouteKind, tuple[tuple[str | None, ...], ...]] = {
    RouteKind.HOME: (("",),),
    RouteKind.PING: (("ping",),),
    RouteKind.HEALTH: (("health",),),
    RouteKind.READY: (("ready",),),
    RouteKind.QUEUES: (("queues",),),
    RouteKind.QUEUE: (("queues", None),),
    RouteKind.METADATA: (("queues", None, "metadata"),),
    RouteKind.STATS: (("queues", None, "stats"),),
    RouteKind.MESSAGES: (("queues", None, "messages"),),
    RouteKind.MESSAGE: (("queues", None, "messages", None),),
    RouteKind.CLAIMS: (("queues", None, "claims"),),
    RouteKind.CLAIM: (("queues", None, "claims", None),),
    RouteKind.PURGE: (("queues", None, "purge"),),
    RouteKind.SHARE: (("queues", None, "share"),),
    RouteKind.SUBSCRIPTIONS: (("queues", None, "subscriptions"),),
    RouteKind.SUBSCRIPTION: (("queues", None, "subscriptions", None),),
    RouteKind.CONFIRM: (("queues", None, "subscriptions", None, "confirm"),),
    RouteKind.TOPICS: (("topics",),),
    RouteKind.TOPIC: (("topics", None),),
    RouteKind.TOPIC_MESSAGES: (("topics", None, "messages"),),
    RouteKind.TOPIC_SUBSCRIPTIONS: (("topics", None, "subscriptions"),),
    RouteKind.TOPIC_PART: (
        ("topics", None, "stats"),
        ("topics", None, "purge"),
        ("topics", None, "messages", None),
        ("topics", None, "subscriptions", None),
        ("topics", None, "subscriptions", None, "confirm"),
    ),
}


def _index() -> dict[tuple[str, int, str, str], tuple[RouteKind, dict[str, RouteRule], RouteRule]]:
    """Return (version, number of segments, first segment, third and fifth segment) -> (kind, rules, rule of other
    methods)."""
    index = {}
    for (kind, versions), rules in ROUTES.items():
        for shape in _PATHS.get(kind, ()):
            first = shape[0] or "" if shape else ""
            rest = "/".join(shape[i] or "" for i in (2, 4) if i < len(shape))
            for version in versions:
                index[version, len(shape), first, rest] = (kind, rules, RouteRule(kind))
    return index


_INDEX = _index()
_UNKNOWN = ParsedRoute(RouteRule(RouteKind.UNKNOWN), "", "", False)
_UNSAFE = ParsedRoute(RouteRule(RouteKind.UNSAFE), "", "", False)
_HOME_RULE = RouteRule(RouteKind.HOME)
_ROOT_RULES = ROUTES[RouteKind.ROOT, ("",)]
_POP = RouteRule(RouteKind.MESSAGES, repeatable=False, writes=True, reach=Reach.REMOVE)


def valid_name(name: str) -> bool:
    """Return whether ``name`` is a queue or topic name (API section 1.4)."""
    return _NAME.match(name) is not None


def parse(method: str, target: bytes) -> ParsedRoute:
    """Parse a request line. ``target`` is the raw request target, starting with ``/``. Never raises.

    A path that intermediaries might read differently (a ``.`` or ``..`` segment, a fragment) is UNSAFE.
    """
    if b"#" in target:
        return _UNSAFE
    path, _, query = target.partition(b"?")
    route = _parse_short(method, path) if len(path) <= _SHORT else _parse_path(method, path)
    if query and method == "DELETE" and route.rule.kind is RouteKind.MESSAGES and (b"pop" in query or b"%" in query):
        return route._replace(rule=_POP)
    return route


def _parse_path(method: str, raw_path: bytes) -> ParsedRoute:
    if b"%" in raw_path:
        path = unquote_to_bytes(raw_path).decode("utf-8", "replace")
    else:
        path = raw_path.decode("latin-1")
    segments = path.split("/")
    if "." in segments or ".." in segments:
        return _UNSAFE
    if raw_path[:1] != b"/":  # *, an absolute URL, an encoded slash: servers disagree about the path in these
        return _UNKNOWN
    count = len(segments) - 2
    if count < 1:
        if path == "/":
            return ParsedRoute(_ROOT_RULES.get(method) or RouteRule(RouteKind.ROOT), "", "", False)
        return ParsedRoute(_HOME_RULE, path[1:], "", False) if path[1:] in API_VERSIONS else _UNKNOWN
    # One trailing slash is part of no name: partitions ignore it or refuse it (API section 1.1). /queues/ and /topics/
    # stay what they are, a queue with an empty name, for a partition to refuse.
    if count > 2 and not segments[-1]:
        count -= 1
    version = segments[1]
    first = segments[2]
    # Some servers in front of a partition merge slashes, and would see another path.
    if count > 2 and "" in segments[3 : count + 2]:
        return _UNKNOWN
    rest = segments[4] if count > 2 else ""
    if count > 4:
        rest = f"{rest}/{segments[6]}"
    found = _INDEX.get((version, count, first, rest))
    if found is None:
        return _UNKNOWN
    _, rules, other = found
    rule = rules.get(method, other)
    if count < 2:
        return ParsedRoute(rule, version, "", False)
    queue = segments[3]
    return ParsedRoute(rule, version, TOPIC_PREFIX + queue if first == "topics" else queue, valid_name(queue))


# PERF: most calls are to few paths. Only short ones are remembered, so that the memory is bounded (about 2 MB).
_SHORT = 128
_parse_short = lru_cache(4096)(_parse_path)
