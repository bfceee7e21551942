"""A wall clock that is set ahead, for the processes that a test starts with it, and for them alone.

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
    """``ahead``: seconds by which the wall clock of these processes is ahead of the machine's. ``name`` is
    unique in the directory."""

    def __init__(self, directory: Path, name: str = "stepped_clock") -> None:
        library = directory / "stepped_clock.so"
        if not library.exists():
            subprocess.run(("cc", "-shared", "-fPIC", "-O2", "-Wall", "-o", library, _SOURCE), check=True)
        self.name = name
        self.ahead = 0
        self._file = directory / f"{name}.seconds"
        self._file.write_bytes(struct.pack("l", 0))
        self.environment = {"LD_PRELOAD": str(library), "STEPPED_CLOCK": str(self._file)}
        # Put before a command, it starts that by this clock.
        self.launcher = ("env", *(f"{variable}={value}" for variable, value in self.environment.items()))

    def step(self, seconds: int) -> None:
        """Set the clock forward, or back if it is negative, in all of them at once."""
        self.ahead += seconds
        with self._file.open("r+b") as shared:
            shared.write(struct.pack("l", self.ahead))


@contextmanager
def stepped_clock(directory: Path) -> Iterator[SteppedClock]:
    """Have a clock for all processes that this one starts meanwhile."""
    clock = SteppedClock(directory)
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in clock.environment.items():
            patch.setenv(variable, value)
        yield clock
