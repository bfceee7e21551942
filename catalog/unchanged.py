"""For how long a value has not changed, as this process has watched it on its own monotonic clock.

Every expiry in the system is decided so, and never by wall-clock times: a clock may step, and two machines' clocks
differ. What lives changes a counter; a counter that stays the same for the whole time that was promised is of a process
that is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)


class _First(NamedTuple):
    value: object
    at: float


class Unchanged(Generic[K]):
    """Values by key. ``clock``: seconds of a monotonic clock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._first: dict[K, _First] = {}

    def __len__(self) -> int:
        return len(self._first)

    def now(self) -> float:
        """Return the time, to be taken before a reading is asked for."""
        return self._clock()

    def seen(self, key: K, value: object, asked: float) -> float:
        """Take in a reading that was ``asked`` for at this time, and is answered now. Return for how many seconds the
        value is known not to have changed: from the first answer that showed it to the last question."""
        first = self._first.get(key)
        if first is None or first.value != value:
            self._first[key] = _First(value, self._clock())
            return 0.0
        return max(0.0, asked - first.at)

    def keep(self, wanted: Callable[[K], bool]) -> None:
        """Stop watching all keys that are not wanted any more."""
        self._first = {key: first for key, first in self._first.items() if wanted(key)}
