"""Places: their order among projects, and the calls that are counted apart."""

from __future__ import annotations

import pytest

from marconi_proxy.upstream.places import Places


def full(limit: int = 2, most_waiting: int = 4) -> Places[str]:
    places: Places[str] = Places(limit, most_waiting)
    places.taken = limit
    return places


def served(places: Places[str]) -> list[str]:
    """Give places back until no call waits; return those that waited, in the order served."""
    order = []
    while (waiter := places.give_back()) is not None:
        order.append(waiter)
    return order


def test_a_place_that_comes_free_is_handed_over() -> None:
    places = full()
    assert places.wait(b"p", "one") is None
    assert places.wait(b"p", "two") is None
    assert places.give_back() == "one"
    assert (places.taken, places.waiting) == (2, 1)
    assert places.give_back() == "two"
    assert places.give_back() is None
    assert (places.taken, places.waiting) == (1, 0)


@pytest.mark.parametrize(
    ("arrivals", "order"),
    [
        ("a1 a2 a3 a4", "a1 a2 a3 a4"),
        ("a1 a2 a3 b1", "a1 b1 a2 a3"),
        ("a1 a2 b1 b2", "a1 b1 a2 b2"),
        ("a1 a2 b1 c1", "a1 b1 c1 a2"),
    ],
)
def test_projects_take_turns(arrivals: str, order: str) -> None:
    places = full()
    for waiter in arrivals.split():
        assert places.wait(waiter[0].encode(), waiter) is None
    assert served(places) == order.split()


@pytest.mark.parametrize(
    ("waiting", "arrival", "displaced"),
    [
        ("a1 a2 a3 a4", "a5", "a5"),
        ("a1 a2 a3 a4", "b1", "a4"),
        ("a1 a2 a3 b1", "b2", "a3"),
        ("a1 a2 b1 b2", "b3", "b3"),
        ("a1 a2 b1 b2", "c1", "a2"),
        ("a1 b1 c1 d1", "e1", "e1"),
    ],
)
def test_a_full_queue(waiting: str, arrival: str, displaced: str) -> None:
    places = full()
    for waiter in waiting.split():
        places.wait(waiter[0].encode(), waiter)
    assert places.wait(arrival[0].encode(), arrival) == displaced
    assert places.waiting == 4
    assert sorted(served(places)) == sorted({*waiting.split(), arrival} - {displaced})


def test_no_queue() -> None:
    assert full(most_waiting=0).wait(b"a", "a1") == "a1"


def test_a_waiter_that_leaves() -> None:
    places = full()
    for waiter in ("a1", "a2", "b1"):
        places.wait(waiter[0].encode(), waiter)
    places.withdraw(b"a", "a1")
    places.withdraw(b"a", "a1")
    places.withdraw(b"c", "c1")
    assert places.waiting == 2
    assert served(places) == ["a2", "b1"]


def test_a_call_apart_frees_its_place_once() -> None:
    places = full()
    assert places.set_apart("call", None) == (None, None)
    assert (places.taken, len(places.apart)) == (1, 1)
    assert places.give_back("call") is None
    assert (places.taken, len(places.apart)) == (1, 0)
    assert places.give_back("another") is None
    assert places.taken == 0


def test_a_call_apart_hands_its_place_over() -> None:
    places = full()
    places.wait(b"p", "waits")
    assert places.set_apart("call", None) == ("waits", None)
    assert places.taken == 2


def test_the_oldest_that_may_be_given_up_goes_when_too_many_are_apart() -> None:
    given_up: list[str] = []
    places = full(limit=2)
    places.set_apart("write", None)
    places.set_apart("read", lambda: given_up.append("read"))
    places.taken = 2
    _, victim = places.set_apart("later", lambda: given_up.append("later"))
    assert victim is not None
    victim()
    assert given_up == ["read"]
    # It is picked once only, however long it takes to end.
    _, victim = places.set_apart("last", None)
    assert victim is not None
    victim()
    assert given_up == ["read", "later"]
    assert places.taken == 0


def test_a_call_keeps_its_place_if_too_many_are_apart_that_have_to_go_on() -> None:
    places = full(limit=2)
    places.set_apart("one", None)
    places.set_apart("two", None)
    places.taken = 2
    assert places.set_apart("three", None) == (None, None)
    assert (places.taken, len(places.apart)) == (2, 2)
    assert places.give_back("three") is None
    assert places.taken == 1
