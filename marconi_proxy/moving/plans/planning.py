"""Which queues go where when a tenant is moved, a partition drained, a region evacuated or the load rebalanced. Pure.

A plan says exactly that, and what it relies on: each queue's life and place, and the partitions' states. The same
catalog gives the same plan. Queues of one dead-letter group go to one partition, or are left out together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from catalog.model import MAX_PLANNED_MOVES, Partition, Placement, PlacementState, Plan, PlannedMove, Tenant
from marconi_proxy.moving.orders.groups import on_one_partition, together
from marconi_proxy.moving.orders.ordering import Refused, Situation, check, check_target, takes
from marconi_proxy.moving.plans.budgets import Budgets
from marconi_proxy.moving.plans.names import called

# So many queues that are left out are named; the others are counted.
_NAMED = 100
_LATER = f"a plan has at most {MAX_PLANNED_MOVES} queues; when this plan is done, the same command again"


class Misnamed(Refused):
    """The selection is no selection, or names what there is not. The message begins with the field at fault."""


class Kind(StrEnum):
    """tenant: all queues of a project go to one partition. drain: a partition gives all it has to others. evacuate: so
    does every partition of a region, to other regions. rebalance: partitions get their shares, by weight."""

    TENANT = "tenant"
    DRAIN = "drain"
    EVACUATE = "evacuate"
    REBALANCE = "rebalance"


@dataclass(frozen=True, slots=True)
class Selection:
    """What is to be planned. ``subject`` is a project, partition or region by ``kind``, "" for a rebalance. ``to``: the
    partitions that may take queues, in no order; none: all that take any."""

    kind: Kind
    subject: str = ""
    to: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind.value, "subject": self.subject, "to": sorted(set(self.to))}


@dataclass(frozen=True, slots=True)
class Layout:
    """What the catalog says. ``situation.placements`` are all that ``sources`` told to read; ``counts`` is how many
    placements each partition has; ``tenants`` are those of the placements' projects that are pinned."""

    situation: Situation
    counts: Mapping[str, int]
    tenants: Mapping[str, Tenant] = field(default_factory=dict)


@dataclass(slots=True)
class _Draft:
    """Moves found so far, and the queues that are left out, with reasons."""

    moves: list[PlannedMove] = field(default_factory=list)
    born: list[str] = field(default_factory=list)
    groups: list[list[int]] = field(default_factory=list)
    left_out: list[tuple[Placement, str]] = field(default_factory=list)
    later: list[tuple[Placement, str]] = field(default_factory=list)

    def add(self, unit: Sequence[Placement], target: str) -> None:
        # Those that the catalog knows to belong together are begun together, so they stand side by side. Dead-letter
        # queues come first: the others may be sources of theirs too, which cannot go before them.
        for group in sorted(together(unit), key=lambda group: all(p.group is None for p in group)):
            first = len(self.moves)
            self.moves += (PlannedMove(p.project, p.queue, p.partition, target) for p in group)
            self.born += (p.born for p in group)
            if len(group) > 1:
                self.groups.append(list(range(first, len(self.moves))))

    def leave(self, unit: Iterable[Placement], reason: str) -> None:
        self.left_out += ((placement, reason) for placement in unit)

    def full(self, unit: Sequence[Placement]) -> bool:
        """Tell whether the unit is more than a plan can have now; if so, it is left for a later one."""
        if len(self.moves) + len(unit) <= MAX_PLANNED_MOVES:
            return False
        if len(unit) > MAX_PLANNED_MOVES:
            self.leave(unit, f"{len(unit)} queues must stay together, and a plan has at most {MAX_PLANNED_MOVES}")
        else:
            self.later += ((placement, _LATER) for placement in unit)
        return True


def sources(selection: Selection, partitions: Mapping[str, Partition], counts: Mapping[str, int]) -> tuple[str, ...]:
    """Return the partitions whose placements must be known to plan; none for a tenant. Raises Misnamed."""
    for name in selection.to:
        if name not in partitions:
            raise Misnamed(f"to: there is no partition {name}")
    if selection.kind is Kind.TENANT:
        return ()
    if selection.kind is Kind.DRAIN:
        if selection.subject not in partitions:
            raise Misnamed(f"partition: there is no partition {selection.subject}")
        return (selection.subject,)
    if selection.kind is Kind.EVACUATE:
        found = tuple(sorted(p.name for p in partitions.values() if p.region == selection.subject))
        if not found:
            raise Misnamed(f"region: no partition is in region {selection.subject}")
        return found
    goals = shares(partitions, counts, selection.to)
    return tuple(name for name in sorted(goals) if counts.get(name, 0) > goals[name])


