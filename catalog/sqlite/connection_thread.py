"""One thread with one connection, on which transactions run one after another.

A transaction is one synchronous function. Once begun, it runs to its end even if the waiting task is cancelled. So a
cancelled task leaves neither a partial transaction nor an open one. This module is independent of the work of the
functions.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar

from catalog.sqlite.translation import translated, unavailable

P = ParamSpec("P")
T = TypeVar("T")

# Seconds for which one statement waits for a lock of another process.
BUSY_TIMEOUT = 5.0
# Seconds between two attempts to begin a transaction while another process writes.
_GLANCE = 0.001
# Seconds for which a caller waits for its turn and its answer: longer than BUSY_TIMEOUT, for the clearer message.
ANSWER_TIMEOUT = 10.0


class ConnectionThread:
    """A connection to ``path`` on a thread of its own; ``begin`` is the statement that starts its transactions.

    ``patience``: the seconds for which a caller waits for its turn and its answer, ANSWER_TIMEOUT by default. If
    ``durable``, a committed transaction survives a power cut, else only the end of the process. ``committed`` is called
    on the thread after each commit.
    """

    def __init__(
        self,
        path: str,
        name: str,
        *,
        begin: str,
        patience: float | None = None,
        durable: bool = True,
        committed: Callable[[], object] = lambda: None,
    ) -> None:
        self._path = path
        self._begin = begin
        self._durable = durable
        self._committed = committed
        self._patience = ANSWER_TIMEOUT if patience is None else patience
        self._connection: sqlite3.Connection | None = None  # made, used and closed on the thread only
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=f"catalog-{name}")
        self._closed = False

    async def transact(
        self, function: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``function(connection, ...)`` inside a transaction; return its result once that is committed.

        An exception of ``function`` rolls back and is raised. Raises CatalogUnavailable.
        """

        def inside() -> T:
            return self._inside(lambda connection: function(connection, *args, **kwargs))

        return await self._submit(inside)

    async def call(
        self, function: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``function(connection, ...)`` outside of any transaction."""

        def bare() -> T:
            with translated(self._path):
                return function(self._connected(), *args, **kwargs)

        return await self._submit(bare)

    async def close(self) -> None:
        """Finish the jobs that were begun, then release the connection and the thread. Idempotent."""
        if self._closed:
            return
        self._closed = True
        closing = self._executor.submit(self._disconnect)
        self._executor.shutdown(wait=False)
        await asyncio.wrap_future(closing)

    async def _submit(self, job: Callable[[], T]) -> T:
        if self._closed:
            raise unavailable(self._path, "it was closed")
        future = self._executor.submit(job)
        try:
            # A job that has not begun is dropped on timeout and on cancellation; one that has begun ends by itself.
            async with asyncio.timeout(self._patience):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise unavailable(self._path, f"no answer within {self._patience:g} s") from None

    def _inside(self, function: Callable[[sqlite3.Connection], T]) -> T:
        with translated(self._path):
            connection = self._connected()
            self._start(connection)
            try:
                result = function(connection)
                connection.execute("COMMIT")
            except BaseException:
                # Some errors (a full disk) have rolled back already.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        self._committed()
        return result

    def _start(self, connection: sqlite3.Connection) -> None:
        """Begin a transaction, retrying while another process writes.

        SQLite's own busy handler backs off, up to 100 ms at a time. A transaction takes a few milliseconds here, so the
        handler misses most of its chances, and writes to a queue that is being moved wait for it.
        """
        if self._begin != "BEGIN IMMEDIATE":
            connection.execute(self._begin)
            return
        deadline = time.monotonic() + BUSY_TIMEOUT
        connection.execute("PRAGMA busy_timeout=0")
        try:
            while True:
                try:
                    connection.execute(self._begin)
                    return
                except sqlite3.OperationalError as error:
                    if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                        raise
                time.sleep(_GLANCE)
        finally:
            connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT * 1000:.0f}")

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT, isolation_level=None)
            try:
                # In WAL mode FULL is one sync per commit, and NORMAL is none: the next sync is of these commits, too.
                connection.execute(f"PRAGMA synchronous={'FULL' if self._durable else 'NORMAL'}")
                connection.execute("PRAGMA foreign_keys=ON")
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
