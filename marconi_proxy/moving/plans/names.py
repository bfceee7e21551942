"""Ids of plans and moves, which sort by their time of creation as far as clocks agree; and the names of queues in
sentences."""

from __future__ import annotations

from datetime import UTC, datetime


def _new(letter: str, now: float, chance: str) -> str:
    return f"{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%S}-{letter}{chance}"


def new_plan_id(now: float, chance: str) -> str:
    """Return the id of a plan made at ``now`` (seconds since 1970). ``chance``: a few random characters."""
    return _new("p", now, chance)


def new_move_id(now: float, chance: str) -> str:
    """Return the id of a move that is ordered alone."""
    return _new("m", now, chance)


def planned_move_id(plan_id: str, number: int) -> str:
    """Return the id of move ``number`` of a plan: always the same, so that it is never begun twice."""
    return f"{plan_id}-{number:05d}"


def planned_number(move_id: str) -> tuple[str, int] | None:
    """Return the plan of a move, and its number there; None for an id without both."""
    plan_id, _, number = move_id.rpartition("-")
    return (plan_id, int(number)) if number.isdecimal() and plan_id else None


def called(project: str, queue: str) -> str:
    """Return the name of a queue for sentences: project/queue, with ``-`` for no project."""
    return f"{project or '-'}/{queue}"


def since(now: float, seconds: float) -> str:
    """Return the string after which all ids of the last ``seconds`` sort."""
    return f"{datetime.fromtimestamp(max(0.0, now - seconds), UTC):%Y%m%dT%H%M%S}"
