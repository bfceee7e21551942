"""The progress of a long command that counts its items: in lines, or as a bar on a terminal (``bars``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, Self


class CountReporter(Protocol):
    """Shows progress. Used as a context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *args: object) -> None: ...

    def show(self, title: str, count: int, part: float | None) -> None:
        """``part``: the completed fraction, from 0 to 1; None if unknown."""
        ...


class CountLines:
    """A line at most every ``every`` seconds by ``clock``."""

    def __init__(
        self, say: Callable[[str], None], clock: Callable[[], float], every: float = 5.0, unit: str = "documents"
    ) -> None:
        self._say = say
        self._clock = clock
        self._every = every
        self._unit = unit
        self._last = clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        return None

    def show(self, title: str, count: int, part: float | None) -> None:
        now = self._clock()
        if now - self._last >= self._every:
            self._last = now
            self._say(f"{title}: {counted(count, part, self._unit)}")


def counted(count: int, part: float | None, unit: str = "documents") -> str:
    """Return the progress in words."""
    return f"{count:,} {unit}" + (f", {part:.0%}" if part is not None else "")
