"""bench.moves reports broken promises, and exits accordingly."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench.crowd import Crowd
from bench.moves import BATCH, HELD, PAUSE, faults, stock
from catalog.factory import open_catalog
from catalog.model import FINISHED_STATES
from marconi_proxy.background import ended
from marconi_proxy.fencing.transitions import seal
from tests.checker.judge import Violation
from tests.faults.evil_host import PATIENCE
from tests.unit.catalog_stage import partition, placement
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


async def test_records_of_ended_moves_are_there_beforehand(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'catalog.db'}"
    await stock(uri, ("p1", "p2"), BATCH + 1)
    catalog = await open_catalog(uri)
    try:
        await catalog.check()
        assert len(await catalog.moves.find(states=FINISHED_STATES, limit=2 * BATCH)) == BATCH + 1
    finally:
        await catalog.close()


@pytest.mark.parametrize("store", ["sqlite", "mongodb"])
async def test_a_crowd_acknowledges_what_it_is_shown(
    store: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    uri = f"sqlite:///{tmp_path / 'catalog.db'}"
    if store == "mongodb":
        uri = request.getfixturevalue("mongodb_database_uri")
    await stock(uri, ("p1", "p2"), 0)
    catalog = await open_catalog(uri)
    attending = asyncio.create_task(Crowd(3, 15.0).attend(uri))
    try:
        async with asyncio.timeout(PATIENCE):
            while len(await catalog.members.all()) < 3:  # noqa: ASYNC110 - the store rings no bell
                await asyncio.sleep(0.01)
            await catalog.partitions.insert(partition("p1"))
            opened = placement("q")
            await catalog.placements.insert(opened)
            sealed = seal(opened, "m1", 0.0, 4)
            await catalog.placements.replace(sealed)
            while any(member.acks != {sealed.seal} for member in await catalog.members.all()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    finally:
        await ended([attending])
        await catalog.close()
