"""Restoring a backup: what was given out since it was taken is never given again."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from catalog.backup.exporter import export
from catalog.backup.importer import load
from catalog.model import Partition, Placement, PlacementState, QueueKey, Segment
from marconi_proxy.fencing.transitions import rehome, retire, seal, switch
from marconi_proxy.routing.tags import is_news, owner, resume
from tests.contract.examples import placement
from tests.simulation.memory_catalog import MemoryCatalog, Store

KEY = QueueKey("project", "orders")
START = 1_700_000_000.0


class History:
    """A queue in a catalog that is restored from older backups again and again. Times go by as ``now``."""

    def __init__(self) -> None:
        self.now = START
        self.catalog = MemoryCatalog(Store(lambda: self.now))
        self.backups: list[bytes] = []
        # Which epochs placements had, and which numbers segments, in the order in which they were given.
        self.epochs: list[int] = [1]
        self.numbers: list[int] = [0]

    async def begin(self) -> None:
        for name in ("p1", "p2"):
            await self.catalog.partitions.insert(Partition(name, (f"http://{name}.example",)))
        await self.catalog.placements.insert(placement("orders"))
        await self.back_up()

    async def _put(self, changed: Placement) -> Placement:
        await self.catalog.placements.replace(changed)
        self.epochs.append(changed.epoch)
        return changed

    async def move(self) -> None:
        stored = await self.catalog.placements.get(KEY)
        assert stored is not None
        sealed = await self._put(seal(stored, "m-1", self.now, 4))
        target = "p2" if stored.partition == "p1" else "p1"
        switched = await self._put(switch(sealed, "m-1", target, "orders", self.now))
        self.numbers.append(switched.segments[-1].n)
        await self._put(retire(switched, stored.segments[-1].n, self.now))
        self.now += 60.0

    async def back_up(self) -> None:
        out = io.BytesIO()
        await export(self.catalog, out, datetime.fromtimestamp(self.now, UTC), lambda counts: None)
        self.backups.append(out.getvalue())

    async def restore(self, which: int) -> None:
        self.now += 60.0
        kept = io.BytesIO(self.backups[which % len(self.backups)])
        await load(self.catalog, kept, self.now, replace=True, seen=lambda backup: None)


STEPS = st.lists(st.sampled_from(["move", "move", "back up"]) | st.integers(0, 9), min_size=3, max_size=25)


@given(STEPS)
async def test_no_epoch_and_no_number_of_a_segment_is_given_twice(steps: list[str | int]) -> None:
    history = History()
    await history.begin()
    for step in steps:
        if step == "move":
            await history.move()
        elif step == "back up":
            await history.back_up()
        else:
            await history.restore(int(step))
    for given_out in (history.epochs, history.numbers):
        assert given_out == sorted(set(given_out)), steps


async def test_a_restored_queue_is_moved_on_under_numbers_that_tags_can_hold() -> None:
    history = History()
    await history.begin()
    history.now = datetime(2200, 1, 1, tzinfo=UTC).timestamp()
    await history.restore(0)
    await history.move()
    stored = await history.catalog.placements.get(KEY)
    assert stored is not None
    assert owner(stored, f"s{stored.segments[-1].n}-x") == stored.segments[-1]


def test_the_clock_of_an_import_may_be_wrong() -> None:
    old = placement("orders", "p1", "p2", epoch=2_000_000_000)
    assert (old.restored(5.0).epoch, old.restored(5.0).next_n) == (2_000_000_000, 2)


def test_what_a_lost_catalog_gave_out_is_neither_news_nor_of_the_base() -> None:
    stored = placement("orders", "p1", "p2").restored(START)
    first, last = stored.segments
    assert not is_news(stored, "s7-x")
    assert owner(stored, "s7-x") is None
    assert resume(stored, "s7-x") == ((last,), None)
    assert resume(stored, "x") == ((first, last), "x")
    assert is_news(stored, f"s{stored.floor}-x")


def test_a_place_that_is_kept_gets_a_number_from_there_on_too() -> None:
    kept = placement("orders", state=PlacementState.RESERVED).restored(START)
    assert rehome(kept, "p2", START).segments == (Segment(170_000_000, "p2", "orders"),)


def test_a_placement_of_version_3_has_no_floor() -> None:
    stored = placement("orders", "p1", "p2")
    document = stored.to_json()
    del document["floor"]
    assert Placement.from_json(document) == stored == replace(stored, floor=0)
    assert stored.next_n == 2
