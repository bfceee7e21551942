"""Transactions on members. Each function runs inside a transaction that its caller begins and ends.

``renewed`` is a Julian day by SQLite's clock, which is the machine's; ages are differences that SQLite computes.
"""

from __future__ import annotations

import json
import sqlite3

from catalog.model import Member, MemberSighting
from catalog.sqlite import loading
from catalog.sqlite.translation import unavailable

# Not less than zero: the machine's clock may have been set back.
_AGE = "max(0.0, (julianday('now') - renewed) * 86400.0)"
_COLUMNS = f"id, applied, synced, acked, capabilities, lease, holds, {_AGE}"
_Row = tuple[str, int, int, int, str, float, str, float]


def _decode(row: _Row, path: str) -> MemberSighting:
    id_, applied, synced, acked, capabilities, lease, holds, age = row
    try:
        words = tuple(json.loads(capabilities))
        member = Member(id_, applied, bool(synced), acked, words, lease, json.loads(holds))
        return MemberSighting(member, float(age))
    except (ValueError, TypeError) as error:
        raise unavailable(path, f"member {id_!r} is damaged ({error})") from error


def renew(connection: sqlite3.Connection, member: Member, path: str) -> None:
    """Register or renew it, stamped with SQLite's clock, as ``Catalog.renew_member``."""
    loading.refuse_member(connection, path)
    connection.execute(
        "INSERT OR REPLACE INTO members (id, applied, synced, acked, capabilities, lease, holds, renewed)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, julianday('now'))",
        (
            member.id,
            member.applied,
            member.synced,
            member.acked,
            json.dumps(member.capabilities),
            member.lease,
            json.dumps(member.holds),
        ),
    )


def list_all(connection: sqlite3.Connection, path: str) -> list[MemberSighting]:
    """Return all of them, by id."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM members ORDER BY id")  # noqa: S608
    return [_decode(row, path) for row in rows]


def remove(connection: sqlite3.Connection, member_id: str) -> None:
    """Forget it, if it is there."""
    connection.execute("DELETE FROM members WHERE id = ?", (member_id,))


def evict(connection: sqlite3.Connection, member_id: str, idle: float, path: str) -> MemberSighting | None:
    """Forget it if it has been silent for so long, as ``Catalog.evict_member``."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM members WHERE id = ?", (member_id,)).fetchone()  # noqa: S608
    if row is None:
        return None
    sighting = _decode(row, path)
    if not sighting.silent(idle):
        return sighting
    remove(connection, member_id)
    return None


def ping(connection: sqlite3.Connection) -> None:
    """Write something that nobody reads."""
    connection.execute("INSERT OR REPLACE INTO pings (id, at) VALUES (1, julianday('now'))")
