"""A write lock among the processes of the machine, without polling.

SQLite itself waits for a writer by sleeping and retrying with growing delays, while a busy process takes the lock again
and again: with two busy workers some posts waited for a second. A process that waits for a file lock is woken.
Correctness does not depend on it: SQLite's lock still separates writers, even those without this lock.
"""

from __future__ import annotations

import fcntl
import os
from types import TracebackType

# Not the database itself: closing any descriptor of that file drops SQLite's locks on it (a rule of POSIX).
SUFFIX = "-turn"


class Turn:
    """``with turn:`` waits for this process's turn and releases it at the end. For one thread.

    The kernel releases the turn of a process that dies. Raises OSError if the lock file cannot be created.
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
        """Release the file. Idempotent."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
