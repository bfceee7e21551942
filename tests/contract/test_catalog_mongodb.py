"""The particulars of the MongoDB driver: steps for one promise, a URI with secrets, a server that may be gone."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from unittest.mock import AsyncMock

import pytest
from pymongo import MongoClient

from catalog import Catalog, open_catalog
from catalog.errors import (
    BadCatalogURI,
    CatalogInUse,
    CatalogUnavailable,
    LoadUnfinished,
    NotEmpty,
    PartitionConflict,
    PartitionInUse,
    PartitionUnknown,
    SnapshotTooOld,
)
from catalog.model import BackupValue, Member, QueueKey, Tenant
from catalog.mongodb import store
from catalog.mongodb.documents import placement_document
from catalog.mongodb.driver import MongoDBCatalog
from catalog.mongodb.feed import token_position
from tests.conftest import FORGOTTEN_SOCKETS
from tests.contract.examples import Feed, dangling, move, partition, placement, whole_plan
from tests.servers.mongod import free_port, mongod_replica_set

pytestmark = [FORGOTTEN_SOCKETS, pytest.mark.usefixtures("forgotten_sockets")]

KEY = QueueKey("project", "orders")
SECRET = "hunter2"


@pytest.fixture
async def catalog(mongodb_database_uri: str) -> AsyncIterator[MongoDBCatalog]:
    catalog = await MongoDBCatalog.open(mongodb_database_uri)
    await catalog.init()
    for name in ("p1", "p2"):
        await catalog.partitions.insert(partition(name))
    yield catalog
    await catalog.close()


@pytest.fixture
def database(catalog: MongoDBCatalog, mongodb_database_uri: str) -> Any:
    """The same database without the catalog around it."""
    with MongoClient(mongodb_database_uri, w="majority") as client:
        yield client.get_default_database()


# -- partitions that are being removed ------------------------------------------------------------------------------


async def test_an_interrupted_removal_lists_the_partition_and_takes_no_placements(
    catalog: MongoDBCatalog, database: Any
) -> None:
    await catalog.placements.insert(placement("old", "p1"))
    database["partitions"].update_one({"_id": "p1"}, {"$set": {"leaving": "by one who died"}})
    assert partition("p1") in await catalog.partitions.all()
    with pytest.raises(PartitionUnknown):
        await catalog.placements.insert(placement("orders", "p1"))
    assert await catalog.placements.get(KEY) is None
    await catalog.placements.insert(placement("other", "p2"))
    with pytest.raises(PartitionUnknown):
        await catalog.placements.replace(placement("other", "p2", "p1", epoch=2))
    # Placements that exist already stay valid.
    await catalog.placements.replace(placement("old", "p1", epoch=2))
    with pytest.raises(PartitionConflict):
        await catalog.partitions.insert(partition("p1"))


async def test_replacing_revives_a_partition(catalog: MongoDBCatalog, database: Any) -> None:
    database["partitions"].update_one({"_id": "p1"}, {"$set": {"leaving": "by one who died"}})
    await catalog.partitions.replace(partition("p1", version=2))
    assert (await catalog.placements.insert(placement("orders", "p1")))[1]


async def test_a_removal_can_be_repeated(catalog: MongoDBCatalog, database: Any) -> None:
    database["partitions"].update_one({"_id": "p1"}, {"$set": {"leaving": "by one who died"}})
    await catalog.partitions.remove("p1")
    assert await catalog.partitions.get("p1") is None


class Interruption:
    """Does something the first time (or another) that a method has returned, before its caller goes on."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, target: object, method: str, happening: Any, *, at: int = 1
    ) -> None:
        original = getattr(target, method)
        self.times = 0

        async def interrupted(*args: Any, **kwargs: Any) -> Any:
            result = await original(*args, **kwargs)
            self.times += 1
            if self.times == at:
                await happening()
            return result

        monkeypatch.setattr(target, method, interrupted)


