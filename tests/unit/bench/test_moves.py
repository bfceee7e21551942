"""bench.moves names its faults, and exits accordingly."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.moved_queues import BATCH
from bench.moves import HELD, PAUSE, faults, stock
from catalog.factory import open_catalog
from catalog.model import FINISHED_STATES
from tests.checker.judge import Violation
from tests.wire.soak.clients import Trouble

LATE = PAUSE + 1
TROUBLE = Trouble(1.0, 2.0, "p0", "POST /v2/queues/q0/messages", 503, b"no")


def test_nothing_is_broken() -> None:
    assert faults([*[10.0] * 199, LATE], [HELD], [], []) == []


@pytest.mark.parametrize(
    ("broken", "text"),
    [
        (faults([*[10.0] * 198, LATE, LATE], [], [], []), "the 99th percentile of pauses is 251 ms, more than 250"),
        (faults([], [HELD + 1], [], []), "a seal held writes for 2001 ms before it was aborted, more than 2000"),
        (faults([], [], [TROUBLE], []), f"an unexpected answer: {TROUBLE}"),
        (faults([], [], [], [Violation("lost", "p0#1")]), "lost: p0#1"),
    ],
)
def test_a_fault_is_named(broken: list[str], text: str) -> None:
    assert broken == [text]


async def test_records_of_finished_moves_are_there_beforehand(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'catalog.db'}"
    await stock(uri, ("p1", "p2"), BATCH + 1)
    catalog = await open_catalog(uri)
    try:
        await catalog.check()
        assert len(await catalog.moves.find(states=FINISHED_STATES, limit=2 * BATCH)) == BATCH + 1
    finally:
        await catalog.close()
