"""The items of the change feed."""

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
    """One write. Positions grow, and are comparable within a catalog.

    ``name`` is (project, queue) of a placement, (name,) of a partition, (project,) of a tenant, (id,) of a move or
    plan. ``epoch`` is a placement's new epoch, or the new version of a move or plan; None after a removal, and for
    other subjects. ``incarnation`` is a placement's, None after a removal and for other subjects: with the name and the
    epoch it identifies the change. ``sealing``: the change seals the placement; it may be False for a seal that has
    ended since. ``preparing``: the change prepares the placement for a seal; it may be False for a preparation that has
    ended since.
    """

    position: int
    subject: ChangeSubject
    name: tuple[str, ...]
    epoch: int | None = None
    incarnation: str | None = None
    sealing: bool = False
    preparing: bool = False

    @property
    def seal(self) -> Seal | None:
        """The seal that this change put on the placement, None if there is none or it is not known."""
        return self._seal() if self.sealing else None

    @property
    def preparation(self) -> Seal | None:
        """The preparation that this change put on the placement, None if there is none or it is not known."""
        return self._seal() if self.preparing else None

    def _seal(self) -> Seal | None:
        if self.epoch is None or self.incarnation is None:
            return None
        project, queue = self.name
        return Seal(project, queue, self.incarnation, self.epoch)


@dataclass(frozen=True, slots=True)
class Synced:
    """From this position on, the feed has every change.

    ``fresh`` is True only in the first one of a feed: values that were read before it may be stale and must be dropped.
    Later ones are the heartbeat of a feed without changes, with the position that it has reached.
    """

    position: int
    fresh: bool
