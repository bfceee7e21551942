"""The placements that this worker has seen in a state that must end: how long each has not changed.

A worker that dies leaves a placement in state ``creating`` or ``deleting``. Another worker may take it over once it has
watched the placement unchanged for long enough, on its own clock.
"""

from __future__ import annotations

from collections.abc import Callable

from catalog.model import Placement, QueueKey, Segment
from catalog.unchanged import Unchanged

# The most placements that are watched. Beyond it all are forgotten, so that each must be watched anew.
_WATCHED = 10_000
# Seconds after the end of a wait until the second look, so that the wait is certainly over.
_SLACK = 0.1


class PlacementWatch:
    """Belongs to one worker. ``clock``: monotonic seconds, also while the machine sleeps.

    ``later(seconds, function, *arguments)`` calls the function after that many seconds, here ``look``: with a queue and
    its last segment, as they were seen. Without ``later``, only the next call looks again.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        later: Callable[..., object] | None,
        look: Callable[[QueueKey, Segment], None],
    ) -> None:
        self._clock = clock
        self._later = later
        self._look = look
        self._watched: Unchanged[QueueKey] = Unchanged(clock)
        self._timers: set[QueueKey] = set()

    def __len__(self) -> int:
        return len(self._watched)

    def unchanged(self, placement: Placement, seconds: float) -> bool:
        """Return whether this worker has watched the placement unchanged for longer than ``seconds``; if not, schedule
        another look."""
        key = placement.key
        if len(self._watched) > _WATCHED:
            self._watched.keep(lambda _: False)
        so_far = self._watched.seen(key, (placement.incarnation, placement.epoch), self._clock())
        if so_far > seconds:
            return True
        if self._later is not None and key not in self._timers:
            self._timers.add(key)
            self._later(seconds - so_far + _SLACK, self._due, key, placement.segments[-1])
        return False

    def _due(self, key: QueueKey, segment: Segment) -> None:
        self._timers.discard(key)
        self._look(key, segment)
