"""Map the exceptions of sqlite3 to the catalog's errors. Only this module reads SQLite's result codes."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from catalog.errors import CatalogError, CatalogUnavailable, NotInitialised

# By primary result code (https://www.sqlite.org/rescode.html); extended codes have it in their low byte.
_REASONS = {
    sqlite3.SQLITE_PERM: "no permission to use it",
    sqlite3.SQLITE_BUSY: "another process has kept it locked for too long",
    sqlite3.SQLITE_LOCKED: "it is locked",
    sqlite3.SQLITE_READONLY: "no permission to write to it, or to its directory",
    sqlite3.SQLITE_IOERR: "reading or writing it failed",
    sqlite3.SQLITE_CORRUPT: "it is damaged",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_NOTADB: "it is not a SQLite database",
}


def unavailable(path: str, reason: str) -> CatalogUnavailable:
    """Return the error with the name of the file."""
    return CatalogUnavailable(f"catalog {path}: {reason}")


def _why_not_opened(path: str) -> str:
    directory = os.path.dirname(path)
    if not os.path.isdir(directory):
        return f"there is no directory {directory}"
    if os.path.isdir(path):
        return "it is a directory"
    return "it cannot be opened; is there permission for the file and its directory?"


def translate(error: sqlite3.Error, path: str) -> CatalogError:
    """Return the catalog's error for ``error`` of the file ``path``."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code == sqlite3.SQLITE_CANTOPEN:
        return unavailable(path, _why_not_opened(path))
    if str(error).startswith("no such table"):
        return NotInitialised(f"catalog {path} has no such table; was it prepared by this release? ({error})")
    reason = _REASONS.get(code)
    return unavailable(path, f"{reason} ({error})" if reason else str(error))


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Raise the catalog's errors in place of sqlite3's."""
    try:
        yield
    except sqlite3.Error as error:
        raise translate(error, path) from error
