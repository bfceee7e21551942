"""Plans: many moves that are shown first, and then executed exactly as shown.

A plan is stored as two kinds of values. ``PlannedMove``, one for each move, changes only once, to store its ending.
``MovePlan`` is the rest, of a size independent of the number of moves: its state and progress change by
compare-and-set. ``WholePlan`` is both together, as it is made, shown and hashed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import sha256
from typing import Any

from catalog.model.field import (
    check_count,
    check_id,
    check_key,
    check_partition_name,
    check_queue,
    check_text,
    check_time,
    json_object,
)
from catalog.model.placement import NO_PROJECT, QueueKey
from catalog.model.progress import Ending, MoveOutcome, Progress

# So many an operator can still review, and the admin API can return in one answer.
MAX_PLANNED_MOVES = 20_000


class PlanState(StrEnum):
    """The state of a plan.

    planned: made and not applied. running: its moves are executed. paused: none of its moves is begun. stopped: an
    operator, or too many failures, ended it. done: all its moves have ended.
    """

    PLANNED = "planned"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class PlannedMove:
    """Move ``number`` of a plan: a queue from ``source`` to ``target``.

    ``incarnation`` is that of its placement. ``group`` has the first and the last number of the moves that are begun
    together with it, itself included; None if it goes alone. ``ending`` is None until it is stored.
    """

    project: str
    queue: str
    source: str
    target: str
    plan: str
    number: int
    incarnation: str = ""
    group: tuple[int, int] | None = None
    ending: Ending | None = None

    def __post_init__(self) -> None:
        check_key("project", self.project)
        check_queue("queue", self.queue)
        check_partition_name("source", self.source)
        check_partition_name("target", self.target)
        if self.source == self.target:
            raise ValueError(f"target: the queue is on {self.target} already")
        check_id("plan", self.plan)
        check_count("number", self.number)
        check_key("born", self.incarnation)
        if self.group is not None and not self.group[0] <= self.number <= self.group[1]:
            raise ValueError(f"group: {self.group} is not that of number {self.number}")
        if self.ending is not None and self.ending.number != self.number:
            raise ValueError(f"ending: is that of number {self.ending.number}")

    @property
    def key(self) -> QueueKey:
        return QueueKey(self.project, self.queue)

    def shown(self) -> dict[str, Any]:
        """Return the fields that a plan shows and that its hash covers."""
        return {
            "project": self.project or None,
            "queue": self.queue,
            "source": self.source,
            "target": self.target,
        }

    def to_json(self) -> dict[str, Any]:
        return {
            "plan": self.plan,
            "number": self.number,
            **self.shown(),
            "born": self.incarnation,
            "group": None if self.group is None else list(self.group),
            "ending": None if self.ending is None else self.ending.to_json(),
        }

    @staticmethod
    def from_json(doc: Mapping[str, Any]) -> PlannedMove:
        group = doc["group"]
        return PlannedMove(
            project=doc["project"] or NO_PROJECT,
            queue=doc["queue"],
            source=doc["source"],
            target=doc["target"],
            plan=doc["plan"],
            number=doc["number"],
            incarnation=doc["born"],
            group=None if group is None else (group[0], group[1]),
            ending=None if doc["ending"] is None else Ending.from_json(doc["ending"]),
        )


@dataclass(frozen=True, slots=True)
class MovePlan:
    """A plan without its moves: its budgets, preconditions, state and progress.

    ``size`` is the number of its moves, ``hash`` the SHA-256, in hexadecimal, of its content (``WholePlan``).
    ``version`` starts at 1; every change is a compare-and-set that adds one, and changes state and progress only.
    ``budgets`` and ``preconditions`` are JSON objects. ``created`` is in seconds since 1970.
    """

    id: str
    title: str
    size: int = 0
    hash: str = ""
    created: float = 0.0
    version: int = 1
    state: PlanState = PlanState.PLANNED
    budgets: Mapping[str, Any] = field(default_factory=dict)
    preconditions: Mapping[str, Any] = field(default_factory=dict)
    progress: Progress = field(default_factory=Progress)

    def __post_init__(self) -> None:
        check_id("id", self.id)
        check_text("title", self.title)
        check_count("size", self.size)
        check_time("created", self.created)
        check_count("version", self.version, 1)
        for name in ("budgets", "preconditions"):
            object.__setattr__(self, name, json_object(name, getattr(self, name)))

    @property
    def active(self) -> bool:
        """Whether the executor has work: a move to begin or to follow to its end, or an ending to store."""
        if self.state in (PlanState.RUNNING, PlanState.PAUSED):
            return True
        return bool(self.progress.endings) or (self.state is PlanState.STOPPED and self.progress.open > 0)

    @property
    def waiting(self) -> int:
        """The number of moves that were not begun."""
        return self.size - self.progress.begun

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "hash": self.hash,
            "title": self.title,
            "size": self.size,
            "created": self.created,
            "version": self.version,
            "state": self.state.value,
            "budgets": dict(self.budgets),
            "preconditions": dict(self.preconditions),
            "progress": self.progress.to_json(),
        }

    @staticmethod
    def from_json(doc: Mapping[str, Any]) -> MovePlan:
        return MovePlan(
            id=doc["id"],
            hash=doc["hash"],
            title=doc["title"],
            size=doc["size"],
            created=doc["created"],
            version=doc["version"],
            state=PlanState(doc["state"]),
            budgets=doc["budgets"],
            preconditions=doc["preconditions"],
            progress=Progress.from_json(doc["progress"]),
        )


@dataclass(frozen=True, slots=True)
class WholePlan:
    """A plan with its moves, by number.

    Size and hash are computed if the hash is empty. Raises ValueError if it is wrong: a plan is applied only as it was
    shown. The cost grows with the number of moves.
    """

    plan: MovePlan
    moves: tuple[PlannedMove, ...]

    def __post_init__(self) -> None:
        if len(self.moves) > MAX_PLANNED_MOVES:
            raise ValueError(f"moves: a plan has at most {MAX_PLANNED_MOVES}")
        if len({move.key for move in self.moves}) != len(self.moves):
            raise ValueError("moves: a queue is named twice")
        if [(move.plan, move.number) for move in self.moves] != [(self.plan.id, n) for n in range(len(self.moves))]:
            raise ValueError(f"moves: some of plan {self.plan.id} are missing, or not of it")
        digest = _digest([self.plan.id, self.plan.title, self.plan.budgets, self._shown(), self.preconditions])
        if not self.plan.hash:
            object.__setattr__(self, "plan", replace(self.plan, hash=digest, size=len(self.moves)))
        elif self.plan.hash != digest:
            raise ValueError(f"hash: {self.plan.hash!r} is that of another plan; this one has {digest}")

    @property
    def preconditions(self) -> dict[str, Any]:
        """The preconditions of the plan, with those of each queue."""
        groups = sorted({move.group for move in self.moves if move.group is not None})
        return {
            **self.plan.preconditions,
            "born": [move.incarnation for move in self.moves],
            "groups": [list(range(first, last + 1)) for first, last in groups],
        }

    def _shown(self) -> list[dict[str, Any]]:
        return [move.shown() for move in self.moves]

    def to_json(self) -> dict[str, Any]:
        """Return the form of the admin API and of files."""
        document = self.plan.to_json()
        del document["size"], document["progress"]
        return document | {"moves": self._shown(), "preconditions": self.preconditions}

    @staticmethod
    def from_json(doc: Mapping[str, Any]) -> WholePlan:
        """Read the form of ``to_json``. Raises ValueError, KeyError or TypeError if it is no plan, or was changed."""
        preconditions = dict(doc["preconditions"])
        incarnation, groups = preconditions.pop("born"), preconditions.pop("groups")
        moves = _planned(doc["id"], doc["moves"], incarnation, groups)
        plan = MovePlan(
            doc["id"],
            doc["title"],
            len(moves),
            doc["hash"],
            doc["created"],
            doc["version"],
            PlanState(doc["state"]),
            doc["budgets"],
            preconditions,
        )
        return WholePlan(plan, moves)


def from_version_3(doc: Mapping[str, Any]) -> tuple[MovePlan, tuple[PlannedMove, ...]]:
    """Return the next version of a plan from its document of schema version 3, which contains moves and results.

    Raises ValueError, KeyError or TypeError if it is no plan, or its hash is wrong.
    """
    digest = _digest([doc[name] for name in ("id", "title", "budgets", "moves", "preconditions")])
    if doc["hash"] != digest:
        raise ValueError(f"hash: {doc['hash']!r} is that of another plan; this one has {digest}")
    preconditions, results = dict(doc["preconditions"]), doc["results"]
    incarnation, groups = preconditions.pop("born", [""] * len(doc["moves"])), preconditions.pop("groups", [])
    reasons, pauses = results.get("reasons", {}), results.get("pauses", {})
    endings = {
        int(number): Ending(int(number), MoveOutcome(word), reasons.get(number, ""), pauses.get(number))
        for number, word in results.get("ended", {}).items()
    }
    progress = Progress(note=results.get("note")).with_begun(
        {*results.get("open", ()), *endings}, results.get("allowance", 0.0)
    )
    progress = replace(progress.with_endings(endings.values()), endings=())
    moves = tuple(
        replace(move, ending=endings.get(move.number))
        for move in _planned(doc["id"], doc["moves"], incarnation, groups)
    )
    return (
        MovePlan(
            doc["id"],
            doc["title"],
            len(moves),
            doc["hash"],
            doc["created"],
            doc["version"] + 1,
            PlanState(doc["state"]),
            doc["budgets"],
            preconditions,
            progress if progress.begun else Progress(note=progress.note),
        ),
        moves,
    )


def _planned(
    plan_id: str, shown: Sequence[Mapping[str, Any]], incarnation: Sequence[str], groups: Iterable[Sequence[int]]
) -> tuple[PlannedMove, ...]:
    of = {number: (group[0], group[-1]) for group in groups for number in group}
    return tuple(
        PlannedMove(
            move["project"] or NO_PROJECT,
            move["queue"],
            move["source"],
            move["target"],
            plan_id,
            number,
            life,
            of.get(number),
        )
        for number, (move, life) in enumerate(zip(shown, incarnation, strict=True))
    )


def _digest(what: list[Any]) -> str:
    return sha256(json.dumps(what, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
