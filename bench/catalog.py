"""How fast the catalog is, however many placements it has, and how much memory a worker needs to cache some of them.

One run fills a catalog with placements (10 million in a MongoDB of its own, or 2 million in SQLite) and measures at
every power of ten on the way, and at the end. ``bench.catalog_contents`` has the distribution. The operations, through
the catalog's own verbs, one call at a time:

    lookup           any one placement
    insert           a placement that is not there yet
    compare-and-set  the next epoch of a placement
    list start       a page of 20 queues of the big tenant: at its start, in its middle, at its end
    list middle
    list end
    count            the number of the big tenant's queues, for ``with_count``; its cost grows with the tenant, and has
                     no limit

``ratio`` is the median in relation to that of a small catalog (10,000 placements) in the same store. Calls to the two
alternate, so that a noisy machine disturbs both. Milliseconds of different runs cannot be compared.

``memory`` is that of a front-door worker with 100,000 placements in its cache, and with none (``bench.worker_memory``).

The exit status is 1 if at the end the 99th percentile of a page is over 5 ms, a ratio is over 1.5, or the memory is
over 80 MB.

    python -m bench.catalog                                  10 million placements in MongoDB; takes most of an hour
    python -m bench.catalog --catalog sqlite                 2 million in SQLite
    python -m bench.catalog --placements 100000 -f json
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from bench import worker_memory
from bench.catalog_contents import (
    BIG_TENANT,
    Contents,
    Filler,
    MongoDBFiller,
    SQLiteFiller,
    big_queue,
    opened,
    placement,
)
from catalog.interface import Catalog
from catalog.model import Placement, QueueKey
from tests.servers.mongod import mongod_replica_set, with_database

PLACEMENTS = {"mongodb": 10_000_000, "sqlite": 2_000_000}
SMALL = 10_000
PAGE = 20
CACHED = 100_000
# GB of mongod's own cache: a million placements need about one.
CACHE = 2.0
# The limits: milliseconds of a page, the ratio of medians, megabytes of a worker.
PAGE_P99, FLAT, MEMORY = 5.0, 1.5, 80.0

LISTS = ("list start", "list middle", "list end")
OPERATIONS = ("lookup", "insert", "compare-and-set", *LISTS)


class Subject:
    """A catalog under measurement, and its contents."""

    def __init__(self, catalog: Catalog, filler: Filler) -> None:
        self.catalog = catalog
        self.contents = Contents()
        self._filler = filler
        self._chance = random.Random(2)
        self._changed: dict[QueueKey, Placement] = {}
        self._inserted = 0

    async def grow(self, total: int) -> None:
        """Fill the catalog up to ``total`` placements."""
        await asyncio.to_thread(self._filler.fill, self.contents.grow(total))

    async def prepare(self) -> None:
        """Read the placements that ``calls`` is going to change."""
        for key in self._chance.sample(self.contents.keys, min(200, len(self.contents.keys))):
            found = await self.catalog.placements.get(key)
            assert found is not None
            self._changed[key] = found

    def calls(self) -> dict[str, Callable[[], Awaitable[object]]]:
        """Return the next call of each operation."""
        big, chance = self.contents.big, self._chance
        self._inserted += 1
        new = placement("bench", big_queue(self._inserted), self._inserted)
        key = chance.choice(list(self._changed))
        following = replace(self._changed[key], epoch=self._changed[key].epoch + 1)
        self._changed[key] = following
        asked = chance.choice(self.contents.keys)
        starts = (0, big // 2, max(big - 2 * PAGE, 0))
        after = [big_queue(start + chance.randrange(PAGE)) for start in starts]
        return {
            "lookup": lambda: self.catalog.placements.get(asked),
            "insert": lambda: self.catalog.placements.insert(new),
            "compare-and-set": lambda: self.catalog.placements.replace(following),
            "list start": lambda: self.catalog.placements.list_queues(BIG_TENANT, after[0], "~", PAGE),
            "list middle": lambda: self.catalog.placements.list_queues(BIG_TENANT, after[1], "~", PAGE),
            "list end": lambda: self.catalog.placements.list_queues(BIG_TENANT, after[2], "~", PAGE),
        }

    async def count(self) -> None:
        """Count the queues of the big tenant."""
        assert await self.catalog.placements.count_queues(BIG_TENANT, "", "~") == self.contents.big


async def timed(call: Callable[[], Awaitable[object]]) -> float:
    """Return the milliseconds that a call took."""
    began = time.perf_counter()
    await call()
    return (time.perf_counter() - began) * 1000


async def measured(large: Subject, small: Subject, samples: int) -> dict[str, dict[str, float]]:
    """Alternate calls to the two catalogs; return figures by operation, in milliseconds."""
    times: dict[str, tuple[list[float], list[float]]] = {operation: ([], []) for operation in OPERATIONS}
    for subject in (large, small):
        await subject.prepare()
    for n in range(samples + samples // 10):
        calls = large.calls(), small.calls()
        for operation in OPERATIONS:
            for which in (n % 2, 1 - n % 2):
                took = await timed(calls[which][operation])
                if n >= samples // 10:  # earlier calls only warm the caches
                    times[operation][which].append(took)
    figures = {operation: figure(*both) for operation, both in times.items()}
    counts = [await timed(large.count) for _ in range(3)]
    figures["count"] = {"p50": round(statistics.median(counts), 3), "p99": round(max(counts), 3)}
    return figures


def figure(large: list[float], small: list[float]) -> dict[str, float]:
    """Return median and 99th percentile of the large catalog's times, and the ratio of both medians."""
    median = statistics.median(large)
    return {
        "p50": round(median, 3),
        "p99": round(sorted(large)[min(len(large) - 1, int(len(large) * 0.99))], 3),
        "ratio": round(median / statistics.median(small), 2),
    }


