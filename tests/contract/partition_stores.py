"""The stores that the partition's contract suite runs on, a clock that tests set, and short spellings."""

from __future__ import annotations

import hashlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pymongo import MongoClient

from partition.model.message import Lease, NewMessage
from partition.model.queue import QueueKey
from partition.storage.interface import Storage
from partition.storage.opening import open_storage
from tests.servers.mongod import with_database
from tests.simulation.memory_storage import MemoryStorage, Shelf

# The one in memory is that of the simulations.
DRIVERS = ("sqlite", "mongodb", "memory")

KEY = QueueKey("p", "orders")
CLIENT = b"c" * 16
OTHER = b"o" * 16
START = 1_700_000_000_000
LEASE = Lease(ttl=60, grace=60)


_shelves: dict[Path, Shelf] = {}


class FakeClock:
    """Milliseconds since 1970; only the test lets seconds pass."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += int(seconds * 1000)


def uri_of(where: str, directory: Path) -> str:
    """The URI of a store: the same one each time, and another one for another ``directory``.

    ``where`` is "sqlite", for a file below it, or the URI of a MongoDB server.
    """
    if where == "sqlite":
        return f"sqlite:///{directory / 'store.db'}"
    return with_database(where, f"test_{hashlib.sha256(bytes(directory)).hexdigest()[:24]}")


def forget(where: str, directory: Path) -> None:
    """Delete a store that is not deleted with ``directory``."""
    if where == "memory":
        _shelves.pop(directory, None)
    elif where != "sqlite":
        with MongoClient[dict[str, object]](uri_of(where, directory)) as client:
            client.drop_database(client.get_default_database().name)


@asynccontextmanager
async def opened(where: str, directory: Path, clock: FakeClock) -> AsyncIterator[Storage]:
    """Open the store ``uri_of(where, directory)``, or that of the directory in memory."""
    if where == "memory":
        shelf = _shelves.setdefault(directory, Shelf(random.Random(str(directory))))
        yield MemoryStorage(shelf, clock)
        return
    storage = await open_storage(uri_of(where, directory), clock)
    try:
        yield storage
    finally:
        await storage.close()


def some(*bodies: object, ttl: int = 300, delay: int = 0) -> list[NewMessage]:
    """New messages with these bodies, which are JSON text or become it."""
    return [NewMessage(ttl, str(body), delay) for body in bodies]
