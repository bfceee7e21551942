"""The entries of a plan of adoption: queues on one partition, and conflicts with their rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from catalog.model import NO_PROJECT, TOPIC_PREFIX, QueueKey
from marconi_proxy.project_text import project_from_json


class ConflictRule(StrEnum):
    """The decision about a queue on several partitions."""

    CHAIN = "chain"
    PREFER = "prefer"
    SKIP = "skip"


RULES: Mapping[ConflictRule, str] = {
    ConflictRule.CHAIN: (
        "The queue is all of it, read in the order of 'chain': older messages first. Writes go to the last."
    ),
    ConflictRule.PREFER: (
        "The queue is what is on partition 'keep'. Other copies stay where they are, and no client reaches them."
    ),
    ConflictRule.SKIP: "Nothing is done: the queue has the place that it has in the catalog, or none.",
}


@dataclass(frozen=True, slots=True)
class Single:
    """A queue on one partition only.

    ``group``: a queue there that sends its dead letters to this one. ``dead_letters``: the dead-letter queue of this
    one, if it is not in the plan; it must be on the same partition.
    """

    project: str
    queue: str
    partition: str
    group: str | None = None
    dead_letters: str | None = None

    @property
    def key(self) -> QueueKey:
        return QueueKey(self.project, self.queue)

    def to_json(self) -> dict[str, Any]:
        entry = {"queue": self.queue, "project": shown(self.project), "partition": self.partition}
        more = {"group": self.group, "dead_letters": self.dead_letters}
        return entry | {name: value for name, value in more.items() if value is not None}

    @staticmethod
    def from_json(entry: Mapping[str, Any]) -> Single:
        """Read an entry. Raises ValueError with the invalid member."""
        _known(entry, ("queue", "project", "partition", "group", "dead_letters"))
        return Single(*_key(entry, "queue"), _text(entry, "partition"), _name(entry, "group"), _dlq(entry))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A queue on one of several partitions. ``oldest``, ``newest``: post times of these messages, in ISO 8601.

    The rest: as in Single.
    """

    partition: str
    free: int = 0
    claimed: int = 0
    total: int = 0
    oldest: str | None = None
    newest: str | None = None
    subscriptions: int = 0
    group: str | None = None
    dead_letters: str | None = None

    def to_json(self) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "partition": self.partition,
            "messages": {"free": self.free, "claimed": self.claimed, "total": self.total},
            "oldest": self.oldest,
            "newest": self.newest,
            "subscriptions": self.subscriptions,
        }
        more = {"group": self.group, "dead_letters": self.dead_letters}
        return entry | {name: value for name, value in more.items() if value is not None}

    @staticmethod
    def from_json(entry: Any) -> Candidate:
        """Read an entry. Raises ValueError with the invalid member."""
        if not isinstance(entry, dict):
            raise ValueError("found: must be an array of objects")
        _known(entry, ("partition", "messages", "oldest", "newest", "subscriptions", "group", "dead_letters"))
        counts = entry.get("messages")
        if not isinstance(counts, dict) or any(not _is_count(counts.get(n)) for n in ("free", "claimed", "total")):
            raise ValueError("messages: must be free, claimed and total")
        if not _is_count(entry.get("subscriptions")):
            raise ValueError("subscriptions: must be a number")
        return Candidate(
            partition=_text(entry, "partition"),
            free=counts["free"],
            claimed=counts["claimed"],
            total=counts["total"],
            oldest=_name(entry, "oldest"),
            newest=_name(entry, "newest"),
            subscriptions=entry["subscriptions"],
            group=_name(entry, "group"),
            dead_letters=_dlq(entry),
        )


