"""The rule of safe retries, and their budget."""

from __future__ import annotations

import pytest

from marconi_proxy.upstream.connection import HostUnavailable, UpstreamAnswer
from marconi_proxy.upstream.errors import (
    Abandoned,
    BadAnswer,
    ConnectFailed,
    DeadlineExceeded,
    PartitionBusy,
    PartitionDisabled,
    Unanswered,
    UpstreamError,
    Withdrawn,
)
from marconi_proxy.upstream.retries import RetryBudget, may_retry


@pytest.mark.parametrize(
    ("error", "safe", "repeatable", "other"),
    [
        (ConnectFailed("x"), True, True, True),
        (Unanswered("x"), True, True, False),
        (Unanswered("x", on_kept_connection=True), True, True, False),
        (DeadlineExceeded("x"), True, False, False),
        (DeadlineExceeded("x", on_kept_connection=True), True, False, False),
        (HostUnavailable("x", UpstreamAnswer(503, [], b"", None)), True, False, False),
        (BadAnswer("x"), False, False, False),
        (PartitionBusy("x"), False, False, False),
        (PartitionDisabled("x"), False, False, False),
        (Withdrawn("x"), False, False, False),
        (Abandoned("x"), False, False, False),
        (UpstreamError("x"), False, False, False),
    ],
    ids=lambda value: repr(value) if isinstance(value, Exception) else str(value),
)
def test_what_may_be_tried_again(error: UpstreamError, safe: bool, repeatable: bool, other: bool) -> None:
    assert may_retry(error, repeatable=True, safe=True) is safe
    assert may_retry(error, repeatable=True, safe=False) is repeatable
    assert may_retry(error, repeatable=False, safe=False) is other


def spent(budget: RetryBudget) -> int:
    """Return how many tries it has."""
    number = 0
    while budget.spend():
        number += 1
    return number


def test_a_budget_is_full_at_first() -> None:
    assert spent(RetryBudget(40)) == 40


@pytest.mark.parametrize(("calls", "tries"), [(0, 0), (4, 0), (5, 1), (50, 10), (1_000_000, 40)])
def test_a_fifth_of_the_calls_is_saved_up_to_the_most(calls: int, tries: int) -> None:
    budget = RetryBudget(40)
    spent(budget)
    budget.calls += calls
    assert spent(budget) == tries


def test_a_partition_that_fails_for_long_gets_a_fifth_more_calls() -> None:
    budget = RetryBudget(40)
    tries = 0
    for _ in range(10_000):
        budget.calls += 1
        tries += budget.spend()
    assert tries == pytest.approx(2040, abs=1)
