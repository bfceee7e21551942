"""A worker's registration: its content, its renewals, and the rights that follow from them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from catalog.errors import CatalogUnavailable
from catalog.model import Change, ChangeSubject, HeldWrites, Member, Partition, Seal
from catalog.sqlite.driver import SQLiteCatalog
from marconi_proxy.front_door import membership
from marconi_proxy.front_door.directory import Directory
from marconi_proxy.front_door.membership import FORGOTTEN_AFTER, Membership
from marconi_proxy.front_door.refusals import RequestRefused
from marconi_proxy.front_door.write_gate import WriteGate
from marconi_proxy.front_door.write_holds import WriteHolds
from marconi_proxy.upstream.errors import Withdrawn
from marconi_proxy.upstream.exchange import Upstream
from tests.contract.examples import move
from tests.faults.evil_host import PATIENCE, settled
from tests.unit.catalog_stage import BORN, PROJECT, Staged, key, placement

LEASE = 12.0
CAPABILITIES = ("chains-2",)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def no_upstream(partition: Partition) -> Upstream:
    raise AssertionError("there are no partitions here")


class Worker:
    """The heart of a worker that renews when a seal can be acknowledged, and else once an hour."""

    def __init__(self, catalog: Staged, interval: float = 3600.0) -> None:
        self.clock = Clock()
        self.gate = WriteGate(LEASE, 60.0, self.clock)
        self.directory = Directory(catalog, no_upstream, 10, self.gate.fence)  # type: ignore[arg-type]
        self.holds = WriteHolds(2.0, 10, self.clock)
        self.beating = Membership(catalog, self.directory, self.gate, self.holds, interval)  # type: ignore[arg-type]
        self.directory.on_seal = self.beating.hurry
        self.gate.on_end = self.beating.hurry


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
    """A registered worker with a directory that has reached change 7."""
    worker = Worker(catalog)
    await worker.directory.start(PATIENCE)
    await worker.beating.start(PATIENCE)
    await settled(lambda: catalog.calls["members.all"] == 1)
    yield worker
    await worker.beating.stop()
    await worker.directory.stop()


async def members(catalog: Staged) -> list[Member]:
    found: list[Member] = await catalog.real.members.all()
    return found


async def acks(catalog: Staged) -> set[Seal]:
    (member,) = await members(catalog)
    return set(member.acks)


async def acknowledged(catalog: Staged, *seals: Seal) -> None:
    """Return when the worker has stored that it acknowledges these seals, and no others."""
    async with asyncio.timeout(PATIENCE):
        while await acks(catalog) != set(seals):  # noqa: ASYNC110 - the store rings no bell
            await asyncio.sleep(0)


def seal(epoch: int, queue: str = "q") -> Seal:
    return Seal(PROJECT, queue, BORN, epoch)


def change(position: int, queue: str = "q", *, sealing: bool = False) -> Change:
    return Change(position, ChangeSubject.PLACEMENT, (PROJECT, queue), position, BORN, sealing)


async def test_a_worker_says_what_it_has_taken_in_and_what_it_promises(catalog: Staged, worker: Worker) -> None:
    assert await members(catalog) == [Member(worker.beating.id, 1, 7, True, frozenset(), CAPABILITIES, LEASE)]
    assert (catalog.calls["members.register"], catalog.calls["members.renew"]) == (1, 0)


async def test_a_worker_says_how_many_of_its_writes_came_late(catalog: Staged, worker: Worker) -> None:
    worker.gate.late_writes = 3
    catalog.show(change(8, sealing=True))
    await acknowledged(catalog, seal(8))
    assert await members(catalog) == [Member(worker.beating.id, 2, 8, True, {seal(8)}, CAPABILITIES, LEASE, 3)]


async def test_a_worker_says_how_it_made_clients_wait(
    catalog: Staged, monkeypatch: pytest.MonkeyPatch, worker: Worker
) -> None:
    monkeypatch.setattr(membership, "_REPORT_INTERVAL", 0.0)
    await catalog.real.moves.insert(move("m-1"))
    over = asyncio.get_running_loop().create_future()

    async def receive() -> dict[str, object]:
        return await asyncio.get_running_loop().create_future()

    waiting = asyncio.create_task(worker.holds.wait("m-1", worker.clock.now, over, receive))
    await settled(lambda: worker.holds.waiting)
    worker.clock.now += 0.25
    over.set_result(None)
    catalog.fail("held_writes.put")
    await waiting
    await settled(lambda: catalog.calls["held_writes.put"] == 2)
    await settled(lambda: worker.holds.report("") == {} or worker.holds.report(worker.beating.id) == {})
    assert await catalog.real.held_writes.find("m-1") == [HeldWrites(worker.beating.id, 1, 0, 250)]
    # Unchanged holds are not stored again, and a renewal does not wait for them.
    assert catalog.calls["held_writes.put"] == 2
    assert catalog.calls["members.renew"] == 0


# -- when it renews ----------------------------------------------------------------------------------------------------


async def test_a_seal_is_acknowledged_at_once(catalog: Staged, worker: Worker) -> None:
    catalog.show(change(8, sealing=True))
    await acknowledged(catalog, seal(8))
    assert catalog.calls["members.renew"] == 1


async def test_preparations_are_acknowledged_soon_and_together(
    catalog: Staged, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "LEISURE", 0.01)
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    for position, queue in ((8, "q"), (9, "another")):
        catalog.show(replace(change(position, queue), preparing=True))
    await acknowledged(catalog, seal(8), seal(9, "another"))
    assert catalog.calls["members.renew"] == 1


async def test_a_seal_needs_no_acknowledgement_after_its_preparation(
    catalog: Staged, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "LEISURE", 0.0)
    catalog.show(replace(change(8), preparing=True))
    await acknowledged(catalog, seal(8))
    catalog.show(change(9, sealing=True))
    await settled(lambda: worker.directory.applied == 9)
    assert catalog.calls["members.renew"] == 1
    catalog.show(change(10, "another", sealing=True))
    await acknowledged(catalog, seal(9), seal(10, "another"))
    assert catalog.calls["members.renew"] == 2


async def test_other_changes_wait_for_the_next_heartbeat(catalog: Staged, worker: Worker) -> None:
    for position in range(8, 20):
        catalog.show(change(position))
    await settled(lambda: worker.directory.applied == 19)
    catalog.show(change(20, sealing=True))
    await acknowledged(catalog, seal(20))
    assert catalog.calls["members.renew"] == 1


async def test_a_seal_that_is_over_is_not_told_any_more(catalog: Staged, worker: Worker) -> None:
    catalog.show(change(8, sealing=True))
    await acknowledged(catalog, seal(8))
    catalog.show(change(9))
    catalog.show(change(10, "another", sealing=True))
    await acknowledged(catalog, seal(10, "another"))
    assert catalog.calls["members.renew"] == 2


async def test_a_seal_is_acknowledged_when_the_writes_before_it_have_ended(catalog: Staged, worker: Worker) -> None:
    write, other = worker.gate.begin(key("q"), lasting=True), worker.gate.begin(key("q"), lasting=True)
    catalog.show(change(8, sealing=True))
    await settled(lambda: worker.directory.applied == 8)
    later = worker.gate.begin(key("q"), lasting=True)
    write.end()
    # It holds up no other queue.
    catalog.show(change(9, "another", sealing=True))
    await acknowledged(catalog, seal(9, "another"))
    assert catalog.calls["members.renew"] == 1
    other.end()
    # A write that began later has seen the seal.
    await acknowledged(catalog, seal(8), seal(9, "another"))
    assert catalog.calls["members.renew"] == 2
    later.end()


async def test_one_renewal_serves_many_seals_and_one_follows_what_comes_meanwhile(
    catalog: Staged, worker: Worker
) -> None:
    go = asyncio.Event()
    catalog.before("members.renew", go.wait)
    catalog.show(change(8, sealing=True))
    await settled(lambda: catalog.calls["members.renew"] == 1)
    for position in range(9, 30):
        catalog.show(change(position, f"q{position}", sealing=True))
    await settled(lambda: worker.directory.applied == 29)
    assert catalog.calls["members.renew"] == 1
    go.set()
    await acknowledged(catalog, seal(8), *(seal(position, f"q{position}") for position in range(9, 30)))
    assert catalog.calls["members.renew"] == 2


# -- the lease ---------------------------------------------------------------------------------------------------------


def may_write(worker: Worker) -> bool:
    try:
        worker.gate.begin(key("q"), lasting=True).end()
    except RequestRefused:
        return False
    return True


async def test_a_worker_that_is_not_registered_takes_no_writes(catalog: Staged) -> None:
    worker = Worker(catalog)
    catalog.fail("members.register")
    await worker.beating.start(PATIENCE)
    assert not may_write(worker)
    assert worker.gate.fence.idle(0.0)
    await worker.beating.stop()


async def test_the_lease_counts_from_when_the_renewal_was_sent_less_a_margin(catalog: Staged) -> None:
    worker = Worker(catalog)

    async def slow() -> None:
        worker.clock.now += 5.0

    catalog.before("members.register", slow)
    await worker.beating.start(PATIENCE)
    worker.clock.now = 100.0 + LEASE * 0.9 - 0.01
    assert may_write(worker)
    worker.clock.now += 0.02
    assert not may_write(worker)
    await worker.beating.stop()


async def test_a_new_term_begins_with_nothing_known(catalog: Staged, worker: Worker) -> None:
    await catalog.real.partitions.insert(Partition("p1", ("http://p1",)))
    await catalog.real.placements.insert(placement("q"))
    known = await worker.directory.find(key("q"))
    assert worker.directory.cached(key("q")) is known is not None
    waiting = worker.directory.change(key("q"))
    catalog.show(change(8, "other", sealing=True))
    await acknowledged(catalog, seal(8, "other"))
    assert worker.directory.cached(key("q")) is known  # the same term
    worker.clock.now += LEASE
    assert not may_write(worker)
    catalog.show(change(10, "other", sealing=True))
    await settled(lambda: may_write(worker))
    assert worker.directory.cached(key("q")) is None
    assert waiting.done()


async def test_what_is_being_read_when_a_term_begins_is_not_kept(catalog: Staged, worker: Worker) -> None:
    await catalog.real.partitions.insert(Partition("p1", ("http://p1",)))
    await catalog.real.placements.insert(placement("q"))
    go = asyncio.Event()
    catalog.before("placements.get", go.wait)
    reading = asyncio.create_task(worker.directory.find(key("q")))
    await settled(lambda: catalog.calls["placements.get"])
    worker.clock.now += LEASE
    catalog.show(change(8, "other", sealing=True))
    await settled(lambda: may_write(worker))
    go.set()
    assert await reading == placement("q")
    assert worker.directory.cached(key("q")) is None


async def test_a_lapse_is_logged_once(catalog: Staged, caplog: pytest.LogCaptureFixture) -> None:
    worker = Worker(catalog, interval=0.0)
    await worker.beating.start(PATIENCE)
    catalog.fail("members.renew", 10_000_000)
    worker.clock.now += LEASE
    tries = catalog.calls["members.renew"]
    await settled(lambda: catalog.calls["members.renew"] > tries + 5)
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert warnings == [
        f"member {worker.beating.id} could not renew its lease in time: it refuses writes until it can. "
        "Next: check the catalog"
    ]
    await worker.beating.stop()


async def test_a_renewal_that_fails_in_an_unforeseen_way_is_not_the_last(
    catalog: Staged, caplog: pytest.LogCaptureFixture
) -> None:
    async def mistake() -> None:
        raise RuntimeError("a mistake")

    catalog.before("members.register", mistake)
    worker = Worker(catalog, interval=0.0)
    await worker.beating.start(PATIENCE)
    await settled(lambda: may_write(worker))
    assert "a mistake" in caplog.text
    await worker.beating.stop()


# -- removed by others -------------------------------------------------------------------------------------------------


async def removed(catalog: Staged, worker: Worker) -> None:
    """Let a mover have watched the worker in silence for its lease."""
    (member,) = await members(catalog)
    assert await catalog.real.members.expire(member)
    worker.clock.now += LEASE


async def test_a_worker_that_was_removed_registers_again_and_begins_a_new_term(catalog: Staged, worker: Worker) -> None:
    await catalog.real.partitions.insert(Partition("p1", ("http://p1",)))
    await catalog.real.placements.insert(placement("q"))
    await worker.directory.find(key("q"))
    term = worker.gate.lease.number
    await removed(catalog, worker)
    catalog.show(change(8, "other", sealing=True))
    await settled(lambda: may_write(worker))
    # No mover waited for it meanwhile: what it knew may be out of date.
    assert worker.directory.cached(key("q")) is None
    assert worker.gate.lease.number == term + 1
    assert (catalog.calls["members.renew"], catalog.calls["members.register"]) == (1, 2)
    assert [member.id for member in await members(catalog)] == [worker.beating.id]


async def test_a_worker_that_finds_itself_removed_writes_no_more_until_it_is_registered(
    catalog: Staged, worker: Worker
) -> None:
    """Also if its lease is not over by its own clock: that may go slower than a mover's."""
    (member,) = await members(catalog)
    assert await catalog.real.members.expire(member)
    assert may_write(worker)
    go = asyncio.Event()
    catalog.before("members.register", go.wait)
    term = worker.gate.lease.number
    catalog.show(change(8, "other", sealing=True))
    await settled(lambda: catalog.calls["members.register"] == 2)
    assert not may_write(worker)
    go.set()
    await settled(lambda: may_write(worker))
    assert worker.gate.lease.number == term + 1


