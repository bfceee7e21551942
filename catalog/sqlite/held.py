"""Transactions on a table of one document under a lock. Each function runs inside a transaction that its caller begins
and ends.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any, NamedTuple

from catalog.sqlite import lock


class Stored(NamedTuple):
    """``holder`` in the form of JSON, None if no process holds it."""

    document: str
    holder: dict[str, Any] | None


def read(connection: sqlite3.Connection, table: str) -> Stored | None:
    """Return what is stored, None if nothing ever was."""
    row = connection.execute(f"SELECT document, {lock.COLUMNS} FROM {table}").fetchone()  # noqa: S608
    if row is None:
        return None
    document, name, token, beat, promised = row
    holder = {"name": name, "token": token, "beat": beat, "seconds": promised}
    return Stored(document, None if name is None else holder)


def take(connection: sqlite3.Connection, table: str, holder: str, seconds: float, first: Mapping[str, Any]) -> None:
    """Begin a hold, whatever process has it; store ``first`` if nothing is stored."""
    connection.execute(
        f"INSERT OR IGNORE INTO {table} (id, document, token) VALUES (1, ?, 0)",  # noqa: S608
        (json.dumps(first),),
    )
    lock.take(connection, table, holder, seconds)


def save(connection: sqlite3.Connection, table: str, document: Mapping[str, Any], token: int, seconds: float) -> bool:
    """Store the document without its holder, and renew the hold. Return whether it lasted."""
    if not lock.renew(connection, table, token, seconds):
        return False
    _put(connection, table, document)
    return True


def reset(connection: sqlite3.Connection, table: str, document: Mapping[str, Any]) -> None:
    """Replace what is stored, if anything is, and end the hold: its process can save nothing any more."""
    _put(connection, table, document)
    connection.execute(f"UPDATE {table} SET holder = NULL, held_until = NULL")  # noqa: S608


def release(connection: sqlite3.Connection, table: str, token: int) -> None:
    """End a hold."""
    lock.release(connection, table, token)


def _put(connection: sqlite3.Connection, table: str, document: Mapping[str, Any]) -> None:
    kept = {name: value for name, value in document.items() if name != "holder"}
    connection.execute(f"UPDATE {table} SET document = ?", (json.dumps(kept),))  # noqa: S608
