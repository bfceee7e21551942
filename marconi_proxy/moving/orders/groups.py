"""The queues that must share a partition: a queue and its dead-letter queues (API section 8.4). Pure.

In the catalog, a dead-letter queue has a ``group``: the name of *one* queue whose dead letters it takes. Other queues
may name it in their metadata, which only their partition has.
"""

from __future__ import annotations

from collections.abc import Iterable

from catalog.model import Placement, QueueKey


def together(placements: Iterable[Placement]) -> list[tuple[Placement, ...]]:
    """Return the placements in the groups that the catalog shows, each sorted; most have one member."""
    by_key = {placement.key: placement for placement in placements}
    first = {key: key for key in by_key}

    def leader(key: QueueKey) -> QueueKey:
        while first[key] != key:
            first[key] = first[first[key]]
            key = first[key]
        return key

    for key, placement in by_key.items():
        source = QueueKey(key.project, placement.group) if placement.group is not None else key
        if source in by_key:
            one, other = sorted((leader(key), leader(source)))
            first[other] = one
    groups: dict[QueueKey, list[Placement]] = {}
    for key in sorted(by_key):
        groups.setdefault(leader(key), []).append(by_key[key])
    return [tuple(group) for group in groups.values()]


def on_one_partition(placements: Iterable[Placement]) -> list[tuple[Placement, ...]]:
    """Return the placements in the smallest groups that may go to different partitions, by the catalog alone.

    If a project has dead-letter queues on a partition, any of its queues there may be a source of any of them. So all
    its queues on that partition stay together.
    """
    places: dict[tuple[str, str], list[Placement]] = {}
    for placement in sorted(placements, key=lambda placement: placement.key):
        places.setdefault((placement.project, placement.partition), []).append(placement)
    found: list[tuple[Placement, ...]] = []
    for place in places.values():
        if any(placement.group is not None for placement in place):
            found.append(tuple(place))
        else:
            found += ((placement,) for placement in place)
    return found
