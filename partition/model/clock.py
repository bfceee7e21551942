"""Time as an argument: milliseconds since the epoch, because ttls count whole seconds and must never end early."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], int]

MILLISECONDS = 1000


def system_clock() -> int:
    """The machine's clock, in milliseconds since 1970 (UTC)."""
    return time.time_ns() // 1_000_000


def age(created: int, now: int) -> int:
    """Whole seconds from ``created`` to ``now``, both in milliseconds; never negative (API section 6.4)."""
    return max(0, now - created) // MILLISECONDS
