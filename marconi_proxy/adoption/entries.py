"""What a plan of adoption says of one queue: where it is, or in which places, and what is to become of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from catalog.model import NO_PROJECT, TOPIC_PREFIX, QueueKey
from marconi_proxy.project_text import project_from_json


class ConflictRule(StrEnum):
    """What is to be done about a queue that is in several places."""

    CHAIN = "chain"
    PREFER = "prefer"
    SKIP = "skip"


RULES: Mapping[ConflictRule, str] = {
    ConflictRule.CHAIN: (
        "The queue is all of it, read in the order of 'chain': older messages first. Writes go to the last."
    ),
    ConflictRule.PREFER: (
        "The queue is what is on partition 'keep'. What is elsewhere stays there, and no client reaches it."
    ),
    ConflictRule.SKIP: "Nothing is done: the queue has the place that it has in the catalog, or none.",
}


@dataclass(frozen=True, slots=True)
class Single:
    """A queue that is on one partition only. ``group`` names a queue there whose dead letters it takes;
    ``dead_letters`` one that is not in the plan and takes those of this one, so that it must be on the same partition.
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
        """Raises ValueError naming the member at fault."""
        _known(entry, ("queue", "project", "partition", "group", "dead_letters"))
        return Single(*_key(entry, "queue"), _text(entry, "partition"), _name(entry, "group"), _dlq(entry))


@dataclass(frozen=True, slots=True)
class Candidate:
    """The queue as it is on one partition. ``oldest`` and ``newest``: when these were posted, in ISO 8601; the rest as
    in Single."""

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
        """Raises ValueError naming the member at fault."""
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
    """A queue that is in several places, or apart from one with which it must share its place.

    ``found`` is in reading order: with ``chain`` the first is drained first, and writes go to the last. ``rules`` are
    those that are possible; ``rule`` and ``keep``, the partition that ``prefer`` keeps, are the operator's to edit.
    ``placed`` is the partition where the catalog has it, which is then the last of ``found``. Those with the same
    ``together``, the first queue of their dead-letter group, must come to the same partition: to ``home``, where others
    of the group are, unless that is None.
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
        """The partition that writes will go to, None if that is not for this plan to say."""
        if self.rule is ConflictRule.SKIP:
            return None
        return self.keep if self.rule is ConflictRule.PREFER else self.partitions[-1]

    def check(self) -> None:
        """Raise ValueError, naming the member, unless what the operator may edit can be done."""
        if self.rule not in self.rules:
            can = ", ".join(self.rules)
            raise ValueError(f"rule: {self.rule} is not possible here ({can}); 'notes' of this line may say why")
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
        """Raises ValueError naming the member at fault."""
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
        """Return it with this rule if that is possible. Else it is left alone, unless it is in one place only."""
        possible = rule in self.rules and (rule is not ConflictRule.CHAIN or len(self.found) > 1)
        fallback = (
            ConflictRule.SKIP if len(self.found) > 1 or ConflictRule.PREFER not in self.rules else ConflictRule.PREFER
        )
        return replace(self, rule=rule if possible else fallback)


def shown(project: str) -> str | None:
    """Return a project as JSON has it, so that ``project_from_json`` gives it back; none is None."""
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
