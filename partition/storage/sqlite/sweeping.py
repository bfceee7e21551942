"""Freeing the space of expired and deleted entries, a bounded part at a time.

No answer depends on it: the entries that it removes are already invisible.
"""

from __future__ import annotations

import sqlite3

from partition.storage.sqlite import messages
from partition.storage.sqlite.tidying import IN_A_SWEEP, tidy, untidy

# Rows deleted, and queues looked at, in one transaction.
ROWS_AT_A_TIME = 1000
QUEUES_AT_A_TIME = 200


def work(connection: sqlite3.Connection, after: int, now: int) -> tuple[list[int], int]:
    """Find up to QUEUES_AT_A_TIME queues after ``after`` and return those with something to sweep.

    Also return where to continue; 0 when all queues were checked.
    """
    numbers = [
        queue
        for (queue,) in connection.execute(
            "SELECT queue FROM queue WHERE queue>? ORDER BY queue LIMIT ?", (after, QUEUES_AT_A_TIME)
        )
    ]
    dirty = [queue for queue in numbers if _expired(connection, queue, now, 1) or any(untidy(connection, queue, now))]
    return dirty, numbers[-1] if len(numbers) == QUEUES_AT_A_TIME else 0


def _expired(connection: sqlite3.Connection, queue: int, now: int, limit: int) -> list[tuple[int, int | None]]:
    return connection.execute(
        "SELECT number, claim FROM message WHERE queue=? AND expires<=? LIMIT ?", (queue, now, limit)
    ).fetchall()


def sweep_queue(connection: sqlite3.Connection, queue: int, now: int) -> bool:
    """Free some messages of ended claims, delete some expired ones; return whether there may be more."""
    more = tidy(connection, queue, now, IN_A_SWEEP)
    gone = _expired(connection, queue, now, ROWS_AT_A_TIME)
    messages.remove(connection, queue, gone)
    return more or len(gone) == ROWS_AT_A_TIME


def has_dropped(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM dropped LIMIT 1").fetchone() is not None


def sweep_dropped(connection: sqlite3.Connection) -> bool:
    """Delete some rows of deleted queues; return whether there may be more."""
    row = connection.execute("SELECT queue FROM dropped LIMIT 1").fetchone()
    if row is None:
        return False
    gone = 0
    for table, key in (("message", "number"), ("claim", "number")):
        gone += connection.execute(
            f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} WHERE queue=? LIMIT ?)",  # noqa: S608
            (row[0], ROWS_AT_A_TIME),
        ).rowcount
    if gone == 0:
        connection.execute("DELETE FROM dropped WHERE queue=?", row)
    return True


def sweep_subscriptions(connection: sqlite3.Connection, now: int) -> bool:
    """Delete some expired subscriptions; return whether there may be more."""
    gone = connection.execute(
        "DELETE FROM subscription WHERE number IN (SELECT number FROM subscription WHERE expires<=? LIMIT ?)",
        (now, ROWS_AT_A_TIME),
    ).rowcount
    return gone == ROWS_AT_A_TIME


def has_expired_subscriptions(connection: sqlite3.Connection, now: int) -> bool:
    return connection.execute("SELECT 1 FROM subscription WHERE expires<=? LIMIT 1", (now,)).fetchone() is not None
