"""Transactions of loading a backup. Each function runs inside a transaction that its caller begins and ends.

The row of ``loading`` is the mark of a catalog that is being loaded: made in the transaction that empties the catalog,
and looked at in those that fill it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from catalog.errors import CatalogInUse, LoadRefused, LoadUnfinished, NotEmpty, PartitionUnknown
from catalog.model import KINDS, Kept, Move, Partition, Placement, Plan, PlannedMove, Tenant, above_all
from catalog.sqlite import audit, changes, moves, partitions, placements, plans, statistics, tenants
from catalog.sqlite.translation import unavailable

# By kind, its table. What names comes before what is named when they are emptied.
_TABLES = {kind: f"{kind}s" for kind in KINDS}
_EMPTIED = (
    "statistics",
    "held_writes",
    "planned_moves",
    "plans",
    "moves",
    "placed",
    "placements",
    "tenants",
    "partitions",
)
_LARGEST = "SELECT max(coalesce((SELECT max(token) FROM moves), 0), coalesce((SELECT first_token FROM loading), 0))"


def refuse_half(connection: sqlite3.Connection, path: str) -> None:
    """Raise LoadUnfinished if the mark is there."""
    row = connection.execute("SELECT strftime('%Y-%m-%dT%H:%M:%SZ', since) FROM loading").fetchone()
    if row is not None:
        raise LoadUnfinished(
            f"catalog {path} is being loaded from a backup since {row[0]}, or that was broken off: "
            "run marconi-proxy catalog import again if it is not running"
        )


def refuse_member(connection: sqlite3.Connection, path: str) -> None:
    """Raise CatalogUnavailable if the mark is there."""
    if connection.execute("SELECT 1 FROM loading").fetchone():
        raise unavailable(path, "it is being loaded from a backup")


def begin(connection: sqlite3.Connection, token: str, replace: bool, members: Sequence[str]) -> None:
    """Empty the catalog and mark it, as ``Catalog.begin_load``; ``members`` are the ids of all that are registered."""
    movers = moves.holders(connection)
    if members or movers:
        raise CatalogInUse(members, movers)
    if not replace and not connection.execute("SELECT 1 FROM loading").fetchone():
        held = [k for k, table in _TABLES.items() if connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone()]  # noqa: S608
        if held:
            raise NotEmpty(held)
    (largest,) = connection.execute(_LARGEST).fetchone()
    for table in _EMPTIED:
        connection.execute(f"DELETE FROM {table}")  # noqa: S608
    statistics.forget_walk(connection)
    audit.forget(connection)
    connection.execute(
        "INSERT OR REPLACE INTO loading (id, token, since, first_token) VALUES (1, ?, julianday('now'), ?)",
        (token, above_all(largest)),
    )
    changes.break_off(connection)


def load(connection: sqlite3.Connection, token: str, values: Sequence[Kept]) -> None:
    """Store the values, as ``Catalog.load``."""
    first = _require(connection, token)
    for value in values:
        try:
            _INSERTS[type(value)](connection, value)
        except (sqlite3.IntegrityError, PartitionUnknown) as error:
            raise LoadRefused(f"{value} contradicts what was loaded before ({error})") from error
        if isinstance(value, Move):
            connection.execute("UPDATE moves SET token = ? WHERE id = ?", (first, value.id))


def end(connection: sqlite3.Connection, token: str) -> None:
    """Take the mark away, as ``Catalog.end_load``."""
    _require(connection, token)
    connection.execute("DELETE FROM loading")
    changes.break_off(connection)


def _require(connection: sqlite3.Connection, token: str) -> int:
    row = connection.execute("SELECT first_token FROM loading WHERE token = ?", (token,)).fetchone()
    if row is None:
        raise LoadRefused("another load was begun since this one")
    return int(row[0])


# Without a word in the change log: it is broken off instead.
_INSERTS: dict[type[Kept], Callable[[sqlite3.Connection, Any], None]] = {
    Partition: partitions.store,
    Tenant: tenants.store,
    Placement: placements.store,
    Move: moves.store,
    Plan: plans.store,
    PlannedMove: plans.store_move,
}
