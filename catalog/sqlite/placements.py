"""Transactions on placements. Each function runs inside a transaction that its caller begins and ends."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence

from catalog.errors import Conflict, PartitionUnknown
from catalog.model import ChangeSubject, Placement, QueueKey
from catalog.sqlite import changes
from catalog.sqlite.translation import unavailable

COLUMNS = "p.project, p.queue, p.epoch, p.state, p.document"
Row = tuple[str, str, int, str, str]

_GET = f"SELECT {COLUMNS} FROM placements p WHERE project = ? AND queue = ?"  # noqa: S608


def decode(row: Row, path: str) -> Placement:
    """Return the placement in a row of COLUMNS. Raises CatalogUnavailable if it is none."""
    project, queue, epoch, state, document = row
    columns = {"project": project, "queue": queue, "epoch": epoch, "state": state}
    try:
        return Placement.from_json({**json.loads(document), **columns})
    except (ValueError, TypeError, KeyError) as error:
        raise unavailable(path, f"the placement of {queue!r} in project {project!r} is damaged ({error})") from error


def get(connection: sqlite3.Connection, key: QueueKey, path: str) -> Placement | None:
    """Return the placement, None if there is none."""
    row = connection.execute(_GET, key).fetchone()
    return decode(row, path) if row else None


def insert(connection: sqlite3.Connection, placement: Placement, path: str) -> tuple[Placement, bool]:
    """Insert-or-get, as ``Catalog.insert_placement``."""
    _require_born(placement)
    stored = get(connection, placement.key, path)
    if stored is not None:
        return stored, stored == placement
    store(connection, placement)
    changes.append(connection, ChangeSubject.PLACEMENT, placement.key, placement.epoch, placement.born)
    return placement, True


def store(connection: sqlite3.Connection, placement: Placement) -> None:
    """Store one that is not there. Raises PartitionUnknown."""
    _name(connection, placement, _partitions(placement))
    connection.execute(
        "INSERT INTO placements (epoch, state, document, project, queue) VALUES (?, ?, ?, ?, ?)",
        _encode(placement),
    )


def insert_many(connection: sqlite3.Connection, placements: Sequence[Placement], path: str) -> list[Placement]:
    """Insert-or-get of many, as ``Catalog.insert_placements``: all of them, or none."""
    for placement in placements:
        _require_born(placement)
    return [insert(connection, placement, path)[0] for placement in placements]


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


def _require_born(placement: Placement) -> None:
    if not placement.born:
        raise ValueError("born: a new placement has a token of its own")


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