def shares(partitions: Mapping[str, Partition], counts: Mapping[str, int], among: Iterable[str] = ()) -> dict[str, int]:
    """Return how many of all their queues each partition would have, by weight, to the nearest whole queue.

    Of partitions that take queues, and of them those ``among``, if any are named. Others keep what they have.
    """
    wanted = set(among)
    taking = sorted(p.name for p in partitions.values() if takes(p) and (not wanted or p.name in wanted))
    total = sum(counts.get(name, 0) for name in taking)
    weights = sum(partitions[name].weight for name in taking)
    goals = {name: total * partitions[name].weight // weights for name in taking}

    def merit(name: str) -> tuple[int, int, str]:
        # The largest remainders first; of equals, who has more of it than its share keeps one rather than give it away.
        return -(total * partitions[name].weight % weights), goals[name] - counts.get(name, 0), name

    order = sorted(taking, key=merit)
    for name in order[: total - sum(goals.values())]:
        goals[name] += 1
    return goals


def plan(selection: Selection, layout: Layout, budgets: Budgets, *, plan_id: str, created: float) -> Plan:
    """Return the plan. Raises Refused if there is nothing to move, or nowhere to move it."""
    draft = _rebalance(selection, layout) if selection.kind is Kind.REBALANCE else _empty(selection, layout)
    left_out = [*draft.left_out, *draft.later]
    if not draft.moves:
        reasons = "".join(f"; {called(p.project, p.queue)}: {reason}" for p, reason in left_out[:3])
        raise Refused(f"there is nothing to move{reasons}")
    return Plan(
        plan_id,
        _title(selection),
        tuple(draft.moves),
        created=created,
        budgets=budgets.to_json(),
        preconditions={
            "selection": selection.to_json(),
            "born": draft.born,
            "groups": draft.groups,
            "partitions": [_relied_on(layout.situation.partitions[name]) for name in _touched(draft.moves)],
            "emptied": list(_emptied(selection, layout)),
            "left_out": [
                {"project": p.project or None, "queue": p.queue, "reason": reason} for p, reason in left_out[:_NAMED]
            ],
            "left_out_count": len(left_out),
        },
    )


def _title(selection: Selection) -> str:
    words = {
        Kind.TENANT: f"move tenant {selection.subject or '-'}",
        Kind.DRAIN: f"drain partition {selection.subject}",
        Kind.EVACUATE: f"evacuate region {selection.subject}",
        Kind.REBALANCE: "rebalance",
    }[selection.kind]
    text = words + (f" to {', '.join(sorted(set(selection.to)))}" if selection.to else "")
    return "".join(c if c.isprintable() else "?" for c in text)[:255]


def _emptied(selection: Selection, layout: Layout) -> tuple[str, ...]:
    """Return the partitions that are to have nothing in the end, also those that nothing of can be moved off now."""
    if selection.kind not in (Kind.DRAIN, Kind.EVACUATE):
        return ()
    return sources(selection, layout.situation.partitions, layout.counts)


def _touched(moves: Iterable[PlannedMove]) -> list[str]:
    return sorted({name for move in moves for name in (move.source, move.target)})


def _relied_on(partition: Partition) -> dict[str, Any]:
    return {
        "name": partition.name,
        "takes": takes(partition),
        "api_versions": list(partition.api_versions),
    }


def _empty(selection: Selection, layout: Layout) -> _Draft:
    """Move everything that ``selection`` names off where it is: a tenant, a partition, a region."""
    partitions = layout.situation.partitions
    given_up = set(sources(selection, partitions, layout.counts))
    region = selection.subject if selection.kind is Kind.EVACUATE else None
    targets = sorted(
        p.name
        for p in partitions.values()
        if (p.name in selection.to if selection.to else takes(p))
        and p.name not in given_up
        and (region is None or p.region != region)
    )
    if selection.kind is Kind.TENANT and len(selection.to) != 1:
        raise Misnamed("to: a tenant goes to exactly one partition")
    if not targets:
        raise Refused("there is no partition left that takes queues")
    if given_up:
        wanted = [p for p in layout.situation.placements.values() if p.partition in given_up]
    else:
        wanted = [
            p
            for p in layout.situation.placements.values()
            if p.project == selection.subject and p.partition != targets[0]
        ]
    room = _Room(layout, targets, len(wanted))
    draft = _Draft()
    for unit in on_one_partition(wanted):
        _place(unit, room, layout, draft)
    for placement in layout.situation.placements.values():
        if placement.partition not in given_up and given_up & {segment.partition for segment in placement.segments}:
            words = f"its writes go to {placement.partition} already; consumers have to empty what is left of it"
            draft.leave([placement], words)
    return draft


class _Room:
    """How many more queues each target should get, by its weight and by what it has: the largest first.

    The queues of a project follow each other as long as there is room where the last one went, for a tenant is best
    on few partitions.
    """

    def __init__(self, layout: Layout, targets: Sequence[str], coming: int) -> None:
        partitions, counts = layout.situation.partitions, layout.counts
        total = coming + sum(counts.get(name, 0) for name in targets)
        weights = sum(partitions[name].weight for name in targets) or 1
        self._left = {name: total * partitions[name].weight / weights - counts.get(name, 0) for name in targets}
        self._last: dict[str, str] = {}

    def order(self, project: str, pinned: str | None) -> list[str]:
        """Return the targets in the order in which they are to be tried."""
        last = self._last.get(project)

        def merit(name: str) -> tuple[bool, bool, float, str]:
            follows = name == last and self._left[name] >= 1
            return name != pinned, not follows, -self._left[name], name

        return sorted(self._left, key=merit)

    def take(self, project: str, name: str, queues: int) -> None:
        self._left[name] -= queues
        self._last[project] = name


def _place(unit: Sequence[Placement], room: _Room, layout: Layout, draft: _Draft) -> None:
    """Add the unit to the draft, with the first target that can take all of it; else leave it out."""
    if draft.full(unit):
        return
    project = unit[0].project
    tenant = layout.tenants.get(project)
    reason = ""
    for target in room.order(project, tenant.pinned if tenant is not None else None):
        refused = _refusal(unit, target, layout.situation)
        if refused is None:
            draft.add(unit, target)
            room.take(project, target, len(unit))
            return
        reason = reason or refused
    draft.leave(unit, reason)


def _refusal(unit: Sequence[Placement], target: str, situation: Situation) -> str | None:
    """Return why the unit cannot go to ``target``, None if it can. A place that is kept for a dead-letter queue can:
    there is nothing in it."""
    for placement in unit:
        try:
            if placement.state is PlacementState.RESERVED:
                check_target(placement.partition, target, situation.partitions)
            else:
                check(placement, target, situation)
        except Refused as refused:
            return str(refused) if len(unit) == 1 else f"{placement.queue}, with which it must stay: {refused}"
    return None


def _rebalance(selection: Selection, layout: Layout) -> _Draft:
    """Move no more than is needed: from partitions with more than their share to those with less, and never so much
    that it would be the other way round."""
    partitions, counts = layout.situation.partitions, layout.counts
    goals = shares(partitions, counts, selection.to)
    if len(goals) < 2:
        raise Refused("there are fewer than two partitions that take queues")
    surplus = {name: counts.get(name, 0) - goal for name, goal in goals.items()}
    draft = _Draft()
    for source in sorted(goals):
        here = [p for p in layout.situation.placements.values() if p.partition == source]
        passed: list[tuple[tuple[Placement, ...], str]] = []
        # The largest first: small ones fit behind them, not the other way round.
        for unit in sorted(on_one_partition(here), key=lambda unit: (-len(unit), unit[0].key)):
            if surplus[source] < len(unit):
                continue
            if draft.full(unit):
                surplus[source] -= len(unit)
                continue
            reason = None
            for target in sorted(goals, key=lambda name: (surplus[name], name)):
                if -surplus[target] < len(unit):
                    break
                reason = _refusal(unit, target, layout.situation)
                if reason is None:
                    draft.add(unit, target)
                    surplus[source] -= len(unit)
                    surplus[target] += len(unit)
                    break
            if reason is not None:
                passed.append((unit, reason))
        if surplus[source]:
            # Else others have gone in their stead, and nothing is missing.
            for unit, reason in passed:
                draft.leave(unit, reason)
    return draft