def sizes(placements: int) -> list[int]:
    """Return the numbers of placements at which to measure."""
    powers = [10**n for n in range(4, 10)]
    return [*(size for size in powers if size < placements), placements]


def faults(figures: dict[str, dict[str, float]], memory: float) -> list[str]:
    """Return a text for each limit that is exceeded by the figures at the end, or by the megabytes of a worker."""
    found = [
        f"{operation}: the 99th percentile is {figures[operation]['p99']:g} ms, more than {PAGE_P99:g}"
        for operation in LISTS
        if figures[operation]["p99"] > PAGE_P99
    ]
    found += [
        f"{operation}: takes {figures[operation]['ratio']:g} times as long as in a small catalog, more than {FLAT:g}"
        for operation in OPERATIONS
        if figures[operation]["ratio"] > FLAT
    ]
    if memory > MEMORY:
        found.append(f"a worker occupies {memory:.0f} MB, more than {MEMORY:g}")
    return found


async def run(uris: tuple[str, str], fillers: tuple[Filler, Filler], placements: int, samples: int) -> dict[str, Any]:
    """Fill, measure and return the figures by the number of placements."""
    large, small = [Subject(await opened(uri), filler) for uri, filler in zip(uris, fillers, strict=True)]
    figures: dict[str, Any] = {}
    try:
        await small.grow(min(SMALL, placements))
        for size in sizes(placements):
            began = time.perf_counter()
            await large.grow(size)
            took = time.perf_counter() - began
            filled = f"{size:,} placements, {large.contents.big:,} of the big tenant, filled in {took:.0f} s"
            figures[str(size)] = await measured(large, small, samples)
            print(filled, *table({str(size): figures[str(size)]}), sep="\n", file=sys.stderr)
    finally:
        await large.catalog.close()
        await small.catalog.close()
    return figures


def stores(stack: ExitStack, kind: str, directory: str) -> tuple[tuple[str, str], tuple[Filler, Filler]]:
    """Start the store; return the URIs of a large and a small catalog, and their fillers."""
    if kind == "sqlite":
        large, small = (f"{directory}/{name}.db" for name in ("large", "small"))
        return (f"sqlite:///{large}", f"sqlite:///{small}"), (SQLiteFiller(large), SQLiteFiller(small))
    server = stack.enter_context(mongod_replica_set(directory=directory, cache=CACHE)).uri()
    large, small = (with_database(server, name) for name in ("large", "small"))
    return (large, small), (MongoDBFiller(large), MongoDBFiller(small))


def table(figures: dict[str, Any]) -> Iterator[str]:
    yield f"{'placements':>12}  {'':16}{'p50 ms':>9}{'p99 ms':>9}{'ratio':>7}"
    for size, of in figures.items():
        for operation, one in of.items():
            ratio = f"{one['ratio']:>7.2f}" if "ratio" in one else ""
            yield f"{int(size):>12,}  {operation:16}{one['p50']:>9.3f}{one['p99']:>9.3f}{ratio}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalog", choices=list(PLACEMENTS), default="mongodb")
    parser.add_argument("--placements", type=int, metavar="N", help="default: 10 million, or 2 million in SQLite")
    parser.add_argument("--samples", type=int, default=2000, metavar="N", help="calls of each operation at each size")
    parser.add_argument("--directory", metavar="DIR", help="directory of the files; default: that of temporary files")
    parser.add_argument("-f", "--format", choices=["table", "json"], default="table")
    arguments = parser.parse_args()
    placements = arguments.placements or PLACEMENTS[arguments.catalog]
    if placements < SMALL or arguments.samples < 10:
        parser.error(f"at least {SMALL} placements and 10 samples are needed")
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=arguments.directory))
        uris, fillers = stores(stack, arguments.catalog, directory)
        figures = asyncio.run(run(uris, fillers, placements, arguments.samples))
        memory = {name: worker_memory.measured(uris[0], n) for name, n in (("with", CACHED), ("without", 0))}
    load = os.getloadavg()[0]
    broken = faults(figures[str(placements)], memory["with"])
    whole = {"catalog": arguments.catalog, "load": load, "placements": figures, "memory": memory, "faults": broken}
    if arguments.format == "json":
        print(json.dumps(whole, indent=2))
    else:
        print("\n".join(table(figures)))
        print(f"memory of a worker: {memory['with']:.0f} MB, {memory['without']:.0f} MB without placements")
        print(f"load of the machine: {load:.1f}")
        print("\n".join(f"BROKEN: {fault}" for fault in broken) or "nothing is broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
