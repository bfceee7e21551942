"""Statistics: the sums of messages by partition and by project; and the walk that computes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from catalog.model.field import check_count, check_key, check_partition_name, check_time
from catalog.model.move import Holder
from catalog.model.placement import NO_PROJECT, QueueKey


class StatisticsSubject(StrEnum):
    """The subject of statistics."""

    PARTITION = "partition"
    PROJECT = "project"


@dataclass(frozen=True, slots=True)
class SubjectStatistics:
    """The sums over all queues of a partition or a project, polled one after another from ``begun`` to ``ended``.

    ``name`` is that of the partition, or the project. ``queues`` counts topics too; of a partition, those with any
    segment there. ``free`` and ``claimed`` count messages; ``oldest`` is the time of the oldest post, None without
    messages. ``unknown`` counts queues with a failed poll of any segment: their messages are missing in the sums. Times
    are in seconds since 1970, by the clocks of the polling processes.
    """

    subject: StatisticsSubject
    name: str
    queues: int = 0
    free: int = 0
    claimed: int = 0
    oldest: float | None = None
    unknown: int = 0
    begun: float = 0.0
    ended: float = 0.0

    def __post_init__(self) -> None:
        if self.subject is StatisticsSubject.PARTITION:
            check_partition_name("name", self.name)
        else:
            check_key("name", self.name)
        for name in ("queues", "free", "claimed", "unknown"):
            check_count(name, getattr(self, name))
        if self.unknown > self.queues:
            raise ValueError(f"unknown: {self.unknown} is more than there are queues, {self.queues}")
        if self.oldest is not None:
            check_time("oldest", self.oldest)
        check_time("begun", self.begun)
        check_time("ended", self.ended)

    def to_json(self) -> dict[str, Any]:
        return {
            "subject": self.subject.value,
            "name": self.name,
            "queues": self.queues,
            "free": self.free,
            "claimed": self.claimed,
            "oldest": self.oldest,
            "unknown": self.unknown,
            "begun": self.begun,
            "ended": self.ended,
        }

    @staticmethod
    def from_json(doc: Mapping[str, Any]) -> SubjectStatistics:
        return SubjectStatistics(
            subject=StatisticsSubject(doc["subject"]),
            name=doc["name"],
            queues=doc["queues"],
            free=doc["free"],
            claimed=doc["claimed"],
            oldest=doc["oldest"],
            unknown=doc["unknown"],
            begun=doc["begun"],
            ended=doc["ended"],
        )


@dataclass(frozen=True, slots=True)
class Walk:
    """The progress of the walk over all placements, in the order of their keys. A catalog has one.

    ``begun`` is the time of its start, None before the first walk; ``ended`` that of its end, None while it runs; both
    in seconds since 1970. ``after`` is the last placement in the sums, None before the first. ``partitions`` are the
    sums of partitions so far, ``project`` those of the project that is not complete.

    ``holder`` is the holder of the lock when this was read. ``save`` ignores it: only the verbs of the lock change it.
    """

    begun: float | None = None
    ended: float | None = None
    after: QueueKey | None = None
    partitions: tuple[SubjectStatistics, ...] = ()
    project: SubjectStatistics | None = None
    holder: Holder | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for name, value in (("begun", self.begun), ("ended", self.ended)):
            if value is not None:
                check_time(name, value)
        if self.after is not None:
            check_key("after", self.after.project)
            check_key("after", self.after.queue)
        for one in self.partitions:
            if one.subject is not StatisticsSubject.PARTITION:
                raise ValueError(f"partitions: {one.name!r} is none")
        if self.project is not None and self.project.subject is not StatisticsSubject.PROJECT:
            raise ValueError(f"project: {self.project.name!r} is none")

    @property
    def under_way(self) -> bool:
        return self.begun is not None and self.ended is None

    def to_json(self) -> dict[str, Any]:
        return {
            "begun": self.begun,
            "ended": self.ended,
            "after": None if self.after is None else {"project": self.after.project or None, "queue": self.after.queue},
            "partitions": [one.to_json() for one in self.partitions],
            "project": None if self.project is None else self.project.to_json(),
            "holder": None if self.holder is None else self.holder.to_json(),
        }

    @staticmethod
    def from_json(doc: Mapping[str, Any]) -> Walk:
        after = doc["after"]
        return Walk(
            begun=doc["begun"],
            ended=doc["ended"],
            after=None if after is None else QueueKey(after["project"] or NO_PROJECT, after["queue"]),
            partitions=tuple(SubjectStatistics.from_json(one) for one in doc["partitions"]),
            project=None if doc["project"] is None else SubjectStatistics.from_json(doc["project"]),
            holder=None if doc.get("holder") is None else Holder.from_json(doc["holder"]),
        )
