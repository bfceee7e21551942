"""Statistics and the walk: what they can be, and that JSON has all of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from catalog.model import Holder, QueueKey, StatisticsSubject, SubjectStatistics, Walk

PARTITION, PROJECT = StatisticsSubject
P1 = SubjectStatistics(PARTITION, "p1", 5, 7, 2, 1.5, 1, 1.0, 2.0)
TENANT = SubjectStatistics(PROJECT, "", 1, 0, 0, None, 0, 1.0, 2.0)


@pytest.mark.parametrize("one", [P1, TENANT, SubjectStatistics(PROJECT, "a/b \xe9")])
def test_statistics_survive_json(one: SubjectStatistics) -> None:
    assert SubjectStatistics.from_json(json.loads(json.dumps(one.to_json()))) == one


@pytest.mark.parametrize(
    ("members", "at_fault"),
    [
        ({"name": "p 1"}, "name"),
        ({"name": ""}, "name"),
        ({"subject": PROJECT, "name": "a\0b"}, "name"),
        ({"queues": -1}, "queues"),
        ({"free": 1.5}, "free"),
        ({"claimed": True}, "claimed"),
        ({"queues": 1, "unknown": 2}, "unknown"),
        ({"oldest": "1"}, "oldest"),
        ({"begun": None}, "begun"),
        ({"ended": float("nan")}, "ended"),
    ],
)
def test_what_statistics_cannot_be(members: dict[str, Any], at_fault: str) -> None:
    with pytest.raises(ValueError, match=f"^{at_fault}: "):
        SubjectStatistics(**{"subject": PARTITION, "name": "p1"} | members)


@pytest.mark.parametrize(
    "walk",
    [
        Walk(),
        Walk(begun=1.0, after=QueueKey("", "~topic"), partitions=(P1,), project=TENANT),
        Walk(begun=1.0, ended=2.0, holder=Holder("host/1/boot", 3, 4.0)),
    ],
)
def test_a_walk_survives_json(walk: Walk) -> None:
    read = Walk.from_json(json.loads(json.dumps(walk.to_json())))
    assert read == walk
    assert read.holder == walk.holder


def test_who_walks_is_no_part_of_how_far_it_is() -> None:
    assert Walk(begun=1.0, holder=Holder("host/1/boot", 3, 4.0)) == Walk(begun=1.0)


@pytest.mark.parametrize(
    ("walk", "under_way"), [(Walk(), False), (Walk(begun=1.0), True), (Walk(begun=1.0, ended=2.0), False)]
)
def test_a_walk_is_under_way_until_it_has_ended(walk: Walk, under_way: bool) -> None:
    assert walk.under_way is under_way


@pytest.mark.parametrize(
    ("members", "at_fault"),
    [
        ({"begun": "1"}, "begun"),
        ({"ended": float("inf")}, "ended"),
        ({"after": QueueKey("a\0", "q")}, "after"),
        ({"partitions": (TENANT,)}, "partitions"),
        ({"project": P1}, "project"),
    ],
)
def test_what_a_walk_cannot_be(members: dict[str, Any], at_fault: str) -> None:
    with pytest.raises(ValueError, match=f"^{at_fault}: "):
        Walk(**members)
