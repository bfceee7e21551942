"""Marks: the writes that a queue refuses, by their epoch. Functions run inside a transaction of a connection thread.

Writers hold a lock, so a mark and the writes that it refuses cannot overlap.
"""

from __future__ import annotations

import sqlite3

from partition.errors import QueueClosed
from partition.model.queue import MARKED_LIVES, Epoch, QueueKey
from partition.storage.sqlite.schema import FENCED, VERSION

_OF = "kind=? AND project=? AND name=?"


def _named(key: QueueKey) -> tuple[int, str, str]:
    return key.kind, key.project, key.name


def fence(connection: sqlite3.Connection, key: QueueKey, epoch: Epoch) -> None:
    """Set the mark, unless its life has a higher one."""
    connection.execute(f"PRAGMA user_version={FENCED}")
    connection.execute(
        "INSERT INTO mark (kind, project, name, life, epoch, shut) VALUES (?, ?, ?, ?, ?, 1)"
        " ON CONFLICT DO UPDATE SET epoch=excluded.epoch, shut=1 WHERE excluded.epoch>epoch",
        (*_named(key), *epoch),
    )
    connection.execute(
        f"DELETE FROM mark WHERE {_OF} AND number NOT IN"  # noqa: S608
        f" (SELECT number FROM mark WHERE {_OF} ORDER BY number DESC LIMIT ?)",
        (*_named(key), *_named(key), MARKED_LIVES),
    )


def check(connection: sqlite3.Connection, key: QueueKey, epoch: Epoch | None) -> None:
    """Raise QueueClosed if a mark refuses a write with this epoch."""
    if epoch is not None:
        _refuse(key, epoch, _marks(connection, key))


def admit(connection: sqlite3.Connection, key: QueueKey, epoch: Epoch | None) -> None:
    """Admit a post. Raises QueueClosed if a mark refuses it, or it has no epoch and the queue is shut."""
    marks = _marks(connection, key)
    shut = [number for _, number, is_shut in marks if is_shut]
    if epoch is not None:
        _refuse(key, epoch, marks)
        if shut:
            # Writes have come back here: the queue was not moved after all, or has a new life.
            forget_shut(connection, key)
    elif shut:
        raise QueueClosed(key.name, max(shut))


def _marks(connection: sqlite3.Connection, key: QueueKey) -> list[tuple[str, int, int]]:
    return connection.execute(f"SELECT life, epoch, shut FROM mark WHERE {_OF}", _named(key)).fetchall()  # noqa: S608


def _refuse(key: QueueKey, epoch: Epoch, marks: list[tuple[str, int, int]]) -> None:
    for life, number, _ in marks:
        if life == epoch.life and number > epoch.number:
            raise QueueClosed(key.name, number)


def forget_shut(connection: sqlite3.Connection, key: QueueKey) -> None:
    """Admit posts without an epoch again."""
    connection.execute(f"UPDATE mark SET shut=0 WHERE {_OF}", _named(key))  # noqa: S608


def reopen(connection: sqlite3.Connection) -> int:
    """Remove all marks; return how many queues had some."""
    (queues,) = connection.execute("SELECT count(*) FROM (SELECT DISTINCT kind, project, name FROM mark)").fetchone()
    connection.execute("DELETE FROM mark")
    connection.execute(f"PRAGMA user_version={VERSION}")
    return int(queues)
