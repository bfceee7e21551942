"""Transactions on members. Each function runs inside a transaction that its caller begins and ends.

``renewed`` is a Julian day by SQLite's clock, which is the machine's; ages are differences that SQLite computes.
"""

from __future__ import annotations

import sqlite3

from catalog.model import Member, MemberSighting
from catalog.sqlite.translation import unavailable


def renew(connection: sqlite3.Connection, member: Member) -> None:
    """Register or renew it, stamped with SQLite's clock."""
    connection.execute(
        "INSERT OR REPLACE INTO members (id, applied, synced, renewed) VALUES (?, ?, ?, julianday('now'))",
        (member.id, member.applied, member.synced),
    )


def list_all(connection: sqlite3.Connection, path: str) -> list[MemberSighting]:
    """Return all of them, by id."""
    rows = connection.execute(
        # Not less than zero: the machine's clock may have been set back.
        "SELECT id, applied, synced, max(0.0, (julianday('now') - renewed) * 86400.0) FROM members ORDER BY id"
    )
    try:
        return [
            MemberSighting(Member(id_, int(applied), bool(synced)), float(age)) for id_, applied, synced, age in rows
        ]
    except (ValueError, TypeError) as error:
        raise unavailable(path, f"a member is damaged ({error})") from error


def remove(connection: sqlite3.Connection, member_id: str) -> None:
    """Forget it, if it is there."""
    connection.execute("DELETE FROM members WHERE id = ?", (member_id,))


def ping(connection: sqlite3.Connection) -> None:
    """Write something that nobody reads."""
    connection.execute("INSERT OR REPLACE INTO pings (id, at) VALUES (1, julianday('now'))")
