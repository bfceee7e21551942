"""Which queues must share a partition: a queue and those that take its dead letters (API section 8.4). Pure.

The catalog knows a dead-letter queue by its ``group``, the name of *one* queue that it takes dead letters from; that
others name it too is written in their metadata only, which their partition keeps.
"""

from __future__ import annotations

from collections.abc import Iterable

from catalog.model import Placement, QueueKey


def together(placements: Iterable[Placement]) -> list[tuple[Placement, ...]]:
    """Return the placements in groups, each sorted, that the catalog knows to belong together; most are of one."""
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
    """Return the placements in the smallest groups that may go to different partitions, as far as the catalog can tell.

    In a project with dead-letter queues on a partition, any queue there may be the source of any of them: so all of it
    that is on one partition stays together.
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
