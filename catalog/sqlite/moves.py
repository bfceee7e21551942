"""Transactions on moves. Each function runs inside a transaction that its caller begins and ends.

``held_until`` is a Julian day by SQLite's clock, which is the machine's, and only SQLite compares it.

Statements are put together from the fixed pieces in this module only; every value is bound.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection

from catalog.errors import MoveConflict, MoveHeld, MoveNotHeld, MoveUnderWay
from catalog.model import FEW_STATES, ChangeSubject, Move, MoveState
from catalog.sqlite import changes
from catalog.sqlite.translation import unavailable

_NOW = "julianday('now')"
_SINCE_1970 = "(held_until - julianday('1970-01-01')) * 86400.0"
# The fifth is null when nobody holds it.
_COLUMNS = f"id, version, state, document, CASE WHEN held_until > {_NOW} THEN holder END, token, {_SINCE_1970}"
# As if nobody held it.
FREE_COLUMNS = "id, version, state, document, NULL, token, NULL"
_TAKEN = f"SELECT id, version, state, document, holder, token, {_SINCE_1970} FROM moves WHERE id = ?"  # noqa: S608
_Row = tuple[str, int, str, str, str | None, int, float | None]


def decode(row: _Row, path: str) -> Move:
    """Return the move in a row of _COLUMNS or FREE_COLUMNS. Raises CatalogUnavailable if it is none."""
    id_, version, state, document, name, token, until = row
    columns = {"id": id_, "version": version, "state": state, "holder": None}
    if name is not None:
        columns["holder"] = {"name": name, "token": token, "until": until}
    try:
        return Move.from_json({**json.loads(document), **columns})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise unavailable(path, f"move {id_!r} is damaged ({error})") from error


def _one(connection: sqlite3.Connection, condition: str, values: tuple[object, ...], path: str) -> Move | None:
    row = connection.execute(f"SELECT {_COLUMNS} FROM moves WHERE {condition}", values).fetchone()  # noqa: S608
    return decode(row, path) if row else None


def get(connection: sqlite3.Connection, move_id: str, path: str) -> Move | None:
    """Return the move, None if there is none."""
    return _one(connection, "id = ?", (move_id,), path)


def insert(connection: sqlite3.Connection, move: Move, path: str) -> None:
    """Store a new one, as ``Catalog.insert_move``."""
    stored = get(connection, move.id, path)
    if stored == move:
        return
    if stored is not None:
        raise MoveConflict(move.id, stored)
    _refuse_second(connection, move, path)
    store(connection, move)
    changes.append(connection, ChangeSubject.MOVE, (move.id,), move.version)


def store(connection: sqlite3.Connection, move: Move) -> None:
    """Store one that is not there, held by nobody."""
    connection.execute(
        "INSERT INTO moves (version, state, unfinished, document, project, queue, source, target, plan, id)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        _encode(move),
    )


def replace(connection: sqlite3.Connection, move: Move, token: int | None, path: str) -> None:
    """Compare-and-set, as ``Catalog.replace_move``."""
    stored = get(connection, move.id, path)
    if stored == move:
        return
    if stored is None:
        raise MoveConflict(move.id, None)
    if token is not None and (stored.holder is None or stored.holder.token != token):
        raise MoveNotHeld(move.id, token)
    if stored.version != move.version - 1:
        raise MoveConflict(move.id, stored)
    _refuse_second(connection, move, path)
    connection.execute(
        "UPDATE moves SET version = ?, state = ?, unfinished = ?, document = ?, project = ?, queue = ?, source = ?,"
        " target = ?, plan = ? WHERE id = ?",
        _encode(move),
    )
    changes.append(connection, ChangeSubject.MOVE, (move.id,), move.version)


def list_all(
    connection: sqlite3.Connection,
    project: str | None,
    queue: str | None,
    partition: str | None,
    states: Collection[MoveState] | None,
    plan: str | None,
    ids: Collection[str] | None,
    after: str | None,
    limit: int,
    path: str,
) -> list[Move]:
    """Return those that pass every filter, as ``Catalog.list_moves``."""
    conditions, values = ["id > ?"], [after or ""]  # no id is empty
    for column, value in (("project", project), ("queue", queue), ("plan", plan)):
        if value is not None:
            conditions.append(f"{column} = ?")
            values.append(value)
    if partition is not None:
        conditions.append("(source = ? OR target = ?)")
        values += [partition, partition]
    if states is not None:
        conditions.append(f"state IN ({', '.join('?' * len(states))})")
        values += [state.value for state in states]
    if ids is not None:
        conditions.append(f"id IN ({', '.join('?' * len(ids))})")
        values += ids
    # SQLite would walk all moves of the plan rather than sort those in a few states.
    few = plan is not None and states and len(states) <= FEW_STATES
    index = "INDEXED BY moves_by_plan_and_state" if few else ""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM moves {index} WHERE {' AND '.join(conditions)} ORDER BY id LIMIT ?",  # noqa: S608
        (*values, max(limit, 0)),
    )
    return [decode(row, path) for row in rows]


def holders(connection: sqlite3.Connection) -> list[str]:
    """Return the names of all who hold a move."""
    rows = connection.execute(f"SELECT DISTINCT holder FROM moves WHERE held_until > {_NOW} ORDER BY holder")  # noqa: S608
    return [str(name) for (name,) in rows]


def take(connection: sqlite3.Connection, move_id: str, holder: str, seconds: float, path: str) -> Move:
    """Begin a hold, as ``Catalog.take_move``."""
    stored = get(connection, move_id, path)
    if stored is None:
        raise MoveConflict(move_id, None)
    if stored.holder is not None and stored.holder.name != holder:
        raise MoveHeld(move_id, stored.holder)
    connection.execute(
        f"UPDATE moves SET holder = ?, token = token + 1, held_until = {_NOW} + ? / 86400.0 WHERE id = ?",  # noqa: S608
        (holder, seconds, move_id),
    )
    return decode(connection.execute(_TAKEN, (move_id,)).fetchone(), path)


def renew(connection: sqlite3.Connection, move_id: str, token: int, seconds: float) -> None:
    """Prolong a hold, as ``Catalog.renew_move``."""
    renewed = connection.execute(
        f"UPDATE moves SET held_until = {_NOW} + ? / 86400.0 WHERE id = ? AND token = ? AND held_until > {_NOW}",  # noqa: S608
        (seconds, move_id, token),
    )
    if not renewed.rowcount:
        raise MoveNotHeld(move_id, token)


def release(connection: sqlite3.Connection, move_id: str, token: int) -> None:
    """End a hold, as ``Catalog.release_move``."""
    connection.execute("UPDATE moves SET holder = NULL, held_until = NULL WHERE id = ? AND token = ?", (move_id, token))


def _refuse_second(connection: sqlite3.Connection, move: Move, path: str) -> None:
    # So that the error can say which; the unique index makes sure of it whoever writes.
    if move.finished:
        return
    other = _one(connection, "project = ? AND queue = ? AND unfinished AND id <> ?", (*move.key, move.id), path)
    if other is not None:
        raise MoveUnderWay(other)


def _encode(move: Move) -> tuple[object, ...]:
    document = move.to_json()
    del document["holder"]
    return (
        move.version,
        move.state.value,
        not move.finished,
        json.dumps(document),
        *move.key,
        move.source,
        move.target,
        move.plan,
        move.id,
    )
