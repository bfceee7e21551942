"""Placements in little memory: what comes back, and what goes first."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from cachetools import LRUCache

from catalog.model import Placement, PlacementState, QueueKey, Segment
from marconi_proxy.front_door.placement_cache import PlacementCache, packed, unpacked

SIMPLE = Placement(
    "p", "q", 7, PlacementState.OPEN, (Segment(3, "east-1", "q"),), 3, 1700000000.123456, incarnation="b"
)


def placed(n: int, **changes) -> Placement:
    return replace(SIMPLE, queue=f"q{n}", segments=(Segment(3, "east-1", f"q{n}"),), **changes)


@pytest.mark.parametrize(
    "placement",
    [
        SIMPLE,
        replace(SIMPLE, project=""),
        replace(SIMPLE, project="\xe9\n"),
        replace(SIMPLE, queue="~t", segments=(Segment(3, "east-1", "~t"),)),
        replace(SIMPLE, since=0),
        replace(SIMPLE, incarnation="", epoch=2**40),
        replace(SIMPLE, base=2),
        replace(SIMPLE, epoch=1_700_000_000, floor=170_000_000),
        replace(SIMPLE, segments=(Segment(4, "east-1", "q-s4"),)),
    ],
)
def test_simple_placements_take_a_few_bytes(placement):
    made = packed(placement)
    assert isinstance(made, bytes)
    assert len(made) < 100
    assert unpacked(placement.key, made) == placement


@pytest.mark.parametrize(
    "changes",
    [
        {"state": PlacementState.SEALING},
        {"segments": (Segment(3, "east-1", "q", sealed=True), Segment(4, "west-1", "q"))},
        {"segments": (Segment(3, "east-1", "q", sealed=True),)},
        {"segments": (Segment(3, "east-1", "hid\nden"),)},
        {"segments": (Segment(3, "east\n1", "q"),)},
        {"group": "source"},
        {"move": "m-1"},
    ],
)
def test_others_stay_as_they_are(changes):
    placement = replace(SIMPLE, **changes)
    assert packed(placement) is placement
    cache = PlacementCache(10, hot=1)
    cache.put(placement.key, placement)
    cache.put(placed(1).key, placed(1))
    assert cache.get(placement.key) is placement


@pytest.mark.parametrize(("size", "hot"), [(1, 5), (4, 4), (7, 3), (50, 1), (40, 39)])
def test_it_holds_what_a_cache_of_objects_would(size, hot):
    """As long as only one goes at a time."""
    chance = random.Random(size)
    cache, model = PlacementCache(size, hot), LRUCache(size)
    for step in range(5000):
        n = chance.randrange(2 * size + 2)
        key = placed(n).key
        match chance.randrange(5):
            case 0 | 1:
                assert cache.get(key) == model.get(key)
            case 2 | 3:
                placement = placed(n, epoch=step + 1)
                cache.put(key, placement)
                model[key] = placement
            case 4:
                cache.drop(key)
                model.pop(key, None)
        assert len(cache) == len(model)
    cache.clear()
    assert len(cache) == 0
    assert all(cache.get(key) is None for key in model)


def test_of_many_some_go_at_once():
    cache = PlacementCache(1000, hot=10)
    for n in range(3000):
        cache.put(placed(n).key, placed(n))
        assert len(cache) <= 1000
    assert len(cache) >= 990
    assert all(cache.get(placed(n).key) == placed(n) for n in range(2010, 3000))
    assert cache.get(placed(0).key) is None


def test_keys_do_not_mix():
    cache = PlacementCache(10, hot=1)
    one, other = replace(SIMPLE, project="a"), replace(SIMPLE, project="a/q")
    cache.put(one.key, one)
    cache.put(other.key, other)
    assert cache.get(QueueKey("a", "q")) == one
    assert cache.get(QueueKey("a/q", "q")) == other
    assert cache.get(QueueKey("", "q")) is None
