"""How fast the catalog is, however many placements there are, and what a worker needs to remember some of them.

One run fills a catalog with placements (10 million in a MongoDB of its own, or 2 million in SQLite) and measures on the
way, at every power of ten and at the end. Half of them are one tenant's, up to a million; the others belong to 100,000
tenants whose sizes follow Zipf's law. What is measured, through the catalog's own verbs, one call at a time:

    lookup           one placement, any
    insert           insert-or-get of one that is not there
    compare-and-set  the next epoch of one
    list start       a page of 20 queues of the big tenant: at its start, in its middle, at its end
    list middle
    list end
    count            what ``with_count`` asks for, of the big tenant; its cost grows with the tenant, and is not judged

``ratio`` is the median next to that of a small catalog (10,000 placements) in the same store, which is asked in turns
with the large one, call by call: so a noisy machine disturbs both. Compare milliseconds with nothing in another run.

``memory`` is of a process that is a front-door worker in all but its listener: what it occupies (resident set) when it
has looked up 100,000 placements, which are then in its cache, and when it has looked up none.

The exit status is 1 if a page's 99th percentile is over 5 ms at the end, a ratio over 1.5, or the memory over 80 MB.

    python -m bench.catalog                                  10 million placements in MongoDB; takes most of an hour
    python -m bench.catalog --catalog sqlite                 2 million in SQLite
    python -m bench.catalog --placements 100000 -f json
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol

from pymongo import MongoClient, WriteConcern

from catalog.factory import open_catalog
from catalog.interface import Catalog
from catalog.model import Partition, Placement, PlacementState, QueueKey, Segment
from catalog.mongodb.documents import placement_document
from catalog.sqlite import placements as sqlite_placements
from marconi_proxy import options
from marconi_proxy.front_door.application import make_application
from tests.servers.mongod import mongod_replica_set, with_database

PLACEMENTS = {"mongodb": 10_000_000, "sqlite": 2_000_000}
SMALL = 10_000
BIG, BIG_TENANT = 1_000_000, "big"
TENANTS = 100_000
PARTITIONS = 8
PAGE = 20
REMEMBERED = 100_000
# Lookups of a worker at a time.
AT_ONCE = 10
# Placements in one step of filling; and keys that are remembered to be asked for.
BATCH, KEYS = 5000, 5000
# GB that mongod keeps in its own cache, of about one for a million placements.
CACHE = 2.0
# What is promised: milliseconds of a page, the ratio of medians, megabytes of a worker.
PAGE_P99, FLAT, MEMORY = 5.0, 1.5, 80.0

LISTS = ("list start", "list middle", "list end")
OPERATIONS = ("lookup", "insert", "compare-and-set", *LISTS)


def say(line: str) -> None:
    print(line, file=sys.stderr)


# -- what is in it ---------------------------------------------------------------------------------------------------


def placement(project: str, queue: str, number: int) -> Placement:
    segments = (Segment(0, f"p{number % PARTITIONS}", queue),)
    incarnation = f"{number:016x}"
    return Placement(project, queue, 1, PlacementState.OPEN, segments, since=1700000000.0, incarnation=incarnation)


def big_queue(number: int) -> str:
    return f"queue-{number:07}"


@dataclass
class Contents:
    """What a catalog is filled with: the first ``total`` of an endless list of placements, the same in every run.

    ``keys`` are some of them, each as likely as another.
    """

    total: int = 0
    big: int = 0
    keys: list[QueueKey] = field(default_factory=list)
    _chance: random.Random = field(default_factory=lambda: random.Random(1))

    def grow(self, total: int) -> Iterator[Placement]:
        """Yield what is missing to ``total``."""
        big = min(BIG, total // 2)
        others = range(self.total - self.big, total - big)
        new = chain(((True, n) for n in range(self.big, big)), ((False, n) for n in others))
        self.big = big
        for is_big, number in new:
            # Zipf's law: of the tenant on rank r the probability is as 1/r.
            project = BIG_TENANT if is_big else f"tenant-{int(TENANTS ** self._chance.random()):06}"
            one = placement(project, big_queue(number), number)
            self.total += 1
            self._remember(one.key)
            yield one

    def _remember(self, key: QueueKey) -> None:
        if len(self.keys) < KEYS:
            self.keys.append(key)
        elif self._chance.random() < KEYS / self.total:
            self.keys[self._chance.randrange(KEYS)] = key


def batches(placements: Iterable[Placement]) -> Iterator[list[Placement]]:
    remaining = iter(placements)
    while batch := list(islice(remaining, BATCH)):
        yield batch


class Filler(Protocol):
    """Writes placements faster than the catalog's verbs do: with no word to anybody and no sync."""

    def fill(self, placements: Iterable[Placement]) -> None: ...


