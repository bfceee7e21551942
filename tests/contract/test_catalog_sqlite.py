"""The particulars of the SQLite driver: a file, an operating system around it, and a bounded change log."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import aclosing, closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from catalog import open_catalog
from catalog.errors import CatalogUnavailable, LoadUnfinished, NotInitialised, WrongSchema
from catalog.model import Member, MoveOutcome, MoveState, Synced, Tenant
from catalog.sqlite import changes, connection_thread
from catalog.sqlite import feed as feed_module
from catalog.sqlite.driver import SQLiteCatalog
from catalog.sqlite.translation import translate
from tests.contract.examples import Feed, move, partition, placement, whole_plan
from tests.contract.sqlite_work import ways


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catalog.db"


@pytest.fixture
async def catalog(path: Path) -> AsyncIterator[SQLiteCatalog]:
    catalog = await SQLiteCatalog.open(str(path))
    await catalog.partitions.insert(partition("p1"))
    yield catalog
    await catalog.close()


def content_of(path: Path) -> bytes:
    return path.read_bytes()


def execute(path: Path, statement: str) -> None:
    """Change the file behind the catalog's back."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)


async def test_opening_initialises_a_new_file(path: Path) -> None:
    catalog = await open_catalog(f"sqlite:///{path}")
    await catalog.check()
    await catalog.partitions.insert(partition("p1"))
    await catalog.close()
    again = await open_catalog(f"sqlite:///{path}")
    assert await again.partitions.all() == [partition("p1")]
    await again.close()


async def test_emptying_a_catalog_may_take_longer_than_other_calls(
    catalog: SQLiteCatalog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_thread, "ANSWER_TIMEOUT", 0.0)
    impatient = SQLiteCatalog(str(path))
    with pytest.raises(CatalogUnavailable, match="no answer within 0 s"):
        await impatient.partitions.all()
    await impatient.backups.begin_load(replace=True)
    await impatient.close()
    assert await catalog.partitions.all() == []
    with pytest.raises(LoadUnfinished):
        await catalog.check()


async def test_many_open_a_new_file_at_once(path: Path) -> None:
    catalogs = await asyncio.gather(*(SQLiteCatalog.open(str(path)) for _ in range(8)))
    await asyncio.gather(*(c.partitions.insert(partition(f"p{n}")) for n, c in enumerate(catalogs)))
    for catalog in catalogs:
        assert len(await catalog.partitions.all()) == 8
        await catalog.close()


async def test_commits_are_synced_and_kept_in_a_write_ahead_log(catalog: SQLiteCatalog, path: Path) -> None:
    def pragmas(connection: sqlite3.Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert await catalog._file.writing.call(pragmas) == ["wal", 2, 1, 5000]
    # No member outlives a power cut: its renewals need no sync.
    assert await catalog._file.registering.call(pragmas) == ["wal", 1, 1, 5000]


async def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogUnavailable, match=f"{tmp_path}/none/catalog.db: there is no directory {tmp_path}/none"):
        await open_catalog(f"sqlite:///{tmp_path}/none/catalog.db")


async def test_a_directory_is_no_catalog(tmp_path: Path) -> None:
    with pytest.raises(CatalogUnavailable, match=f"{tmp_path}: it is a directory"):
        await open_catalog(f"sqlite:///{tmp_path}")


async def test_a_file_of_something_else_is_left_alone(path: Path) -> None:
    content = b"These are not the bytes of a database.\n" * 100
    await asyncio.to_thread(path.write_bytes, content)
    with pytest.raises(CatalogUnavailable, match=f"{path}: it is not a SQLite database"):
        await open_catalog(f"sqlite:///{path}")
    assert content_of(path) == content


async def test_a_database_of_something_else_is_left_alone(path: Path) -> None:
    execute(path, "CREATE TABLE recipes (name)")
    content = content_of(path)
    catalog = await open_catalog(f"sqlite:///{path}")
    for verb in (catalog.check, catalog.init):
        with pytest.raises(WrongSchema, match="something else"):
            await verb()
    with pytest.raises(NotInitialised, match=str(path)):
        await catalog.partitions.all()
    await catalog.close()
    assert content_of(path) == content


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (sqlite3.SQLITE_FULL, "the disk is full"),
        (sqlite3.SQLITE_READONLY, "no permission to write"),
        (sqlite3.SQLITE_READONLY_DBMOVED, "no permission to write"),
        (sqlite3.SQLITE_PERM, "no permission"),
        (sqlite3.SQLITE_CORRUPT, "damaged"),
        (sqlite3.SQLITE_IOERR_FSYNC, "writing it failed"),
        (sqlite3.SQLITE_BUSY, "locked for too long"),
        (sqlite3.SQLITE_CANTOPEN, "cannot be opened"),
    ],
)
def test_what_sqlite_reports_is_said_in_words(tmp_path: Path, code: int, words: str) -> None:
    error = sqlite3.OperationalError("as SQLite says it")
    error.sqlite_errorcode = code
    translated = translate(error, f"{tmp_path}/catalog.db")
    assert isinstance(translated, CatalogUnavailable)
    assert words in str(translated)
    assert f"{tmp_path}/catalog.db" in str(translated)


