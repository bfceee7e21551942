"""Time as an argument of all that waits or measures, a pace for what must not begin too often, and times as text."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since 1970: for people to read, and for what outlives the process."""

    def monotonic(self) -> float:
        """Seconds of a clock that is never set: for durations."""

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Pacer:
    """Lets ``per_second`` of something begin in a second at most, evenly spaced; a late caller does not catch up."""

    def __init__(self, per_second: float, clock: Clock) -> None:
        self._per_second = per_second
        self._clock = clock
        self._next = 0.0

    async def turn(self, number: int = 1) -> None:
        """Wait until the next one may begin, or the next ``number`` of them together."""
        now = self._clock.monotonic()
        at = max(now, self._next)
        self._next = at + number / self._per_second
        if at > now:
            await self._clock.sleep(at - now)


def iso(seconds: float) -> str:
    """Return seconds since 1970 in ISO 8601, in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
