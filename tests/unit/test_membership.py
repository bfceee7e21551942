"""A worker's registration: what it says, when it says it, and what follows from being heard."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from catalog.errors import CatalogUnavailable
from catalog.model import Change, ChangeSubject, Member, MemberSighting, Partition
from catalog.sqlite.driver import SQLiteCatalog
from marconi_proxy.front_door.directory import Directory
from marconi_proxy.front_door.holding import Holding
from marconi_proxy.front_door.membership import FORGOTTEN_AFTER, Membership
from marconi_proxy.front_door.refusals import Refused
from marconi_proxy.front_door.writing import Writing
from marconi_proxy.upstream.exchange import Upstream
from tests.faults.evil_host import PATIENCE, settled
from tests.unit.catalog_stage import BORN, PROJECT, Staged, key, placement

LEASE = 12.0
CAPABILITIES = ("chains-1",)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def no_upstream(partition: Partition) -> Upstream:
    raise AssertionError("there are no partitions here")


class Worker:
    """The heart of a worker that renews when something is said, and else once an hour."""

    def __init__(self, catalog: Staged, interval: float = 3600.0) -> None:
        self.clock = Clock()
        self.writing = Writing(LEASE, 60.0, self.clock)
        self.directory = Directory(catalog, no_upstream, 10, self.writing.fence)  # type: ignore[arg-type]
        self.holding = Holding(2.0, 10, self.clock)
        self.beating = Membership(catalog, self.directory, self.writing, self.holding, interval)  # type: ignore[arg-type]
        self.directory.on_seal = self.beating.hurry
        self.writing.on_end = self.beating.hurry


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[Staged]:
    real = await SQLiteCatalog.open(str(tmp_path / "catalog.db"))
    catalog = Staged(real)
    catalog.hold_feed()
    catalog.position = 7
    yield catalog
    await real.close()


@pytest.fixture
async def worker(catalog: Staged) -> AsyncIterator[Worker]:
    """A worker that is registered, and whose directory has come to change 7."""
    worker = Worker(catalog)
    await worker.directory.start(PATIENCE)
    await worker.beating.start(PATIENCE)
    await settled(lambda: catalog.calls["list_members"] == 1)
    yield worker
    await worker.beating.stop()
    await worker.directory.stop()


async def members(catalog: Staged) -> list[Member]:
    return [sighting.member for sighting in await catalog.real.list_members()]


async def acked(catalog: Staged) -> int:
    (member,) = await members(catalog)
    return member.acked


async def acknowledged(catalog: Staged, position: int) -> None:
    """Return when the worker has told that it acknowledges this position."""
    async with asyncio.timeout(PATIENCE):
        while await acked(catalog) != position:  # noqa: ASYNC110 - the store rings no bell
            await asyncio.sleep(0)


def change(position: int, queue: str = "q", *, sealing: bool = False) -> Change:
    return Change(position, ChangeSubject.PLACEMENT, (PROJECT, queue), position, BORN, sealing)


async def test_a_worker_says_what_it_has_taken_in_and_what_it_promises(catalog: Staged, worker: Worker) -> None:
    assert await members(catalog) == [Member(worker.beating.id, 7, True, 7, CAPABILITIES, LEASE)]


async def test_a_worker_says_how_it_made_clients_wait(catalog: Staged, worker: Worker) -> None:
    over = asyncio.get_running_loop().create_future()

    async def receive() -> dict[str, object]:
        return await asyncio.get_running_loop().create_future()

    waiting = asyncio.create_task(worker.holding.wait("m-1", worker.clock.now, over, receive))
    await settled(lambda: worker.holding.waiting)
    worker.clock.now += 0.25
    over.set_result(None)
    await waiting
    catalog.show(change(8, sealing=True))
    await acknowledged(catalog, 8)
    (member,) = await members(catalog)
    assert member.holds == {"m-1": {"held": 1, "refused": 0, "longest_ms": 250}}


# -- when it renews ----------------------------------------------------------------------------------------------------


async def test_a_seal_is_acknowledged_at_once(catalog: Staged, worker: Worker) -> None:
    catalog.show(change(8, sealing=True))
    await acknowledged(catalog, 8)
    assert catalog.calls["renew_member"] == 2


async def test_other_changes_wait_for_the_next_heartbeat(catalog: Staged, worker: Worker) -> None:
    for position in range(8, 20):
        catalog.show(change(position))
    await settled(lambda: worker.directory.applied == 19)
    catalog.show(change(20, sealing=True))
    await acknowledged(catalog, 20)
    assert catalog.calls["renew_member"] == 2


async def test_a_seal_is_acknowledged_when_the_writes_before_it_have_ended(catalog: Staged, worker: Worker) -> None:
    write, other = worker.writing.begin(key("q"), lasting=True), worker.writing.begin(key("q"), lasting=True)
    catalog.show(change(8, sealing=True))
    await settled(lambda: worker.directory.applied == 8)
    later = worker.writing.begin(key("q"), lasting=True)
    write.end()
    catalog.show(change(9, "another"))
    await settled(lambda: worker.directory.applied == 9)
    assert catalog.calls["renew_member"] == 1
    assert await acked(catalog) == 7
    other.end()
    # Whoever began later has seen the seal.
    await acknowledged(catalog, 9)
    assert catalog.calls["renew_member"] == 2
    later.end()


async def test_one_renewal_serves_many_seals_and_one_follows_what_comes_meanwhile(
    catalog: Staged, worker: Worker
) -> None:
    go = asyncio.Event()
    catalog.before("renew_member", go.wait)
    catalog.show(change(8, sealing=True))
    await settled(lambda: catalog.calls["renew_member"] == 2)
    for position in range(9, 30):
        catalog.show(change(position, f"q{position}", sealing=True))
    await settled(lambda: worker.directory.applied == 29)
    assert catalog.calls["renew_member"] == 2
    go.set()
    await acknowledged(catalog, 29)
    assert catalog.calls["renew_member"] == 3


# -- the lease ---------------------------------------------------------------------------------------------------------


def may_write(worker: Worker) -> bool:
    try:
        worker.writing.begin(key("q"), lasting=True).end()
    except Refused:
        return False
    return True


async def test_a_worker_that_is_not_registered_takes_no_writes(catalog: Staged) -> None:
    worker = Worker(catalog)
    catalog.fail("renew_member")
    await worker.beating.start(PATIENCE)
    assert not may_write(worker)
    assert worker.writing.fence.idle(0.0)
    await worker.beating.stop()


async def test_the_lease_counts_from_when_the_renewal_was_sent_less_a_margin(catalog: Staged) -> None:
    worker = Worker(catalog)

    async def slow() -> None:
        worker.clock.now += 5.0

    catalog.before("renew_member", slow)
    await worker.beating.start(PATIENCE)
    worker.clock.now = 100.0 + LEASE * 0.9 - 0.01
    assert may_write(worker)
    worker.clock.now += 0.02
    assert not may_write(worker)
    await worker.beating.stop()


async def test_a_new_term_begins_with_nothing_known(catalog: Staged, worker: Worker) -> None:
    await catalog.real.insert_partition(Partition("p1", ("http://p1",)))
    await catalog.real.insert_placement(placement("q"))
    known = await worker.directory.find(key("q"))
    assert worker.directory.cached(key("q")) is known is not None
    waiting = worker.directory.change(key("q"))
    catalog.show(change(8, "other", sealing=True))
    await settled(lambda: catalog.calls["renew_member"] == 2)
    assert worker.directory.cached(key("q")) is known  # the same term
    worker.clock.now += LEASE
    assert not may_write(worker)
    catalog.show(change(9, "other", sealing=True))
    await settled(lambda: may_write(worker))
    assert worker.directory.cached(key("q")) is None
    assert waiting.done()


async def test_what_is_being_read_when_a_term_begins_is_not_kept(catalog: Staged, worker: Worker) -> None:
    await catalog.real.insert_partition(Partition("p1", ("http://p1",)))
    await catalog.real.insert_placement(placement("q"))
    go = asyncio.Event()
    catalog.before("get_placement", go.wait)
    reading = asyncio.create_task(worker.directory.find(key("q")))
    await settled(lambda: catalog.calls["get_placement"])
    worker.clock.now += LEASE
    catalog.show(change(8, "other", sealing=True))
    await settled(lambda: may_write(worker))
    go.set()
    assert await reading == placement("q")
    assert worker.directory.cached(key("q")) is None


async def test_a_lapse_is_logged_once(catalog: Staged, caplog: pytest.LogCaptureFixture) -> None:
    worker = Worker(catalog, interval=0.0)
    await worker.beating.start(PATIENCE)
    catalog.fail("renew_member", 10_000_000)
    worker.clock.now += LEASE
    tries = catalog.calls["renew_member"]
    await settled(lambda: catalog.calls["renew_member"] > tries + 5)
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert warnings == ["the lease of this worker could not be renewed in time: it takes no writes until it can"]
    await worker.beating.stop()


async def test_a_renewal_that_fails_in_an_unforeseen_way_is_not_the_last(
    catalog: Staged, caplog: pytest.LogCaptureFixture
) -> None:
    async def mistake() -> None:
        raise RuntimeError("a mistake")

    catalog.before("renew_member", mistake)
    worker = Worker(catalog, interval=0.0)
    await worker.beating.start(PATIENCE)
    await settled(lambda: may_write(worker))
    assert "a mistake" in caplog.text
    await worker.beating.stop()


# -- the end -----------------------------------------------------------------------------------------------------------


async def test_a_worker_that_stops_signs_off_and_writes_no_more(catalog: Staged, worker: Worker) -> None:
    await worker.beating.stop()
    assert await members(catalog) == []
    assert not may_write(worker)


@pytest.mark.parametrize("ambiguous", [True, False], ids=["not answered", "under way"])
async def test_a_worker_with_writes_that_may_still_be_done_lets_its_lease_lapse(
    catalog: Staged, worker: Worker, ambiguous: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    write = worker.writing.begin(key("q"), lasting=True)
    if ambiguous:
        write.sending()
        write.end()
    await worker.beating.stop()
    assert [member.id for member in await members(catalog)] == [worker.beating.id]
    assert "lets its lease lapse" in caplog.text


async def test_signing_off_while_the_catalog_is_away(catalog: Staged, worker: Worker) -> None:
    async def away() -> None:
        raise CatalogUnavailable("the store is away")

    catalog.before("remove_member", away)
    await worker.beating.stop()
    assert len(await members(catalog)) == 1


async def test_those_that_have_long_been_silent_are_forgotten(catalog: Staged, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("young", "old", "renewed just now"):
        await catalog.real.renew_member(Member(name, lease=0.0005))
    seen = await catalog.real.list_members()
    ages = {"old": FORGOTTEN_AFTER + 1, "renewed just now": FORGOTTEN_AFTER + 1, "young": FORGOTTEN_AFTER - 1}

    async def older(self: SQLiteCatalog) -> list[MemberSighting]:
        return [MemberSighting(s.member, ages[s.member.id]) for s in seen]

    asked: list[tuple[str, float]] = []

    async def evict(self: SQLiteCatalog, member_id: str, *, idle: float) -> None:
        asked.append((member_id, idle))

    monkeypatch.setattr(SQLiteCatalog, "list_members", older)
    monkeypatch.setattr(SQLiteCatalog, "evict_member", evict)
    worker = Worker(catalog)
    await worker.beating.start(PATIENCE)
    await settled(lambda: len(asked) == 2)
    await worker.beating.stop()
    # Only the store can tell whether one has renewed since.
    assert asked == [("old", FORGOTTEN_AFTER), ("renewed just now", FORGOTTEN_AFTER)]
