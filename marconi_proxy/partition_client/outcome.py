"""The results of calls about one queue. Values without behaviour."""

from __future__ import annotations

from typing import NamedTuple

# Timeout of a call to a partition, in seconds.
CALL = 5.0


class Unready(Exception):
    """A precondition outside of this process does not hold. The message is for operators; the caller retries."""


class Look(NamedTuple):
    """The contents of a segment at one poll.

    ``listed``: whether a list showed a message, including claimed and delayed ones; stats alone do not suffice, because
    a store counts their numbers one after the other.

    ``oldest_expires``: expiry of the oldest message; ``claimed_until``: end of the last claim seen; both in seconds
    since 1970, None if unknown. ``problem``: why the poll failed; the numbers are then meaningless.
    """

    partition: str
    free: int = 0
    claimed: int = 0
    total: int = 0
    listed: bool = False
    oldest_expires: float | None = None
    claimed_until: float | None = None
    problem: str | None = None

    @property
    def empty(self) -> bool:
        """Whether the segment is certainly empty."""
        return self.problem is None and not (self.free or self.claimed or self.total or self.listed)
