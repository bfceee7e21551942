"""The change log: all changes in the order of their commits.

Writers append inside their own transaction, and there is one writing transaction at a time, so ``seq`` has no gaps and
is the order of commits. The log is bounded. A reader that fell behind its tail gets an error, never a log with a gap.
"""

from __future__ import annotations

import json
import sqlite3

from catalog.model import NO_PROJECT, Change, ChangeSubject, Placement
from catalog.sqlite.translation import unavailable

# The number of changes kept. At a thousand writes a second a reader may be away for ten seconds; a row has ~100 bytes.
KEPT = 10_000
_PLACED = "SELECT document FROM placements WHERE project = ? AND queue = ? AND epoch = ?"


def append(
    connection: sqlite3.Connection,
    subject: ChangeSubject,
    name: tuple[str, ...],
    epoch: int | None = None,
    incarnation: str | None = None,
) -> None:
    """Append a change, and drop the oldest one beyond ``KEPT``."""
    seq = connection.execute(
        "INSERT INTO changes (subject, name, epoch, born) VALUES (?, ?, ?, ?)",
        (subject.value, json.dumps(name), epoch, incarnation),
    ).lastrowid
    if seq is None:
        raise RuntimeError("SQLite returned no row id for an INSERT")
    connection.execute("DELETE FROM changes WHERE seq <= ?", (seq - KEPT,))


def break_off(connection: sqlite3.Connection) -> None:
    """Make the log fail for every reader that is not at its end, after writes that were not logged."""
    connection.execute("DELETE FROM changes")
    # Skip a seq, so that no reader is at the position before the next one. The log stays non-empty if it was.
    connection.execute("UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = 'changes'")
    append(connection, ChangeSubject.TENANT, (NO_PROJECT,))


def last(connection: sqlite3.Connection) -> int:
    """Return the position of the last change ever logged, 0 if there was none."""
    row = connection.execute("SELECT max(seq) FROM changes").fetchone()
    return row[0] or 0


def after(connection: sqlite3.Connection, position: int, limit: int, path: str) -> list[Change]:
    """Return the changes after ``position``, oldest first, at most ``limit``.

    Raises CatalogUnavailable if some of them have been dropped already, or if the log ends before ``position`` (an
    older copy of the file was put in its place).
    """
    first, newest = connection.execute("SELECT min(seq), max(seq) FROM changes").fetchone()
    if (first or 1) > position + 1 or (newest or 0) < position:
        raise unavailable(path, f"its change log no longer has what came after {position}")
    rows = connection.execute(
        "SELECT seq, subject, name, epoch, born FROM changes WHERE seq > ? ORDER BY seq LIMIT ?", (position, limit)
    )
    try:
        return [
            _change(connection, seq, ChangeSubject(subject), tuple(json.loads(name)), epoch, incarnation)
            for seq, subject, name, epoch, incarnation in rows
        ]
    except (ValueError, TypeError, KeyError) as error:
        raise unavailable(path, f"its change log is damaged ({error})") from error


def _change(
    connection: sqlite3.Connection,
    seq: int,
    subject: ChangeSubject,
    name: tuple[str, ...],
    epoch: int | None,
    incarnation: str | None,
) -> Change:
    sealing = preparing = False
    if subject is ChangeSubject.PLACEMENT and epoch is not None:
        # The log does not have it; the placement does, until its next change.
        row = connection.execute(_PLACED, (*name, epoch)).fetchone()
        if row is not None:
            placement = Placement.from_json(json.loads(row[0]))
            sealing, preparing = placement.seal is not None, placement.preparation is not None
    return Change(seq, subject, name, epoch, incarnation, sealing, preparing)
