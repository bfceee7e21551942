"""How far a long command is that counts what it does: in lines, or as a bar on a terminal (``bars``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, Self


class Counting(Protocol):
    """Shows how far something is. Used as a context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *args: object) -> None: ...

    def show(self, title: str, count: int, part: float | None) -> None:
        """``part``: how much of all that there is, from 0 to 1; None if that is not known."""
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
    """Return how far it is, in words."""
    return f"{count:,} {unit}" + (f", {part:.0%}" if part is not None else "")
