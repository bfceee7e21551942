"""Reading everything as of one instant, and loading it into another catalog, or the same."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pymongo import MongoClient

from catalog import Catalog, open_catalog
from catalog.backup import importer
from catalog.backup.exporter import export
from catalog.errors import (
    CatalogInUse,
    CatalogUnavailable,
    LoadRefused,
    LoadUnfinished,
    LockLost,
    NotEmpty,
)
from catalog.model import (
    AuditState,
    BackupValue,
    HeldWrites,
    Member,
    Move,
    MoveState,
    Partition,
    Placement,
    PlacementState,
    QueueKey,
    Segment,
    StatisticsSubject,
    SubjectStatistics,
    Tenant,
    Walk,
)
from catalog.mongodb.driver import MongoDBCatalog
from tests.catalog_wraps import Instead
from tests.contract.conftest import OpenAgain
from tests.contract.examples import Feed, move, partition, placement, plan, store, whole_plan
from tests.servers.mongod import with_database

TENANTS = [Tenant(""), Tenant("a", spread=3), Tenant("project", pinned="p1")]
PLACEMENTS = [
    placement("q", project=""),
    placement("~topic", "p2", project="a/b", state=PlacementState.RESERVED),
    Placement(
        "project",
        "orders",
        9,
        PlacementState.SEALING,
        (Segment(4, "p1", "orders", sealed=True), Segment(5, "p2", "hidden")),
        base=4,
        since=1700000000.25,
        group="source",
        incarnation="b",
        move="m-2",
    ),
]
MOVES = [
    move("m-1", state=MoveState.DONE, version=4),
    replace(move("m-2", state=MoveState.SEALING), other_facts={"b": 1, "a": {"deep": [1, 2.5, None]}}, created=7),
]
WHOLE = whole_plan("plan-1", "orders", "news")
PLANS = [WHOLE.plan]


def everything() -> list[BackupValue]:
    return [partition("p1", version=7), partition("p2"), *TENANTS, *PLACEMENTS, *MOVES, *PLANS, *WHOLE.moves]


async def taken(catalog: Catalog) -> list[BackupValue]:
    """Return the values of a snapshot."""
    return [value async for batch in catalog.backups.snapshot() for value in batch]


async def load(catalog: Catalog, values: Sequence[BackupValue], *, replace: bool = False) -> None:
    token = await catalog.backups.begin_load(replace=replace)
    for n in range(0, len(values), 3):
        await catalog.backups.load(token, values[n : n + 3])
    await catalog.backups.end_load(token)


@pytest.fixture
async def empty(open_again: OpenAgain) -> Catalog:
    catalog = await open_again()
    await catalog.init()
    return catalog


@pytest.fixture
async def full(empty: Catalog) -> Catalog:
    await load(empty, everything())
    return empty


async def test_what_was_loaded_is_in_the_snapshot_and_is_found(full: Catalog) -> None:
    kept = await taken(full)
    assert kept == everything()
    assert [value.version for value in kept if isinstance(value, Partition)] == [7, 1]
    await full.check()
    assert await full.placements.find(limit=9) == PLACEMENTS
    assert await full.placements.find(partitions=["p1"], limit=9) == [PLACEMENTS[0], PLACEMENTS[2]]
    assert await full.placements.find(states=[PlacementState.SEALING], limit=9) == [PLACEMENTS[2]]
    assert await full.moves.find(partition="p2", limit=9) == MOVES
    assert await full.plans.get("plan-1") == PLANS[0]
    assert await full.planned_moves.find("plan-1", limit=9) == list(WHOLE.moves)
    assert await full.tenants.get("") == TENANTS[0]
    await full.close()


async def test_an_empty_catalog(empty: Catalog) -> None:
    assert await taken(empty) == []
    await load(empty, [])
    await empty.check()
    await empty.close()


async def test_moves_of_a_plan_that_is_still_being_stored_are_not_in_the_snapshot(empty: Catalog) -> None:
    partitions = [partition("p1"), partition("p2")]
    await load(empty, [*partitions, *WHOLE.moves])
    assert await taken(empty) == partitions
    await empty.close()


async def test_statistics_of_before_a_load_are_not_shown_after_it(full: Catalog) -> None:
    found = SubjectStatistics(StatisticsSubject.PROJECT, "project", 3, begun=1.0, ended=2.0)
    await full.statistics.put(StatisticsSubject.PROJECT, [found], since="", until=None)
    await load(full, everything(), replace=True)
    assert await full.statistics.find(StatisticsSubject.PROJECT, limit=9) == []
    await full.close()


async def test_a_walk_of_before_a_load_does_not_go_on_after_it(full: Catalog) -> None:
    held = (await full.statistics.walk.acquire("host/1/boot", 60.0)).holder
    assert held is not None
    sums = SubjectStatistics(StatisticsSubject.PARTITION, "p1", 3, begun=1.0, ended=2.0)
    walk = Walk(begun=1.0, after=QueueKey("project", "news"), partitions=(sums,))
    await full.statistics.walk.save(walk, held.token, 60.0)
    await load(full, everything(), replace=True)
    assert await full.statistics.walk.get() == Walk()
    with pytest.raises(LockLost):
        await full.statistics.walk.save(walk, held.token, 60.0)
    taken_anew = (await full.statistics.walk.acquire("host/2/boot", 60.0)).holder
    assert taken_anew is not None
    assert taken_anew.token > held.token
    await full.close()


async def test_an_audit_of_before_a_load_is_not_shown_after_it(full: Catalog) -> None:
    held = (await full.audit.acquire("host/1/boot", 60.0)).holder
    assert held is not None
    audit = AuditState(begun=1.0, ended=2.0)
    await full.audit.save(audit, held.token, 60.0)
    await load(full, everything(), replace=True)
    assert await full.audit.get() == AuditState()
    with pytest.raises(LockLost):
        await full.audit.save(audit, held.token, 60.0)
    await full.close()


async def test_a_snapshot_is_of_one_instant_and_nobody_waits_for_it(catalog: Catalog, other: Catalog) -> None:
    first = [placement(f"queue-{n:04}") for n in range(1200)]
    await catalog.placements.insert_many(first)
    await catalog.tenants.put(Tenant("project"))
    await catalog.moves.insert(move("m-1"))
    snapshot = catalog.backups.snapshot()
    kept: list[BackupValue] = list(await anext(snapshot))
    await other.placements.insert(placement("aaa"))
    await other.placements.replace(replace(first[-1], epoch=2))
    await other.placements.remove(first[-2].key, 1, first[-2].incarnation)
    await other.tenants.put(Tenant("project", spread=2))
    await other.partitions.insert(partition("p4"))
    await other.moves.lock("m-1").acquire("mover", 60.0)
    await other.plans.insert(whole_plan("plan-1"))
    async for batch in snapshot:
        assert len(batch) <= 500
        kept += batch
    assert kept == [*map(partition, ("p1", "p2", "p3")), Tenant("project"), *first, move("m-1")]


async def test_a_snapshot_that_is_not_read_to_its_end(catalog: Catalog) -> None:
    await store(catalog, placement("orders"))
    snapshot = catalog.backups.snapshot()
    await anext(snapshot)
    await snapshot.aclose()
    broken_off = catalog.backups.snapshot()
    await anext(broken_off)
    await catalog.close()
    with pytest.raises(CatalogUnavailable):
        await anext(broken_off)


async def test_who_holds_a_move_is_not_kept_and_tokens_go_on_growing(full: Catalog) -> None:
    held = await full.moves.lock("m-2").acquire("mover", 60.0)
    assert held.holder is not None
    before = await taken(full)
    assert [value.holder for value in before if isinstance(value, type(held))] == [None, None]
    for _ in range(2):
        await full.moves.lock("m-2").release(held.holder.token)
        await load(full, before, replace=True)
        again = await full.moves.lock("m-2").acquire("another", 60.0)
        assert again.holder is not None
        assert again.holder.token > held.holder.token
        held = again
    await full.close()


@pytest.mark.parametrize("value", [everything()[0], TENANTS[0], "placement", "move", PLANS[0]])
async def test_a_catalog_that_holds_anything_is_left_alone(empty: Catalog, value: BackupValue | str) -> None:
    if value == "placement":
        await load(empty, [partition("p1"), placement("orders")])
    elif value == "move":
        await empty.moves.insert(move("m-1"))
    elif isinstance(value, Partition):
        await empty.partitions.insert(replace(value, version=1))
    elif isinstance(value, Tenant):
        await empty.tenants.put(value)
    else:
        await empty.plans.insert(WHOLE)
    before = await taken(empty)
    with pytest.raises(NotEmpty, match=r"not empty: it has (partitions|tenants|moves|plans)"):
        await empty.backups.begin_load(replace=False)
    await empty.check()
    assert await taken(empty) == before
    await load(empty, everything(), replace=True)
    assert await taken(empty) == everything()
    await empty.close()


async def test_not_while_workers_serve_from_it(full: Catalog) -> None:
    await full.members.register(Member("host/1/boot", lease=30.0))
    await full.members.register(Member("host/2/boot", lease=0.000001))  # silent or not: that is for others to judge
    with pytest.raises(CatalogInUse, match="2 front-door workers registered: host/1/boot, host/2/boot"):
        await full.backups.begin_load(replace=True)
    await full.check()
    assert await taken(full) == everything()
    await full.members.remove("host/1/boot")
    await full.members.remove("host/2/boot")
    token = await full.backups.begin_load(replace=True)
    with pytest.raises(CatalogUnavailable, match="being loaded"):
        await full.members.register(Member("late"))
    assert await full.members.all() == []
    await full.backups.load(token, everything())
    await full.backups.end_load(token)
    await full.members.register(Member("late"))
    await full.close()


async def test_not_while_movers_hold_moves(full: Catalog) -> None:
    held = (await full.moves.lock("m-2").acquire("host/3/boot", 60.0)).holder
    assert held is not None
    with pytest.raises(CatalogInUse, match="1 mover at work: host/3/boot"):
        await full.backups.begin_load(replace=True)
    await full.check()
    assert await taken(full) == everything()
    await full.moves.lock("m-2").release(held.token)
    await full.moves.lock("m-1").acquire("host/3/boot", 60.0)  # it is finished: there is nothing to hold it for
    await load(full, everything(), replace=True)
    await full.close()


async def test_held_writes_of_before_a_load_are_gone(full: Catalog) -> None:
    await full.held_writes.put({"m-2": HeldWrites("host/1/boot", 1)})
    await load(full, everything(), replace=True)
    assert await full.held_writes.find("m-2") == []
    await full.close()


# -- before a load: what is registered and does not live -------------------------------------------------------------


class Watching:
    """A clock for ``let_lapse``, which goes by a second when it sleeps; ``meanwhile`` is awaited after each."""

    def __init__(self, catalog: Catalog, meanwhile: Callable[[], Awaitable[object]] | None = None) -> None:
        self.now = 0.0
        self.left: list[float] = []
        self._catalog = catalog
        self._meanwhile = meanwhile

    async def run(self) -> None:
        await importer.let_lapse(self._catalog, self.left.append, clock=lambda: self.now, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.now += seconds
        if self._meanwhile is not None:
            await self._meanwhile()


async def test_nothing_is_waited_for_if_nothing_is_registered(full: Catalog) -> None:
    watching = Watching(full)
    await watching.run()
    assert (watching.now, watching.left) == (0.0, [])
    await full.close()


async def test_the_silent_are_removed_when_they_have_been_silent_for_what_they_promised(full: Catalog) -> None:
    await full.members.register(Member("host/1/boot", lease=30.0))
    await full.members.register(Member("host/2/boot", lease=5.0))
    lost = (await full.moves.lock("m-2").acquire("host/3/boot", 12.0)).holder
    assert lost is not None
    there: dict[float, tuple[list[str], bool]] = {}

    async def note() -> None:
        move = await full.moves.get("m-2")
        assert move is not None
        there[watching.now] = [member.id for member in await full.members.all()], move.holder is not None

    watching = Watching(full, note)
    await watching.run()
    # The note of a second is the result of the looks before it.
    assert there[6.0] == (["host/1/boot", "host/2/boot"], True)
    assert there[7.0] == (["host/1/boot"], True)
    assert there[13.0] == (["host/1/boot"], True)
    assert there[14.0] == (["host/1/boot"], False)
    assert there[31.0] == (["host/1/boot"], False)
    assert watching.now == 31.0
    assert await full.members.all() == []
    assert watching.left[0] == 30.0
    assert watching.left == sorted(watching.left, reverse=True)
    with pytest.raises(LockLost):
        await full.moves.lock("m-2").renew(lost.token, 12.0)
    await load(full, everything(), replace=True)
    await full.close()


@pytest.mark.parametrize("sign", ["renews", "registers", "renews its hold", "takes a move", "takes its move again"])
async def test_what_lives_is_left_alone_and_not_waited_for(full: Catalog, sign: str) -> None:
    await full.members.register(Member("silent", 1, lease=300.0))
    await full.members.register(Member("living", 1, lease=300.0))
    held = (await full.moves.lock("m-2").acquire("mover", 300.0)).holder
    assert held is not None
    if sign == "takes a move":
        await full.moves.lock("m-2").release(held.token)

    async def live() -> None:
        if watching.now == 3.0:
            await {
                "renews": partial(full.members.renew, Member("living", 2, lease=300.0)),
                "registers": partial(full.members.register, Member("new", 1, lease=300.0)),
                "renews its hold": partial(full.moves.lock("m-2").renew, held.token, 300.0),
                "takes a move": partial(full.moves.lock("m-2").acquire, "mover", 300.0),
                "takes its move again": partial(full.moves.lock("m-2").acquire, "mover", 300.0),
            }[sign]()

    watching = Watching(full, live)
    await watching.run()
    assert watching.now == 3.0
    with pytest.raises(CatalogInUse, match="living"):
        await full.backups.begin_load(replace=True)
    await full.close()


async def test_what_renews_just_when_it_is_to_be_removed_stays(full: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is compared when it is removed, and not only when it is read."""
    await full.members.register(Member("host/1/boot", 1, lease=2.0))
    held = (await full.moves.lock("m-2").acquire("mover", 2.0)).holder
    assert held is not None
    expire = full.members.expire

    async def renewed_before(member: Member) -> bool:
        await full.members.renew(Member("host/1/boot", 2, lease=2.0))
        return await expire(member)

    real = full.moves.lock

    def held_before(move_id: str) -> Any:
        lock = real(move_id)

        async def acquire(*args: Any, **kwargs: Any) -> Move:
            await lock.renew(held.token, 2.0)
            return await lock.acquire(*args, **kwargs)

        return Instead(lock, acquire=acquire)

    monkeypatch.setattr(full.members, "expire", renewed_before)
    monkeypatch.setattr(full.moves, "lock", held_before)
    await Watching(full).run()
    with pytest.raises(CatalogInUse, match="host/1/boot"):
        await full.backups.begin_load(replace=True)
    await real("m-2").renew(held.token, 2.0)
    await full.close()


