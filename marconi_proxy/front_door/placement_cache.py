"""Placements in little memory, the least recently used going first.

A placement as an object takes a kilobyte. Those used last are kept so; the others as a few bytes each, from which they
are made again when they are asked for. What can be kept in bytes is an open queue of one segment, as nearly all are,
also those whose move is done; any other placement stays an object.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from sys import intern

from cachetools import LRUCache

from catalog.model import Placement, PlacementState, QueueKey, Segment

# How many are kept as objects: two megabytes.
HOT = 2000

_Packed = bytes | Placement


class PlacementCache:
    """At most ``size`` placements by key, of which ``hot`` are objects."""

    def __init__(self, size: int, hot: int = HOT) -> None:
        self._hot = _Hot(min(size, hot), self._pack)
        self._rest = size - min(size, hot)
        # The longest unused first. A plain dict, and keys of one text, for each entry counts.
        self._packed: dict[str, _Packed] = {}

    def __len__(self) -> int:
        return len(self._hot) + len(self._packed)

    def get(self, key: QueueKey) -> Placement | None:
        """Return the placement, None if it is not here."""
        found = self._hot.get(key)
        if found is not None or not self._packed:
            return found
        packed = self._packed.pop(_text(key), None)
        if packed is None:
            return None
        placement = unpacked(key, packed) if isinstance(packed, bytes) else packed
        self._hot[key] = placement
        return placement

    def put(self, key: QueueKey, placement: Placement) -> None:
        """Keep it, in place of what was kept of the queue."""
        self._packed.pop(_text(key), None)
        self._hot[key] = placement

    def drop(self, key: QueueKey) -> None:
        """Keep it no longer, if it is here."""
        self._hot.pop(key, None)
        self._packed.pop(_text(key), None)

    def clear(self) -> None:
        """Keep nothing."""
        self._hot = _Hot(int(self._hot.maxsize), self._pack)
        self._packed.clear()

    def _pack(self, key: QueueKey, placement: Placement) -> None:
        if not self._rest:
            return
        if len(self._packed) >= self._rest:
            # PERF: several at once, for a dict is slow to find its first entry after many others were taken from there.
            for oldest in list(islice(self._packed, max(1, self._rest // 100))):
                del self._packed[oldest]
        self._packed[_text(key)] = packed(placement)


class _Hot(LRUCache[QueueKey, Placement]):
    """Hands over what it has no room for."""

    def __init__(self, size: int, hand_over: Callable[[QueueKey, Placement], None]) -> None:
        super().__init__(size)
        self._hand_over = hand_over

    def popitem(self) -> tuple[QueueKey, Placement]:
        key, placement = super().popitem()
        self._hand_over(key, placement)
        return key, placement


def packed(placement: Placement) -> bytes | Placement:
    """Return a placement in less memory, or itself if it is none of the simple ones."""
    segment = placement.segments[-1]
    simple = (
        placement.state is PlacementState.OPEN
        and len(placement.segments) == 1
        and placement.group is None
        and placement.move is None
        and not segment.sealed
        and "\n" not in segment.partition + segment.backend_name
    )
    if not simple:
        return placement
    since = float(placement.since)
    backend_name = "" if segment.backend_name == placement.queue else segment.backend_name  # it is never empty itself
    numbers = f"{placement.epoch}\n{segment.n}\n{placement.base}\n{placement.floor}\n{since!r}"
    return f"{numbers}\n{segment.partition}\n{backend_name}\n{placement.incarnation}".encode()


def unpacked(key: QueueKey, made: bytes) -> Placement:
    """Return the placement that ``packed`` made this of."""
    epoch, n, base, floor, since, partition, backend_name, incarnation = made.decode().split("\n")
    segment = Segment(int(n), intern(partition), backend_name or key.queue)
    state = PlacementState.OPEN
    return Placement(
        *key, int(epoch), state, (segment,), int(base), float(since), incarnation=incarnation, floor=int(floor)
    )


def _text(key: QueueKey) -> str:
    return f"{key.project}\0{key.queue}"