async def test_a_write_that_finds_no_room_changes_nothing(catalog: SQLiteCatalog, path: Path) -> None:
    def use_no_more_pages(connection: sqlite3.Connection) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={pages}")

    await catalog._file.writing.call(use_no_more_pages)
    stored = []
    with pytest.raises(CatalogUnavailable, match=f"{path}: the disk is full"):  # noqa: PT012 -- when is up to SQLite
        for n in range(1000):
            stored.append((await catalog.placements.insert(placement(f"queue-{n:04}")))[0])
    assert stored
    assert await catalog.placements.find(limit=2000) == stored
    assert await catalog.placements.count(partitions=["p1"]) == len(stored)


async def test_readers_do_not_wait_for_a_writer(catalog: SQLiteCatalog, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM partitions")
        assert await catalog.partitions.all() == [partition("p1")]
        writer.execute("ROLLBACK")


async def test_a_lock_that_is_never_released(
    path: Path, catalog: SQLiteCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_thread, "BUSY_TIMEOUT", 0.05)
    impatient = await SQLiteCatalog.open(str(path))
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(CatalogUnavailable, match=f"{path}: another process has kept it locked"):
            await impatient.ping()
        writer.execute("ROLLBACK")
    await impatient.ping()
    await impatient.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE placements SET document = '{'",
        "UPDATE placements SET document = '{}'",
        "UPDATE placements SET document = '[]'",
        "UPDATE placements SET document = replace(document, '\"segments\": [', '\"segments\": [7, ')",
        "UPDATE placements SET document = json_set(document, '$.segments', json('[]'))",
        "UPDATE placements SET document = json_set(document, '$.base', 'one')",
        "UPDATE placements SET epoch = 0",
        "UPDATE placements SET epoch = 'two'",
        "UPDATE placements SET state = 'nowhere'",
    ],
)
async def test_a_damaged_placement_is_refused_by_name(catalog: SQLiteCatalog, path: Path, damage: str) -> None:
    await catalog.placements.insert(placement("orders"))
    execute(path, damage)
    with pytest.raises(CatalogUnavailable, match=f"{path}: .*'orders'.*damaged"):
        await catalog.placements.get(placement("orders").key)
    with pytest.raises(CatalogUnavailable, match="damaged"):
        await catalog.placements.find(limit=10)


async def test_other_damaged_rows_are_refused(catalog: SQLiteCatalog, path: Path) -> None:
    await catalog.tenants.put(Tenant("project"))
    await catalog.members.register(Member("one"))
    await catalog.moves.insert(move("m-1"))
    await catalog.plans.insert(whole_plan("plan-1"))
    execute(path, "UPDATE moves SET state = 'nowhere'")
    execute(path, "UPDATE plans SET document = json_set(document, '$.title', '')")
    execute(path, "UPDATE planned_moves SET document = json_set(document, '$.target', 'p1')")
    execute(path, "UPDATE partitions SET document = json_set(document, '$.weight', -1)")
    execute(path, "UPDATE tenants SET document = 'null'")
    execute(path, "UPDATE members SET applied = 'much'")
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


async def test_a_feed_that_fell_behind_is_told(catalog: SQLiteCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "KEPT", 10)
    slow = catalog.watch()
    await anext(slow)
    for n in range(11):
        await catalog.tenants.put(Tenant(f"project-{n}"))
    with pytest.raises(CatalogUnavailable, match="change log no longer has"):
        await anext(slow)


async def test_a_feed_that_is_just_in_time_misses_nothing(
    catalog: SQLiteCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "KEPT", 10)
    slow = catalog.watch()
    await anext(slow)
    for n in range(10):
        await catalog.tenants.put(Tenant(f"project-{n}"))
    shown = [await anext(slow) for _ in range(10)]
    assert [item.name for item in shown if not isinstance(item, Synced)] == [(f"project-{n}",) for n in range(10)]
    await slow.aclose()


async def test_a_feed_notices_an_older_copy_of_the_file(catalog: SQLiteCatalog, path: Path) -> None:
    await catalog.tenants.put(Tenant("project"))
    feed = catalog.watch()
    await anext(feed)
    execute(path, "DELETE FROM changes")
    with pytest.raises(CatalogUnavailable, match="change log"):
        async for _ in feed:
            pass


async def test_writes_of_every_process_are_shown_without_a_poll(
    catalog: SQLiteCatalog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "PROOF_OF_LIFE", 3600.0)
    other = await SQLiteCatalog.open(str(path))
    async with Feed(catalog) as feed:
        for number, writer in enumerate((catalog, other), 1):
            await writer.tenants.put(Tenant("project"))
            await feed.until(lambda number=number: len(feed.changes) == number)
    await other.close()


