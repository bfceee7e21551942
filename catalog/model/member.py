"""Members: front-door worker processes, and the leases that they promise to keep."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from catalog.model.field import check_count, check_time, is_number
from catalog.model.placement import Seal

# Seconds without a renewal after which a member without a promised lease counts as gone, most likely killed.
UNPROMISED_LEASE = 600.0

_CAPABILITY = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


@dataclass(frozen=True, slots=True)
class Member:
    """One front-door worker process. ``id`` is host/pid/boot.

    ``beat`` counts its renewals. ``applied`` is the position of the last change that it has applied, for people to
    read; ``synced``: its change feed was alive at its last renewal. ``acks`` are the seals in force that it
    acknowledges: it has seen the seal, and all its earlier writes to that queue have ended. ``capabilities`` name the
    abilities that later releases added. ``lease`` is its promise in seconds: it begins no write later than that after
    it sent its last renewal. 0 is no promise, as in the first release. ``late_writes`` counts writes that were answered
    after its lease had ended.

    ``renewed`` is the time of its last renewal, in seconds since 1970 by the store's clock, for people to read.
    ``stamp`` changes with each renewal, also of a worker of an earlier release. Only the store sets these two, and
    comparisons ignore them.
    """

    id: str
    beat: int = 0
    applied: int = 0
    synced: bool = False
    acks: frozenset[Seal] = frozenset()
    capabilities: tuple[str, ...] = ()
    lease: float = 0.0
    late_writes: int = 0
    renewed: float = field(default=0.0, compare=False)
    stamp: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not self.id:
            raise ValueError("id: a member has an id")
        check_count("beat", self.beat)
        check_count("applied", self.applied)
        check_count("late_writes", self.late_writes)
        check_time("renewed", self.renewed)
        if not isinstance(self.synced, bool):
            raise ValueError(f"synced: {self.synced!r} is neither true nor false")
        for word in self.capabilities:
            if not isinstance(word, str) or not _CAPABILITY.fullmatch(word):
                raise ValueError(f"capabilities: {word!r} is not a word of a-z 0-9 -")
        object.__setattr__(self, "capabilities", tuple(sorted(set(self.capabilities))))
        if not is_number(self.lease) or self.lease < 0:
            raise ValueError(f"lease: {self.lease!r} is not a number of seconds from 0")

    @property
    def patience(self) -> float:
        """The seconds without a renewal after which the member counts as gone."""
        return self.lease or UNPROMISED_LEASE

    def to_json(self) -> dict[str, Any]:
        """Return the fields that the worker itself sets."""
        return {
            "id": self.id,
            "beat": self.beat,
            "applied": self.applied,
            "synced": self.synced,
            "acks": [seal.to_json() for seal in sorted(self.acks)],
            "capabilities": list(self.capabilities),
            "lease": self.lease,
            "late_writes": self.late_writes,
        }

    @staticmethod
    def from_json(doc: Mapping[str, Any], *, renewed: float = 0.0, stamp: str = "") -> Member:
        """Read a document, also of an earlier schema version; version 1 has three fields only."""
        return Member(
            id=doc["id"],
            beat=doc.get("beat", 0),
            applied=doc["applied"],
            synced=doc["synced"],
            acks=frozenset(Seal.from_json(seal) for seal in doc.get("acks", ())),
            capabilities=tuple(doc.get("capabilities", ())),
            lease=doc.get("lease", 0.0),
            late_writes=doc.get("late_writes", 0),
            renewed=renewed,
            stamp=stamp,
        )
