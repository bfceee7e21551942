"""Moves: a queue on its way to another partition. The values only; ``moving.protocol`` has the transitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from catalog.model.field import (
    check_count,
    check_id,
    check_key,
    check_partition_name,
    check_queue,
    check_time,
    is_number,
    json_object,
    one_line,
)
from catalog.model.move_facts import KNOWN_FACTS, MoveMeasurements, MoveProgress
from catalog.model.placement import NO_PROJECT, QueueKey

# Seconds without a renewal after which a lock without a promise counts as ended. Movers of an earlier release promise
# nothing.
UNPROMISED_HOLD = 60.0

# The most entries in the log of a move, after which the oldest are dropped: a move that cannot end must stay bounded.
MAX_LOG = 200

Measure = int | float | str
_NO_MEASURES = frozenset({"at", "state", "reason"})


class MoveState(StrEnum):
    """The state of a move. The machine of moves (``moving.protocol.machine``) has their meanings and transitions.

    The value is the word in stored documents. Operators see the text of a state, ``str(state)``, which is the value
    unless ``_TEXTS`` has a clearer one. ``MoveState(word)`` accepts both.
    """

    PLANNED = "planned"
    PREPARING = "preparing"
    ARMED = "armed"
    SEALING = "sealing"
    DRAINING = "draining"
    LINGERING = "lingering"
    RETIRED = "retired"
    DONE = "done"
    PAUSED = "paused"
    UNDOING = "undoing"
    CANCELLED = "cancelled"
    SUSPENDED = "suspended"
    REROUTE_PREPARING = "back-preparing"
    REROUTE_ARMED = "back-armed"
    REROUTE_SEALING = "back-sealing"
    REROUTE_UNDOING = "back-undoing"
    VOID = "void"

    def __str__(self) -> str:
        return _TEXTS.get(self, self.value)

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    @classmethod
    def _missing_(cls, value: object) -> MoveState | None:
        return next((state for state, text in _TEXTS.items() if text == value), None)


_TEXTS = {
    MoveState.LINGERING: "verifying-empty",
    MoveState.RETIRED: "cleaning-up",
    MoveState.PAUSED: "paused-before-switch",
    MoveState.SUSPENDED: "paused-after-switch",
    MoveState.VOID: "queue-deleted",
}

# The states in which a move has ended, so that its queue can have another one. Stores keep with each move whether
# it has ended, so a state that is added to this set, or removed, must be new to all stored moves.
FINISHED_STATES = frozenset({MoveState.DONE, MoveState.CANCELLED, MoveState.VOID})
UNFINISHED_STATES = frozenset(MoveState) - FINISHED_STATES

# At most so many states select a small part of the moves of a plan.
FEW_STATES = 8

# The states in which a move may still open a segment on a partition that its placement does not name yet.
COMING_STATES = frozenset(
    {
        MoveState.PLANNED,
        MoveState.PREPARING,
        MoveState.ARMED,
        MoveState.SEALING,
        MoveState.PAUSED,
        MoveState.REROUTE_PREPARING,
        MoveState.REROUTE_ARMED,
        MoveState.REROUTE_SEALING,
    }
)


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One event of a move: the time ``at`` (seconds since 1970 by the writer's clock), its ``state`` and a ``reason``.

    ``measures`` are numbers and texts by name, sorted: pause_ms, acks, attempt and others. Texts become one line of at
    most 255 characters.
    """

    at: float
    state: MoveState
    reason: str
    measures: tuple[tuple[str, Measure], ...] = ()

    def __post_init__(self) -> None:
        check_time("at", self.at)
        object.__setattr__(self, "reason", one_line("reason", self.reason))
        measures = {}
        for name, value in self.measures:
            check_id("measures", name)
            if name in _NO_MEASURES or "." in name or name in measures:
                raise ValueError(f"measures: {name!r} cannot be the name of one")
            measures[name] = value if is_number(value) else one_line("measures", value)
        object.__setattr__(self, "measures", tuple(sorted(measures.items())))

    def to_json(self) -> dict[str, Any]:
        return {"at": self.at, "state": self.state.value, "reason": self.reason, **dict(self.measures)}

    @staticmethod
    def from_json(doc: Mapping[str, Any]) -> LogEntry:
        measures = tuple((name, value) for name, value in doc.items() if name not in _NO_MEASURES)
        return LogEntry(at=doc["at"], state=MoveState(doc["state"]), reason=doc["reason"], measures=measures)


