"""Translation of sqlite3's exceptions into ours. The one place that reads SQLite's result codes."""

from __future__ import annotations

import os
import sqlite3

from partition.errors import StorageError, StorageUnavailable, WrongStore

# By primary result code (https://www.sqlite.org/rescode.html); extended codes carry it in their low byte.
_REASONS = {
    sqlite3.SQLITE_PERM: "no permission to use it",
    sqlite3.SQLITE_BUSY: "another process has kept it locked for too long",
    sqlite3.SQLITE_LOCKED: "it is locked",
    sqlite3.SQLITE_READONLY: "no permission to write to it, to its -wal and -shm, or to its directory",
    sqlite3.SQLITE_IOERR: "reading or writing it failed",
    sqlite3.SQLITE_CORRUPT: "it is damaged",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_NOTADB: "it is not a SQLite database",
}


def unavailable(path: str, reason: str, *, maybe_done: bool = False) -> StorageUnavailable:
    """Make the error that names the file."""
    return StorageUnavailable(f"storage {path}: {reason}", maybe_done=maybe_done)


# The second: in a damaged file, SQLite's message may be no text, and Python cannot decode it.
FAULTS = (sqlite3.Error, UnicodeDecodeError)


def translate(error: sqlite3.Error | UnicodeDecodeError, path: str, *, maybe_done: bool = False) -> StorageError:
    """Return our error for ``error``, met while using the file ``path``.

    ``maybe_done``: it was met while committing. A full disk has no space for the end of a commit, so there was no
    commit.
    """
    if isinstance(error, UnicodeDecodeError):
        return unavailable(path, _REASONS[sqlite3.SQLITE_CORRUPT])
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code == sqlite3.SQLITE_CANTOPEN:
        return unavailable(path, _why_not_opened(path))
    if str(error).startswith("no such table"):
        return WrongStore(f"storage {path} was not prepared by this release ({error})")
    reason = _REASONS.get(code)
    return unavailable(
        path, f"{reason} ({error})" if reason else str(error), maybe_done=maybe_done and code != sqlite3.SQLITE_FULL
    )


def _why_not_opened(path: str) -> str:
    directory = os.path.dirname(path)
    if not os.path.isdir(directory):
        return f"there is no directory {directory}"
    if os.path.isdir(path):
        return "it is a directory"
    if not os.path.exists(path) and os.access(directory, os.W_OK):
        return "it is not there any more"
    return "it cannot be opened; is there permission for the file and its directory?"