class SQLiteFiller:
    def __init__(self, path: str) -> None:
        self._path = path

    def fill(self, placements: Iterable[Placement]) -> None:
        with closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous=OFF")
            for batch in batches(placements):
                connection.execute("BEGIN IMMEDIATE")
                for one in batch:
                    sqlite_placements.store(connection, one)
                connection.execute("COMMIT")


class MongoDBFiller:
    def __init__(self, uri: str) -> None:
        self._uri = uri

    def fill(self, placements: Iterable[Placement]) -> None:
        with MongoClient(self._uri) as client:
            database = client.get_default_database()
            collection = database.get_collection("placements", write_concern=WriteConcern(w=1, j=False))
            for batch in batches(placements):
                collection.insert_many([placement_document(one) for one in batch], ordered=False)


# -- what is asked of it ---------------------------------------------------------------------------------------------


class Subject:
    """A catalog that is filled and asked."""

    def __init__(self, catalog: Catalog, filler: Filler) -> None:
        self.catalog = catalog
        self.contents = Contents()
        self._filler = filler
        self._chance = random.Random(2)
        self._changed: dict[QueueKey, Placement] = {}
        self._inserted = 0

    async def grow(self, total: int) -> None:
        await asyncio.to_thread(self._filler.fill, self.contents.grow(total))

    async def prepare(self) -> None:
        """Read what is going to be changed."""
        for key in self._chance.sample(self.contents.keys, min(200, len(self.contents.keys))):
            found = await self.catalog.placements.get(key)
            assert found is not None
            self._changed[key] = found

    def calls(self) -> dict[str, Callable[[], Awaitable[object]]]:
        """The next call of each operation, ready to be timed."""
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
        assert await self.catalog.placements.count_queues(BIG_TENANT, "", "~") == self.contents.big


async def timed(call: Callable[[], Awaitable[object]]) -> float:
    """Return how long it took, in milliseconds."""
    began = time.perf_counter()
    await call()
    return (time.perf_counter() - began) * 1000


