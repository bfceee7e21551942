"""Processes that are there and do nothing."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

_PATIENCE = 60.0


def suspend(pid: int) -> None:
    """Stop a process; return once every thread of it stands still, for until then it may go on with what it does.

    SIGCONT wakes it up. Raises TimeoutError, and ProcessLookupError if there is none or it has ended.
    """
    os.kill(pid, signal.SIGSTOP)
    deadline = time.monotonic() + _PATIENCE
    while not all(_stands_still(thread) for thread in Path(f"/proc/{pid}/task").iterdir()):
        if _state(Path(f"/proc/{pid}")) == "Z":
            raise ProcessLookupError(f"process {pid} has ended")
        if time.monotonic() > deadline:
            raise TimeoutError(f"process {pid} does not stop")
        time.sleep(0.002)


def _stands_still(thread: Path) -> bool:
    try:
        return _state(thread) == "T"
    except (FileNotFoundError, ProcessLookupError):
        return True  # it has just ended


def _state(process: Path) -> str:
    """Return the letter of proc(5): ``T`` is stopped, ``Z`` is ended and not waited for."""
    return (process / "stat").read_text().rpartition(") ")[2][0]
