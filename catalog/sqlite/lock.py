"""Locks: the columns ``holder``, ``token``, ``beat`` and ``promised`` of the tables that have them.

Releases before schema version 4 compare ``held_until`` with the clock. Here it is always a time without end, so that a
process of such a release does not take the lock. A holder of such a release renews only ``held_until``, which then
counts as its beat.

Statements consist only of constants of this package; every value is bound.
"""

from __future__ import annotations

import json
import sqlite3
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from catalog.errors import LockHeld, LockLost
from catalog.interface.lock import Held, Lock, LockedValue, V
from catalog.model import Holder
from catalog.sqlite.file import CatalogFile, Noun, reading, writing
from catalog.sqlite.translation import unavailable

# The end of the year 9999 as a Julian day.
_FOR_EVER = 5373484.0
# The id of the only row in the tables of a single value.
_ONLY = 1
# The columns of a holder. One of an earlier release promises nothing; ``beat`` and ``promised`` are of one before it.
COLUMNS = (
    f"holder, token, CASE held_until WHEN {_FOR_EVER} THEN beat"
    " ELSE CAST((held_until - julianday('1970-01-01')) * 86400000 AS INTEGER) END,"
    f" CASE held_until WHEN {_FOR_EVER} THEN promised ELSE 0.0 END"
)


class SQLiteLock(Noun, Lock[V]):
    """The lock of ``what`` in the row ``id_`` of a table."""

    def __init__(self, file: CatalogFile, table: str, id_: str | int, what: str) -> None:
        super().__init__(file)
        self._table = table
        self._id = id_
        self._what = what

    @abstractmethod
    def _value(self, connection: sqlite3.Connection) -> V:
        """Return the value with its holder."""

    @writing
    def acquire(self, connection: sqlite3.Connection, holder: str, seconds: float, *, over: Holder | None = None) -> V:
        current = self._value(connection).holder
        if current is not None and current.name != holder and current != over:
            raise LockHeld(self._what, current)
        self._store_first(connection)
        connection.execute(
            f"UPDATE {self._table} SET holder = ?, token = token + 1, beat = 0, promised = ?, held_until = {_FOR_EVER}"  # noqa: S608
            " WHERE id = ?",
            (holder, seconds, self._id),
        )
        return self._value(connection)

    def _store_first(self, connection: sqlite3.Connection) -> None:
        """Store an empty value if there is none."""

    @writing
    def renew(self, connection: sqlite3.Connection, token: int, seconds: float) -> None:
        self._renew(connection, token, seconds)

    def _renew(self, connection: sqlite3.Connection, token: int, seconds: float) -> None:
        renewed = connection.execute(
            f"UPDATE {self._table} SET beat = beat + 1, promised = ?"  # noqa: S608
            " WHERE id = ? AND token = ? AND holder IS NOT NULL",
            (seconds, self._id, token),
        )
        if not renewed.rowcount:
            raise LockLost(self._what, token)

    @writing
    def release(self, connection: sqlite3.Connection, token: int) -> None:
        connection.execute(
            f"UPDATE {self._table} SET holder = NULL, held_until = NULL WHERE id = ? AND token = ?",  # noqa: S608
            (self._id, token),
        )


class SQLiteLockedValue(SQLiteLock[V], LockedValue[V]):
    """The only value of a table. ``empty`` is its value before the first ``save``."""

    def __init__(
        self, file: CatalogFile, table: str, what: str, empty: V, from_json: Callable[[Mapping[str, Any]], V]
    ) -> None:
        super().__init__(file, table, _ONLY, what)
        self._empty = empty
        self._from_json = from_json

    @reading
    def get(self, connection: sqlite3.Connection) -> V:
        return self._value(connection)

    @writing
    def save(self, connection: sqlite3.Connection, value: V, token: int, seconds: float) -> None:
        self._renew(connection, token, seconds)
        self._store(connection, value)

    def forget(self, connection: sqlite3.Connection) -> None:
        """Reset the value, if it exists, and end its lock, so that the holder can no longer save."""
        self._store(connection, self._empty)
        connection.execute(f"UPDATE {self._table} SET holder = NULL, held_until = NULL")  # noqa: S608

    def _value(self, connection: sqlite3.Connection) -> V:
        row = connection.execute(f"SELECT document, {COLUMNS} FROM {self._table}").fetchone()  # noqa: S608
        if row is None:
            return self._empty
        document, name, token, beat, promised = row
        holder = {"name": name, "token": token, "beat": beat, "seconds": promised}
        try:
            return self._from_json({**json.loads(document), "holder": None if name is None else holder})
        except (ValueError, TypeError, KeyError) as error:
            raise unavailable(self._path, f"{self._what} is damaged ({error})") from error

    def _store_first(self, connection: sqlite3.Connection) -> None:
        connection.execute(
            f"INSERT OR IGNORE INTO {self._table} (id, document, token) VALUES (?, ?, 0)",  # noqa: S608
            (_ONLY, _document(self._empty)),
        )

    def _store(self, connection: sqlite3.Connection, value: V) -> None:
        connection.execute(f"UPDATE {self._table} SET document = ?", (_document(value),))  # noqa: S608


def _document(value: Held) -> str:
    return json.dumps({name: member for name, member in value.to_json().items() if name != "holder"})
