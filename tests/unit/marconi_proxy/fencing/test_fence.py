"""A worker's lease, and what it may acknowledge, with a clock that the test sets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marconi_proxy.fencing.fence import Fence, Ticket, WriteLease

# -- the lease ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def lease() -> WriteLease:
    return WriteLease(30.0, 5.0)


def test_nobody_writes_before_the_first_renewal_is_confirmed(lease: WriteLease) -> None:
    renewal = lease.sent(100.0)
    assert (lease.term(100.0), lease.may_write(100.0), lease.left(100.0)) == (0, False, 0.0)
    assert lease.confirmed(renewal, 101.0)
    assert (lease.term(101.0), lease.may_write(101.0), lease.left(101.0)) == (1, True, 24.0)


@pytest.mark.parametrize(("now", "term"), [(101.0, 1), (124.9, 1), (125.0, 0), (1000.0, 0)])
def test_it_counts_from_the_sending_less_the_margin(lease: WriteLease, now: float, term: int) -> None:
    lease.confirmed(lease.sent(100.0), 101.0)
    assert lease.term(now) == term
    assert lease.may_write(now) == bool(term)


def test_renewed_in_time_it_is_the_same_term(lease: WriteLease) -> None:
    assert lease.confirmed(lease.sent(0.0), 1.0)
    assert not lease.confirmed(lease.sent(20.0), 24.9)
    assert lease.term(44.9) == 1
    assert lease.term(45.0) == 0


def test_renewed_too_late_it_is_a_new_term(lease: WriteLease) -> None:
    lease.confirmed(lease.sent(0.0), 1.0)
    assert lease.confirmed(lease.sent(24.0), 25.0)
    assert lease.term(25.0) == 2


def test_an_answer_that_comes_when_it_is_over_begins_nothing(lease: WriteLease) -> None:
    assert not lease.confirmed(lease.sent(0.0), 25.0)
    assert lease.term(25.0) == 0
    assert lease.confirmed(lease.sent(25.0), 26.0)
    assert lease.term(26.0) == 1


def test_answers_out_of_order_never_shorten_it_and_never_lend_another_s_time(lease: WriteLease) -> None:
    first, second = lease.sent(0.0), lease.sent(10.0)
    lease.confirmed(first, 11.0)
    assert lease.left(11.0) == 14.0
    lease.confirmed(second, 12.0)
    lease.confirmed(first, 13.0)
    assert lease.left(13.0) == 22.0


def test_a_lease_that_is_revoked_is_over_and_the_next_renewal_begins_a_new_term(lease: WriteLease) -> None:
    lease.confirmed(lease.sent(0.0), 1.0)
    renewal = lease.sent(2.0)
    lease.revoke()
    assert (lease.term(2.0), lease.may_write(2.0), lease.left(2.0)) == (0, False, 0.0)
    assert lease.confirmed(renewal, 3.0)
    assert lease.term(3.0) == 2


def test_a_lease_that_is_closed_never_begins_again(lease: WriteLease) -> None:
    lease.confirmed(lease.sent(0.0), 1.0)
    renewal = lease.sent(2.0)
    lease.close()
    assert not lease.confirmed(renewal, 3.0)
    assert not lease.confirmed(lease.sent(4.0), 5.0)
    assert (lease.term(5.0), lease.may_write(5.0), lease.left(5.0)) == (0, False, 0.0)


def test_a_lease_must_be_longer_than_its_margin() -> None:
    for margin in (-1.0, 30.0, 31.0):
        with pytest.raises(ValueError, match="margin"):
            WriteLease(30.0, margin)


# -- the fence ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def fence() -> Fence:
    return Fence(60.0)


def test_a_seal_of_a_queue_without_writes_is_acknowledged_at_once(fence: Fence) -> None:
    fence.begin("a")
    assert fence.acks(0.0) == frozenset()
    fence.change("b", "b1")
    assert fence.acks(0.0) == {"b1"}


def test_a_seal_waits_for_writes_of_its_queue_that_began_before(fence: Fence) -> None:
    one, two = fence.begin("a"), fence.begin("a")
    fence.change("a", "a1")
    after = fence.begin("a")
    assert (one.overtaken, after.overtaken) == (True, False)
    assert fence.acks(0.0) == frozenset()
    fence.end(one, 0.0)
    assert fence.acks(0.0) == frozenset()
    fence.end(two, 0.0)
    assert fence.acks(0.0) == {"a1"}
    fence.end(after, 0.0)
    assert fence.acks(0.0) == {"a1"}
    assert fence.idle(0.0)


def test_a_write_that_hangs_holds_up_its_own_queue_only(fence: Fence) -> None:
    hangs = fence.begin("a")
    for queue in "abc":
        fence.change(queue, f"{queue}1")
    assert fence.acks(0.0) == {"b1", "c1"}
    fence.change("d", "d1")
    assert fence.acks(0.0) == {"b1", "c1", "d1"}
    fence.end(hangs, 0.0)
    assert fence.acks(0.0) == {"a1", "b1", "c1", "d1"}


def test_a_seal_that_is_over_is_not_acknowledged(fence: Fence) -> None:
    hangs = fence.begin("a")
    fence.change("a", "a1")
    fence.change("b", "b1")
    fence.change("b", None)
    fence.change("a", None)
    assert fence.acks(0.0) == frozenset()
    # The next seal of the same queue has to wait for it again, and for what began meanwhile.
    meanwhile = fence.begin("a")
    fence.change("b", "b2")
    fence.change("a", "a2")
    assert fence.acks(0.0) == {"b2"}
    fence.end(hangs, 0.0)
    assert fence.acks(0.0) == {"b2"}
    fence.end(meanwhile, 0.0)
    assert fence.acks(0.0) == {"a2", "b2"}
    assert fence.idle(0.0)


def test_of_several_seals_of_a_queue_the_last_counts(fence: Fence) -> None:
    ticket = fence.begin("a")
    fence.change("a", "a1")
    fence.change("a", "a2")
    assert fence.acks(0.0) == frozenset()
    fence.end(ticket, 0.0)
    assert fence.acks(0.0) == {"a2"}


def test_a_change_that_seals_nothing_overtakes_all_the_same(fence: Fence) -> None:
    ticket = fence.begin("a")
    fence.change("a", None)
    assert ticket.overtaken
    assert fence.acks(0.0) == frozenset()
    fence.change("a", "a1")
    assert fence.acks(0.0) == frozenset()
    fence.end(ticket, 0.0)
    assert fence.acks(0.0) == {"a1"}
    assert fence.idle(0.0)


@pytest.mark.parametrize(("now", "acks"), [(10.0, set()), (69.9, set()), (70.0, {"a1"})])
def test_an_ambiguous_write_counts_for_as_long_as_it_may_still_be_done(
    fence: Fence, now: float, acks: set[str]
) -> None:
    ticket = fence.begin("a")
    fence.change("a", "a1")
    fence.end(ticket, 10.0, ambiguous=True)
    assert fence.acks(now) == acks
    assert fence.idle(now) == bool(acks)


def test_an_ambiguous_write_counts_against_seals_that_come_later(fence: Fence) -> None:
    fence.end(fence.begin("a"), 10.0, ambiguous=True)
    fence.change("a", "a1")
    assert fence.acks(10.0) == frozenset()
    assert fence.acks(70.0) == {"a1"}


def test_after_missed_changes_a_seal_is_acknowledged_when_it_is_taken_in_again(fence: Fence) -> None:
    """And only then does it wait for what is under way: each queue may have been sealed unseen meanwhile."""
    a, b = fence.begin("a"), fence.begin("b")
    fence.change("b", "b1")
    fence.change("c", "c1")
    fence.missed()
    assert fence.acks(0.0) == frozenset()
    assert a.overtaken
    assert b.overtaken
    late = fence.begin("a")
    for queue in "abc":
        fence.change(queue, f"{queue}2")
    assert fence.acks(0.0) == {"c2"}
    fence.end(b, 0.0)
    assert fence.acks(0.0) == {"b2", "c2"}
    fence.end(a, 0.0)
    assert fence.acks(0.0) == {"b2", "c2"}
    fence.end(late, 0.0)
    assert fence.acks(0.0) == {"a2", "b2", "c2"}


def test_a_queue_without_writes_costs_nothing_to_remember(fence: Fence) -> None:
    for number in range(100):
        fence.end(fence.begin(number), 0.0)
        fence.change(number, f"seal {number}")
        fence.change(number, None)
    assert repr(fence) == "<Fence 0 queues, 0 overtaken, 0 seals, 0 ambiguous>"


class Slow:
    """The same by its definition: every write with its queue, whether a change came after it, and when it is over;
    every queue's seal in force. All are looked through each time."""

    def __init__(self) -> None:
        self.writes: list[list[float]] = []
        self.seals: dict[int, int] = {}

    def change(self, queue: int, seal: int | None) -> None:
        for write in self.writes:
            if write[0] == queue:
                write[1] = True
        self.seals.pop(queue, None)
        if seal is not None:
            self.seals[queue] = seal

    def acks(self, now: float) -> set[int]:
        waits = {queue for queue, overtaken, over in self.writes if overtaken and over > now}
        return {seal for queue, seal in self.seals.items() if queue not in waits}


ACTS = st.sampled_from(["begin", "end", "late", "seal", "change", "missed", "wait"])


@given(st.lists(st.tuples(ACTS, st.integers(0, 2)), max_size=60))
def test_it_is_what_its_definition_says(acts: list[tuple[str, int]]) -> None:
    fence, slow, now = Fence(3.0), Slow(), 0.0
    under_way: list[tuple[Ticket, list[float]]] = []
    for at, (act, number) in enumerate(acts):
        if act == "begin":
            slow.writes.append([number, False, float("inf")])
            under_way.append((fence.begin(number), slow.writes[-1]))
        elif act in ("end", "late") and under_way:
            ticket, write = under_way.pop(number % len(under_way))
            write[2] = now + 3.0 if act == "late" else now
            fence.end(ticket, now, ambiguous=act == "late")
        elif act in ("seal", "change"):
            seal = at if act == "seal" else None
            fence.change(number, seal)
            slow.change(number, seal)
        elif act == "missed":
            fence.missed()
            for queue in range(3):
                slow.change(queue, None)
        elif act == "wait":
            now += number
        assert fence.acks(now) == slow.acks(now)
        assert fence.idle(now) == all(over <= now for _, _, over in slow.writes)
