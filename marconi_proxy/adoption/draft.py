"""The decisions about the queues of one project that are on partitions but not in the catalog. Pure.

``drafted`` separates the queues on one partition, which can be adopted as they are, from those that must be inspected.
``contested`` makes conflicts of the inspected ones, each with its possible rules.

A queue and its dead-letter queue (API section 8.4) must have their writes on one partition, which is chosen for the
whole group.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import nsmallest
from typing import NamedTuple

from catalog.model import TOPIC_PREFIX, Move, Partition, Placement, PlacementState, QueueKey
from marconi_proxy.adoption.entries import Candidate, ConflictRule, QueueConflict, Single

# The most queues of a group that a note names.
_NAMED = 5

# By queue and partition: the name of its dead-letter queue there.
Places = Mapping[str, Mapping[str, str | None]]


@dataclass(frozen=True, slots=True)
class ProjectSurvey:
    """The readings of one project. ``found``: on partitions, in the operator's order. ``placements`` and unfinished
    ``moves``: from the catalog. ``longest``: the most segments of a chain."""

    project: str
    found: Places
    placements: Mapping[str, Placement]
    moves: Collection[Move]
    partitions: Mapping[str, Partition]
    longest: int


@dataclass(frozen=True, slots=True)
class Draft:
    """``singles``: decided. ``open_``: queues to inspect, each with its partitions; that of its placement is the last,
    if it is ``placed``. ``unplaced``: all queues outside of the catalog. ``groups``: the dead-letter groups among
    unplaced and placed queues."""

    singles: tuple[Single, ...]
    open_: Places
    placed: Mapping[str, str]
    unplaced: Places
    groups: tuple[frozenset[str], ...]


def unplaced(situation: ProjectSurvey) -> dict[str, dict[str, str | None]]:
    """Return the queues that neither a placement nor an unfinished move names."""
    known = set()
    for placement in situation.placements.values():
        if placement.state is PlacementState.RESERVED:
            # A reservation does not account for an existing queue.
            continue
        known |= {_place(placement.queue, s.partition, s.backend_name) for s in placement.segments}
    for move in situation.moves:
        # A move creates a queue before the placement names it, and deletes one afterwards.
        known |= {_place(move.queue, partition, name) for partition, name in move.progress.touched}
        if move.backend_name is not None:
            known.add(_place(move.queue, move.destination, move.backend_name))
    left: dict[str, dict[str, str | None]] = {}
    for queue, places in situation.found.items():
        backend_name = queue.removeprefix(TOPIC_PREFIX)
        here = {name: dlq for name, dlq in places.items() if _place(queue, name, backend_name) not in known}
        if here:
            left[queue] = here
    return left


def _place(queue: str, partition: str, backend_name: str) -> tuple[bool, str, str]:
    return queue.startswith(TOPIC_PREFIX), partition, backend_name


def drafted(situation: ProjectSurvey) -> Draft:
    """Return the decisions that need no inspection of the queues."""
    news = unplaced(situation)
    placed = {
        queue: placement.partition
        for queue, placement in situation.placements.items()
        if queue in news and not _is_where_reserved(placement, news[queue])
    }
    groups = _groups(news, situation.placements)
    apart = {queue for group in groups if not _homes(group, news, situation.placements) for queue in group}
    singles, looked_at = [], {}
    for queue in sorted(news):
        places = news[queue]
        if queue in placed:
            looked_at[queue] = {**{n: d for n, d in places.items() if n != placed[queue]}, placed[queue]: None}
        elif len(places) > 1 or queue in apart:
            looked_at[queue] = dict(places)
        else:
            ((partition, _),) = places.items()
            group, dead_letters = _ties(queue, partition, news)
            singles.append(Single(situation.project, queue, partition, group, dead_letters))
    return Draft(tuple(singles), looked_at, placed, news, groups)


def _is_where_reserved(placement: Placement, places: Mapping[str, str | None]) -> bool:
    return placement.state is PlacementState.RESERVED and set(places) == {placement.partition}


def _ties(queue: str, partition: str, news: Places) -> tuple[str | None, str | None]:
    """Return (a queue there that sends it dead letters, its own dead-letter queue if that is not in the plan)."""
    sources = sorted(other for other, places in news.items() if places.get(partition) == queue)
    dead_letters = news[queue].get(partition)
    return (sources[0] if sources else None), (None if dead_letters in news else dead_letters)


def _groups(news: Places, placements: Mapping[str, Placement]) -> tuple[frozenset[str], ...]:
    """Return the dead-letter groups of two or more queues, including queues with a placement."""
    first: dict[str, str] = {}

    def leader(queue: str) -> str:
        while first.setdefault(queue, queue) != queue:
            queue = first[queue]
        return queue

    for queue, places in news.items():
        for dead_letters in places.values():
            if dead_letters is not None and (dead_letters in news or dead_letters in placements):
                first[leader(dead_letters)] = leader(queue)
    groups: dict[str, set[str]] = {}
    for queue in sorted(first):
        groups.setdefault(leader(queue), set()).add(queue)
    return tuple(frozenset(group) for group in groups.values() if len(group) > 1)


def _homes(group: Iterable[str], news: Places, placements: Mapping[str, Placement]) -> set[str]:
    """Return the partitions that all queues of a group share; none if they are apart."""
    common: set[str] | None = None
    for queue in group:
        here = {placements[queue].partition} if queue in placements else set(news[queue])
        common = here if common is None else common & here
    return common or set()


class _Group(NamedTuple):
    """A dead-letter group. ``name``: its first queue. ``some``: the first few of all ``size``.

    ``writes``: the destination of their writes, None if they are apart. ``home``: the partition of those that have
    only one, None without such.
    """

    name: str
    some: tuple[str, ...]
    size: int
    writes: str | None
    home: str | None

    def besides(self, queue: str) -> str:
        """Return the names of the others as text."""
        named = [other for other in self.some if other != queue][:_NAMED]
        more = self.size - 1 - len(named)
        return ", ".join(named) + (f" and {more} more" if more else "")


def contested(
    situation: ProjectSurvey, draft: Draft, looks: Mapping[str, Mapping[str, Candidate]], rule: ConflictRule
) -> list[QueueConflict]:
    """Return the conflicts, including queues on one partition that are apart from their group.

    ``looks``: the contents by queue and partition of ``draft.open_``. ``rule``: that of each conflict that allows it.
    """
    order = {name: number for number, name in enumerate(situation.partitions)}
    fixed = {single.queue: single.partition for single in draft.singles}
    fixed |= {queue: placement.partition for queue, placement in situation.placements.items()}
    groups: dict[str, _Group] = {}
    for queues in draft.groups:
        homes = _homes(queues, draft.unplaced, situation.placements)
        writes = _newest(homes, queues, looks, order)
        home = next((fixed[queue] for queue in queues if queue in fixed), None)
        some = tuple(nsmallest(_NAMED + 1, queues))
        groups |= dict.fromkeys(queues, _Group(some[0], some, len(queues), writes, home))
    conflicts = []
    for queue, places in draft.open_.items():
        found = [_tied(looks[queue][name], queue, draft.unplaced) for name in places]
        group = groups.get(queue)
        last = draft.placed.get(queue) or (group.writes if group is not None else None)
        conflicts.append(_conflict(situation, draft, queue, _sorted(found, last, order), group, rule))
    return conflicts


def _tied(candidate: Candidate, queue: str, news: Places) -> Candidate:
    group, dead_letters = _ties(queue, candidate.partition, news)
    return replace(candidate, group=group, dead_letters=dead_letters)


def _newest(
    homes: set[str], group: Iterable[str], looks: Mapping[str, Mapping[str, Candidate]], order: Mapping[str, int]
) -> str | None:
    """Return the partition in ``homes`` with the newest message, None without any."""
    seen = [(c.newest or "", order[c.partition], c.partition) for q in group for c in looks.get(q, {}).values()]
    among = [one for one in seen if one[2] in homes]
    if among:
        return max(among)[2]
    return min(homes, default=None)


def _sorted(found: Sequence[Candidate], home: str | None, order: Mapping[str, int]) -> tuple[Candidate, ...]:
    """Sort by the oldest message, empty ones first, and ``home`` last."""

    def age(candidate: Candidate) -> tuple[bool, str, str, int]:
        c = candidate
        return c.partition == home, c.oldest or "", c.newest or "", order.get(c.partition, -1)

    return tuple(sorted(found, key=age))


def _conflict(
    situation: ProjectSurvey,
    draft: Draft,
    queue: str,
    found: tuple[Candidate, ...],
    group: _Group | None,
    rule: ConflictRule,
) -> QueueConflict:
    placed = draft.placed.get(queue)
    names = [candidate.partition for candidate in found]
    notes, why_not = [], None
    apart = group is not None and group.writes is None
    if group is not None and apart:
        notes.append(f"It must share its partition with {group.besides(queue)} (dead letters), and they are apart.")
    if len(found) == 1:
        why_not = ""
    elif apart:
        why_not = "the queues of its dead-letter group would be apart"
    elif placed is not None:
        why_not = _cannot_precede(situation.placements[queue], situation.moves)
    if why_not is None:
        why_not = _cannot_chain(situation, names)
    if why_not:
        notes.append(f"chain is not possible: {why_not}.")
    rules = [ConflictRule.SKIP] if placed is not None else [ConflictRule.PREFER, ConflictRule.SKIP]
    if why_not is None:
        rules.insert(0, ConflictRule.CHAIN)
    elsewhere = [c for c in found if c.subscriptions and c.partition != names[-1]]
    if elsewhere:
        where = ", ".join(f"{c.subscriptions} on {c.partition}" for c in elsewhere)
        notes.append(f"Subscriptions stay where they are and see no new messages: {where}.")
    if placed is not None and len(names) == 1:
        notes.append(f"The catalog has it on {placed} by another name; one of its own name there is out of reach.")
    elif placed is not None:
        notes.append(f"The catalog has it on {placed}: what is on {_list(set(names) - {placed})} is out of reach now.")
    conflict = QueueConflict(
        situation.project,
        queue,
        rules[0],
        names[-1],
        tuple(rules),
        found,
        placed,
        None if group is None or apart else group.name,
        None if group is None or apart else group.home,
        tuple(notes),
    )
    return conflict.ruled(rule)


def _cannot_precede(placement: Placement, moves: Collection[Move]) -> str | None:
    """Return why no segment can be inserted before those of a placement, None if one can.

    A segment in front needs a smaller number, and numbers are never reused. One is free if the only segment is the
    base: no id contains the number of the base, so it can be increased, and its ids stay untagged.
    """
    if placement.state is not PlacementState.OPEN:
        return f"the queue is {placement.state}"
    if placement.move is not None or any(move.queue == placement.queue for move in moves):
        return "the queue is being moved"
    if len(placement.segments) > 1 or placement.segments[0].n != placement.base:
        return "the queue was moved before, and nothing can come before what it has"
    return None


def _cannot_chain(situation: ProjectSurvey, names: Sequence[str]) -> str | None:
    if len(names) > situation.longest:
        return f"a chain has at most {situation.longest} segments ([moving] max_segments)"
    spoken = {name: situation.partitions[name].api_versions for name in names}
    if len(set(spoken.values())) > 1:
        words = "; ".join(f"{name}: {', '.join(versions) or 'unknown'}" for name, versions in spoken.items())
        return f"its partitions speak different versions of the API ({words})"
    return None


def check_together(conflicts: Mapping[QueueKey, QueueConflict]) -> tuple[QueueKey, str] | None:
    """Return a conflict that its rule separates from its dead-letter group, with the reason; None without one."""
    first: dict[QueueKey, QueueConflict] = {}
    for key, conflict in conflicts.items():
        if conflict.together is None or conflict.goes_to is None:
            continue
        other = first.setdefault(QueueKey(key.project, conflict.together), conflict)
        where, others = other.goes_to, other.queue
        if conflict.home is not None:
            where, others = conflict.home, f"the others of the group of {conflict.together}"
        if conflict.goes_to != where:
            reason = (
                f"it would go to {conflict.goes_to} and {others}, with which it must share its partition "
                f"(dead letters), to {where}: give them rules that keep them on one"
            )
            return key, reason
    return None


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
