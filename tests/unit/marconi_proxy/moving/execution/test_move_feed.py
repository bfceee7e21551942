"""The changes that a mover takes from the feed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from catalog.errors import CatalogUnavailable
from catalog.model import Change, ChangeSubject, Partition, Synced
from catalog.sqlite.driver import SQLiteCatalog
from marconi_proxy.moving.execution.known_partitions import KnownPartitions
from marconi_proxy.moving.execution.move_feed import follow
from tests.faults.evil_host import settled
from tests.unit.catalog_stage import Staged
from tests.unit.moving_world import make_partition

Heard = list[tuple[str | None, int | None]]


@pytest.fixture
async def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Staged]:
    monkeypatch.setattr(random, "uniform", lambda low, high: 0.0)  # the pause before a cut feed is taken up again
    real = await SQLiteCatalog.open(str(tmp_path / "catalog.db"))
    catalog = Staged(real)
    catalog.hold_feed()
    yield catalog
    await real.close()


@pytest.fixture
def reads() -> list[str]:
    """The names of partitions that were read from the catalog."""
    return []


@pytest.fixture
def known(reads: list[str]) -> KnownPartitions:
    async def read(name: str) -> Partition:
        reads.append(name)
        return make_partition(name)

    return KnownPartitions(read)


@pytest.fixture
async def heard(catalog: Staged, known: KnownPartitions) -> AsyncIterator[Heard]:
    heard: Heard = []
    following = asyncio.create_task(
        follow(catalog, lambda id_, version: heard.append((id_, version)), known)  # type: ignore[arg-type]
    )
    await settled(lambda: heard)
    yield heard
    following.cancel()


async def test_changes_of_moves_are_heard_and_no_others(catalog: Staged, heard: Heard) -> None:
    # At first any of them may have changed.
    assert heard == [(None, None)]
    catalog.show(Change(1, ChangeSubject.PLACEMENT, ("p", "q"), 2, "born", True))
    catalog.show(Change(2, ChangeSubject.PLAN, ("plan-1",), 3))
    catalog.show(Synced(3, fresh=False))
    catalog.show(Change(4, ChangeSubject.MOVE, ("m-1",), 7))
    catalog.show(Change(5, ChangeSubject.MOVE, ("m-2",)))
    await settled(lambda: len(heard) == 3)
    assert heard[1:] == [("m-1", 7), ("m-2", None)]


async def test_a_partition_is_read_again_after_its_change_and_while_the_feed_is_cut(
    catalog: Staged, heard: Heard, known: KnownPartitions, reads: list[str]
) -> None:
    for changed in (None, "p2", "p1"):
        if changed is not None:
            catalog.show(Change(1, ChangeSubject.PARTITION, (changed,)))
            catalog.show(Change(2, ChangeSubject.MOVE, (f"after {changed}",)))
            await settled(lambda changed=changed: heard[-1][0] == f"after {changed}")
        await known.get("p1")
    assert reads == ["p1"] * 2
    catalog.fail("watch", 1000)
    catalog.show(CatalogUnavailable("away"))
    await settled(lambda: catalog.calls["watch"] > 1)
    for _ in range(2):
        await known.get("p1")
    assert reads == ["p1"] * 4


@pytest.mark.parametrize("cut", [CatalogUnavailable("away"), RuntimeError("a mistake")], ids=["away", "a mistake"])
async def test_a_feed_that_is_cut_is_taken_up_again_and_any_move_may_have_changed(
    catalog: Staged, heard: Heard, cut: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    catalog.fail("watch", 3)
    catalog.show(cut)
    await settled(lambda: len(heard) == 2)
    assert heard[1] == (None, None)
    assert catalog.calls["watch"] == 5
    # Once, however often it fails then.
    assert len(caplog.records) == 1
