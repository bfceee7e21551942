"""The tables of placements.

A listing merges ranges, and SQLite walks each in the order of keys: a range of the primary key; of ``placed``, for a
partition; or of the index of rare states, for one of them. A cursor reads a row only when it is fetched, so a page of
ten costs ten rows and one for each range.

Statements consist only of constants of this module; every value is bound.
"""

from __future__ import annotations

import heapq
import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from contextlib import ExitStack, closing
from itertools import groupby, islice
from typing import NamedTuple

from catalog.errors import PartitionUnknown, PlacementConflict
from catalog.interface.placements import PlacementStore
from catalog.model import LISTED_STATES, RARE_STATES, ChangeSubject, Placement, PlacementState, QueueKey
from catalog.sqlite import changes
from catalog.sqlite.file import Noun, counting, reading, writing
from catalog.sqlite.translation import unavailable

COLUMNS = "p.project, p.queue, p.epoch, p.state, p.document"
Row = tuple[str, str, int, str, str]

_GET = f"SELECT {COLUMNS} FROM placements p WHERE project = ? AND queue = ?"  # noqa: S608
_LISTED = ", ".join(f"'{state.value}'" for state in sorted(LISTED_STATES))
_QUEUES = f"FROM placements p WHERE project = ? AND queue > ? AND queue < ? AND state IN ({_LISTED})"
_LIST_QUEUES = f"SELECT {COLUMNS} {_QUEUES} ORDER BY queue LIMIT ?"
# The number of rows that a search reads first, which is often enough.
_FIRST_LOOK = 1000
# The last name of a search that reads a given number of rows.
_NTH_QUEUE = (
    "SELECT queue FROM placements WHERE project = ? AND queue > ? AND queue < ? ORDER BY queue LIMIT 1 OFFSET ?"
)
_SEARCH_QUEUES = (
    f"SELECT {COLUMNS} FROM placements p WHERE project = ? AND queue > ? AND queue < ? AND queue <= ? "  # noqa: S608
    f"AND state IN ({_LISTED}) AND instr(queue, ?) ORDER BY queue LIMIT ?"
)
_COUNT_QUEUES = f"SELECT count(*) {_QUEUES}"
# CROSS JOIN makes the first table the outer one in SQLite.
_PLACED = "placed k CROSS JOIN placements p ON p.project = k.project AND p.queue = k.queue"


class _Range(NamedTuple):
    """A range of keys. ``key`` is the table that is walked by its key: ``p`` or ``k``."""

    source: str
    key: str
    where: str
    values: tuple[str, ...]


