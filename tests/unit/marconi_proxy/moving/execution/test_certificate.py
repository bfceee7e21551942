"""The certificate of a finished move: sums of the figures in its record."""

from __future__ import annotations

from catalog.model import Move
from marconi_proxy.moving.execution.certificate import certificate


def test_a_certificate_sums_what_members_told() -> None:
    holds = [{"member": "w1", "held": 3, "refused": 0, "longest_ms": 12}, {"member": "w2", "held": 1, "refused": 2}]
    switches = [{"at": 45.0, "from": "p1", "to": "p2", "pause_ms": 20.0}, {"at": 50.0, "from": "p2", "to": "p1"}]
    facts = {"holds": holds, "left_at_switch": 7, "switched_at": 50.0, "switches": switches}
    move = Move("m", "p", "q", "p1", "p2", facts=facts, attempt=2, pause_ms=38.5, created=40.0)
    proof = certificate(move, 99.0)
    assert proof["writes"] == {"held": 4, "refused": 2, "longest_ms": 12}
    assert (proof["from"], proof["to"]) == ("p2", "p1")
    assert proof["switches"] == switches
    assert (proof["pause_ms"], proof["seals_tried"], proof["left_at_switch"]) == (38.5, 2, 7)
    assert (proof["ordered_at"], proof["switched_at"], proof["done_at"]) == (40.0, 50.0, 99.0)
