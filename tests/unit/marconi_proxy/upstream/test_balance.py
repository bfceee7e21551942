"""Which host of a partition gets a call, with a clock and chance that the test sets."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from marconi_proxy.upstream.balance import Balancer, Host

EJECT_AFTER, EJECT_FOR = 3, 5.0


class InOrder(random.Random):
    """Chance that always takes the first."""

    def sample(self, population: Sequence[Any], k: int, **_: Any) -> list[Any]:
        return list(population)[:k]


def balance(count: int, chance: random.Random | None = None) -> tuple[Balancer, tuple[Host, ...]]:
    hosts = [Host(f"http://h{n}:80") for n in range(count)]
    balancer = Balancer(hosts, EJECT_AFTER, EJECT_FOR, chance or InOrder())
    return balancer, balancer.hosts


def fail(balancer: Balancer, host: Host, now: float, times: int = EJECT_AFTER) -> list[bool]:
    return [balancer.failed(host, now) for _ in range(times)]


def out(balancer: Balancer, now: float) -> list[Host]:
    return [host for host in balancer.hosts if host.ejected_until > now]


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
    assert not balancer.succeeded(one)
    assert one.failures == 0
    assert fail(balancer, one, 1.0) == [False, False, True]


def test_hosts_tried_are_passed_over_while_there_are_others() -> None:
    balancer, (one, two, three) = balance(3)
    assert balancer.pick(0.0, [one]) is two
    assert balancer.pick(0.0, [one, two]) is three
    three.in_flight = 100
    assert balancer.pick(0.0, [one, two]) is three
    assert balancer.pick(0.0, [one, two, three]) is one


def test_a_host_that_fails_in_a_row_is_left_out_for_a_while() -> None:
    balancer, (one, other) = balance(2)
    assert fail(balancer, one, 10.0) == [False, False, True]
    other.in_flight = 1000
    assert balancer.pick(10.0) is other
    assert balancer.pick(10.0 + EJECT_FOR - 0.1) is other
    assert balancer.pick(10.0 + EJECT_FOR) is one


def test_a_host_left_out_is_better_than_one_tried_already() -> None:
    balancer, (one, other) = balance(2)
    fail(balancer, one, 0.0)
    assert balancer.pick(0.0, [other]) is one


def test_only_the_crossings_are_reported() -> None:
    balancer, (one, _) = balance(2)
    assert fail(balancer, one, 0.0, EJECT_AFTER + 2) == [False, False, True, False, False]
    # It is tried again, and fails again: that is no news.
    assert fail(balancer, one, 6.0, 1) == [False]
    assert out(balancer, 6.0) == [one]
    assert balancer.succeeded(one)
    assert not balancer.succeeded(one)
    assert out(balancer, 6.0) == []


def test_a_host_that_comes_back_badly_is_out_at_its_first_failure() -> None:
    balancer, (one, other) = balance(2)
    fail(balancer, one, 0.0)
    other.in_flight = 1
    assert balancer.pick(EJECT_FOR) is one
    balancer.failed(one, EJECT_FOR)
    assert balancer.pick(EJECT_FOR) is other
    assert balancer.pick(2 * EJECT_FOR) is one


def test_a_host_that_comes_back_well_starts_anew() -> None:
    balancer, (one, _) = balance(2)
    fail(balancer, one, 0.0)
    balancer.succeeded(one)
    assert fail(balancer, one, EJECT_FOR) == [False, False, True]


@pytest.mark.parametrize(("count", "most"), [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (6, 3), (7, 3)])
def test_never_more_than_half_are_left_out(count: int, most: int) -> None:
    balancer, hosts = balance(count)
    reported = [any(fail(balancer, host, 0.0, 10)) for host in hosts]
    assert reported == [True] * most + [False] * (count - most)
    assert out(balancer, 0.0) == list(hosts[:most])


def test_a_host_that_comes_back_badly_waits_its_turn_to_be_left_out() -> None:
    balancer, (one, other) = balance(2)
    fail(balancer, one, 0.0)
    # Its time is over. Before it fails again, the other one does.
    assert fail(balancer, other, EJECT_FOR) == [False, False, True]
    balancer.failed(one, EJECT_FOR)
    assert out(balancer, EJECT_FOR) == [other]


@pytest.mark.parametrize(("count", "most"), [(2, 1), (3, 1), (4, 2), (5, 2)])
def test_never_more_than_half_are_left_out_at_any_time(count: int, most: int) -> None:
    # A fault of the network that lasts: a call now and then, and every one fails.
    balancer, hosts = balance(count)
    chance = random.Random(7)
    for tick in range(500):
        now = tick * 1.1
        balancer.failed(chance.choice(hosts), now)
        assert len(out(balancer, now)) <= most, now


def test_a_place_among_those_left_out_is_free_when_one_is_back() -> None:
    balancer, (one, other) = balance(2)
    fail(balancer, one, 0.0)
    assert fail(balancer, other, 0.0) == [False] * 3
    balancer.succeeded(one)
    assert balancer.failed(other, 1.0)
    assert out(balancer, 1.0) == [other]


def test_what_a_host_looks_like_in_a_log() -> None:
    host = Host("http://h:80")
    host.in_flight, host.failures = 2, 1
    assert repr(host) == "<Host http://h:80 in_flight=2 failures=1>"
