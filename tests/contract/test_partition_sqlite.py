"""The particulars of the SQLite driver: group commit, translation of errors, and ranges instead of scans."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from partition.errors import BadStorageURI, QueueClosed, QueueMissing, StorageError, StorageUnavailable, WrongStore
from partition.model.message import MessageQuery
from partition.model.queue import Epoch, Kind, QueueKey, QueueQuery
from partition.storage.opening import driver_of, open_storage, redacted
from partition.storage.sqlite import connection_thread
from partition.storage.sqlite.connection_thread import ConnectionThread
from partition.storage.sqlite.driver import SQLiteStorage
from partition.storage.sqlite.turn import SUFFIX, Turn
from tests.contract.partition_stores import CLIENT, KEY, LEASE, FakeClock, opened, some


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
async def lane(path) -> AsyncIterator[ConnectionThread]:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")
    connection.close()
    lane = ConnectionThread(str(path), "test", begin="BEGIN IMMEDIATE", writing=True)
    yield lane
    await lane.close()


def insert(number: int):
    return lambda connection: connection.execute("INSERT INTO t VALUES (?)", (number,)).rowcount


def numbers(connection: sqlite3.Connection) -> list[int]:
    return [number for (number,) in connection.execute("SELECT n FROM t ORDER BY n")]


class Gate:
    """Holds a lane back, so that what is asked for meanwhile becomes one group."""

    def __init__(self) -> None:
        self._entered = threading.Event()
        self._open = threading.Event()
        self._held: asyncio.Future[bool]

    @classmethod
    async def before(cls, lane: ConnectionThread) -> Gate:
        gate = cls()
        gate._held = asyncio.ensure_future(lane.run(gate._hold))
        await asyncio.to_thread(gate._entered.wait, 10)
        return gate

    def _hold(self, connection: sqlite3.Connection) -> bool:
        self._entered.set()
        return self._open.wait(10)

    async def opens(self, *waiting: asyncio.Future[object]) -> list[object]:
        await asyncio.sleep(0)
        self._open.set()
        await self._held
        return await asyncio.gather(*waiting, return_exceptions=True)


async def test_what_was_asked_for_meanwhile_is_one_transaction(lane):
    commits = []
    await lane.run(lambda connection: connection.set_trace_callback(lambda sql: commits.append(sql == "COMMIT")))
    gate = await Gate.before(lane)
    jobs = [asyncio.ensure_future(lane.run(insert(n))) for n in range(50)]
    assert await gate.opens(*jobs) == [1] * 50
    assert sum(commits) <= 3
    assert await lane.run(numbers) == list(range(50))


async def test_a_job_that_fails_takes_back_its_own_work_only(lane):
    def half(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO t VALUES (100)")
        raise QueueMissing("half")

    gate = await Gate.before(lane)
    jobs = [asyncio.ensure_future(lane.run(job)) for job in (insert(1), half, insert(1), insert(2))]
    first, refused, twice, last = await gate.opens(*jobs)
    assert (first, last) == (1, 1)
    assert isinstance(refused, QueueMissing)
    assert isinstance(twice, StorageUnavailable)
    assert await lane.run(numbers) == [1, 2]


class Inserts:
    """A function that jobs share: inserts numbers, refuses those below 0, and records its calls."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []

    def __call__(self, connection: sqlite3.Connection, items: list[int]) -> list[int | StorageError]:
        self.calls.append(items)
        return [insert(item)(connection) if item >= 0 else QueueMissing(str(item)) for item in items]


async def test_concurrent_jobs_share_a_call_and_a_refusal_is_of_its_job_only(lane):
    inserts = Inserts()
    gate = await Gate.before(lane)
    jobs = [lane.run_shared(inserts, item) for item in (1, -2)]
    jobs.append(lane.run(insert(3)))
    jobs.append(lane.run_shared(inserts, 4))
    given_up = lane.run_shared(inserts, 5)
    given_up.cancel()
    first, refused, *others = await gate.opens(*jobs)
    assert (first, *others) == (1, 1, 1)
    assert isinstance(refused, QueueMissing)
    assert inserts.calls == [[1, -2, 4]]
    assert await lane.run(numbers) == [1, 3, 4]


