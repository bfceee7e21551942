"""One thread with one connection, which runs all waiting jobs in one transaction.

A job is one synchronous function of the connection. Jobs of a group see each other's work, and none is answered before
the group's COMMIT. A job that raises rolls back only its own work. Once begun, a group runs to its end even if the
waiting tasks are cancelled. The jobs of one turn of the event loop are handed over together. This module is independent
of the work of the jobs.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

from partition.errors import StorageError
from partition.storage.sqlite.translation import FAULTS, translate, unavailable
from partition.storage.sqlite.turn import Turn

T = TypeVar("T")
Item = TypeVar("Item")

# How long one statement waits for a lock that another process holds, in seconds.
BUSY_TIMEOUT = 5.0
# Seconds for which a caller waits for its turn and its answer: longer, so that the clearer message wins.
ANSWER_TIMEOUT = 15.0
# Jobs in one transaction. It bounds how long other processes wait for their turn to write.
LARGEST_GROUP = 128
# Jobs in one hand-over. A group consists of whole batches.
_LARGEST_BATCH = 64


class _Job(NamedTuple):
    """A call of ``function`` with the connection; with a list of all their items for jobs that share the function."""

    function: Callable[..., Any]
    future: asyncio.Future[Any]
    item: Any = None


class _Batch(NamedTuple):
    """Jobs that are handed over together. ``timer`` gives them up."""

    jobs: list[_Job]
    timer: asyncio.TimerHandle


_Outcome = tuple[asyncio.Future[Any], Any, BaseException | None]


class ConnectionThread:
    """A connection to ``path`` on a thread of its own, for the event loop that made it.

    ``begin`` starts the transactions; ``writing`` threads isolate their jobs from one another. ``judge`` checks each
    new connection, and raises StorageError if it must not be used. The file must exist: it is never created here.
    """

    def __init__(
        self,
        path: str,
        name: str,
        *,
        begin: str,
        writing: bool,
        judge: Callable[[sqlite3.Connection], object] = lambda connection: None,
    ) -> None:
        self._path = path
        self._judge = judge
        self._identity: tuple[int, int] | None = None  # of the file that the connection has open
        self._begin = begin
        self._writing = writing
        self._turn: Turn | nullcontext[None] = Turn(path) if writing else nullcontext()
        self._loop = asyncio.get_running_loop()
        self._waiting: list[_Job] = []  # those of this turn of the loop
        self._batches: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._connection: sqlite3.Connection | None = None  # made, used and closed on the thread only
        self._closed = False
        self._ended = self._loop.create_future()
        self._thread = threading.Thread(target=self._work, name=f"partition-{name}", daemon=True)
        self._thread.start()

    def run(self, function: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Return the result of ``function(connection)``, once it is committed.

        Raises StorageUnavailable and whatever ``function`` raises.
        """
        return self._submit(function, None)

    def run_shared(
        self, function: Callable[[sqlite3.Connection, list[Item]], list[T | StorageError]], item: Item
    ) -> asyncio.Future[T]:
        """Return, or raise, what ``function(connection, items)`` returns for ``item``, once it is committed.

        Concurrent items of one function share a call. Raises StorageUnavailable.
        """
        return self._submit(function, item)

    def _submit(self, function: Callable[..., Any], item: Any) -> asyncio.Future[Any]:
        if self._closed:
            raise unavailable(self._path, "it was closed")
        future: asyncio.Future[Any] = self._loop.create_future()
        if not self._waiting:
            self._loop.call_soon(self._hand_over)
        self._waiting.append(_Job(function, future, item))
        return future

    async def close(self) -> None:
        """Finish all jobs and release the connection and the thread. Idempotent."""
        if not self._closed:
            self._closed = True
            self._hand_over()
            self._batches.put(None)
        await asyncio.shield(self._ended)

    def _hand_over(self) -> None:
        """PERF: wake the thread, and set a timeout, once for many jobs."""
        waiting, self._waiting = self._waiting, []
        for jobs in (waiting[at : at + _LARGEST_BATCH] for at in range(0, len(waiting), _LARGEST_BATCH)):
            self._batches.put(_Batch(jobs, self._loop.call_later(ANSWER_TIMEOUT, self._give_up, jobs)))

    def _give_up(self, jobs: list[_Job]) -> None:
        for job in jobs:
            if not job.future.done():
                # The job may have begun, and is then irrevocable.
                reason = f"no answer within {ANSWER_TIMEOUT:g} s"
                job.future.set_exception(unavailable(self._path, reason, maybe_done=True))

    # On the thread

    def _work(self) -> None:
        ending = False
        while not ending:
            group: list[_Job] = []
            timers: list[asyncio.TimerHandle] = []
            batch = self._batches.get()
            while batch is not None:
                # A job without a waiting caller can be skipped.
                group += [job for job in batch.jobs if not job.future.done()]
                timers.append(batch.timer)
                if len(group) > LARGEST_GROUP - _LARGEST_BATCH:
                    break
                try:
                    batch = self._batches.get_nowait()
                except queue.Empty:
                    break
            ending = batch is None
            outcomes = self._transact(group) if group else []
            self._loop.call_soon_threadsafe(_settle, outcomes, timers)
        self._disconnect()
        if isinstance(self._turn, Turn):
            self._turn.close()
        self._loop.call_soon_threadsafe(self._ended.set_result, None)

    def _transact(self, group: list[_Job]) -> list[_Outcome]:
        committing = False
        try:
            with self._turn:
                connection = self._connected()
                connection.execute(self._begin)
                # This may have taken long. Jobs that were given up meanwhile were answered as failures, and must stay
                # undone.
                runs = _runs([job for job in group if not job.future.done()])
                outcomes = [outcome for jobs in runs for outcome in self._run(connection, jobs)]
                committing = self._writing
                connection.execute("COMMIT")
        except OSError as error:
            failure: BaseException = unavailable(self._path, f"its lock cannot be used: {error.strerror}")
            return [(job.future, None, failure) for job in group]
        except FAULTS as error:
            # The next group starts on a fresh connection, and so recovers by itself once the fault is repaired. If only
            # the sync of this group failed, that connection may find the group complete and keep it.
            self._disconnect()
            failure = translate(error, self._path, maybe_done=committing)
            failure.__cause__ = error
            return [(job.future, None, failure) for job in group]
        except BaseException as error:
            self._disconnect()
            return [(job.future, None, error) for job in group]
        return outcomes

    def _run(self, connection: sqlite3.Connection, jobs: list[_Job]) -> list[_Outcome]:
        if not self._writing:
            try:
                return _results(connection, jobs)
            except FAULTS:
                raise
            except Exception as refusal:
                return [(job.future, None, refusal) for job in jobs]
        connection.execute("SAVEPOINT job")
        try:
            outcomes = _results(connection, jobs)
        except Exception as error:
            if not connection.in_transaction:
                raise  # SQLite has given up on the whole transaction
            connection.execute("ROLLBACK TO job")
            connection.execute("RELEASE job")
            if len(jobs) > 1:
                return [outcome for job in jobs for outcome in self._run(connection, [job])]
            translated = translate(error, self._path) if isinstance(error, FAULTS) else error
            return [(jobs[0].future, None, translated)]
        connection.execute("RELEASE job")
        return outcomes

    def _connected(self) -> sqlite3.Connection:
        identity = _identity(self._path)
        if identity != self._identity:
            # Without this, acknowledged writes would go into a removed file, and be lost with this process.
            self._disconnect()
        if self._connection is None:
            connection = sqlite3.connect(
                f"file:{quote(self._path)}?mode=rw",
                uri=True,
                timeout=BUSY_TIMEOUT,
                isolation_level=None,
                cached_statements=256,
            )
            try:
                # FULL: a commit that was reported survives a power cut. In WAL mode that is one sync per commit.
                connection.execute("PRAGMA synchronous=FULL")
                connection.execute("PRAGMA temp_store=MEMORY")
                connection.execute("PRAGMA cache_size=-32768")
                # The size of the log after a burst.
                connection.execute("PRAGMA journal_size_limit=67108864")
                self._judge(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
            self._identity = identity
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _runs(group: list[_Job]) -> list[list[_Job]]:
    """Return the jobs of each call: one job, or all that share a function, in the place of their first."""
    runs: list[list[_Job]] = []
    shared: dict[Callable[..., Any], list[_Job]] = {}
    for job in group:
        if job.item is not None and job.function in shared:
            shared[job.function].append(job)
            continue
        jobs = [job]
        runs.append(jobs)
        if job.item is not None:
            shared[job.function] = jobs
    return runs


def _results(connection: sqlite3.Connection, jobs: list[_Job]) -> list[_Outcome]:
    function, future, item = jobs[0]
    if item is None:
        return [(future, function(connection), None)]
    found = function(connection, [job.item for job in jobs])
    return [
        (job.future, None, one) if isinstance(one, StorageError) else (job.future, one, None)
        for job, one in zip(jobs, found, strict=True)
    ]


def _identity(path: str) -> tuple[int, int] | None:
    """Return the identity of a file, to distinguish it from another one of its name; None if there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _settle(outcomes: list[_Outcome], timers: list[asyncio.TimerHandle]) -> None:
    for timer in timers:
        timer.cancel()
    for future, result, error in outcomes:
        if future.done():
            continue  # cancelled, or given up
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
