"""Tags: there and back for every text and number, and what becomes of those of retired segments."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.model import Placement, PlacementState, Segment
from marconi_proxy.routing.tags import explicit, is_news, known, owner, resume, tagged, untagged

NUMBERS = st.integers(0, 10**9 - 1)
LIKE_A_TAG = st.builds("s{}-{}".format, NUMBERS, st.from_regex(r"[A-Za-z0-9_-]{0,8}", fullmatch=True))
IDS = st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True) | LIKE_A_TAG


def chain(*numbers: int, base: int = 0) -> Placement:
    segments = tuple(Segment(n, f"p{n}", "q", sealed=n != numbers[-1]) for n in numbers)
    return Placement("project", "q", 7, PlacementState.OPEN, segments, base=base)


@given(IDS, NUMBERS, NUMBERS)
def test_there_and_back(text: str, n: int, base: int) -> None:
    assert untagged(tagged(text, n, base), base) == (n, text)


@given(IDS, st.integers(0, 10**6))
def test_two_segments_never_show_the_same(text: str, base: int) -> None:
    others = {tagged(text, n, base) for n in (base, base + 1, base + 2)} | {
        tagged(explicit(text, base + 1), base, base)
    }
    assert len(others) == 4


@given(IDS, NUMBERS, NUMBERS)
def test_a_tagged_id_is_an_id(text: str, n: int, base: int) -> None:
    # API section 11: hrefs match /messages/[A-Za-z0-9_-]+.
    assert re.fullmatch(r"[A-Za-z0-9_-]+", tagged(text, n, base))


@given(st.from_regex(r"[0-9a-f]{24}|[0-9]{1,12}", fullmatch=True), NUMBERS)
def test_what_the_base_gave_out_before_the_first_move_means_the_same_after_it(text: str, base: int) -> None:
    assert tagged(text, base, base) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [("s1-x", "s0-s1-x"), ("s0-", "s0-s0-"), ("s-1", "s-1"), ("s01-x", "s01-x"), ("S1-x", "S1-x"), ("s1", "s1")],
)
def test_what_the_base_gave_out_and_looks_tagged(text: str, shown: str) -> None:
    assert tagged(text, 0, 0) == shown
    assert untagged(shown, 0) == (0, text)


@pytest.mark.parametrize(
    ("text", "whose", "called"),
    [
        ("x", 0, "x"),
        ("s2-x", 2, "x"),
        ("s3-x", 3, "x"),
        ("s1-x", None, "x"),
        ("s0-s2-x", 0, "s2-x"),
        ("s4-x", 0, "s4-x"),
    ],
)
def test_which_segment_an_id_is_from(text: str, whose: int | None, called: str) -> None:
    placement = chain(0, 2, 3)
    found = owner(placement, text)
    assert (found and found.n) == whose
    assert known(placement, text)[1] == called


def test_an_untagged_id_of_a_retired_base_is_nobodys() -> None:
    assert owner(chain(2, 3), "x") is None


@pytest.mark.parametrize(("text", "news"), [("x", False), ("s1-x", False), ("s3-x", False), ("s4-x", True)])
def test_what_is_news(text: str, news: bool) -> None:
    assert is_news(chain(0, 2, 3), text) is news


@pytest.mark.parametrize(
    ("marker", "numbers", "rest", "called"),
    [
        ("5", (0, 1), (0, 1), "5"),
        ("s1-5", (0, 1), (1,), "5"),
        ("5", (1, 2), (1, 2), None),
        ("s1-5", (0, 2, 3), (2, 3), None),
        ("s1-5", (3,), (3,), None),
        ("s3-5", (3,), (3,), "5"),
        ("s9-5", (0, 1), (0, 1), "s9-5"),
        ("s9-5", (1,), (1,), None),
    ],
)
def test_where_a_marker_goes_on(
    marker: str, numbers: tuple[int, ...], rest: tuple[int, ...], called: str | None
) -> None:
    segments, found = resume(chain(*numbers), marker)
    assert (tuple(segment.n for segment in segments), found) == (rest, called)


@given(st.integers(0, 6), st.lists(st.integers(0, 5), unique=True))
def test_a_marker_never_goes_back_and_never_skips_a_segment(n: int, retired: list[int]) -> None:
    placement = chain(*[number for number in range(7) if number not in retired])
    rest, called = resume(placement, tagged("5", n, 0))
    assert [segment.n for segment in rest] == [s.n for s in placement.segments if s.n >= n]
    assert (called == "5") == (rest[0].n == n)
