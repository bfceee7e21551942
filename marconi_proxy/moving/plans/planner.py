"""The planner: it chooses queues and targets to move a tenant, drain a partition, evacuate a region or rebalance. Pure.

A plan has each move, and its preconditions: each queue's incarnation and partition, and the partitions' states. The
same catalog gives the same plan. Queues of one dead-letter group go to one partition, or are left out together. Queues
of a tenant go where its new queues go (``Homes``), or there is no plan; unless the selection breaks pins.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from catalog.model import MovePlan, Partition, Placement, PlacementState, PlannedMove, WholePlan
from marconi_proxy.moving.orders.groups import on_one_partition
from marconi_proxy.moving.orders.order import CatalogView, MoveRefused, check, check_target, takes
from marconi_proxy.moving.plans.budgets import Budgets
from marconi_proxy.moving.plans.draft import PlanDraft
from marconi_proxy.moving.plans.homes import Homes, KeptApart
from marconi_proxy.moving.plans.layout import Layout, shares
from marconi_proxy.moving.plans.names import called
from marconi_proxy.moving.plans.selection import Misnamed, PlanKind, Selection, sources

# The most queues, and the most tenants, that a plan names; the others are counted.
_NAMED = 100


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


def _empty(selection: Selection, layout: Layout, homes: Homes) -> PlanDraft:
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
    draft = PlanDraft()
    for unit in on_one_partition(wanted):
        _place(unit, room, homes, layout, draft)
    for placement in layout.view.placements.values():
        if placement.partition not in given_up and given_up & placement.partitions:
            words = f"its writes go to {placement.partition} already; consumers have to empty what is left of it"
            draft.leave([placement], words)
    return draft


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


def _place(unit: Sequence[Placement], room: _Room, homes: Homes, layout: Layout, draft: PlanDraft) -> None:
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


def _rebalance(selection: Selection, layout: Layout, homes: Homes) -> PlanDraft:
    """Return the draft with the fewest moves from partitions above their share to those below, without a reversal of
    surplus and deficit. Raises MoveRefused."""
    partitions, counts = layout.view.partitions, layout.counts
    goals = shares(partitions, counts, selection.to)
    if len(goals) < 2:
        raise MoveRefused("there are fewer than two partitions that take queues")
    surplus = {name: counts.get(name, 0) - goal for name, goal in goals.items()}
    draft = PlanDraft()
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
