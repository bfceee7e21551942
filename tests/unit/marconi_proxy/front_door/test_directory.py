"""The view that a worker has of the catalog, and how it is corrected."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest

from catalog.errors import CatalogUnavailable, PartitionInUse
from catalog.model import (
    Change,
    ChangeSubject,
    Partition,
    PartitionState,
    Placement,
    PlacementState,
    QueueKey,
    Seal,
    Segment,
    Synced,
    Tenant,
)
from catalog.sqlite.driver import SQLiteCatalog
from marconi_proxy.fencing.fence import Fence
from marconi_proxy.fencing.transitions import bar, prepare, seal, withdraw
from marconi_proxy.front_door import directory as directory_module
from marconi_proxy.front_door.directory import Directory
from marconi_proxy.front_door.seals import Seals
from marconi_proxy.upstream.exchange import Upstream
from marconi_proxy.upstream.limits import UpstreamLimits
from marconi_proxy.upstream.pool import Pool
from tests.faults.evil_host import PATIENCE, settled
from tests.unit.catalog_stage import BORN, PROJECT, Staged, key, partition, placement

AWAY = CatalogUnavailable("the store is away")


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[Staged]:
    """A catalog with p1, p2 and the queues q1, q2, q3 on p1."""
    real = await SQLiteCatalog.open(str(tmp_path / "catalog.db"))
    for name in ("p1", "p2"):
        await real.partitions.insert(partition(name))
    for queue in ("q1", "q2", "q3"):
        await real.placements.insert(placement(queue))
    yield Staged(real)
    await real.close()


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    pool = Pool(connect_timeout=1.0, idle_timeout=1.0, max_head=65536)
    yield pool
    pool.close()


@pytest.fixture
async def directory(catalog: Staged, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Directory]:
    monkeypatch.setattr(random, "uniform", lambda low, high: 0.0)  # the pause before a cut feed is taken up again

    def open_upstream(opened: Partition) -> Upstream:
        return Upstream(opened, pool, UpstreamLimits(), random.Random(1))

    directory = Directory(catalog, open_upstream, cache_size=100)  # type: ignore[arg-type]
    yield directory
    await directory.stop()


@pytest.fixture
async def held(catalog: Staged, directory: Directory) -> Directory:
    """A directory in step with the catalog, which sees changes at the test's command."""
    catalog.hold_feed()
    await directory.start(PATIENCE)
    return directory


class News:
    """Shows changes on the held feed and waits until they are taken in."""

    def __init__(self, catalog: Staged, directory: Directory) -> None:
        self._catalog = catalog
        self._directory = directory
        self._position = 0

    async def __call__(
        self, subject: ChangeSubject, *name: str, epoch: int | None = None, incarnation: str = BORN
    ) -> None:
        self._position += 1
        self._catalog.show(Change(self._position, subject, name, epoch, None if epoch is None else incarnation))
        await settled(lambda: self._directory.applied == self._position)


@pytest.fixture
def news(catalog: Staged, held: Directory) -> News:
    return News(catalog, held)


async def cut(catalog: Staged, directory: Directory) -> None:
    """Cut the feed, for as long as the test lasts."""
    catalog.fail("watch", 10_000_000)
    catalog.show(AWAY)
    await settled(lambda: not directory.synced)


# -- starting ----------------------------------------------------------------------------------------------------------


async def test_in_step_after_start(directory: Directory) -> None:
    await directory.start(PATIENCE)
    assert directory.synced
    assert directory.applied == 5
    assert {p.name for p in directory.partitions} == {"p1", "p2"}
    assert repr(directory) == "<Directory synced at 5, 0 placements, 2 partitions>"


async def test_a_catalog_that_cannot_be_reached_at_start(
    catalog: Staged, directory: Directory, caplog: pytest.LogCaptureFixture
) -> None:
    catalog.fail("watch", 10_000_000)
    await directory.start(0.0)
    assert not directory.synced
    assert "cannot be reached yet" in caplog.text
    catalog._before.clear()
    await settled(lambda: directory.synced)
    assert {p.name for p in directory.partitions} == {"p1", "p2"}


async def test_not_in_step_until_partitions_are_known(catalog: Staged, directory: Directory) -> None:
    catalog.fail("partitions.all", 2)
    await directory.start(PATIENCE)
    assert directory.synced
    assert catalog.calls["watch"] == 3
    assert len(directory.partitions) == 2


async def test_stopping_before_and_after_starting(directory: Directory) -> None:
    await directory.stop()
    await directory.start(PATIENCE)
    await directory.stop()
    await directory.stop()


# -- placements --------------------------------------------------------------------------------------------------------


