"""The particulars of the MongoDB driver: several writes for one promise, processes that race, a lost primary,
a URI with secrets, and indexes instead of scans."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from pymongo import MongoClient

from partition.errors import (
    BadStorageURI,
    QueueChanged,
    QueueClosed,
    QueueMissing,
    StorageUnavailable,
    WrongStore,
)
from partition.model.message import Deletion, Lease, MessageQuery
from partition.model.queue import Epoch, Kind, QueueKey, QueueQuery
from partition.storage.interface import Storage
from partition.storage.mongodb import posting, store
from partition.storage.mongodb.coalescer import Coalescer
from partition.storage.mongodb.driver import MongoDBStorage
from partition.storage.mongodb.posting import Post, Range
from partition.storage.opening import open_storage
from tests.conftest import FORGOTTEN_SOCKETS
from tests.contract import partition_racing, racing
from tests.contract.examples import PATIENCE
from tests.contract.partition_stores import CLIENT, KEY, LEASE, START, FakeClock, some
from tests.servers.mongod import ReplicaSet, free_port, mongod_replica_set

pytestmark = [pytest.mark.slow, FORGOTTEN_SOCKETS, pytest.mark.usefixtures("forgotten_sockets")]

SECRET = "hunter2"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def storage(mongodb_database_uri: str, clock: FakeClock) -> AsyncIterator[MongoDBStorage]:
    storage = await MongoDBStorage.open(mongodb_database_uri, clock)
    await storage.create_queue(KEY, {})
    yield storage
    await storage.close()


@pytest.fixture
async def other(storage: MongoDBStorage, mongodb_database_uri: str, clock: FakeClock) -> AsyncIterator[MongoDBStorage]:
    """The same store as another process has it open."""
    other = await MongoDBStorage.open(mongodb_database_uri, clock)
    yield other
    await other.close()


@pytest.fixture
def database(storage: MongoDBStorage, mongodb_database_uri: str) -> Iterator[Any]:
    """The same database without the storage around it."""
    with MongoClient[dict[str, Any]](mongodb_database_uri, w="majority") as client:
        yield client.get_default_database()


async def listed(storage: MongoDBStorage, key: QueueKey = KEY) -> list[str]:
    page, _ = await storage.list_messages(key, MessageQuery(limit=100, include_claimed=True, include_delayed=True))
    return [message.body for message in page]


# Posts that are interrupted after each of their steps


class Interrupted:
    """A post of two messages, step by step, by a process that may die in between."""

    def __init__(self, storage: MongoDBStorage) -> None:
        self._posting = storage._posting
        self._store = storage._store
        self._numbers = storage._numbers
        self.reserved: Range
        self.documents: list[dict[str, Any]]

    async def reserve(self) -> None:
        async with self._store.writing() as session:
            reserved = await self._posting._reserve({"_id": "0\0p\0orders"}, 2, session)
            assert reserved is not None
            self.reserved = reserved
            number = await self._numbers.take(2, session)
        self.documents = self._posting._documents([Post(some("lost 1", "lost 2"), CLIENT)], self.reserved, number)

    async def insert(self, first: int = 0, end: int = 2) -> bool:
        async with self._store.writing() as session:
            return await self._posting._inserted(self.reserved, self.documents[first:end], session)

    async def settle(self) -> None:
        async with self._store.writing() as session:
            await self._posting.settle(self.reserved, session)

    async def settle_for_it(self) -> None:
        async with self._store.writing() as session:
            await self._posting._settle_for(self.reserved, session)


@pytest.fixture
async def interrupted(other: MongoDBStorage, monkeypatch: pytest.MonkeyPatch) -> Interrupted:
    monkeypatch.setattr(posting, "_PATIENCE", 2)
    return Interrupted(other)


async def test_nothing_is_shown_beyond_a_post_that_is_not_complete(storage, interrupted):
    await storage.post(KEY, some("before"), CLIENT)
    await interrupted.reserve()
    late = Interrupted(storage)
    await late.reserve()
    await late.insert()
    assert await listed(storage) == ["before"]
    assert [message.body for message in await storage.pop(KEY, 5)] == ["before"]
    assert await storage.claim(KEY, LEASE, 5) is None
    await storage.purge(KEY)
    await interrupted.insert()
    await interrupted.settle()
    assert await listed(storage) == ["lost 1", "lost 2"]
    await late.settle()
    assert await listed(storage) == ["lost 1", "lost 2"] * 2


async def test_a_post_waits_for_earlier_ones(storage, interrupted, monkeypatch):
    monkeypatch.setattr(posting, "_PATIENCE", 1000)
    await interrupted.reserve()
    later = asyncio.create_task(storage.post(KEY, some("later"), CLIENT))
    done, _ = await asyncio.wait([later], timeout=0.1)
    assert not done
    await interrupted.insert()
    await interrupted.settle()
    await later
    assert await listed(storage) == ["lost 1", "lost 2", "later"]


@pytest.mark.parametrize(("inserted", "kept"), [(0, []), (1, []), (2, ["lost 1", "lost 2"])])
async def test_the_next_post_settles_for_a_dead_process(storage, interrupted, inserted, kept):
    await interrupted.reserve()
    if inserted:
        await interrupted.insert(0, inserted)
    await storage.post(KEY, some("later"), CLIENT)
    assert await listed(storage) == [*kept, "later"]
    assert (await storage.stats(KEY)).total == len(kept) + 1
    assert await storage.check() == []


@pytest.mark.parametrize("inserted", [0, 1])
async def test_a_process_that_was_thought_dead_posts_nothing_in_the_past(storage, interrupted, inserted):
    await interrupted.reserve()
    if inserted:
        await interrupted.insert(0, 1)
    await storage.post(KEY, some("later"), CLIENT)
    assert not await interrupted.insert(inserted, 2)
    await interrupted.settle()
    assert await listed(storage) == ["later"]


async def test_a_mark_takes_back_what_was_begun_before_it(storage, interrupted):
    """The process that posts stands still between reserving and inserting; the mark does not wait for it."""
    await interrupted.reserve()
    await storage.fence(KEY, Epoch("life", 7))
    assert not await interrupted.insert()
    assert await listed(storage) == []


async def test_a_post_that_was_taken_back_by_a_mark_is_not_made_anew(storage, other, monkeypatch):
    inserted = other._posting._inserted

    async def late(reserved: Range, documents: list[dict[str, Any]], session: Any) -> bool:
        await storage.fence(KEY, Epoch("life", 7))
        return await inserted(reserved, documents, session)

    monkeypatch.setattr(posting, "_PATIENCE", 2)
    monkeypatch.setattr(other._posting, "_inserted", late)
    with pytest.raises(QueueClosed):
        await other.post(KEY, some(1, 2), CLIENT, None, Epoch("life", 5))
    assert await listed(storage) == []


@pytest.mark.parametrize("removal", ["delete", "sweep"])
async def test_a_mark_that_is_set_while_its_queue_is_deleted_stays(storage, other, removal):
    queue = (await storage._store.queues.find_one({}))["queue"]
    await storage._store.dropped.insert_one({"_id": queue})
    await storage.fence(KEY, Epoch("life", 7))
    await (other.delete_queue(KEY) if removal == "delete" else other.sweep())
    assert await storage.get_queue(KEY) is None
    with pytest.raises(QueueClosed):
        await storage.post(KEY, some(1), CLIENT, None, Epoch("life", 6))


async def test_earlier_releases_refuse_a_store_with_marks(storage):
    async def version() -> int:
        return (await storage._store.store.find_one({"_id": "store"}))["version"]

    assert await version() == 1
    await storage.fence(KEY, Epoch("life", 7))
    assert await version() == 2
    await storage.reopen()
    assert await version() == 1


async def test_a_post_that_was_taken_back_is_made_anew(storage, other, monkeypatch):
    inserted = other._posting._inserted
    attempts = 0

    async def late(reserved: Range, documents: list[dict[str, Any]], session: Any) -> bool:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            await storage.post(KEY, some("later"), CLIENT)
        return await inserted(reserved, documents, session)

    monkeypatch.setattr(posting, "_PATIENCE", 2)
    monkeypatch.setattr(other._posting, "_inserted", late)
    (first, second) = await other.post(KEY, some(1, 2), CLIENT)
    assert attempts == 2
    assert await listed(storage) == ["later", "1", "2"]
    assert [message.body for message in await storage.get_messages(KEY, [first, second])] == ["1", "2"]


async def test_settling_late_what_was_settled_and_consumed_takes_nothing_away(storage, interrupted):
    await interrupted.reserve()
    await interrupted.insert()
    await interrupted.settle()
    (popped,) = await storage.pop(KEY, 1)
    assert popped.body == "lost 1"
    await interrupted.settle_for_it()
    assert await listed(storage) == ["lost 2"]


async def test_the_sweep_settles_what_has_been_pending_for_a_while(storage, interrupted, clock):
    await interrupted.reserve()
    await interrupted.insert()
    await storage.sweep()
    assert await listed(storage) == []
    clock.passes(2)
    await storage.sweep()
    assert await listed(storage) == ["lost 1", "lost 2"]


async def test_a_post_that_the_server_refuses_holds_nobody_up(storage, monkeypatch):
    monkeypatch.setattr(posting, "_PATIENCE", 10**9)
    with pytest.raises(StorageUnavailable, match="/test_") as caught:
        await storage.post(KEY, some("x" * 17_000_000), CLIENT)
    assert not caught.value.maybe_done
    await storage.post(KEY, some("later"), CLIENT)
    assert await listed(storage) == ["later"]


async def test_posts_that_come_together_share_their_steps(storage, database):
    ids = await asyncio.gather(*(storage.post(KEY, some(n), CLIENT) for n in range(50)))
    assert len({one for (one,) in ids}) == 50
    assert await listed(storage) == [str(n) for n in range(50)]
    tokens = database["store"].find_one()["last"]
    assert tokens <= 10_000  # one block of numbers was enough


async def test_posts_that_come_together_are_judged_each_by_its_version(storage):
    version = (await storage.get_queue(KEY)).version
    outcomes = await asyncio.gather(
        storage.post(KEY, some(1), CLIENT, version),
        storage.post(KEY, some(2), CLIENT, "1.1.1"),
        storage.post(KEY, some(3), CLIENT),
        storage.post(QueueKey("p", "none"), some(4), CLIENT),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [list, QueueChanged, list, QueueMissing]
    assert sorted(await listed(storage)) == ["1", "3"]


# Other things that take several writes


async def test_an_interrupted_deletion_of_a_queue_is_ended_by_the_sweep(storage, database):
    await storage.post(KEY, some(1, 2), CLIENT)
    number = database["queues"].find_one()["queue"]
    database["dropped"].insert_one({"_id": number})
    assert await storage.check() == []
    while await storage.sweep():
        pass
    assert await storage.get_queue(KEY) is None
    assert database["messages"].count_documents({}) == database["dropped"].count_documents({}) == 0


async def test_a_queue_that_another_process_made_anew_is_another(storage, other):
    await storage.post(KEY, some("old"), CLIENT)
    assert await listed(other) == ["old"]
    await storage.delete_queue(KEY)
    assert await listed(other) == []
    await storage.create_queue(KEY, {})
    (new,) = await storage.post(KEY, some("new"), CLIENT)
    assert await listed(other) == ["new"]
    await storage.delete_queue(KEY)
    await storage.create_queue(KEY, {})
    (newer,) = await storage.post(KEY, some("newer"), CLIENT)
    assert await other.delete_message(KEY, new, None) is Deletion.DONE
    assert await other.delete_message(KEY, newer, None) is Deletion.DONE
    assert await listed(storage) == []


async def test_an_interrupted_pop_loses_nothing(storage, other, monkeypatch, clock):
    await storage.post(KEY, some(1, 2), CLIENT)

    async def die(*args: Any) -> None:
        raise ConnectionError

    monkeypatch.setattr(other._messages, "_delete", die)
    with pytest.raises(ConnectionError):
        await other.pop(KEY, 1)
    assert [message.body for message in await storage.pop(KEY, 2)] == ["2"]
    clock.passes(60)
    assert [message.body for message in await storage.pop(KEY, 2)] == ["1"]


@pytest.mark.parametrize("happens", ["taken", "place taken"])
async def test_a_dead_letter_is_in_one_queue_whatever_happens(storage, other, clock, database, happens, monkeypatch):
    monkeypatch.setattr(posting, "_PATIENCE", 2)
    await storage.create_queue(QueueKey("p", "source"), {"_max_claim_count": 1, "_dead_letter_queue": "dead"})
    source, dead = QueueKey("p", "source"), QueueKey("p", "dead")
    await storage.create_queue(dead, {})
    (letter, _) = await storage.post(source, some("bad", "worse", ttl=1000), CLIENT)
    await storage.claim(source, LEASE, 2)
    clock.passes(60)
    reserve = storage._posting.reserve_undeclared
    reserved_once = False

    async def interfere(*args: Any) -> Range:
        nonlocal reserved_once
        reserved = await reserve(*args)
        if not reserved_once:
            reserved_once = True
            if happens == "taken":
                await other.delete_message(source, letter, None)
            else:
                await other.post(dead, some("later"), CLIENT)
        return reserved

    monkeypatch.setattr(storage._posting, "reserve_undeclared", interfere)
    assert await storage.claim(source, LEASE, 2) is None
    assert await listed(storage, source) == []
    expected = ["worse"] if happens == "taken" else ["later", "bad", "worse"]
    assert await listed(storage, dead) == expected
    assert await storage.check() == []


async def test_takers_of_several_processes_win_each_message_once(storage, other):
    await storage.post(KEY, some(*range(100)), CLIENT)
    calls = [taker.claim(KEY, LEASE, 3) for _ in range(10) for taker in (storage, other)]
    calls += [taker.pop(KEY, 3) for _ in range(10) for taker in (storage, other)]
    taken = [one if isinstance(one, list) else list(one.messages) for one in await asyncio.gather(*calls) if one]
    bodies = [message.body for messages in taken for message in messages]
    assert sorted(bodies, key=int) == [str(n) for n in range(100)]
    assert all([int(m.body) for m in messages] == sorted(int(m.body) for m in messages) for messages in taken)


# Several processes


@pytest.fixture
async def shared(mongodb_database_uri: str) -> AsyncIterator[Storage]:
    """A store that other processes open too: by the clock of the machine."""
    storage = await open_storage(mongodb_database_uri)
    await storage.create_queue(KEY, {})
    yield storage
    await storage.close()


async def test_no_reader_ever_misses_a_message(shared, mongodb_database_uri):
    seen = await racing.in_processes(3, partition_racing.post_and_follow, mongodb_database_uri, 4, 25)
    assert len(set(seen[0])) == len(seen[0]) == 3 * 4 * 25 * 3
    assert seen[0] == seen[1] == seen[2]
    for process in range(3):
        for producer in range(4):
            mine = f"{process}-{producer}-"
            assert [body for body in seen[0] if body.startswith(mine)] == [f"{mine}{n}" for n in range(75)]
    assert await shared.check() == []


async def test_each_message_is_delivered_once_and_in_order(shared, mongodb_database_uri):
    await shared.post(KEY, some(*range(900)), CLIENT)
    claims = await racing.in_processes(3, partition_racing.claim_and_delete, mongodb_database_uri, 4)
    delivered = [[int(body) for body in claim] for process in claims for claim in process]
    assert sorted(number for claim in delivered for number in claim) == list(range(900))
    assert all(claim == sorted(claim) for claim in delivered)
    stats = await shared.stats(KEY)
    assert (stats.total, stats.claimed) == (0, 0)
    assert await shared.check() == []


async def test_many_that_prepare_a_new_database_at_once_agree(mongodb_database_uri):
    stores = await asyncio.gather(*(open_storage(mongodb_database_uri) for _ in range(8)))
    await stores[0].create_queue(KEY, {})
    ids = [(await store.post(KEY, some(1), CLIENT))[0] for store in stores]
    assert len(await stores[0].get_messages(KEY, ids)) == 8
    for one in stores:
        await one.close()


# A primary that is lost


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


class Trade:
    """Producers and consumers that go on through every failure, and remember what they were promised."""

    def __init__(self, storage: MongoDBStorage) -> None:
        self._storage = storage
        self.posted: set[str] = set()
        self.doubted: set[str] = set()
        self.refused: set[str] = set()
        self.claimed: dict[str, str] = {}
        self.deleted: set[str] = set()
        self.last_failure: StorageUnavailable | None = None
        self.stop = asyncio.Event()

    async def produce(self, producer: int) -> None:
        number = 0
        while not self.stop.is_set():
            number += 1
            body = f'"{producer}-{number}"'
            try:
                await self._storage.post(KEY, some(body), CLIENT)
                self.posted.add(body)
            except StorageUnavailable as error:
                self.last_failure = error
                (self.doubted if error.maybe_done else self.refused).add(body)

    async def consume(self) -> None:
        while not self.stop.is_set():
            try:
                claim = await self._storage.claim(KEY, Lease(300, 60), 3)
            except StorageUnavailable as error:
                self.last_failure = error
                continue
            for message in claim.messages if claim else ():
                assert message.body not in self.claimed, "under two live claims"
                self.claimed[message.body] = message.id
                try:
                    if await self._storage.delete_message(KEY, message.id, claim.id) is Deletion.DONE:
                        self.deleted.add(message.body)
                except StorageUnavailable as error:
                    self.last_failure = error

    async def goes_on(self, *, posts: int, deletions: int) -> None:
        """Return when there were so many more of both."""
        posts, deletions = posts + len(self.posted), deletions + len(self.deleted)
        try:
            async with asyncio.timeout(2 * PATIENCE):
                # Several tasks contribute to the condition, so there is no event for it.
                while len(self.posted) < posts or len(self.deleted) < deletions:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        except TimeoutError:
            pytest.fail(f"{len(self.posted)}/{posts} posts, {len(self.deleted)}/{deletions}: {self.last_failure!r}")


@pytest.mark.parametrize("lose", [kill, step_down])
async def test_what_was_acknowledged_survives_a_lost_primary(replica_set, lose):
    uri = replica_set.uri(f"test_{lose.__name__}")
    storage = await MongoDBStorage.open(uri)
    await storage.create_queue(KEY, {})
    trade = Trade(storage)
    async with asyncio.TaskGroup() as group:
        for producer in range(4):
            group.create_task(trade.produce(producer))
        for _ in range(2):
            group.create_task(trade.consume())
        await trade.goes_on(posts=50, deletions=20)
        repair = await asyncio.to_thread(lose, replica_set)
        await trade.goes_on(posts=50, deletions=20)
        trade.stop.set()
    fresh = await MongoDBStorage.open(uri)
    await fresh.sweep()
    left: list[str] = []
    marker = None
    while page := (await fresh.list_messages(KEY, MessageQuery(limit=20, marker=marker, include_claimed=True)))[0]:
        left += [message.body for message in page]
        marker = page[-1].marker
    assert len(left) == len(set(left)), "posted twice"
    assert trade.posted - set(left) - set(trade.claimed) == set(), "acknowledged and lost"
    assert trade.deleted & set(left) == set(), "deleted and back"
    assert trade.refused & (set(left) | set(trade.claimed)) == set(), "said not to be done"
    assert (set(left) | set(trade.claimed)) <= trade.posted | trade.doubted
    assert await fresh.check() == []
    await fresh.close()
    await storage.close()
    await asyncio.to_thread(repair)
    await asyncio.to_thread(replica_set.wait_for_secondaries)


async def test_without_a_majority_nothing_is_acknowledged(replica_set, monkeypatch):
    storage = await MongoDBStorage.open(replica_set.uri("test_majority"))
    await storage.create_queue(KEY, {})
    kept = await storage.post(KEY, some("kept"), CLIENT)
    monkeypatch.setattr(store, "CALL_TIMEOUT", 1.0)
    first = await asyncio.to_thread(replica_set.kill_primary)
    second = await asyncio.to_thread(replica_set.kill_primary)
    for call in (storage.ping(), storage.post(KEY, some("lost"), CLIENT), storage.get_messages(KEY, kept)):
        with pytest.raises(StorageUnavailable, match=r"MongoDB 127\.0\.0\.1"):
            await call
    monkeypatch.undo()
    await asyncio.to_thread(first.start)
    await asyncio.to_thread(second.start)
    await asyncio.to_thread(replica_set.wait_for_primary)
    await asyncio.to_thread(replica_set.wait_for_secondaries)
    await storage.post(KEY, some("later"), CLIENT)
    assert await listed(storage) == ["kept", "later"]
    await storage.close()


async def test_a_server_that_does_not_answer(monkeypatch):
    with mongod_replica_set() as replica_set:
        storage = await MongoDBStorage.open(replica_set.uri("test"))
        await storage.create_queue(KEY, {})
        server = replica_set.wait_for_primary()
        monkeypatch.setattr(store, "CALL_TIMEOUT", 0.5)
        server.suspend()
        for call in (storage.ping(), storage.claim(KEY, LEASE, 1), storage.post(KEY, some(1), CLIENT)):
            with pytest.raises(StorageUnavailable, match="/test"):
                await call
        server.wake()
        monkeypatch.undo()
        await storage.post(KEY, some(2), CLIENT)
        assert "2" in await listed(storage)
        await storage.close()


# URIs, and databases of others


@pytest.mark.parametrize("options", ["", "?authSource=admin&w=1&readPreference=secondary"])
async def test_messages_name_hosts_and_database_but_no_password(options, monkeypatch, caplog):
    monkeypatch.setattr(store, "CALL_TIMEOUT", 0.2)
    caplog.set_level(logging.DEBUG)
    port = free_port()
    with pytest.raises(StorageUnavailable) as refused:
        await open_storage(f"mongodb://user:{SECRET}@127.0.0.1:{port}/queues{options}")
    assert f"127.0.0.1:{port}/queues" in str(refused.value)
    assert not refused.value.maybe_done
    assert SECRET not in "".join(traceback.format_exception(refused.value)) + caplog.text
    assert "user" not in str(refused.value)


@pytest.mark.parametrize(
    "rest",
    [
        f"user:{SECRET}/x@127.0.0.1:1/queues",
        f"user:{SECRET}@x@127.0.0.1:1/queues",
        f"user:{SECRET}@127.0.0.1:none/queues",
        f"user:{SECRET}@127.0.0.1:1/queues?tlss={SECRET}",
        f"user:1/2?{SECRET}=3@127.0.0.1:1/queues",
        f"user:{SECRET}@127.0.0.1:1/que.ues",
        f"user:{SECRET}@127.0.0.1:1/$queues",
        f"user:{SECRET}@127.0.0.1:1/",
        f"user:{SECRET}@127.0.0.1:1/queues?w={SECRET}&journal={SECRET}",
        f"user:{SECRET}@[::1/queues",
    ],
)
async def test_a_malformed_uri_is_refused_without_quoting_it(rest):
    with pytest.raises(BadStorageURI) as refused:
        await open_storage(f"mongodb://{rest}")
    assert SECRET not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("user", ["", f"user:{SECRET}@"])
@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ("tls=true&tlss=true", "tlss"),
        ("w=majority;maxPoolSize=many", "maxPoolSize"),
        ("tls=true&tlsCAFile=/no/such/file", "tlsCAFile"),
        ("tls=true&ssl=false", "ssl"),
        ("w=1&w=2", "w"),
        (f"tls=true&{SECRET}", "number 2"),
    ],
)
async def test_a_bad_option_of_a_uri_is_named(user, options, wrong):
    with pytest.raises(BadStorageURI, match=f"the MongoDB URI has a bad option, {wrong}: ") as refused:
        await open_storage(f"mongodb://{user}127.0.0.1:1/queues?{options}")
    assert SECRET not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("uri", ["mongodb://h/d?tlss=true", "mongodb://h/", "mongodb://h:1:2/d", "mongodb+srv://h:1/d"])
async def test_a_malformed_uri_is_explained(uri):
    with pytest.raises(BadStorageURI, match="a good one is mongodb://"):
        await open_storage(uri)


async def test_a_database_of_something_else(mongodb_database_uri):
    with MongoClient[dict[str, Any]](mongodb_database_uri) as client:
        client.get_default_database()["queues"].insert_one({"p_q": "zaqar"})
    with pytest.raises(WrongStore, match="something else"):
        await open_storage(mongodb_database_uri)


@pytest.mark.parametrize(("change", "reason"), [({"version": 99}, "schema 99"), ({"multiplier": 2}, "damaged")])
async def test_a_database_of_another_release_or_a_damaged_one(storage, database, change, reason, mongodb_database_uri):
    database["store"].update_one({}, {"$set": change})
    with pytest.raises(WrongStore, match=reason):
        await open_storage(mongodb_database_uri)
    with pytest.raises(WrongStore, match=reason):
        await storage.check()


# Damage, removal, speed that does not depend on how much is stored


async def test_check_finds_what_contradicts_itself(storage, database):
    ids = await storage.post(KEY, some(*range(6)), CLIENT)
    assert len(ids) == 6
    await storage.claim(KEY, LEASE, 1)
    messages = database["messages"]
    numbers = [document["_id"] for document in messages.find(sort=[("position", 1)])]
    damages: list[dict[str, Any]] = [
        {"$set": {"expires": 5}},
        {"$unset": {"body": ""}},
        {"$set": {"until": START + 1000}},
        {"$unset": {"expires": ""}},
        {"$set": {"position": 77}},
        {"$set": {"queue": 4711}},
    ]
    for number, damage in zip(numbers, damages, strict=True):
        messages.update_one({"_id": number}, damage)
    database["queues"].update_one({}, {"$set": {"metadata": "{"}})
    messages.drop_index("by_expiry")
    found = await storage.check()
    for what in (
        "ends before its claim",
        "missing, or of the wrong type",
        "held by no claim",
        "without an expiry",
        "beyond its last position",
        "a queue that does not exist",
        "metadata is damaged",
        "index by_expiry is missing",
    ):
        assert sum(what in fault for fault in found) == 1, what
    assert len(found) == 8


async def test_mongodb_removes_later_than_any_clock_of_ours_says(storage, database, clock):
    await storage.post(KEY, some(1, ttl=60), CLIENT)
    await storage.claim(KEY, Lease(300, 60), 1)
    (index,) = [index for index in database["messages"].list_indexes() if index["name"] == "gone"]
    assert index["expireAfterSeconds"] == 0
    removed = database["messages"].find_one()["gone"].timestamp()
    assert removed - time.time() > 360 + 500
    clock.passes(360)
    assert await storage.sweep() is False
    assert database["messages"].count_documents({}) == 0


async def test_the_sweep_moves_what_has_ended_to_where_it_is_found_in_order(storage, database, clock):
    await storage.create_queue(QueueKey("p", "late"), {"_default_message_delay": 1})
    await storage.post(QueueKey("p", "late"), some(1, delay=30), CLIENT)
    await storage.post(KEY, some(2), CLIENT)
    await storage.claim(KEY, LEASE, 1)
    await storage.sweep()
    assert database["messages"].count_documents({"until": 0}) == 0
    clock.passes(60)
    await storage.sweep()
    assert database["messages"].count_documents({"until": 0}) == 2


async def test_no_call_scans_a_collection(storage, database, clock):
    """The server's profiler has no COLLSCAN, which would grow with the store."""
    database.command("profile", 2)
    rule = {"_max_claim_count": 1, "_dead_letter_queue": "dead", "_default_message_delay": 1}
    await storage.create_queue(QueueKey("p", "other"), rule)
    for key in (KEY, QueueKey("p", "other")):
        ids = await storage.post(key, some(*range(9)) + some(1, delay=5), CLIENT)
        await storage.list_messages(key, MessageQuery(hidden_from=CLIENT, include_claimed=True))
        await storage.list_messages(key, MessageQuery(hidden_from=CLIENT))
        await storage.get_messages(key, ids)
        claim = await storage.claim(key, LEASE, 2)
        await storage.get_claim(key, claim.id)
        await storage.renew_claim(key, claim.id, LEASE)
        await storage.delete_message(key, ids[0], claim.id)
        await storage.delete_message(key, ids[0], None)
        await storage.release_claim(key, claim.id)
        await storage.claim(key, LEASE, 2)
        await storage.stats(key)
        clock.passes(60)
        await storage.claim(key, LEASE, 2)
        await storage.pop(key, 1)
        await storage.delete_messages(key, ids[5:6])
        await storage.purge(key)
        await storage.list_queues(QueueQuery("p", key.kind, 10, name_part="o", filters=(("a", 1),)))
        await storage.count_queues("p", key.kind)
        await storage.inventory(key, 10)
        await storage.list_subscriptions(key, 10, None)
    clock.passes(600)
    await storage.delete_queue(QueueKey("p", "dead"))
    while await storage.sweep():
        pass
    database.command("profile", 0)
    seen = list(database["system.profile"].find({"planSummary": {"$exists": True}}))
    plans = {(one["ns"].partition(".")[2], one["planSummary"]) for one in seen}
    scans = {(collection, plan) for collection, plan in plans if "COLLSCAN" in plan}
    assert scans <= {("dropped", "COLLSCAN")}  # read for its first document only
    assert any(collection == "messages" and "IXSCAN" in plan for collection, plan in plans)


