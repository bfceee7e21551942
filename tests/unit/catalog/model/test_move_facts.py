"""The facts of moves: typed here, one JSON object in stores and in the admin API."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from catalog.model import (
    BackendQueue,
    BarrierMembers,
    HeldWrites,
    Move,
    MoveMeasurements,
    MoveProgress,
    Switch,
)

MOVE = Move("m-1", "project", "orders", "p1", "p2")
PROGRESS = MoveProgress(
    touched=(BackendQueue("p2", "orders-2"), BackendQueue("p1", "orders")),
    deleted=(BackendQueue("p1", "orders"),),
    deleting=BackendQueue("p3", "orders-3"),
    doubtful=True,
    switches=(Switch(1.0, "p1", "p2", 20.5), Switch(2.0, "p2", "p1")),
    switched_at=2.0,
    switched_to="p1",
    unacknowledged=(("host.example/1/boot", "7"),),
    failures=3,
    zero_checks=(3.0, 4.0),
    emptied=9,
    dead_letters_from="source",
)
MEASURED = MoveMeasurements(
    waits="",
    left=0,
    looked_at=3.0,
    left_at_switch=5,
    sealed_at=0.5,
    barrier=BarrierMembers(("w1", "w2"), (), ("w3",)),
    holds=(HeldWrites("w1", 2, 1, 30),),
)
# Releases beside this one read and write these names.
STORED: dict[str, Any] = {
    "touched": [["p2", "orders-2"], ["p1", "orders"]],
    "deleted": [["p1", "orders"]],
    "deleting": ["p3", "orders-3"],
    "doubtful": True,
    "switches": [
        {"at": 1.0, "from": "p1", "to": "p2", "pause_ms": 20.5},
        {"at": 2.0, "from": "p2", "to": "p1", "pause_ms": None},
    ],
    "switched_at": 2.0,
    "switched_to": "p1",
    "unacknowledged": ["host.example/1/boot"],
    "unacknowledged_stamps": [["host.example/1/boot", "7"]],
    "failures": 3,
    "zero_checks": [{"at": 3.0}, {"at": 4.0}],
    "emptied": 9,
    "dead_letters_from": "source",
    "waits": "",
    "left": 0,
    "looked_at": 3.0,
    "left_at_switch": 5,
    "sealed_at": 0.5,
    "barrier": {"acknowledged": ["w1", "w2"], "signed_off": [], "expired": ["w3"]},
    "holds": [{"member": "w1", "held": 2, "refused": 1, "longest_ms": 30}],
}


def read(facts: dict[str, Any]) -> Move:
    return Move.from_json({**MOVE.to_json(), "facts": facts})


def test_the_stored_form() -> None:
    move = replace(MOVE, progress=PROGRESS, measured=MEASURED)
    assert move.to_json()["facts"] == STORED
    assert Move.from_json(move.to_json()) == move


def test_a_fact_without_a_value_is_not_stored() -> None:
    assert MOVE.to_json()["facts"] == {}
    assert read({}) == MOVE


def test_a_document_of_schema_version_3_is_read() -> None:
    """It has null and empty facts, members without stamps, and a time of a wall clock that decided then."""
    facts = {
        "in_doubt_until": 0.0,
        "barrier": None,
        "left_at_switch": None,
        "deleted": [],
        "zero_checks": [],
        "waits": "",
        "failures": 0,
        "unacknowledged": ["host/1/boot"],
    }
    move = read(facts)
    assert move.progress == MoveProgress(unacknowledged=(("host/1/boot", ""),))
    assert move.measured == MoveMeasurements(waits="")
    assert move.to_json()["facts"] == {"in_doubt_until": 0.0, "waits": "", "unacknowledged": ["host/1/boot"]}


def test_stamps_by_member_are_read_as_pairs_are() -> None:
    """Earlier documents of schema version 4 have an object, which cannot name a host with a dot."""
    move = read({"unacknowledged": ["host/1/boot"], "unacknowledged_stamps": {"host/1/boot": "7"}})
    assert move.progress.unacknowledged == (("host/1/boot", "7"),)


def test_a_fact_of_a_later_release_is_kept() -> None:
    move = read({"left": 3, "weather": {"of": ["it"]}})
    assert move.other_facts == {"weather": {"of": ["it"]}}
    later = replace(move.unhindered(), version=2)
    assert later.to_json()["facts"] == {"left": 3, "weather": {"of": ["it"]}, "waits": ""}


def test_a_misspelt_fact_is_refused() -> None:
    with pytest.raises(TypeError, match="deletd"):
        replace(PROGRESS, deletd=())  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="lookd_at"):
        replace(MEASURED, lookd_at=1.0)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ({"touched": [["", "orders"]]}, "touched"),
        ({"deleted": [["p1", ""]]}, "deleted"),
        ({"deleting": ["p1", None]}, "deleting"),
        ({"doubtful": "no"}, "doubtful"),
        ({"switches": [{"at": "1", "from": "p1", "to": "p2", "pause_ms": None}]}, "switches"),
        ({"switched_at": "now"}, "switched_at"),
        ({"switched_to": ""}, "switched_to"),
        ({"unacknowledged": [7]}, "unacknowledged"),
        ({"failures": -1}, "failures"),
        ({"zero_checks": [{"at": None}]}, "zero_checks"),
        ({"emptied": "9"}, "emptied"),
        ({"dead_letters_from": ""}, "dead_letters_from"),
        ({"waits": 1}, "waits"),
        ({"left": 1.5}, "left"),
        ({"left_at_switch": True}, "left_at_switch"),
        ({"looked_at": "1"}, "looked_at"),
        ({"sealed_at": float("nan")}, "sealed_at"),
        ({"barrier": {"acknowledged": [1], "signed_off": [], "expired": []}}, "barrier"),
        ({"holds": [{"member": "w1", "held": -1, "refused": 0, "longest_ms": 0}]}, "held"),
    ],
)
def test_a_damaged_fact_is_named(facts: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: "):
        read(facts)


def test_a_deletion_without_an_end_stays_doubtful() -> None:
    one, two = BackendQueue("p1", "a"), BackendQueue("p1", "b")
    begun = MoveProgress(touched=(one, two)).begun_deletion(one)
    assert (begun.deleting, begun.doubtful) == (one, False)
    assert begun.ended_deletion() == MoveProgress(touched=(one, two), deleted=(one,))
    again = begun.begun_deletion(two).ended_deletion()
    assert (again.deleted, again.deleting, again.doubtful) == ((two,), None, True)


def test_a_queue_is_touched_once() -> None:
    one, two = BackendQueue("p1", "a"), BackendQueue("p1", "b")
    assert MoveProgress(touched=(one,)).touching(one, two).touched == (one, two)
