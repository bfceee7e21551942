"""How commands end: exit statuses, and the exception that ends one."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """The contract with scripts. TIMED_OUT: no answer in time; the operation may continue, or may have been done. A
    read-only command ends so if a part of its input did not answer."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    TIMED_OUT = 4


class CommandError(Exception):
    """Ends a command with one sentence on standard error and an exit status."""

    def __init__(self, message: str, status: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.status = status
