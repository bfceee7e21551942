"""Breadth first through all that can happen: which states there are, the shortest way to a bad one, and dead ends.

Independent of the world that it searches: the world gives the first state, the steps out of a state, and the good ends.
"""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, TypeVar

State = TypeVar("State", bound=Hashable)


# A step: (label, the state after it, the promise that it breaks or None, mirrored). If mirrored, the
# state is the mirror image of the one that this leads to, which is as good: labels from there on are to be mirrored.
Step = tuple[str, State, str | None, bool]


class World(Protocol[State]):
    first: State

    def steps(self, state: State) -> Iterable[Step[State]]: ...

    def is_good_end(self, state: State) -> bool: ...

    def mirror(self, label: str) -> str: ...


@dataclass(frozen=True)
class Found:
    """``problem``: the first promise that was found broken, with the shortest ``trace`` that breaks it."""

    states: int
    steps: int
    problem: str | None = None
    trace: tuple[str, ...] = ()

    def __str__(self) -> str:
        seen = f"{self.states:,} states, {self.steps:,} steps"
        if self.problem is None:
            return f"{seen}: every promise is kept, and every state can come to a good end"
        lines = [f"  {number:2} {label}" for number, label in enumerate(self.trace, 1)]
        return "\n".join([f"{seen}: {self.problem}", *lines])


def explore(world: World[State], only: str = "", most: int = 40_000_000) -> Found:
    """Visit every state. Stops at the first broken promise that begins with ``only``.

    Raises OverflowError past ``most`` states.
    """
    index = {world.first: 0}
    states = [world.first]
    parents = array("q", [-1])
    sources, targets = array("q"), array("q")
    ends = []
    here = 0
    while here < len(states):
        state = states[here]
        if world.is_good_end(state):
            ends.append(here)
        for label, following, problem, _ in world.steps(state):
            if problem is not None and problem.startswith(only):
                trace = _trace(world, states, parents, here, label)
                return Found(len(states), len(sources), problem, trace)
            there = index.get(following)
            if there is None:
                there = index[following] = len(states)
                states.append(following)
                parents.append(here)
            if there != here:
                sources.append(here)
                targets.append(there)
        here += 1
        if here > most:
            raise OverflowError(f"more than {most:,} states")
    stuck = _first_without_way(len(states), sources, targets, ends)
    if stuck is not None:
        return Found(len(states), len(sources), "no good end can be reached", _trace(world, states, parents, stuck))
    return Found(len(states), len(sources))


def _trace(
    world: World[State], states: list[State], parents: array[int], last: int, problem: str | None = None
) -> tuple[str, ...]:
    way = [last]
    while parents[way[-1]] >= 0:
        way.append(parents[way[-1]])
    way.reverse()
    labels, mirrored = [], False
    for before, there in pairwise(way):
        label, turns = next(
            (label, turns) for label, to, _, turns in world.steps(states[before]) if to == states[there]
        )
        labels.append(world.mirror(label) if mirrored else label)
        mirrored ^= turns
    if problem is not None:
        labels.append(world.mirror(problem) if mirrored else problem)
    return tuple(labels)


def _first_without_way(count: int, sources: array[int], targets: array[int], ends: list[int]) -> int | None:
    """Return the first state from which no end can be reached, None if there is none."""
    # The sources of each target side by side: ``start[t]`` to ``start[t + 1]``.
    start = array("q", bytes(8 * (count + 1)))
    for target in targets:
        start[target + 1] += 1
    for number in range(count):
        start[number + 1] += start[number]
    place = start[:]
    into = array("q", bytes(8 * len(sources)))
    for source, target in zip(sources, targets, strict=True):
        into[place[target]] = source
        place[target] += 1
    reaches = bytearray(count)
    ahead = list(ends)
    for end in ends:
        reaches[end] = 1
    while ahead:
        target = ahead.pop()
        for source in into[start[target] : start[target + 1]]:
            if not reaches[source]:
                reaches[source] = 1
                ahead.append(source)
    stuck = reaches.find(0)
    return None if stuck < 0 else stuck
