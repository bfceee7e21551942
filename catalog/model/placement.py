"""Placements: the partition of each queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, NamedTuple

from catalog.model.field import check_count, check_id, check_key, check_queue, check_time, is_int

NO_PROJECT = ""
TOPIC_PREFIX = "~"


class QueueKey(NamedTuple):
    """The key of a placement: (project, queue). Its order is that of the catalog."""

    project: str
    queue: str


class PlacementState(StrEnum):
    """The state of a placement.

    reserved: no queue yet, but its creation must be on this partition (a dead-letter queue that a queue names).
    creating: a worker is about to create the queue on the partition, or is creating it.
    open: the queue exists. sealing: it exists, and writes are held for a switch.
    deleting: a worker is deleting the queue from its partitions.
    """

    RESERVED = "reserved"
    CREATING = "creating"
    OPEN = "open"
    SEALING = "sealing"
    DELETING = "deleting"


# The states in which the queue exists for its users, so that listings show it.
LISTED_STATES = frozenset({PlacementState.OPEN, PlacementState.SEALING})

# Tags have nine digits for a segment's number: enough for numbers that follow the clock until the year 2286.
_SECONDS_A_NUMBER = 10

# The states of few placements at a time, for which stores have an index.
RARE_STATES = frozenset(PlacementState) - {PlacementState.OPEN}


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of a queue: its number ``n`` (never reused), its partition and the queue's name there."""

    n: int
    partition: str
    backend_name: str
    sealed: bool = False

    def __post_init__(self) -> None:
        if not is_int(self.n) or self.n < 0:
            raise ValueError(f"n: {self.n!r} is not a segment number")
        if not isinstance(self.partition, str) or not self.partition:
            raise ValueError("partition: a segment is on a partition")
        check_queue("physical", self.backend_name)
        if not isinstance(self.sealed, bool):
            raise ValueError(f"sealed: {self.sealed!r} is neither true nor false")

    def to_json(self) -> dict[str, Any]:
        return {"n": self.n, "partition": self.partition, "physical": self.backend_name, "sealed": self.sealed}

    @staticmethod
    def from_json(doc: Mapping[str, Any]) -> Segment:
        return Segment(n=doc["n"], partition=doc["partition"], backend_name=doc["physical"], sealed=doc["sealed"])


class Seal(NamedTuple):
    """The identity of one seal of a queue, or of its preparation. ``epoch`` is that of the sealed, or prepared,
    placement."""

    project: str
    queue: str
    incarnation: str
    epoch: int

    @property
    def key(self) -> QueueKey:
        return QueueKey(self.project, self.queue)

    @property
    def preparation(self) -> Seal:
        """The preparation of this seal, if it was prepared: the change of the placement right before it."""
        return self._replace(epoch=self.epoch - 1)

    def to_json(self) -> dict[str, Any]:
        return {"project": self.project or None, "queue": self.queue, "born": self.incarnation, "epoch": self.epoch}

    @staticmethod
    def from_json(doc: Mapping[str, Any]) -> Seal:
        return Seal(doc["project"] or NO_PROJECT, doc["queue"], doc["born"], doc["epoch"])


