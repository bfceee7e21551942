"""Transactions on tenants. Each function runs inside a transaction that its caller begins and ends."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from catalog.model import ChangeSubject, Tenant
from catalog.sqlite import changes
from catalog.sqlite.translation import unavailable

COLUMNS = "project, document"


def decode(row: tuple[str, str], path: str) -> Tenant:
    """Return the tenant in a row of COLUMNS. Raises CatalogUnavailable if it is none."""
    project, document = row
    try:
        return Tenant.from_json({**json.loads(document), "project": project})
    except (ValueError, TypeError, KeyError) as error:
        raise unavailable(path, f"the tenant of project {project!r} is damaged ({error})") from error


def get(connection: sqlite3.Connection, project: str, path: str) -> Tenant | None:
    """Return what was decided for the project, None if nothing was."""
    row = connection.execute(f"SELECT {COLUMNS} FROM tenants WHERE project = ?", (project,)).fetchone()  # noqa: S608
    return decode(row, path) if row else None


def list_all(
    connection: sqlite3.Connection, pinned: str | None, spread: int | None, after: str | None, limit: int, path: str
) -> list[Tenant]:
    """Return those that pass every filter, as ``Catalog.list_tenants``."""
    conditions, values = [], []
    # The words of the indexes: SQLite knows them by these.
    for member, value in (("$.pinned", pinned), ("$.spread", spread)):
        if value is not None:
            conditions.append(f"json_extract(document, '{member}') = ?")
            values.append(value)
    if after is not None:
        conditions.append("project > ?")
        values.append(after)
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM tenants {where} ORDER BY project LIMIT ?",  # noqa: S608
        (*values, max(limit, 0)),
    )
    return [decode(row, path) for row in rows]


def store(connection: sqlite3.Connection, tenant: Tenant) -> None:
    """Store one that is not there."""
    connection.execute(
        "INSERT INTO tenants (project, document) VALUES (?, ?)", (tenant.project, json.dumps(tenant.to_json()))
    )


def put(connection: sqlite3.Connection, tenant: Tenant) -> None:
    """Store it, whatever was there."""
    connection.execute(
        "INSERT OR REPLACE INTO tenants (project, document) VALUES (?, ?)",
        (tenant.project, json.dumps(tenant.to_json())),
    )
    changes.append(connection, ChangeSubject.TENANT, (tenant.project,))


def change(connection: sqlite3.Connection, project: str, members: Mapping[str, Any], path: str) -> None:
    """Give it these members, as ``Catalog.change_tenant``."""
    put(connection, replace(get(connection, project, path) or Tenant(project), **members))


def remove(connection: sqlite3.Connection, project: str) -> None:
    """Forget it, if it is there."""
    if connection.execute("DELETE FROM tenants WHERE project = ?", (project,)).rowcount:
        changes.append(connection, ChangeSubject.TENANT, (project,))
