"""For how long a value is known not to have changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.unchanged import Unchanged


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watched(clock: Clock) -> Unchanged[str]:
    return Unchanged(clock)


def test_at_first_nothing_is_known(watched: Unchanged[str], clock: Clock) -> None:
    asked = watched.now()
    clock.time += 50.0
    assert watched.seen("a", 1, asked) == 0.0


def test_it_counts_from_the_first_answer_to_the_last_question(watched: Unchanged[str], clock: Clock) -> None:
    """A reading shows what was so at some time between its question and its answer."""
    asked = watched.now()
    clock.time = 110.0
    watched.seen("a", 1, asked)
    clock.time = 130.0
    asked = watched.now()
    clock.time = 170.0
    assert watched.seen("a", 1, asked) == 20.0


def test_readings_that_overlap_tell_nothing(watched: Unchanged[str], clock: Clock) -> None:
    first, second = watched.now(), watched.now()
    clock.time += 10.0
    watched.seen("a", 1, first)
    assert watched.seen("a", 1, second) == 0.0


def test_a_change_begins_anew(watched: Unchanged[str], clock: Clock) -> None:
    watched.seen("a", 1, watched.now())
    clock.time += 5.0
    assert watched.seen("a", 2, watched.now()) == 0.0
    clock.time += 3.0
    assert watched.seen("a", 2, watched.now()) == 3.0
    # Also one that goes back to what was before.
    assert watched.seen("a", 1, watched.now()) == 0.0


def test_each_key_is_for_itself(watched: Unchanged[str], clock: Clock) -> None:
    watched.seen("a", 1, watched.now())
    clock.time += 5.0
    assert watched.seen("b", 1, watched.now()) == 0.0
    assert watched.seen("a", 1, watched.now()) == 5.0
    assert len(watched) == 2


def test_what_is_not_kept_begins_anew(watched: Unchanged[str], clock: Clock) -> None:
    for key in "ab":
        watched.seen(key, None, watched.now())
    clock.time += 5.0
    watched.keep(lambda key: key == "a")
    assert len(watched) == 1
    assert watched.seen("a", None, watched.now()) == 5.0
    assert watched.seen("b", None, watched.now()) == 0.0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.booleans()), max_size=30))
def test_it_never_claims_more_than_is_true(readings: list[tuple[int, int, bool]]) -> None:
    """Each reading: how long after the one before it was asked, how long it took, and whether the value had changed
    just before the answer."""
    clock = Clock()
    watched: Unchanged[None] = Unchanged(clock)
    value, changed = 0, clock.time
    for pause, took, changes in readings:
        clock.time += pause
        asked = watched.now()
        clock.time += took
        if changes:
            value, changed = value + 1, clock.time
        assert watched.seen(None, value, asked) <= max(0.0, asked - changed) + 0.0
