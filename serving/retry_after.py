"""The value of Retry-After (RFC 9110 section 10.2.3), for refusals that are the server's fault."""

from __future__ import annotations

import random
from collections.abc import Callable


def retry_after(least: int, chance: Callable[[], float] = random.random) -> int:
    """Return a number of seconds from ``least`` to its double, at random, so that clients that were refused together
    do not return together."""
    return least + int(chance() * (least + 1))
