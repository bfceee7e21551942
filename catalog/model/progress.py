"""How far a plan is: small, whatever the plan's size, so that it can be read and replaced in every round."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from catalog.model.field import check_count, is_number, one_line


class MoveOutcome(StrEnum):
    """done: the queue is where the plan says. reversed, cancelled: by an operator. gone: deleted by its users. refused:
    it could not be begun. failed: it was tried too often; the move is paused and can be resumed."""

    DONE = "done"
    REVERSED = "reversed"
    CANCELLED = "cancelled"
    GONE = "gone"
    REFUSED = "refused"
    FAILED = "failed"


FAILURES = frozenset({MoveOutcome.REFUSED, MoveOutcome.FAILED})


@dataclass(frozen=True, slots=True)
class Ending:
    """How the planned move ``number`` ended, why if it did not end well, and how long it held writes (milliseconds)."""

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
    """What of a plan was begun, and how it ended.

    All planned moves below ``next`` were begun, and those in ``ahead``; the others wait for their turn. ``pending`` are
    begun and may have no record of a move yet: the executor of the plan inserts it. ``endings`` are
    counted in ``counts`` and may not be written down at their planned moves yet: the same does that. ``pauses`` are
    pairs of milliseconds, rounded to two digits, and how many moves paused writes for that long. ``allowance`` is how
    many more moves could have been begun when some were begun last, None if none was.
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
        """How many are begun and have not ended."""
        return self.begun - self.ended

    @property
    def failures(self) -> int:
        return sum(self.counts.get(outcome, 0) for outcome in FAILURES)

    def has_begun(self, number: int) -> bool:
        return number < self.next or number in self.ahead

    def with_begun(self, numbers: Iterable[int], allowance: float) -> Progress:
        """Return it with these moves begun too."""
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
        """Return it with moves that have ended now, and were begun before."""
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
