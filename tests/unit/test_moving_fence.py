"""A worker's lease, and what it may acknowledge, with a clock that the test sets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marconi_proxy.moving.protocol.fence import Fence, Lease, Ticket

# -- the lease ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def lease() -> Lease:
    return Lease(30.0, 5.0)


def test_nobody_writes_before_the_first_renewal_is_confirmed(lease: Lease) -> None:
    renewal = lease.sent(100.0)
    assert (lease.term(100.0), lease.may_write(100.0), lease.left(100.0)) == (0, False, 0.0)
    assert lease.confirmed(renewal, 101.0)
    assert (lease.term(101.0), lease.may_write(101.0), lease.left(101.0)) == (1, True, 24.0)


@pytest.mark.parametrize(("now", "term"), [(101.0, 1), (124.9, 1), (125.0, 0), (1000.0, 0)])
def test_it_counts_from_the_sending_less_the_margin(lease: Lease, now: float, term: int) -> None:
    lease.confirmed(lease.sent(100.0), 101.0)
    assert lease.term(now) == term
    assert lease.may_write(now) == bool(term)


def test_renewed_in_time_it_is_the_same_term(lease: Lease) -> None:
    assert lease.confirmed(lease.sent(0.0), 1.0)
    assert not lease.confirmed(lease.sent(20.0), 24.9)
    assert lease.term(44.9) == 1
    assert lease.term(45.0) == 0


def test_renewed_too_late_it_is_a_new_term(lease: Lease) -> None:
    lease.confirmed(lease.sent(0.0), 1.0)
    assert lease.confirmed(lease.sent(24.0), 25.0)
    assert lease.term(25.0) == 2


def test_an_answer_that_comes_when_it_is_over_begins_nothing(lease: Lease) -> None:
    assert not lease.confirmed(lease.sent(0.0), 25.0)
    assert lease.term(25.0) == 0
    assert lease.confirmed(lease.sent(25.0), 26.0)
    assert lease.term(26.0) == 1


def test_answers_out_of_order_never_shorten_it_and_never_lend_another_s_time(lease: Lease) -> None:
    first, second = lease.sent(0.0), lease.sent(10.0)
    lease.confirmed(first, 11.0)
    assert lease.left(11.0) == 14.0
    lease.confirmed(second, 12.0)
    lease.confirmed(first, 13.0)
    assert lease.left(13.0) == 22.0


def test_a_lease_must_be_longer_than_its_margin() -> None:
    for margin in (-1.0, 30.0, 31.0):
        with pytest.raises(ValueError, match="margin"):
            Lease(30.0, margin)


# -- the fence ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def fence() -> Fence:
    return Fence(60.0)


def test_without_a_change_everything_is_acknowledged_at_once(fence: Fence) -> None:
    fence.begin("a")
    fence.change(5, "b")
    assert fence.acked(7, 0.0) == 7
    assert not fence.waits()


def test_a_change_waits_for_writes_of_its_queue_that_began_before(fence: Fence) -> None:
    one, two = fence.begin("a"), fence.begin("a")
    fence.change(5, "a")
    after = fence.begin("a")
    assert fence.acked(9, 0.0) == 4
    assert fence.waits()
    fence.end(one, 0.0)
    assert fence.acked(9, 0.0) == 4
    fence.end(two, 0.0)
    assert fence.acked(9, 0.0) == 9
    assert not fence.waits()
    fence.end(after, 0.0)
    assert fence.idle(0.0)


def test_the_first_of_several_changes_counts(fence: Fence) -> None:
    a = fence.begin("a")
    b = fence.begin("b")
    fence.change(3, "b")
    fence.change(5, "a")
    fence.change(6, "b")
    assert fence.acked(9, 0.0) == 2
    fence.end(b, 0.0)
    assert fence.acked(9, 0.0) == 4
    fence.end(a, 0.0)
    assert fence.acked(9, 0.0) == 9


def test_a_seal_that_is_over_is_not_waited_for(fence: Fence) -> None:
    hangs = fence.begin("a")
    fence.change(5, "a")
    assert fence.acked(9, 0.0) == 4
    fence.change(6, "a", sealing=False)
    assert fence.acked(9, 0.0) == 9
    assert not fence.waits()
    # The next seal of the same queue has to wait for it again, and for what began meanwhile.
    meanwhile = fence.begin("a")
    fence.change(7, "b")
    fence.change(8, "a")
    assert fence.acked(9, 0.0) == 7
    fence.end(hangs, 0.0)
    assert fence.acked(9, 0.0) == 7
    fence.end(meanwhile, 0.0)
    assert fence.acked(9, 0.0) == 9
    assert fence.idle(0.0)


def test_a_change_that_seals_nothing_is_not_waited_for(fence: Fence) -> None:
    ticket = fence.begin("a")
    fence.change(5, "a", sealing=False)
    assert ticket.overtaken
    assert fence.acked(9, 0.0) == 9
    fence.change(10, "a")
    assert fence.acked(10, 0.0) == 9
    fence.end(ticket, 0.0)
    assert fence.idle(0.0)


def test_a_seal_that_is_changed_and_lasts_is_waited_for_from_its_beginning(fence: Fence) -> None:
    fence.begin("a")
    fence.change(5, "a")
    fence.change(6, "a")
    assert fence.acked(9, 0.0) == 4


def test_nothing_is_acknowledged_that_was_not_taken_in(fence: Fence) -> None:
    fence.begin("a")
    fence.change(5, "a")
    assert fence.acked(3, 0.0) == 3


@pytest.mark.parametrize(("now", "acked"), [(10.0, 4), (69.9, 4), (70.0, 9)])
def test_an_ambiguous_write_counts_for_as_long_as_it_may_still_be_done(fence: Fence, now: float, acked: int) -> None:
    ticket = fence.begin("a")
    fence.change(5, "a")
    fence.end(ticket, 10.0, ambiguous=True)
    assert fence.acked(9, now) == acked
    assert fence.idle(now) == (acked == 9)


def test_an_ambiguous_write_counts_against_changes_that_come_later(fence: Fence) -> None:
    fence.end(fence.begin("a"), 10.0, ambiguous=True)
    fence.change(5, "a")
    assert fence.acked(9, 10.0) == 4
    assert fence.acked(9, 70.0) == 9


def test_after_missed_changes_all_that_is_under_way_must_end(fence: Fence) -> None:
    a, b = fence.begin("a"), fence.begin("b")
    fence.change(3, "b")
    fence.missed(5)
    fence.begin("c")
    fence.end(b, 0.0)
    assert fence.acked(20, 0.0) == 5
    fence.end(a, 0.0)
    assert fence.acked(20, 0.0) == 20


def test_a_queue_without_writes_costs_nothing_to_remember(fence: Fence) -> None:
    for number in range(100):
        fence.end(fence.begin(number), 0.0)
        fence.change(number, number)
    assert repr(fence) == "<Fence 0 queues, 0 overtaken, 0 ambiguous>"


class Slow:
    """The same by its definition: every write with when it began, looked through each time."""

    def __init__(self) -> None:
        self.writes: list[
            list[float]
        ] = []  # key, when the seal in force that came after it began or 0, when it is over
        self.applied = 0

    def acked(self, now: float) -> int:
        pending = [int(since) - 1 for _, since, over in self.writes if since and over > now]
        return min([self.applied, *pending])


ACTS = st.sampled_from(["begin", "end", "late", "seal", "change", "missed", "wait"])


@given(st.lists(st.tuples(ACTS, st.integers(0, 2)), max_size=60))
def test_it_is_what_its_definition_says(acts: list[tuple[str, int]]) -> None:
    fence, slow, now = Fence(3.0), Slow(), 0.0
    under_way: list[tuple[Ticket, list[float]]] = []
    for act, number in acts:
        if act == "begin":
            slow.writes.append([number, 0, float("inf")])
            under_way.append((fence.begin(number), slow.writes[-1]))
        elif act in ("end", "late") and under_way:
            ticket, write = under_way.pop(number % len(under_way))
            write[2] = now + 3.0 if act == "late" else now
            fence.end(ticket, now, ambiguous=act == "late")
        elif act in ("seal", "change"):
            slow.applied += 1
            fence.change(slow.applied, number, sealing=act == "seal")
            for write in slow.writes:
                if write[0] == number:
                    write[1] = (write[1] or slow.applied) if act == "seal" else 0
        elif act == "missed":
            fence.missed(slow.applied)
            for write in slow.writes:
                write[1] = write[1] or slow.applied + 1
            slow.applied += 2
        elif act == "wait":
            now += number
        assert fence.acked(slow.applied, now) == slow.acked(now)
        assert fence.idle(now) == all(over <= now for _, _, over in slow.writes)
