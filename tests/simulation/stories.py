"""The plot of a schedule, drawn from its seed before there is a world: so that those of a kind can be picked out."""

from __future__ import annotations

import random
from typing import NamedTuple

from tests.simulation.ambushes import PAUSED, TRAPS
from tests.simulation.world import PARTITIONS


class Story(NamedTuple):
    """``shares``: of how many of a hundred schedules each is the story."""

    name: str
    shares: int


# free: whatever may go wrong, at any time. ambush: at the moments of moves at which the protocol is narrow, several
# things at once. trap: one of them alone, again and again, in fair weather. lapse: a worker loses the catalog, and the
# queue is moved when its lease is about over. comeback: it has the catalog again while others still write. crawl: posts
# are under way at every seal. behind: movers do not see what was posted lately. lazy: subscribers sleep through whole
# moves. homecoming: a worker is cut off while the queue goes away and comes back.
STORIES = (
    Story("free", 24),
    Story("ambush", 16),
    Story("trap", 30),
    Story("lapse", 7),
    Story("comeback", 5),
    Story("crawl", 5),
    Story("behind", 3),
    Story("lazy", 7),
    Story("homecoming", 3),
)

# How often a worker that is paused before it writes is the first trap, where all partitions fence.
_PAUSES = 0.3


class Plot(NamedTuple):
    """The name of a story, and of traps: those of an ambush or, first of all, the one of a trap. ``fencing``: the
    partitions that fence by themselves."""

    story: str
    traps: tuple[str, ...]
    fencing: tuple[str, ...]

    @property
    def all_fence(self) -> bool:
        return self.fencing == PARTITIONS

    @property
    def trap(self) -> str | None:
        return self.traps[0] if self.story == "trap" else None

    def __str__(self) -> str:
        return self.story if self.trap is None else f"{self.story}: {self.trap}"


def plot(seed: int) -> Plot:
    """Return what the schedule of a seed is about."""
    chance = random.Random(f"plot {seed}")
    story = chance.choices([story.name for story in STORIES], [story.shares for story in STORIES])[0]
    share = chance.choice((0.0, 0.0, 0.5, 0.5, 1.0))
    fencing = tuple(name for name in PARTITIONS if chance.random() < share)
    traps = chance.sample(sorted(TRAPS.keys() - {PAUSED}), 4)
    if fencing == PARTITIONS and chance.random() < _PAUSES:
        traps = [PAUSED, *traps[1:]]
    return Plot(story, tuple(traps), fencing)
