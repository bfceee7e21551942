"""Transactions on members. Each function runs inside a transaction that its caller begins and ends.

``renewed`` is a Julian day by SQLite's clock, which is the machine's. It is shown to people, and compared with itself
only: it is part of the stamp, for workers of a release before have no counter of their renewals.
"""

from __future__ import annotations

import json
import sqlite3
from functools import lru_cache

from catalog.errors import NotRegistered
from catalog.model import Member
from catalog.sqlite import loading
from catalog.sqlite.translation import unavailable

_SINCE_1970 = "(renewed - julianday('1970-01-01')) * 86400.0"
_STAMP = "printf('%d:%.17g', beat, renewed)"
_COLUMNS = f"id, beat, applied, synced, acks, capabilities, lease, late_writes, {_SINCE_1970}, {_STAMP}"
_Row = tuple[str, int, int, int, str, str, float, int, float, str]


# A mover that holds writes lists some hundred members every few milliseconds, of which few have changed.
@lru_cache(maxsize=1024)
def _decode(row: _Row, path: str) -> Member:
    id_, beat, applied, synced, acks, capabilities, lease, late_writes, renewed, stamp = row
    try:
        document = {
            "id": id_,
            "beat": beat,
            "applied": applied,
            "synced": bool(synced),
            "acks": json.loads(acks),
            "capabilities": json.loads(capabilities),
            "lease": lease,
            "late_writes": late_writes,
        }
        return Member.from_json(document, renewed=max(0.0, renewed), stamp=stamp)
    except (ValueError, TypeError, KeyError) as error:
        raise unavailable(path, f"member {id_!r} is damaged ({error})") from error


def _encode(member: Member) -> tuple[object, ...]:
    document = member.to_json()
    return (
        member.beat,
        member.applied,
        member.synced,
        json.dumps(document["acks"]),
        json.dumps(document["capabilities"]),
        member.lease,
        member.late_writes,
        member.id,
    )


def register(connection: sqlite3.Connection, member: Member, path: str) -> None:
    """Store it, whether it is there or not, as ``Catalog.register_member``."""
    loading.refuse_member(connection, path)
    connection.execute(
        "INSERT OR REPLACE INTO members (beat, applied, synced, acks, capabilities, lease, late_writes, id, renewed)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, julianday('now'))",
        _encode(member),
    )


def renew(connection: sqlite3.Connection, member: Member, path: str) -> None:
    """Renew it, as ``Catalog.renew_member``."""
    renewed = connection.execute(
        "UPDATE members SET beat = ?, applied = ?, synced = ?, acks = ?, capabilities = ?, lease = ?, late_writes = ?,"
        " renewed = julianday('now') WHERE id = ? AND beat < ?",
        (*_encode(member), member.beat),
    )
    if not renewed.rowcount and not connection.execute("SELECT 1 FROM members WHERE id = ?", (member.id,)).fetchone():
        raise NotRegistered(member.id)


def list_all(connection: sqlite3.Connection, path: str) -> list[Member]:
    """Return all of them, by id."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM members ORDER BY id")  # noqa: S608
    return [_decode(row, path) for row in rows]


def remove(connection: sqlite3.Connection, member_id: str) -> None:
    """Forget it, if it is there."""
    connection.execute("DELETE FROM members WHERE id = ?", (member_id,))


def expire(connection: sqlite3.Connection, member: Member) -> bool:
    """Forget it unless it has renewed, as ``Catalog.expire_member``."""
    connection.execute(f"DELETE FROM members WHERE id = ? AND {_STAMP} = ?", (member.id, member.stamp))  # noqa: S608
    return not connection.execute("SELECT 1 FROM members WHERE id = ?", (member.id,)).fetchone()


def ping(connection: sqlite3.Connection) -> None:
    """Write a row that is never read."""
    connection.execute("INSERT OR REPLACE INTO pings (id, at) VALUES (1, julianday('now'))")
