"""The tables of moves, and of the writes held for them.

Statements consist only of constants of this module; every value is bound.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping

from catalog.errors import LockLost, MoveConflict, MoveUnderWay
from catalog.interface.moves import HeldWritesStore, MoveStore
from catalog.model import (
    COMING_STATES,
    FEW_STATES,
    UNFINISHED_STATES,
    ChangeSubject,
    HeldWrites,
    Move,
    MoveState,
    QueueKey,
)
from catalog.sqlite import changes
from catalog.sqlite.file import CatalogFile, Noun, counting, reading, writing
from catalog.sqlite.lock import COLUMNS, SQLiteLock
from catalog.sqlite.translation import unavailable

# ``holder`` is null if the lock of the move is free.
_COLUMNS = f"id, version, state, document, {COLUMNS}"
# The columns of a move as if its lock were free.
FREE_COLUMNS = "id, version, state, document, NULL, token, beat, promised"
# The last finished move to remove; no row if all are kept.
_LAST_TO_GO = "SELECT ended, id FROM moves WHERE NOT unfinished ORDER BY ended DESC, id DESC LIMIT 1 OFFSET ?"
_Row = tuple[str, int, str, str, str | None, int, int, float]


class SQLiteMoves(Noun, MoveStore):
    """``Catalog.moves``."""

    @reading
    def get(self, connection: sqlite3.Connection, move_id: str) -> Move | None:
        return _get(connection, move_id, self._path)

    @writing
    def insert(self, connection: sqlite3.Connection, move: Move) -> None:
        stored = _get(connection, move.id, self._path)
        if stored == move:
            return
        if stored is not None:
            raise MoveConflict(move.id, stored)
        _refuse_second(connection, move, self._path)
        store(connection, move)
        changes.append(connection, ChangeSubject.MOVE, (move.id,), move.version)

    @writing
    def replace(self, connection: sqlite3.Connection, move: Move, token: int | None) -> None:
        stored = _get(connection, move.id, self._path)
        if stored == move:
            return
        if stored is None:
            raise MoveConflict(move.id, None)
        if token is not None and (stored.holder is None or stored.holder.token != token):
            raise LockLost(_what(move.id), token)
        if stored.version != move.version - 1:
            raise MoveConflict(move.id, stored)
        _refuse_second(connection, move, self._path)
        connection.execute(
            "UPDATE moves SET version = ?, state = ?, unfinished = ?, ended = ?, document = ?, project = ?, queue = ?,"
            " source = ?, target = ?, plan = ? WHERE id = ?",
            _encode(move, _next_end(connection) if move.finished else 0),
        )
        changes.append(connection, ChangeSubject.MOVE, (move.id,), move.version)

    @reading
    def find(
        self,
        connection: sqlite3.Connection,
        *,
        project: str | None = None,
        queue: str | None = None,
        partition: str | None = None,
        states: Collection[MoveState] | None = None,
        plan: str | None = None,
        ids: Collection[str] | None = None,
        after: str | None = None,
        limit: int,
    ) -> list[Move]:
        conditions: list[str] = ["id > ?"]
        values: list[object] = [after or ""]  # no id is empty
        for column, value in (("project", project), ("queue", queue), ("plan", plan)):
            if value is not None:
                conditions.append(f"{column} = ?")
                values.append(value)
        few = plan is not None and partition is None and states is not None and 0 < len(states) <= FEW_STATES
        if states is not None:
            # The plus prevents SQLite from choosing the index of states over one that selects fewer moves.
            plus = "" if few or (len(conditions) == 1 and partition is None) else "+"
            # The condition of the partial indexes, in which only unfinished moves are.
            if UNFINISHED_STATES.issuperset(states):
                conditions.append("unfinished")
                plus = "" if few else "+"
            if few or set(states) != UNFINISHED_STATES:
                conditions.append(f"{plus}state IN ({', '.join('?' * len(states))})")
                values += [state.value for state in states]
        if ids is not None:
            conditions.append(f"id IN ({', '.join('?' * len(ids))})")
            values += ids
        condition, most = " AND ".join(conditions), max(limit, 0)
        if partition is None:
            # Without it, SQLite walks all moves of the plan instead of sorting those in a few states.
            index = "INDEXED BY moves_by_plan_and_state" if few else ""
            wanted = f"SELECT {_COLUMNS} FROM moves {index} WHERE {condition} ORDER BY id LIMIT ?"  # noqa: S608
            rows = connection.execute(wanted, (*values, most))
        else:
            # Not with OR, with which SQLite reads and sorts all moves of the partition.
            sides = [
                f"SELECT id FROM (SELECT id FROM moves WHERE {side} = ? AND {condition} ORDER BY id LIMIT ?)"  # noqa: S608
                for side in ("source", "target")
            ]
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM moves WHERE id IN ({' UNION '.join(sides)}) ORDER BY id LIMIT ?",  # noqa: S608
                (*(partition, *values, most) * 2, most),
            )
        return [decode(row, self._path) for row in rows]

    @reading
    def under_way(self, connection: sqlite3.Connection, key: QueueKey) -> Move | None:
        return _one(connection, "project = ? AND queue = ? AND unfinished", key, self._path)

    @counting
    def find_ended(self, connection: sqlite3.Connection, *, keep: int, skip: int, limit: int) -> list[Move]:
        rows = connection.execute(
            f"SELECT {_COLUMNS} FROM moves WHERE NOT unfinished AND (ended, id) <= ({_LAST_TO_GO})"  # noqa: S608
            " ORDER BY ended, id LIMIT ? OFFSET ?",
            (keep, limit, skip),
        )
        return [decode(row, self._path) for row in rows]

    @writing
    def remove(self, connection: sqlite3.Connection, ids: Collection[str]) -> None:
        for move_id in ids:
            if connection.execute("DELETE FROM moves WHERE id = ? AND NOT unfinished", (move_id,)).rowcount:
                _forget_held_writes(connection, move_id)
                changes.append(connection, ChangeSubject.MOVE, (move_id,))

    def lock(self, move_id: str) -> SQLiteLock[Move]:
        return _SQLiteMoveLock(self._file, move_id)


class _SQLiteMoveLock(SQLiteLock[Move]):
    def __init__(self, file: CatalogFile, move_id: str) -> None:
        super().__init__(file, "moves", move_id, _what(move_id))
        self._move_id = move_id

    def _value(self, connection: sqlite3.Connection) -> Move:
        stored = _get(connection, self._move_id, self._path)
        if stored is None:
            raise MoveConflict(self._move_id, None)
        return stored


class SQLiteHeldWrites(Noun, HeldWritesStore):
    """``Catalog.held_writes``."""

    @writing
    def put(self, connection: sqlite3.Connection, found: Mapping[str, HeldWrites]) -> None:
        connection.executemany(
            "INSERT OR REPLACE INTO held_writes (move, member, document)"
            " SELECT id, ?, ? FROM moves WHERE id = ? AND unfinished",
            [(held.member, json.dumps(held.to_json()), move_id) for move_id, held in found.items()],
        )

    @reading
    def find(self, connection: sqlite3.Connection, move_id: str) -> list[HeldWrites]:
        rows = connection.execute("SELECT document FROM held_writes WHERE move = ? ORDER BY member", (move_id,))
        try:
            return [HeldWrites.from_json(json.loads(document)) for (document,) in rows]
        except (ValueError, TypeError, KeyError) as error:
            raise unavailable(self._path, f"the held writes of move {move_id!r} are damaged ({error})") from error

    @writing
    def remove(self, connection: sqlite3.Connection, move_id: str) -> None:
        _forget_held_writes(connection, move_id)


def decode(row: _Row, path: str) -> Move:
    """Return the move in a row of _COLUMNS or FREE_COLUMNS. Raises CatalogUnavailable if it is none."""
    id_, version, state, document, name, token, beat, promised = row
    columns = {"id": id_, "version": version, "state": state, "holder": None}
    if name is not None:
        columns["holder"] = {"name": name, "token": token, "beat": beat, "seconds": promised}
    try:
        return Move.from_json({**json.loads(document), **columns})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise unavailable(path, f"move {id_!r} is damaged ({error})") from error


def store(connection: sqlite3.Connection, move: Move) -> None:
    """Store a new move with a free lock."""
    connection.execute(
        "INSERT INTO moves (version, state, unfinished, ended, document, project, queue, source, target, plan, id)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        _encode(move, _next_end(connection) if move.finished else 0),
    )


def holders(connection: sqlite3.Connection) -> list[str]:
    """Return the names of all holders of unfinished moves."""
    rows = connection.execute(
        "SELECT DISTINCT holder FROM moves WHERE holder IS NOT NULL AND unfinished ORDER BY holder"
    )
    return [str(name) for (name,) in rows]


def coming(connection: sqlite3.Connection, partition: str) -> str | None:
    """Return the id of a move that may still add a placement to the partition, None if there is none."""
    marks = ", ".join("?" * len(COMING_STATES))
    sides = [
        # The plus excludes the index of states, as in ``find``.
        f"SELECT min(id) AS id FROM moves WHERE {side} = ? AND unfinished AND +state IN ({marks})"  # noqa: S608
        for side in ("source", "target")
    ]
    values = (partition, *(state.value for state in COMING_STATES))
    (move_id,) = connection.execute(f"SELECT min(id) FROM ({' UNION ALL '.join(sides)})", values * 2).fetchone()  # noqa: S608
    return None if move_id is None else str(move_id)


def _what(move_id: str) -> str:
    return f"move {move_id}"


def _get(connection: sqlite3.Connection, move_id: str, path: str) -> Move | None:
    return _one(connection, "id = ?", (move_id,), path)


def _one(connection: sqlite3.Connection, condition: str, values: tuple[object, ...], path: str) -> Move | None:
    row = connection.execute(f"SELECT {_COLUMNS} FROM moves WHERE {condition}", values).fetchone()  # noqa: S608
    return decode(row, path) if row else None


def _forget_held_writes(connection: sqlite3.Connection, move_id: str) -> None:
    connection.execute("DELETE FROM held_writes WHERE move = ?", (move_id,))


def _refuse_second(connection: sqlite3.Connection, move: Move, path: str) -> None:
    # For the other move in the error. The unique index enforces the rule for all writers.
    if move.finished:
        return
    other = _one(connection, "project = ? AND queue = ? AND unfinished AND id <> ?", (*move.key, move.id), path)
    if other is not None:
        raise MoveUnderWay(other)


def _next_end(connection: sqlite3.Connection) -> int:
    (last,) = connection.execute("SELECT max(ended) FROM moves WHERE NOT unfinished").fetchone()
    return int(last or 0) + 1


def _encode(move: Move, ended: int) -> tuple[object, ...]:
    document = move.to_json()
    del document["holder"]
    return (
        move.version,
        move.state.value,
        not move.finished,
        ended,
        json.dumps(document),
        *move.key,
        move.source,
        move.target,
        move.plan,
        move.id,
    )