@dataclass(frozen=True, slots=True)
class Holder:
    """The process ``name`` (host/pid/boot) that holds a lock. ``token`` grows with every acquisition by any process;
    ``beat`` counts the renewals under this token.

    ``seconds`` is the holder's promise: it acts no longer than that after it sent its last renewal. A process that has
    watched the lock without a renewal for so long, on its own monotonic clock, may take it over.
    """

    name: str
    token: int
    beat: int = 0
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "token": self.token, "beat": self.beat, "seconds": self.seconds}

    @property
    def patience(self) -> float:
        """The seconds without a renewal after which the lock counts as ended."""
        return self.seconds or UNPROMISED_HOLD

    @staticmethod
    def from_json(doc: Mapping[str, Any]) -> Holder:
        return Holder(name=doc["name"], token=doc["token"], beat=doc.get("beat", 0), seconds=doc.get("seconds", 0.0))


@dataclass(frozen=True, slots=True)
class Move:
    """The move of one queue from partition ``source`` to ``target``. Both change if it is sent on after its switch.

    ``version`` starts at 1; every change is a compare-and-set that adds one. ``attempt`` counts the attempts to seal.
    ``created`` is the time of the request, in seconds since 1970. ``max_pause_ms`` limits the time for which writes are
    held, if the request has a limit; ``pause_ms`` is the measured time, set by the switch. ``certificate`` is a JSON
    object, the proof of a finished move. ``plan`` is the id of its plan; ``group`` has the ids of the moves that must
    go with it (a queue and its dead-letter queue).

    ``incarnation`` is that of the placement: a queue that was deleted and created anew has another one.
    ``destination`` is the partition of the next switch, or else of the last one: ``target``, or ``source`` after a
    reversal. ``tail`` is the number of the segment to be sealed, and ``backend_name`` the name of the queue on
    ``destination``: both are stored before the seal, and None until then. ``due`` is the approximate time of the next
    step, in seconds since 1970 by the writer's clock, for people to read. ``progress`` and
    ``measured`` are the facts so far. ``other_facts`` is a JSON object of those that another release has recorded.

    ``holder`` is the mover that holds its lock, None if the lock is free. ``replace`` and comparisons ignore it: only
    the verbs of the lock change it.
    """

    id: str
    project: str
    queue: str
    source: str
    target: str
    state: MoveState = MoveState.PLANNED
    version: int = 1
    attempt: int = 0
    created: float = 0.0
    log: tuple[LogEntry, ...] = ()
    max_pause_ms: float | None = None
    pause_ms: float | None = None
    certificate: Mapping[str, Any] | None = None
    plan: str | None = None
    group: tuple[str, ...] = ()
    incarnation: str = ""
    destination: str = ""
    tail: int | None = None
    backend_name: str | None = None
    due: float = 0.0
    progress: MoveProgress = field(default_factory=MoveProgress)
    measured: MoveMeasurements = field(default_factory=MoveMeasurements)
    other_facts: Mapping[str, Any] = field(default_factory=dict)
    holder: Holder | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        check_id("id", self.id)
        check_key("project", self.project)
        check_queue("queue", self.queue)
        check_partition_name("source", self.source)
        check_partition_name("target", self.target)
        if self.source == self.target:
            raise ValueError(f"target: the queue is on {self.target} already")
        check_count("version", self.version, 1)
        check_count("attempt", self.attempt)
        check_time("created", self.created)
        if len(self.log) > MAX_LOG:
            raise ValueError(f"log: has more than {MAX_LOG} entries")
        for name, value in (("max_pause_ms", self.max_pause_ms), ("pause_ms", self.pause_ms)):
            if value is not None and (not is_number(value) or value < 0):
                raise ValueError(f"{name}: {value!r} is not a number of milliseconds")
        if self.certificate is not None:
            object.__setattr__(self, "certificate", json_object("certificate", self.certificate))
        if self.plan is not None:
            check_id("plan", self.plan)
        for other in self.group:
            check_id("group", other)
        object.__setattr__(self, "group", tuple(sorted(set(self.group))))
        if self.incarnation != "":
            check_id("born", self.incarnation)
        if self.destination == "":
            object.__setattr__(self, "destination", self.target)
        if self.destination not in (self.source, self.target):
            raise ValueError(f"toward: {self.destination!r} is neither the source nor the target")
        if self.tail is not None:
            check_count("tail", self.tail)
        if self.backend_name is not None:
            check_queue("physical", self.backend_name)
        check_time("due", self.due)
        object.__setattr__(self, "other_facts", json_object("facts", self.other_facts))

    @property
    def key(self) -> QueueKey:
        return QueueKey(self.project, self.queue)

    @property
    def finished(self) -> bool:
        return self.state in FINISHED_STATES

    @property
    def last_at(self) -> float:
        """The time of its last change of state, in seconds since 1970 by the writer's clock."""
        return self.log[-1].at if self.log else self.created

    def entered(self, entry: LogEntry) -> Move:
        """Return the next version of the move: in the state of the entry, with the entry in its log."""
        log = (*self.log, entry)[-MAX_LOG:]
        return replace(self, state=entry.state, log=log, version=self.version + 1)

    def unhindered(self) -> Move:
        """Return the move without failures and without a cause to wait."""
        return replace(self, progress=replace(self.progress, failures=0), measured=replace(self.measured, waits=""))

    def to_json(self) -> dict[str, Any]:
        """Return the form of the admin API: ``project`` is null for no project."""
        return {
            "id": self.id,
            "project": self.project or None,
            "queue": self.queue,
            "source": self.source,
            "target": self.target,
            "state": self.state.value,
            "version": self.version,
            "attempt": self.attempt,
            "created": self.created,
            "log": [entry.to_json() for entry in self.log],
            "max_pause_ms": self.max_pause_ms,
            "pause_ms": self.pause_ms,
            "certificate": None if self.certificate is None else dict(self.certificate),
            "plan": self.plan,
            "group": list(self.group),
            "born": self.incarnation,
            "toward": self.destination,
            "tail": self.tail,
            "physical": self.backend_name,
            "due": self.due,
            "facts": {**self.other_facts, **self.progress.to_json(), **self.measured.to_json()},
            "holder": None if self.holder is None else self.holder.to_json(),
        }

    @staticmethod
    def from_json(doc: Mapping[str, Any]) -> Move:
        return Move(
            id=doc["id"],
            project=doc["project"] or NO_PROJECT,
            queue=doc["queue"],
            source=doc["source"],
            target=doc["target"],
            state=MoveState(doc["state"]),
            version=doc["version"],
            attempt=doc["attempt"],
            created=doc["created"],
            log=tuple(LogEntry.from_json(entry) for entry in doc["log"]),
            max_pause_ms=doc["max_pause_ms"],
            pause_ms=doc["pause_ms"],
            certificate=doc["certificate"],
            plan=doc["plan"],
            group=tuple(doc["group"]),
            incarnation=doc["born"],
            destination=doc["toward"],
            tail=doc["tail"],
            backend_name=doc["physical"],
            due=doc["due"],
            progress=MoveProgress.from_json(doc["facts"]),
            measured=MoveMeasurements.from_json(doc["facts"]),
            other_facts={name: fact for name, fact in doc["facts"].items() if name not in KNOWN_FACTS},
            holder=None if doc.get("holder") is None else Holder.from_json(doc["holder"]),
        )
