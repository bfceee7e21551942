"""The draft of a plan: the moves found so far, in lanes, and the queues left out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from catalog.model import MAX_PLANNED_MOVES, Placement, PlannedMove
from marconi_proxy.moving.orders.groups import together

_LATER = f"a plan has at most {MAX_PLANNED_MOVES} queues; when this plan is done, the same command again"


@dataclass(slots=True)
class PlanDraft:
    """The moves of a plan found so far, and the queues left out, with reasons.

    ``lanes``: by source and target, the groups that are begun together. ``later``: the queues for which the plan is
    full. ``kept``: by project, the reason why its queues must not go to any target.
    """

    lanes: dict[tuple[str, str], list[tuple[Placement, ...]]] = field(default_factory=dict)
    size: int = 0
    left_out: list[tuple[Placement, str]] = field(default_factory=list)
    later: list[tuple[Placement, str]] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)

    def add(self, unit: Sequence[Placement], target: str) -> None:
        self.size += len(unit)
        # Groups that the catalog shows are begun together, so their members are neighbours. Groups with dead-letter
        # queues come first: the other queues may be sources of those, and cannot go before them.
        lane = self.lanes.setdefault((unit[0].partition, target), [])
        lane += sorted(together(unit), key=lambda group: all(p.group is None for p in group))

    def moves(self, plan_id: str) -> tuple[PlannedMove, ...]:
        """Return the moves in the order in which to begin them."""
        # The moves of each lane are spread evenly over the plan, so any few consecutive ones keep all partitions busy.
        order = sorted(
            ((place + 0.5) / len(lane), way, place) for way, lane in self.lanes.items() for place in range(len(lane))
        )
        found: list[PlannedMove] = []
        for _, (source, target), place in order:
            group = self.lanes[source, target][place]
            first = len(found)
            numbers = (first, first + len(group) - 1) if len(group) > 1 else None
            found += (
                PlannedMove(p.project, p.queue, source, target, plan_id, first + n, p.incarnation, numbers)
                for n, p in enumerate(group)
            )
        return tuple(found)

    def leave(self, unit: Iterable[Placement], reason: str) -> None:
        self.left_out += ((placement, reason) for placement in unit)

    def full(self, unit: Sequence[Placement]) -> bool:
        """Return whether the unit does not fit into the plan any more; if so, leave it out."""
        if self.size + len(unit) <= MAX_PLANNED_MOVES:
            return False
        if len(unit) > MAX_PLANNED_MOVES:
            self.leave(unit, f"{len(unit)} queues must stay together, and a plan has at most {MAX_PLANNED_MOVES}")
        else:
            self.later += ((placement, _LATER) for placement in unit)
        return True
