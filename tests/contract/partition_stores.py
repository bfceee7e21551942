"""The stores that the partition's contract suite runs on, a clock that tests set, and short spellings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from partition.model.claim import Lease
from partition.model.message import NewMessage
from partition.model.queue import QueueKey
from partition.storage.interface import Storage
from partition.storage.opening import open_storage

DRIVERS = ("sqlite",)

KEY = QueueKey("p", "orders")
CLIENT = b"c" * 16
OTHER = b"o" * 16
START = 1_700_000_000_000
LEASE = Lease(ttl=60, grace=60)


class FakeClock:
    """Milliseconds since 1970, as long as nobody lets seconds pass."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += int(seconds * 1000)


@asynccontextmanager
async def opened(driver: str, directory: Path, clock: FakeClock) -> AsyncIterator[Storage]:
    """Open the store of this driver below ``directory``: the same one each time."""
    uri = {"sqlite": f"sqlite:///{directory / 'store.db'}"}[driver]
    storage = await open_storage(uri, clock)
    try:
        yield storage
    finally:
        await storage.close()


def some(*bodies: object, ttl: int = 300, delay: int = 0) -> list[NewMessage]:
    """New messages with these bodies, which are JSON text or become it."""
    return [NewMessage(ttl, str(body), delay) for body in bodies]
