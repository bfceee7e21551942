"""Sums: the same whatever the pages are, and nothing kept of projects that are complete."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from catalog.model import Placement, PlacementState, QueueKey, Segment, StatisticsSubject, SubjectStatistics, Walk
from marconi_proxy.statistics.totals import PolledPlacement, QueueCounts, advance, finish

PARTITION, PROJECT = StatisticsSubject
BEGUN = 100.0


def asked(project: str, queue: str, *found: tuple[str, QueueCounts | None]) -> PolledPlacement:
    """A queue with a segment on each of the partitions, and what that holds."""
    segments = tuple(Segment(n, name, queue) for n, (name, _) in enumerate(found))
    placement = Placement(project, queue, 1, PlacementState.OPEN, segments, incarnation="b")
    return PolledPlacement(placement, [holding for _, holding in found])


def reserved(project: str, queue: str) -> PolledPlacement:
    placement = Placement(project, queue, 1, PlacementState.RESERVED, (Segment(0, "p1", queue),), incarnation="b")
    return PolledPlacement(placement, None)


ALL = [
    asked("", "q", ("p1", QueueCounts(1, 2, 50.0))),
    asked("", "~topic", ("p2", QueueCounts(4))),
    asked("a", "chain", ("p1", QueueCounts(1, 0, 30.0)), ("p2", QueueCounts(2, 1, 20.0))),
    asked("a", "there and back", ("p2", None), ("p1", QueueCounts()), ("p2", QueueCounts(5, 0, 70.0))),
    reserved("a", "z"),
    reserved("b", "q"),
    asked("c", "down", ("p3", None)),
]


def walked(
    pages: Sequence[Sequence[PolledPlacement]],
) -> tuple[list[SubjectStatistics], list[SubjectStatistics], list[tuple[str, str | None]]]:
    """The sums of partitions and of projects, and the ranges in which the latter were stored."""
    walk, projects, ranges = Walk(begun=BEGUN), [], []
    for number, page in enumerate(pages):
        step = advance(walk, page, BEGUN + number, BEGUN + number + 1)
        if number == len(pages) - 1:
            step, partitions = finish(step, ["p1", "p2", "p3", "p4"], 200.0)
        projects += step.complete
        ranges.append((step.since, step.until))
        walk = Walk.from_json(step.walk.to_json())
    assert walk == Walk(begun=BEGUN, ended=200.0)
    return partitions, projects, ranges


def test_partitions_and_projects() -> None:
    partitions, projects, ranges = walked([ALL])
    assert partitions == [
        SubjectStatistics(PARTITION, "p1", 3, 2, 2, 30.0, 0, BEGUN, 200.0),
        SubjectStatistics(PARTITION, "p2", 3, 11, 1, 20.0, 1, BEGUN, 200.0),
        SubjectStatistics(PARTITION, "p3", 1, 0, 0, None, 1, BEGUN, 200.0),
        SubjectStatistics(PARTITION, "p4", 0, 0, 0, None, 0, BEGUN, 200.0),
    ]
    assert projects == [
        SubjectStatistics(PROJECT, "", 2, 5, 2, 50.0, 0, BEGUN, 101.0),
        SubjectStatistics(PROJECT, "a", 2, 8, 1, 20.0, 1, BEGUN, 101.0),
        SubjectStatistics(PROJECT, "c", 1, 0, 0, None, 1, BEGUN, 101.0),
    ]
    assert ranges == [("", None)]


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_the_sums_do_not_depend_on_the_pages(size: int) -> None:
    pages = [ALL[start : start + size] for start in range(0, len(ALL), size)]
    partitions, projects, ranges = walked([*pages, []])
    whole = walked([ALL])
    assert partitions == whole[0]
    untimed = [(one.name, one.queues, one.free, one.claimed, one.oldest, one.unknown) for one in projects]
    assert untimed == [(one.name, one.queues, one.free, one.claimed, one.oldest, one.unknown) for one in whole[1]]
    # The ranges meet, so that nothing that is gone is left between them.
    assert ranges[0][0] == ""
    assert [since for since, _ in ranges[1:]] == [until for _, until in ranges[:-1]]
    assert ranges[-1][1] is None


def test_a_project_is_complete_when_the_next_begins_and_not_before() -> None:
    step = advance(Walk(begun=BEGUN), ALL[:3], BEGUN, BEGUN)
    assert [one.name for one in step.complete] == [""]
    assert (step.since, step.until) == ("", "a")
    assert step.walk.project is not None
    assert step.walk.project.name == "a"
    assert step.walk.after == QueueKey("a", "chain")
    step = advance(step.walk, ALL[3:5], BEGUN, BEGUN)
    assert (step.complete, step.since, step.until) == ([], "a", "a")
    step = advance(step.walk, ALL[5:6], BEGUN, BEGUN)
    assert [one.name for one in step.complete] == ["a"]
    assert step.walk.project is None


def test_a_project_has_the_times_of_its_own_first_and_last_queue() -> None:
    _, projects, _ = walked([ALL[:1], ALL[1:3], ALL[3:]])
    assert [(one.begun - BEGUN, one.ended - BEGUN) for one in projects] == [(0, 2), (1, 3), (2, 3)]


def test_no_queue_at_all() -> None:
    partitions, projects, ranges = walked([[]])
    assert [(one.name, one.queues) for one in partitions] == [("p1", 0), ("p2", 0), ("p3", 0), ("p4", 0)]
    assert (projects, ranges) == ([], [("", None)])


def test_a_partition_that_is_gone_is_not_shown() -> None:
    _, partitions = finish(advance(Walk(begun=BEGUN), ALL, BEGUN, BEGUN), ["p2"], 200.0)
    assert [one.name for one in partitions] == ["p2"]
