"""Plans: many moves that are shown first, and then carried out exactly so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
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
from catalog.model.key import NO_PROJECT, QueueKey

# A plan is one document, and MongoDB takes 16 MB: with names of usual length that is many times as much.
MAX_PLANNED_MOVES = 20_000


class PlanState(StrEnum):
    """planned: made and not applied. running: its moves are under way. paused: no move of it is begun. stopped: given
    up, by somebody or after too many failures. done: all its moves have ended."""

    PLANNED = "planned"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    DONE = "done"


# The states that a plan never leaves: no move of it is begun any more.
FINISHED_PLAN_STATES = frozenset({PlanState.STOPPED, PlanState.DONE})


@dataclass(frozen=True, slots=True)
class PlannedMove:
    """One queue that is to go from ``source`` to ``target``."""

    project: str
    queue: str
    source: str
    target: str

    def __post_init__(self) -> None:
        check_key("project", self.project)
        check_queue("queue", self.queue)
        check_partition_name("source", self.source)
        check_partition_name("target", self.target)
        if self.source == self.target:
            raise ValueError(f"target: the queue is on {self.target} already")

    @property
    def key(self) -> QueueKey:
        return QueueKey(self.project, self.queue)

    def to_json(self) -> dict[str, Any]:
        return {
            "project": self.project or None,
            "queue": self.queue,
            "source": self.source,
            "target": self.target,
        }

    @staticmethod
    def from_json(doc: Mapping[str, Any]) -> PlannedMove:
        return PlannedMove(
            project=doc["project"] or NO_PROJECT, queue=doc["queue"], source=doc["source"], target=doc["target"]
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be moved, and how gently.

    ``hash`` is the SHA-256, in hexadecimal, of what makes it this plan: id, title, budgets, moves and preconditions.
    It is computed when it is not given, and a wrong one is refused: what is applied is what was shown. ``version``
    starts at 1; every change is a compare-and-set that adds one. ``budgets``, ``preconditions`` and ``results`` are
    JSON objects. ``created`` is in seconds since 1970.
    """

    id: str
    title: str
    moves: tuple[PlannedMove, ...]
    hash: str = ""
    created: float = 0.0
    version: int = 1
    state: PlanState = PlanState.PLANNED
    budgets: Mapping[str, Any] = field(default_factory=dict)
    preconditions: Mapping[str, Any] = field(default_factory=dict)
    results: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_id("id", self.id)
        check_text("title", self.title)
        check_time("created", self.created)
        check_count("version", self.version, 1)
        if len(self.moves) > MAX_PLANNED_MOVES:
            raise ValueError(f"moves: a plan has at most {MAX_PLANNED_MOVES}")
        if len({move.key for move in self.moves}) != len(self.moves):
            raise ValueError("moves: a queue is named twice")
        for name in ("budgets", "preconditions", "results"):
            object.__setattr__(self, name, json_object(name, getattr(self, name)))
        digest = self._digest()
        if self.hash not in ("", digest):
            raise ValueError(f"hash: {self.hash!r} is that of another plan; this one has {digest}")
        object.__setattr__(self, "hash", digest)

    def _digest(self) -> str:
        what = self.to_json()
        same = [what[name] for name in ("id", "title", "budgets", "moves", "preconditions")]
        return sha256(json.dumps(same, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "hash": self.hash,
            "title": self.title,
            "created": self.created,
            "version": self.version,
            "state": self.state.value,
            "budgets": dict(self.budgets),
            "moves": [move.to_json() for move in self.moves],
            "preconditions": dict(self.preconditions),
            "results": dict(self.results),
        }

    @staticmethod
    def from_json(doc: Mapping[str, Any]) -> Plan:
        return Plan(
            id=doc["id"],
            hash=doc["hash"],
            title=doc["title"],
            created=doc["created"],
            version=doc["version"],
            state=PlanState(doc["state"]),
            budgets=doc["budgets"],
            moves=tuple(PlannedMove.from_json(move) for move in doc["moves"]),
            preconditions=doc["preconditions"],
            results=doc["results"],
        )