async def test_a_shared_call_that_fails_is_repeated_for_each_job(lane):
    inserts = Inserts()
    gate = await Gate.before(lane)
    first, twice, last = await gate.opens(*[lane.run_shared(inserts, item) for item in (1, 1, 2)])
    assert (first, last) == (1, 1)
    assert isinstance(twice, StorageUnavailable)
    assert inserts.calls == [[1, 1, 2], [1], [1], [2]]
    assert await lane.run(numbers) == [1, 2]


async def test_a_crowd_is_handed_over_in_bounded_groups(lane):
    inserts = Inserts()
    gate = await Gate.before(lane)
    crowd = range(3 * connection_thread.LARGEST_GROUP)
    await gate.opens(*[lane.run_shared(inserts, item) for item in crowd])
    assert [item for items in inserts.calls for item in items] == list(crowd)
    assert max(map(len, inserts.calls)) == connection_thread.LARGEST_GROUP


async def test_a_cancelled_caller_disturbs_nobody(lane):
    gate = await Gate.before(lane)
    waiting = asyncio.ensure_future(lane.run(insert(1)))
    await asyncio.sleep(0)
    waiting.cancel()
    await gate.opens(waiting)
    assert await lane.run(numbers) == []  # it had not begun
    gate = await Gate.before(lane)
    gate._held.cancel()
    gate._open.set()
    assert await lane.run(insert(2)) == 1  # the lane goes on


async def test_a_lost_group_is_lost_for_all_and_the_next_one_is_not(lane, path):
    def give_up(connection: sqlite3.Connection) -> None:
        connection.execute("ROLLBACK")
        raise sqlite3.OperationalError("as after a full disk")

    gate = await Gate.before(lane)
    jobs = [asyncio.ensure_future(lane.run(job)) for job in (insert(1), give_up, insert(2))]
    outcomes = await gate.opens(*jobs)
    assert [type(outcome) for outcome in outcomes] == [StorageUnavailable] * 3
    assert all(str(path) in str(outcome) for outcome in outcomes)
    assert await lane.run(numbers) == []


async def test_a_closed_lane_refuses(lane):
    await lane.close()
    await lane.close()
    with pytest.raises(StorageUnavailable, match="closed"):
        await lane.run(numbers)


async def test_nobody_waits_for_ever(lane, monkeypatch):
    gate = await Gate.before(lane)
    monkeypatch.setattr(connection_thread, "ANSWER_TIMEOUT", 0.01)
    with pytest.raises(StorageUnavailable, match="no answer within") as caught:
        await lane.run(insert(1))
    assert caught.value.maybe_done
    await gate.opens()


async def test_what_was_given_up_while_it_waited_for_its_turn_is_not_done(path, lane, monkeypatch):
    monkeypatch.setattr(connection_thread, "ANSWER_TIMEOUT", 0.05)
    other = Turn(str(path))
    with other, pytest.raises(StorageUnavailable, match="no answer within"):
        await lane.run(insert(1))
    other.close()
    monkeypatch.setattr(connection_thread, "ANSWER_TIMEOUT", 15)
    assert await lane.run(numbers) == []


async def test_the_turn_of_a_killed_process_is_given_on(path, lane):
    """With its transaction, which leaves nothing behind."""
    pipe = asyncio.subprocess.PIPE
    holder = await asyncio.create_subprocess_exec(sys.executable, "-c", HOLDER, str(path), stdin=pipe, stdout=pipe)
    assert await holder.stdout.readline() == b"holding\n"
    waiting = asyncio.ensure_future(lane.run(insert(1)))
    done, _ = await asyncio.wait([waiting], timeout=0.05)
    assert not done
    holder.kill()
    await holder.communicate()
    assert await waiting == 1
    assert await lane.run(numbers) == [1]


HOLDER = """
import sqlite3, sys
from partition.storage.sqlite.turn import Turn
with Turn(sys.argv[1]):
    connection = sqlite3.connect(sys.argv[1], isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO t VALUES (7)")
    print("holding", flush=True)
    sys.stdin.read()
"""


async def test_processes_take_turns_at_writing(path, lane):
    """A lane waits for the holder of the turn, and wakes when the turn is passed on."""
    other = Turn(str(path))
    with other:
        waiting = asyncio.ensure_future(lane.run(insert(1)))
        done, _ = await asyncio.wait([waiting], timeout=0.05)
        assert not done
    assert await waiting == 1
    other.close()
    other.close()


