"""Taking turns at writing with the other processes of the machine, without polling.

SQLite's own way to wait for a writer is to sleep and try again, ever longer, while a busy process takes the lock over
and over: with two busy workers some posts waited for a second. Waiting for a file lock, a process is woken. It decides
nothing: SQLite's lock still keeps writers apart, also those that know nothing of turns.
"""

from __future__ import annotations

import fcntl
import os
from types import TracebackType

# Not the database itself: closing any descriptor of that file drops SQLite's locks on it (a rule of POSIX).
SUFFIX = "-turn"


class Turn:
    """``with turn:`` waits for this process's turn and gives it on at the end. For one thread.

    The kernel gives on the turn of a process that dies. Raises OSError if the lock's file cannot be made.
    """

    def __init__(self, path: str) -> None:
        self._path = path + SUFFIX
        self._descriptor: int | None = None

    def __enter__(self) -> None:
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
