"""A call that writes: by which right, how long it counts, and what its answer is worth."""

from __future__ import annotations

import pytest

from marconi_proxy.front_door.refusals import RequestRefused
from marconi_proxy.front_door.write_gate import Late, WriteGate
from marconi_proxy.upstream.connection import UpstreamAnswer
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
def gate(clock: Clock) -> WriteGate:
    gate = WriteGate(LEASE, AMBIGUITY, clock)
    renew(gate)
    return gate


def renew(gate: WriteGate) -> None:
    gate.lease.confirmed(gate.lease.sent(gate.clock()), gate.clock())


def answer(status: int = 201) -> UpstreamAnswer:
    return UpstreamAnswer(status, [], b"", None)


def acknowledged(gate: WriteGate) -> bool:
    """Whether a seal of the queue that is shown now is acknowledged at once."""
    gate.fence.change(Q, "seal")
    return "seal" in gate.fence.acks(gate.clock())


def test_a_write_counts_until_it_ends(gate: WriteGate) -> None:
    write = gate.begin(Q, lasting=True)
    write.sending()
    write.answered(201)
    assert not acknowledged(gate)
    write.end()
    assert acknowledged(gate)


def test_without_a_lease_nothing_is_written_or_counted(clock: Clock) -> None:
    gate = WriteGate(LEASE, AMBIGUITY, clock)
    with pytest.raises(RequestRefused) as caught:
        gate.begin(Q, lasting=True)
    assert (caught.value.status, caught.value.retry_after) == (503, 1)
    assert gate.fence.idle(clock.now)


def test_whether_a_change_came_under_it(gate: WriteGate) -> None:
    before, other = gate.begin(Q, lasting=True), gate.begin(key("other"), lasting=True)
    gate.fence.change(Q, None)
    after = gate.begin(Q, lasting=True)
    assert (before.overtaken, other.overtaken, after.overtaken) == (True, False, False)


# -- each try ----------------------------------------------------------------------------------------------------------


def test_nothing_is_sent_in_another_term_than_the_queue_was_looked_up_in(gate: WriteGate, clock: Clock) -> None:
    write = gate.begin(Q, lasting=True)
    clock.now += LEASE
    with pytest.raises(Withdrawn):
        write.sending()
    renew(gate)
    with pytest.raises(Withdrawn):
        write.sending()
    assert write.unanswered == 0
    gate.begin(Q, lasting=True).sending()


def test_a_second_try_asks_again(gate: WriteGate, clock: Clock) -> None:
    write = gate.begin(Q, lasting=True)
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
        ([None, 201], True),  # the first may be done later, whatever the second was answered
        ([201, None], True),
        ([502], True),
        ([504], True),
        ([504, 204], True),
        ([204, 204, 204], False),
    ],
)
def test_a_try_without_an_answer_counts_on(
    gate: WriteGate, clock: Clock, statuses: list[int | None], ambiguous: bool
) -> None:
    write = gate.begin(Q, lasting=True)
    for status in statuses:
        write.sending()
        if status is not None:
            write.answered(status)
    write.end()
    assert acknowledged(gate) is not ambiguous
    clock.now += AMBIGUITY
    assert gate.fence.acks(clock.now) == {"seal"}


def test_a_consumers_call_does_not_count_on(gate: WriteGate) -> None:
    """Whatever it still does, it does in the segment where its messages are."""
    write = gate.begin(Q, lasting=False)
    write.sending()
    write.end()
    assert acknowledged(gate)


# -- the answer --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("renewed", [False, True])
def test_an_answer_after_the_term_is_late(gate: WriteGate, clock: Clock, renewed: bool) -> None:
    write = gate.begin(Q, lasting=True)
    write.sending()
    write.check(answer())
    clock.now += LEASE
    if renewed:
        renew(gate)
    with pytest.raises(Late):
        write.check(answer())
    assert gate.late_writes == 1
    assert issubclass(Late, Unanswered)  # so every caller takes it for a call that may have been done


def test_a_renewal_in_time_makes_no_answer_late(gate: WriteGate, clock: Clock) -> None:
    write = gate.begin(Q, lasting=True)
    for _ in range(5):
        clock.now += LEASE / 2
        renew(gate)
    write.sending()
    write.check(answer())
    assert gate.late_writes == 0


# -- in one step -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("later", "late"), [(0.0, False), (LEASE, True)])
def test_a_write_sent_in_the_step_of_its_lookup(gate: WriteGate, clock: Clock, later: float, late: bool) -> None:
    permit = gate.begin_at_once(Q, lasting=True)
    assert permit is not None
    clock.now += later
    permit.answered(201)
    assert isinstance(permit.late(answer()), Late) is late
    permit.end()
    assert gate.late_writes == int(late)
    assert gate.fence.idle(clock.now)


def test_without_a_lease_none_begins_at_once(gate: WriteGate, clock: Clock) -> None:
    clock.now += LEASE
    assert gate.begin_at_once(Q, lasting=True) is None
    assert gate.fence.idle(clock.now)


def test_one_that_an_intermediary_lost_sight_of(gate: WriteGate, clock: Clock) -> None:
    permit = gate.begin_at_once(Q, lasting=True)
    assert permit is not None
    permit.answered(504)
    assert permit.late(answer(504)) is None
    permit.end()
    assert not gate.fence.idle(clock.now)


def test_one_that_failed_goes_on_with_its_permit(gate: WriteGate, clock: Clock) -> None:
    permit = gate.begin_at_once(Q, lasting=True)
    assert permit is not None
    permit.sending()
    permit.answered(201)
    permit.end()
    assert not gate.fence.idle(clock.now)
    assert gate.fence.idle(clock.now + AMBIGUITY)


# -- callbacks ---------------------------------------------------------------------------------------------------------


def test_the_end_of_a_write_that_was_overtaken_is_told(gate: WriteGate) -> None:
    told: list[None] = []
    gate.on_end = lambda: told.append(None)
    gate.begin(Q, lasting=True).end()
    assert told == []
    write = gate.begin(Q, lasting=True)
    gate.fence.change(Q, None)
    write.end()
    assert len(told) == 1


def test_closed_it_begins_nothing(gate: WriteGate) -> None:
    under_way = gate.begin(Q, lasting=True)
    gate.close()
    with pytest.raises(RequestRefused):
        gate.begin(Q, lasting=True)
    with pytest.raises(Withdrawn):
        under_way.sending()
