"""The checker catches a protocol that is broken, each way within so many seeds, and by what it breaks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from tests.simulation.breakages import BREAKAGES
from tests.simulation.schedule import play

# Seeds that are tried at most. The unbroken protocol keeps its promises in all of them (test_schedules).
_SEEDS = 400


@pytest.mark.parametrize(("breakage", "rules"), BREAKAGES, ids=[breakage.__name__ for breakage, _ in BREAKAGES])
def test_it_is_caught(breakage: Callable[[], AbstractContextManager[None]], rules: frozenset[str]) -> None:
    with breakage():
        for seed in range(_SEEDS):
            outcome = play(seed)
            if outcome.violations:
                print(f"caught by seed {seed}: {outcome.violations[0]}")
                assert {violation.rule for violation in outcome.violations} <= rules
                return
    pytest.fail(f"not caught in {_SEEDS} schedules")
