"""The draft of an adoption: for each queue that is on partitions and not in the catalog, an entry with its rule."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from catalog.model import (
    API_VERSIONS,
    BackendQueue,
    Move,
    MoveProgress,
    Partition,
    Placement,
    PlacementState,
    QueueKey,
    Segment,
)
from marconi_proxy.adoption.draft import ProjectSurvey, check_together, contested, drafted
from marconi_proxy.adoption.entries import Candidate, ConflictRule, QueueConflict, Single

PARTITIONS = {n: Partition(n, (f"http://{n}",), api_versions=API_VERSIONS) for n in ("north", "south", "west")}


def placed(queue: str, *partitions: str, **members: Any) -> Placement:
    segments = tuple(Segment(n, name, queue, sealed=n < len(partitions) - 1) for n, name in enumerate(partitions))
    return Placement("p", queue, 1, members.pop("state", PlacementState.OPEN), segments, incarnation="b", **members)


def situation(
    found: Mapping[str, Mapping[str, str | None]], *placements: Placement, moves: tuple[Move, ...] = (), **members: Any
) -> ProjectSurvey:
    by_queue = {placement.queue: placement for placement in placements}
    return replace(ProjectSurvey("p", found, by_queue, moves, PARTITIONS, 3), **members)


def on(*partitions: str, dead_letters: str | None = None) -> dict[str, str | None]:
    return dict.fromkeys(partitions, dead_letters)


def planned(
    where: ProjectSurvey, times: Mapping[tuple[str, str], str] | None = None, rule: ConflictRule = ConflictRule.CHAIN
) -> tuple[dict[str, Single], dict[str, QueueConflict]]:
    """``times``: when the oldest and newest message of a queue on a partition was posted."""
    draft = drafted(where)
    looks = {
        queue: {
            name: Candidate(name, oldest=(times or {}).get((queue, name)), newest=(times or {}).get((queue, name)))
            for name in places
        }
        for queue, places in draft.open_.items()
    }
    conflicts = contested(where, draft, looks, rule)
    return {single.queue: single for single in draft.singles}, {conflict.queue: conflict for conflict in conflicts}


def test_a_queue_in_one_place_is_adopted_there() -> None:
    singles, conflicts = planned(situation({"a": on("north"), "~a": on("south")}))
    assert singles == {"a": Single("p", "a", "north"), "~a": Single("p", "~a", "south")}
    assert conflicts == {}


def test_what_the_catalog_knows_is_left_alone() -> None:
    moving = Move(
        "m", "p", "c", "north", "south", backend_name="c", progress=MoveProgress(touched=(BackendQueue("west", "c"),))
    )
    known = (placed("a", "north"), placed("b", "north", "south"), placed("c", "north"))
    singles, conflicts = planned(
        situation(
            {"a": on("north"), "b": on("north", "south"), "c": on("north", "south", "west")}, *known, moves=(moving,)
        )
    )
    assert (singles, conflicts) == ({}, {})


def test_a_topic_is_not_known_by_a_queue_of_its_name() -> None:
    singles, _ = planned(situation({"~a": on("north")}, placed("a", "north")))
    assert list(singles) == ["~a"]


def test_a_chain_begins_with_the_oldest_messages() -> None:
    times = {("a", "north"): "2026-01-02", ("a", "south"): "2026-01-01"}
    _, conflicts = planned(situation({"a": on("north", "south", "west")}), times)
    conflict = conflicts["a"]
    # One that is empty is drained already.
    assert conflict.partitions == ("west", "south", "north")
    assert (conflict.rule, conflict.keep, conflict.goes_to) == (ConflictRule.CHAIN, "north", "north")
    assert conflict.rules == (ConflictRule.CHAIN, ConflictRule.PREFER, ConflictRule.SKIP)


@pytest.mark.parametrize("rule", list(ConflictRule))
def test_conflicts_get_the_rule_that_was_asked_for(rule: ConflictRule) -> None:
    _, conflicts = planned(situation({"a": on("north", "south")}), rule=rule)
    assert conflicts["a"].rule is rule


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"longest": 2}, "at most 2 segments"),
        (
            {"partitions": {**PARTITIONS, "west": replace(PARTITIONS["west"], api_versions=("v2",))}},
            "different versions",
        ),
    ],
)
def test_what_cannot_be_a_chain_is_skipped_and_says_why(members: dict[str, Any], why: str) -> None:
    _, conflicts = planned(situation({"a": on("north", "south", "west")}, **members))
    assert (conflicts["a"].rule, conflicts["a"].rules) == (ConflictRule.SKIP, (ConflictRule.PREFER, ConflictRule.SKIP))
    assert any(why in note for note in conflicts["a"].notes)


def test_subscriptions_that_would_see_no_new_messages_are_told() -> None:
    where = situation({"a": on("north", "south")})
    draft = drafted(where)
    looks = {"a": {"north": Candidate("north", subscriptions=2), "south": Candidate("south", subscriptions=1)}}
    (conflict,) = contested(where, draft, looks, ConflictRule.CHAIN)
    assert conflict.notes == ("Subscriptions stay where they are and see no new messages: 2 on north.",)


# -- what the catalog has elsewhere ------------------------------------------------------------------------------------


def test_what_was_just_placed_elsewhere_is_read_last() -> None:
    times = {("a", "north"): "2026-01-01", ("a", "south"): "2025-01-01"}
    _, conflicts = planned(situation({"a": on("north")}, placed("a", "south")), times)
    conflict = conflicts["a"]
    assert (conflict.partitions, conflict.placed) == (("north", "south"), "south")
    # To prefer what the catalog has is to do nothing.
    assert (conflict.rule, conflict.rules) == (ConflictRule.CHAIN, (ConflictRule.CHAIN, ConflictRule.SKIP))


MOVING = Move("m", "p", "a", "south", "west")


@pytest.mark.parametrize(
    ("placement", "moves", "why"),
    [
        (placed("a", "west", "south", move="m"), (), "moved"),
        (placed("a", "south", move="m"), (), "moved"),
        (placed("a", "south"), (MOVING,), "moved"),
        (replace(placed("a", "south"), segments=(Segment(1, "south", "a"),)), (), "moved before"),
        (placed("a", "south", state=PlacementState.CREATING), (), "creating"),
        (placed("a", "south", state=PlacementState.DELETING), (), "deleting"),
        (placed("a", "south", state=PlacementState.RESERVED, group="s"), (), "reserved"),
    ],
)
def test_nothing_is_put_before_what_has_a_history(placement: Placement, moves: tuple[Move, ...], why: str) -> None:
    _, conflicts = planned(situation({"a": on("north")}, placement, moves=moves))
    assert (conflicts["a"].rule, conflicts["a"].rules) == (ConflictRule.SKIP, (ConflictRule.SKIP,))
    assert any(why in note for note in conflicts["a"].notes)


def test_a_place_that_was_reserved_where_the_queue_is_becomes_its_place() -> None:
    singles, conflicts = planned(
        situation({"a": on("north")}, placed("a", "north", state=PlacementState.RESERVED, group="s"))
    )
    assert (singles, conflicts) == ({"a": Single("p", "a", "north")}, {})


# -- dead letters ------------------------------------------------------------------------------------------------------


def test_a_dead_letter_queue_is_bound_to_a_source_in_its_place() -> None:
    found = {"b": on("north", dead_letters="d"), "a": on("north", dead_letters="d"), "d": on("north")}
    singles, _ = planned(situation(found))
    assert singles == {
        "a": Single("p", "a", "north"),
        "b": Single("p", "b", "north"),
        "d": Single("p", "d", "north", group="a"),
    }


def test_the_place_of_one_that_does_not_exist_is_kept() -> None:
    singles, _ = planned(situation({"a": on("north", dead_letters="d")}))
    assert singles == {"a": Single("p", "a", "north", dead_letters="d")}


def test_one_that_has_its_place_already_is_bound() -> None:
    singles, conflicts = planned(situation({"a": on("north", dead_letters="d")}, placed("d", "north")))
    assert (singles, conflicts) == ({"a": Single("p", "a", "north", dead_letters="d")}, {})


def test_a_group_in_several_places_has_its_writes_in_one() -> None:
    times = {("a", "north"): "2026-01-09", ("d", "south"): "2026-01-01", ("d", "north"): "2025-01-01"}
    found = {"a": on("north", "south", dead_letters="d"), "d": on("north", "south")}
    singles, conflicts = planned(situation(found), times)
    assert singles == {}
    # To where the newest message of the group is.
    assert {queue: conflict.goes_to for queue, conflict in conflicts.items()} == {"a": "north", "d": "north"}
    assert conflicts["d"].partitions == ("south", "north")
    assert conflicts["d"].found[-1].group == "a"
    assert {(conflict.together, conflict.home) for conflict in conflicts.values()} == {("a", None)}


def test_one_with_a_single_place_decides_for_its_group() -> None:
    times = {("d", "south"): "2026-01-09", ("d", "north"): "2026-01-01"}
    found = {"a": on("north", dead_letters="d"), "d": on("north", "south")}
    singles, conflicts = planned(situation(found), times)
    assert singles == {"a": Single("p", "a", "north")}
    assert conflicts["d"].partitions == ("south", "north")
    assert (conflicts["d"].together, conflicts["d"].home) == ("a", "north")
    parted = check_together({QueueKey("p", "d"): replace(conflicts["d"], rule=ConflictRule.PREFER, keep="south")})
    assert parted is not None
    assert "it would go to south and the others of the group of a" in parted[1]


@pytest.mark.parametrize(
    ("found", "placements"),
    [
        ({"a": on("north", dead_letters="d"), "d": on("south")}, ()),
        ({"a": on("north", dead_letters="d")}, (placed("d", "south"),)),
        ({"a": on("north", dead_letters="d"), "b": on("south", dead_letters="d"), "d": on("north", "south")}, ()),
    ],
)
def test_a_group_that_is_apart_is_told(found: Any, placements: tuple[Placement, ...]) -> None:
    singles, conflicts = planned(situation(found, *placements))
    assert singles == {}
    assert conflicts.keys() == found.keys()
    for conflict in conflicts.values():
        assert any("they are apart" in note for note in conflict.notes)
        # A queue in one place only has nothing to lose.
        assert conflict.rule is (ConflictRule.PREFER if len(conflict.found) == 1 else ConflictRule.SKIP)
        assert ConflictRule.CHAIN not in conflict.rules
    assert check_together({conflict.key: conflict for conflict in conflicts.values()}) is None


@pytest.mark.parametrize("dead", [on("south"), on("north", "south")])
def test_a_line_does_not_grow_with_its_group(dead: Any) -> None:
    sources = {f"q{n:05}": on("north", "south", dead_letters="d") for n in range(2000)}
    _, conflicts = planned(situation(sources | {"d": dead, "alone": on("north", dead_letters="d")}))
    assert len(conflicts) >= 2000
    assert max(len(json.dumps(conflict.to_json())) for conflict in conflicts.values()) < 2000


def test_rules_that_part_a_group_are_found() -> None:
    found = {"a": on("north", "south", dead_letters="d"), "d": on("north", "south")}
    _, conflicts = planned(situation(found))
    by_key = {conflict.key: conflict for conflict in conflicts.values()}
    assert check_together(by_key) is None
    away = next(name for name in ("north", "south") if name != conflicts["d"].goes_to)
    by_key[QueueKey("p", "a")] = replace(conflicts["a"], rule=ConflictRule.PREFER, keep=away)
    parted = check_together(by_key)
    assert parted is not None
    assert "give them rules that keep them on one" in parted[1]
    by_key[QueueKey("p", "d")] = replace(conflicts["d"], rule=ConflictRule.SKIP)
    assert check_together(by_key) is None
