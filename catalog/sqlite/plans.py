"""The tables of plans and of their planned moves."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection
from typing import TypeVar

from catalog.errors import CatalogUnavailable, PlanConflict
from catalog.interface.plans import PlannedMoveStore, PlanStore
from catalog.model import ChangeSubject, Ending, MoveOutcome, MovePlan, PlannedMove, PlanState, QueueKey, WholePlan
from catalog.model.plan import from_version_3
from catalog.sqlite import changes
from catalog.sqlite.file import Noun, counting, reading, writing
from catalog.sqlite.translation import unavailable

T = TypeVar("T")

# Moves of a plan in one transaction. Other writes, also of seals, go between these transactions.
_BATCH = 500
COLUMNS = "id, version, state, document, progress"
MOVE_COLUMNS = "plan, number, project, queue, document, ending"
_Row = tuple[str, int, str, str, str | None]


class OfBefore(CatalogUnavailable):
    """A plan of schema version 3 must be converted before it can be read."""


class SQLitePlans(Noun, PlanStore):
    """``Catalog.plans``."""

    async def get(self, plan_id: str) -> MovePlan | None:
        return await self._read(lambda connection: _get(connection, plan_id, self._path))

    @reading
    def exists(self, connection: sqlite3.Connection, plan_id: str) -> bool:
        return connection.execute("SELECT 1 FROM plans WHERE id = ?", (plan_id,)).fetchone() is not None

    @writing
    def remove(self, connection: sqlite3.Connection, plan_id: str, version: int) -> None:
        stored = _current(connection, plan_id, self._path)
        if stored is not None and stored.version != version:
            raise PlanConflict(plan_id, stored)
        connection.execute("DELETE FROM planned_moves WHERE plan = ?", (plan_id,))
        if connection.execute("DELETE FROM plans WHERE id = ?", (plan_id,)).rowcount:
            changes.append(connection, ChangeSubject.PLAN, (plan_id,))

    @counting
    def orphaned(self, connection: sqlite3.Connection) -> list[str]:
        # DISTINCT would read all moves; each step of this query is one search in the index.
        rows = connection.execute(
            "WITH RECURSIVE named (id) AS (SELECT min(plan) FROM planned_moves UNION ALL"
            " SELECT (SELECT min(plan) FROM planned_moves WHERE plan > named.id) FROM named WHERE named.id IS NOT NULL)"
            " SELECT id FROM named WHERE id IS NOT NULL AND id NOT IN (SELECT id FROM plans) ORDER BY id"
        )
        return [str(plan_id) for (plan_id,) in rows]

    async def insert(self, whole: WholePlan) -> None:
        # In several transactions: with 20,000 in one, seals and renewals would wait for half a second.
        for first in range(0, len(whole.moves), _BATCH):
            await self._file.write(insert_moves, whole.moves[first : first + _BATCH])
        await self._insert(whole.plan)

    @writing
    def _insert(self, connection: sqlite3.Connection, plan: MovePlan) -> None:
        stored = _current(connection, plan.id, self._path)
        if stored == plan:
            return
        if stored is not None:
            raise PlanConflict(plan.id, stored)
        store(connection, plan)
        changes.append(connection, ChangeSubject.PLAN, (plan.id,), plan.version)

    @writing
    def replace(self, connection: sqlite3.Connection, plan: MovePlan) -> None:
        stored = _current(connection, plan.id, self._path)
        if stored == plan:
            return
        if stored is None or stored.version != plan.version - 1:
            raise PlanConflict(plan.id, stored)
        connection.execute(
            "UPDATE plans SET version = ?, state = ?, progress = ?, active = ? WHERE id = ?",
            (*_changing(plan), plan.id),
        )
        changes.append(connection, ChangeSubject.PLAN, (plan.id,), plan.version)

    async def find(
        self,
        *,
        states: Collection[PlanState] | None = None,
        active: bool = False,
        after: str | None = None,
        limit: int,
    ) -> list[MovePlan]:
        wanted = list(PlanState) if states is None else list(states)
        statement = (
            f"SELECT {COLUMNS} FROM plans WHERE id > ? AND state IN ({', '.join('?' * len(wanted))})"  # noqa: S608
            f"{' AND active' if active else ''} ORDER BY id LIMIT ?"
        )
        values = (after or "", *(state.value for state in wanted), max(limit, 0))  # no id is empty
        return await self._read(
            lambda connection: [decode(row, self._path) for row in connection.execute(statement, values)]
        )

    async def _read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._file.reading.transact(function)
        except OfBefore:
            await self._file.write(carry_over)
            return await self._file.reading.transact(function)


class SQLitePlannedMoves(Noun, PlannedMoveStore):
    """``Catalog.planned_moves``."""

    @reading
    def get(self, connection: sqlite3.Connection, plan_id: str, key: QueueKey) -> PlannedMove | None:
        row = connection.execute(
            f"SELECT {MOVE_COLUMNS} FROM planned_moves WHERE plan = ? AND project = ? AND queue = ?",  # noqa: S608
            (plan_id, *key),
        ).fetchone()
        return decode_move(row, self._path) if row else None

    @reading
    def find(
        self,
        connection: sqlite3.Connection,
        plan_id: str,
        *,
        numbers: Collection[int] | None = None,
        outcomes: Collection[MoveOutcome | None] | None = None,
        after: int = -1,
        before: int | None = None,
        limit: int,
    ) -> list[PlannedMove]:
        conditions = ["plan = ?", "number > ?"]
        values: list[object] = [plan_id, after]
        if before is not None:
            conditions.append("number < ?")
            values.append(before)
        if numbers is not None:
            conditions.append(f"number IN ({', '.join('?' * len(numbers))})")
            values += numbers
        index = ""
        if outcomes is not None:
            words = [outcome.value for outcome in outcomes if outcome is not None]
            either = [f"outcome IN ({', '.join('?' * len(words))})"] if words else []
            either += ["outcome IS NULL"] if None in outcomes else []
            conditions.append(f"({' OR '.join(either) or 'FALSE'})")
            values += words
            # Without it, SQLite walks all moves of the plan instead of sorting a few.
            index = "INDEXED BY planned_moves_by_outcome" if len(either) == 1 else ""
        wanted = f"{index} WHERE {' AND '.join(conditions)} ORDER BY number LIMIT ?"
        rows = connection.execute(
            f"SELECT {MOVE_COLUMNS} FROM planned_moves {wanted}",  # noqa: S608
            (*values, max(limit, 0)),
        )
        return [decode_move(row, self._path) for row in rows]

    @writing
    def end(self, connection: sqlite3.Connection, plan_id: str, endings: Collection[Ending]) -> None:
        connection.executemany(
            "UPDATE planned_moves SET outcome = ?, ending = ? WHERE plan = ? AND number = ? AND outcome IS NULL",
            [(ending.outcome.value, json.dumps(ending.to_json()), plan_id, ending.number) for ending in endings],
        )


def decode(row: _Row, path: str) -> MovePlan:
    """Return the plan in a row of COLUMNS. Raises CatalogUnavailable if it is none; OfBefore."""
    id_, version, state, document, progress = row
    if progress is None:
        raise OfBefore(f"catalog {path}: plan {id_!r} is of schema version 3, or damaged")
    columns = {"id": id_, "version": version, "state": state}
    try:
        return MovePlan.from_json({**json.loads(document), **columns, "progress": json.loads(progress)})
    except (ValueError, TypeError, KeyError) as error:
        raise unavailable(path, f"plan {id_!r} is damaged ({error})") from error


def decode_move(row: tuple[str, int, str, str, str, str | None], path: str) -> PlannedMove:
    """Return the planned move in a row of MOVE_COLUMNS. Raises CatalogUnavailable if it is none."""
    plan, number, project, queue, document, ending = row
    columns = {"plan": plan, "number": number, "project": project, "queue": queue}
    try:
        ended = None if ending is None else json.loads(ending)
        return PlannedMove.from_json({**json.loads(document), **columns, "ending": ended})
    except (ValueError, TypeError, KeyError) as error:
        raise unavailable(path, f"move {number} of plan {plan!r} is damaged ({error})") from error


def store(connection: sqlite3.Connection, plan: MovePlan) -> None:
    """Store a new value."""
    connection.execute(
        "INSERT INTO plans (document, version, state, progress, active, id) VALUES (?, ?, ?, ?, ?, ?)",
        (_unchanging(plan), *_changing(plan), plan.id),
    )


def insert_moves(connection: sqlite3.Connection, moves: Collection[PlannedMove]) -> None:
    """Store the planned moves that do not exist yet."""
    _insert_moves(connection, moves, "INSERT OR IGNORE")


def store_move(connection: sqlite3.Connection, move: PlannedMove) -> None:
    """Store a new value."""
    _insert_moves(connection, [move], "INSERT")


def carry_over(connection: sqlite3.Connection) -> None:
    """Convert all plans of schema version 3, each as its next version; leave damaged ones unchanged."""
    before = connection.execute(f"SELECT {COLUMNS} FROM plans WHERE progress IS NULL").fetchall()  # noqa: S608
    for id_, version, state, document, _ in before:
        try:
            columns = {"id": id_, "version": version, "state": state}
            plan, moves = from_version_3({**json.loads(document), **columns})
        except (ValueError, TypeError, KeyError):
            continue
        insert_moves(connection, moves)
        connection.execute(
            "UPDATE plans SET document = ?, version = ?, state = ?, progress = ?, active = ? WHERE id = ?",
            (_unchanging(plan), *_changing(plan), plan.id),
        )
        changes.append(connection, ChangeSubject.PLAN, (plan.id,), plan.version)


def _get(connection: sqlite3.Connection, plan_id: str, path: str) -> MovePlan | None:
    row = connection.execute(f"SELECT {COLUMNS} FROM plans WHERE id = ?", (plan_id,)).fetchone()  # noqa: S608
    return decode(row, path) if row else None


def _current(connection: sqlite3.Connection, plan_id: str, path: str) -> MovePlan | None:
    try:
        return _get(connection, plan_id, path)
    except OfBefore:
        carry_over(connection)
        return _get(connection, plan_id, path)


def _unchanging(plan: MovePlan) -> str:
    document = plan.to_json()
    del document["progress"]
    return json.dumps(document)


def _changing(plan: MovePlan) -> tuple[int, str, str, bool]:
    return plan.version, plan.state.value, json.dumps(plan.progress.to_json()), plan.active


def _insert_moves(connection: sqlite3.Connection, moves: Collection[PlannedMove], insert: str) -> None:
    connection.executemany(
        f"{insert} INTO planned_moves (plan, number, project, queue, document, outcome, ending)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [_encode_move(move) for move in moves],
    )


def _encode_move(move: PlannedMove) -> tuple[object, ...]:
    document = move.to_json()
    ending = document.pop("ending")
    return (
        move.plan,
        move.number,
        *move.key,
        json.dumps(document),
        None if move.ending is None else move.ending.outcome.value,
        None if ending is None else json.dumps(ending),
    )
