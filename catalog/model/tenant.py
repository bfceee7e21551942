"""Tenants: the decisions of operators for projects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from catalog.model.field import check_key, check_partition_name, is_int
from catalog.model.placement import NO_PROJECT

# More than the partitions of any deployment.
MAX_SPREAD = 1000


@dataclass(frozen=True, slots=True)
class Tenant:
    """The decision of an operator for one project: the number of partitions for its new queues (``spread``), or the one
    partition for all of them (``pinned``)."""

    project: str
    spread: int = 1
    pinned: str | None = None

    def __post_init__(self) -> None:
        check_key("project", self.project)
        if not is_int(self.spread) or not 1 <= self.spread <= MAX_SPREAD:
            raise ValueError(f"spread: {self.spread!r} is not an integer from 1 to {MAX_SPREAD}")
        if self.pinned is not None:
            check_partition_name("pinned", self.pinned)

    def to_json(self) -> dict[str, Any]:
        return {"project": self.project or None, "spread": self.spread, "pinned": self.pinned}

    @staticmethod
    def from_json(doc: Mapping[str, Any]) -> Tenant:
        return Tenant(project=doc["project"] or NO_PROJECT, spread=doc["spread"], pinned=doc["pinned"])
