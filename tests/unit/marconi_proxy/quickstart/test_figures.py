"""The figures of the tour: counts of posted and claimed messages, each from records of calls."""

from __future__ import annotations

import pytest

from marconi_proxy.quickstart.figures import ClaimRecord, Figures, Name, judge


def claim(sent: float, answered: float, *names: tuple[int, int]) -> ClaimRecord:
    return ClaimRecord(sent, answered, tuple(Name(*name) for name in names))


def figures(numbers: dict[int, int], *claims: ClaimRecord) -> Figures:
    """``numbers``: how many messages each producer posted."""
    posted = {Name(producer, n): 0.01 for producer, count in numbers.items() for n in range(count)}
    return judge(posted, claims)


def test_all_delivered_once_and_in_order() -> None:
    found = figures({1: 3, 2: 1}, claim(0, 1, (1, 0), (2, 0), (1, 1)), claim(2, 3, (1, 2)))
    assert found == Figures(4, 4, 0, 0, 0, 0, 0.01)
    assert found.clean
    assert str(found) == "posted 4, delivered 4, lost 0, duplicated 0, out of order 0"


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ([claim(0, 1, (1, 0), (1, 2))], "posted 3, delivered 2, lost 1, duplicated 0, out of order 0"),
        ([], "posted 3, delivered 0, lost 3, duplicated 0, out of order 0"),
        (
            [claim(0, 1, (1, 0), (1, 1), (1, 2)), claim(2, 3, (1, 0)), claim(4, 5, (1, 0))],
            "posted 3, delivered 3, lost 0, duplicated 2, out of order 0",
        ),
        ([claim(0, 1, (1, 0), (1, 1), (1, 2), (1, 1))], "posted 3, delivered 3, lost 0, duplicated 1, out of order 0"),
        ([claim(0, 1, (1, 0), (1, 2), (1, 1))], "posted 3, delivered 3, lost 0, duplicated 0, out of order 1"),
        (
            [claim(0, 1, (1, 1), (1, 2)), claim(2, 3, (1, 0))],
            "posted 3, delivered 3, lost 0, duplicated 0, out of order 1",
        ),
        (
            [claim(0, 1, (1, 2)), claim(2, 3, (1, 0), (1, 1))],
            "posted 3, delivered 3, lost 0, duplicated 0, out of order 2",
        ),
        (
            [claim(0, 1, (1, 0), (1, 1), (1, 2), (7, 7))],
            "posted 3, delivered 3, lost 0, duplicated 0, out of order 0, never posted 1",
        ),
    ],
    ids=["lost", "all lost", "twice", "twice in a claim", "in a claim", "across claims", "two behind", "strange"],
)
def test_what_is_wrong_is_counted(claims: list[ClaimRecord], words: str) -> None:
    found = figures({1: 3}, *claims)
    assert str(found) == words
    assert not found.clean


def test_of_claims_that_overlap_nobody_knows_the_order() -> None:
    assert figures({1: 2}, claim(0.0, 2.0, (1, 1)), claim(1.0, 3.0, (1, 0))).clean
    assert figures({1: 2}, claim(0.0, 2.0, (1, 1)), claim(2.0, 3.0, (1, 0))).clean
    assert figures({1: 2}, claim(0.0, 2.0, (1, 1)), claim(2.1, 3.0, (1, 0))).out_of_order == 1


def test_producers_have_no_order_among_each_other() -> None:
    assert figures({1: 1, 2: 2}, claim(0, 1, (2, 0), (2, 1)), claim(2, 3, (1, 0))).clean


def test_only_first_deliveries_have_an_order() -> None:
    """It was delivered twice; that the second time comes late is no second fault."""
    found = figures({1: 2}, claim(0, 1, (1, 0), (1, 1)), claim(2, 3, (1, 0)))
    assert (found.duplicated, found.out_of_order) == (1, 0)


def test_the_longest_write_is_told() -> None:
    assert judge({Name(1, 0): 0.02, Name(1, 1): 0.31, Name(1, 2): 0.05}, []).longest_write == 0.31
    assert judge({}, []).longest_write == 0.0
