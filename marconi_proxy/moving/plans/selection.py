"""The order for a plan: its purpose, and the tenant, partition or region that it is about. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from catalog.model import Partition
from marconi_proxy.moving.orders.order import MoveRefused
from marconi_proxy.moving.plans.layout import shares


class Misnamed(MoveRefused):
    """The selection is invalid, or names an unknown object. The message begins with the field at fault."""


class PlanKind(StrEnum):
    """The purposes of plans.

    tenant: all queues of a project go to one partition. drain: all queues of a partition go to others. evacuate: all
    queues of a region's partitions go to other regions. rebalance: partitions get their shares, by weight.
    """

    TENANT = "tenant"
    DRAIN = "drain"
    EVACUATE = "evacuate"
    REBALANCE = "rebalance"


@dataclass(frozen=True, slots=True)
class Selection:
    """The order for a plan. ``subject`` is a project, partition or region, by ``kind``; "" for a rebalance. ``to``: the
    partitions that may take queues, in no order; if empty, all that take any.

    ``repin``: a partition. When the plan is applied, the tenants that are pinned to an emptied partition are pinned to
    it; for a tenant's plan, the tenant. ``break_pins``: ignore pins and spreads of tenants.
    """

    kind: PlanKind
    subject: str = ""
    to: tuple[str, ...] = ()
    repin: str | None = None
    break_pins: bool = False

    def to_json(self) -> dict[str, Any]:
        document: dict[str, Any] = {"kind": self.kind.value, "subject": self.subject, "to": sorted(set(self.to))}
        if self.repin is not None:
            document["repin"] = self.repin
        if self.break_pins:
            document["break_pins"] = True
        return document

    @staticmethod
    def from_json(doc: Mapping[str, Any]) -> Selection:
        return Selection(
            PlanKind(doc["kind"]), doc["subject"], tuple(doc["to"]), doc.get("repin"), doc.get("break_pins", False)
        )


def sources(selection: Selection, partitions: Mapping[str, Partition], counts: Mapping[str, int]) -> tuple[str, ...]:
    """Return the partitions with placements that the plan depends on; none for a tenant. Raises Misnamed."""
    for name in selection.to:
        if name not in partitions:
            raise Misnamed(f"to: there is no partition {name}")
    if selection.kind is PlanKind.TENANT:
        return ()
    if selection.kind is PlanKind.DRAIN:
        if selection.subject not in partitions:
            raise Misnamed(f"partition: there is no partition {selection.subject}")
        return (selection.subject,)
    if selection.kind is PlanKind.EVACUATE:
        found = tuple(sorted(p.name for p in partitions.values() if p.region == selection.subject))
        if not found:
            raise Misnamed(f"region: no partition is in region {selection.subject}")
        return found
    goals = shares(partitions, counts, selection.to)
    return tuple(name for name in sorted(goals) if counts.get(name, 0) > goals[name])
