"""A bound on how many requests begin in a second."""

from __future__ import annotations

from marconi_proxy.clock import Clock


class Rate:
    """``per_second``: positive. Turns are spaced evenly; who comes late does not catch up."""

    def __init__(self, per_second: float, clock: Clock) -> None:
        self._interval = 1.0 / per_second
        self._clock = clock
        self._next = 0.0

    async def turn(self) -> None:
        """Wait until the next request may begin."""
        now = self._clock.monotonic()
        at = max(now, self._next)
        self._next = at + self._interval
        if at > now:
            await self._clock.sleep(at - now)
