"""The readings of one queue, and a finding about it. Values without behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from catalog.model import Move, Placement, QueueKey
from marconi_proxy.audit.kinds import FindingKind


@dataclass(frozen=True, slots=True)
class SegmentObservation:
    """A sealed segment as its partition shows it.

    ``age``: of the newest message, in seconds, None if there is none. ``unlike``: the difference of its metadata from
    that of the last segment as short text, empty if equal. ``digest``: of the complete difference.
    """

    partition: str
    backend_name: str
    age: int | None = None
    unlike: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class UnexpectedCopy:
    """A queue on a partition that neither a placement nor an unfinished move names.

    ``move``: the finished move that left it, if that is certain. ``holds``: the number of its messages in that case.
    """

    partition: str
    move: str | None = None
    holds: int = 0


@dataclass(frozen=True, slots=True)
class Observation:
    """A consistent reading of a queue: its placement did not change meanwhile.

    ``move``: its unfinished move. ``there``: whether the partition of the last segment has the queue, None if it was
    not polled. ``dead_letters``: whether a store may put dead letters into it, which are not posts. ``now``: the time
    of the reading in seconds since 1970.
    """

    key: QueueKey
    now: float
    placement: Placement | None = None
    move: Move | None = None
    there: bool | None = None
    parts: tuple[SegmentObservation, ...] = ()
    dead_letters: bool = False
    unexpected_copies: tuple[UnexpectedCopy, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """A confirmed disagreement. ``partition`` has, or should have, the queue as ``backend_name``.

    ``proof``: the readings that must be equal for two findings to be the same. ``words``: the evidence as text.
    ``repairable``: whether ``Repair`` has a repair for it.
    """

    kind: FindingKind
    project: str
    queue: str
    partition: str
    backend_name: str
    proof: tuple[Any, ...]
    words: str = field(compare=False)
    repairable: bool = False

    @property
    def key(self) -> QueueKey:
        return QueueKey(self.project, self.queue)