async def test_a_load_that_was_cut_off_is_told_until_it_is_done_again(full: Catalog, open_again: OpenAgain) -> None:
    other = await open_again()
    token = await full.backups.begin_load(replace=True)
    await full.backups.load(token, everything()[:4])
    await full.close()
    with pytest.raises(LoadUnfinished, match="marconi-proxy catalog import again"):
        await other.check()
    with pytest.raises(CatalogUnavailable, match="being loaded"):
        await other.members.register(Member("host/1/boot", lease=30.0))
    assert await other.members.all() == []
    await other.init()
    with pytest.raises(LoadUnfinished):
        await other.check()
    await load(other, everything())  # what is there is not worth anything
    await other.check()
    await other.members.register(Member("host/1/boot", lease=30.0))
    assert await taken(other) == everything()
    await other.close()


async def test_another_load_ends_the_first_one(empty: Catalog) -> None:
    first = await empty.backups.begin_load(replace=False)
    await empty.backups.load(first, everything()[:3])
    second = await empty.backups.begin_load(replace=False)
    assert await taken(empty) == []
    for call in (empty.backups.load(first, everything()[3:4]), empty.backups.end_load(first)):
        with pytest.raises(LoadRefused, match="another load"):
            await call
    await empty.backups.load(second, everything())
    await empty.backups.end_load(second)
    assert await taken(empty) == everything()
    with pytest.raises(LoadRefused):
        await empty.backups.load(second, [Tenant("late")])
    await empty.close()