@dataclass(frozen=True, slots=True)
class Placement:
    """The location of one queue.

    ``epoch`` starts at 1; every change is a compare-and-set that adds one. ``segments`` is the chain in read order, at
    least one. ``base`` is the number of the segment with untagged ids for clients. ``since`` is the time of the last
    change of ``state``, in seconds since 1970 by the writer's clock, for people to read. ``group`` is set on a
    dead-letter queue: the name of a queue whose dead letters it takes, with which it must share its partition (API
    section 8.4).

    ``incarnation`` is a random token, made by the process that inserts the placement and never changed: a queue that
    was deleted and created anew has another one, although its epochs begin at 1 again. It is empty in placements of
    schema version 1. ``move`` is the id of the present move: from its seal to its abort, or to the retirement of the
    segment that it sealed. An open queue of one segment that has a ``move`` is *prepared* for a seal. ``floor``: the
    next segment gets at least this number, because a lost catalog may have given lower ones (``restored``).
    """

    project: str
    queue: str
    epoch: int
    state: PlacementState
    segments: tuple[Segment, ...]
    base: int = 0
    since: float = 0.0
    group: str | None = None
    incarnation: str = ""
    move: str | None = None
    floor: int = 0

    def __post_init__(self) -> None:
        check_key("project", self.project)
        check_queue("queue", self.queue)
        if not is_int(self.epoch) or self.epoch < 1:
            raise ValueError(f"epoch: {self.epoch!r} is not an integer from 1")
        if not self.segments:
            raise ValueError("segments: a placement has at least one segment")
        if not is_int(self.base):
            raise ValueError(f"base: {self.base!r} is not a segment number")
        check_time("since", self.since)
        if self.group is not None:
            check_key("group", self.group)
        if self.incarnation != "":
            check_id("born", self.incarnation)
        if self.move is not None:
            check_id("move", self.move)
        check_count("floor", self.floor)

    @property
    def key(self) -> QueueKey:
        return QueueKey(self.project, self.queue)

    @property
    def partition(self) -> str:
        """The partition of writes: that of the last segment."""
        return self.segments[-1].partition

    @property
    def partitions(self) -> frozenset[str]:
        """The partitions of all segments."""
        return frozenset(segment.partition for segment in self.segments)

    def require_born(self) -> None:
        """Raise ValueError for a new placement without a token of its own."""
        if not self.incarnation:
            raise ValueError("born: a new placement has a token of its own")

    @property
    def seal(self) -> Seal | None:
        """The seal that is in force, None if the queue is not sealed."""
        return Seal(*self.key, self.incarnation, self.epoch) if self.state is PlacementState.SEALING else None

    @property
    def preparation(self) -> Seal | None:
        """The preparation that is in force, None if the queue is not prepared for a seal."""
        prepared = self.state is PlacementState.OPEN and self.move is not None and len(self.segments) == 1
        return Seal(*self.key, self.incarnation, self.epoch) if prepared else None

    @property
    def next_n(self) -> int:
        """The number of the next new segment. Numbers below it are never given again."""
        return max(self.segments[-1].n + 1, self.floor)

    def restored(self, at: float) -> Placement:
        """Return the placement to store when a backup is loaded at the time ``at``, in seconds since 1970.

        The backup has no record of later changes to the queue. So epochs and numbers of segments continue from values
        that were never reached: on average, a placement changes less than once a second, and a queue is switched less
        than once in ten seconds. A clock error is harmless if it is smaller than the time between two imports.
        """
        number = int(at) // _SECONDS_A_NUMBER
        return replace(self, epoch=max(self.epoch, int(at)), floor=max(self.next_n, number))

    def to_json(self) -> dict[str, Any]:
        """Return the form of the admin API: ``project`` is null for no project."""
        return {
            "project": self.project or None,
            "queue": self.queue,
            "epoch": self.epoch,
            "state": self.state.value,
            "segments": [s.to_json() for s in self.segments],
            "base": self.base,
            "since": self.since,
            "group": self.group,
            "born": self.incarnation,
            "move": self.move,
            "floor": self.floor,
        }

    @staticmethod
    def from_json(doc: Mapping[str, Any]) -> Placement:
        """Read a document, also of schema version 1, without ``born`` and ``move``, and of version 3, without
        ``floor``."""
        return Placement(
            project=doc["project"] or NO_PROJECT,
            queue=doc["queue"],
            epoch=doc["epoch"],
            state=PlacementState(doc["state"]),
            segments=tuple(Segment.from_json(s) for s in doc["segments"]),
            base=doc["base"],
            since=doc["since"],
            group=doc["group"],
            incarnation=doc.get("born", ""),
            move=doc.get("move"),
            floor=doc.get("floor", 0),
        )
