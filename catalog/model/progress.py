"""The progress of a plan: small at any size of the plan, so that it can be read and replaced in every round."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from catalog.model.field import check_count, is_number, one_line


class MoveOutcome(StrEnum):
    """The outcome of a planned move.

    done: the queue is on its target. reversed, cancelled: by an operator. gone: its users deleted the queue. refused:
    it could not be begun. failed: too many attempts; the move is paused and can be resumed.
    """

    DONE = "done"
    REVERSED = "reversed"
    CANCELLED = "cancelled"
    GONE = "gone"
    REFUSED = "refused"
    FAILED = "failed"


FAILURES = frozenset({MoveOutcome.REFUSED, MoveOutcome.FAILED})


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of planned move ``number``: its outcome, the reason unless done, and for how long it held writes (ms)."""

    number: int
    outcome: MoveOutcome
    reason: str = ""
    pause_ms: float | None = None

    def __post_init__(self) -> None:
        check_count("number", self.number)
        object.__setattr__(self, "reason", one_line("reason", self.reason))
        if self.pause_ms is not None and (not is_number(self.pause_ms) or self.pause_ms < 0):
            raise ValueError(f"pause_ms: {self.pause_ms!r} is not a number of milliseconds")

    def to_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "outcome": self.outcome.value,
            "reason": self.reason,
            "pause_ms": self.pause_ms,
        }

    @staticmethod
    def from_json(doc: Mapping[str, Any]) -> Ending:
        return Ending(doc["number"], MoveOutcome(doc["outcome"]), doc["reason"], doc["pause_ms"])


@dataclass(frozen=True, slots=True)
class Progress:
    """The numbers of moves that were begun, and their endings.

    All planned moves below ``next`` were begun, and those in ``ahead``; the others wait. ``pending`` are begun and may
    have no record of a move yet, which the executor of the plan inserts. ``endings`` are counted in ``counts`` and may
    not be stored in their planned moves yet, which the executor does as well. ``pauses`` are pairs of milliseconds,
    rounded to two digits, and the number of moves with that pause. ``allowance`` is the rest of the budget after the
    last begin, in moves, None before the first.
    """

    next: int = 0
    ahead: tuple[int, ...] = ()
    pending: tuple[int, ...] = ()
    endings: tuple[Ending, ...] = ()
    counts: Mapping[MoveOutcome, int] = field(default_factory=dict)
    pauses: tuple[tuple[float, int], ...] = ()
    allowance: float | None = None
    note: str | None = None

    @property
    def begun(self) -> int:
        return self.next + len(self.ahead)

    @property
    def ended(self) -> int:
        return sum(self.counts.values())

    @property
    def open(self) -> int:
        """The number of moves that were begun and have not ended."""
        return self.begun - self.ended

    @property
    def failures(self) -> int:
        return sum(self.counts.get(outcome, 0) for outcome in FAILURES)

    def has_begun(self, number: int) -> bool:
        return number < self.next or number in self.ahead

    def with_begun(self, numbers: Iterable[int], allowance: float) -> Progress:
        """Return the progress after these moves were begun, too."""
        fresh = set(numbers)
        ahead, following = fresh.union(self.ahead), self.next
        while following in ahead:
            ahead.discard(following)
            following += 1
        return replace(
            self,
            next=following,
            ahead=tuple(sorted(ahead)),
            pending=tuple(sorted(fresh.union(self.pending))),
            allowance=allowance,
        )

    def with_endings(self, endings: Iterable[Ending]) -> Progress:
        """Return the progress after these moves have ended. They were begun before."""
        fresh = tuple(endings)
        counts, pauses = Counter(self.counts), Counter(dict(self.pauses))
        counts.update(ending.outcome for ending in fresh)
        pauses.update(float(f"{ending.pause_ms:.2g}") for ending in fresh if ending.pause_ms is not None)
        ended = {ending.number for ending in fresh}
        return replace(
            self,
            pending=tuple(number for number in self.pending if number not in ended),
            endings=(*self.endings, *fresh),
            counts=dict(counts),
            pauses=tuple(sorted(pauses.items())),
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "next": self.next,
            "ahead": list(self.ahead),
            "pending": list(self.pending),
            "endings": [ending.to_json() for ending in self.endings],
            "counts": {outcome.value: count for outcome, count in self.counts.items()},
            "pauses": [list(pair) for pair in self.pauses],
            "allowance": self.allowance,
            "note": self.note,
        }

    @staticmethod
    def from_json(doc: Mapping[str, Any]) -> Progress:
        return Progress(
            next=doc["next"],
            ahead=tuple(doc["ahead"]),
            pending=tuple(doc["pending"]),
            endings=tuple(Ending.from_json(ending) for ending in doc["endings"]),
            counts={MoveOutcome(word): count for word, count in doc["counts"].items()},
            pauses=tuple((float(pause), count) for pause, count in doc["pauses"]),
            allowance=doc["allowance"],
            note=doc["note"],
        )
