"""The partitions that a mover need not read again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from catalog.model import Partition
from marconi_proxy.moving.execution.known_partitions import KnownPartitions
from tests.unit.moving_world import make_partition


class Stored:
    """A catalog's partition p1, with a count of the reads. ``overtaken`` runs within the next one, after it."""

    def __init__(self) -> None:
        self.partition: Partition | None = make_partition("p1")
        self.reads = 0
        self.overtaken = lambda: None

    async def read(self, name: str) -> Partition | None:
        assert name == "p1"
        self.reads += 1
        found = self.partition
        self.overtaken()
        return found


@pytest.fixture
def stored() -> Stored:
    return Stored()


@pytest.fixture
def known(stored: Stored) -> KnownPartitions:
    return KnownPartitions(stored.read)


async def test_without_a_feed_each_call_reads(stored: Stored, known: KnownPartitions) -> None:
    for _ in range(3):
        assert await known.get("p1") == stored.partition
    assert stored.reads == 3


async def test_a_partition_is_read_again_after_its_change_only(stored: Stored, known: KnownPartitions) -> None:
    known.fed(True)
    for _ in range(3):
        assert await known.get("p1") == stored.partition
    known.changed("p2")
    assert await known.get("p1") == stored.partition
    assert stored.reads == 1
    assert stored.partition is not None
    stored.partition = replace(stored.partition, version=2)
    known.changed("p1")
    for _ in range(2):
        assert await known.get("p1") == stored.partition
    assert stored.reads == 2


@pytest.mark.parametrize("is_fed", [True, False])
async def test_after_a_cut_nothing_is_known(stored: Stored, known: KnownPartitions, is_fed: bool) -> None:
    known.fed(True)
    await known.get("p1")
    stored.partition = None
    known.fed(is_fed)
    for _ in range(2):
        assert await known.get("p1") is None
    # It may be registered without a feed, or before the feed shows it.
    assert stored.reads == 3


async def test_a_read_that_a_change_overtakes_is_not_kept(stored: Stored, known: KnownPartitions) -> None:
    known.fed(True)
    stored.overtaken = lambda: known.changed("p1")
    await known.get("p1")
    stored.overtaken = lambda: None
    await known.get("p1")
    assert stored.reads == 2
