"""The partitions of a tenant, by its pin or spread, to which a plan keeps its queues. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from catalog.model import Partition, PlannedMove, Tenant
from marconi_proxy.moving.orders.order import MoveRefused, check_target, takes
from marconi_proxy.moving.plans.layout import Layout
from marconi_proxy.moving.plans.selection import PlanKind, Selection
from marconi_proxy.routing.choice import home_set

# The most tenants that a refusal names; the others are counted.
_NAMED = 10
_WAYS_OUT = (
    "Change that with marconi-proxy tenant set, give --repin TO where a partition is emptied, or --break-pins to move "
    "the queues all the same"
)


class KeptApart(MoveRefused):
    """Pins and spreads of ``tenants`` keep their queues from their targets. ``tenants``: the reasons, by project."""

    def __init__(self, tenants: Mapping[str, str]) -> None:
        named = [f"tenant {project or '-'} {reason}" for project, reason in sorted(tenants.items())[:_NAMED]]
        more = f"; and {len(tenants) - len(named)} more tenants" if len(tenants) > len(named) else ""
        super().__init__(f"pins and spreads are in the way: {'; '.join(named)}{more}. {_WAYS_OUT}")
        self.tenants = tenants


class Homes:
    """The partitions on which new queues of a tenant are created, which its moved queues keep to.

    They depend on the project and on the partition that a queue leaves. They are the pin of the project; without one,
    the first partitions in its order that can take the queue, as many as its spread. For a tenant's plan they are its
    target. If the selection empties partitions and names targets, only those count. ``emptied``: the partitions that
    the plan is to empty.
    """

    def __init__(self, selection: Selection, layout: Layout, emptied: Collection[str]) -> None:
        self._selection = selection
        self._layout = layout
        self.emptied = emptied
        self._known: dict[tuple[str, str], list[str]] = {}

    def of(self, project: str, source: str) -> list[str]:
        if (project, source) not in self._known:
            self._known[project, source] = self._found(project, source)
        return self._known[project, source]

    def allow(self, project: str, source: str, target: str) -> bool:
        return self._selection.break_pins or target in self.of(project, source)

    def why(self, project: str, source: str) -> str:
        """Return the pin or spread of the project, as the rest of a sentence."""
        tenant = self._tenant(project)
        if tenant.pinned is not None:
            return f"is pinned to {tenant.pinned}"
        return f"keeps to {', '.join(self.of(project, source))} (spread {tenant.spread})"

    def check_new_queues(self) -> None:
        """Raise KeptApart if a tenant could create no new queues once the plan is applied."""
        if self._stranded() and not self._selection.break_pins:
            raise KeptApart({t.project: f"is pinned to {t.pinned}" for t in self._stranded()})

    def broken(self, moves: Iterable[PlannedMove]) -> dict[str, str]:
        """Return the pins and spreads that these moves break, by project."""
        found = {t.project: f"is pinned to {t.pinned}; its new queues will be refused" for t in self._stranded()}
        for move in moves:
            if move.project not in found and move.target not in self.of(move.project, move.source):
                found[move.project] = self.why(move.project, move.source)
        return found

    def _stranded(self) -> list[Tenant]:
        if self._selection.repin is not None:
            return []
        return [tenant for tenant in self._layout.tenants.values() if tenant.pinned in self.emptied]

    def _found(self, project: str, source: str) -> list[str]:
        selection, partitions = self._selection, self._layout.view.partitions
        tenant = self._tenant(project)
        if selection.repin is not None and (selection.kind is PlanKind.TENANT or tenant.pinned in self.emptied):
            return [selection.repin]
        if tenant.pinned is not None:
            return [tenant.pinned]
        if selection.kind is PlanKind.TENANT:
            return list(selection.to)
        named = selection.to if selection.kind is not PlanKind.REBALANCE else ()
        taking = [
            partition
            for name, partition in partitions.items()
            if takes(partition) and name not in self.emptied and (not named or name in named)
            if _can_go(source, name, partitions)
        ]
        return [partition.name for partition in home_set(project, taking, tenant.spread)]

    def _tenant(self, project: str) -> Tenant:
        return self._layout.tenants.get(project) or Tenant(project)


def _can_go(source: str, target: str, partitions: Mapping[str, Partition]) -> bool:
    try:
        check_target(source, target, partitions)
    except MoveRefused:
        return False
    return True
