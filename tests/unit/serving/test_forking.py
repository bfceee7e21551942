"""A worker that gets a signal to end while it is being forked."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

# A parent with a handler that only takes a note, like gunicorn's master, and a child that is signalled at its birth.
BIRTH = """
import os, signal, sys
from serving.forking import end_newborns_by_signals

number = signal.Signals({number})
noted = []
signal.signal(number, lambda *_: noted.append(number))
os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), number))
end_newborns_by_signals()
child = os.fork()
if child == 0:
    os._exit(0)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == -number, status
assert noted == []
os.kill(os.getpid(), number)
assert noted == [number]
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT, signal.SIGINT])
def test_a_signal_at_birth_ends_the_child_and_stays_the_parents(number: signal.Signals) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BIRTH.format(number=int(number))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