class SQLitePlacements(Noun, PlacementStore):
    """``Catalog.placements``."""

    @reading
    def get(self, connection: sqlite3.Connection, key: QueueKey) -> Placement | None:
        return _get(connection, key, self._path)

    @writing
    def insert(self, connection: sqlite3.Connection, placement: Placement) -> tuple[Placement, bool]:
        return insert(connection, placement, self._path)

    @writing
    def insert_many(self, connection: sqlite3.Connection, wanted: Sequence[Placement]) -> list[Placement]:
        for placement in wanted:
            placement.require_born()
        return [insert(connection, placement, self._path)[0] for placement in wanted]

    @writing
    def replace(self, connection: sqlite3.Connection, placement: Placement) -> None:
        stored = _get(connection, placement.key, self._path)
        if stored == placement:
            return
        if stored is None or (stored.epoch, stored.incarnation) != (placement.epoch - 1, placement.incarnation):
            raise PlacementConflict(stored)
        before, now = stored.partitions, placement.partitions
        _name(connection, placement, now - before)
        _unname(connection, placement.key, before - now)
        connection.execute(
            "UPDATE placements SET epoch = ?, state = ?, document = ? WHERE project = ? AND queue = ?",
            _encode(placement),
        )
        changes.append(connection, ChangeSubject.PLACEMENT, placement.key, placement.epoch, placement.incarnation)

    @writing
    def remove(self, connection: sqlite3.Connection, key: QueueKey, epoch: int, incarnation: str) -> None:
        stored = _get(connection, key, self._path)
        if stored is None:
            return
        if (stored.epoch, stored.incarnation) != (epoch, incarnation):
            raise PlacementConflict(stored)
        _unname(connection, key, stored.partitions)
        connection.execute("DELETE FROM placements WHERE project = ? AND queue = ?", key)
        changes.append(connection, ChangeSubject.PLACEMENT, key)

    @reading
    def list_queues(
        self, connection: sqlite3.Connection, project: str, after: str, before: str, limit: int
    ) -> list[Placement]:
        rows = connection.execute(_LIST_QUEUES, (project, after, before, max(limit, 0)))
        return [decode(row, self._path) for row in rows]

    @reading
    def search_queues(
        self,
        connection: sqlite3.Connection,
        project: str,
        after: str,
        before: str,
        limit: int,
        *,
        containing: str,
        examine: int,
    ) -> tuple[list[Placement], str | None]:
        found: list[Placement] = []
        for rows in (min(examine, _FIRST_LOOK), examine - _FIRST_LOOK):
            if rows > 0:
                row = connection.execute(_NTH_QUEUE, (project, after, before, rows - 1)).fetchone()
                values = (project, after, before, row[0] if row else before, containing, limit - len(found))
                found += [decode(one, self._path) for one in connection.execute(_SEARCH_QUEUES, values)]
                if len(found) == limit:
                    return found, found[-1].queue
                if row is None:
                    return found, None
                after = str(row[0])
        return found, after

    @counting
    def count_queues(self, connection: sqlite3.Connection, project: str, after: str, before: str) -> int:
        (number,) = connection.execute(_COUNT_QUEUES, (project, after, before)).fetchone()
        return int(number)

    @reading
    def find(
        self,
        connection: sqlite3.Connection,
        *,
        project: str | None = None,
        partitions: Collection[str] | None = None,
        states: Collection[PlacementState] | None = None,
        after: QueueKey | None = None,
        limit: int,
    ) -> list[Placement]:
        with ExitStack() as walks:
            rows = [
                walks.enter_context(closing(_walk(connection, one, limit)))
                for one in _ranges(project, partitions, states, after)
            ]
            # A queue with history is in the ranges of several partitions.
            found = (next(same) for _, same in groupby(heapq.merge(*rows, key=_key), key=_key))
            return [decode(row, self._path) for row in islice(found, max(limit, 0))]

    @counting
    def count(
        self,
        connection: sqlite3.Connection,
        *,
        project: str | None = None,
        partitions: Collection[str] | None = None,
        states: Collection[PlacementState] | None = None,
    ) -> int:
        return count(connection, project, partitions, states)


def decode(row: Row, path: str) -> Placement:
    """Return the placement in a row of COLUMNS. Raises CatalogUnavailable if it is none."""
    project, queue, epoch, state, document = row
    columns = {"project": project, "queue": queue, "epoch": epoch, "state": state}
    try:
        return Placement.from_json({**json.loads(document), **columns})
    except (ValueError, TypeError, KeyError) as error:
        raise unavailable(path, f"the placement of {queue!r} in project {project!r} is damaged ({error})") from error


def _get(connection: sqlite3.Connection, key: QueueKey, path: str) -> Placement | None:
    row = connection.execute(_GET, key).fetchone()
    return decode(row, path) if row else None


def insert(connection: sqlite3.Connection, placement: Placement, path: str) -> tuple[Placement, bool]:
    """Insert or get a placement (``PlacementStore.insert``)."""
    placement.require_born()
    stored = _get(connection, placement.key, path)
    if stored is not None:
        return stored, stored == placement
    store(connection, placement)
    changes.append(connection, ChangeSubject.PLACEMENT, placement.key, placement.epoch, placement.incarnation)
    return placement, True


def store(connection: sqlite3.Connection, placement: Placement) -> None:
    """Store a new placement. Raises PartitionUnknown."""
    _name(connection, placement, placement.partitions)
    connection.execute(
        "INSERT INTO placements (epoch, state, document, project, queue) VALUES (?, ?, ?, ?, ?)",
        _encode(placement),
    )


