"""Transactions on moves. Each function runs inside a transaction that its caller begins and ends.

Statements are put together from the fixed pieces in this module only; every value is bound.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping

from catalog.errors import MoveConflict, MoveHeld, MoveNotHeld, MoveUnderWay
from catalog.model import (
    FEW_STATES,
    UNFINISHED_STATES,
    ChangeSubject,
    HeldWrites,
    Holder,
    Move,
    MoveState,
)
from catalog.sqlite import changes, lock
from catalog.sqlite.translation import unavailable

# ``holder`` is null of a move that no mover holds.
_COLUMNS = f"id, version, state, document, {lock.COLUMNS}"
# As if no mover held it.
FREE_COLUMNS = "id, version, state, document, NULL, token, beat, promised"
# None if every finished move is to be kept.
_LAST_TO_GO = "SELECT ended, id FROM moves WHERE NOT unfinished ORDER BY ended DESC, id DESC LIMIT 1 OFFSET ?"
_Row = tuple[str, int, str, str, str | None, int, int, float]


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
        "INSERT INTO moves (version, state, unfinished, ended, document, project, queue, source, target, plan, id)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        _encode(move, _next_end(connection) if move.finished else 0),
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
        "UPDATE moves SET version = ?, state = ?, unfinished = ?, ended = ?, document = ?, project = ?, queue = ?,"
        " source = ?, target = ?, plan = ? WHERE id = ?",
        _encode(move, _next_end(connection) if move.finished else 0),
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
    conditions: list[str] = ["id > ?"]
    values: list[object] = [after or ""]  # no id is empty
    for column, value in (("project", project), ("queue", queue), ("plan", plan)):
        if value is not None:
            conditions.append(f"{column} = ?")
            values.append(value)
    few = plan is not None and partition is None and states is not None and 0 < len(states) <= FEW_STATES
    if states is not None:
        # The plus keeps SQLite from preferring the index of states to that of a filter that fewer moves pass.
        plus = "" if few or (len(conditions) == 1 and partition is None) else "+"
        # The condition of the partial indexes: unfinished moves are found without a look at finished ones.
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
        # SQLite would walk all moves of the plan rather than sort those in a few states.
        index = "INDEXED BY moves_by_plan_and_state" if few else ""
        wanted = f"SELECT {_COLUMNS} FROM moves {index} WHERE {condition} ORDER BY id LIMIT ?"  # noqa: S608
        rows = connection.execute(wanted, (*values, most))
    else:
        # Not with OR, for which SQLite reads all moves of the partition and sorts them.
        sides = [
            f"SELECT id FROM (SELECT id FROM moves WHERE {side} = ? AND {condition} ORDER BY id LIMIT ?)"  # noqa: S608
            for side in ("source", "target")
        ]
        rows = connection.execute(
            f"SELECT {_COLUMNS} FROM moves WHERE id IN ({' UNION '.join(sides)}) ORDER BY id LIMIT ?",  # noqa: S608
            (*(partition, *values, most) * 2, most),
        )
    return [decode(row, path) for row in rows]


def list_ended(connection: sqlite3.Connection, keep: int, skip: int, limit: int, path: str) -> list[Move]:
    """Return finished ones in the order of their ends, as ``Catalog.list_ended_moves``."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM moves WHERE NOT unfinished AND (ended, id) <= ({_LAST_TO_GO})"  # noqa: S608
        " ORDER BY ended, id LIMIT ? OFFSET ?",
        (keep, limit, skip),
    )
    return [decode(row, path) for row in rows]


def remove(connection: sqlite3.Connection, ids: Collection[str]) -> None:
    """Remove finished ones, as ``Catalog.remove_moves``."""
    for move_id in ids:
        if connection.execute("DELETE FROM moves WHERE id = ? AND NOT unfinished", (move_id,)).rowcount:
            remove_held_writes(connection, move_id)
            changes.append(connection, ChangeSubject.MOVE, (move_id,))


def holders(connection: sqlite3.Connection) -> list[str]:
    """Return the names of all that hold a move which is not finished."""
    rows = connection.execute(
        "SELECT DISTINCT holder FROM moves WHERE holder IS NOT NULL AND unfinished ORDER BY holder"
    )
    return [str(name) for (name,) in rows]


def take(
    connection: sqlite3.Connection, move_id: str, holder: str, seconds: float, over: Holder | None, path: str
) -> Move:
    """Begin a hold, as ``Catalog.take_move``."""
    stored = get(connection, move_id, path)
    if stored is None:
        raise MoveConflict(move_id, None)
    if stored.holder is not None and stored.holder.name != holder and stored.holder != over:
        raise MoveHeld(move_id, stored.holder)
    lock.take(connection, "moves", holder, seconds, move_id)
    taken = get(connection, move_id, path)
    assert taken is not None
    return taken


def renew(connection: sqlite3.Connection, move_id: str, token: int, seconds: float) -> None:
    """Prolong a hold, as ``Catalog.renew_move``."""
    if not lock.renew(connection, "moves", token, seconds, move_id):
        raise MoveNotHeld(move_id, token)


def release(connection: sqlite3.Connection, move_id: str, token: int) -> None:
    """End a hold, as ``Catalog.release_move``."""
    lock.release(connection, "moves", token, move_id)


def put_held_writes(connection: sqlite3.Connection, found: Mapping[str, HeldWrites]) -> None:
    """Store what a member says, as ``Catalog.put_held_writes``."""
    connection.executemany(
        "INSERT OR REPLACE INTO held_writes (move, member, document)"
        " SELECT id, ?, ? FROM moves WHERE id = ? AND unfinished",
        [(held.member, json.dumps(held.to_json()), move_id) for move_id, held in found.items()],
    )


def list_held_writes(connection: sqlite3.Connection, move_id: str, path: str) -> list[HeldWrites]:
    """Return what members said of a move, by their ids."""
    rows = connection.execute("SELECT document FROM held_writes WHERE move = ? ORDER BY member", (move_id,))
    try:
        return [HeldWrites.from_json(json.loads(document)) for (document,) in rows]
    except (ValueError, TypeError, KeyError) as error:
        raise unavailable(path, f"the held writes of move {move_id!r} are damaged ({error})") from error


def remove_held_writes(connection: sqlite3.Connection, move_id: str) -> None:
    """Forget what members said of a move."""
    connection.execute("DELETE FROM held_writes WHERE move = ?", (move_id,))


def _refuse_second(connection: sqlite3.Connection, move: Move, path: str) -> None:
    # So that the error can say which; the unique index makes sure of it whoever writes.
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
