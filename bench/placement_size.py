"""How many bytes a placement takes in each catalog, its indexes included.

``--placements`` is their number. Projects have ids of 32 hexadecimal digits and ``--of-each`` queues each. Queues have
names of 24 characters, and one segment each on one of 20 partitions.

    python -m bench.placement_size
    python -m bench.placement_size --placements 1000000 --of-each 1000
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import sqlite3
import tempfile
from collections.abc import Iterator
from itertools import islice

from pymongo import MongoClient

from bench.placement import partitions_of
from catalog import Catalog, open_catalog
from catalog.model import Placement, PlacementState, Segment
from catalog.mongodb.documents import placement_document
from catalog.sqlite import placements
from tests.servers.mongod import mongod_replica_set

_BATCH = 1000
_PARTITIONS = partitions_of(20, "equal")


def of(count: int, of_each: int) -> Iterator[Placement]:
    """Yield placements as the front door makes them, by project."""
    for number in range(count):
        project = hashlib.md5(str(number // of_each).encode(), usedforsecurity=False).hexdigest()
        queue = f"invoices-europe-{number:08}"
        segment = Segment(0, _PARTITIONS[number // of_each % len(_PARTITIONS)].name, queue)
        incarnation = hashlib.md5(queue.encode(), usedforsecurity=False).hexdigest()
        yield Placement(
            project, queue, 2, PlacementState.OPEN, (segment,), since=1.76e9 + number, incarnation=incarnation
        )


def _batches(found: Iterator[Placement]) -> Iterator[list[Placement]]:
    while some := list(islice(found, _BATCH)):
        yield some


async def _prepare(uri: str) -> None:
    catalog: Catalog = await open_catalog(uri)
    await catalog.init()
    for one in _PARTITIONS:
        await catalog.partitions.insert(one)
    await catalog.close()


def in_mongodb(count: int, of_each: int) -> dict[str, float]:
    """Return the bytes of a placement: as a document, on disk, and in each index on disk."""
    with mongod_replica_set() as replica_set:
        uri = replica_set.uri("marconi")
        asyncio.run(_prepare(uri))
        with MongoClient(uri) as client:
            database = client.get_default_database()
            for some in _batches(of(count, of_each)):
                database["placements"].insert_many([placement_document(one) for one in some], ordered=False)
            client.admin.command("fsync")
            stats = database.command("collStats", "placements")
    indexes = {f"index {name}": size / count for name, size in stats["indexSizes"].items()}
    return {"document": stats["size"] / count, "on disk": stats["storageSize"] / count, **indexes}


def in_sqlite(count: int, of_each: int) -> dict[str, float]:
    """Return the bytes of a placement: in the file."""
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/catalog.db"
        asyncio.run(_prepare(f"sqlite:///{path}"))
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        for one in of(count, of_each):
            placements.insert(connection, one, path)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (page_size,) = connection.execute("PRAGMA page_size").fetchone()
        connection.close()
    return {"in the file": pages * page_size / count}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--placements", type=int, default=100_000)
    parser.add_argument("--of-each", type=int, default=100)
    given = parser.parse_args()
    for name, measured in (("mongodb", in_mongodb), ("sqlite", in_sqlite)):
        for part, size in measured(given.placements, given.of_each).items():
            print(f"{name:8} {part:18} {size:7.1f} bytes")


if __name__ == "__main__":
    main()
