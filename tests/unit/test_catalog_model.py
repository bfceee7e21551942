"""The catalog's values: what they accept, what they refuse, and that JSON keeps them whole."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import Conflict, PartitionConflict, PartitionInUse
from catalog.model import (
    API_VERSIONS,
    LISTED_STATES,
    MAX_WEIGHT,
    TOPIC_PREFIX,
    Member,
    Partition,
    PartitionState,
    Placement,
    PlacementState,
    QueueKey,
    Segment,
    Tenant,
    check_host,
)
from catalog.mongodb.documents import id_range, placement_id, placement_key

SEGMENT = Segment(0, "p1", "orders")
PLACEMENT = Placement("project", "orders", 1, PlacementState.OPEN, (SEGMENT,))
PARTITION = Partition("p1", ("http://10.0.0.1:8888",))

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
names = texts.filter(bool)
segments = st.builds(Segment, st.integers(0, 2**31), names, names, st.booleans())
placements = st.builds(
    Placement,
    texts,
    names,
    st.integers(1, 2**62),
    st.sampled_from(PlacementState),
    st.lists(segments, min_size=1, max_size=4).map(tuple),
    base=st.integers(0, 2**31),
    since=st.floats(allow_nan=False, allow_infinity=False),
    group=st.none() | names,
)
keys = st.builds(QueueKey, texts, names)


@given(placements)
def test_placements_survive_json(placement: Placement) -> None:
    assert Placement.from_json(json.loads(json.dumps(placement.to_json()))) == placement


@pytest.mark.parametrize(
    "value",
    [
        PARTITION,
        Partition("p", ("https://h",), 0, "eu", ("b", "a"), PartitionState.DRAINED, ("v2", "v1"), True, 9),
        Tenant(""),
        Tenant("project", 1000, "p1"),
        Member("host/1/boot", 2**62, True),
    ],
)
def test_values_survive_json(value: Any) -> None:
    again = type(value).from_json(json.loads(json.dumps(value.to_json())))
    assert again == value
    assert again.to_json() == value.to_json()


def test_no_project_is_null_in_json_and_collides_with_nothing() -> None:
    placement = replace(PLACEMENT, project="")
    assert placement.to_json()["project"] is None
    assert Placement.from_json(placement.to_json()).key == QueueKey("", "orders")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"queue": ""}, "queue"),
        ({"queue": "a\0b"}, "queue"),
        ({"queue": 7}, "queue"),
        ({"project": "a\0b"}, "project"),
        ({"project": "\udcff"}, "project"),
        ({"project": None}, "project"),
        ({"epoch": 0}, "epoch"),
        ({"epoch": True}, "epoch"),
        ({"epoch": "2"}, "epoch"),
        ({"segments": ()}, "segments"),
        ({"base": None}, "base"),
        ({"since": float("nan")}, "since"),
        ({"since": "now"}, "since"),
        ({"group": "a\0b"}, "group"),
    ],
)
def test_placements_refuse(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        replace(PLACEMENT, **changes)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"n": -1}, "n"),
        ({"n": True}, "n"),
        ({"partition": ""}, "partition"),
        ({"physical": None}, "physical"),
        ({"sealed": 1}, "sealed"),
    ],
)
def test_segments_refuse(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        replace(SEGMENT, **changes)


def test_writes_go_to_the_last_segment() -> None:
    chain = (Segment(0, "p1", "orders", sealed=True), Segment(1, "p2", "orders"))
    assert replace(PLACEMENT, segments=chain).partition == "p2"


def test_listed_are_the_states_in_which_users_can_use_the_queue() -> None:
    assert {PlacementState.OPEN, PlacementState.SEALING} == LISTED_STATES


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://h", "http://h"),
        ("http://H:8888/", "http://h:8888"),
        ("https://10.0.0.1:1", "https://10.0.0.1:1"),
        ("http://[::1]:8888", "http://[::1]:8888"),
    ],
)
def test_hosts(url: str, host: str) -> None:
    assert check_host(url) == host


@pytest.mark.parametrize(
    "url",
    [
        *("", "h", "h:8888", "ftp://h", "http://", "http:///x", "http://h/v1", "http://h?", "http://h#", "http://[::1"),
        *("http://h:0", "http://h:x", "http://h:65536", "http://h ", "http://h\n", "http://\xe9", 7),
    ],
)
def test_bad_hosts(url: Any) -> None:
    with pytest.raises(ValueError, match=r"^hosts: "):
        check_host(url)


def test_a_host_with_a_password_is_not_quoted() -> None:
    with pytest.raises(ValueError, match="user or password") as refused:
        check_host("http://user:hunter2@h")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "-p"}, "name"),
        ({"name": "p/1"}, "name"),
        ({"name": "p" * 65}, "name"),
        ({"hosts": ()}, "hosts"),
        ({"hosts": ("http://h", "http://H/")}, "hosts"),
        ({"weight": -1}, "weight"),
        ({"weight": MAX_WEIGHT + 1}, "weight"),
        ({"weight": True}, "weight"),
        ({"weight": 1.5}, "weight"),
        ({"region": ""}, "region"),
        ({"labels": ("",)}, "labels"),
        ({"api_versions": ("v3",)}, "api_versions"),
    ],
)
def test_partitions_refuse(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        replace(PARTITION, **changes)


def test_partitions_are_brought_into_one_form() -> None:
    partition = replace(PARTITION, hosts=("http://B/", "http://a"), labels=("b", "a", "b"), api_versions=("v2", "v1"))
    assert partition.hosts == ("http://b", "http://a")
    assert partition.labels == ("a", "b")
    assert partition.api_versions == ("v1", "v2")
    assert replace(PARTITION, api_versions=API_VERSIONS[::-1]).api_versions == API_VERSIONS


def test_the_version_is_no_part_of_a_partition_s_content() -> None:
    assert replace(PARTITION, version=2) == PARTITION


@pytest.mark.parametrize("spread", [0, 1001, True, "2", 1.0])
def test_tenants_refuse(spread: Any) -> None:
    with pytest.raises(ValueError, match=r"^spread: "):
        Tenant("project", spread=spread)


def test_values_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        PLACEMENT.epoch = 2  # type: ignore[misc]


def test_topics_sort_after_all_queues() -> None:
    legal = "".join(map(chr, range(0x2D, 0x7B)))
    assert all(letter < TOPIC_PREFIX for letter in legal)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Conflict(None), "no such placement any more"),
        (Conflict(PLACEMENT), "the stored placement is .*orders"),
        (PartitionConflict("p1", None), "no partition p1"),
        (PartitionConflict("p1", PARTITION), "p1 was changed"),
        (PartitionInUse("p1", 1), "p1 still has 1 placement$"),
        (PartitionInUse("p1", 2), "p1 still has 2 placements$"),
    ],
)
def test_errors_say_what_happened(error: Exception, words: str) -> None:
    with pytest.raises(type(error), match=words):
        raise error


# -- how MongoDB spells keys ----------------------------------------------------------------------------------------


@given(keys, keys)
def test_ids_sort_as_keys_and_tell_them(one: QueueKey, other: QueueKey) -> None:
    assert (placement_id(one).encode() < placement_id(other).encode()) == (one < other)
    assert placement_key(placement_id(one)) == one


@given(keys, st.none() | texts, st.none() | keys)
def test_ranges_hold_what_is_asked_for(key: QueueKey, project: str | None, after: QueueKey | None) -> None:
    bounds = id_range(project, after)
    held = bounds["$gt"] < placement_id(key) < bounds.get("$lt", "\U0010ffff" * 2)
    assert held == ((project is None or key.project == project) and (after is None or key > after))


def test_an_id_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        placement_key("orders")


@pytest.mark.parametrize("text", ["", "\ud800", "a\0b", "a\nb", "x" * 256, 7], ids=ascii)
def test_texts_are_what_every_store_and_answer_can_hold(text: object) -> None:
    with pytest.raises(ValueError, match="region"):
        Partition("p", ("http://h",), region=text)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="labels"):
        Partition("p", ("http://h",), labels=(text,))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="pinned"):
        Tenant("project", pinned=text)  # type: ignore[arg-type]