async def measured(large: Subject, small: Subject, samples: int) -> dict[str, dict[str, float]]:
    """Ask both in turns; return figures by operation, in milliseconds."""
    times: dict[str, tuple[list[float], list[float]]] = {operation: ([], []) for operation in OPERATIONS}
    for subject in (large, small):
        await subject.prepare()
    for n in range(samples + samples // 10):
        calls = large.calls(), small.calls()
        for operation in OPERATIONS:
            for which in (n % 2, 1 - n % 2):
                took = await timed(calls[which][operation])
                if n >= samples // 10:  # the first ones find nothing warm
                    times[operation][which].append(took)
    figures = {operation: figure(*both) for operation, both in times.items()}
    counts = [await timed(large.count) for _ in range(3)]
    figures["count"] = {"p50": round(statistics.median(counts), 3), "p99": round(max(counts), 3)}
    return figures


def figure(large: list[float], small: list[float]) -> dict[str, float]:
    """Return median and 99th percentile of what the large one took, and the ratio of both medians."""
    median = statistics.median(large)
    return {
        "p50": round(median, 3),
        "p99": round(sorted(large)[min(len(large) - 1, int(len(large) * 0.99))], 3),
        "ratio": round(median / statistics.median(small), 2),
    }


def sizes(placements: int) -> list[int]:
    """Return at how many placements is measured."""
    powers = [10**n for n in range(4, 10)]
    return [*(size for size in powers if size < placements), placements]


def faults(figures: dict[str, dict[str, float]], memory: float) -> list[str]:
    """Return what is not as promised: of the figures at the end, and of the megabytes of a worker."""
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


# -- what a worker remembers -----------------------------------------------------------------------------------------


async def occupied(uri: str, number: int) -> float:
    """Be a worker that looks up ``number`` placements; return the megabytes that this process occupies then."""
    import marconi_proxy.serving.server
    import marconi_proxy.serving.worker  # noqa: F401

    door = make_application(options.load(overrides={"catalog.uri": uri, "directory.cache_size": REMEMBERED}))
    await door.start()
    after: QueueKey | None = None
    asked = 0
    while asked < number:
        page = await door._catalog.placements.find(after=after, limit=min(number - asked, AT_ONCE))
        if not page:
            break
        await asyncio.gather(*(door._directory.find(one.key) for one in page))
        after, asked = page[-1].key, asked + len(page)
    kept = len(door._directory._placements)
    if kept < asked:
        raise RuntimeError(f"of {asked} placements {kept} are remembered: the figure would be too good")
    del after
    gc.collect()
    megabytes = resident()
    await door.stop()
    say(f"a worker with {kept} placements")
    return megabytes


def resident() -> float:
    """Return the megabytes of memory that this process occupies."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def memory(uri: str, number: int) -> dict[str, float]:
    """Return the megabytes of a worker in a process of its own, with ``number`` placements and with none."""

    def of(remembered: int) -> float:
        command = [sys.executable, "-m", "bench.catalog", "--remember", str(remembered), "--uri", uri]
        return float(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout)

    return {"with": round(of(number), 1), "without": round(of(0), 1)}


# -- the run ---------------------------------------------------------------------------------------------------------


async def opened(uri: str) -> Catalog:
    catalog = await open_catalog(uri)
    await catalog.init()
    for n in range(PARTITIONS):
        await catalog.partitions.insert(Partition(f"p{n}", (f"http://p{n}.example:8888",)))
    return catalog


async def run(uris: tuple[str, str], fillers: tuple[Filler, Filler], placements: int, samples: int) -> dict[str, Any]:
    """Fill, measure and return figures by number of placements."""
    large, small = [Subject(await opened(uri), filler) for uri, filler in zip(uris, fillers, strict=True)]
    figures: dict[str, Any] = {}
    try:
        await small.grow(min(SMALL, placements))
        for size in sizes(placements):
            began = time.perf_counter()
            await large.grow(size)
            took = time.perf_counter() - began
            say(f"{size:,} placements, {large.contents.big:,} of the big tenant, filled in {took:.0f} s")
            figures[str(size)] = await measured(large, small, samples)
            for line in table({str(size): figures[str(size)]}):
                say(line)
    finally:
        await large.catalog.close()
        await small.catalog.close()
    return figures


def stores(stack: ExitStack, kind: str, directory: str) -> tuple[tuple[str, str], tuple[Filler, Filler]]:
    """Start what is needed; return the URIs of a large and a small catalog, and what fills them."""
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
    parser.add_argument("--directory", metavar="DIR", help="where the files go; default: as for all temporary files")
    parser.add_argument("-f", "--format", choices=["table", "json"], default="table")
    parser.add_argument("--remember", type=int, metavar="N", help=argparse.SUPPRESS)
    parser.add_argument("--uri", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.remember is not None:
        print(asyncio.run(occupied(arguments.uri, arguments.remember)))
        return 0
    placements = arguments.placements or PLACEMENTS[arguments.catalog]
    if placements < SMALL or arguments.samples < 10:
        parser.error(f"at least {SMALL} placements and 10 samples are needed")
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=arguments.directory))
        uris, fillers = stores(stack, arguments.catalog, directory)
        figures = asyncio.run(run(uris, fillers, placements, arguments.samples))
        remembered = memory(uris[0], REMEMBERED)
    load = os.getloadavg()[0]
    broken = faults(figures[str(placements)], remembered["with"])
    whole = {"catalog": arguments.catalog, "load": load, "placements": figures, "memory": remembered, "faults": broken}
    if arguments.format == "json":
        print(json.dumps(whole, indent=2))
    else:
        print("\n".join(table(figures)))
        print(f"memory of a worker: {remembered['with']:.0f} MB, {remembered['without']:.0f} MB without placements")
        print(f"load of the machine: {load:.1f}")
        print("\n".join(f"BROKEN: {fault}" for fault in broken) or "nothing is broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
