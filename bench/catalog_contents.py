"""The contents of a catalog under measurement: the placements, and the fast ways to write them.

Half of the placements are one tenant's, up to a million. The others belong to 100,000 tenants with sizes by Zipf's law.
The list is the same in every run.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Protocol

from pymongo import MongoClient, WriteConcern

from catalog.factory import open_catalog
from catalog.interface import Catalog
from catalog.model import Partition, Placement, PlacementState, QueueKey, Segment
from catalog.mongodb.documents import placement_document
from catalog.sqlite import placements as sqlite_placements

BIG, BIG_TENANT = 1_000_000, "big"
TENANTS = 100_000
PARTITIONS = 8
# Placements in one step of filling; and the most keys that are kept for lookups.
BATCH, KEYS = 5000, 5000


def placement(project: str, queue: str, number: int) -> Placement:
    segments = (Segment(0, f"p{number % PARTITIONS}", queue),)
    incarnation = f"{number:016x}"
    return Placement(project, queue, 1, PlacementState.OPEN, segments, since=1700000000.0, incarnation=incarnation)


def big_queue(number: int) -> str:
    return f"queue-{number:07}"


@dataclass
class Contents:
    """The contents of a catalog: the first ``total`` of an endless list of placements. ``big``: the number of the big
    tenant's; ``keys``: a random sample of all, each with the same probability."""

    total: int = 0
    big: int = 0
    keys: list[QueueKey] = field(default_factory=list)
    _chance: random.Random = field(default_factory=lambda: random.Random(1))

    def grow(self, total: int) -> Iterator[Placement]:
        """Yield the placements that are missing to ``total``."""
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
    """Writes placements faster than the catalog's verbs do: without an entry in the feed, and without a sync."""

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


async def opened(uri: str) -> Catalog:
    """Return a new catalog with ``PARTITIONS`` partitions."""
    catalog = await open_catalog(uri)
    await catalog.init()
    for n in range(PARTITIONS):
        await catalog.partitions.insert(Partition(f"p{n}", (f"http://p{n}.example:8888",)))
    return catalog
