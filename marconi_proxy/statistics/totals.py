"""Sums over placements in the order of their keys, by partition and by project. Pure.

Memory is bounded by the number of partitions, not of projects: a project is complete when the next one begins.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from catalog.model import Placement, StatisticsSubject, SubjectStatistics, Walk


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """The messages in a segment. ``oldest``: post time of the oldest in seconds since 1970, None if there is none."""

    free: int = 0
    claimed: int = 0
    oldest: float | None = None


class PolledPlacement(NamedTuple):
    """A placement with the counts of its segments, in their order, None for each unknown one.

    ``counts`` is None if the placement has no queue yet, or none any more; it is then left out of the sums.
    """

    placement: Placement
    counts: Sequence[QueueCounts | None] | None


class Step(NamedTuple):
    """A walk after some placements. ``complete``: the sums of all projects with since <= name < until."""

    walk: Walk
    complete: list[SubjectStatistics]
    since: str
    until: str | None


def advance(walk: Walk, page: Iterable[PolledPlacement], begun: float, now: float) -> Step:
    """Add the next placements. They were polled from ``begun`` to ``now``, in seconds since 1970."""
    since = "" if walk.after is None else walk.after.project
    partitions = {one.name: one for one in walk.partitions}
    project, after = walk.project, walk.after
    complete: list[SubjectStatistics] = []
    for placement, counts in page:
        if project is not None and project.name != placement.project:
            complete.append(project)
            project = None
        after = placement.key
        if counts is None:
            continue
        if project is None:
            project = SubjectStatistics(StatisticsSubject.PROJECT, placement.project, begun=begun)
        project = _with(project, counts, now)
        there = [segment.partition for segment in placement.segments]
        for name in dict.fromkeys(there):
            so_far = partitions.get(name) or SubjectStatistics(
                StatisticsSubject.PARTITION, name, begun=walk.begun or begun
            )
            parts = [one for one, where in zip(counts, there, strict=True) if where == name]
            partitions[name] = _with(so_far, parts, now)
    moved = replace(walk, after=after, project=project, partitions=tuple(partitions.values()))
    return Step(moved, complete, since, since if after is None else after.project)


def finish(step: Step, registered: Collection[str], now: float) -> tuple[Step, list[SubjectStatistics]]:
    """Return the step that ends the walk, and the sums of all ``registered`` partitions."""
    walk = step.walk
    complete = [*step.complete, *([walk.project] if walk.project is not None else [])]
    found = {one.name: one for one in walk.partitions}
    partitions = [
        replace(
            found.get(name) or SubjectStatistics(StatisticsSubject.PARTITION, name), begun=walk.begun or now, ended=now
        )
        for name in sorted(registered)
    ]
    return Step(Walk(begun=walk.begun, ended=now), complete, step.since, None), partitions


def _with(total: SubjectStatistics, counts: Sequence[QueueCounts | None], now: float) -> SubjectStatistics:
    """Add one queue to a total. ``counts``: those of its segments that belong to the subject of the total."""
    known = [one for one in counts if one is not None]
    oldest = [when for when in (total.oldest, *(one.oldest for one in known)) if when is not None]
    return replace(
        total,
        queues=total.queues + 1,
        free=total.free + sum(one.free for one in known),
        claimed=total.claimed + sum(one.claimed for one in known),
        oldest=min(oldest, default=None),
        unknown=total.unknown + (len(known) < len(counts)),
        ended=now,
    )