async def test_a_placement_is_read_once(catalog: Staged, held: Directory) -> None:
    assert held.cached(key("q1")) is None
    assert await held.find(key("q1")) == placement("q1")
    assert held.cached(key("q1")) == placement("q1")
    assert await held.find(key("q1")) is held.cached(key("q1"))
    assert catalog.calls["placements.get"] == 1


async def test_many_who_ask_share_one_read(catalog: Staged, held: Directory) -> None:
    found = await asyncio.gather(*(held.find(key("q1")) for _ in range(50)))
    assert found == [placement("q1")] * 50
    assert catalog.calls["placements.get"] == 1


async def test_that_there_is_no_placement_is_not_remembered(catalog: Staged, held: Directory) -> None:
    assert await held.find(key("new")) is None
    await catalog.real.placements.insert(placement("new"))
    assert await held.find(key("new")) == placement("new")


async def test_one_who_gives_up_does_not_take_the_answer_from_others(catalog: Staged, held: Directory) -> None:
    go = asyncio.Event()
    catalog.before("placements.get", go.wait)
    impatient, patient = (asyncio.create_task(held.find(key("q1"))) for _ in range(2))
    await settled(lambda: catalog.calls["placements.get"])
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    go.set()
    assert await patient == placement("q1")
    assert catalog.calls["placements.get"] == 1


