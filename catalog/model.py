"""The words of the catalog as immutable values: what is stored, whatever stores it.

Nothing here does I/O. Each value validates itself when it is made and raises ``ValueError`` naming the field at fault.

Two spellings are fixed here for the whole system:

* A *project* is the text of ``X-Project-Id``; the empty string, which no request can carry as a project (API section
  1.2), is "no project", the global namespace of v1. So the two never collide.
* A *queue* is its name. A v2 topic lives in a namespace of its own (API section 4.12); it is written ``~name``. ``~``
  is in no legal name and sorts after all of them, so queues and topics of a project are two disjoint ranges.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite
from typing import Any, NamedTuple
from urllib.parse import urlsplit

NO_PROJECT = ""
TOPIC_PREFIX = "~"
API_VERSIONS = ("v1", "v1.1", "v2")
MAX_WEIGHT = 4294967295

_PARTITION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class QueueKey(NamedTuple):
    """Who a placement is about: (project, queue). Sorts as the catalog sorts."""

    project: str
    queue: str


class PlacementState(StrEnum):
    """Where a placement stands.

    reserved: no queue yet, but if it is created it must be on this partition (a dead-letter queue named by its source).
    creating: some worker is about to create, or is creating, the queue on the partition.
    open: the queue exists. sealing: it exists, and writes are held for a switch.
    deleting: some worker is deleting the queue from its partitions.
    """

    RESERVED = "reserved"
    CREATING = "creating"
    OPEN = "open"
    SEALING = "sealing"
    DELETING = "deleting"


# The states in which the queue exists as far as its users can tell, so that listings show it.
LISTED_STATES = frozenset({PlacementState.OPEN, PlacementState.SEALING})


class PartitionState(StrEnum):
    """enabled: serves, and takes new queues. cordoned: serves, takes no new ones. drained: cordoned, and known to be
    empty. disabled: no call is forwarded to it."""

    ENABLED = "enabled"
    CORDONED = "cordoned"
    DRAINED = "drained"
    DISABLED = "disabled"


def _is_int(value: object) -> bool:
    """Tell whether it is an integer; True and False, which Python counts among them, are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def _check_key(name: str, value: object) -> None:
    """Raise ValueError unless ``value`` can be (part of) a catalog key: text that UTF-8 can spell, without NUL.

    NUL is in no header value and no queue name; MongoDB keys use it to separate the two.
    """
    if not isinstance(value, str) or "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
        raise ValueError(f"{name}: {value!r} is not text without NUL and surrogates")


def _check_text(name: str, value: object) -> None:
    """Raise ValueError unless ``value`` is 1 to 255 printable characters: what every store and answer can hold."""
    if not isinstance(value, str) or not 1 <= len(value) <= 255 or not value.isprintable():
        raise ValueError(f"{name}: {value!a} is not a text of 1 to 255 printable characters")


