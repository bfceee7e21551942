"""Which moves of a plan come next, and how one has ended. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from catalog.model import (
    FINISHED_STATES,
    Ending,
    Move,
    MoveOutcome,
    MovePlan,
    MoveState,
    Placement,
    PlannedMove,
    PlanState,
)
from marconi_proxy.moving.orders.order import OPERATOR
from marconi_proxy.moving.plans.budgets import Budgets
from marconi_proxy.moving.protocol.machine import before_switch

# How many moves that wait are looked at in a round, and how far beyond the first of them. Moves that are passed over,
# because their partitions are busy, do not hold up the others as long as there are fewer.
CANDIDATES = 100
SPAN = 1000
# In which of its states a move takes part of the budgets of its partitions. A paused one does nothing there.
BUSY = frozenset(state for state in MoveState if before_switch(state)) - {MoveState.PAUSED} - FINISHED_STATES


def outcome_of(number: int, move: Move, target: str, placement: Placement | None) -> Ending | None:
    """Return how the move ended that was to go to ``target``, and why if it did not end well; None while it goes on or
    an operator holds it. (``move.target`` is another one if it was sent on since.)"""
    pause = move.pause_ms
    if move.state is MoveState.DONE:
        return Ending(number, MoveOutcome.DONE if move.destination == target else MoveOutcome.REVERSED, "", pause)
    if move.state is MoveState.VOID:
        return Ending(number, MoveOutcome.GONE, "", pause)
    if move.state is MoveState.CANCELLED:
        deleted = placement is None or (move.incarnation != "" and placement.incarnation != move.incarnation)
        return Ending(number, MoveOutcome.GONE if deleted else MoveOutcome.CANCELLED, "", pause)
    if move.state is MoveState.PAUSED:
        reason = move.log[-1].reason if move.log else ""
        return None if reason.startswith(OPERATOR) else Ending(number, MoveOutcome.FAILED, reason, pause)
    return None


def missing(planned: PlannedMove, placement: Placement | None) -> Ending:
    """Return how a move ended whose record was removed, which is done some time after its end."""
    if placement is None or placement.incarnation != planned.incarnation:
        return Ending(planned.number, MoveOutcome.GONE)
    if placement.partition == planned.target:
        return Ending(planned.number, MoveOutcome.DONE)
    return Ending(
        planned.number, MoveOutcome.CANCELLED, f"it is on {placement.partition}; the record of its move is gone"
    )


def candidates(plan: MovePlan) -> list[int]:
    """Return the numbers of the next moves that wait: a bounded number of them."""
    progress = plan.progress
    ahead, last = set(progress.ahead), min(plan.size, progress.next + SPAN)
    return [number for number in range(progress.next, last) if number not in ahead][:CANDIDATES]


def allowance(plan: MovePlan, seconds: float) -> float:
    """Return how many moves may be begun now, ``seconds`` after it was seen that some were begun last."""
    budgets = Budgets.from_json(plan.budgets)
    burst = max(1.0, budgets.seals_per_second)
    saved = plan.progress.allowance
    return burst if saved is None else min(burst, saved + seconds * budgets.seals_per_second)


def next_to_begin(
    plan: MovePlan, waiting: Sequence[PlannedMove], busy: Iterable[Move | PlannedMove], allowed: float
) -> list[PlannedMove]:
    """Return those of ``waiting`` that are to be begun now: as many as the budgets allow, groups whole.

    ``busy``: moves that are begun and have not come to their switch; they count at their source and target.
    """
    budgets = Budgets.from_json(plan.budgets)
    burst = max(1.0, budgets.seals_per_second)
    taken: Counter[str] = Counter()
    for move in busy:
        taken.update((move.source, move.target))
    begun: list[PlannedMove] = []
    for group in _groups(plan, waiting):
        if allowed < min(len(group), burst):
            break
        # A group that is larger than the budget goes alone.
        where = Counter(name for move in group for name in (move.source, move.target))
        if any(taken[name] and taken[name] + count > budgets.at_once for name, count in where.items()):
            continue
        begun += group
        taken.update(where)
        allowed -= len(group)
    return begun


def may_begin(plan: MovePlan, now: float) -> bool:
    """Tell whether moves may be begun at ``now``, in seconds since 1970: a window is by the wall clock, as operators
    write it."""
    return plan.state is PlanState.RUNNING and plan.waiting > 0 and Budgets.from_json(plan.budgets).open_at(now)


def _groups(plan: MovePlan, waiting: Sequence[PlannedMove]) -> list[list[PlannedMove]]:
    """The moves that wait, those that are begun together in one list; without a last group that is not whole."""
    groups: list[list[PlannedMove]] = []
    for move in waiting:
        if groups and move.group is not None and groups[-1][0].group == move.group:
            groups[-1].append(move)
        else:
            groups.append([move])
    if groups and (last := groups[-1][0].group) is not None and len(groups[-1]) <= last[1] - last[0]:
        groups.pop()
    return groups
