"""Numbers that identifiers hide: counted up for the whole store, never issued twice."""

from __future__ import annotations

import sqlite3


def take(connection: sqlite3.Connection, count: int) -> int:
    """Return the first of ``count`` fresh numbers in a row."""
    (last,) = connection.execute("UPDATE store SET last=last+? RETURNING last", (count,)).fetchone()
    return int(last) - count + 1
