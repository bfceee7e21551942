"""How evenly queues are distributed over partitions, and how many would move with one partition more or less.

Nothing is stored and no server runs: this module calls ``routing.choice`` as the front door does. The sizes of tenants
follow Zipf's law. A tenant that is not spread is one choice, weighted by its queues, and its figures are exact. A
tenant that is spread has an exact home set, and two approximations within it:

* its load is that of the mean, by ``choice.shares`` (with many queues, deviations are small);
* the queues that would move are those of a sample (``--sample``, evenly over their names), weighted accordingly.

The table has two placements of tenants: ``one``, each tenant on one partition; and ``spread``, in which a tenant with
more than a share (``--share``) of a partition's mean load is spread over as many partitions as bring it below that. It
has two kinds of weights: ``equal``, and ``unequal``, which are 100, 200 and 400 in turn. And it has three changes: a
partition of weight 100 is added, the last is removed, the last gets twice its weight. The columns:

    partitions, weights, tenants    as above
    mean p99 max  queues of a partition per 100 of weight, in thousands: the mean, the 99th percentile, and the fullest
                  partition; then the last two divided by the mean
    heavy         the queues of the partitions of weight 400, divided by their share by weight
    change        the change
    moved         per cent of all queues that the change would move
    share         per cent of all queues that change partitions by weights alone
    least         the least per cent that any choice must move, from the loads before to those after
    astray        per cent of all queues that would move between two partitions that the change does not concern

    python -m bench.placement              some minutes
    python -m bench.placement --quick
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from rich.console import Console
from rich.table import Table

from catalog.model import API_VERSIONS, Partition, QueueKey, Tenant
from marconi_proxy.routing import choice

WEIGHTS = {"equal": (100,), "unequal": (100, 200, 400)}
HEAVIEST = 400
TENANTS = ("one", "spread")
_VERSION = API_VERSIONS[-1]


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of the simulation. ``share``: the part of a partition's mean load above which a tenant is spread."""

    queues: int = 10_000_000
    tenants: int = 20_000
    exponent: float = 1.0
    share: float = 0.25
    sample: int = 200

    def of_tenants(self) -> list[int]:
        """Return the number of queues of each tenant by Zipf's law, at least one each, the largest first."""
        ranks = range(1, self.tenants + 1)
        scale = (self.queues - self.tenants) / sum(rank**-self.exponent for rank in ranks)
        return [1 + round(scale * rank**-self.exponent) for rank in ranks]


def partitions_of(count: int, weights: str) -> list[Partition]:
    """Return ``count`` partitions that take queues, with the weights of that kind in turn."""
    kind = WEIGHTS[weights]
    return [partition(number, kind[number % len(kind)]) for number in range(count)]


def partition(number: int, weight: int) -> Partition:
    name = f"partition-{number:03}"
    return Partition(name, (f"http://{name}.example:8888",), weight=weight, api_versions=API_VERSIONS)


def changes(before: Sequence[Partition]) -> dict[str, list[Partition]]:
    """Return the partitions after each change, by its name. Every change concerns one partition."""
    *others, last = before
    return {
        "added": [*before, partition(len(before), 100)],
        "removed": others,
        "doubled": [*others, replace(last, weight=2 * last.weight)],
    }


@dataclass
class Change:
    """The effect of a change, in queues. ``concerned``: the partition that is changed."""

    after: list[Partition]
    concerned: str
    loads: dict[str, float] = field(default_factory=dict)
    moved: float = 0.0
    astray: float = 0.0

    def move(self, before: str, after: str, queues: float) -> None:
        """Count queues that would move from ``before`` to ``after``."""
        if before != after:
            self.moved += queues
            if self.concerned not in (before, after):
                self.astray += queues


