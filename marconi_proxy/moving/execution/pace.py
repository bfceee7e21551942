"""The pace of moves: the mover's options of group ``[moving]``, and the rules of backoff and of looks. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass

# The most seconds between two attempts.
LONGEST_BACK_OFF = 300.0
# The least and the most seconds between two looks at a queue that is being emptied; and the share of the time since the
# switch.
_SHORTEST_LOOK = 0.5
_LONGEST_LOOK = 30.0
_LOOK_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class MovePace:
    """The mover's options of the same names, which describe them. Times in seconds."""

    seal_timeout: float = 1.5
    back_off: float = 5.0
    linger: float = 60.0
    max_segments: int = 4
    at_once: int = 4
    seals_per_second: float = 10.0
    hold: float = 15.0
    give_up_after: int = 20
    ambiguity: float = 60.0
    # No option: from so many members on, a seal is prepared.
    prepare_from: int = 16

    def wait_after(self, failures: int, chance: random.Random) -> float:
        """Return the seconds to wait after so many failures in a row: random, up to a limit that doubles each time.

        So movers that failed together do not retry together.
        """
        limit = min(LONGEST_BACK_OFF, self.back_off * 2.0 ** min(max(0, failures - 1), 30))
        return chance.uniform(0.0, limit)

    def longest_seal(self, max_pause_ms: float | None) -> float:
        """Return the most seconds for which a move with this ``max_pause_ms`` holds writes; None means no own limit."""
        return self.seal_timeout if max_pause_ms is None else min(self.seal_timeout, max_pause_ms / 1000.0)


def next_look(since_switch: float) -> float:
    """Return the seconds until the next look at the older segments, ``since_switch`` seconds after the switch.

    It is a share of that time: a queue that is drained quickly is done quickly, and a slow one costs few looks.
    """
    return min(_LONGEST_LOOK, max(_SHORTEST_LOOK, since_switch * _LOOK_SHARE))
