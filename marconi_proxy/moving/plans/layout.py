"""The catalog as a plan sees it, and the shares of partitions in it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from catalog.model import Partition, Tenant
from marconi_proxy.moving.orders.order import CatalogView, takes


@dataclass(frozen=True, slots=True)
class Layout:
    """The catalog as a plan sees it.

    The placements of ``view`` are those of the partitions that ``selection.sources`` returned. ``counts``: the number
    of placements of each partition. ``tenants``: by project, each tenant with a pin or a spread.
    """

    view: CatalogView
    counts: Mapping[str, int]
    tenants: Mapping[str, Tenant] = field(default_factory=dict)


def shares(partitions: Mapping[str, Partition], counts: Mapping[str, int], among: Iterable[str] = ()) -> dict[str, int]:
    """Return the number of queues that each partition should have, by weight, to the nearest whole queue.

    Only partitions that take queues have a share, and of those only ``among``, unless it is empty. The others keep
    their queues.
    """
    wanted = set(among)
    taking = sorted(p.name for p in partitions.values() if takes(p) and (not wanted or p.name in wanted))
    total = sum(counts.get(name, 0) for name in taking)
    weights = sum(partitions[name].weight for name in taking)
    goals = {name: total * partitions[name].weight // weights for name in taking}

    def merit(name: str) -> tuple[int, int, str]:
        # The largest remainders first; of equals, the partition with the larger surplus, which so moves one queue less.
        return -(total * partitions[name].weight % weights), goals[name] - counts.get(name, 0), name

    order = sorted(taking, key=merit)
    for name in order[: total - sum(goals.values())]:
        goals[name] += 1
    return goals