@pytest.mark.parametrize(
    "contradiction",
    [
        partition("p1"),
        Tenant("a"),
        replace(PLACEMENTS[0], epoch=2),
        placement("elsewhere", "nowhere"),
        move("m-1", "another"),
        move("m-3", "orders"),
        plan("plan-1"),
        WHOLE.moves[0],
    ],
)
async def test_what_contradicts_what_was_loaded_is_refused(empty: Catalog, contradiction: BackupValue) -> None:
    token = await empty.backups.begin_load(replace=False)
    await empty.backups.load(token, everything())
    with pytest.raises(LoadRefused):
        await empty.backups.load(token, [contradiction])
    with pytest.raises(LoadUnfinished):
        await empty.check()
    await empty.close()


async def test_feeds_are_told(full: Catalog, open_again: OpenAgain) -> None:
    other = await open_again()
    async with Feed(other) as feed:
        await load(full, [partition("p1"), placement("new")], replace=True)
        # The feed shows each change, or one change without a name for all, or ends.
        await feed.until(
            lambda: (
                isinstance(feed.ended, CatalogUnavailable)
                or any(change.name == ("project", "new") for change in feed.changes)
                or any(change.name == ("",) for change in feed.changes)
            )
        )
    assert await other.placements.get(QueueKey("project", "new")) == placement("new")
    await other.close()
    await full.close()


