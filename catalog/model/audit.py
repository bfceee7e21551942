"""The audit in the background: what its last round found, and who is at the present one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from catalog.model.field import check_count, check_id, check_partition_name, check_time, one_line
from catalog.model.move import Holder


@dataclass(frozen=True, slots=True)
class AuditState:
    """There is one in a catalog. ``begun`` and ``ended`` are those of the last round that came to its end, in seconds
    since 1970, None if none has; so are ``queues`` that were compared, those that were ``changed`` all the time or
    ``skipped``, ``findings`` by kind, and why partitions were ``unreachable``, by name. ``since`` is when the round
    began that is under way, None if none is.

    ``holder`` is who is at it at the moment it was read. It is no part of what is saved: only the catalog's own verbs
    change it.
    """

    begun: float | None = None
    ended: float | None = None
    since: float | None = None
    queues: int = 0
    changed: int = 0
    skipped: int = 0
    findings: Mapping[str, int] = field(default_factory=dict)
    unreachable: Mapping[str, str] = field(default_factory=dict)
    holder: Holder | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for name in ("begun", "ended", "since"):
            if getattr(self, name) is not None:
                check_time(name, getattr(self, name))
        for name, count in (("queues", self.queues), ("changed", self.changed), ("untold", self.skipped)):
            check_count(name, count)
        for kind, count in self.findings.items():
            check_id("findings", kind)
            check_count("findings", count)
        for partition in self.unreachable:
            check_partition_name("unseen", partition)
        object.__setattr__(self, "findings", dict(sorted(self.findings.items())))
        object.__setattr__(
            self, "unreachable", {name: one_line("unseen", why) for name, why in sorted(self.unreachable.items())}
        )

    def to_json(self) -> dict[str, Any]:
        """``skipped`` and ``unreachable`` are stored as ``untold`` and ``unseen``."""
        return {
            "begun": self.begun,
            "ended": self.ended,
            "since": self.since,
            "queues": self.queues,
            "changed": self.changed,
            "untold": self.skipped,
            "findings": dict(self.findings),
            # Names of partitions may have dots, which stores mistake for paths.
            "unseen": [{"partition": name, "why": why} for name, why in self.unreachable.items()],
            "holder": None if self.holder is None else self.holder.to_json(),
        }

    @staticmethod
    def from_json(doc: Mapping[str, Any]) -> AuditState:
        return AuditState(
            begun=doc["begun"],
            ended=doc["ended"],
            since=doc["since"],
            queues=doc["queues"],
            changed=doc["changed"],
            skipped=doc["untold"],
            findings=doc["findings"],
            unreachable={one["partition"]: one["why"] for one in doc["unseen"]},
            holder=None if doc.get("holder") is None else Holder.from_json(doc["holder"]),
        )
