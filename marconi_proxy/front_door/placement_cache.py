"""A cache of placements in little memory. The least recently used ones are evicted first.

A placement as an object takes a kilobyte. The most recently used ones are objects; the others are packed into a few
bytes each, and unpacked when they are used. Only the placement of an open queue with one segment can be packed, as
nearly all are, also after a move. Any other stays an object.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice
from sys import intern

from catalog.model import Placement, PlacementState, QueueKey, Segment

# The most placements that are kept as objects: two megabytes.
HOT = 2000

_Packed = bytes | Placement


class PlacementCache:
    """At most ``size`` placements by key, of which ``hot`` are objects."""

    def __init__(self, size: int, hot: int = HOT) -> None:
        # Both have the least recently used first.
        self._hot: OrderedDict[QueueKey, Placement] = OrderedDict()
        self._most_hot = min(size, hot)
        self._rest = size - self._most_hot
        # A plain dict with a string as key, because the bytes of each entry count.
        self._packed: dict[str, _Packed] = {}

    def __len__(self) -> int:
        return len(self._hot) + len(self._packed)

    def get(self, key: QueueKey) -> Placement | None:
        """Return the placement, None if it is not in the cache."""
        found = self._hot.get(key)
        if found is not None:
            self._hot.move_to_end(key)
            return found
        if not self._packed:
            return None
        packed = self._packed.pop(_text(key), None)
        if packed is None:
            return None
        placement = unpacked(key, packed) if isinstance(packed, bytes) else packed
        self._heat(key, placement)
        return placement

    def put(self, key: QueueKey, placement: Placement) -> None:
        """Keep a placement, in place of an earlier one of the queue."""
        self._packed.pop(_text(key), None)
        self._heat(key, placement)

    def _heat(self, key: QueueKey, placement: Placement) -> None:
        """Keep a placement as an object, and pack the least recently used one in its place if need be."""
        self._hot[key] = placement
        self._hot.move_to_end(key)
        if len(self._hot) > self._most_hot:
            self._pack(*self._hot.popitem(last=False))

    def drop(self, key: QueueKey) -> None:
        """Remove the queue's placement, if it is in the cache."""
        self._hot.pop(key, None)
        self._packed.pop(_text(key), None)

    def clear(self) -> None:
        """Remove all placements."""
        self._hot.clear()
        self._packed.clear()

    def _pack(self, key: QueueKey, placement: Placement) -> None:
        if not self._rest:
            return
        if len(self._packed) >= self._rest:
            # PERF: several at once, because a dict is slow to find its first entry after many were deleted before it.
            for oldest in list(islice(self._packed, max(1, self._rest // 100))):
                del self._packed[oldest]
        self._packed[_text(key)] = packed(placement)


def packed(placement: Placement) -> bytes | Placement:
    """Return a placement in less memory, or itself if it cannot be packed."""
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
    """Return the placement of which ``packed`` returned ``made``."""
    epoch, n, base, floor, since, partition, backend_name, incarnation = made.decode().split("\n")
    segment = Segment(int(n), intern(partition), backend_name or key.queue)
    state = PlacementState.OPEN
    return Placement(
        *key, int(epoch), state, (segment,), int(base), float(since), incarnation=incarnation, floor=int(floor)
    )


def _text(key: QueueKey) -> str:
    return f"{key.project}\0{key.queue}"
