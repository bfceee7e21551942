"""The report of one member on the writes that it held for a move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from catalog.model.field import check_count


@dataclass(frozen=True, slots=True)
class HeldWrites:
    """The report of ``member`` on the writes that waited for one move: the number that went on after the wait
    (``held``), the number refused, and the longest wait in milliseconds."""

    member: str
    held: int = 0
    refused: int = 0
    longest_ms: int = 0

    def __post_init__(self) -> None:
        for name in ("held", "refused", "longest_ms"):
            check_count(name, getattr(self, name))

    def to_json(self) -> dict[str, Any]:
        return {"member": self.member, "held": self.held, "refused": self.refused, "longest_ms": self.longest_ms}

    @staticmethod
    def from_json(doc: Mapping[str, Any]) -> HeldWrites:
        return HeldWrites(doc["member"], doc["held"], doc["refused"], doc["longest_ms"])