async def test_a_write_whose_process_died_before_the_touch_is_shown_by_the_next_poll(
    catalog: SQLiteCatalog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Feed(catalog) as feed:
        monkeypatch.setattr("catalog.sqlite.touches.os.utime", lambda path: None)
        await catalog.tenants.put(Tenant("project"))
        await feed.until(lambda: bool(feed.changes))


@pytest.mark.parametrize("call", ["inotify_init1", "inotify_add_watch", None])
async def test_a_system_that_cannot_watch_the_file_polls_it(
    call: str | None,
    catalog: SQLiteCatalog,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    real = ctypes.CDLL(None, use_errno=True)
    calls = ("inotify_init1", "inotify_add_watch") if call else ()
    libc = SimpleNamespace(**{name: getattr(real, name) for name in calls})
    if call:
        setattr(libc, call, lambda *_: -1)
    monkeypatch.setattr("catalog.sqlite.touches.ctypes.CDLL", lambda *_, **__: libc)
    monkeypatch.setattr(feed_module, "PROOF_OF_LIFE", 3600.0)
    async with Feed(catalog) as feed:
        await catalog.tenants.put(Tenant("project"))
        await feed.until(lambda: bool(feed.changes))
    assert f"catalog {path}" in caplog.text


async def test_an_idle_feed_polls_once_for_each_heartbeat(
    catalog: SQLiteCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    polls = 0
    data_version = feed_module._data_version

    def counted(connection: sqlite3.Connection) -> int:
        nonlocal polls
        polls += 1
        return data_version(connection)

    monkeypatch.setattr(feed_module, "_data_version", counted)
    monkeypatch.setattr(feed_module, "PROOF_OF_LIFE", 0.2)
    heartbeats = 3
    async with aclosing(catalog.watch()) as feed:
        for _ in range(1 + heartbeats):
            assert isinstance(await anext(feed), Synced)
    # A timer may be a moment early, and then there is one more poll.
    assert polls <= 2 * heartbeats + 1


async def test_a_feed_that_has_ended_leaves_no_descriptor(catalog: SQLiteCatalog) -> None:
    before = None
    for _ in range(3):
        async with aclosing(catalog.watch()) as feed:
            await anext(feed)
        before = before or len(os.listdir("/proc/self/fd"))
    assert len(os.listdir("/proc/self/fd")) == before


async def test_the_file_alone_keeps_the_invariants(catalog: SQLiteCatalog, path: Path) -> None:
    await catalog.placements.insert(placement("orders"))
    await catalog.moves.insert(move("m-1", "one"))
    await catalog.moves.insert(move("m-2", "two"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA foreign_keys=ON")
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute("DELETE FROM partitions")
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute("UPDATE moves SET queue = 'one'")
        (document,) = connection.execute("SELECT document FROM placements").fetchone()
    assert json.loads(document) == placement("orders").to_json()


async def test_moves_of_a_plan_in_some_states_or_with_some_ends_are_index_ranges(
    catalog: SQLiteCatalog,
) -> None:
    async def all_of_them() -> None:
        await catalog.moves.find(states=[MoveState.PLANNED, MoveState.ARMED], plan="plan-1", limit=9)
        await catalog.planned_moves.find("plan-1", outcomes=[None], before=7, limit=9)
        await catalog.planned_moves.find("plan-1", outcomes=[MoveOutcome.GONE, MoveOutcome.FAILED], limit=9)
        await catalog.plans.find(active=True, limit=9)
        await catalog.tenants.find(pinned="p1", after="a", limit=9)
        await catalog.tenants.find(spread=3, limit=9)

    for way, index in zip(
        await ways(catalog, all_of_them),
        (
            "moves_by_plan_and_state (plan=? AND state=? AND id>?)",
            "planned_moves_by_outcome (plan=? AND outcome=? AND number>? AND number<?)",
            "planned_moves_by_outcome (plan=? AND outcome=? AND number>?)",
            "active_plans (id>?)",
            "tenants_by_pin (<expr>=? AND project>?)",
            "tenants_by_spread (<expr>=?)",
        ),
        strict=True,
    ):
        assert way[0].endswith(index)


async def test_a_writer_does_not_back_off_from_another_one(
    catalog: SQLiteCatalog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would miss its turn: transactions are short, and SQLite's own busy handler sleeps ever longer."""
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 5:
            other.execute("COMMIT")

    monkeypatch.setattr("catalog.sqlite.connection_thread.time.sleep", nap)
    await catalog.partitions.insert(partition("p1"))
    assert len(naps) == 5
    assert max(naps) <= 0.005
    other.close()


async def test_a_writer_that_is_never_done_is_not_waited_for(
    catalog: SQLiteCatalog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.sqlite.connection_thread.BUSY_TIMEOUT", 0.0)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(CatalogUnavailable, match="locked for too long"):
        await catalog.partitions.insert(partition("p1"))
    other.close()
