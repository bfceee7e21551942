"""bench.moves tells what is broken, and ends accordingly."""

from __future__ import annotations

import pytest

from bench.moves import HELD, PAUSE, faults
from tests.checker.judge import Violation
from tests.wire.soak.clients import Trouble

LATE = PAUSE + 1
TROUBLE = Trouble(1.0, 2.0, "p0", "POST /v2/queues/q0/messages", 503, b"no")


def test_nothing_is_broken() -> None:
    assert faults([*[10.0] * 199, LATE], [HELD], [], []) == []


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (faults([*[10.0] * 198, LATE, LATE], [], [], []), "the 99th percentile of pauses is 251 ms, more than 250"),
        (faults([], [HELD + 1], [], []), "a seal held writes for 2001 ms before it was aborted, more than 2000"),
        (faults([], [], [TROUBLE], []), f"an answer that was not due: {TROUBLE}"),
        (faults([], [], [], [Violation("lost", "p0#1")]), "lost: p0#1"),
    ],
)
def test_what_is_broken(broken: list[str], told: str) -> None:
    assert broken == [told]