def count(
    connection: sqlite3.Connection,
    project: str | None,
    partitions: Collection[str] | None,
    states: Collection[PlacementState] | None,
) -> int:
    """Return the number of placements that ``PlacementStore.find`` would return without a limit."""
    if partitions is not None and len(set(partitions)) > 1 and not _rare(states):
        return _count_distinct(connection, project, partitions, states)
    total = 0
    for one in _ranges(project, partitions, states, None):
        # Without a lookup in the other table if the condition does not need it.
        source = "placed k" if one.key == "k" and states is None else one.source
        statement = f"SELECT count(*) FROM {source} WHERE {one.where}"  # noqa: S608
        (number,) = connection.execute(statement, one.values).fetchone()
        total += int(number)
    return total


def _count_distinct(
    connection: sqlite3.Connection,
    project: str | None,
    partitions: Collection[str],
    states: Collection[PlacementState] | None,
) -> int:
    where, values, source = *_keys("k", project, None), "placed k"
    if states is not None:
        source, where, values = _PLACED, f"{where} AND p.state IN ({_marks(states)})", values + _words(states)
    names = sorted(set(partitions))
    distinct = f"SELECT DISTINCT k.project, k.queue FROM {source} WHERE k.partition IN ({_marks(names)}) AND {where}"  # noqa: S608
    (number,) = connection.execute(f"SELECT count(*) FROM ({distinct})", (*names, *values)).fetchone()  # noqa: S608
    return int(number)


def _walk(connection: sqlite3.Connection, one: _Range, limit: int) -> sqlite3.Cursor:
    return connection.execute(
        f"SELECT {COLUMNS} FROM {one.source} WHERE {one.where} ORDER BY {one.key}.project, {one.key}.queue LIMIT ?",  # noqa: S608
        (*one.values, max(limit, 0)),
    )


def _key(row: Row) -> tuple[str, str]:
    return row[:2]


def _rare(states: Collection[PlacementState] | None) -> bool:
    return states is not None and RARE_STATES.issuperset(states)


def _ranges(
    project: str | None,
    partitions: Collection[str] | None,
    states: Collection[PlacementState] | None,
    after: QueueKey | None,
) -> list[_Range]:
    names = None if partitions is None else sorted(set(partitions))
    kept = None if states is None else sorted(set(states))
    if kept is not None and _rare(kept):
        where, values = _keys("p", project, after)
        there, named = ("", ()) if names is None else (f" AND {_names_any(names)}", tuple(names))
        # SQLite uses a partial index only if the query repeats its condition.
        return [
            _Range(
                "placements p INDEXED BY placements_in_rare_states",
                "p",
                f"p.state = ? AND p.state <> 'open' AND {where}{there}",
                (state.value, *values, *named),
            )
            for state in kept
        ]
    among, wanted = ("", ()) if kept is None else (f" AND p.state IN ({_marks(kept)})", _words(kept))
    if names is None:
        where, values = _keys("p", project, after)
        return [_Range("placements p", "p", where + among, values + wanted)]
    where, values = _keys("k", project, after)
    return [_Range(_PLACED, "k", f"k.partition = ? AND {where}{among}", (name, *values, *wanted)) for name in names]


def _keys(key: str, project: str | None, after: QueueKey | None) -> tuple[str, tuple[str, ...]]:
    """Return the condition on the table ``key``, one range of its primary key, and its values."""
    start = after or QueueKey("", "")  # no queue name is empty, so this is before the first of all
    if project is None:
        return f"({key}.project, {key}.queue) > (?, ?)", start
    if start.project > project:
        return f"{key}.project = ? AND 0", (project,)
    queue = start.queue if start.project == project else ""
    return f"{key}.project = ? AND {key}.queue > ?", (project, queue)


def _names_any(names: Collection[str]) -> str:
    there = f"n.partition IN ({_marks(names)}) AND n.project = p.project AND n.queue = p.queue"
    return f"EXISTS (SELECT 1 FROM placed n WHERE {there})"  # noqa: S608


def _words(states: Collection[PlacementState]) -> tuple[str, ...]:
    return tuple(state.value for state in states)


def _marks(values: Collection[str]) -> str:
    return ", ".join("?" * len(values))


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
