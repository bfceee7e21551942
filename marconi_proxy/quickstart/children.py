"""Child processes that end with this one."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)

# Seconds that a child may take to end by itself.
_GRACE = 15.0


class ChildError(Exception):
    """A child ended, or did not get ready. The message has the end of its log."""


def _end_with_parent(parent: int) -> None:
    """In the child: be sent SIGTERM when the parent is gone, even if that was killed outright (Linux, prctl(2))."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        # It had ended before this call, as at a Ctrl-C.
        os._exit(1)


def program_of(package: str) -> list[str]:
    """Return the command that runs a package as this process would find it: a package of that name in the working
    directory, or one that it imports, is run only if this process would import it too."""
    return [sys.executable, *([] if os.getcwd() in sys.path else ["-P"]), "-m", package]


class Children:
    """Use in a ``with`` statement. Its exit ends all processes, the last one started first."""

    def __init__(self, directory: Path) -> None:
        """``directory`` takes their logs."""
        self._directory = directory
        self._running: list[tuple[str, subprocess.Popen[bytes], Path]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        # A second Ctrl-C must not leave some of them running.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            for _, process, _ in reversed(self._running):
                process.send_signal(signal.SIGINT)  # SIGTERM would drain first
            deadline = time.monotonic() + _GRACE
            for _, process, _ in reversed(self._running):
                try:
                    process.wait(max(0.0, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        finally:
            signal.signal(signal.SIGINT, before)

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> None:
        """Start ``command`` in the environment ``env``; its output goes to ``<directory>/<name>.log``."""
        log = self._directory / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Not in the terminal's foreground group: a Ctrl-C reaches this process only, which ends them in order.
                start_new_session=True,
                preexec_fn=partial(_end_with_parent, os.getpid()),  # noqa: PLW1509 - this process has no other threads yet
            )
        self._running.append((name, process, log))

    def says(self, name: str, pattern: re.Pattern[str]) -> str | None:
        """Return the first group of the first match in the child's output so far, None if there is none."""
        (log,) = (log for running, _, log in self._running if running == name)
        found = pattern.search(log.read_text(errors="replace"))
        return found and found[1]

    def check(self) -> None:
        """Raise ChildError if one of them has ended."""
        for name, process, log in self._running:
            status = process.poll()
            if status is not None:
                raise ChildError(f"{name} ended with status {status}:\n{_end_of(log)}")

    def wait_until(self, ready: Callable[[], bool], what: str, seconds: float) -> None:
        """Return once ``ready()``. Raises ChildError if a child ends first, or after ``seconds``."""
        deadline = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                logs = "\n".join(f"{name}: {_end_of(log)}" for name, _, log in self._running)
                raise ChildError(f"{what} was not ready within {seconds:g} s\n{logs}")
            time.sleep(0.05)


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-12:]) or f"(nothing in {log})"