@dataclass
class Layout:
    """The distribution of queues over ``partitions``, and the effect of changes on it."""

    partitions: list[Partition]
    loads: dict[str, float]
    changes: dict[str, Change]

    @classmethod
    def of(cls, partitions: list[Partition]) -> Layout:
        made = {}
        for name, after in changes(partitions).items():
            concerned = (after if name == "added" else partitions)[-1].name
            made[name] = Change(after, concerned, {p.name: 0.0 for p in after})
        return cls(partitions, {p.name: 0.0 for p in partitions}, made)

    def least(self, change: Change) -> float:
        """Return the least number of queues that must move to reach the loads after the change."""
        return sum(max(0.0, load - self.loads.get(name, 0.0)) for name, load in change.loads.items())

    def share(self, change: Change) -> float:
        """Return the part of all queues that change partitions by weights alone."""
        before = {p.name: p.weight / sum(p.weight for p in self.partitions) for p in self.partitions}
        after = {p.name: p.weight / sum(p.weight for p in change.after) for p in change.after}
        return sum(max(0.0, part - before.get(name, 0.0)) for name, part in after.items())


def chosen(partitions: Sequence[Partition], project: str, queue: str = "", tenant: Tenant | None = None) -> str:
    """Return the partition that production chooses."""
    found = choice.choose(QueueKey(project, queue), tenant, _VERSION, partitions, new=True)
    assert isinstance(found, Partition)
    return found.name


def place(layouts: Sequence[Layout], project: str, queues: int) -> None:
    """Add a tenant on one partition to layouts over the same partitions: by one choice, and one for each change."""
    first = layouts[0]
    home = chosen(first.partitions, project)
    then = {name: chosen(change.after, project) for name, change in first.changes.items()}
    for layout in layouts:
        layout.loads[home] += queues
        for name, change in layout.changes.items():
            change.loads[then[name]] += queues
            change.move(home, then[name], queues)


def place_spread(layout: Layout, project: str, queues: int, spread: int, sample: int) -> None:
    """Add a tenant that is spread: its load by the mean, its moves by a sample."""
    tenant = Tenant(project, spread=spread)
    _share_out(layout.loads, layout.partitions, project, queues, spread)
    for change in layout.changes.values():
        _share_out(change.loads, change.after, project, queues, spread)
    number = min(sample, queues)
    for one in range(number):
        queue = f"queue-{one * queues // number}"
        home = chosen(layout.partitions, project, queue, tenant)
        for change in layout.changes.values():
            change.move(home, chosen(change.after, project, queue, tenant), queues / number)


def _share_out(
    loads: dict[str, float], partitions: Sequence[Partition], project: str, queues: int, spread: int
) -> None:
    weights = choice.shares(choice.rank(f"project\0{project}", partitions)[:spread], partitions)
    whole = sum(weights.values())
    for name, weight in weights.items():
        loads[name] += queues * weight / whole


class Draws:
    """A cache of ``choice.draw`` for one project: its draws are needed again and again, with other weights."""

    def __init__(self, draw: Callable[[str, str, float], float]) -> None:
        self._draw = draw
        self._owner = ""
        self._units: dict[str, float] = {}

    def __call__(self, owner: str, partition: str, weight: float) -> float:
        if not owner.startswith("project\0"):
            return self._draw(owner, partition, weight)
        if owner != self._owner:
            self._owner, self._units = owner, {}
        unit = self._units.get(partition)
        if unit is None:
            unit = self._units[partition] = self._draw(owner, partition, 1)
        return unit / weight  # as ``draw`` does: its weight divides last


