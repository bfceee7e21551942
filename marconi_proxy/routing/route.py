"""What a request line asks for: ``parse(method, target)``.

The table ``ROUTES`` is API section 8.1: for every kind of resource its versions and methods, what a call may do to the
catalog, and whether it may be sent again after it might have reached a partition. ``parse`` walks the *decoded* path
exactly as a partition does (API section 1.1: percent-decoding comes before routing, so ``%2F`` splits), because a route
that we took for something else would be a hole. Only what is in the table is ever forwarded; the target itself is
forwarded undecoded.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from catalog.model import API_VERSIONS, TOPIC_PREFIX


class Kind(Enum):
    """What a path names."""

    ROOT = auto()
    HOME = auto()
    PING = auto()
    HEALTH = auto()
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
    """What a call may do to the placement of its queue."""

    NONE = auto()
    CREATES = auto()
    DELETES = auto()


class Reach(Enum):
    """Which segments of a queue with history a call is about.

    LAST: the one that writes go to, which also knows whether the queue exists and what its metadata is. FIRST: the
    first in read order that has something to take. NAMED: the one that the id in the path is from. READ, REMOVE:
    messages, by ``ids`` those that they are from; without, the segments from the marker's on, or the first to pop from.
    SUM: every one, added up. MIRRORED: the last, and what it accepts is repeated on the others. EVERY: each alike.
    """

    LAST = auto()
    FIRST = auto()
    NAMED = auto()
    READ = auto()
    REMOVE = auto()
    SUM = auto()
    MIRRORED = auto()
    EVERY = auto()


class Rule(NamedTuple):
    """One row of the table.

    ``repeatable``: sending it twice has the effect of sending it once (API section 8.1, column Retry). ``local``: the
    front door answers it itself if it is well-formed. ``writes``: it may change what the queue holds. ``reach``: whom
    it is for if the queue has history.
    """

    kind: Kind
    effect: Effect = Effect.NONE
    repeatable: bool = True
    local: bool = False
    writes: bool = False
    reach: Reach = Reach.LAST


class Route(NamedTuple):
    """A parsed request line.

    ``version`` is one of API_VERSIONS, or "" for ROOT and UNKNOWN. ``queue`` is the catalog's name for the queue or
    topic ("" if the route has none); ``named`` tells that it is a legal name (API section 1.4).
    """

    rule: Rule
    version: str
    queue: str
    named: bool


# The strict rule of API section 1.4: the whole string, and neither of the two names that no client can address.
_NAME = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9_.\-]{1,64}\Z")

_V1, _LATER, _V2, _ALL = ("v1",), ("v1.1", "v2"), ("v2",), API_VERSIONS

# (kind, versions): {method: rule}. A method that is missing changes nothing and may be repeated: a partition refuses
# it with 405, or answers OPTIONS.
ROUTES: dict[tuple[Kind, tuple[str, ...]], dict[str, Rule]] = {
    (Kind.ROOT, ("",)): {"GET": Rule(Kind.ROOT, local=True)},
    (Kind.HOME, _ALL): {},
    (Kind.PING, _LATER): {"GET": Rule(Kind.PING, local=True), "HEAD": Rule(Kind.PING, local=True)},
    (Kind.HEALTH, _V1): {"GET": Rule(Kind.HEALTH, local=True), "HEAD": Rule(Kind.HEALTH, local=True)},
    (Kind.QUEUES, _ALL): {"GET": Rule(Kind.QUEUES, local=True)},
    (Kind.QUEUE, _ALL): {
        "PUT": Rule(Kind.QUEUE, Effect.CREATES, writes=True),
        "DELETE": Rule(Kind.QUEUE, Effect.DELETES, writes=True),
        "PATCH": Rule(Kind.QUEUE, writes=True, reach=Reach.MIRRORED),
    },
    (Kind.METADATA, _V1): {"PUT": Rule(Kind.METADATA, writes=True, reach=Reach.MIRRORED)},
    (Kind.STATS, _ALL): {"GET": Rule(Kind.STATS, reach=Reach.SUM)},
    (Kind.MESSAGES, _V1): {
        "GET": Rule(Kind.MESSAGES, reach=Reach.READ),
        "POST": Rule(Kind.MESSAGES, repeatable=False, writes=True),
        "DELETE": Rule(Kind.MESSAGES, writes=True, reach=Reach.REMOVE),
    },
    (Kind.MESSAGES, _LATER): {
        "GET": Rule(Kind.MESSAGES, reach=Reach.READ),
        "POST": Rule(Kind.MESSAGES, Effect.CREATES, repeatable=False, writes=True),
        "DELETE": Rule(Kind.MESSAGES, writes=True, reach=Reach.REMOVE),
    },
    (Kind.MESSAGE, _ALL): {
        "GET": Rule(Kind.MESSAGE, reach=Reach.NAMED),
        "DELETE": Rule(Kind.MESSAGE, writes=True, reach=Reach.NAMED),
    },
    (Kind.CLAIMS, _ALL): {"POST": Rule(Kind.CLAIMS, repeatable=False, writes=True, reach=Reach.FIRST)},
    (Kind.CLAIM, _ALL): {
        "GET": Rule(Kind.CLAIM, reach=Reach.NAMED),
        "PATCH": Rule(Kind.CLAIM, writes=True, reach=Reach.NAMED),
        "DELETE": Rule(Kind.CLAIM, writes=True, reach=Reach.NAMED),
    },
    (Kind.PURGE, _V2): {"POST": Rule(Kind.PURGE, writes=True, reach=Reach.EVERY)},
    (Kind.SHARE, _V2): {},
    (Kind.SUBSCRIPTIONS, _V2): {"POST": Rule(Kind.SUBSCRIPTIONS, Effect.CREATES, writes=True)},
    (Kind.SUBSCRIPTION, _V2): {
        "PATCH": Rule(Kind.SUBSCRIPTION, writes=True),
        "DELETE": Rule(Kind.SUBSCRIPTION, writes=True),
    },
    (Kind.CONFIRM, _V2): {"PUT": Rule(Kind.CONFIRM, writes=True)},
    (Kind.TOPICS, _V2): {"GET": Rule(Kind.TOPICS, local=True)},
    (Kind.TOPIC, _V2): {
        "PUT": Rule(Kind.TOPIC, Effect.CREATES, writes=True),
        "DELETE": Rule(Kind.TOPIC, Effect.DELETES, writes=True),
        "PATCH": Rule(Kind.TOPIC, writes=True, reach=Reach.MIRRORED),
    },
    # Every release of Zaqar fails on messages and subscriptions of topics (API section 4.12); marconi-partition treats
    # them as those of queues.
    (Kind.TOPIC_MESSAGES, _V2): {
        "POST": Rule(Kind.TOPIC_MESSAGES, Effect.CREATES, repeatable=False, writes=True),
        "DELETE": Rule(Kind.TOPIC_MESSAGES, repeatable=False, writes=True),
    },
    (Kind.TOPIC_SUBSCRIPTIONS, _V2): {"POST": Rule(Kind.TOPIC_SUBSCRIPTIONS, Effect.CREATES, writes=True)},
    (Kind.TOPIC_PART, _V2): {
        "POST": Rule(Kind.TOPIC_PART, writes=True),
        "PUT": Rule(Kind.TOPIC_PART, writes=True),
        "PATCH": Rule(Kind.TOPIC_PART, writes=True),
        "DELETE": Rule(Kind.TOPIC_PART, writes=True),
    },
}

# Below /{version}: how many segments, with names for the fixed ones; None is a variable one.
_PATHS: dict[Kind, tuple[tuple[str | None, ...], ...]] = {
    Kind.HOME: (("",),),
    Kind.PING: (("ping",),),
    Kind.HEALTH: (("health",),),
    Kind.QUEUES: (("queues",),),
    Kind.QUEUE: (("queues", None),),
    Kind.METADATA: (("queues", None, "metadata"),),
    Kind.STATS: (("queues", None, "stats"),),
    Kind.MESSAGES: (("queues", None, "messages"),),
    Kind.MESSAGE: (("queues", None, "messages", None),),
    Kind.CLAIMS: (("queues", None, "claims"),),
    Kind.CLAIM: (("queues", None, "claims", None),),
    Kind.PURGE: (("queues", None, "purge"),),
    Kind.SHARE: (("queues", None, "share"),),
    Kind.SUBSCRIPTIONS: (("queues", None, "subscriptions"),),
    Kind.SUBSCRIPTION: (("queues", None, "subscriptions", None),),
    Kind.CONFIRM: (("queues", None, "subscriptions", None, "confirm"),),
    Kind.TOPICS: (("topics",),),
    Kind.TOPIC: (("topics", None),),
    Kind.TOPIC_MESSAGES: (("topics", None, "messages"),),
    Kind.TOPIC_SUBSCRIPTIONS: (("topics", None, "subscriptions"),),
    Kind.TOPIC_PART: (
        ("topics", None, "stats"),
        ("topics", None, "purge"),
        ("topics", None, "messages", None),
        ("topics", None, "subscriptions", None),
        ("topics", None, "subscriptions", None, "confirm"),
    ),
}


def _index() -> dict[tuple[str, int, str, str], tuple[Kind, dict[str, Rule], Rule]]:
    """(version, number of segments, first segment, third and fifth segment) -> (kind, rules, rule of other methods)."""
    index = {}
    for (kind, versions), rules in ROUTES.items():
        for shape in _PATHS.get(kind, ()):
            first = shape[0] or "" if shape else ""
            rest = "/".join(shape[i] or "" for i in (2, 4) if i < len(shape))
            for version in versions:
                index[version, len(shape), first, rest] = (kind, rules, Rule(kind))
    return index


_INDEX = _index()
_UNKNOWN = Route(Rule(Kind.UNKNOWN), "", "", False)
_UNSAFE = Route(Rule(Kind.UNSAFE), "", "", False)
_HOME_RULE = Rule(Kind.HOME)
_ROOT_RULES = ROUTES[Kind.ROOT, ("",)]
_POP = Rule(Kind.MESSAGES, repeatable=False, writes=True, reach=Reach.REMOVE)


def valid_name(name: str) -> bool:
    """Tell whether ``name`` is a queue or topic name (API section 1.4)."""
    return _NAME.match(name) is not None


def parse(method: str, target: bytes) -> Route:
    """Parse a request line. ``target`` is the raw request target, starting with ``/``. Never raises.

    A path that parties on the way might read differently (a ``.`` or ``..`` segment, a fragment) is UNSAFE.
    """
    if b"#" in target:
        return _UNSAFE
    path, _, query = target.partition(b"?")
    route = _parse_short(method, path) if len(path) <= _SHORT else _parse_path(method, path)
    if query and method == "DELETE" and route.rule.kind is Kind.MESSAGES and (b"pop" in query or b"%" in query):
        return route._replace(rule=_POP)
    return route


def _parse_path(method: str, raw_path: bytes) -> Route:
    if b"%" in raw_path:
        path = unquote_to_bytes(raw_path).decode("utf-8", "replace")
    else:
        path = raw_path.decode("latin-1")
    segments = path.split("/")
    if "." in segments or ".." in segments:
        return _UNSAFE
    if raw_path[:1] != b"/":  # *, an absolute URL, an encoded slash: not everybody finds a path in these
        return _UNKNOWN
    count = len(segments) - 2
    if count < 1:
        if path == "/":
            return Route(_ROOT_RULES.get(method) or Rule(Kind.ROOT), "", "", False)
        return Route(_HOME_RULE, path[1:], "", False) if path[1:] in API_VERSIONS else _UNKNOWN
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
        return Route(rule, version, "", False)
    queue = segments[3]
    return Route(rule, version, TOPIC_PREFIX + queue if first == "topics" else queue, valid_name(queue))


# PERF: most calls are to few paths. Only short ones are remembered, so that the memory is bounded (about 2 MB).
_SHORT = 128
_parse_short = lru_cache(4096)(_parse_path)