async def test_many_values(empty: Catalog) -> None:
    placements = [placement(f"queue-{n:05}", "p1", project=f"project-{n % 7}") for n in range(6001)]
    values: list[BackupValue] = [partition("p1"), *sorted(placements, key=lambda p: p.key)]
    for replaced in (False, True):
        token = await empty.backups.begin_load(replace=replaced)
        for n in range(0, len(values), 700):
            await empty.backups.load(token, values[n : n + 700])
        await empty.backups.end_load(token)
        assert await taken(empty) == values
    await empty.close()


@pytest.fixture
def other_uri(mongodb_uri: str) -> Iterator[str]:
    """The URI of a second database in MongoDB, dropped afterwards."""
    name = f"test_{uuid4().hex}"
    yield with_database(mongodb_uri, name)
    with MongoClient(mongodb_uri) as client:
        client.drop_database(name)


async def test_from_one_store_to_the_other_and_back(full: Catalog, tmp_path: Path, other_uri: str) -> None:
    """Into a catalog of the other kind, and out of it again: the same bytes, but for what an import raises."""
    now = datetime(2024, 5, 1, tzinfo=UTC)
    first = await exported(full, now)
    mongodb = isinstance(full, MongoDBCatalog)
    other = await open_catalog(f"sqlite:///{tmp_path}/other.db" if mongodb else other_uri)
    await other.init()
    at = 1700000000.0
    await importer.load(other, io.BytesIO(first), at, replace=False, seen=lambda backup: None)
    second = await exported(other, now)
    raised = [v.restored(at) if isinstance(v, Placement) else v for v in everything()]
    assert await taken(other) == raised
    await importer.load(full, io.BytesIO(second), at, replace=True, seen=lambda backup: None)
    assert await exported(full, now) == second
    await other.close()
    await full.close()


async def exported(catalog: Catalog, now: datetime) -> bytes:
    out = io.BytesIO()
    await export(catalog, out, now, lambda counts: None)
    return out.getvalue()
