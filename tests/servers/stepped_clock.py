"""A machine whose wall clock is set: for the processes that are started meanwhile, and for them alone.

``stepped_clock.c`` is preloaded into them. Clocks that count from the start of the machine are left as they are.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_suffix(".c")


class SteppedClock:
    """``ahead``: seconds by which the wall clock of these processes is ahead of the machine's."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.ahead = 0
        self._file.write_bytes(struct.pack("l", 0))

    def step(self, seconds: int) -> None:
        """Set the clock forward, or back if it is negative, in all of them at once."""
        self.ahead += seconds
        with self._file.open("r+b") as shared:
            shared.write(struct.pack("l", self.ahead))


@contextmanager
def stepped_clock(directory: Path) -> Iterator[SteppedClock]:
    """Have a clock for all processes that this one starts meanwhile."""
    library, file = directory / "stepped_clock.so", directory / "stepped_clock.seconds"
    subprocess.run(("cc", "-shared", "-fPIC", "-O2", "-Wall", "-o", library, _SOURCE), check=True)
    clock = SteppedClock(file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LD_PRELOAD", str(library))
        patch.setenv("STEPPED_CLOCK", str(file))
        yield clock
