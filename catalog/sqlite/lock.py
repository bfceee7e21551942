"""Transactions on locks: the columns ``holder``, ``token``, ``beat`` and ``promised`` of the tables that have them.

Each function runs inside a transaction that its caller begins and ends.

``held_until`` is of releases before schema version 4, which compare it with the clock. It says that a lock is held for
ever, so that a process of such a release leaves it alone. One that holds a lock renews ``held_until`` only: then that
counts as its beat.

Statements are put together from the fixed pieces in this package only; every value is bound.
"""

from __future__ import annotations

import sqlite3

# The end of the year 9999 as a Julian day.
_FOR_EVER = 5373484.0
# The tables of a single document have it under this id.
_ONLY = 1
# The columns of a holder. A hold of an earlier release promises nothing, and what its row had before is not its own.
COLUMNS = (
    f"holder, token, CASE held_until WHEN {_FOR_EVER} THEN beat"
    " ELSE CAST((held_until - julianday('1970-01-01')) * 86400000 AS INTEGER) END,"
    f" CASE held_until WHEN {_FOR_EVER} THEN promised ELSE 0.0 END"
)


def take(connection: sqlite3.Connection, table: str, holder: str, seconds: float, id_: str | int = _ONLY) -> None:
    """Begin a hold, whatever process has the lock. The caller has compared."""
    connection.execute(
        f"UPDATE {table} SET holder = ?, token = token + 1, beat = 0, promised = ?, held_until = {_FOR_EVER}"  # noqa: S608
        " WHERE id = ?",
        (holder, seconds, id_),
    )


def renew(connection: sqlite3.Connection, table: str, token: int, seconds: float, id_: str | int = _ONLY) -> bool:
    """Renew a hold; return whether it lasted."""
    renewed = connection.execute(
        f"UPDATE {table} SET beat = beat + 1, promised = ? WHERE id = ? AND token = ? AND holder IS NOT NULL",  # noqa: S608
        (seconds, id_, token),
    )
    return bool(renewed.rowcount)


def release(connection: sqlite3.Connection, table: str, token: int, id_: str | int = _ONLY) -> None:
    """End a hold."""
    connection.execute(
        f"UPDATE {table} SET holder = NULL, held_until = NULL WHERE id = ? AND token = ?",  # noqa: S608
        (id_, token),
    )
