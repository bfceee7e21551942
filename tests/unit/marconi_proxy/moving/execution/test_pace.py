"""The waits of a mover: back-off after failures, holds of writes, and looks at segments that drain."""

from __future__ import annotations

import random

import pytest

from marconi_proxy.moving.execution.pace import LONGEST_BACK_OFF, MovePace, next_look


@pytest.mark.parametrize(("failures", "limit"), [(1, 5.0), (2, 10.0), (5, 80.0), (7, LONGEST_BACK_OFF), (999, 300.0)])
def test_waits_are_drawn_from_all_of_a_time_that_doubles(failures: int, limit: float) -> None:
    chance = random.Random(1)
    waits = [MovePace().wait_after(failures, chance) for _ in range(1000)]
    assert 0.0 <= min(waits) < limit * 0.05
    assert limit * 0.95 < max(waits) <= limit


@pytest.mark.parametrize(("max_pause_ms", "longest"), [(None, 1.5), (100, 0.1), (60_000, 1.5)])
def test_writes_are_held_for_no_longer_than_the_move_may_hold_them(max_pause_ms: float | None, longest: float) -> None:
    assert MovePace().longest_seal(max_pause_ms) == longest


def test_a_queue_is_looked_at_less_often_the_longer_it_takes() -> None:
    assert [next_look(since) for since in (0.0, 1.0, 4.0, 40.0, 4000.0)] == [0.5, 0.5, 1.0, 10.0, 30.0]
