"""Transactions on placements. Each function runs inside a transaction that its caller begins and ends.

Statements are put together from the fixed pieces in this module only; every value is bound.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

from catalog.errors import Conflict, PartitionUnknown
from catalog.model import LISTED_STATES, ChangeSubject, Placement, QueueKey
from catalog.sqlite import changes
from catalog.sqlite.translation import unavailable

_COLUMNS = "p.project, p.queue, p.epoch, p.state, p.document"
_LISTED = ", ".join(f"'{state.value}'" for state in sorted(LISTED_STATES))
_GET = f"SELECT {_COLUMNS} FROM placements p WHERE project = ? AND queue = ?"  # noqa: S608
_QUEUES = f"FROM placements p WHERE project = ? AND queue > ? AND queue < ? AND state IN ({_LISTED})"
_LIST_QUEUES = f"SELECT {_COLUMNS} {_QUEUES} ORDER BY queue LIMIT ?"
_COUNT_QUEUES = f"SELECT count(*) {_QUEUES}"
_Row = tuple[str, str, int, str, str]


def _decode(row: _Row, path: str) -> Placement:
    project, queue, epoch, state, document = row
    columns = {"project": project, "queue": queue, "epoch": epoch, "state": state}
    try:
        return Placement.from_json({**json.loads(document), **columns})
    except (ValueError, TypeError, KeyError) as error:
        raise unavailable(path, f"the placement of {queue!r} in project {project!r} is damaged ({error})") from error


def get(connection: sqlite3.Connection, key: QueueKey, path: str) -> Placement | None:
    """Return the placement, None if there is none."""
    row = connection.execute(_GET, key).fetchone()
    return _decode(row, path) if row else None


def insert(connection: sqlite3.Connection, placement: Placement, path: str) -> tuple[Placement, bool]:
    """Insert-or-get, as ``Catalog.insert_placement``."""
    if not placement.born:
        raise ValueError("born: a new placement has a token of its own")
    stored = get(connection, placement.key, path)
    if stored is not None:
        return stored, stored == placement
    _name(connection, placement, _partitions(placement))
    connection.execute(
        "INSERT INTO placements (epoch, state, document, project, queue) VALUES (?, ?, ?, ?, ?)",
        _encode(placement),
    )
    changes.append(connection, ChangeSubject.PLACEMENT, placement.key, placement.epoch, placement.born)
    return placement, True


def replace(connection: sqlite3.Connection, placement: Placement, path: str) -> None:
    """Compare-and-set, as ``Catalog.replace_placement``."""
    stored = get(connection, placement.key, path)
    if stored == placement:
        return
    if stored is None or (stored.epoch, stored.born) != (placement.epoch - 1, placement.born):
        raise Conflict(stored)
    before, now = _partitions(stored), _partitions(placement)
    _name(connection, placement, now - before)
    _unname(connection, placement.key, before - now)
    connection.execute(
        "UPDATE placements SET epoch = ?, state = ?, document = ? WHERE project = ? AND queue = ?",
        _encode(placement),
    )
    changes.append(connection, ChangeSubject.PLACEMENT, placement.key, placement.epoch, placement.born)


def remove(connection: sqlite3.Connection, key: QueueKey, epoch: int, born: str, path: str) -> None:
    """Remove that of this epoch and life, as ``Catalog.remove_placement``."""
    stored = get(connection, key, path)
    if stored is None:
        return
    if (stored.epoch, stored.born) != (epoch, born):
        raise Conflict(stored)
    _unname(connection, key, _partitions(stored))
    connection.execute("DELETE FROM placements WHERE project = ? AND queue = ?", key)
    changes.append(connection, ChangeSubject.PLACEMENT, key)


def list_queues(
    connection: sqlite3.Connection, project: str, after: str, before: str, limit: int, path: str
) -> list[Placement]:
    """One range of the primary key, as ``Catalog.list_queues``."""
    rows = connection.execute(
        _LIST_QUEUES,
        (project, after, before, max(limit, 0)),
    )
    return [_decode(row, path) for row in rows]


def count_queues(connection: sqlite3.Connection, project: str, after: str, before: str) -> int:
    """Count what ``list_queues`` would show in all."""
    (number,) = connection.execute(_COUNT_QUEUES, (project, after, before)).fetchone()
    return int(number)


def list_all(
    connection: sqlite3.Connection,
    project: str | None,
    partition: str | None,
    after: QueueKey | None,
    limit: int,
    path: str,
) -> list[Placement]:
    """One range of the primary key, or of ``placed`` for a partition, as ``Catalog.list_placements``."""
    where, values = _range(project, partition, after)
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM {_source(partition)} WHERE {where} ORDER BY k.project, k.queue LIMIT ?",  # noqa: S608
        (*values, max(limit, 0)),
    )
    return [_decode(row, path) for row in rows]


def count(connection: sqlite3.Connection, project: str | None, partition: str | None) -> int:
    """Count what ``list_all`` would show in all."""
    where, values = _range(project, partition, None)
    table = "placements" if partition is None else "placed"
    statement = f"SELECT count(*) FROM {table} k WHERE {where}"  # noqa: S608
    (number,) = connection.execute(statement, values).fetchone()
    return int(number)


def _source(partition: str | None) -> str:
    # ``k`` is the table whose key is walked. CROSS JOIN is SQLite's way of fixing which table is the outer one.
    if partition is None:
        return "placements k CROSS JOIN placements p ON p.project = k.project AND p.queue = k.queue"
    return "placed k CROSS JOIN placements p ON p.project = k.project AND p.queue = k.queue"


def _range(project: str | None, partition: str | None, after: QueueKey | None) -> tuple[str, tuple[str, ...]]:
    """Return the condition on the key table ``k``, and its values: always one range of its primary key."""
    start = after or QueueKey("", "")  # no queue name is empty, so this is before the first of all
    where, values = ("k.partition = ? AND ", (partition,)) if partition is not None else ("", ())
    if project is None:
        return where + "(k.project, k.queue) > (?, ?)", (*values, *start)
    if start.project > project:
        return where + "k.project = ? AND 0", (*values, project)
    queue = start.queue if start.project == project else ""
    return where + "k.project = ? AND k.queue > ?", (*values, project, queue)


def _partitions(placement: Placement) -> set[str]:
    return {segment.partition for segment in placement.segments}


def _encode(placement: Placement) -> tuple[int, str, str, str, str]:
    return placement.epoch, placement.state.value, json.dumps(placement.to_json()), *placement.key


def _name(connection: sqlite3.Connection, placement: Placement, partitions: Iterable[str]) -> None:
    for name in sorted(partitions):
        if not connection.execute("SELECT 1 FROM partitions WHERE name = ?", (name,)).fetchone():
            raise PartitionUnknown(name)
        connection.execute("INSERT INTO placed (partition, project, queue) VALUES (?, ?, ?)", (name, *placement.key))


def _unname(connection: sqlite3.Connection, key: QueueKey, partitions: Iterable[str]) -> None:
    connection.executemany(
        "DELETE FROM placed WHERE partition = ? AND project = ? AND queue = ?", [(name, *key) for name in partitions]
    )
