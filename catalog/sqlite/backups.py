"""Backups: a snapshot of the catalog in one transaction, and the load of one.

The row of ``loading`` is the mark of a catalog that is being loaded. The transaction that empties the catalog writes
it, and those that fill the catalog read it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from typing import Any
from uuid import uuid4

from catalog.errors import CatalogInUse, LoadRefused, NotEmpty, PartitionUnknown
from catalog.interface.backups import BackupStore
from catalog.model import (
    AT_A_TIME,
    KINDS,
    AuditState,
    BackupValue,
    Move,
    MovePlan,
    Partition,
    Placement,
    PlannedMove,
    Tenant,
    Walk,
    above_all,
)
from catalog.sqlite import changes, members, moves, partitions, placements, plans, tenants
from catalog.sqlite.connection_thread import ConnectionThread
from catalog.sqlite.file import CatalogFile, Noun, writing
from catalog.sqlite.lock import SQLiteLockedValue

# Seconds to empty a catalog, which reads all its pages.
_EMPTY_TIMEOUT = 3600.0
# The table of each kind. They are emptied in reverse order: a value goes before those that it refers to.
_TABLES = {kind: f"{kind}s" for kind in KINDS}
_EMPTIED = (
    "statistics",
    "held_writes",
    "planned_moves",
    "plans",
    "moves",
    "placed",
    "placements",
    "tenants",
    "partitions",
)
_LARGEST = "SELECT max(coalesce((SELECT max(token) FROM moves), 0), coalesce((SELECT first_token FROM loading), 0))"
_READS: dict[str, tuple[str, Callable[[Any, str], BackupValue]]] = {
    "partition": (f"{partitions.COLUMNS} FROM partitions ORDER BY name", partitions.decode),
    "tenant": (f"{tenants.COLUMNS} FROM tenants ORDER BY project", tenants.decode),
    "placement": (f"{placements.COLUMNS} FROM placements p ORDER BY p.project, p.queue", placements.decode),
    "move": (f"{moves.FREE_COLUMNS} FROM moves ORDER BY id", moves.decode),
    "plan": (f"{plans.COLUMNS} FROM plans ORDER BY id", plans.decode),
    "planned_move": (
        # Without the moves of a plan that is still being stored.
        f"{plans.MOVE_COLUMNS} FROM planned_moves WHERE plan IN (SELECT id FROM plans)"  # noqa: S608 - constants
        " ORDER BY plan, number",
        plans.decode_move,
    ),
}


class SQLiteBackups(Noun, BackupStore):
    """``Catalog.backups``. A load resets the walk and the audit, too."""

    def __init__(self, file: CatalogFile, walk: SQLiteLockedValue[Walk], audit: SQLiteLockedValue[AuditState]) -> None:
        super().__init__(file)
        self._walk = walk
        self._audit = audit

    async def snapshot(self) -> AsyncGenerator[list[BackupValue], None]:
        await self._file.write(plans.carry_over)
        thread = ConnectionThread(self._path, "snapshot", begin="BEGIN")
        self._file.snapshots.add(thread)
        reading: list[Iterator[list[BackupValue]]] = []

        def advance(connection: sqlite3.Connection) -> list[BackupValue] | None:
            if not reading:
                reading.append(_batches(connection, self._path))
            return next(reading[0], None)

        try:
            while batch := await thread.call(advance):
                yield batch
        finally:
            self._file.snapshots.discard(thread)
            await thread.close()

    async def begin_load(self, *, replace: bool) -> str:
        token = uuid4().hex
        # On a thread of its own, with a long timeout: after a timeout, the answer would be that nothing was changed.
        thread = ConnectionThread(self._path, "empty", begin="BEGIN IMMEDIATE", patience=_EMPTY_TIMEOUT)
        try:
            await thread.transact(self._begin, token, replace)
        finally:
            await thread.close()
        return token

    def _begin(self, connection: sqlite3.Connection, token: str, replace: bool) -> None:
        registered, movers = members.ids(connection), moves.holders(connection)
        if registered or movers:
            raise CatalogInUse(registered, movers)
        if not replace and not connection.execute("SELECT 1 FROM loading").fetchone():
            kept = [kind for kind, table in _TABLES.items() if _any(connection, table)]
            if kept:
                raise NotEmpty(kept)
        (largest,) = connection.execute(_LARGEST).fetchone()
        for table in _EMPTIED:
            connection.execute(f"DELETE FROM {table}")  # noqa: S608
        self._walk.forget(connection)
        self._audit.forget(connection)
        connection.execute(
            "INSERT OR REPLACE INTO loading (id, token, since, first_token) VALUES (1, ?, julianday('now'), ?)",
            (token, above_all(largest)),
        )
        changes.break_off(connection)

    @writing
    def load(self, connection: sqlite3.Connection, token: str, values: Sequence[BackupValue]) -> None:
        first = _require(connection, token)
        for value in values:
            try:
                _INSERTS[type(value)](connection, value)
            except (sqlite3.IntegrityError, PartitionUnknown) as error:
                raise LoadRefused(f"{value} contradicts what was loaded before ({error})") from error
            if isinstance(value, Move):
                connection.execute("UPDATE moves SET token = ? WHERE id = ?", (first, value.id))

    @writing
    def end_load(self, connection: sqlite3.Connection, token: str) -> None:
        _require(connection, token)
        connection.execute("DELETE FROM loading")
        changes.break_off(connection)


def _batches(connection: sqlite3.Connection, path: str) -> Iterator[list[BackupValue]]:
    """Yield all values of a backup.

    The transaction ends with the connection, so the caller runs this on the thread of the connection.
    """
    connection.execute("BEGIN")
    for kind in KINDS:
        statement, decode = _READS[kind]
        cursor = connection.execute(f"SELECT {statement}")
        while rows := cursor.fetchmany(AT_A_TIME[kind]):
            yield [decode(row, path) for row in rows]


def _any(connection: sqlite3.Connection, table: str) -> bool:
    return connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is not None  # noqa: S608


def _require(connection: sqlite3.Connection, token: str) -> int:
    row = connection.execute("SELECT first_token FROM loading WHERE token = ?", (token,)).fetchone()
    if row is None:
        raise LoadRefused("another load has begun since")
    return int(row[0])


# These bypass the change log, which ``break_off`` ends for all readers.
_INSERTS: dict[type[BackupValue], Callable[[sqlite3.Connection, Any], None]] = {
    Partition: partitions.store,
    Tenant: tenants.store,
    Placement: placements.store,
    Move: moves.store,
    MovePlan: plans.store,
    PlannedMove: plans.store_move,
}
