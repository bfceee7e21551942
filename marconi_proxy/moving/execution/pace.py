"""How patiently moves are driven: the mover's options of group ``[moving]``, and the two rules of waiting. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass

# Seconds: no attempt waits for longer after the one before.
LONGEST_BACK_OFF = 300.0
# Seconds between two looks at a queue that is being emptied, at least and at most.
_SHORTEST_LOOK = 0.5
_LONGEST_LOOK = 30.0
_LOOK_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class MovePace:
    """Times in seconds. What each means is said in the option of its name."""

    seal_timeout: float = 1.5
    back_off: float = 5.0
    linger: float = 60.0
    max_segments: int = 4
    at_once: int = 4
    seals_per_second: float = 10.0
    hold: float = 15.0
    give_up_after: int = 20
    ambiguity: float = 60.0

    def wait_after(self, failures: int, chance: random.Random) -> float:
        """Return how long to wait after so many failures in a row: anything up to a limit that doubles each time, so
        that movers that failed together do not try again together."""
        limit = min(LONGEST_BACK_OFF, self.back_off * 2.0 ** min(max(0, failures - 1), 30))
        return chance.uniform(0.0, limit)

    def longest_seal(self, max_pause_ms: float | None) -> float:
        """Return for how long writes may be held by a move that may hold them for ``max_pause_ms``."""
        return self.seal_timeout if max_pause_ms is None else min(self.seal_timeout, max_pause_ms / 1000.0)


def next_look(since_switch: float) -> float:
    """Return how long to wait until the older segments are looked at again, ``since_switch`` seconds after the switch:
    a share of that, so that a queue that is read quickly is done quickly, and a slow one costs little."""
    return min(_LONGEST_LOOK, max(_SHORTEST_LOOK, since_switch * _LOOK_SHARE))
