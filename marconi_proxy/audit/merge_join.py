"""A merge join of placements and listings by key. One entry of each input is in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple

from catalog.model import Placement, QueueKey
from marconi_proxy.partition_client.inventory import ListedQueue


class Pair(NamedTuple):
    """A key, its placement if there is one, and the partitions that list a queue of this name."""

    key: QueueKey
    placement: Placement | None
    found_on: tuple[str, ...]


async def merge_join(
    placements: AsyncIterator[Placement], found: Mapping[str, AsyncIterator[ListedQueue]]
) -> AsyncIterator[Pair]:
    """Yield each key of any input once, in order. ``found``: listings by partition. Errors of the inputs propagate."""
    placement = await anext(placements, None)
    heads = {name: await anext(entries, None) for name, entries in found.items()}
    while True:
        keys = [head.key for head in heads.values() if head is not None]
        if placement is not None:
            keys.append(placement.key)
        if not keys:
            return
        key = min(keys)
        ours, there = None, []
        if placement is not None and placement.key == key:
            ours, placement = placement, await anext(placements, None)
        for name, head in heads.items():
            if head is not None and head.key == key:
                there.append(name)
                heads[name] = await anext(found[name], None)
        yield Pair(key, ours, tuple(there))
