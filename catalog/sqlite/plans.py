"""Transactions on plans. Each function runs inside a transaction that its caller begins and ends."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection

from catalog.errors import PlanConflict
from catalog.model import FINISHED_PLAN_STATES, ChangeSubject, Plan, PlanState
from catalog.sqlite import changes
from catalog.sqlite.translation import unavailable

COLUMNS = "id, version, state, document"


def decode(row: tuple[str, int, str, str], path: str) -> Plan:
    """Return the plan in a row of COLUMNS. Raises CatalogUnavailable if it is none."""
    id_, version, state, document = row
    try:
        return Plan.from_json({**json.loads(document), "id": id_, "version": version, "state": state})
    except (ValueError, TypeError, KeyError) as error:
        raise unavailable(path, f"plan {id_!r} is damaged ({error})") from error


def get(connection: sqlite3.Connection, plan_id: str, path: str) -> Plan | None:
    """Return the plan, None if there is none."""
    row = connection.execute(f"SELECT {COLUMNS} FROM plans WHERE id = ?", (plan_id,)).fetchone()  # noqa: S608
    return decode(row, path) if row else None


def there(connection: sqlite3.Connection, plan_id: str) -> bool:
    """Tell whether there is such a plan."""
    return connection.execute("SELECT 1 FROM plans WHERE id = ?", (plan_id,)).fetchone() is not None


def remove(connection: sqlite3.Connection, plan_id: str, path: str) -> None:
    """Remove a finished one, as ``Catalog.remove_plan``."""
    stored = get(connection, plan_id, path)
    if stored is None:
        return
    if stored.state not in FINISHED_PLAN_STATES:
        raise PlanConflict(plan_id, stored)
    connection.execute("DELETE FROM plans WHERE id = ?", (plan_id,))
    changes.append(connection, ChangeSubject.PLAN, (plan_id,))


def insert(connection: sqlite3.Connection, plan: Plan, path: str) -> None:
    """Store a new one, as ``Catalog.insert_plan``."""
    stored = get(connection, plan.id, path)
    if stored == plan:
        return
    if stored is not None:
        raise PlanConflict(plan.id, stored)
    store(connection, plan)
    changes.append(connection, ChangeSubject.PLAN, (plan.id,), plan.version)


def store(connection: sqlite3.Connection, plan: Plan) -> None:
    """Store one that is not there."""
    connection.execute("INSERT INTO plans (version, state, document, id) VALUES (?, ?, ?, ?)", _encode(plan))


def replace(connection: sqlite3.Connection, plan: Plan, path: str) -> None:
    """Compare-and-set, as ``Catalog.replace_plan``."""
    stored = get(connection, plan.id, path)
    if stored == plan:
        return
    if stored is None or stored.version != plan.version - 1:
        raise PlanConflict(plan.id, stored)
    connection.execute("UPDATE plans SET version = ?, state = ?, document = ? WHERE id = ?", _encode(plan))
    changes.append(connection, ChangeSubject.PLAN, (plan.id,), plan.version)


def list_all(
    connection: sqlite3.Connection, states: Collection[PlanState] | None, after: str | None, limit: int, path: str
) -> list[Plan]:
    """Return those in one of the states, as ``Catalog.list_plans``."""
    wanted = list(PlanState) if states is None else list(states)
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM plans WHERE id > ? AND state IN ({', '.join('?' * len(wanted))})"  # noqa: S608
        " ORDER BY id LIMIT ?",
        (after or "", *(state.value for state in wanted), max(limit, 0)),  # no id is empty
    )
    return [decode(row, path) for row in rows]


def _encode(plan: Plan) -> tuple[int, str, str, str]:
    return plan.version, plan.state.value, json.dumps(plan.to_json()), plan.id