async def test_a_turn_that_cannot_be_taken(path, lane):
    path.with_name(path.name + SUFFIX).mkdir()
    with pytest.raises(StorageUnavailable, match=f"{path}: its lock cannot be used"):
        await lane.run(insert(1))


# Errors


async def test_a_locked_file(tmp_path, path, monkeypatch):
    monkeypatch.setattr(connection_thread, "BUSY_TIMEOUT", 0.01)
    async with opened("sqlite", tmp_path, FakeClock()) as storage:
        await storage.create_queue(KEY, {})
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageUnavailable, match=f"{path}.*locked"):
            await storage.post(KEY, some(1), CLIENT)
        assert await storage.get_queue(KEY) is not None
        other.execute("ROLLBACK")
        other.close()
        assert await storage.post(KEY, some(1), CLIENT)


async def test_a_full_disk(tmp_path, path):
    async with opened("sqlite", tmp_path, FakeClock()) as storage:
        await storage.create_queue(KEY, {})
        kept = await storage.post(KEY, some(1), CLIENT)
        await storage._writing.run(lambda connection: connection.execute("PRAGMA max_page_count=1"))
        with pytest.raises(StorageUnavailable, match=f"{path}.*full"):
            await storage.post(KEY, some("x" * 1_000_000), CLIENT)
        assert len(await storage.get_messages(KEY, kept)) == 1
        # The pragma is of the connection, which a lost group leaves behind or this undoes: the disk has room again.
        await storage._writing.run(lambda connection: connection.execute("PRAGMA max_page_count=1073741823"))
        await storage.post(KEY, some(2), CLIENT)
        assert await storage.check() == []


async def test_a_damaged_file(path, tmp_path):
    async with opened("sqlite", tmp_path, FakeClock()) as storage:
        await storage.create_queue(KEY, {})
    path.write_bytes(b"SQLite format 3\0" + os.urandom(8192))
    with pytest.raises((StorageUnavailable, WrongStore), match=str(path)):
        await open_storage(f"sqlite:///{path}")


async def test_a_damaged_file_whose_damage_is_no_text(path, tmp_path):
    async with opened("sqlite", tmp_path, FakeClock()) as storage:
        await storage.create_queue(KEY, {})
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE queue", b"CREAT\xc5 TABLE queue"))
    with pytest.raises(StorageUnavailable, match=f"{path}: it is damaged"):
        await open_storage(f"sqlite:///{path}")
    for writing in (True, False):
        lane = ConnectionThread(str(path), "test", begin="BEGIN", writing=writing)
        with pytest.raises(StorageUnavailable, match=f"{path}: it is damaged"):
            await lane.run(lambda connection: connection.execute("SELECT * FROM queue"))
        await lane.close()


