"""The barrier before a switch: the members that it waits for, and the conditions on which each passes."""

from __future__ import annotations

import pytest

from catalog.model import Member, Seal
from marconi_proxy.fencing.barrier import CHAINS, Barrier, Incapable, MemberSighting, Passed, Verdict, Waiting
from marconi_proxy.fencing.barrier import incapable as incapable_of

SEAL = Seal("project", "q", "b" * 16, 10)
OTHERS = (
    SEAL._replace(epoch=8),
    SEAL._replace(epoch=12),
    SEAL._replace(incarnation="c" * 16),
    SEAL._replace(queue="another"),
    SEAL._replace(project=""),
)


def sighting(
    name: str, *acks: Seal, silence: float = 1.0, expired: bool = False, able: bool = True, lease: float = 30.0
) -> MemberSighting:
    capabilities = (CHAINS,) if able else ("chains-1",)
    member = Member(name, applied=99, acks=frozenset(acks), capabilities=capabilities, lease=lease)
    return MemberSighting(member, silence, expired=expired)


def after_seal(*members: MemberSighting) -> Barrier:
    return Barrier.after_seal(SEAL, members, CHAINS)


@pytest.mark.parametrize(
    ("member", "verdict"),
    [
        (sighting("w"), Waiting(("w",))),
        (sighting("w", SEAL), Passed(("w",), (), ())),
        (sighting("w", SEAL, *OTHERS), Passed(("w",), (), ())),
        # Its preparation is the change right before it.
        (sighting("w", SEAL._replace(epoch=9)), Passed(("w",), (), ())),
        # Only the expiry that was decided by a compare-and-set counts, never how long the silence is.
        (sighting("w", silence=30.1), Waiting(("w",))),
        (sighting("w", silence=30.1, expired=True), Passed((), (), ("w",))),
        (sighting("w", silence=500.0, lease=0.0), Waiting(("w",))),
        # Of the release before, which acknowledged positions.
        (sighting("w", able=False), Incapable(("w",))),
        (sighting("w", silence=30.1, able=False, expired=True), Passed((), (), ("w",))),
    ],
)
def test_one_member(member: MemberSighting, verdict: Verdict) -> None:
    assert after_seal(member).verdict == verdict


@pytest.mark.parametrize("other", OTHERS)
def test_no_other_seal_is_as_good(other: Seal) -> None:
    """Not one of another queue, nor an earlier or later one of this queue, nor of another life of it."""
    assert after_seal(sighting("w", other)).verdict == Waiting(("w",))


def test_each_queue_has_a_barrier_of_its_own() -> None:
    """One reading serves them all, and a write that hangs holds up its own queue and no other."""
    another = SEAL._replace(queue="another")
    members = [sighting("a", SEAL), sighting("b", SEAL, another)]
    assert Barrier.after_seal(SEAL, members, CHAINS).verdict == Passed(("a", "b"), (), ())
    assert Barrier.after_seal(another, members, CHAINS).verdict == Waiting(("a",))


def test_nobody_to_wait_for() -> None:
    assert after_seal().verdict == Passed((), (), ())


def test_each_passes_in_its_own_way() -> None:
    barrier = after_seal(sighting("d"), sighting("c"), sighting("b"), sighting("a"))
    assert barrier.verdict == Waiting(("a", "b", "c", "d"))
    barrier = barrier.seen([sighting("a", SEAL), sighting("b"), sighting("c"), sighting("d")])
    assert barrier.verdict == Waiting(("b", "c", "d"))
    barrier = barrier.seen([sighting("b", expired=True), sighting("d")])
    assert barrier.verdict == Waiting(("d",))
    assert barrier.seen([sighting("d", SEAL)]).verdict == Passed(("a", "d"), ("c",), ("b",))


def test_a_member_that_registers_later_is_not_waited_for() -> None:
    barrier = after_seal(sighting("a", SEAL))
    assert barrier.seen([sighting("b")]).verdict == Passed(("a",), (), ())


def test_a_member_that_passed_has_passed() -> None:
    barrier = after_seal(sighting("a", expired=True), sighting("b", SEAL), sighting("c"))
    again = barrier.seen([sighting("a"), sighting("b"), sighting("c")])
    assert again.verdict == Waiting(("c",))


def test_an_incapable_one_may_go() -> None:
    barrier = after_seal(sighting("a", able=False))
    assert barrier.verdict == Incapable(("a",))
    assert barrier.seen([]).verdict == Passed((), ("a",), ())


def test_before_arming_members_are_asked_for_what_they_can() -> None:
    members = [sighting("a").member, sighting("b", able=False).member]
    assert incapable_of(members, CHAINS) == ("b",)
    assert incapable_of([Member("old")], CHAINS) == ("old",)
