"""Measure for how long a value has not changed, on this process's own monotonic clock.

Every expiry in the system is decided so, and never by wall-clock times: a clock may step, and the clocks of two
machines differ. A live process changes its counter. A counter that is unchanged for the whole promised time belongs to
a process that is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)


class _First(NamedTuple):
    value: object
    at: float


class Unchanged(Generic[K]):
    """The watched values by key. ``clock``: seconds of a monotonic clock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._first: dict[K, _First] = {}

    def __len__(self) -> int:
        return len(self._first)

    def now(self) -> float:
        """Return the time in seconds. Call it before the read that goes to ``seen``."""
        return self._clock()

    def seen(self, key: K, value: object, asked: float) -> float:
        """Record that a read sent at ``asked`` has now returned ``value``. Return the seconds for which the value is
        known to be unchanged: from the first answer with it to the sending of this read."""
        first = self._first.get(key)
        if first is None or first.value != value:
            self._first[key] = _First(value, self._clock())
            return 0.0
        return max(0.0, asked - first.at)

    def keep(self, wanted: Callable[[K], bool]) -> None:
        """Stop watching the keys for which ``wanted`` is false."""
        self._first = {key: first for key, first in self._first.items() if wanted(key)}
