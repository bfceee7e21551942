"""The progress of a plan: the moves to begin next, and the outcome of a move. Pure."""

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

# The most waiting moves to look at in a round, and how far beyond the first of them. So many moves may wait for busy
# partitions before they delay the others.
CANDIDATES = 100
SPAN = 1000
# The states in which a move counts against the budgets of its partitions. A paused one does not.
BUSY = frozenset(state for state in MoveState if before_switch(state)) - {MoveState.PAUSED} - FINISHED_STATES


def outcome_of(number: int, move: Move, target: str, placement: Placement | None) -> Ending | None:
    """Return the outcome of a move that was planned to go to ``target``, with the reason of a failure; None while it
    continues or an operator has paused it. (``move.target`` differs from ``target`` if the move was sent on.)"""
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
    """Return the outcome of a move without a record; records are removed some time after the end."""
    if placement is None or placement.incarnation != planned.incarnation:
        return Ending(planned.number, MoveOutcome.GONE)
    if placement.partition == planned.target:
        return Ending(planned.number, MoveOutcome.DONE)
    return Ending(
        planned.number, MoveOutcome.CANCELLED, f"it is on {placement.partition}; the record of its move is gone"
    )


def candidates(plan: MovePlan) -> list[int]:
    """Return the numbers of the next waiting moves, at most ``CANDIDATES``."""
    progress = plan.progress
    ahead, last = set(progress.ahead), min(plan.size, progress.next + SPAN)
    return [number for number in range(progress.next, last) if number not in ahead][:CANDIDATES]


def allowance(plan: MovePlan, seconds: float) -> float:
    """Return the number of moves that the rate allows now, ``seconds`` after the last ones were seen to be begun."""
    budgets = Budgets.from_json(plan.budgets)
    burst = max(1.0, budgets.seals_per_second)
    saved = plan.progress.allowance
    return burst if saved is None else min(burst, saved + seconds * budgets.seals_per_second)


def next_to_begin(
    plan: MovePlan, waiting: Sequence[PlannedMove], busy: Iterable[Move | PlannedMove], allowed: float
) -> list[PlannedMove]:
    """Return those of ``waiting`` to begin now: as many as the budgets allow, groups whole.

    ``busy``: moves that are begun and not yet switched; they count at their source and target.
    """
    budgets = Budgets.from_json(plan.budgets)
    burst = max(1.0, budgets.seals_per_second)
    taken: Counter[str] = Counter()
    for move in busy:
        taken.update((move.source, move.target))
    begun: list[PlannedMove] = []
    for group in _groups(waiting):
        if allowed < min(len(group), burst):
            break
        # A group larger than the budget is begun alone.
        where = Counter(name for move in group for name in (move.source, move.target))
        if any(taken[name] and taken[name] + count > budgets.at_once for name, count in where.items()):
            continue
        begun += group
        taken.update(where)
        allowed -= len(group)
    return begun


def may_begin(plan: MovePlan, now: float) -> bool:
    """Return whether moves may be begun at ``now``, in seconds since 1970. A window is by the wall clock, because
    operators write it so."""
    return plan.state is PlanState.RUNNING and plan.waiting > 0 and Budgets.from_json(plan.budgets).open_at(now)


def _groups(waiting: Sequence[PlannedMove]) -> list[list[PlannedMove]]:
    """Return the waiting moves in lists that are begun together, without a last group that is incomplete."""
    groups: list[list[PlannedMove]] = []
    for move in waiting:
        if groups and move.group is not None and groups[-1][0].group == move.group:
            groups[-1].append(move)
        else:
            groups.append([move])
    if groups and (last := groups[-1][0].group) is not None and len(groups[-1]) <= last[1] - last[0]:
        groups.pop()
    return groups
