"""The result of applying a plan: an outcome for each entry, and their sum."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from catalog.model import QueueKey


class AdoptionOutcome(StrEnum):
    """The result for an entry."""

    ADOPTED = "adopted"
    THERE = "there"
    SKIPPED = "skipped"
    GONE = "gone"
    CONFLICT = "conflict"


@dataclass(slots=True)
class AdoptionSummary:
    """``conflicts``: new ones, as (line number, queue, cause). ``chains``: adopted ones. ``retiring``: resumed ones."""

    outcomes: Counter[AdoptionOutcome] = field(default_factory=Counter)
    conflicts: list[tuple[int, QueueKey, str]] = field(default_factory=list)
    chains: int = 0
    retiring: int = 0


class DiffersFromPlan(Exception):
    """The queue differs from the plan, and was not changed. The message is the difference."""
