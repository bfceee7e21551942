"""Reading everything inside one read transaction, which sees the file as of its first read (write-ahead log)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

from catalog.model import AT_A_TIME, KINDS, Kept
from catalog.sqlite import moves, partitions, placements, plans, tenants

_READS: dict[str, tuple[str, Callable[[Any, str], Kept]]] = {
    "partition": (f"{partitions.COLUMNS} FROM partitions ORDER BY name", partitions.decode),
    "tenant": (f"{tenants.COLUMNS} FROM tenants ORDER BY project", tenants.decode),
    "placement": (f"{placements.COLUMNS} FROM placements p ORDER BY p.project, p.queue", placements.decode),
    "move": (f"{moves.FREE_COLUMNS} FROM moves ORDER BY id", moves.decode),
    "plan": (f"{plans.COLUMNS} FROM plans ORDER BY id", plans.decode),
    "planned_move": (
        # Those of a plan that is still being stored have no plan yet.
        f"{plans.MOVE_COLUMNS} FROM planned_moves WHERE plan IN (SELECT id FROM plans)"  # noqa: S608 - constants
        " ORDER BY plan, number",
        plans.decode_move,
    ),
}


def batches(connection: sqlite3.Connection, path: str) -> Iterator[list[Kept]]:
    """Yield everything that a backup keeps, as ``Catalog.snapshot``.

    In a transaction that ends with the connection, and so on the thread that uses it.
    """
    connection.execute("BEGIN")
    for kind in KINDS:
        statement, decode = _READS[kind]
        cursor = connection.execute(f"SELECT {statement}")
        while rows := cursor.fetchmany(AT_A_TIME[kind]):
            yield [decode(row, path) for row in rows]