async def test_a_page_of_the_inventory_costs_the_same_wherever_it_begins(storage, database):
    made = [(n % 2, f"p{n % 10}", f"q{n:04d}") for n in range(4000)]
    database["queues"].insert_many(
        {
            "_id": f"{kind}\0{project}\0{name}",
            "queue": 1000 + n,
            "name": name,
            "declared": True,
            "revision": 0,
            "metadata": "{}",
            "last": 0,
            "pending": [],
        }
        for n, (kind, project, name) in enumerate(made)
    )
    database.command("profile", 2)
    for after in (None, QueueKey("p5", "q2001", Kind.TOPIC), QueueKey("p9", "q2009", Kind.TOPIC)):
        assert len(await storage.inventory(after, 50)) == 50
    database.command("profile", 0)
    seen = list(database["system.profile"].find({"op": "query", "ns": f"{database.name}.queues"}))
    assert len(seen) == 6
    assert max(one["docsExamined"] for one in seen) <= 50


async def test_a_page_behind_many_claimed_messages_does_not_look_at_them(storage, database):
    await storage.post(KEY, some(*range(3000)), CLIENT)
    for _ in range(20):
        await storage.claim(KEY, LEASE, 100)
    database.command("profile", 2)
    claim = await storage.claim(KEY, LEASE, 10)
    page, _ = await storage.list_messages(KEY, MessageQuery(limit=10))
    database.command("profile", 0)
    assert (claim.messages[0].body, page[0].body) == ("2000", "2010")
    looked_at = [one.get("keysExamined", 0) for one in database["system.profile"].find()]
    assert max(looked_at) < 200


# Coalescer


async def test_turns_join_what_comes_meanwhile():
    batches: list[list[int]] = []
    opened_gate = asyncio.Event()

    async def work(key: str, jobs: list[int]) -> list[int]:
        batches.append(jobs)
        await opened_gate.wait()
        if 13 in jobs:
            raise QueueMissing(key)
        return [2 * job for job in jobs]

    turns: Coalescer[str, int, int] = Coalescer(work, 4)
    first = asyncio.create_task(turns.take("a", 1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    others = [asyncio.create_task(turns.take("a", n, weight)) for n, weight in ((2, 1), (3, 3), (4, 1), (13, 9))]
    left = asyncio.create_task(turns.take("a", 5))
    await asyncio.sleep(0)
    left.cancel()
    opened_gate.set()
    outcomes = await asyncio.gather(first, *others, return_exceptions=True)
    assert outcomes[:4] == [2, 4, 6, 8]
    assert isinstance(outcomes[4], QueueMissing)
    assert batches == [[1], [2, 3], [4], [13]]
    assert await turns.take("b", 7) == 14
    await turns.close()
