"""Run ``marconi-proxy`` as on a virtual machine that stops its clocks when it is suspended: for its processes, no time
passes meanwhile. Run as a program, with the arguments of ``marconi-proxy``.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

# Seconds between two looks at a clock, and from how many without one on it has stood still.
_TICK = 0.05
_STOPPED = 1.0


class _Clock:
    """One that is looked at all the time, and does not count what has passed where it was not."""

    def __init__(self, real: Callable[..., float]) -> None:
        self._real = real
        self._seen: dict[tuple[object, ...], tuple[float, float]] = {}  # by arguments: last look, seconds not counted
        self._lock = threading.Lock()

    def __call__(self, *which: object) -> float:
        with self._lock:
            now = self._real(*which)
            last, stopped = self._seen.get(which, (now, 0.0))
            if now - last > _STOPPED:
                stopped += now - last
            self._seen[which] = (now, stopped)
            return now - stopped

    def look(self) -> None:
        for which in list(self._seen):
            self(*which)


def _keep_looking(*clocks: _Clock) -> None:
    sleep = time.sleep
    while True:
        sleep(_TICK)
        for clock in clocks:
            clock.look()


def main() -> int:
    """Run the program with such clocks, in its workers too."""
    import os

    clocks = [_Clock(time.monotonic), _Clock(time.clock_gettime)]
    time.monotonic, time.clock_gettime = clocks  # type: ignore[assignment]

    def look() -> None:
        threading.Thread(target=_keep_looking, args=clocks, daemon=True).start()

    look()
    os.register_at_fork(after_in_child=look)
    from marconi_proxy.cli.main import main as run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
