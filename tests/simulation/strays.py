"""Posts that came to where a queue had been when its deletion was stored: the one limit of deletions that is excused.

A deletion does not wait for workers to hear of it, as a switch does. One that has not heard yet sends a post to where
the queue was, and the partition creates it anew; until it has a placement, calls go there by rule. The next life of the
queue takes that over, unless it begins elsewhere, which it does while a move of the last one has to clear up. Only then
are the posts excused (docs/moves, Permission to write).
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import NamedTuple

from catalog.model import Placement, PlacementState, QueueKey
from tests.checker.record import Body

# States in which a life is over, or about to be.
_OVER = frozenset({PlacementState.DELETING, PlacementState.RESERVED})


class _Life(NamedTuple):
    key: QueueKey
    incarnation: str


class Strays:
    """``lost``: what was posted so and is in no life of its queue."""

    def __init__(self) -> None:
        self.lost: dict[QueueKey, set[Body]] = defaultdict(set)
        # The last life that had a segment at (partition, name).
        self._lives: dict[tuple[str, str], _Life] = {}
        self._latest: dict[QueueKey, str] = {}
        self._pending: dict[tuple[str, str], list[Body]] = {}

    def placed(self, placement: Placement) -> None:
        """Take in a placement that is stored."""
        key, life = placement.key, _Life(placement.key, placement.incarnation)
        places = {(segment.partition, segment.backend_name) for segment in placement.segments}
        if self._latest.get(key) != placement.incarnation:
            self._latest[key] = placement.incarnation
            for place in [place for place in self._pending if self._lives[place].key == key]:
                bodies = self._pending.pop(place)
                if place not in places:
                    self.lost[key].update(bodies)
        elif placement.state not in _OVER:
            # The deletion was refused.
            for place in places:
                self._pending.pop(place, None)
        for place in places:
            self._lives[place] = life

    def posted(self, partition: str, name: str, body: bytes, current: dict[QueueKey, Placement]) -> bool:
        """Take in a post that a partition has done; return whether it came to where a queue had been."""
        life = self._lives.get((partition, name))
        if life is None:
            return False
        placement = current.get(life.key)
        if placement is not None and placement.incarnation == life.incarnation and placement.state not in _OVER:
            return False
        posted = json.loads(body)
        messages = posted if isinstance(posted, list) else posted["messages"]
        bodies = [Body(message["body"]["producer"], message["body"]["number"]) for message in messages]
        self._pending.setdefault((partition, name), []).extend(bodies)
        return True

    def end(self) -> None:
        """No life of any queue begins any more."""
        for place, bodies in self._pending.items():
            self.lost[self._lives[place].key].update(bodies)
        self._pending.clear()
