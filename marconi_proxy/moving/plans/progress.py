"""What of a plan was begun, and how it ended: the ``results`` of its record. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from catalog.model import Move, MoveState, Placement, Plan, PlanState
from marconi_proxy.moving.orders.ordering import OPERATOR
from marconi_proxy.moving.plans.budgets import Budgets
from marconi_proxy.moving.protocol.machine import before_switch


class Outcome(StrEnum):
    """done: the queue is where the plan says. reversed, cancelled: by an operator. gone: deleted by its users. refused:
    it could not be begun. failed: it was tried too often; the move is paused and can be resumed."""

    DONE = "done"
    REVERSED = "reversed"
    CANCELLED = "cancelled"
    GONE = "gone"
    REFUSED = "refused"
    FAILED = "failed"


FAILURES = frozenset({Outcome.REFUSED, Outcome.FAILED})


@dataclass(frozen=True, slots=True)
class Progress:
    """``open``: numbers of the moves that are begun; a record of each is in the catalog, or will be soon. ``ended``:
    outcomes of others, by number, with ``reasons`` for those that need one and ``pauses`` in milliseconds. What is in
    neither waits for its turn. ``last`` and ``allowance`` keep the pace: when moves were begun last, and how many more
    could have been then.
    """

    open: frozenset[int] = frozenset()
    ended: Mapping[int, Outcome] = field(default_factory=dict)
    reasons: Mapping[int, str] = field(default_factory=dict)
    pauses: Mapping[int, float] = field(default_factory=dict)
    last: float | None = None
    allowance: float = 0.0
    note: str | None = None

    @staticmethod
    def of(plan: Plan) -> Progress:
        results = plan.results

        def numbered(name: str) -> dict[int, Any]:
            return {int(number): value for number, value in results.get(name, {}).items()}

        return Progress(
            frozenset(results.get("open", ())),
            {number: Outcome(word) for number, word in numbered("ended").items()},
            numbered("reasons"),
            numbered("pauses"),
            results.get("last"),
            results.get("allowance", 0.0),
            results.get("note"),
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "open": sorted(self.open),
            "ended": {str(number): outcome.value for number, outcome in self.ended.items()},
            "reasons": {str(number): reason for number, reason in self.reasons.items()},
            "pauses": {str(number): pause for number, pause in self.pauses.items()},
            "last": self.last,
            "allowance": self.allowance,
            "note": self.note,
        }

    def with_outcome(self, number: int, outcome: Outcome, reason: str = "", pause: float | None = None) -> Progress:
        """Return it with a move that has ended."""
        return replace(
            self,
            open=self.open - {number},
            ended={**self.ended, number: outcome},
            reasons={**self.reasons, number: reason} if reason else self.reasons,
            pauses={**self.pauses, number: pause} if pause is not None else self.pauses,
        )

    @property
    def failures(self) -> int:
        return sum(outcome in FAILURES for outcome in self.ended.values())

    def counts(self) -> dict[str, int]:
        """Return how many moves ended in each way."""
        found = Counter(self.ended.values())
        return {outcome.value: found[outcome] for outcome in Outcome}

    def waiting(self, plan: Plan) -> list[int]:
        """Return the numbers of the moves that were not begun, in order."""
        return [n for n in range(len(plan.moves)) if n not in self.open and n not in self.ended]


def outcome_of(move: Move, target: str, placement: Placement | None) -> tuple[Outcome, str] | None:
    """Return how the move ended that was to go to ``target``, and why if it did not end well; None while it goes on or
    an operator holds it. (``move.target`` is another one if it was sent on since.)"""
    if move.state is MoveState.DONE:
        return (Outcome.DONE, "") if move.toward == target else (Outcome.REVERSED, "")
    if move.state is MoveState.VOID:
        return Outcome.GONE, ""
    if move.state is MoveState.CANCELLED:
        deleted = placement is None or (move.born != "" and placement.born != move.born)
        return (Outcome.GONE, "") if deleted else (Outcome.CANCELLED, "")
    if move.state is MoveState.PAUSED:
        reason = move.log[-1].reason if move.log else ""
        return None if reason.startswith(OPERATOR) else (Outcome.FAILED, reason)
    return None


def next_to_begin(plan: Plan, progress: Progress, moves: Mapping[int, Move], now: float) -> Progress:
    """Return the progress with those moves open that are to be begun now: as many as budgets and window allow.

    ``moves``: the records of the open ones, as far as there are any. One that has come to its switch counts no more.
    """
    budgets = Budgets.from_json(plan.budgets)
    if plan.state is not PlanState.RUNNING or not budgets.open_at(now):
        return progress
    burst = max(1.0, budgets.seals_per_second)
    passed = 0.0 if progress.last is None else max(0.0, now - progress.last)
    allowance = burst if progress.last is None else min(burst, progress.allowance + passed * budgets.seals_per_second)
    busy: Counter[str] = Counter()
    for number in progress.open:
        move = moves.get(number)
        if move is None or before_switch(move.state):
            busy.update((plan.moves[number].source, plan.moves[number].target))
    begun = set(progress.open)
    for group in _groups(plan, progress):
        if allowance < min(len(group), burst):
            break
        # A group that is larger than the budget goes alone.
        where = Counter(name for n in group for name in (plan.moves[n].source, plan.moves[n].target))
        if any(busy[name] and busy[name] + count > budgets.at_once for name, count in where.items()):
            continue
        begun.update(group)
        busy.update(where)
        allowance -= len(group)
    if len(begun) == len(progress.open):
        return progress
    return replace(progress, open=frozenset(begun), last=now, allowance=allowance)


def _groups(plan: Plan, progress: Progress) -> list[list[int]]:
    """The moves that wait, those that are begun together in one list."""
    groups = {group[0]: group for group in plan.preconditions.get("groups", ())}
    inside = {n for group in groups.values() for n in group[1:]}
    waiting = progress.waiting(plan)
    return [groups.get(n, [n]) for n in waiting if n not in inside]
