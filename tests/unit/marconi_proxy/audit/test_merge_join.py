"""Catalog and partitions beside each other: each key once, in order, with all that have it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

import pytest

from catalog.model import Placement, PlacementState, QueueKey, Segment
from marconi_proxy.audit.merge_join import merge_join
from marconi_proxy.partition_client.inventory import ListedQueue

T = TypeVar("T")
NAMES = ("north", "south", "west")


async def given(values: Iterable[T]) -> AsyncIterator[T]:
    for value in values:
        yield value


def placement(key: QueueKey) -> Placement:
    return Placement(*key, 1, PlacementState.OPEN, (Segment(0, "north", "q"),))


@pytest.mark.parametrize("seed", range(20))
async def test_every_key_comes_once_in_order_with_all_that_have_it(seed: int) -> None:
    chance = random.Random(seed)
    keys = [QueueKey(project, queue) for project in ("", "p", "\xff") for queue in ("a", "a-", "aa", "b", "~a")]
    placed = sorted(chance.sample(keys, chance.randrange(len(keys) + 1)))
    there = {name: sorted(chance.sample(keys, chance.randrange(len(keys) + 1))) for name in NAMES}
    found = {name: given(ListedQueue(*key) for key in some) for name, some in there.items()}
    pairs = [pair async for pair in merge_join(given(map(placement, placed)), found)]
    expected = {key: (key in placed, tuple(n for n in NAMES if key in there[n])) for key in sorted(keys)}
    assert [(key, (ours is not None, on)) for key, ours, on in pairs] == [
        one for one in expected.items() if one[1] != (False, ())
    ]


async def test_nothing_is_read_ahead_but_one_of_each() -> None:
    read = 0

    async def counted() -> AsyncIterator[ListedQueue]:
        nonlocal read
        for number in range(1000):
            read += 1
            yield ListedQueue("p", f"q{number:04}")

    pairs = merge_join(given(()), {"north": counted()})
    assert (await anext(pairs)).key == QueueKey("p", "q0000")
    assert read == 2