async def test_a_write_of_the_term_before_is_not_sent_after_it(catalog: Staged, worker: Worker) -> None:
    write = worker.gate.begin(key("q"), lasting=True)
    (member,) = await members(catalog)
    await catalog.real.members.expire(member)
    catalog.show(change(8, "other", sealing=True))
    await acknowledged_again(catalog, seal(8, "other"))
    with pytest.raises(Withdrawn):
        write.sending()
    write.end()


async def acknowledged_again(catalog: Staged, *seals: Seal) -> None:
    """As ``acknowledged``, of a worker that was removed."""
    async with asyncio.timeout(PATIENCE):
        while [set(member.acks) for member in await members(catalog)] != [set(seals)]:  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_a_registration_that_fails_is_tried_again(catalog: Staged) -> None:
    worker = Worker(catalog, interval=0.0)
    catalog.fail("members.register", 3)
    await worker.beating.start(PATIENCE)
    await settled(lambda: may_write(worker))
    await settled(lambda: catalog.calls["members.renew"])
    assert catalog.calls["members.register"] == 4
    await worker.beating.stop()


# -- the end -----------------------------------------------------------------------------------------------------------


async def test_a_worker_that_stops_signs_off_and_writes_no_more(catalog: Staged, worker: Worker) -> None:
    await worker.beating.stop()
    assert await members(catalog) == []
    assert not may_write(worker)


