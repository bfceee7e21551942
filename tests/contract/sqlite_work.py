"""The work of SQLite for a verb of the catalog: the number of steps, and the indexes."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any

from catalog.sqlite.driver import SQLiteCatalog


async def steps(catalog: SQLiteCatalog, call: Callable[[], Awaitable[Any]]) -> int:
    """Count how many times the call takes ten instructions of SQLite's machine: thousands of rows are thousands."""
    taken = 0

    def step() -> int:
        nonlocal taken
        taken += 1
        return 0

    await _on_lanes(catalog, lambda connection: connection.set_progress_handler(step, 10))
    try:
        await call()
    finally:
        await _on_lanes(catalog, lambda connection: connection.set_progress_handler(None, 10))
    return taken


async def ways(catalog: SQLiteCatalog, call: Callable[[], Awaitable[Any]]) -> list[list[str]]:
    """Return how SQLite runs each of the statements that the call makes to read."""
    statements: list[str] = []
    await _on_lanes(catalog, lambda connection: connection.set_trace_callback(statements.append))
    try:
        await call()
    finally:
        await _on_lanes(catalog, lambda connection: connection.set_trace_callback(None))

    def explained(connection: sqlite3.Connection) -> list[list[str]]:
        reading = [statement for statement in statements if statement.startswith(("SELECT", "WITH"))]
        return [[row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")] for statement in reading]

    return await catalog._file.reading.call(explained)


async def _on_lanes(catalog: SQLiteCatalog, function: Callable[[sqlite3.Connection], None]) -> None:
    for lane in (catalog._file.reading, catalog._file.counting):
        await lane.call(function)
