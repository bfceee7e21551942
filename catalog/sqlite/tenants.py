"""The table of tenants."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from catalog.interface.tenants import TenantStore
from catalog.model import ChangeSubject, Tenant
from catalog.sqlite import changes
from catalog.sqlite.file import Noun, reading, writing
from catalog.sqlite.translation import unavailable

COLUMNS = "project, document"


class SQLiteTenants(Noun, TenantStore):
    """``Catalog.tenants``."""

    @reading
    def get(self, connection: sqlite3.Connection, project: str) -> Tenant | None:
        return _get(connection, project, self._path)

    @reading
    def find(
        self,
        connection: sqlite3.Connection,
        *,
        pinned: str | None = None,
        spread: int | None = None,
        after: str | None = None,
        limit: int,
    ) -> list[Tenant]:
        conditions, values = [], []
        # The expressions of the indexes, verbatim, so that SQLite uses them.
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
        return [decode(row, self._path) for row in rows]

    @writing
    def put(self, connection: sqlite3.Connection, tenant: Tenant) -> None:
        _put(connection, tenant)

    @writing
    def change(self, connection: sqlite3.Connection, project: str, *, members: Mapping[str, Any]) -> None:
        _put(connection, replace(_get(connection, project, self._path) or Tenant(project), **members))

    @writing
    def remove(self, connection: sqlite3.Connection, project: str) -> None:
        if connection.execute("DELETE FROM tenants WHERE project = ?", (project,)).rowcount:
            changes.append(connection, ChangeSubject.TENANT, (project,))


def decode(row: tuple[str, str], path: str) -> Tenant:
    """Return the tenant in a row of COLUMNS. Raises CatalogUnavailable if it is none."""
    project, document = row
    try:
        return Tenant.from_json({**json.loads(document), "project": project})
    except (ValueError, TypeError, KeyError) as error:
        raise unavailable(path, f"the tenant of project {project!r} is damaged ({error})") from error


def store(connection: sqlite3.Connection, tenant: Tenant) -> None:
    """Store a new tenant."""
    connection.execute(
        "INSERT INTO tenants (project, document) VALUES (?, ?)", (tenant.project, json.dumps(tenant.to_json()))
    )


def _get(connection: sqlite3.Connection, project: str, path: str) -> Tenant | None:
    row = connection.execute(f"SELECT {COLUMNS} FROM tenants WHERE project = ?", (project,)).fetchone()  # noqa: S608
    return decode(row, path) if row else None


def _put(connection: sqlite3.Connection, tenant: Tenant) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO tenants (project, document) VALUES (?, ?)",
        (tenant.project, json.dumps(tenant.to_json())),
    )
    changes.append(connection, ChangeSubject.TENANT, (tenant.project,))
