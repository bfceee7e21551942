"""Members: front-door worker processes, and the leases that they promise to keep."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from catalog.model.field import check_count, is_number, json_object

# Seconds of silence after which a member that promised no lease may be evicted: it was killed, most likely.
UNPROMISED_LEASE = 600.0

_CAPABILITY = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


@dataclass(frozen=True, slots=True)
class Member:
    """One front-door worker process. ``id`` is host/pid/boot.

    ``applied`` is the position of the last change it has taken in; ``synced`` tells whether its change feed was alive
    when it last renewed. ``acked`` is the position up to which it took in every change *and* all its writes that began
    before it did have ended: never more than ``applied``. ``capabilities`` are words for what it can do besides what
    the first release could. ``lease`` is the seconds that it promised: it begins no write later than that after it
    sent its last renewal. 0 is no promise, that of the first release. ``holds`` says of moves, by their ids, how it
    made clients wait for them: a JSON object of figures each, kept for as long as a mover may want them.
    """

    id: str
    applied: int = 0
    synced: bool = False
    acked: int = 0
    capabilities: tuple[str, ...] = ()
    lease: float = 0.0
    holds: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not self.id:
            raise ValueError("id: a member has an id")
        check_count("applied", self.applied)
        check_count("acked", self.acked)
        if self.acked > self.applied:
            raise ValueError(f"acked: {self.acked} is beyond what was applied, {self.applied}")
        if not isinstance(self.synced, bool):
            raise ValueError(f"synced: {self.synced!r} is neither true nor false")
        for word in self.capabilities:
            if not isinstance(word, str) or not _CAPABILITY.fullmatch(word):
                raise ValueError(f"capabilities: {word!r} is not a word of a-z 0-9 -")
        object.__setattr__(self, "capabilities", tuple(sorted(set(self.capabilities))))
        if not is_number(self.lease) or self.lease < 0:
            raise ValueError(f"lease: {self.lease!r} is not a number of seconds from 0")
        object.__setattr__(self, "holds", json_object("holds", self.holds))

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "applied": self.applied,
            "synced": self.synced,
            "acked": self.acked,
            "capabilities": list(self.capabilities),
            "lease": self.lease,
            "holds": dict(self.holds),
        }

    @staticmethod
    def from_json(doc: Mapping[str, Any]) -> Member:
        """Read it, also as a worker of schema version 1 writes it: with the first three fields only."""
        return Member(
            id=doc["id"],
            applied=doc["applied"],
            synced=doc["synced"],
            acked=doc.get("acked", 0),
            capabilities=tuple(doc.get("capabilities", ())),
            lease=doc.get("lease", 0.0),
            holds=doc.get("holds", {}),
        )


@dataclass(frozen=True, slots=True)
class MemberSighting:
    """A member, and the seconds since it last renewed by the *store's* clock (so that no two clocks are compared)."""

    member: Member
    age: float

    def silent(self, idle: float = 0.0) -> bool:
        """Tell whether it has not renewed for longer than its lease (UNPROMISED_LEASE if it has none), and ``idle``."""
        return self.age > max(self.member.lease or UNPROMISED_LEASE, idle)
