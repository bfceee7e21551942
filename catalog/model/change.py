"""What the change feed shows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from catalog.model.placement import Seal


class ChangeSubject(StrEnum):
    PLACEMENT = "placement"
    PARTITION = "partition"
    TENANT = "tenant"
    MOVE = "move"
    PLAN = "plan"


@dataclass(frozen=True, slots=True)
class Change:
    """Something was written. Positions grow; they are comparable within a catalog.

    ``name`` is (project, queue) of a placement, (name,) of a partition, (project,) of a tenant, (id,) of a move or
    plan. ``epoch`` is a placement's new epoch, or the new version of a move or plan; None when it was removed, and for
    other subjects. ``incarnation`` is a placement's, None when it was removed and for other subjects: with the name and
    the epoch it tells a change from every other one. ``sealing``: the placement is sealed by it; a store need not say
    so of a seal that has ended since.
    """

    position: int
    subject: ChangeSubject
    name: tuple[str, ...]
    epoch: int | None = None
    incarnation: str | None = None
    sealing: bool = False

    @property
    def seal(self) -> Seal | None:
        """The seal that the placement got by it, None if it is not known to have got one."""
        if not self.sealing or self.epoch is None or self.incarnation is None:
            return None
        project, queue = self.name
        return Seal(project, queue, self.incarnation, self.epoch)


@dataclass(frozen=True, slots=True)
class Synced:
    """From here on the feed shows every change. What was known before may be stale and must be dropped.

    Also sent, with the position reached, when there was nothing to report for a while: the proof of life of a feed.
    ``fresh`` is True on the first one of a feed only.
    """

    position: int
    fresh: bool
