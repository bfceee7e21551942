"""Signals at the fork of a worker: none is lost between its birth and the moment it has handlers of its own."""

from __future__ import annotations

import os
import signal

# What gunicorn's master ends a worker with, and what a terminal sends to all of a process group.
_ENDING = (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT)


def end_newborns_by_signals() -> None:
    """From now on, a forked child ends at once by a signal that means so, until it installs a handler. Call it once.

    A child begins with its parent's handlers. gunicorn's master has some that only note the signal for its own loop,
    which the child never runs: it would go on, and the master would wait for it as long as it waits for any worker.
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
