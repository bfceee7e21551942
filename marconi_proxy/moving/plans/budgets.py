"""The budgets of a plan: limits of concurrency, rate, time of day, and failures. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Budgets:
    """The budgets of one plan.

    ``at_once``: the most moves from or to one partition that are before their switch. ``seals_per_second``: the most
    moves to begin in a second. ``window``: ``HH:MM-HH:MM`` in UTC, the time in which moves are begun (its first minute
    belongs to it, its last does not; it may pass midnight); None for any time. It is by the wall clock on purpose,
    because operators write it so. ``stop_after``: the number of failures that stops the plan. ``max_pause_ms``: the
    most milliseconds for which a move may hold writes, None for no such limit.

    Raises ValueError, which names the field at fault.
    """

    at_once: int = 4
    seals_per_second: float = 10.0
    window: str | None = None
    stop_after: int = 10
    max_pause_ms: float | None = None

    def __post_init__(self) -> None:
        _check("at_once", self.at_once, int, 1, 1000)
        _check("seals_per_second", self.seals_per_second, (int, float), 0.01, 1000)
        _check("stop_after", self.stop_after, int, 1, 1_000_000)
        if self.max_pause_ms is not None:
            _check("max_pause_ms", self.max_pause_ms, (int, float), 1, 60_000)
        if self.window is not None and self._minutes() is None:
            raise ValueError(f"window: {self.window!a} is not HH:MM-HH:MM (UTC) with two different times")

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> Budgets:
        """Return the budgets of a document; missing ones have their default. Raises ValueError, also for an unknown
        name."""
        known = [field.name for field in fields(Budgets)]
        for name in document:
            if name not in known:
                raise ValueError(f"{name}: there is no such budget; there are {', '.join(known)}")
        return Budgets(**document)

    def to_json(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def open_at(self, now: float) -> bool:
        """Return whether moves may be begun at ``now``, in seconds since 1970."""
        minutes = self._minutes()
        if minutes is None:
            return True
        begin, end = minutes
        minute = now % _DAY // 60
        return begin <= minute < end if begin < end else not end <= minute < begin

    def _minutes(self) -> tuple[int, int] | None:
        match = _WINDOW.fullmatch(self.window) if isinstance(self.window, str) else None
        if match is None:
            return None
        first, last = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
        return None if first == last else (first, last)


def _check(name: str, value: object, kind: type | tuple[type, ...], low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:  # type: ignore[operator]
        whole = "an integer" if kind is int else "a number"
        raise ValueError(f"{name}: {value!a} is not {whole} from {low} to {high}")
