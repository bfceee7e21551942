"""The planner: it chooses queues and targets to move a tenant, drain a partition, evacuate a region or rebalance. Pure.

A plan has each move, and its preconditions: each queue's incarnation and partition, and the partitions' states. The
same catalog gives the same plan. Queues of one dead-letter group go to one partition, or are left out together. Queues
of a tenant go where its new queues go (``Homes``), or there is no plan; unless the selection breaks pins.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from catalog.model import (
    MAX_PLANNED_MOVES,
    MovePlan,
    Partition,
    Placement,
    PlacementState,
    PlannedMove,
    Tenant,
    WholePlan,
)
from marconi_proxy.moving.orders.groups import on_one_partition, together
from marconi_proxy.moving.orders.order import CatalogView, MoveRefused, check, check_target, takes
from marconi_proxy.moving.plans.budgets import Budgets
from marconi_proxy.moving.plans.names import called
from marconi_proxy.routing.choice import home_set

# The most queues, and tenants, that are named when they are left out; the others are counted.
_NAMED = 100
_NAMED_TENANTS = 10
_WAYS_OUT = (
    "Change that with marconi-proxy tenant set, give --repin TO where a partition is emptied, or --break-pins to move "
    "the queues all the same"
)
_LATER = f"a plan has at most {MAX_PLANNED_MOVES} queues; when this plan is done, the same command again"


class Misnamed(MoveRefused):
    """The selection is invalid, or names an unknown object. The message begins with the field at fault."""


class KeptApart(MoveRefused):
    """Pins and spreads of ``tenants`` keep their queues from their targets. ``tenants``: the reasons, by project."""

    def __init__(self, tenants: Mapping[str, str]) -> None:
        named = [f"tenant {project or '-'} {reason}" for project, reason in sorted(tenants.items())[:_NAMED_TENANTS]]
        more = f"; and {len(tenants) - len(named)} more tenants" if len(tenants) > len(named) else ""
        super().__init__(f"pins and spreads are in the way: {'; '.join(named)}{more}. {_WAYS_OUT}")
        self.tenants = tenants


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


@dataclass(frozen=True, slots=True)
class Layout:
    """The catalog as a plan sees it.

    The placements of ``view`` are those of the partitions that ``sources`` returned. ``counts``: the number of
    placements of each partition. ``tenants``: by project, each tenant with a pin or a spread.
    """

    view: CatalogView
    counts: Mapping[str, int]
    tenants: Mapping[str, Tenant] = field(default_factory=dict)


@dataclass(slots=True)
class _Draft:
    """The moves found so far, and the queues left out, with reasons. ``lanes``: by source and target, the groups that
    are begun together. ``kept``: by project, the reason why its queues must not go to any target."""

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


def shares(partitions: Mapping[str, Partition], counts: Mapping[str, int], among: Iterable[str] = ()) -> dict[str, int]:
    """Return the number of queues that each partition should have, by weight, to the nearest whole queue.

    Only partitions that take queues have a share, and of those only ``among``, unless it is empty. The others keep
    their queues.
    """
    wanted = set(among)
    taking = sorted(p.name for p in partitions.values() if takes(p) and (not wanted or p.name in wanted))
    total = sum(counts.get(name, 0) for name in taking)
    weights = sum(partitions[name].weight for name in taking)
    goals = {name: total * partitions[name].weight // weights for name in taking}

    def merit(name: str) -> tuple[int, int, str]:
        # The largest remainders first; of equals, the partition with the larger surplus, which so moves one queue less.
        return -(total * partitions[name].weight % weights), goals[name] - counts.get(name, 0), name

    order = sorted(taking, key=merit)
    for name in order[: total - sum(goals.values())]:
        goals[name] += 1
    return goals


def plan(selection: Selection, layout: Layout, budgets: Budgets, *, plan_id: str, created: float) -> WholePlan:
    """Return the plan. Raises MoveRefused if there is no queue to move or no target; Misnamed; KeptApart."""
    homes = Homes(selection, layout, _emptied(selection, layout))
    homes.check_new_queues()
    draft = (_rebalance if selection.kind is PlanKind.REBALANCE else _empty)(selection, layout, homes)
    left_out = [*draft.left_out, *draft.later]
    if draft.kept and (selection.kind is not PlanKind.REBALANCE or not draft.size):
        raise KeptApart(draft.kept)
    if not draft.size:
        reasons = "".join(f"; {called(p.project, p.queue)}: {reason}" for p, reason in left_out[:3])
        raise MoveRefused(f"there is nothing to move{reasons}")
    moves = draft.moves(plan_id)
    preconditions: dict[str, Any] = {
        "selection": selection.to_json(),
        "partitions": [_relied_on(layout.view.partitions[name]) for name in _touched(moves)],
        "emptied": list(homes.emptied),
        "left_out": [
            {"project": p.project or None, "queue": p.queue, "reason": reason} for p, reason in left_out[:_NAMED]
        ],
        "left_out_count": len(left_out),
    }
    for name, tenants in (("kept", draft.kept), ("broken", homes.broken(moves))):
        if tenants:
            preconditions[name] = [
                {"project": project or None, "reason": reason} for project, reason in sorted(tenants.items())[:_NAMED]
            ]
            preconditions[f"{name}_count"] = len(tenants)
    made = MovePlan(plan_id, _title(selection), created=created, budgets=budgets.to_json(), preconditions=preconditions)
    return WholePlan(made, moves)


def _title(selection: Selection) -> str:
    words = {
        PlanKind.TENANT: f"move tenant {selection.subject or '-'}",
        PlanKind.DRAIN: f"drain partition {selection.subject}",
        PlanKind.EVACUATE: f"evacuate region {selection.subject}",
        PlanKind.REBALANCE: "rebalance",
    }[selection.kind]
    text = words + (f" to {', '.join(sorted(set(selection.to)))}" if selection.to else "")
    return "".join(c if c.isprintable() else "?" for c in text)[:255]


def _emptied(selection: Selection, layout: Layout) -> tuple[str, ...]:
    """Return the partitions that the plan is to empty, even if none of their queues can be moved now."""
    if selection.kind not in (PlanKind.DRAIN, PlanKind.EVACUATE):
        return ()
    return sources(selection, layout.view.partitions, layout.counts)


def _touched(moves: Iterable[PlannedMove]) -> list[str]:
    return sorted({name for move in moves for name in (move.source, move.target)})


def _relied_on(partition: Partition) -> dict[str, Any]:
    return {
        "name": partition.name,
        "takes": takes(partition),
        "api_versions": list(partition.api_versions),
    }


def _empty(selection: Selection, layout: Layout, homes: Homes) -> _Draft:
    """Return the draft that moves all queues of the selected tenant, partition or region. Raises MoveRefused."""
    partitions = layout.view.partitions
    given_up = set(sources(selection, partitions, layout.counts))
    region = selection.subject if selection.kind is PlanKind.EVACUATE else None
    targets = sorted(
        p.name
        for p in partitions.values()
        if (p.name in selection.to if selection.to else takes(p))
        and p.name not in given_up
        and (region is None or p.region != region)
    )
    if selection.kind is PlanKind.TENANT and len(selection.to) != 1:
        raise Misnamed("to: a tenant goes to exactly one partition")
    if not targets:
        raise MoveRefused("there is no partition left that takes queues")
    if selection.repin is not None and selection.repin not in targets:
        raise Misnamed(f"repin: partition {selection.repin} is not one that is to take queues")
    if given_up:
        wanted = [p for p in layout.view.placements.values() if p.partition in given_up]
    else:
        wanted = [
            p for p in layout.view.placements.values() if p.project == selection.subject and p.partition != targets[0]
        ]
    room = _Room(layout, targets, len(wanted))
    draft = _Draft()
    for unit in on_one_partition(wanted):
        _place(unit, room, homes, layout, draft)
    for placement in layout.view.placements.values():
        if placement.partition not in given_up and given_up & placement.partitions:
            words = f"its writes go to {placement.partition} already; consumers have to empty what is left of it"
            draft.leave([placement], words)
    return draft


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


class _Room:
    """The number of queues that each target should still get, by its weight and its present queues."""

    def __init__(self, layout: Layout, targets: Sequence[str], coming: int) -> None:
        partitions, counts = layout.view.partitions, layout.counts
        total = coming + sum(counts.get(name, 0) for name in targets)
        weights = sum(partitions[name].weight for name in targets) or 1
        self._left = {name: total * partitions[name].weight / weights - counts.get(name, 0) for name in targets}

    def order(self) -> list[str]:
        """Return the targets in the order in which to try them, the largest room first."""
        return sorted(self._left, key=lambda name: (-self._left[name], name))

    def take(self, name: str, queues: int) -> None:
        self._left[name] -= queues


def _place(unit: Sequence[Placement], room: _Room, homes: Homes, layout: Layout, draft: _Draft) -> None:
    """Add the unit to the draft, with the first target that can take all of it; else leave it out."""
    if draft.full(unit):
        return
    project, source = unit[0].project, unit[0].partition
    belongs = homes.of(project, source)
    targets = sorted(room.order(), key=lambda name: name not in belongs)
    # If no partition can take it at all, pins and spreads are not the cause.
    if belongs:
        targets = [name for name in targets if homes.allow(project, source, name)]
    reason = ""
    for target in targets:
        refused = _refusal(unit, target, layout.view)
        if refused is None:
            draft.add(unit, target)
            room.take(target, len(unit))
            return
        reason = reason or refused
    if targets:
        draft.leave(unit, reason)
    else:
        draft.kept[project] = homes.why(project, source)


def _refusal(unit: Sequence[Placement], target: str, view: CatalogView) -> str | None:
    """Return the reason why the unit cannot go to ``target``, None if it can. A reserved placement can always go to a
    partition that takes queues: it has no queue."""
    for placement in unit:
        try:
            if placement.state is PlacementState.RESERVED:
                check_target(placement.partition, target, view.partitions)
            else:
                check(placement, target, view)
        except MoveRefused as refused:
            return str(refused) if len(unit) == 1 else f"{placement.queue}, with which it must stay: {refused}"
    return None


def _rebalance(selection: Selection, layout: Layout, homes: Homes) -> _Draft:
    """Return the draft with the fewest moves from partitions above their share to those below, without a reversal of
    surplus and deficit. Raises MoveRefused."""
    partitions, counts = layout.view.partitions, layout.counts
    goals = shares(partitions, counts, selection.to)
    if len(goals) < 2:
        raise MoveRefused("there are fewer than two partitions that take queues")
    surplus = {name: counts.get(name, 0) - goal for name, goal in goals.items()}
    draft = _Draft()
    for source in sorted(goals):
        here = [p for p in layout.view.placements.values() if p.partition == source]
        passed: list[tuple[tuple[Placement, ...], str]] = []
        kept: dict[str, str] = {}
        # The largest units first: small ones still fit after them.
        for unit in sorted(on_one_partition(here), key=lambda unit: (-len(unit), unit[0].key)):
            if surplus[source] < len(unit):
                continue
            if draft.full(unit):
                surplus[source] -= len(unit)
                continue
            reason, astray = None, False
            for target in sorted(goals, key=lambda name: (surplus[name], name)):
                if -surplus[target] < len(unit):
                    break
                if not homes.allow(unit[0].project, source, target):
                    astray = True
                    continue
                astray, reason = False, _refusal(unit, target, layout.view)
                if reason is None:
                    draft.add(unit, target)
                    surplus[source] -= len(unit)
                    surplus[target] += len(unit)
                    break
            if reason is not None:
                passed.append((unit, reason))
            elif astray:
                kept[unit[0].project] = homes.why(unit[0].project, source)
        if surplus[source]:
            # Without a surplus, other units have gone instead of these, and nothing is left to report.
            draft.kept |= kept
            for unit, reason in passed:
                draft.leave(unit, reason)
    return draft