async def test_a_read_that_fails_fails_for_all_and_is_tried_anew(catalog: Staged, held: Directory) -> None:
    catalog.fail("placements.get")
    results = await asyncio.gather(*(held.find(key("q1")) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [CatalogUnavailable] * 3
    assert await held.find(key("q1")) == placement("q1")


async def test_the_cache_is_bounded(catalog: Staged, pool: Pool) -> None:
    small = Directory(catalog, lambda p: Upstream(p, pool, UpstreamLimits(), random.Random(1)), cache_size=2)  # type: ignore[arg-type]
    await small.start(PATIENCE)
    for queue in ("q1", "q2", "q1", "q3"):
        await small.find(key(queue))
    assert [small.cached(key(q)) is not None for q in ("q1", "q2", "q3")] == [True, False, True]
    await small.stop()


async def test_forgetting(catalog: Staged, held: Directory) -> None:
    await held.find(key("q1"))
    held.forget(key("q1"))
    held.forget(key("unknown"))
    assert held.cached(key("q1")) is None
    assert await held.find(key("q1")) == placement("q1")


async def test_looking_past_what_is_known(catalog: Staged, held: Directory) -> None:
    await held.find(key("q1"))
    newer = placement("q1", "p2", epoch=2)
    await catalog.real.placements.replace(newer)
    assert await held.look(key("q1")) == newer
    assert held.cached(key("q1")) is None
    assert await held.find(key("q1")) == newer
    assert await held.look(key("q1")) == newer
    assert held.cached(key("q1")) == newer


async def test_looking_while_the_store_is_away_forgets_nothing(catalog: Staged, held: Directory) -> None:
    known = await held.find(key("q1"))
    catalog.fail("placements.get")
    with pytest.raises(CatalogUnavailable):
        await held.look(key("q1"))
    assert held.cached(key("q1")) == known


async def test_a_removal_of_what_was_known_until_a_look_is_told_too(
    catalog: Staged, held: Directory, news: News, removed
) -> None:
    await held.find(key("q1"))
    await catalog.real.placements.remove(key("q1"), 1, BORN)
    assert await held.look(key("q1")) is None
    await news(ChangeSubject.PLACEMENT, PROJECT, "q1")
    assert removed == [(key("q1"), Segment(0, "p1", "q1"))]


async def test_a_read_under_way_is_forgotten_too(catalog: Staged, held: Directory) -> None:
    go = asyncio.Event()
    catalog.before("placements.get", go.wait)
    reading = asyncio.create_task(held.find(key("q1")))
    await settled(lambda: catalog.calls["placements.get"])
    held.forget(key("q1"))
    go.set()
    assert await reading == placement("q1")
    assert held.cached(key("q1")) is None


# -- changes of placements ---------------------------------------------------------------------------------------------


async def read_all(directory: Directory) -> None:
    for queue in ("q1", "q2", "q3"):
        await directory.find(key(queue))
    await directory.tenant(PROJECT)


def known(directory: Directory) -> list[bool]:
    return [directory.cached(key(queue)) is not None for queue in ("q1", "q2", "q3")]


@pytest.mark.parametrize("epoch", [2, 7, None], ids=["changed", "changed often", "removed"])
async def test_a_change_drops_that_placement_and_no_other(
    catalog: Staged, held: Directory, news: News, epoch: int | None
) -> None:
    await read_all(held)
    await news(ChangeSubject.PLACEMENT, PROJECT, "q2", epoch=epoch)
    assert known(held) == [True, False, True]
    catalog.calls.clear()
    await held.tenant(PROJECT)
    assert catalog.calls.total() == 0


@pytest.fixture
def removed(held: Directory) -> list[tuple[QueueKey, Segment]]:
    """Return the list of removals that the directory reports."""
    told: list[tuple[QueueKey, Segment]] = []
    held.on_removal = lambda key, segment: told.append((key, segment))
    return told


async def test_a_removal_of_what_is_known_is_told_with_its_place(held: Directory, news: News, removed) -> None:
    await read_all(held)
    await news(ChangeSubject.PLACEMENT, PROJECT, "q2", epoch=None)
    assert removed == [(key("q2"), Segment(0, "p1", "q2"))]
    await news(ChangeSubject.PLACEMENT, PROJECT, "q2", epoch=None)
    assert len(removed) == 1


async def test_a_removal_of_what_was_known_until_a_change_is_told_too(held: Directory, news: News, removed) -> None:
    await read_all(held)
    await news(ChangeSubject.PLACEMENT, PROJECT, "q2", epoch=2)
    assert removed == []
    await news(ChangeSubject.PLACEMENT, PROJECT, "q2", epoch=None)
    assert removed == [(key("q2"), Segment(0, "p1", "q2"))]


async def test_a_removal_of_what_was_never_known_is_not_told(held: Directory, news: News, removed) -> None:
    await news(ChangeSubject.PLACEMENT, PROJECT, "q2", epoch=None)
    assert removed == []


class Shown(NamedTuple):
    """Changes that the feed shows while a queue is created at epoch 2, and whether the placement is kept."""

    name: str
    changes: tuple[tuple[int | None, str], ...]
    kept: bool


SHOWN = (
    Shown("nothing yet", (), True),
    Shown("the insertion", ((1, BORN),), True),
    Shown("all of it", ((1, BORN), (2, BORN)), True),
    Shown("a later change", ((1, BORN), (2, BORN), (3, BORN)), False),
    Shown("its removal", ((1, BORN), (None, BORN)), False),
    Shown("a later life", ((1, "later"),), False),
    Shown("the removal of an earlier life, first", ((None, "earlier"), (1, BORN)), True),
)


@pytest.mark.parametrize("shown", SHOWN, ids=[shown.name for shown in SHOWN])
async def test_a_queue_that_this_worker_has_just_created_is_known(
    held: Directory, news: News, catalog: Staged, shown: Shown
) -> None:
    written = placement("new", epoch=2)
    with held.creating(written.key):
        for epoch, incarnation in shown.changes:
            await news(ChangeSubject.PLACEMENT, PROJECT, "new", epoch=epoch, incarnation=incarnation)
        held.learn(written)
    assert held.cached(written.key) == (written if shown.kept else None)
    if shown.kept:
        # The feed may show it late.
        await news(ChangeSubject.PLACEMENT, PROJECT, "new", epoch=1)
        await news(ChangeSubject.PLACEMENT, PROJECT, "new", epoch=2)
        assert held.cached(written.key) == written
        await news(ChangeSubject.PLACEMENT, PROJECT, "new", epoch=3)
        assert held.cached(written.key) is None


async def test_a_created_queue_is_not_learnt_later_nor_while_the_feed_is_cut(held: Directory, catalog: Staged) -> None:
    written = placement("new", epoch=2)
    with held.creating(written.key):
        pass
    held.learn(written)
    with held.creating(written.key):
        held.forget_all()  # a term has begun: movers did not wait for this worker
        held.learn(written)
    with held.creating(written.key):
        await cut(catalog, held)
        held.learn(written)
    assert held.cached(written.key) is None


async def test_an_older_read_does_not_replace_a_created_queue(held: Directory, catalog: Staged) -> None:
    written = placement("new", epoch=2)
    gate = asyncio.Event()
    catalog.before("placements.get", gate.wait)
    reading = asyncio.create_task(held.find(written.key))
    await settled(lambda: catalog.calls["placements.get"])
    with held.creating(written.key):
        held.learn(written)
    gate.set()
    assert await reading is None
    assert held.cached(written.key) == written


async def test_a_later_life_at_the_same_epoch_drops_the_earlier_one(held: Directory, news: News) -> None:
    await held.find(key("q2"))
    await news(ChangeSubject.PLACEMENT, PROJECT, "q2", epoch=1, incarnation="later")
    assert held.cached(key("q2")) is None


async def test_a_change_that_is_known_already_drops_nothing(held: Directory, news: News) -> None:
    await read_all(held)
    await news(ChangeSubject.PLACEMENT, PROJECT, "q2", epoch=1)
    assert known(held) == [True, True, True]


@pytest.mark.parametrize("name", [("other", "q2"), (PROJECT, "Q2"), (PROJECT, "~q2"), ("", "q2")], ids=str)
async def test_a_change_of_another_queue_drops_nothing(held: Directory, news: News, name: tuple[str, str]) -> None:
    await read_all(held)
    await news(ChangeSubject.PLACEMENT, *name, epoch=9)
    assert known(held) == [True, True, True]


async def test_a_read_under_way_when_a_change_comes_in_is_not_kept(
    catalog: Staged, held: Directory, news: News
) -> None:
    go = asyncio.Event()
    catalog.before("placements.get", go.wait)
    reading = asyncio.create_task(held.find(key("q1")))
    await settled(lambda: catalog.calls["placements.get"])
    await news(ChangeSubject.PLACEMENT, PROJECT, "q1", epoch=2)
    go.set()
    assert await reading == placement("q1")
    assert held.cached(key("q1")) is None
    # A lookup now reads the catalog, and the answer is kept.
    await held.find(key("q1"))
    assert catalog.calls["placements.get"] == 2
    assert held.cached(key("q1")) is not None


async def test_who_asks_after_a_change_does_not_get_a_read_from_before_it(
    catalog: Staged, held: Directory, news: News
) -> None:
    read, go = asyncio.Event(), asyncio.Event()
    original = catalog.real.placements.get

    async def slow_to_answer(asked: QueueKey) -> Placement | None:
        found = await original(asked)
        read.set()
        await go.wait()
        return found

    catalog.real.placements.get = slow_to_answer  # type: ignore[method-assign, assignment]
    early = asyncio.create_task(held.find(key("q1")))
    await read.wait()
    catalog.real.placements.get = original  # type: ignore[method-assign]
    await catalog.real.placements.replace(placement("q1", epoch=2, since=9.0))
    await news(ChangeSubject.PLACEMENT, PROJECT, "q1", epoch=2)
    late = await held.find(key("q1"))
    go.set()
    assert late == placement("q1", epoch=2, since=9.0)
    assert await early == placement("q1")
    assert held.cached(key("q1")) == late


async def test_a_change_in_the_catalog_reaches_a_worker(catalog: Staged, directory: Directory) -> None:
    await directory.start(PATIENCE)
    await read_all(directory)
    await catalog.real.placements.replace(placement("q1", epoch=2, since=9.0))
    await catalog.real.placements.remove(key("q2"), 1, BORN)
    await settled(lambda: known(directory) == [False, False, True])
    assert await directory.find(key("q1")) == placement("q1", epoch=2, since=9.0)
    assert await directory.find(key("q2")) is None


# -- the feed is cut ---------------------------------------------------------------------------------------------------


async def test_while_the_feed_is_cut_what_is_known_is_served_and_nothing_is_added(
    catalog: Staged, held: Directory
) -> None:
    await held.find(key("q1"))
    await held.tenant("known")
    await cut(catalog, held)
    catalog.calls.clear()
    assert held.cached(key("q1")) == placement("q1")
    assert await held.find(key("q1")) == placement("q1")
    await held.tenant("known")
    assert catalog.calls["placements.get"] == catalog.calls["tenants.get"] == 0
    for _ in range(2):
        assert await held.find(key("q2")) == placement("q2")
        assert await held.tenant("unknown") is None
    assert held.cached(key("q2")) is None
    assert catalog.calls["placements.get"] == catalog.calls["tenants.get"] == 2
    assert {p.name for p in held.partitions} == {"p1", "p2"}


async def test_a_read_under_way_when_the_feed_is_cut_is_not_kept(catalog: Staged, held: Directory) -> None:
    go = asyncio.Event()
    catalog.before("placements.get", go.wait)
    reading = asyncio.create_task(held.find(key("q1")))
    await settled(lambda: catalog.calls["placements.get"])
    await cut(catalog, held)
    go.set()
    await reading
    assert held.cached(key("q1")) is None


async def test_when_the_feed_is_back_everything_is_forgotten(catalog: Staged, held: Directory) -> None:
    await read_all(held)
    await catalog.real.tenants.put(Tenant(PROJECT, spread=2))
    await catalog.real.partitions.insert(partition("p3"))
    catalog.position = 40
    catalog.show(AWAY)
    await settled(lambda: held.applied == 40 and held.synced)
    assert known(held) == [False, False, False]
    assert await held.tenant(PROJECT) == Tenant(PROJECT, spread=2)
    assert {p.name for p in held.partitions} == {"p1", "p2", "p3"}


async def test_a_read_under_way_over_a_cut_is_not_kept(catalog: Staged, held: Directory) -> None:
    go = asyncio.Event()
    catalog.before("placements.get", go.wait)
    reading = asyncio.create_task(held.find(key("q1")))
    await settled(lambda: catalog.calls["placements.get"])
    catalog.position = 40
    catalog.show(AWAY)
    await settled(lambda: held.applied == 40 and held.synced)
    go.set()
    await reading
    assert held.cached(key("q1")) is None


async def test_a_cut_is_logged_once(catalog: Staged, held: Directory, caplog: pytest.LogCaptureFixture) -> None:
    await cut(catalog, held)
    tries = catalog.calls["watch"]
    await settled(lambda: catalog.calls["watch"] > tries + 5)
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == [
        "the catalog's change feed is cut; calls go by the cached placements: the store is away"
    ]


async def test_a_feed_that_fails_in_an_unforeseen_way_is_taken_up_again(
    catalog: Staged, held: Directory, caplog: pytest.LogCaptureFixture
) -> None:
    await held.find(key("q1"))
    catalog.position = 40
    catalog.show(RuntimeError("a mistake"))
    await settled(lambda: held.applied == 40 and held.synced)
    assert held.cached(key("q1")) is None
    assert "a mistake" in caplog.text


async def test_a_proof_of_life_forgets_nothing(catalog: Staged, held: Directory) -> None:
    await read_all(held)
    catalog.show(Synced(7, fresh=False))
    await settled(lambda: held.applied == 7)
    assert known(held) == [True, True, True]


# -- tenants -----------------------------------------------------------------------------------------------------------


async def test_a_tenant_is_read_once_whether_there_is_one_or_not(catalog: Staged, held: Directory) -> None:
    await catalog.real.tenants.put(Tenant("a", spread=3))
    for _ in range(3):
        assert await held.tenant("a") == Tenant("a", spread=3)
        assert await held.tenant("b") is None
    assert catalog.calls["tenants.get"] == 2


async def test_a_change_of_a_tenant(catalog: Staged, held: Directory, news: News) -> None:
    await read_all(held)
    await held.tenant("other")
    await catalog.real.tenants.put(Tenant(PROJECT, pinned="p2"))
    await news(ChangeSubject.TENANT, PROJECT)
    catalog.calls.clear()
    assert await held.tenant(PROJECT) == Tenant(PROJECT, pinned="p2")
    assert await held.tenant("other") is None
    assert catalog.calls["tenants.get"] == 1
    assert known(held) == [True, True, True]


async def test_a_tenant_read_while_something_changed_is_not_kept(catalog: Staged, held: Directory, news: News) -> None:
    go = asyncio.Event()
    catalog.before("tenants.get", go.wait)
    reading = asyncio.create_task(held.tenant(PROJECT))
    await settled(lambda: catalog.calls["tenants.get"])
    await news(ChangeSubject.TENANT, PROJECT)
    go.set()
    assert await reading is None
    await held.tenant(PROJECT)
    assert catalog.calls["tenants.get"] == 2


# -- partitions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("subject", [ChangeSubject.MOVE, ChangeSubject.PLAN])
async def test_moves_and_plans_are_no_concern_of_the_directory(
    catalog: Staged, held: Directory, news: News, subject: ChangeSubject
) -> None:
    await held.find(key("q1"))
    reads = catalog.calls.total()
    catalog.show(Change(7, subject, ("m-1",), 2))
    await news(ChangeSubject.TENANT, "another")
    assert held.cached(key("q1")) is not None
    assert catalog.calls.total() == reads


async def test_a_changed_partition_keeps_its_upstream(catalog: Staged, held: Directory, news: News) -> None:
    before = held.known_upstream("p1")
    changed = partition("p1", state=PartitionState.CORDONED, weight=7, version=2)
    await catalog.real.partitions.replace(changed)
    await news(ChangeSubject.PARTITION, "p1")
    assert held.known_upstream("p1") is before
    assert before is not None
    assert before.partition == changed
    assert len(held.upstreams) == 2


async def test_partitions_come_and_go(catalog: Staged, held: Directory, news: News) -> None:
    await catalog.real.partitions.insert(partition("p3"))
    await news(ChangeSubject.PARTITION, "p3")
    assert {p.name for p in held.partitions} == {"p1", "p2", "p3"}
    await catalog.real.partitions.remove("p2")
    await news(ChangeSubject.PARTITION, "p2")
    assert {p.name for p in held.partitions} == {"p1", "p3"}
    assert held.known_upstream("p2") is None
    with pytest.raises(PartitionInUse):
        await catalog.real.partitions.remove("p1")


async def test_a_partition_that_is_not_known_yet_is_asked_for(catalog: Staged, held: Directory) -> None:
    await catalog.real.partitions.insert(partition("p3"))
    assert held.known_upstream("p3") is None
    found = await held.upstream("p3")
    assert found is not None
    assert found.partition == partition("p3")
    assert await held.upstream("p3") is found
    assert catalog.calls["partitions.all"] == 2
    assert await held.upstream("p4") is None


async def test_an_older_reading_of_partitions_never_overwrites_a_newer_one(catalog: Staged, held: Directory) -> None:
    go = asyncio.Event()
    catalog.before("partitions.all", go.wait)
    first = asyncio.create_task(held.upstream("p3"))
    await settled(lambda: catalog.calls["partitions.all"] == 2)
    await catalog.real.partitions.insert(partition("p3"))
    second = asyncio.create_task(held.upstream("p3"))
    go.set()
    assert await first is await second is not None


# -- fences, and waiting for a change ----------------------------------------------------------------------------------


@pytest.fixture
async def fenced(
    catalog: Staged, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Directory, Fence, Seals]]:
    """A directory in step with the catalog, with a fence and an eye on seals."""
    monkeypatch.setattr(random, "uniform", lambda low, high: 0.0)
    catalog.hold_feed()
    fence = Fence(60.0)
    seals = Seals(catalog, 3600.0, lambda: 0.0, asyncio.get_running_loop().call_later)  # type: ignore[arg-type]
    opening = lambda p: Upstream(p, pool, UpstreamLimits(), random.Random(1))  # noqa: E731
    directory = Directory(catalog, opening, 100, fence, seals)  # type: ignore[arg-type]
    await directory.start(PATIENCE)
    yield directory, fence, seals
    await seals.stop()
    await directory.stop()


def seal_of(queue: str, position: int = 1, epoch: int = 2) -> Change:
    return Change(position, ChangeSubject.PLACEMENT, (PROJECT, queue), epoch, BORN, True)


def sealed_as(queue: str, epoch: int = 2) -> Seal:
    return Seal(PROJECT, queue, BORN, epoch)


async def test_a_seal_overtakes_the_writes_of_its_queue(
    catalog: Staged, fenced: tuple[Directory, Fence, Seals]
) -> None:
    directory, fence, seals = fenced
    await directory.find(key("q1"))
    one, other = fence.begin(key("q1")), fence.begin(key("q2"))
    told: list[int] = []
    directory.on_seal = lambda: told.append(1)
    catalog.show(seal_of("q1"))
    await settled(lambda: directory.applied == 1)
    assert (one.overtaken, other.overtaken) == (True, False)
    assert fence.acks(0.0) == frozenset()
    assert told == [1]
    assert len(seals) == 1
    fence.end(one, 0.0)
    assert fence.acks(0.0) == {sealed_as("q1")}
    catalog.show(Change(2, ChangeSubject.PLACEMENT, (PROJECT, "q1"), 3, BORN))
    await settled(lambda: directory.applied == 2)
    assert fence.acks(0.0) == frozenset()
    assert told == [1]
    assert not seals


async def test_of_a_change_that_is_known_already_the_fence_is_told_too(
    catalog: Staged, fenced: tuple[Directory, Fence, Seals]
) -> None:
    """A write may have begun before what is known was read."""
    directory, fence, _ = fenced
    write = fence.begin(key("q1"))
    sealed = placement("q1", state=PlacementState.SEALING, epoch=2)
    await catalog.real.placements.replace(sealed)
    assert await directory.find(key("q1")) == sealed
    catalog.show(seal_of("q1"))
    await settled(lambda: directory.applied == 1)
    assert directory.cached(key("q1")) == sealed
    assert write.overtaken
    assert fence.acks(0.0) == frozenset()


async def test_a_seal_that_is_read_is_seen(catalog: Staged, fenced: tuple[Directory, Fence, Seals]) -> None:
    directory, _, seals = fenced
    await catalog.real.placements.replace(placement("q1", state=PlacementState.SEALING, epoch=2))
    await directory.find(key("q1"))
    assert len(seals) == 1
    await catalog.real.placements.replace(placement("q2", state=PlacementState.SEALING, epoch=2))
    await directory.look(key("q2"))
    assert len(seals) == 2


async def feed_is_back(catalog: Staged, directory: Directory) -> None:
    catalog.position = 40
    catalog.show(AWAY)
    await settled(lambda: directory.applied == 40 and directory.synced)


async def test_after_a_cut_the_seals_in_force_are_read_and_all_that_is_under_way_must_end(
    catalog: Staged, fenced: tuple[Directory, Fence, Seals], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The feed shows no change that came while it was cut."""
    monkeypatch.setattr(directory_module, "_PAGE", 1)
    directory, fence, seals = fenced
    write, ended = fence.begin(key("q1")), fence.begin(key("q2"))
    catalog.show(seal_of("q2"))
    await settled(lambda: directory.applied == 1)
    fence.end(ended, 0.0)
    assert fence.acks(0.0) == {sealed_as("q2")}
    hurries: list[int] = []
    directory.on_seal = lambda: hurries.append(1)
    for queue in ("q1", "q3"):
        await catalog.real.placements.replace(placement(queue, state=PlacementState.SEALING, epoch=2))
    await feed_is_back(catalog, directory)
    assert write.overtaken
    # The seal of q2 is over.
    assert fence.acks(0.0) == {sealed_as("q3")}
    fence.end(write, 0.0)
    assert fence.acks(0.0) == {sealed_as("q1"), sealed_as("q3")}
    # This worker aborts an overdue seal, and renews at once.
    assert len(seals) == 3
    assert hurries == [1]


async def test_while_seals_are_read_the_feed_counts_as_cut(
    catalog: Staged, fenced: tuple[Directory, Fence, Seals]
) -> None:
    directory, fence, _ = fenced
    await catalog.real.placements.replace(placement("q1", state=PlacementState.SEALING, epoch=2))
    catalog.fail("placements.find", 2)
    await feed_is_back(catalog, directory)
    assert catalog.calls["placements.find"] >= 4
    assert fence.acks(0.0) == {sealed_as("q1")}


async def test_a_write_after_a_seal_was_read_does_not_share_a_reading_from_before_it(
    catalog: Staged, fenced: tuple[Directory, Fence, Seals]
) -> None:
    """It would go to the old segment, and would not be waited for."""
    directory, fence, _ = fenced
    listing, go = asyncio.Event(), asyncio.Event()

    async def stop_there() -> None:
        listing.set()
        await go.wait()

    catalog.before("placements.find", stop_there)
    catalog.position = 40
    catalog.show(AWAY)
    await listing.wait()
    read, answer = asyncio.Event(), asyncio.Event()
    original = catalog.real.placements.get

    async def slow_to_answer(asked: QueueKey) -> Placement | None:
        found = await original(asked)
        read.set()
        await answer.wait()
        return found

    catalog.real.placements.get = slow_to_answer  # type: ignore[method-assign, assignment]
    before = fence.begin(key("q1"))
    early = asyncio.create_task(directory.find(key("q1")))
    await read.wait()
    catalog.real.placements.get = original  # type: ignore[method-assign]
    sealed = placement("q1", state=PlacementState.SEALING, epoch=2)
    await catalog.real.placements.replace(sealed)
    go.set()
    await settled(lambda: directory.synced)
    fence.end(before, 0.0)
    assert fence.acks(0.0) == {sealed_as("q1")}
    fence.begin(key("q1"))
    late = asyncio.create_task(directory.find(key("q1")))
    await asyncio.sleep(0)
    answer.set()
    assert await late == sealed
    await early


async def test_writes_that_begin_before_the_feed_does_are_waited_for(catalog: Staged, pool: Pool) -> None:
    fence = Fence(60.0)
    directory = Directory(catalog, lambda p: Upstream(p, pool, UpstreamLimits(), random.Random(1)), 100, fence)  # type: ignore[arg-type]
    await catalog.real.placements.replace(placement("q1", state=PlacementState.SEALING, epoch=2))
    write = fence.begin(key("q1"))
    await directory.start(PATIENCE)
    assert fence.acks(0.0) == frozenset()
    fence.end(write, 0.0)
    assert fence.acks(0.0) == {sealed_as("q1")}
    await directory.stop()


# -- silence -----------------------------------------------------------------------------------------------------------


# -- preparations ------------------------------------------------------------------------------------------------------


class Prepared:
    """The queue q1, prepared for a seal in the catalog; ``show`` shows that to the directory."""

    def __init__(self, catalog: Staged, directory: Directory, fence: Fence) -> None:
        self.catalog = catalog
        self.directory = directory
        self.fence = fence
        self.placement = prepare(placement("q1"), "m")
        self.seal = Seal(PROJECT, "q1", BORN, 2)

    async def show(self) -> None:
        await self.catalog.real.placements.replace(self.placement)
        self.catalog.show(Change(1, ChangeSubject.PLACEMENT, key("q1"), 2, BORN, preparing=True))
        await settled(lambda: self.directory.applied == 1)

    async def stored(self) -> Placement:
        found = await self.catalog.real.placements.get(key("q1"))
        assert found is not None
        return found


@pytest.fixture
async def prepared(catalog: Staged, fenced: tuple[Directory, Fence, Seals]) -> Prepared:
    directory, fence, _ = fenced
    return Prepared(catalog, directory, fence)


async def test_who_acknowledges_a_preparation_withdraws_it_before_a_use(prepared: Prepared) -> None:
    await prepared.show()
    assert prepared.fence.acks(0.0) == set(prepared.directory.unused) == {prepared.seal}
    found = await prepared.directory.find(key("q1"))
    assert found == withdraw(prepared.placement) == await prepared.stored()
    assert prepared.directory.cached(key("q1")) == found


@pytest.mark.parametrize("verb", ["find", "look"])
async def test_a_seal_that_was_faster_than_a_withdrawal_is_found(prepared: Prepared, verb: str) -> None:
    await prepared.show()
    sealed = seal(prepared.placement, "m", 1.0, 4)

    async def seals() -> None:
        await prepared.catalog.real.placements.replace(sealed)

    prepared.catalog.before("placements.replace", seals)
    assert await getattr(prepared.directory, verb)(key("q1")) == sealed == await prepared.stored()


async def test_a_withdrawal_without_an_answer_is_no_use(prepared: Prepared) -> None:
    await prepared.show()
    prepared.catalog.fail("placements.replace")
    with pytest.raises(CatalogUnavailable):
        await prepared.directory.find(key("q1"))
    assert await prepared.directory.find(key("q1")) == withdraw(prepared.placement)


async def test_who_uses_a_queue_does_not_acknowledge_its_preparation(prepared: Prepared) -> None:
    """Its writes go on without a withdrawal, and the seal waits for it."""
    await prepared.directory.find(key("q1"))
    await prepared.show()
    assert not prepared.fence.acks(0.0)
    assert await prepared.directory.find(key("q1")) == prepared.placement == await prepared.stored()


async def test_who_is_about_to_use_a_queue_does_not_acknowledge_its_preparation(prepared: Prepared) -> None:
    go = asyncio.Event()
    prepared.catalog.before("placements.get", go.wait)
    reading = asyncio.create_task(prepared.directory.find(key("q1")))
    await settled(lambda: prepared.catalog.calls["placements.get"])
    await prepared.show()
    go.set()
    assert await reading == prepared.placement == await prepared.stored()
    assert not prepared.fence.acks(0.0)


async def test_a_preparation_is_acknowledged_when_the_writes_before_it_have_ended(prepared: Prepared) -> None:
    ticket = prepared.fence.begin(key("q1"))
    await prepared.show()
    assert not prepared.fence.acks(0.0)
    prepared.fence.end(ticket, 0.0)
    assert prepared.fence.acks(0.0) == {prepared.seal}


async def test_an_acknowledged_preparation_outlives_the_feed(prepared: Prepared) -> None:
    """A mover may read the acknowledgement as long as this member has not renewed."""
    await prepared.show()
    prepared.catalog.show(AWAY)
    await settled(lambda: prepared.catalog.calls["watch"] == 2 and prepared.directory.synced)
    assert not prepared.fence.acks(0.0)
    assert await prepared.directory.find(key("q1")) == withdraw(prepared.placement) == await prepared.stored()


async def test_the_next_change_ends_a_preparation(prepared: Prepared) -> None:
    await prepared.show()
    barred = bar(prepared.placement, 1.0)
    await prepared.catalog.real.placements.replace(barred)
    assert await prepared.directory.find(key("q1")) == barred, "also before the feed shows it"
    prepared.catalog.show(Change(2, ChangeSubject.PLACEMENT, key("q1"), 3, BORN))
    await settled(lambda: prepared.directory.applied == 2)
    assert not prepared.fence.acks(0.0)
    assert not prepared.directory.unused


async def test_how_long_the_feed_has_been_silent(catalog: Staged, pool: Pool) -> None:
    now = 100.0
    opening = lambda p: Upstream(p, pool, UpstreamLimits(), random.Random(1))  # noqa: E731
    directory = Directory(catalog, opening, 100, clock=lambda: now)  # type: ignore[arg-type]
    catalog.hold_feed()
    await directory.start(PATIENCE)
    now = 107.0
    assert directory.silence() == 7.0
    catalog.show(Synced(7, fresh=False))
    await settled(lambda: directory.applied == 7)
    assert directory.silence() == 0.0
    await cut(catalog, directory)
    now = 110.0
    assert directory.silence() == 3.0
    await directory.stop()


# -- identity ----------------------------------------------------------------------------------------------------------


async def test_the_catalog_s_identity_is_told_when_it_can_be_read(catalog: Staged, pool: Pool) -> None:
    """However late that is: a worker may start while the catalog is away."""
    told: list[str] = []
    directory = Directory(catalog, lambda p: Upstream(p, pool, UpstreamLimits(), random.Random(1)), 100)  # type: ignore[arg-type]
    directory.on_identity = told.append
    catalog.fail("identity")
    await directory.start(0.0)
    assert told == []
    await settled(lambda: directory.synced)
    assert told == [await catalog.real.identity()]
    await directory.stop()
