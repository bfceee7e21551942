"""Plans as the admin API reads and writes them.

A plan itself is written as the catalog has it, for its hash is of that: projects are the bytes of their header read as
latin-1 there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from catalog.model import Move, MoveOutcome, MovePlan, MoveState, PlannedMove, WholePlan
from marconi_proxy.clock import iso
from marconi_proxy.moving.plans.budgets import Budgets
from marconi_proxy.moving.plans.names import planned_move_id
from marconi_proxy.moving.plans.planner import PlanKind, Selection
from marconi_proxy.moving.plans.progress import BUSY, outcome_of
from marconi_proxy.moving.plans.survey import pauses
from marconi_proxy.project_text import from_json, project_from_json, shown, shown_project

MEMBERS = ("kind", "project", "partition", "region", "to", "repin", "break_pins", "budgets")

_SUBJECTS = {
    PlanKind.TENANT: "project",
    PlanKind.DRAIN: "partition",
    PlanKind.EVACUATE: "region",
    PlanKind.REBALANCE: None,
}
# The most failed moves that are listed with their reasons.
TOLD = 100


def selection(document: Mapping[str, Any]) -> Selection:
    """Return the selection of queues from a POST. Raises ValueError naming the member at fault."""
    kinds = [kind.value for kind in PlanKind]
    if document.get("kind") not in kinds:
        raise ValueError(f"kind: must be one of {', '.join(kinds)}")
    kind = PlanKind(document["kind"])
    needed = _SUBJECTS[kind]
    for member in ("project", "partition", "region"):
        if member == needed and member not in document:
            raise ValueError(f"{member}: is needed")
        if member != needed and member in document:
            raise ValueError(f"{member}: has no meaning for a plan of kind {kind}")
    subject = ""
    if needed == "project":
        subject = project_from_json(needed, document[needed])
    elif needed == "region":
        # Regions are stored unchanged.
        subject = document[needed]
        if not isinstance(subject, str) or not subject:
            raise ValueError("region: must be text that is not empty")
    elif needed is not None:
        subject = from_json(needed, document[needed])
    to = document.get("to", [])
    if not isinstance(to, list) or not all(isinstance(name, str) for name in to):
        raise ValueError("to: must be an array of names of partitions")
    repin, break_pins = document.get("repin"), document.get("break_pins", False)
    if repin is not None and (not isinstance(repin, str) or kind is PlanKind.REBALANCE):
        raise ValueError("repin: must be the name of a partition, and has no meaning for a rebalance")
    if not isinstance(break_pins, bool):
        raise ValueError("break_pins: must be true or false")
    return Selection(kind, subject, tuple(to), repin, break_pins)


def budgets(document: Mapping[str, Any]) -> Budgets:
    """Return the budgets that a POST gives, with defaults. Raises ValueError naming the member at fault."""
    given = document.get("budgets", {})
    if not isinstance(given, dict):
        raise ValueError("budgets: must be an object")
    try:
        return Budgets.from_json(given)
    except ValueError as error:
        raise ValueError(f"budgets.{error}") from None


def listed(plan: MovePlan) -> dict[str, Any]:
    """Return the JSON of one plan in a list."""
    progress, preconditions = plan.progress, plan.preconditions
    return {
        "id": plan.id,
        "title": shown(plan.title),
        "state": plan.state.value,
        "created": iso(plan.created),
        "hash": plan.hash,
        "moves": plan.size,
        "waiting": plan.waiting,
        "begun": progress.open,
        "ended": {outcome.value: progress.counts.get(outcome, 0) for outcome in MoveOutcome},
        "left_out_count": preconditions["left_out_count"],
        "kept_count": preconditions.get("kept_count", 0),
        "broken_count": preconditions.get("broken_count", 0),
        "note": progress.note,
    }


def whole(
    found: WholePlan, *, hold_max: float, seal_timeout: float, measured: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return the JSON of one plan: itself, and a summary of what will happen.

    ``hold_max``: seconds that a worker holds a write; ``seal_timeout``: seconds until a mover begins to end an attempt.
    ``measured``: what past moves measured of their pauses, None if there are none.
    """
    plan, preconditions = found.plan, found.plan.preconditions
    given = Budgets.from_json(plan.budgets)
    attempt = seal_timeout * 1000
    if given.max_pause_ms is not None:
        attempt = min(attempt, given.max_pause_ms)
    left_out = [
        {
            "project": entry["project"] and shown(entry["project"]),
            "queue": shown(entry["queue"]),
            "reason": entry["reason"],
        }
        for entry in preconditions["left_out"]
    ]
    tenants = {
        name: [
            {"project": entry["project"] and shown(entry["project"]), "reason": entry["reason"]}
            for entry in preconditions.get(name, ())
        ]
        for name in ("kept", "broken")
    }
    return {
        "plan": found.to_json(),
        "summary": listed(plan)
        | {
            "from": _counted(move.source for move in found.moves),
            "to": _counted(move.target for move in found.moves),
            "projects": len({move.project for move in found.moves}),
            "budgets": given.to_json(),
            "pause": {"at_most_ms": hold_max * 1000, "attempt_ms": attempt, "measured": measured},
            "left_out": left_out,
            "repin": preconditions["selection"].get("repin"),
        }
        | tenants,
    }


def progress(plan: MovePlan, moves: Collection[Move], badly: Iterable[PlannedMove]) -> dict[str, Any]:
    """Return the JSON of the progress of a plan.

    ``moves``: the records of those of its moves that are not finished; ``badly``: the first that ended otherwise than
    done, with their endings.
    """
    known = plan.progress
    switched = known.open - _unswitched(plan, moves) + known.counts.get(MoveOutcome.DONE, 0)
    switched += known.counts.get(MoveOutcome.REVERSED, 0)
    # Those that failed have ended, as far as the plan is concerned.
    moves = [move for move in moves if not _failed(move)]
    measured = [pause for pause, count in known.pauses for _ in range(count)]
    measured += [move.pause_ms for move in moves if move.pause_ms is not None]
    problems = [
        {
            "project": shown_project(move.project),
            "queue": shown(move.queue),
            "outcome": move.ending.outcome.value,
            "reason": move.ending.reason,
        }
        for move in badly
        if move.ending is not None
    ]
    return listed(plan) | {
        "switched": max(0, switched),
        "states": _counted(move.state.value for move in moves),
        "left": sum(_whole_number(move.facts.get("left")) for move in moves),
        "pause": pauses(measured),
        "problems": problems,
    }


def _unswitched(plan: MovePlan, moves: Collection[Move]) -> int:
    """Return how many moves that are begun, and have not ended as far as is written down, were never switched."""
    ids = {move.id for move in moves}
    pending = sum(planned_move_id(plan.id, number) not in ids for number in plan.progress.pending)
    busy = sum(move.state in BUSY for move in moves)
    paused = sum(move.state is MoveState.PAUSED for move in moves)
    failed = min(sum(map(_failed, moves)), plan.progress.counts.get(MoveOutcome.FAILED, 0))
    return pending + busy + paused - failed


def _failed(move: Move) -> bool:
    return move.state is MoveState.PAUSED and outcome_of(0, move, move.target, None) is not None


def _whole_number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _counted(words: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(words).items()))
