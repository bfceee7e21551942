"""Which host of a partition gets a call, with a clock and chance that the test sets."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from marconi_proxy.upstream.balance import WINDOW, Balancer, Host
from marconi_proxy.upstream.limits import UpstreamLimits

EJECT_AFTER, EJECT_FOR, LONGEST, SLOW_START = 3, 5.0, 20.0, 10.0
LIMITS = UpstreamLimits(
    eject_after=EJECT_AFTER, eject_for=EJECT_FOR, eject_for_max=LONGEST, eject_share=0.5, slow_start=SLOW_START
)


class InOrder(random.Random):
    """Chance that always takes the first."""

    def random(self) -> float:
        return 0.0

    def shuffle(self, x: Any) -> None:
        """Leave the order."""


def balance(count: int, chance: random.Random | None = None) -> tuple[Balancer, tuple[Host, ...]]:
    hosts = [Host(f"http://h{n}:80") for n in range(count)]
    balancer = Balancer(hosts, LIMITS, chance or InOrder())
    return balancer, balancer.hosts


def fail(balancer: Balancer, host: Host, now: float, times: int = EJECT_AFTER) -> list[bool]:
    return [balancer.failed(host, now) for _ in range(times)]


def out(balancer: Balancer) -> list[Host]:
    return [host for host in balancer.hosts if host.ejected_until]


def succeed(balancer: Balancer, host: Host, now: float) -> bool:
    host.answers += 1
    return balancer.succeeded(host, now)


def test_one_host_gets_every_call() -> None:
    balancer, (only,) = balance(1)
    assert balancer.pick(0.0) is only
    assert balancer.pick(0.0, [only]) is only
    assert fail(balancer, only, 0.0, 50) == [False] * 50
    assert balancer.pick(0.0) is only


def test_the_less_loaded_of_two() -> None:
    balancer, (one, other) = balance(2)
    assert balancer.pick(0.0) is one
    one.in_flight = 1
    assert balancer.pick(0.0) is other
    other.in_flight = 2
    assert balancer.pick(0.0) is one


def test_hosts_alike_get_alike() -> None:
    balancer, hosts = balance(4, random.Random(1))
    picked = Counter(balancer.pick(0.0) for _ in range(4000))
    assert all(900 < picked[host] < 1100 for host in hosts)


def test_the_most_loaded_of_all_gets_nothing() -> None:
    balancer, hosts = balance(4, random.Random(1))
    hosts[2].in_flight = 1
    assert hosts[2] not in {balancer.pick(0.0) for _ in range(500)}


def test_a_failure_weighs_like_ten_calls() -> None:
    balancer, (one, other) = balance(2)
    balancer.failed(one, 0.0)
    other.in_flight = 9
    assert balancer.pick(0.0) is other
    other.in_flight = 11
    assert balancer.pick(0.0) is one
    balancer.failed(one, 0.0)
    assert balancer.pick(0.0) is other


def test_an_old_failure_weighs_nothing() -> None:
    balancer, (one, other) = balance(2)
    balancer.failed(one, 100.0)
    other.in_flight = 1
    assert balancer.pick(100.0 + EJECT_FOR - 0.1) is other
    assert balancer.pick(100.0 + EJECT_FOR) is one


def test_a_success_wipes_failures_off() -> None:
    balancer, (one, _) = balance(2)
    balancer.failed(one, 0.0)
    assert not succeed(balancer, one, 0.5)
    assert one.failures == 0
    assert fail(balancer, one, 1.0) == [False, False, True]


def test_hosts_tried_are_passed_over_while_there_are_others() -> None:
    balancer, (one, two, three) = balance(3)
    assert balancer.pick(0.0, [one]) is two
    assert balancer.pick(0.0, [one, two]) is three
    three.in_flight = 100
    assert balancer.pick(0.0, [one, two]) is three
    assert balancer.pick(0.0, [one, two, three]) is one


# -- ejection ----------------------------------------------------------------------------------------------------------


def test_a_host_that_fails_in_a_row_is_left_out_for_a_while() -> None:
    balancer, (one, other) = balance(2)
    assert fail(balancer, one, 10.0) == [False, False, True]
    other.in_flight = 1000
    assert balancer.pick(10.0) is other
    assert balancer.pick(10.0 + EJECT_FOR - 0.1) is other
    assert balancer.pick(10.0 + EJECT_FOR) is one


@pytest.mark.parametrize(
    ("answers", "errors", "ejected"),
    [(0, 2, False), (9, 9, False), (10, 10, True), (40, 20, False), (30, 31, True), (0, 20, True)],
)
def test_a_share_of_failed_calls_ejects(answers: int, errors: int, ejected: bool) -> None:
    """A host that fails every other call never fails three times in a row."""
    balancer, (one, _) = balance(2)
    balancer.failed(one, 0.0)
    one.answers, one.errors, one.failures = answers, errors - 1, 0
    assert balancer.failed(one, 1.0) is ejected


def test_calls_are_counted_in_windows() -> None:
    balancer, (one, _) = balance(2)
    balancer.failed(one, 0.0)
    one.answers, one.errors = 1, 100
    succeed(balancer, one, 1.0)
    assert not balancer.failed(one, WINDOW)
    assert (one.answers, one.errors) == (0, 1)


def test_a_host_that_is_tried_gets_one_call() -> None:
    balancer, (one, other) = balance(2)
    fail(balancer, one, 0.0)
    assert balancer.pick(EJECT_FOR) is one
    assert balancer.pick(EJECT_FOR) is other
    assert balancer.pick(2 * EJECT_FOR - 0.1) is other
    # The call got lost: another one tries it.
    assert balancer.pick(2 * EJECT_FOR) is one


def test_a_call_with_effects_leaves_the_trial_to_a_safe_one() -> None:
    balancer, (one, other) = balance(2)
    fail(balancer, one, 0.0)
    assert balancer.pick(EJECT_FOR, safe=False) is other
    assert balancer.pick(2 * EJECT_FOR - 0.1, safe=False) is other
    # But no safe one came, and no probe is made.
    assert balancer.pick(2 * EJECT_FOR, safe=False) is one


def test_a_host_left_out_is_better_than_one_tried_already() -> None:
    balancer, (one, other) = balance(2)
    fail(balancer, one, 0.0)
    assert balancer.pick(0.0, [other]) is one


def test_only_the_crossings_are_reported() -> None:
    balancer, (one, _) = balance(2)
    assert fail(balancer, one, 0.0, EJECT_AFTER + 2) == [False, False, True, False, False]
    # It is tried again, and fails again: that is no news.
    assert balancer.pick(EJECT_FOR) is one
    assert fail(balancer, one, EJECT_FOR, 1) == [False]
    assert out(balancer) == [one]
    assert balancer.pick(3 * EJECT_FOR) is one
    assert succeed(balancer, one, 3 * EJECT_FOR)
    assert not succeed(balancer, one, 3 * EJECT_FOR)
    assert out(balancer) == []


def test_each_ejection_after_a_short_return_is_twice_as_long() -> None:
    balancer, (one, _) = balance(2)
    now, times = 0.0, []
    fail(balancer, one, now)
    for _ in range(5):
        times.append(one.ejected_until - now)
        now = one.ejected_until
        assert balancer.pick(now) is one
        balancer.failed(one, now)
    assert times == [5.0, 10.0, 20.0, LONGEST, LONGEST]


@pytest.mark.parametrize(("back_for", "seconds"), [(0.1, 10.0), (5.0, 10.0), (5.1, 5.0)])
def test_a_return_that_lasts_is_a_new_beginning(back_for: float, seconds: float) -> None:
    balancer, (one, _) = balance(2)
    fail(balancer, one, 0.0)
    assert balancer.pick(EJECT_FOR) is one
    assert succeed(balancer, one, EJECT_FOR)
    assert fail(balancer, one, EJECT_FOR + back_for) == [False, False, True]
    assert one.ejected_until == EJECT_FOR + back_for + seconds


def test_a_late_success_does_not_end_an_ejection_and_a_late_failure_does_not_extend_it() -> None:
    balancer, (one, other) = balance(2)
    fail(balancer, one, 0.0)
    assert not succeed(balancer, one, 1.0)
    assert fail(balancer, one, 2.0) == [False] * 3
    assert one.ejected_until == EJECT_FOR
    assert balancer.pick(2.0) is other


@pytest.mark.parametrize(
    ("seconds", "in_flight", "picked"),
    [(0.0, 9, "one"), (0.0, 10, "other"), (5.0, 1, "one"), (5.1, 2, "other"), (9.9, 0, "other"), (10.0, 0, "other")],
)
def test_slow_start(seconds: float, in_flight: int, picked: str) -> None:
    """``other`` is back for ``seconds``, idle; ``one`` has so many calls in flight."""
    balancer, (one, other) = balance(2)
    fail(balancer, other, 0.0)
    assert balancer.pick(EJECT_FOR) is other
    succeed(balancer, other, EJECT_FOR)
    one.in_flight = in_flight
    if seconds >= 9.9:
        one.in_flight = 1
    assert balancer.pick(EJECT_FOR + seconds) is {"one": one, "other": other}[picked]


# -- panic -------------------------------------------------------------------------------------------------------------


def test_a_single_host_is_never_left_out() -> None:
    balancer, (only,) = balance(1)
    assert fail(balancer, only, 0.0, 50) == [False] * 50
    assert not balancer.probe_failed(only, 0.0)
    assert not balancer.probe_failed(only, 0.0)
    assert balancer.pick(0.0) is only
    assert not balancer.another(only)


@pytest.mark.parametrize(("count", "most"), [(2, 1), (3, 1), (4, 2), (5, 2), (6, 3), (7, 3)])
def test_all_are_used_when_more_than_the_share_are_out(count: int, most: int) -> None:
    balancer, hosts = balance(count, random.Random(1))
    for number, host in enumerate(hosts, 1):
        fail(balancer, host, 0.0)
        assert balancer.panics is (number > most)
    picked = Counter(balancer.pick(0.1) for _ in range(200))
    assert len(picked) == count


def test_in_panic_the_one_that_does_not_fail_gets_the_calls() -> None:
    balancer, hosts = balance(3, random.Random(1))
    for host in hosts[:2]:
        fail(balancer, host, 0.0)
    hosts[2].in_flight = 20
    assert {balancer.pick(0.1) for _ in range(100)} == {hosts[2]}


def test_a_success_in_panic_brings_a_host_back() -> None:
    balancer, (one, other) = balance(2)
    fail(balancer, one, 0.0)
    fail(balancer, other, 0.0)
    assert succeed(balancer, other, 0.1)
    assert out(balancer) == [one]
    assert balancer.pick(0.2) is other


# -- probes ------------------------------------------------------------------------------------------------------------


def test_failed_probes_eject_a_host_without_a_call() -> None:
    balancer, (one, other) = balance(2)
    assert not balancer.probe_failed(one, 0.0)
    assert balancer.probe_failed(one, 2.0)
    assert balancer.pick(2.0) is other


def test_one_lost_probe_does_no_harm() -> None:
    balancer, (one, _) = balance(2)
    for now in range(0, 100, 2):
        assert not balancer.probe_failed(one, float(now))
        balancer.probe_succeeded(one, now + 1.0)
    assert out(balancer) == []


def test_no_call_tries_a_host_whose_probes_fail() -> None:
    balancer, (one, other) = balance(2)
    fail(balancer, one, 0.0)
    for now in range(0, 300, 2):
        assert not balancer.probe_failed(one, float(now))
        assert balancer.pick(now + 1.0) is other


def test_a_host_whose_probes_succeed_again_is_tried_at_once() -> None:
    balancer, (one, other) = balance(2)
    fail(balancer, one, 0.0)
    balancer.probe_failed(one, 1.0)
    balancer.probe_succeeded(one, 3.0)
    assert balancer.pick(3.0, safe=False) is one
    assert balancer.pick(3.0, safe=False) is other


def test_a_host_that_answers_probes_and_fails_calls_serves_its_time() -> None:
    balancer, (one, other) = balance(2)
    fail(balancer, one, 0.0)
    for now in (1.0, 2.0, 4.0):
        balancer.probe_succeeded(one, now)
        assert balancer.pick(now) is other
    assert balancer.pick(EJECT_FOR, safe=False) is one


# -- hosts that are not in trouble -------------------------------------------------------------------------------------


def test_whether_there_is_another_host() -> None:
    balancer, (one, two, three) = balance(3)
    balancer.pick(0.0)
    assert balancer.another(one)
    assert balancer.another(one, [two])
    assert not balancer.another(one, [two, three])
    fail(balancer, two, 0.0)
    assert balancer.another(one)
    assert not balancer.another(three, [one])


def test_a_host_in_a_log() -> None:
    host = Host("http://h:80")
    host.in_flight, host.failures = 2, 1
    assert repr(host) == "<Host http://h:80 in_flight=2 failures=1>"
    host.ejected_until = 1.0
    assert repr(host) == "<Host http://h:80 in_flight=2 failures=1 out>"
