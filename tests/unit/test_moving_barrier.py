"""Who is waited for before a switch, and what lets each member pass."""

from __future__ import annotations

import pytest

from catalog.model import Member, MemberSighting
from marconi_proxy.moving.protocol.barrier import Barrier, Incapable, Passed, Verdict, Waiting, incapable

SEAL = 10


def sighting(name: str, acked: int = 0, age: float = 1.0, lease: float = 30.0, able: bool = True) -> MemberSighting:
    capabilities = ("chains-1",) if able else ()
    return MemberSighting(Member(name, applied=acked, acked=acked, capabilities=capabilities, lease=lease), age)


def after_seal(*members: MemberSighting) -> Barrier:
    return Barrier.after_seal(SEAL, members, "chains-1")


@pytest.mark.parametrize(
    ("member", "verdict"),
    [
        (sighting("w", acked=9), Waiting(("w",))),
        (sighting("w", acked=10), Passed(("w",), (), ())),
        (sighting("w", acked=11), Passed(("w",), (), ())),
        (sighting("w", age=30.0), Waiting(("w",))),
        (sighting("w", age=30.1), Passed((), (), ("w",))),
        # Of a release without leases: it never stops by itself.
        (sighting("w", age=500.0, lease=0.0, able=False), Incapable(("w",))),
        (sighting("w", age=500.0, lease=0.0), Waiting(("w",))),
        (sighting("w", able=False), Incapable(("w",))),
        (sighting("w", age=30.1, able=False), Passed((), (), ("w",))),
    ],
)
def test_one_member(member: MemberSighting, verdict: Verdict) -> None:
    assert after_seal(member).verdict == verdict


def test_nobody_to_wait_for() -> None:
    assert after_seal().verdict == Passed((), (), ())


def test_each_passes_in_its_own_way() -> None:
    barrier = after_seal(sighting("d"), sighting("c"), sighting("b"), sighting("a"))
    assert barrier.verdict == Waiting(("a", "b", "c", "d"))
    barrier = barrier.seen([sighting("a", acked=10), sighting("b"), sighting("c"), sighting("d")])
    assert barrier.verdict == Waiting(("b", "c", "d"))
    barrier = barrier.seen([sighting("b", age=31.0), sighting("d")])
    assert barrier.verdict == Waiting(("d",))
    assert barrier.seen([sighting("d", acked=12)]).verdict == Passed(("a", "d"), ("c",), ("b",))


def test_who_registers_later_is_not_waited_for() -> None:
    barrier = after_seal(sighting("a", acked=10))
    assert barrier.seen([sighting("b")]).verdict == Passed(("a",), (), ())


def test_who_passed_has_passed() -> None:
    barrier = after_seal(sighting("a", age=31.0), sighting("b", acked=10), sighting("c"))
    again = barrier.seen([sighting("a"), sighting("b", acked=3), sighting("c")])
    assert again.verdict == Waiting(("c",))


def test_an_incapable_one_may_go() -> None:
    barrier = after_seal(sighting("a", able=False))
    assert barrier.verdict == Incapable(("a",))
    assert barrier.seen([]).verdict == Passed((), ("a",), ())


def test_before_arming_live_members_are_asked_for_what_they_can() -> None:
    members = [sighting("a"), sighting("b", able=False), sighting("c", able=False, age=31.0)]
    assert incapable(members, "chains-1") == ("b",)
    assert incapable([sighting("old", age=500.0, lease=0.0, able=False)], "chains-1") == ("old",)
