"""Transactions on a table of one document that somebody holds for a time. Each function runs inside a transaction that
its caller begins and ends.

``held_until`` is a Julian day by SQLite's clock, which is the machine's, and only SQLite compares it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any, NamedTuple

_NOW = "julianday('now')"
_SINCE_1970 = "(held_until - julianday('1970-01-01')) * 86400.0"


class Stored(NamedTuple):
    """``holder`` in the form of JSON, None if nobody holds it."""

    document: str
    holder: dict[str, Any] | None


def read(connection: sqlite3.Connection, table: str) -> Stored | None:
    """Return what is stored, None if nothing ever was."""
    row = connection.execute(
        f"SELECT document, CASE WHEN held_until > {_NOW} THEN holder END, token, {_SINCE_1970} FROM {table}"  # noqa: S608
    ).fetchone()
    if row is None:
        return None
    document, name, token, until = row
    return Stored(document, None if name is None else {"name": name, "token": token, "until": until})


def take(connection: sqlite3.Connection, table: str, holder: str, seconds: float, first: Mapping[str, Any]) -> None:
    """Begin a hold, whoever has it; store ``first`` if nothing is stored."""
    connection.execute(
        f"INSERT OR IGNORE INTO {table} (id, document, token) VALUES (1, ?, 0)",  # noqa: S608
        (json.dumps(first),),
    )
    connection.execute(
        f"UPDATE {table} SET holder = ?, token = token + 1, held_until = {_NOW} + ? / 86400.0",  # noqa: S608
        (holder, seconds),
    )


def save(connection: sqlite3.Connection, table: str, document: Mapping[str, Any], token: int, seconds: float) -> bool:
    """Store the document without its holder, and let the hold end ``seconds`` from now. Return whether it lasted."""
    kept = {name: value for name, value in document.items() if name != "holder"}
    saved = connection.execute(
        f"UPDATE {table} SET document = ?, held_until = {_NOW} + ? / 86400.0 WHERE token = ? AND held_until > {_NOW}",  # noqa: S608
        (json.dumps(kept), seconds, token),
    )
    return bool(saved.rowcount)


def reset(connection: sqlite3.Connection, table: str, document: Mapping[str, Any]) -> None:
    """Replace what is stored, if anything is, and end the hold: who has it can save nothing any more."""
    kept = {name: value for name, value in document.items() if name != "holder"}
    connection.execute(f"UPDATE {table} SET document = ?, holder = NULL, held_until = NULL", (json.dumps(kept),))  # noqa: S608


def release(connection: sqlite3.Connection, table: str, token: int) -> None:
    """End a hold."""
    connection.execute(f"UPDATE {table} SET holder = NULL, held_until = NULL WHERE token = ?", (token,))  # noqa: S608