@dataclass(frozen=True, slots=True)
class Segment:
    """One stretch of a queue: number ``n`` (never reused), the partition it is on and the queue's name there."""

    n: int
    partition: str
    physical: str
    sealed: bool = False

    def __post_init__(self) -> None:
        if not _is_int(self.n) or self.n < 0:
            raise ValueError(f"n: {self.n!r} is not a segment number")
        if not isinstance(self.partition, str) or not self.partition:
            raise ValueError("partition: a segment is on a partition")
        if not isinstance(self.physical, str) or not self.physical:
            raise ValueError("physical: a segment has a queue name")
        if not isinstance(self.sealed, bool):
            raise ValueError(f"sealed: {self.sealed!r} is neither true nor false")

    def to_json(self) -> dict[str, Any]:
        return {"n": self.n, "partition": self.partition, "physical": self.physical, "sealed": self.sealed}

    @staticmethod
    def from_json(doc: Mapping[str, Any]) -> Segment:
        return Segment(n=doc["n"], partition=doc["partition"], physical=doc["physical"], sealed=doc["sealed"])


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one queue lives.

    ``epoch`` starts at 1; every change is a compare-and-set that adds one. ``segments`` is the chain in read order, at
    least one. ``base`` is the segment whose ids leave untagged. ``since`` is when ``state`` was entered, in seconds
    since 1970 by the writer's clock: it decides nothing but when an abandoned creation or deletion may be taken over.
    ``group`` is set on a dead-letter queue: the name of a queue whose dead letters it takes, with which it must share
    its partition (API section 8.4).
    """

    project: str
    queue: str
    epoch: int
    state: PlacementState
    segments: tuple[Segment, ...]
    base: int = 0
    since: float = 0.0
    group: str | None = None

    def __post_init__(self) -> None:
        _check_key("project", self.project)
        _check_key("queue", self.queue)
        if not self.queue:
            raise ValueError("queue: a placement needs a queue name")
        if not _is_int(self.epoch) or self.epoch < 1:
            raise ValueError(f"epoch: {self.epoch!r} is not an integer from 1")
        if not self.segments:
            raise ValueError("segments: a placement has at least one segment")
        if not _is_int(self.base):
            raise ValueError(f"base: {self.base!r} is not a segment number")
        if not isinstance(self.since, (int, float)) or isinstance(self.since, bool) or not isfinite(self.since):
            raise ValueError(f"since: {self.since!r} is not a time in seconds")
        if self.group is not None:
            _check_key("group", self.group)

    @property
    def key(self) -> QueueKey:
        return QueueKey(self.project, self.queue)

    @property
    def partition(self) -> str:
        """The partition that writes go to: that of the last segment."""
        return self.segments[-1].partition

    def to_json(self) -> dict[str, Any]:
        """The form of the admin API: ``project`` is null for no project."""
        return {
            "project": self.project or None,
            "queue": self.queue,
            "epoch": self.epoch,
            "state": self.state.value,
            "segments": [s.to_json() for s in self.segments],
            "base": self.base,
            "since": self.since,
            "group": self.group,
        }

    @staticmethod
    def from_json(doc: Mapping[str, Any]) -> Placement:
        return Placement(
            project=doc["project"] or NO_PROJECT,
            queue=doc["queue"],
            epoch=doc["epoch"],
            state=PlacementState(doc["state"]),
            segments=tuple(Segment.from_json(s) for s in doc["segments"]),
            base=doc["base"],
            since=doc["since"],
            group=doc["group"],
        )


def check_host(url: str) -> str:
    """Return a partition host's base URL without a trailing slash.

    Raises ValueError unless it is ``http(s)://host[:port]``: no path (clients' hrefs would not fit, API section 8.5),
    no query, no fragment, no user.
    """
    what = f"hosts: {url!r}"
    if not isinstance(url, str) or not url.isascii() or any(c.isspace() or not c.isprintable() for c in url):
        raise ValueError(f"{what} is not an http(s) URL")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{what} is not an http(s) URL: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{what} is not an http(s) URL such as http://10.0.0.1:8888")
    if parts.username is not None or parts.password is not None:
        raise ValueError("hosts: a URL must not carry a user or password")
    if parts.path not in ("", "/") or "?" in url or "#" in url:
        raise ValueError(f"{what} must end after the port: hrefs carry the path that the partition sees")
    if port == 0:
        raise ValueError(f"{what} has port 0")
    return f"{parts.scheme}://{parts.netloc.lower()}"


@dataclass(frozen=True, slots=True)
class Partition:
    """One backend deployment: equivalent ``hosts`` (base URLs) over one store.

    ``weight``: 0..4294967295, its share of new queues; 0 takes none. ``api_versions``: those of API_VERSIONS it
    speaks, empty while unknown; ``api_versions_set`` tells that an operator fixed them, so that probes leave them be.
    ``version`` starts at 1; every change is a compare-and-set that adds one.
    """

    name: str
    hosts: tuple[str, ...]
    weight: int = 100
    region: str | None = None
    labels: tuple[str, ...] = ()
    state: PartitionState = PartitionState.ENABLED
    api_versions: tuple[str, ...] = ()
    api_versions_set: bool = False
    version: int = field(default=1, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _PARTITION_NAME.fullmatch(self.name):
            raise ValueError(
                f"name: {self.name!r} is not a partition name (1 to 64 of A-Z a-z 0-9 _ . - and not - _ . first)"
            )
        if not self.hosts:
            raise ValueError("hosts: at least one base URL is needed")
        hosts = tuple(check_host(h) for h in self.hosts)
        if len(set(hosts)) != len(hosts):
            raise ValueError("hosts: a base URL is listed twice")
        object.__setattr__(self, "hosts", hosts)
        if not _is_int(self.weight) or not 0 <= self.weight <= MAX_WEIGHT:
            raise ValueError(f"weight: {self.weight!r} is not an integer from 0 to {MAX_WEIGHT}")
        if self.region is not None:
            _check_text("region", self.region)
        for label in self.labels:
            _check_text("labels", label)
        object.__setattr__(self, "labels", tuple(sorted(set(self.labels))))
        unknown = [v for v in self.api_versions if v not in API_VERSIONS]
        if unknown:
            raise ValueError(f"api_versions: {unknown[0]!r} is none of {', '.join(API_VERSIONS)}")
        object.__setattr__(self, "api_versions", tuple(v for v in API_VERSIONS if v in self.api_versions))

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "hosts": list(self.hosts),
            "weight": self.weight,
            "region": self.region,
            "labels": list(self.labels),
            "state": self.state.value,
            "api_versions": list(self.api_versions),
            "api_versions_set": self.api_versions_set,
            "version": self.version,
        }

    @staticmethod
    def from_json(doc: Mapping[str, Any]) -> Partition:
        return Partition(
            name=doc["name"],
            hosts=tuple(doc["hosts"]),
            weight=doc["weight"],
            region=doc["region"],
            labels=tuple(doc["labels"]),
            state=PartitionState(doc["state"]),
            api_versions=tuple(doc["api_versions"]),
            api_versions_set=doc["api_versions_set"],
            version=doc["version"],
        )


@dataclass(frozen=True, slots=True)
class Tenant:
    """What an operator decided for one project: over how many partitions its new queues spread, or the one partition
    they are ``pinned`` to."""

    project: str
    spread: int = 1
    pinned: str | None = None

    def __post_init__(self) -> None:
        _check_key("project", self.project)
        if not _is_int(self.spread) or not 1 <= self.spread <= 1000:
            raise ValueError(f"spread: {self.spread!r} is not an integer from 1 to 1000")
        if self.pinned is not None and (not isinstance(self.pinned, str) or not _PARTITION_NAME.fullmatch(self.pinned)):
            raise ValueError(f"pinned: {self.pinned!a} is not a partition name")

    def to_json(self) -> dict[str, Any]:
        return {"project": self.project or None, "spread": self.spread, "pinned": self.pinned}

    @staticmethod
    def from_json(doc: Mapping[str, Any]) -> Tenant:
        return Tenant(project=doc["project"] or NO_PROJECT, spread=doc["spread"], pinned=doc["pinned"])


@dataclass(frozen=True, slots=True)
class Member:
    """One front-door worker process. ``id`` is host/pid/boot; ``applied`` is the position of the last change it has
    taken in; ``synced`` tells whether its change feed was alive when it last renewed."""

    id: str
    applied: int = 0
    synced: bool = False

    def to_json(self) -> dict[str, Any]:
        return {"id": self.id, "applied": self.applied, "synced": self.synced}

    @staticmethod
    def from_json(doc: Mapping[str, Any]) -> Member:
        return Member(id=doc["id"], applied=doc["applied"], synced=doc["synced"])


@dataclass(frozen=True, slots=True)
class MemberSighting:
    """A member, and the seconds since it last renewed by the *store's* clock (so that no two clocks are compared)."""

    member: Member
    age: float


class ChangeSubject(StrEnum):
    PLACEMENT = "placement"
    PARTITION = "partition"
    TENANT = "tenant"


@dataclass(frozen=True, slots=True)
class Change:
    """Something was written. ``name`` is (project, queue), (partition,) or (project,); ``epoch`` is a placement's
    new epoch, None when it was removed and for other subjects. Positions grow; they are comparable within a catalog."""

    position: int
    subject: ChangeSubject
    name: tuple[str, ...]
    epoch: int | None = None


@dataclass(frozen=True, slots=True)
class Synced:
    """From here on the feed shows every change. What was known before may be stale and must be dropped.

    Also sent, with the position reached, when there was nothing to report for a while: the proof of life of a feed.
    ``fresh`` is True on the first one of a feed only.
    """

    position: int
    fresh: bool