def simulate(sizes: Sizes, counts: Iterable[int], *, progress: Callable[[int], None] = lambda rank: None) -> list[Row]:
    """Return the figures for each number of partitions. ``progress`` is called with the rank of each tenant."""
    kinds = [(count, weights) for count in counts for weights in WEIGHTS]
    layouts = {kind: [Layout.of(partitions_of(*kind)) for _ in TENANTS] for kind in kinds}
    of_tenants = sizes.of_tenants()
    total = sum(of_tenants)
    original = choice.draw
    choice.draw = Draws(original)
    try:
        for rank, queues in enumerate(of_tenants, 1):
            project = f"tenant-{rank:08}"
            progress(rank)
            for (count, _), (one, spread) in layouts.items():
                wide = min(count, math.ceil(queues * count / (sizes.share * total)))
                place([one] if wide > 1 else [one, spread], project, queues)
                if wide > 1:
                    place_spread(spread, project, queues, wide, sizes.sample)
    finally:
        choice.draw = original
    return [
        row
        for (count, weights), made in layouts.items()
        for tenants, layout in zip(TENANTS, made, strict=True)
        for row in rows(count, weights, tenants, layout, total)
    ]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. Loads are in queues per 100 of weight; the rest are parts of all queues, or of one."""

    partitions: int
    weights: str
    tenants: str
    mean: float
    p99: float
    most: float
    heavy: float | None
    change: str
    moved: float
    share: float
    least: float
    astray: float


def rows(count: int, weights: str, tenants: str, layout: Layout, total: int) -> Iterator[Row]:
    """Yield the figures of a layout, a row for each change."""
    loads = sorted(layout.loads[p.name] * 100 / p.weight for p in layout.partitions)
    weight = sum(p.weight for p in layout.partitions)
    heavy = [p for p in layout.partitions if p.weight == HEAVIEST]
    due = total * sum(p.weight for p in heavy) / weight
    for name, change in layout.changes.items():
        yield Row(
            partitions=count,
            weights=weights,
            tenants=tenants,
            mean=total * 100 / weight,
            p99=loads[math.ceil(0.99 * len(loads)) - 1],
            most=loads[-1],
            heavy=sum(layout.loads[p.name] for p in heavy) / due if heavy else None,
            change=name,
            moved=change.moved / total,
            share=layout.share(change),
            least=layout.least(change) / total,
            astray=change.astray / total,
        )


def show(found: Iterable[Row]) -> None:
    """Print the table."""
    table = Table("partitions", "weights", "tenants", box=None, pad_edge=False)
    for name in ("mean", "p99", "max", "p99/mean", "max/mean", "heavy", "change", "moved", "share", "least", "astray"):
        table.add_column(name, justify="right")
    before: tuple[object, ...] = ()
    for row in found:
        kind: tuple[str, ...] = (str(row.partitions), row.weights, row.tenants)
        loads = [f"{load / 1000:.0f}" for load in (row.mean, row.p99, row.most)]
        loads += [f"{load / row.mean:.2f}" for load in (row.p99, row.most)]
        loads.append("" if row.heavy is None else f"{row.heavy:.2f}")
        parts = [f"{100 * part:.2f}" for part in (row.moved, row.share, row.least, row.astray)]
        same = kind == before
        table.add_row(*([""] * 9 if same else [*kind, *loads]), row.change, *parts)
        before = kind
    Console(width=140).print(table)


def _progress(tenants: int) -> Callable[[int], None]:
    began = time.monotonic()

    def show_rank(rank: int) -> None:
        if rank % max(1, tenants // 20) == 0 and sys.stderr.isatty():
            print(f"\r{rank * 100 // tenants} % in {time.monotonic() - began:.0f} s", end="", file=sys.stderr)

    return show_rank


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queues", type=int, default=10_000_000)
    parser.add_argument("--tenants", type=int, default=20_000)
    parser.add_argument(
        "--exponent", type=float, default=1.0, help="exponent of Zipf's law; 0: all tenants have the same size"
    )
    parser.add_argument("--share", type=float, default=0.25)
    parser.add_argument("--sample", type=int, default=200)
    parser.add_argument("--partitions", type=int, nargs="+", default=[5, 20, 50, 200])
    parser.add_argument("--quick", action="store_true", help="a thousandth of the queues, in a second")
    given = parser.parse_args()
    sizes = Sizes(given.queues, given.tenants, given.exponent, given.share, given.sample)
    if given.quick:
        sizes, given.partitions = replace(sizes, queues=10_000, tenants=500, sample=20), [5, 8]
    show(simulate(sizes, given.partitions, progress=_progress(sizes.tenants)))


if __name__ == "__main__":
    main()
