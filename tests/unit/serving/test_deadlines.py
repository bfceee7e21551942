"""Timeouts of many objects in the order in which they began to wait."""

from __future__ import annotations

from serving.deadlines import Deadlines


def test_objects_expire_in_turn_and_once():
    deadlines: Deadlines[str] = Deadlines(5.0)
    deadlines.add("a", 0.0)
    deadlines.add("b", 1.0)
    deadlines.add("c", 2.0)
    assert list(deadlines.expired(4.9)) == []
    assert list(deadlines.expired(6.0)) == ["a", "b"]
    assert list(deadlines.expired(6.0)) == []
    assert ("b" in deadlines, "c" in deadlines, len(deadlines)) == (False, True, 1)


def test_an_object_that_waits_again_waits_anew():
    deadlines: Deadlines[str] = Deadlines(5.0)
    deadlines.add("a", 0.0)
    deadlines.add("b", 1.0)
    deadlines.add("a", 2.0)
    assert deadlines.oldest() == "b"
    assert list(deadlines.expired(6.9)) == ["b"]
    assert list(deadlines.expired(7.0)) == ["a"]
    assert deadlines.oldest() is None


def test_an_object_may_stop_waiting_at_any_time():
    deadlines: Deadlines[str] = Deadlines(5.0)
    deadlines.add("a", 0.0)
    deadlines.add("b", 0.0)
    deadlines.discard("c")
    expired = []
    for one in deadlines.expired(5.0):
        expired.append(one)
        deadlines.discard("b")
    assert expired == ["a"]


def test_what_expires_may_begin_to_wait_anew_meanwhile():
    deadlines: Deadlines[str] = Deadlines(5.0)
    deadlines.add("a", 0.0)
    for one in deadlines.expired(5.0):
        deadlines.add(one, 5.0)
    assert list(deadlines.expired(10.0)) == ["a"]
