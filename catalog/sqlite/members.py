"""The table of members.

``renewed`` is a Julian day by SQLite's clock, which is the machine's. It is shown to people, and otherwise only
compared for equality: it is part of the stamp, because workers of earlier releases have no counter of renewals.
"""

from __future__ import annotations

import json
import sqlite3
from functools import lru_cache

from catalog.errors import NotRegistered
from catalog.interface.members import MemberStore
from catalog.model import Member
from catalog.sqlite.file import Noun, reading, registering, writing
from catalog.sqlite.translation import unavailable

_SINCE_1970 = "(renewed - julianday('1970-01-01')) * 86400.0"
_STAMP = "printf('%d:%.17g', beat, renewed)"
_COLUMNS = f"id, beat, applied, synced, acks, capabilities, lease, late_writes, {_SINCE_1970}, {_STAMP}"
_Row = tuple[str, int, int, int, str, str, float, int, float, str]


class SQLiteMembers(Noun, MemberStore):
    """``Catalog.members``."""

    @registering
    def register(self, connection: sqlite3.Connection, member: Member) -> None:
        _refuse_while_loaded(connection, self._path)
        connection.execute(
            "INSERT OR REPLACE INTO members"
            " (beat, applied, synced, acks, capabilities, lease, late_writes, id, renewed)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, julianday('now'))",
            _encode(member),
        )

    @registering
    def renew(self, connection: sqlite3.Connection, member: Member) -> None:
        renewed = connection.execute(
            "UPDATE members SET beat = ?, applied = ?, synced = ?, acks = ?, capabilities = ?, lease = ?,"
            " late_writes = ?, renewed = julianday('now') WHERE id = ? AND beat < ?",
            (*_encode(member), member.beat),
        )
        if not renewed.rowcount and not _registered(connection, member.id):
            raise NotRegistered(member.id)

    @reading
    def all(self, connection: sqlite3.Connection) -> list[Member]:
        rows = connection.execute(f"SELECT {_COLUMNS} FROM members ORDER BY id")  # noqa: S608
        return [_decode(row, self._path) for row in rows]

    @registering
    def remove(self, connection: sqlite3.Connection, member_id: str) -> None:
        connection.execute("DELETE FROM members WHERE id = ?", (member_id,))

    @writing
    def expire(self, connection: sqlite3.Connection, member: Member) -> bool:
        expired = f"DELETE FROM members WHERE id = ? AND {_STAMP} = ?"  # noqa: S608
        connection.execute(expired, (member.id, member.stamp))
        return not _registered(connection, member.id)


def _refuse_while_loaded(connection: sqlite3.Connection, path: str) -> None:
    if connection.execute("SELECT 1 FROM loading").fetchone():
        raise unavailable(path, "it is being loaded from a backup")


def ids(connection: sqlite3.Connection) -> list[str]:
    """Return the ids of all registered members."""
    return [str(member_id) for (member_id,) in connection.execute("SELECT id FROM members ORDER BY id")]


def _registered(connection: sqlite3.Connection, member_id: str) -> bool:
    return connection.execute("SELECT 1 FROM members WHERE id = ?", (member_id,)).fetchone() is not None


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
