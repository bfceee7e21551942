"""The certificate of a finished move: sums of the figures in its record."""

from __future__ import annotations

from catalog.model import HeldWrites, Move, MoveMeasurements, MoveProgress, Switch
from marconi_proxy.moving.execution.certificate import certificate


def test_a_certificate_sums_what_members_told() -> None:
    measured = MoveMeasurements(left_at_switch=7, holds=(HeldWrites("w1", 3, 0, 12), HeldWrites("w2", 1, 2)))
    switches = (Switch(45.0, "p1", "p2", 20.0), Switch(50.0, "p2", "p1"))
    move = Move(
        *("m", "p", "q", "p1", "p2"),
        attempt=2,
        created=40.0,
        pause_ms=38.5,
        progress=MoveProgress(switches=switches, switched_at=50.0),
        measured=measured,
    )
    proof = certificate(move, 99.0)
    assert proof["writes"] == {"held": 4, "refused": 2, "longest_ms": 12}
    assert (proof["from"], proof["to"]) == ("p2", "p1")
    assert proof["switches"] == [switch.to_json() for switch in switches]
    assert (proof["pause_ms"], proof["seals_tried"], proof["left_at_switch"]) == (38.5, 2, 7)
    assert (proof["ordered_at"], proof["switched_at"], proof["done_at"]) == (40.0, 50.0, 99.0)
