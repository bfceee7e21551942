"""What comes of a call to a partition for the sake of one queue. Values without behaviour."""

from __future__ import annotations

from typing import NamedTuple

# Seconds after which a call to a partition is given up.
CALL = 5.0


class Unready(Exception):
    """Something in the world is not as the move needs it. The message is for operators, and it is tried again."""


class Look(NamedTuple):
    """What a segment was seen to hold. ``listed``: whether a list of it showed a message, claimed and delayed ones
    included; stats are taken one number after the other, so they do not suffice.

    ``oldest_expires``: when the oldest message expires, if it could be told; ``claimed_until``: when the last of the
    claims that were seen ends. ``problem``: why it could not be looked at; then the numbers say nothing.
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
        """Whether there is certainly nothing in it."""
        return self.problem is None and not (self.free or self.claimed or self.total or self.listed)