async def test_a_removal_between_the_first_look_and_the_insert(
    catalog: MongoDBCatalog, mongodb_database_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    remover = await MongoDBCatalog.open(mongodb_database_uri)
    looks = Interruption(monkeypatch, catalog.partitions, "unfit", lambda: remover.partitions.remove("p1"))
    with pytest.raises(PartitionUnknown):
        await catalog.placements.insert(placement("orders", "p1"))
    assert looks.times == 2
    assert await catalog.placements.get(KEY) is None
    await remover.close()


async def test_a_removal_between_the_first_look_and_the_insert_of_many(
    catalog: MongoDBCatalog, mongodb_database_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    remover = await MongoDBCatalog.open(mongodb_database_uri)
    await catalog.placements.insert(placement("there", "p2"))
    looks = Interruption(monkeypatch, catalog.partitions, "unfit", lambda: remover.partitions.remove("p1"))
    with pytest.raises(PartitionUnknown) as refused:
        await catalog.placements.insert_many(
            [placement("orders", "p1"), placement("other", "p2"), placement("there", "p1")]
        )
    assert refused.value.name == "p1"
    assert looks.times == 2
    assert await dangling(catalog) == []
    assert await catalog.placements.get(KEY) is None
    await remover.close()


async def test_one_of_many_removed_between_the_insert_and_the_read(
    catalog: MongoDBCatalog, mongodb_database_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    remover = await MongoDBCatalog.open(mongodb_database_uri)
    old = placement("orders", "p2", incarnation="old")
    await catalog.placements.insert(old)
    Interruption(monkeypatch, catalog.placements, "_taken", lambda: remover.placements.remove(KEY, 1, "old"))
    wanted = [placement("orders", "p1"), placement("other", "p1")]
    assert await catalog.placements.insert_many(wanted) == wanted
    assert await catalog.placements.find(limit=10) == wanted
    await remover.close()


async def test_an_interrupted_removal_takes_none_of_many(catalog: MongoDBCatalog, database: Any) -> None:
    database["partitions"].update_one({"_id": "p1"}, {"$set": {"leaving": "by one who died"}})
    with pytest.raises(PartitionUnknown):
        await catalog.placements.insert_many([placement("other", "p2"), placement("orders", "p1")])
    assert await catalog.placements.count() == 0


async def test_a_removal_between_the_first_look_and_the_replacement(
    catalog: MongoDBCatalog, mongodb_database_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await catalog.placements.insert(placement("orders", "p2"))
    remover = await MongoDBCatalog.open(mongodb_database_uri)
    looks = Interruption(monkeypatch, catalog.partitions, "unfit", lambda: remover.partitions.remove("p1"))
    with pytest.raises(PartitionUnknown):
        await catalog.placements.replace(placement("orders", "p2", "p1", epoch=2))
    assert looks.times == 2
    # The state before, at an epoch that was never used for another change.
    assert await catalog.placements.get(KEY) == placement("orders", "p2", epoch=3)
    await remover.close()


async def test_a_switch_is_not_taken_back_when_its_partition_is_being_removed(
    catalog: MongoDBCatalog, mongodb_database_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers have seen it, and clients have written there."""
    await catalog.placements.insert(placement("orders", "p2"))
    remover = await MongoDBCatalog.open(mongodb_database_uri)
    counted, switched = asyncio.Event(), asyncio.Event()
    removing: list[asyncio.Task[None]] = []

    async def remove_until_counted() -> None:
        removing.append(asyncio.create_task(remover.partitions.remove("p1")))
        await counted.wait()

    async def wait_for_the_switch() -> None:
        counted.set()
        await switched.wait()

    Interruption(monkeypatch, catalog.partitions, "unfit", remove_until_counted)
    Interruption(monkeypatch, remover.partitions, "_count", wait_for_the_switch)
    chain = placement("orders", "p2", "p1", epoch=2)
    await catalog.placements.replace(chain)
    switched.set()
    with pytest.raises(PartitionInUse):
        await removing[0]
    assert await catalog.placements.get(KEY) == chain
    assert await dangling(catalog) == []
    assert (await catalog.placements.insert(placement("more", "p1")))[1]  # no mark is left
    await remover.close()


async def test_a_placement_met_by_the_second_count_brings_the_partition_back(
    catalog: MongoDBCatalog, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def somebody_inserts() -> None:
        await asyncio.to_thread(database["placements"].insert_one, placement_document(placement("orders", "p1")))

    counts = Interruption(monkeypatch, catalog.partitions, "_count", somebody_inserts)
    with pytest.raises(PartitionInUse):
        await catalog.partitions.remove("p1")
    assert counts.times == 2
    assert await dangling(catalog) == []
    assert (await catalog.placements.insert(placement("more", "p1")))[1]  # no mark is left


async def test_a_revival_during_the_removal_is_not_deleted_unseen(
    catalog: MongoDBCatalog, mongodb_database_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reviver = await MongoDBCatalog.open(mongodb_database_uri)

    async def revive_and_use() -> None:
        await reviver.partitions.replace(partition("p1", version=2))
        await reviver.placements.insert(placement("orders", "p1"))

    Interruption(monkeypatch, catalog.partitions, "_count", revive_and_use)
    with pytest.raises(PartitionInUse):
        await catalog.partitions.remove("p1")
    assert await dangling(catalog) == []
    await reviver.close()


async def test_a_cancelled_insert_still_looks_again(
    catalog: MongoDBCatalog, mongodb_database_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    remover = await MongoDBCatalog.open(mongodb_database_uri)

    async def remove_and_cancel() -> None:
        await remover.partitions.remove("p1")
        inserting.cancel()

    Interruption(monkeypatch, catalog.partitions, "unfit", remove_and_cancel)
    inserting = asyncio.create_task(catalog.placements.insert(placement("orders", "p1")))
    with pytest.raises(asyncio.CancelledError):
        await inserting
    await catalog.close()  # waits for what was begun
    assert await remover.placements.get(KEY) is None
    await remover.close()


# -- documents and events -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        {"$set": {"epoch": "two"}},
        {"$set": {"epoch": 0}},
        {"$set": {"state": "nowhere"}},
        {"$set": {"segments": []}},
        {"$set": {"segments": [7]}},
        {"$unset": {"base": ""}},
        {"$set": {"queue": "another"}},
    ],
)
async def test_a_damaged_placement_is_refused_by_name(
    catalog: MongoDBCatalog, database: Any, damage: dict[str, Any]
) -> None:
    await catalog.placements.insert(placement("orders"))
    database["placements"].update_one({}, damage)
    with pytest.raises(CatalogUnavailable, match=r"orders.*damaged"):
        await catalog.placements.get(KEY)
    with pytest.raises(CatalogUnavailable, match="damaged"):
        await catalog.placements.find(limit=10)


async def test_other_damaged_documents_are_refused(catalog: MongoDBCatalog, database: Any) -> None:
    await catalog.tenants.put(Tenant("project"))
    database["partitions"].update_one({"_id": "p1"}, {"$set": {"weight": -1}})
    database["tenants"].update_one({}, {"$set": {"spread": "wide"}})
    database["members"].insert_one({"_id": "one"})
    await catalog.moves.insert(move("m-1"))
    await catalog.plans.insert(whole_plan("plan-1"))
    database["moves"].update_one({}, {"$set": {"state": "nowhere"}})
    database["plans"].update_one({}, {"$set": {"title": ""}})
    database["planned_moves"].update_one({}, {"$set": {"target": "p1"}})
    for call in (
        catalog.partitions.all(),
        catalog.tenants.get("project"),
        catalog.members.all(),
        catalog.moves.get("m-1"),
        catalog.moves.lock("m-1").acquire("mover", 1.0),
        catalog.moves.find(limit=1),
        catalog.plans.get("plan-1"),
        catalog.plans.find(limit=1),
        catalog.planned_moves.find("plan-1", limit=1),
        catalog.tenants.find(limit=1),
    ):
        with pytest.raises(CatalogUnavailable, match="damaged"):
            await call


@pytest.mark.parametrize("disaster", ["drop", "rename", "drop database"])
async def test_a_feed_ends_when_its_collections_go(catalog: MongoDBCatalog, database: Any, disaster: str) -> None:
    await catalog.placements.insert(placement("orders"))
    feed = catalog.watch()
    await anext(feed)
    if disaster == "drop":
        database["placements"].drop()
    elif disaster == "rename":
        database["placements"].rename("elsewhere")
    else:
        database.client.drop_database(database.name)
    with pytest.raises(CatalogUnavailable, match="change stream"):
        async for _ in feed:
            pass


async def test_an_edit_by_hand_is_shown(catalog: MongoDBCatalog, database: Any) -> None:
    await catalog.placements.insert(placement("orders"))
    async with Feed(catalog) as feed:
        database["placements"].update_one({}, {"$inc": {"epoch": 1}})
        await feed.until(lambda: feed.epochs("orders") == [2])


async def test_the_position_moves_on_with_writes_that_are_not_shown(catalog: MongoDBCatalog, database: Any) -> None:
    async with Feed(catalog) as feed:
        before = feed.items[0].position
        database["elsewhere"].insert_one({})
        await feed.until(lambda: bool(feed.silences) and feed.silences[-1].position > before)
        assert feed.changes == []


@pytest.mark.parametrize("token", [None, {}, {"_data": 7}, {"_data": "81ff"}, {"_data": "82xyz"}])
def test_a_token_of_unknown_form_tells_no_position(token: Any) -> None:
    assert token_position(token) == 0


def test_a_token_tells_its_cluster_time() -> None:
    assert token_position({"_data": "82655D1E4F000000032B0229"}) == (0x655D1E4F << 32) | 3


# -- backups --------------------------------------------------------------------------------------------------------


async def test_a_snapshot_that_takes_longer_than_the_server_remembers() -> None:
    with mongod_replica_set() as replica_set:
        catalog = await open_catalog(replica_set.uri("catalog"))
        await catalog.init()
        await catalog.partitions.insert(partition("p1"))
        with MongoClient(replica_set.uri(), w="majority") as client:
            client.admin.command("setParameter", 1, minSnapshotHistoryWindowInSeconds=0)
            snapshot = catalog.backups.snapshot()
            await anext(snapshot)
            with pytest.raises(SnapshotTooOld, match="minSnapshotHistoryWindowInSeconds"):  # noqa: PT012 -- when is up to it
                while True:
                    client["elsewhere"]["clock"].insert_one({})
                    snapshot = await _older(catalog, snapshot)
        await catalog.close()


async def _older(
    catalog: Catalog, snapshot: AsyncGenerator[list[BackupValue], None]
) -> AsyncGenerator[list[BackupValue], None]:
    """Read on; return the next snapshot, one batch of it read, if this one could be read to its end."""
    async for _ in snapshot:
        pass
    following = catalog.backups.snapshot()
    await anext(following)
    return following


async def test_a_load_that_died_before_it_removed_anything_leaves_a_mark_for_init(
    catalog: MongoDBCatalog, database: Any
) -> None:
    mark = {"_id": "loading", "token": "its", "since": datetime.now(UTC), "emptying": False, "first_token": 0}
    database["catalog"].insert_one(mark)
    with pytest.raises(LoadUnfinished, match=r"has removed nothing.*marconi-proxy catalog init"):
        await catalog.check()
    with pytest.raises(NotEmpty):  # what is there is worth as much as before
        await catalog.backups.begin_load(replace=False)
    await catalog.check()
    database["catalog"].insert_one(mark)
    await catalog.init()
    await catalog.check()
    assert await catalog.partitions.get("p1") == partition("p1")


async def test_a_worker_that_registers_while_a_load_begins(
    catalog: MongoDBCatalog, mongodb_database_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the load has looked for members: the worker sees the mark."""
    worker = await MongoDBCatalog.open(mongodb_database_uri)
    refused = []

    async def register() -> None:
        with pytest.raises(CatalogUnavailable, match="being loaded"):
            await worker.members.register(Member("host/1/boot", lease=30.0))
        refused.append(True)

    Interruption(monkeypatch, catalog.members, "all", register, at=2)
    await catalog.backups.begin_load(replace=True)
    assert refused
    assert await worker.members.all() == []
    await worker.close()


async def test_a_worker_that_renews_while_a_load_begins_stays_listed(
    catalog: MongoDBCatalog, mongodb_database_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on writing by the lease that it has: the load must be refused, and a mover must wait for the worker."""
    worker = await MongoDBCatalog.open(mongodb_database_uri)
    member = Member("host/1/boot", 1, lease=30.0)
    latest = replace(member, beat=3)
    renewed = []

    async def renew() -> None:
        await worker.members.register(member)
        with monkeypatch.context() as marked:
            marked.setattr("catalog.mongodb.members.is_marked", AsyncMock(return_value=True))
            with pytest.raises(CatalogUnavailable, match="being loaded"):
                await worker.members.register(replace(member, beat=2))
            await worker.members.renew(latest)
        renewed.append(True)

    Interruption(monkeypatch, catalog.members, "all", renew)
    with pytest.raises(CatalogInUse, match="host/1/boot"):
        await catalog.backups.begin_load(replace=True)
    assert renewed
    assert await worker.members.all() == [latest]
    await catalog.check()
    await worker.members.renew(replace(member, beat=4))
    await worker.close()


async def test_a_load_that_is_refused_disturbs_no_worker(
    catalog: MongoDBCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await catalog.members.register(Member("host/1/boot", lease=30.0))
    marks = Interruption(monkeypatch, catalog.backups._marks, "find_one_and_update", None, at=0)
    with pytest.raises(CatalogInUse):
        await catalog.backups.begin_load(replace=True)
    assert not marks.times


# -- URIs and secrets -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri",
    [
        f"mongodb://user:{SECRET}@127.0.0.1:PORT/catalog",
        f"mongodb://user:{SECRET}@127.0.0.1:PORT/catalog?authSource=admin&w=1&readPreference=secondary",
    ],
)
async def test_messages_name_hosts_and_database_but_no_password(
    uri: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(store, "VERB_TIMEOUT", 0.2)
    caplog.set_level(logging.DEBUG)
    port = free_port()
    catalog = await open_catalog(uri.replace("PORT", str(port)))
    with pytest.raises(CatalogUnavailable) as refused:
        await catalog.partitions.all()
    assert f"127.0.0.1:{port}/catalog" in str(refused.value)
    whole = "".join(traceback.format_exception(refused.value)) + repr(catalog) + caplog.text
    assert SECRET not in whole
    assert "user" not in str(refused.value)
    await catalog.close()


@pytest.mark.parametrize(
    "uri",
    [
        f"mongodb://user:{SECRET}/x@127.0.0.1:1/catalog",
        f"mongodb://user:{SECRET}@x@127.0.0.1:1/catalog",
        f"mongodb://user:{SECRET}@127.0.0.1:none/catalog",
        f"mongodb://user:{SECRET}@127.0.0.1:1/catalog?tlss={SECRET}",
        f"mongodb://user:1/2?{SECRET}=3@127.0.0.1:1/catalog",
        f"mongodb://user:{SECRET}@127.0.0.1:1/cata.log",
        f"mongodb://user:{SECRET}@127.0.0.1:1/$catalog",
        f"mongodb://user:{SECRET}@127.0.0.1:1/catalog?w={SECRET}&journal={SECRET}",
    ],
)
async def test_a_malformed_uri_is_refused_without_quoting_it(uri: str) -> None:
    with pytest.raises(BadCatalogURI) as refused:
        await open_catalog(uri)
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
async def test_a_bad_option_of_a_uri_is_named(user: str, options: str, wrong: str) -> None:
    with pytest.raises(BadCatalogURI, match=f"the MongoDB URI has a bad option, {wrong}: ") as refused:
        await open_catalog(f"mongodb://{user}127.0.0.1:1/catalog?{options}")
    assert SECRET not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("rest", ["127.0.0.1:none/catalog", "h1,h2/catalog?directConnection=true"])
async def test_a_malformed_uri_without_bad_options(rest: str) -> None:
    with pytest.raises(BadCatalogURI, match="the MongoDB URI is malformed, or its options do not fit its hosts"):
        await open_catalog(f"mongodb://{rest}")


# -- a server that is gone, or does not answer -----------------------------------------------------------------------


async def test_a_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with mongod_replica_set() as replica_set:
        catalog = await open_catalog(replica_set.uri("catalog"))
        await catalog.init()
        await catalog.partitions.insert(partition("p1"))
        async with Feed(catalog) as feed:
            server = replica_set.wait_for_primary()
            monkeypatch.setattr(store, "VERB_TIMEOUT", 0.5)
            monkeypatch.setattr("catalog.mongodb.feed._SILENCE_TIMEOUT", 1.0)
            server.suspend()
            for call in (catalog.ping(), catalog.placements.get(KEY), catalog.placements.insert(placement("orders"))):
                with pytest.raises(CatalogUnavailable, match="/catalog"):
                    await call
            await feed.ends()
            assert isinstance(feed.ended, CatalogUnavailable)
            server.wake()
            monkeypatch.undo()
        stored, inserted = await catalog.placements.insert(placement("orders"))
        assert (stored, inserted) == (placement("orders"), True)
        await catalog.close()


async def test_batches_of_a_backup_may_take_longer_than_what_servers_wait_for(
    catalog: MongoDBCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    values: list[BackupValue] = [partition("p1"), placement("orders", "p1")]
    token = await catalog.backups.begin_load(replace=True)
    monkeypatch.setattr(store, "VERB_TIMEOUT", 0.00001)
    with pytest.raises(CatalogUnavailable):
        await catalog.partitions.all()
    await catalog.backups.load(token, values)
    await catalog.backups.end_load(token)
    assert [value async for batch in catalog.backups.snapshot() for value in batch] == values


async def test_a_renewal_is_one_command(catalog: MongoDBCatalog, database: Any) -> None:
    """Some hundred workers send it every few seconds, and while writes wait for a move."""
    member = Member("host/1/boot", 1, lease=30.0)
    await catalog.members.register(member)
    database.command("profile", 2)
    await catalog.members.renew(replace(member, beat=2))
    database.command("profile", 0)
    ours = {"appName": "marconi-proxy", "ns": {"$ne": f"{database.name}.system.profile"}}
    assert [entry["op"] for entry in database["system.profile"].find(ours)] == ["update"]


async def test_a_listing_of_some_hundred_members_is_one_command(catalog: MongoDBCatalog, database: Any) -> None:
    """A mover lists them many times in a second."""
    members = [Member(f"host/{number:03}/boot", 1, lease=30.0) for number in range(200)]
    await asyncio.gather(*(catalog.members.register(member) for member in members))
    database.command("profile", 2)
    assert await catalog.members.all() == members
    database.command("profile", 0)
    ours = {"appName": "marconi-proxy", "ns": {"$ne": f"{database.name}.system.profile"}}
    assert [entry["op"] for entry in database["system.profile"].find(ours)] == ["query"]
    assert await catalog.members.all() == members