async def test_a_registration_in_flight_when_the_worker_stops_does_not_outlive_it(catalog: Staged) -> None:
    """Neither does it come after the removal, nor does it give back the right to write."""
    go = asyncio.Event()
    catalog.before("members.register", go.wait)
    worker = Worker(catalog)
    starting = asyncio.create_task(worker.beating.start(PATIENCE))
    await settled(lambda: catalog.calls["members.register"])
    stopping = asyncio.create_task(worker.beating.stop())
    wrote: list[bool] = []

    async def removing() -> None:
        wrote.append(may_write(worker))

    catalog.before("members.remove", removing)
    await asyncio.sleep(0)
    assert not catalog.calls["members.remove"]
    go.set()
    await stopping
    await starting
    assert await members(catalog) == []
    assert wrote == [False]
    assert not may_write(worker)


@pytest.mark.parametrize("ambiguous", [True, False], ids=["not answered", "under way"])
async def test_a_worker_with_writes_that_may_still_be_done_lets_its_lease_lapse(
    catalog: Staged, worker: Worker, ambiguous: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    write = worker.gate.begin(key("q"), lasting=True)
    if ambiguous:
        write.sending()
        write.end()
    await worker.beating.stop()
    assert [member.id for member in await members(catalog)] == [worker.beating.id]
    assert "lets its lease lapse" in caplog.text


async def test_signing_off_while_the_catalog_is_away(catalog: Staged, worker: Worker) -> None:
    async def away() -> None:
        raise CatalogUnavailable("the store is away")

    catalog.before("members.remove", away)
    await worker.beating.stop()
    assert len(await members(catalog)) == 1


async def test_those_that_were_silent_for_long_while_it_watched_are_removed(
    catalog: Staged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "_RENEWALS_BETWEEN_SWEEPS", 2)
    for name, lease in (("killed", 0.5), ("patient", FORGOTTEN_AFTER * 2), ("lives", 0.5), ("renews", 0.5)):
        await catalog.real.members.register(Member(name, lease=lease))
    worker = Worker(catalog, interval=0.0)
    await worker.beating.start(PATIENCE)
    await settled(lambda: catalog.calls["members.all"])
    # However long they were silent before this worker began to watch.
    assert len(await members(catalog)) == 5
    await catalog.real.members.renew(Member("lives", beat=1, lease=0.5))

    async def renewed() -> None:
        # After it was read, and before it is removed.
        await catalog.real.members.renew(Member("renews", beat=1, lease=0.5))

    catalog.before("members.expire", renewed)
    worker.clock.now += FORGOTTEN_AFTER + 1
    await settled(lambda: catalog.calls["members.expire"] >= 2)
    await worker.beating.stop()
    assert [member.id for member in await members(catalog)] == ["lives", "patient", "renews"]
