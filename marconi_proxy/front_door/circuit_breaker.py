"""A circuit breaker: once calls of one kind have stopped being answered, further ones fail at once. Pure.

One failed call opens it, unless another call has succeeded since that one began: then the call was slow, and its store
is not away. A success closes it, in practice that of a probe, because no other call begins while it is open.
"""

from __future__ import annotations

import math
from collections.abc import Callable


class CircuitBreaker:
    """Closed at first. ``clock``: monotonic seconds.

    ``opened_at``: the time of the failure that opened it, None while it is closed. ``openings`` and ``refused`` count
    the times that it opened and the calls that it refused, both ever since.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._succeeded_at = -math.inf
        self.opened_at: float | None = None
        self.openings = 0
        self.refused = 0

    def begin(self) -> float | None:
        """Return the time at which a call begins, for ``failed``; None if the call is refused."""
        if self.opened_at is None:
            return self._clock()
        self.refused += 1
        return None

    def succeeded(self) -> bool:
        """Note a success; return whether it closes the breaker."""
        self._succeeded_at = self._clock()
        was_open, self.opened_at = self.opened_at is not None, None
        return was_open

    def failed(self, began: float) -> bool:
        """Note the failure of a call that ``began`` then; return whether it opens the breaker."""
        if self.opened_at is not None or self._succeeded_at >= began:
            return False
        self.opened_at = self._clock()
        self.openings += 1
        return True

    def open_for(self) -> float:
        """Return the seconds since it opened, 0 if it is closed."""
        return 0.0 if self.opened_at is None else self._clock() - self.opened_at
