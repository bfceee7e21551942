"""A replica set that loses its primary while the catalog is in use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from catalog import Catalog, open_catalog
from catalog.errors import CatalogUnavailable, Conflict
from catalog.model import Placement, QueueKey, Synced
from catalog.mongodb import store
from tests.conftest import FORGOTTEN_SOCKETS
from tests.contract.examples import PATIENCE, dangling, partition, placement
from tests.servers.mongod import ReplicaSet, mongod_replica_set

pytestmark = [FORGOTTEN_SOCKETS, pytest.mark.usefixtures("forgotten_sockets")]

QUEUES = [f"queue-{n}" for n in range(6)]


@pytest.fixture(scope="module")
def replica_set() -> Iterator[ReplicaSet]:
    with mongod_replica_set(nodes=3) as replica_set:
        yield replica_set


def kill(replica_set: ReplicaSet) -> Callable[[], None]:
    """Kill the primary; return what repairs the set."""
    return replica_set.kill_primary().start


def step_down(replica_set: ReplicaSet) -> Callable[[], None]:
    """Make the primary step down; nothing is to be repaired."""
    replica_set.step_down()
    return lambda: None


@pytest.fixture
async def catalog(replica_set: ReplicaSet, request: pytest.FixtureRequest) -> AsyncIterator[Catalog]:
    catalog = await open_catalog(replica_set.uri(f"test_{abs(hash(request.node.name))}"))
    await catalog.init()
    await catalog.insert_partition(partition("p1"))
    await catalog.insert_partition(partition("p2"))
    yield catalog
    await catalog.close()


class Writer:
    """Writes to one queue without pause, and remembers what it was told."""

    def __init__(self, catalog: Catalog, queue: str) -> None:
        self.key = QueueKey("project", queue)
        self.stored: Placement | None = None
        self.written = 0
        self.doubts = 0
        self._catalog = catalog

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            epoch = self.stored.epoch + 1 if self.stored else 1
            candidate = placement(self.key.queue, "p1", epoch=epoch, since=float(epoch))
            await self._store(candidate)
            self.stored = candidate
            self.written += 1

    async def _store(self, candidate: Placement) -> None:
        """Write until it is certain; nobody else writes to this queue, so there is never a conflict."""
        while True:
            try:
                if self.stored is None:
                    assert await self._catalog.insert_placement(candidate) == (candidate, True)
                else:
                    await self._catalog.replace_placement(candidate)
                return
            except CatalogUnavailable:
                self.doubts += 1  # it may have happened or not: repeat it


async def until(condition: Callable[[], bool]) -> None:
    """Return when the condition holds."""
    async with asyncio.timeout(2 * PATIENCE):
        while not condition():  # noqa: ASYNC110 -- what is awaited happens in several places
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("lose", [kill, step_down])
async def test_every_write_ends_in_success_or_doubt_that_a_repetition_resolves(
    catalog: Catalog, replica_set: ReplicaSet, lose: Callable[[ReplicaSet], Callable[[], None]]
) -> None:
    stop = asyncio.Event()
    writers = [Writer(catalog, queue) for queue in QUEUES]
    async with asyncio.TaskGroup() as group:
        for writer in writers:
            group.create_task(writer.run(stop))
        await until(lambda: all(w.written >= 10 for w in writers))
        repair = await asyncio.to_thread(lose, replica_set)
        at_loss = [w.written for w in writers]
        await until(lambda: all(w.written >= before + 10 for w, before in zip(writers, at_loss, strict=True)))
        stop.set()
    fresh = await open_catalog(replica_set.uri(catalog._store.database.name))
    for writer in writers:
        # No conflict was met on the way, so every epoch was stored exactly once; and the last one is there.
        assert await fresh.get_placement(writer.key) == writer.stored
        assert writer.stored is not None
        assert writer.stored.epoch == writer.written
    assert await fresh.count_placements() == len(QUEUES)
    await fresh.close()
    await asyncio.to_thread(repair)
    await asyncio.to_thread(replica_set.wait_for_secondaries)


@pytest.mark.parametrize("lose", [kill, step_down])
async def test_a_feed_shows_every_write_or_says_that_it_cannot(
    catalog: Catalog, replica_set: ReplicaSet, lose: Callable[[ReplicaSet], Callable[[], None]]
) -> None:
    stop = asyncio.Event()
    writer = Writer(catalog, "orders")
    known: dict[str, int] = {}
    gaps: list[tuple[int, int]] = []

    async def follow() -> None:
        while True:
            try:
                async for item in catalog.watch():
                    if isinstance(item, Synced):
                        if item.fresh:  # drop what is known, and read anew
                            stored = await catalog.get_placement(writer.key)
                            known["orders"] = stored.epoch if stored else 0
                    elif item.epoch is not None and item.epoch > known["orders"]:
                        if item.epoch != known["orders"] + 1:
                            gaps.append((known["orders"], item.epoch))
                        known["orders"] = item.epoch
            except CatalogUnavailable:
                continue

    following = asyncio.create_task(follow())
    await until(lambda: "orders" in known)
    writing = asyncio.create_task(writer.run(stop))
    await until(lambda: writer.written >= 20)
    repair = await asyncio.to_thread(lose, replica_set)
    at_loss = writer.written
    await until(lambda: writer.written >= at_loss + 20)
    stop.set()
    await writing
    await until(lambda: known["orders"] == writer.written)
    assert gaps == []
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    await asyncio.to_thread(repair)
    await asyncio.to_thread(replica_set.wait_for_secondaries)


async def test_racing_for_queues_while_the_primary_is_lost(catalog: Catalog, replica_set: ReplicaSet) -> None:
    """Many race for each queue, repeating what ends in doubt: one wins, all agree, and nothing dangles."""
    others = [await open_catalog(replica_set.uri(catalog._store.database.name)) for _ in range(3)]
    contenders = [catalog, *others]
    started = asyncio.Event()

    async def place(n: int, queue: str) -> tuple[Placement, bool]:
        candidate = placement(queue, f"p{n % 2 + 1}", since=float(n))
        while True:
            try:
                answer = await contenders[n].insert_placement(candidate)
                started.set()
                return answer
            except CatalogUnavailable:
                continue

    async def contend(n: int) -> list[tuple[Placement, bool]]:
        return [await place(n, f"queue-{i:03}") for i in range(150)]

    async def lose_it() -> Callable[[], None]:
        await started.wait()
        return await asyncio.to_thread(kill, replica_set)

    repair, *answers = await asyncio.gather(lose_it(), *(contend(n) for n in range(4)))
    for round_ in zip(*answers, strict=True):
        assert len({stored for stored, _ in round_}) == 1
        assert sum(inserted for _, inserted in round_) == 1
    assert await catalog.list_placements(limit=1000) == [stored for stored, _ in answers[0]]
    assert await dangling(catalog) == []
    for other in others:
        await other.close()
    await asyncio.to_thread(repair)
    await asyncio.to_thread(replica_set.wait_for_secondaries)


async def test_without_a_majority_nothing_is_acknowledged(
    catalog: Catalog, replica_set: ReplicaSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    await catalog.insert_placement(placement("orders"))
    monkeypatch.setattr(store, "VERB_TIMEOUT", 1.0)
    first = await asyncio.to_thread(replica_set.kill_primary)
    second = await asyncio.to_thread(replica_set.kill_primary)
    for call in (
        catalog.ping(),
        catalog.replace_placement(placement("orders", epoch=2)),
        catalog.get_placement(QueueKey("project", "orders")),
    ):
        with pytest.raises(CatalogUnavailable, match=r"MongoDB catalog 127\.0\.0\.1"):
            await call
    monkeypatch.undo()
    await asyncio.to_thread(first.start)
    await asyncio.to_thread(second.start)
    await asyncio.to_thread(replica_set.wait_for_primary)
    await asyncio.to_thread(replica_set.wait_for_secondaries)
    await catalog.replace_placement(placement("orders", epoch=2))
    assert await catalog.get_placement(QueueKey("project", "orders")) == placement("orders", epoch=2)
    with pytest.raises(Conflict):
        await catalog.replace_placement(placement("orders", "p2", epoch=2))
