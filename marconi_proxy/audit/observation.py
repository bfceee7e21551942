"""What was read of one queue, and what was found to be wrong with it. Values without behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from catalog.model import Move, Placement, QueueKey
from marconi_proxy.audit.kinds import FindingKind


@dataclass(frozen=True, slots=True)
class SegmentObservation:
    """A sealed segment as its partition shows it. ``age``: that of the newest message in seconds, None if there is
    none; ``unlike``: in a few words how its metadata differs from that of the last segment, empty if it does not;
    ``digest`` is of all the difference."""

    partition: str
    backend_name: str
    age: int | None = None
    unlike: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class UnexpectedCopy:
    """A queue on a partition that no placement names, and no move that is under way. ``move``: the one that is over
    and has left it, if that is certain; ``holds``: how many messages it holds then."""

    partition: str
    move: str | None = None
    holds: int = 0


@dataclass(frozen=True, slots=True)
class Observation:
    """What was true of a queue at one moment: between two readings of its placement that showed the same.

    ``move`` is the one of the queue that is not finished. ``there``: whether the partition of its last segment has it;
    None if that was not asked. ``dead_letters``: whether dead letters come into it, which are no posts. ``now``: when,
    in seconds since 1970.
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
    """``partition`` has, or should have, the queue as ``backend_name``. ``proof``: what must be so again for this to be
    the same finding. ``words``: what was seen. ``repairable``: whether ``repairing`` does anything about it."""

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
