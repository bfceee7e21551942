"""Transactions on the audit. Each function runs inside a transaction that its caller begins and ends."""

from __future__ import annotations

import json
import sqlite3

from catalog.errors import AuditHeld, AuditNotHeld
from catalog.model import Audit, Holder
from catalog.sqlite import held
from catalog.sqlite.translation import unavailable

_TABLE = "audits"


def get(connection: sqlite3.Connection, path: str) -> Audit:
    """Return what the last round found."""
    stored = held.read(connection, _TABLE)
    if stored is None:
        return Audit()
    try:
        return Audit.from_json({**json.loads(stored.document), "holder": stored.holder})
    except (ValueError, TypeError, KeyError) as error:
        raise unavailable(path, f"the audit is damaged ({error})") from error


def take(connection: sqlite3.Connection, holder: str, seconds: float, over: Holder | None, path: str) -> Audit:
    """Begin a hold, as ``Catalog.take_audit``."""
    current = get(connection, path)
    if current.holder is not None and current.holder.name != holder and current.holder != over:
        raise AuditHeld(current.holder)
    held.take(connection, _TABLE, holder, seconds, current.to_json())
    return get(connection, path)


def save(connection: sqlite3.Connection, audit: Audit, token: int, seconds: float) -> None:
    """Save what was found, as ``Catalog.save_audit``."""
    if not held.save(connection, _TABLE, audit.to_json(), token, seconds):
        raise AuditNotHeld(token)


def forget(connection: sqlite3.Connection) -> None:
    """Forget what was found, and end the hold."""
    held.reset(connection, _TABLE, Audit().to_json())


def release(connection: sqlite3.Connection, token: int) -> None:
    """End a hold, as ``Catalog.release_audit``."""
    held.release(connection, _TABLE, token)
