"""A call that writes: by which right, how long it counts, and what its answer is worth."""

from __future__ import annotations

import pytest

from marconi_proxy.front_door.refusals import Refused
from marconi_proxy.front_door.writing import Late, Writing
from marconi_proxy.upstream.connection import Answer
from marconi_proxy.upstream.errors import Unanswered, Withdrawn
from tests.unit.catalog_stage import key

LEASE, AMBIGUITY = 10.0, 60.0
Q = key("q")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def writing(clock: Clock) -> Writing:
    writing = Writing(LEASE, AMBIGUITY, clock)
    renew(writing)
    return writing


def renew(writing: Writing) -> None:
    writing.lease.confirmed(writing.lease.sent(writing.clock()), writing.clock())


def answer(status: int = 201) -> Answer:
    return Answer(status, [], b"", None)


def acknowledged(writing: Writing) -> bool:
    """Whether a seal of the queue that is shown now is acknowledged at once."""
    writing.fence.change(Q, "seal")
    return "seal" in writing.fence.acks(writing.clock())


def test_a_write_counts_until_it_ends(writing: Writing) -> None:
    write = writing.begin(Q, lasting=True)
    write.sending()
    write.answered(201)
    assert not acknowledged(writing)
    write.end()
    assert acknowledged(writing)


def test_without_a_lease_nothing_is_written_or_counted(clock: Clock) -> None:
    writing = Writing(LEASE, AMBIGUITY, clock)
    with pytest.raises(Refused) as caught:
        writing.begin(Q, lasting=True)
    assert (caught.value.status, caught.value.retry_after) == (503, 1)
    assert writing.fence.idle(clock.now)


def test_whether_a_change_came_under_it(writing: Writing) -> None:
    before, other = writing.begin(Q, lasting=True), writing.begin(key("other"), lasting=True)
    writing.fence.change(Q, None)
    after = writing.begin(Q, lasting=True)
    assert (before.overtaken, other.overtaken, after.overtaken) == (True, False, False)


# -- each try ----------------------------------------------------------------------------------------------------------


def test_nothing_is_sent_in_another_term_than_the_queue_was_looked_up_in(writing: Writing, clock: Clock) -> None:
    write = writing.begin(Q, lasting=True)
    clock.now += LEASE
    with pytest.raises(Withdrawn):
        write.sending()
    renew(writing)
    with pytest.raises(Withdrawn):
        write.sending()
    assert write.unanswered == 0
    writing.begin(Q, lasting=True).sending()


def test_a_second_try_asks_again(writing: Writing, clock: Clock) -> None:
    write = writing.begin(Q, lasting=True)
    write.sending()
    clock.now += LEASE
    with pytest.raises(Withdrawn):
        write.sending()
    assert write.unanswered == 1


@pytest.mark.parametrize(
    ("statuses", "ambiguous"),
    [
        ([], False),
        ([201], False),
        ([503], False),
        ([None], True),
        ([None, 201], True),  # the first may be done later, whatever the second was told
        ([201, None], True),
        ([502], True),
        ([504], True),
        ([504, 204], True),
        ([204, 204, 204], False),
    ],
)
def test_a_try_without_an_answer_counts_on(
    writing: Writing, clock: Clock, statuses: list[int | None], ambiguous: bool
) -> None:
    write = writing.begin(Q, lasting=True)
    for status in statuses:
        write.sending()
        if status is not None:
            write.answered(status)
    write.end()
    assert acknowledged(writing) is not ambiguous
    clock.now += AMBIGUITY
    assert writing.fence.acks(clock.now) == {"seal"}


def test_a_consumers_call_does_not_count_on(writing: Writing) -> None:
    """Whatever it still does, it does in the segment where its messages are."""
    write = writing.begin(Q, lasting=False)
    write.sending()
    write.end()
    assert acknowledged(writing)


# -- the answer --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("renewed", [False, True])
def test_an_answer_after_the_term_is_late(writing: Writing, clock: Clock, renewed: bool) -> None:
    write = writing.begin(Q, lasting=True)
    write.sending()
    write.check(answer())
    clock.now += LEASE
    if renewed:
        renew(writing)
    with pytest.raises(Late):
        write.check(answer())
    assert writing.late_writes == 1
    assert issubclass(Late, Unanswered)  # so everybody takes it for a call that may have been done


def test_a_renewal_in_time_makes_no_answer_late(writing: Writing, clock: Clock) -> None:
    write = writing.begin(Q, lasting=True)
    for _ in range(5):
        clock.now += LEASE / 2
        renew(writing)
    write.sending()
    write.check(answer())
    assert writing.late_writes == 0


# -- in one step -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("later", "late"), [(0.0, False), (LEASE, True)])
def test_a_write_without_an_object_of_its_own(writing: Writing, clock: Clock, later: float, late: bool) -> None:
    ticket = writing.fence.begin(Q)
    clock.now += later
    found = writing.ended(ticket, 1, answer(), False)
    assert isinstance(found, Late) is late
    assert writing.late_writes == int(late)
    assert writing.fence.idle(clock.now)


def test_one_that_an_intermediary_lost_sight_of(writing: Writing, clock: Clock) -> None:
    ticket = writing.fence.begin(Q)
    assert writing.ended(ticket, 1, answer(504), True) is None
    assert not writing.fence.idle(clock.now)


def test_one_that_failed_goes_on_within_its_ticket(writing: Writing, clock: Clock) -> None:
    write = writing.failed(writing.fence.begin(Q), 1, lasting=True)
    write.sending()
    write.answered(201)
    write.end()
    assert not writing.fence.idle(clock.now)
    assert writing.fence.idle(clock.now + AMBIGUITY)


# -- who is told -------------------------------------------------------------------------------------------------------


def test_the_end_of_a_write_that_was_overtaken_is_told(writing: Writing) -> None:
    told: list[None] = []
    writing.on_end = lambda: told.append(None)
    writing.begin(Q, lasting=True).end()
    assert told == []
    write, ticket = writing.begin(Q, lasting=True), writing.fence.begin(Q)
    writing.fence.change(Q, None)
    write.end()
    assert len(told) == 1
    writing.ended(ticket, 1, answer(), False)
    assert len(told) == 2


def test_closed_it_begins_nothing(writing: Writing) -> None:
    under_way = writing.begin(Q, lasting=True)
    writing.close()
    with pytest.raises(Refused):
        writing.begin(Q, lasting=True)
    with pytest.raises(Withdrawn):
        under_way.sending()
