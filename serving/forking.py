"""Signals at the fork of a worker: none is lost between the fork and the installation of the worker's own handlers."""

from __future__ import annotations

import os
import signal

# The signals with which gunicorn's master ends a worker, and a terminal ends a process group.
_ENDING = (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT)


def end_newborns_by_signals() -> None:
    """Let a terminating signal end a forked child at once, until the child installs a handler. Call it once.

    A child begins with its parent's handlers. Some handlers of gunicorn's master only queue the signal for its own
    loop, which the child never runs: the child would continue, and the master would wait for its full timeout.
    """
    os.register_at_fork(
        before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING),
        after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING),
        after_in_child=_begin,
    )


def _begin() -> None:
    for number in _ENDING:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