@dataclass(frozen=True, slots=True)
class QueueConflict:
    """A queue on several partitions, or on another one than its dead-letter group.

    ``found``: in reading order; with ``chain`` the first is drained first, and writes go to the last. ``rules``: the
    possible rules. The operator may edit ``rule``, and ``keep``, the partition for ``prefer``. ``placed``: the
    partition of its placement, which is then the last of ``found``. ``together``: the first queue of its dead-letter
    group; all with the same value must share a partition. ``home``: that partition, if others of the group are there.
    """

    project: str
    queue: str
    rule: ConflictRule
    keep: str
    rules: tuple[ConflictRule, ...]
    found: tuple[Candidate, ...]
    placed: str | None = None
    together: str | None = None
    home: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def key(self) -> QueueKey:
        return QueueKey(self.project, self.queue)

    @property
    def partitions(self) -> tuple[str, ...]:
        return tuple(candidate.partition for candidate in self.found)

    @property
    def goes_to(self) -> str | None:
        """The destination of writes, None if this plan does not change it."""
        if self.rule is ConflictRule.SKIP:
            return None
        return self.keep if self.rule is ConflictRule.PREFER else self.partitions[-1]

    def check(self) -> None:
        """Raise ValueError, with the member, if the operator's choice is not possible."""
        if self.rule not in self.rules:
            can = ", ".join(self.rules)
            raise ValueError(
                f"rule: {self.rule} is not possible here ({can}); 'notes' of this line may have the reason"
            )
        if self.keep not in self.partitions:
            raise ValueError(f"keep: {self.keep!r} is none of the partitions it is on ({', '.join(self.partitions)})")

    def to_json(self) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "conflict": self.queue,
            "project": shown(self.project),
            "rule": self.rule.value,
            "keep": self.keep,
            "rules": [rule.value for rule in self.rules],
            "chain": list(self.partitions),
            "found": [candidate.to_json() for candidate in self.found],
            "placed": self.placed,
            "together": self.together,
            "home": self.home,
            "notes": list(self.notes),
        }
        return entry

    @staticmethod
    def from_json(entry: Mapping[str, Any]) -> QueueConflict:
        """Read an entry. Raises ValueError with the invalid member."""
        members = ("project", "rule", "keep", "rules", "chain", "found", "placed", "together", "home", "notes")
        _known(entry, ("conflict", *members))
        found = entry.get("found")
        if not isinstance(found, list) or not found:
            raise ValueError("found: must be an array of objects")
        rules = entry.get("rules")
        notes = entry.get("notes")
        if not isinstance(rules, list) or not isinstance(notes, list):
            raise ValueError("rules, notes: must be arrays")
        conflict = QueueConflict(
            *_key(entry, "conflict"),
            _rule(entry.get("rule")),
            _text(entry, "keep"),
            tuple(_rule(rule) for rule in rules),
            tuple(Candidate.from_json(candidate) for candidate in found),
            _name(entry, "placed"),
            _name(entry, "together"),
            _name(entry, "home"),
            tuple(str(note) for note in notes),
        )
        conflict.check()
        return conflict

    def ruled(self, rule: ConflictRule) -> QueueConflict:
        """Return the conflict with this rule if possible; else with skip, or on one partition only with prefer."""
        possible = rule in self.rules and (rule is not ConflictRule.CHAIN or len(self.found) > 1)
        fallback = (
            ConflictRule.SKIP if len(self.found) > 1 or ConflictRule.PREFER not in self.rules else ConflictRule.PREFER
        )
        return replace(self, rule=rule if possible else fallback)


def shown(project: str) -> str | None:
    """Return a project for JSON, as ``project_from_json`` reads it; None for no project."""
    return None if project == NO_PROJECT else project.encode("latin-1").decode("utf-8", "surrogateescape")


def _known(entry: Mapping[str, Any], members: tuple[str, ...]) -> None:
    unknown = sorted(entry.keys() - set(members))
    if unknown:
        raise ValueError(f"{unknown[0]}: there is no such member")


def _key(entry: Mapping[str, Any], member: str) -> tuple[str, str]:
    return project_from_json("project", entry.get("project")), _text(entry, member)


def _text(entry: Mapping[str, Any], member: str) -> str:
    value = entry.get(member)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{member}: must be a text that is not empty")
    return value


def _name(entry: Mapping[str, Any], member: str) -> str | None:
    return None if entry.get(member) is None else _text(entry, member)


def _dlq(entry: Mapping[str, Any]) -> str | None:
    name = _name(entry, "dead_letters")
    if name is not None and name.startswith(TOPIC_PREFIX):
        raise ValueError("dead_letters: must be a queue")
    return name


def _rule(value: object) -> ConflictRule:
    if not isinstance(value, str) or value not in frozenset(ConflictRule):
        raise ValueError(f"rule: {value!a} is none of {', '.join(ConflictRule)}")
    return ConflictRule(value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
