"""Transactions on statistics and on the walk.

Each function runs inside a transaction that its caller begins and ends.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

from catalog.errors import WalkHeld, WalkNotHeld
from catalog.model import Holder, Statistics, StatisticsSubject, Walk
from catalog.sqlite import held
from catalog.sqlite.translation import unavailable

_WALKS = "walks"


def put(
    connection: sqlite3.Connection,
    subject: StatisticsSubject,
    found: Iterable[Statistics],
    since: str,
    until: str | None,
) -> None:
    """Replace what there is of a range of names, as ``Catalog.put_statistics``."""
    where = "subject = ? AND name >= ?" + ("" if until is None else " AND name < ?")
    values = (subject.value, since) if until is None else (subject.value, since, until)
    connection.execute(f"DELETE FROM statistics WHERE {where}", values)  # noqa: S608
    connection.executemany(
        "INSERT OR REPLACE INTO statistics (subject, name, document) VALUES (?, ?, ?)",
        [(subject.value, one.name, json.dumps(one.to_json())) for one in found],
    )


def get(connection: sqlite3.Connection, subject: StatisticsSubject, name: str, path: str) -> Statistics | None:
    """Return those of one, None if there are none."""
    row = connection.execute(
        "SELECT name, document FROM statistics WHERE subject = ? AND name = ?", (subject.value, name)
    ).fetchone()
    return _decode(row, path) if row else None


def list_all(
    connection: sqlite3.Connection, subject: StatisticsSubject, after: str | None, limit: int, path: str
) -> list[Statistics]:
    """Return them by name, as ``Catalog.list_statistics``."""
    bound = "name > ?" if after is not None else "name >= ?"  # no project is the empty name
    rows = connection.execute(
        f"SELECT name, document FROM statistics WHERE subject = ? AND {bound} ORDER BY name LIMIT ?",  # noqa: S608
        (subject.value, after or "", max(limit, 0)),
    )
    return [_decode(row, path) for row in rows]


def _decode(row: tuple[str, str], path: str) -> Statistics:
    name, document = row
    try:
        return Statistics.from_json({**json.loads(document), "name": name})
    except (ValueError, TypeError, KeyError) as error:
        raise unavailable(path, f"the statistics of {name!r} are damaged ({error})") from error


def walk(connection: sqlite3.Connection, path: str) -> Walk:
    """Return how far the walk is."""
    stored = held.read(connection, _WALKS)
    if stored is None:
        return Walk()
    try:
        return Walk.from_json({**json.loads(stored.document), "holder": stored.holder})
    except (ValueError, TypeError, KeyError) as error:
        raise unavailable(path, f"the walk is damaged ({error})") from error


def take(connection: sqlite3.Connection, holder: str, seconds: float, over: Holder | None, path: str) -> Walk:
    """Begin a hold, as ``Catalog.take_walk``."""
    current = walk(connection, path)
    if current.holder is not None and current.holder.name != holder and current.holder != over:
        raise WalkHeld(current.holder)
    held.take(connection, _WALKS, holder, seconds, current.to_json())
    return walk(connection, path)


def save(connection: sqlite3.Connection, changed: Walk, token: int, seconds: float) -> None:
    """Save how far it is, as ``Catalog.save_walk``."""
    if not held.save(connection, _WALKS, changed.to_json(), token, seconds):
        raise WalkNotHeld(token)


def release(connection: sqlite3.Connection, token: int) -> None:
    """End a hold, as ``Catalog.release_walk``."""
    held.release(connection, _WALKS, token)


def forget_walk(connection: sqlite3.Connection) -> None:
    """Let the next walk begin at the beginning, and end the hold of who walks: what it has summed up is gone."""
    held.reset(connection, _WALKS, Walk().to_json())