async def test_a_file_of_something_else(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (n)")
    connection.close()
    with pytest.raises(WrongStore, match="something else"):
        await open_storage(f"sqlite:///{path}")
    path.write_bytes(b"not a database at all, but long enough to be taken for one by somebody" * 10)
    with pytest.raises(StorageUnavailable, match="not a SQLite database"):
        await open_storage(f"sqlite:///{path}")


@pytest.mark.parametrize("change", ["DELETE FROM store", "UPDATE store SET multiplier=2", "UPDATE store SET tag='x'"])
async def test_a_file_without_its_secrets(tmp_path, path, change):
    async with opened("sqlite", tmp_path, FakeClock()):
        pass
    with sqlite3.connect(path) as connection:
        connection.execute(change)
    connection.close()
    with pytest.raises(StorageUnavailable, match=f"{path}: it is damaged"):
        await open_storage(f"sqlite:///{path}")


async def test_a_file_of_another_release(tmp_path, path):
    async with opened("sqlite", tmp_path, FakeClock()):
        pass
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(WrongStore, match="schema 99"):
        await open_storage(f"sqlite:///{path}")


async def test_earlier_releases_refuse_a_file_with_marks(tmp_path, path):
    def version() -> int:
        with sqlite3.connect(path) as connection:
            (found,) = connection.execute("PRAGMA user_version").fetchone()
        connection.close()
        return int(found)

    async with opened("sqlite", tmp_path, FakeClock()) as storage:
        assert version() == 1
        await storage.fence(KEY, Epoch("life", 7))
        assert version() == 2
        await storage.reopen()
        assert version() == 1


async def test_a_file_of_an_earlier_release_gets_the_table_of_marks(tmp_path, path):
    async with opened("sqlite", tmp_path, FakeClock()) as storage:
        await storage.create_queue(KEY, {})
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE mark")
    connection.close()
    async with opened("sqlite", tmp_path, FakeClock()) as storage:
        await storage.post(KEY, some(1), CLIENT)
        assert (await storage.stats(KEY)).total == 1
        await storage.fence(KEY, Epoch("0123456789abcdef", 3))
        with pytest.raises(QueueClosed):
            await storage.post(KEY, some(1), CLIENT)


async def test_an_empty_file_beside_a_log_that_is_not(tmp_path, path):
    """SQLite would delete the log, and with it the last that is left of what was acknowledged."""
    log = path.with_name(path.name + "-wal")
    log.write_bytes(b"x")
    for prepare in (lambda: None, path.touch):
        prepare()
        with pytest.raises(WrongStore, match=f"{path}: it is empty, but its -wal is not"):
            await open_storage(f"sqlite:///{path}")
    assert log.read_bytes() == b"x"


async def test_a_directory_that_is_not_there(tmp_path):
    with pytest.raises(StorageUnavailable, match="there is no directory"):
        await open_storage(f"sqlite:///{tmp_path}/none/store.db")


async def test_many_that_open_a_new_file_at_once_agree(path):
    stores = await asyncio.gather(*(open_storage(f"sqlite:///{path}") for _ in range(8)))
    await stores[0].create_queue(KEY, {})
    ids = [(await store.post(KEY, some(1), CLIENT))[0] for store in stores]
    assert len(await stores[0].get_messages(KEY, ids)) == 8
    for store in stores:
        await store.close()


@pytest.mark.parametrize(
    "uri",
    ["sqlite:///relative", "sqlite://host//path", "sqlite:////", "sqlite:////a/", "sqlite:////a?b", "sqlite:////a#b"],
)
async def test_uris_that_name_no_file(uri):
    with pytest.raises(BadStorageURI, match=r"four slashes|a file"):
        await open_storage(uri)


@pytest.mark.parametrize("uri", ["", "/path", "nosuch://u:secret@h/", "http://[/"])
def test_uris_without_a_driver(uri):
    with pytest.raises(BadStorageURI) as caught:
        driver_of(uri)
    assert "secret" not in str(caught.value)


def test_uris_in_logs_hold_no_password():
    assert redacted("mongodb://u:secret@h/d?a=b") == "mongodb://***@h/d"
    assert redacted("sqlite:////a/b") == "sqlite:////a/b"


async def test_check_finds_counts_that_do_not_add_up(tmp_path, path):
    async with opened("sqlite", tmp_path, FakeClock()) as storage:
        await storage.create_queue(KEY, {})
        await storage.post(KEY, some(1, 2), CLIENT)
        await storage.claim(KEY, LEASE, 1)
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE tally SET total=7, claimed=7")
            connection.execute("UPDATE claim SET size=7")
            connection.execute("UPDATE message SET state=2 WHERE claim IS NOT NULL")
        connection.close()
        assert len(await storage.check()) == 4


# Speed that does not depend on how much is stored


async def test_no_statement_scans_a_table(tmp_path):
    """Plans of everything that calls run: a SCAN would grow with the store, a SEARCH does not."""
    clock = FakeClock()
    statements: set[str] = set()
    async with opened("sqlite", tmp_path, clock) as storage:
        assert isinstance(storage, SQLiteStorage)
        for lane in (storage._writing, storage._reading):
            await lane.run(lambda connection: connection.set_trace_callback(statements.add))
        rule = {"_max_claim_count": 1, "_dead_letter_queue": "dead", "_default_message_delay": 1}
        await storage.create_queue(KEY, rule)
        ids = await storage.post(KEY, some(*range(9)) + some(1, delay=5), CLIENT)
        await storage.list_messages(KEY, MessageQuery(hidden_from=CLIENT, include_claimed=True))
        await storage.get_messages(KEY, ids)
        claim = await storage.claim(KEY, LEASE, 2)
        await storage.get_claim(KEY, claim.id)
        await storage.renew_claim(KEY, claim.id, LEASE)
        await storage.delete_message(KEY, ids[0], claim.id)
        await storage.release_claim(KEY, claim.id)
        await storage.claim(KEY, LEASE, 2)
        await storage.stats(KEY)
        clock.passes(60)
        await storage.claim(KEY, LEASE, 2)
        await storage.pop(KEY, 1)
        await storage.delete_messages(KEY, ids[5:6])
        await storage.purge(KEY)
        await storage.list_queues(QueueQuery("p", KEY.kind, 10, name_part="o", filters=(("a", 1),)))
        await storage.count_queues("p", KEY.kind)
        await storage.inventory(KEY, 10)
        await storage.list_subscriptions(KEY, 10, None)
        clock.passes(600)
        await storage.delete_queue(QueueKey("p", "dead"))
        while await storage.sweep():
            pass
        for lane in (storage._writing, storage._reading):
            await lane.run(lambda connection: connection.set_trace_callback(None))
        plans = {
            sql: [
                row[3]
                for row in await storage._reading.run(
                    lambda c, sql=sql: c.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()
                )
            ]
            for sql in statements
            if sql.startswith(("SELECT", "UPDATE", "DELETE"))
        }
    assert len(plans) > 30
    # These have one row, or are read for their first row only.
    small = ("SCAN store", "SCAN dropped", "SCAN CONSTANT ROW")
    scans = {sql: plan for sql, plan in plans.items() if any(s.startswith("SCAN") and s not in small for s in plan)}
    assert scans == {}
    whole = {sql: plan for sql, plan in plans.items() if any(step.endswith("(queue=?)") for step in plan)}
    assert {sql for sql in whole if " LIMIT " not in sql and " message " in sql} == set()  # a scan of one queue
    sorts = {sql: plan for sql, plan in plans.items() if any("TEMP B-TREE" in step for step in plan)}
    assert {sql for sql in sorts if "WHERE claim=" not in sql} == set()  # of one claim's messages, 20 at most


async def test_a_page_of_the_inventory_costs_the_same_wherever_it_begins(tmp_path):
    def fill(connection: sqlite3.Connection) -> None:
        connection.executemany(
            "INSERT INTO queue (kind, project, name, created, revision, metadata) VALUES (?, ?, ?, 1, 0, '{}')",
            [(n % 2, f"p{n % 100:02d}", f"q{n:05d}") for n in range(20_000)],
        )

    async with opened("sqlite", tmp_path, FakeClock()) as storage:
        assert isinstance(storage, SQLiteStorage)
        await storage._writing.run(fill)
        costs = []
        for after in (
            None,
            QueueKey("p50", "q10050"),
            QueueKey("p98", "q19898"),
            QueueKey("p99", "q14999", Kind.TOPIC),
        ):
            steps: list[None] = []
            count = lambda steps=steps: steps.append(None)  # noqa: E731
            await storage._reading.run(lambda c, count=count: c.set_progress_handler(count, 10))
            assert len(await storage.inventory(after, 50)) == 50
            await storage._reading.run(lambda c: c.set_progress_handler(None, 0))
            costs.append(len(steps))
    assert min(costs) > 10
    assert max(costs) < 1.5 * costs[0], costs


async def test_many_dead_letters_keep_nobody_waiting(tmp_path):
    """They are moved in several transactions, between which others write."""
    clock = FakeClock()
    async with opened("sqlite", tmp_path, clock) as storage:
        await storage.create_queue(QueueKey("p", "other"), {})
        await storage.create_queue(KEY, {"_max_claim_count": 1, "_dead_letter_queue": "dead"})
        await storage.post(KEY, some(*range(900), ttl=1000), CLIENT)
        for _ in range(45):
            await storage.claim(KEY, LEASE, 20)
        clock.passes(60)
        claiming = asyncio.ensure_future(storage.claim(KEY, LEASE, 20))
        posting = asyncio.ensure_future(storage.post(QueueKey("p", "other"), some(1), CLIENT))
        done, _ = await asyncio.wait((claiming, posting), return_when=asyncio.FIRST_COMPLETED)
        assert done == {posting}
        assert await claiming is None
