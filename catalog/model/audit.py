"""The background audit: the results of its last round, and the holder of the present one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from catalog.model.field import check_count, check_id, check_partition_name, check_time, one_line
from catalog.model.move import Holder


@dataclass(frozen=True, slots=True)
class AuditState:
    """The state of the audit. A catalog has one.

    Of the last complete round: ``begun`` and ``ended``, in seconds since 1970, None before the first; the number of
    ``queues`` compared, of those skipped because they ``changed`` all the time, and of those that partitions did not
    report (``skipped``); the numbers of ``findings`` by kind; and the reasons why partitions were unreachable
    (``unreachable``), by name. ``since`` is the start of the present round, None if there is none.

    ``holder`` is the holder of the lock when this was read. ``save`` ignores it: only the verbs of the lock change it.
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
            # Names of partitions may contain dots, which MongoDB reads as paths in keys.
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
