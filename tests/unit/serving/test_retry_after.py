from __future__ import annotations

from collections import Counter

import pytest

from serving.retry_after import retry_after


@pytest.mark.parametrize(
    ("least", "chance", "seconds"),
    [(1, 0.0, 1), (1, 0.49, 1), (1, 0.5, 2), (1, 0.999, 2), (30, 0.0, 30), (5, 0.999, 10)],
)
def test_seconds_with_jitter(least: int, chance: float, seconds: int) -> None:
    assert retry_after(least, lambda: chance) == seconds


def test_refused_clients_do_not_return_together() -> None:
    returns = Counter(retry_after(5) for _ in range(1000))
    assert set(returns) == {5, 6, 7, 8, 9, 10}
    assert max(returns.values()) < 300
