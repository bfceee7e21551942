"""Plans as the admin API reads and writes them.

A plan itself is written as the catalog has it, for its hash is of that: projects are the bytes of their header read as
latin-1 there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from catalog.model import Move, Plan
from marconi_proxy.admin.project_text import from_json, project_from_json, shown, shown_project
from marconi_proxy.admin.time_text import iso
from marconi_proxy.moving.plans.budgets import Budgets
from marconi_proxy.moving.plans.planning import Kind, Selection
from marconi_proxy.moving.plans.progress import Outcome, Progress
from marconi_proxy.moving.plans.survey import pauses
from marconi_proxy.moving.protocol.machine import before_switch

MEMBERS = ("kind", "project", "partition", "region", "to", "budgets")

_SUBJECTS = {Kind.TENANT: "project", Kind.DRAIN: "partition", Kind.EVACUATE: "region", Kind.REBALANCE: None}
# So many moves that ended badly are told with their reasons.
_TOLD = 100


def selection(document: Mapping[str, Any]) -> Selection:
    """Return what a POST asks to plan. Raises ValueError naming the member at fault."""
    kinds = [kind.value for kind in Kind]
    if document.get("kind") not in kinds:
        raise ValueError(f"kind: must be one of {', '.join(kinds)}")
    kind = Kind(document["kind"])
    needed = _SUBJECTS[kind]
    for member in ("project", "partition", "region"):
        if member == needed and member not in document:
            raise ValueError(f"{member}: is needed")
        if member != needed and member in document:
            raise ValueError(f"{member}: says nothing to a plan of kind {kind}")
    subject = ""
    if needed == "project":
        subject = project_from_json(needed, document[needed])
    elif needed == "region":
        # Regions are stored as they were written.
        subject = document[needed]
        if not isinstance(subject, str) or not subject:
            raise ValueError("region: must be text that is not empty")
    elif needed is not None:
        subject = from_json(needed, document[needed])
    to = document.get("to", [])
    if not isinstance(to, list) or not all(isinstance(name, str) for name in to):
        raise ValueError("to: must be an array of names of partitions")
    return Selection(kind, subject, tuple(to))


def budgets(document: Mapping[str, Any]) -> Budgets:
    """Return the budgets that a POST gives, with defaults. Raises ValueError naming the member at fault."""
    given = document.get("budgets", {})
    if not isinstance(given, dict):
        raise ValueError("budgets: must be an object")
    try:
        return Budgets.from_json(given)
    except ValueError as error:
        raise ValueError(f"budgets.{error}") from None


def listed(plan: Plan) -> dict[str, Any]:
    """Return the JSON of one plan in a list."""
    progress = Progress.of(plan)
    return {
        "id": plan.id,
        "title": shown(plan.title),
        "state": plan.state.value,
        "created": iso(plan.created),
        "hash": plan.hash,
        "moves": len(plan.moves),
        "waiting": len(plan.moves) - len(progress.open) - len(progress.ended),
        "begun": len(progress.open),
        "ended": progress.counts(),
        "left_out_count": plan.preconditions["left_out_count"],
        "note": progress.note,
    }


def whole(plan: Plan, *, hold_max: float, seal_timeout: float, measured: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the JSON of one plan: itself, and a summary of what will happen.

    ``hold_max``: seconds that a worker holds a write; ``seal_timeout``: seconds until a mover begins to end an attempt.
    ``measured``: what past moves measured of their pauses, None if there are none.
    """
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
        for entry in plan.preconditions["left_out"]
    ]
    return {
        "plan": plan.to_json(),
        "summary": listed(plan)
        | {
            "from": _counted(move.source for move in plan.moves),
            "to": _counted(move.target for move in plan.moves),
            "projects": len({move.project for move in plan.moves}),
            "budgets": given.to_json(),
            "pause": {"at_most_ms": hold_max * 1000, "attempt_ms": attempt, "measured": measured},
            "left_out": left_out,
        },
    }


def progress(plan: Plan, moves: Collection[Move]) -> dict[str, Any]:
    """Return the JSON of how far a plan is. ``moves``: the records of those that it has begun and not settled."""
    known = Progress.of(plan)
    measured = list(known.pauses.values()) + [move.pause_ms for move in moves if move.pause_ms is not None]
    switched = sum(not before_switch(move.state) for move in moves) + sum(
        outcome in (Outcome.DONE, Outcome.REVERSED) for outcome in known.ended.values()
    )
    problems = [
        {
            "project": shown_project(plan.moves[number].project),
            "queue": shown(plan.moves[number].queue),
            "outcome": outcome.value,
            "reason": known.reasons.get(number, ""),
        }
        for number, outcome in sorted(known.ended.items())
        if outcome is not Outcome.DONE
    ]
    return listed(plan) | {
        "switched": switched,
        "states": _counted(move.state.value for move in moves if not move.finished),
        "left": sum(_whole_number(move.facts.get("left")) for move in moves),
        "pause": pauses(measured),
        "problems": problems[:_TOLD],
    }


def _whole_number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _counted(words: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(words).items()))
