"""The catalogs of ``catalog export`` and ``catalog import`` in tests, in SQLite: one with 1,200 queues, and others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from catalog import Catalog, open_catalog
from tests.contract.examples import partition, placement

T = TypeVar("T")


def do(uri: str, work: Callable[[Catalog], Awaitable[T]]) -> T:
    """Run ``work(catalog)`` on an open catalog; return its result."""

    async def run() -> T:
        catalog = await open_catalog(uri)
        try:
            return await work(catalog)
        finally:
            await catalog.close()

    return asyncio.run(run())


def count(uri: str) -> int:
    """Return the number of placements."""
    return do(uri, lambda catalog: catalog.placements.count())


def filled(directory: Path) -> str:
    """Return the URI of a new catalog with a partition and 1,200 queues."""
    uri = f"sqlite:///{directory}/catalog.db"

    async def fill(catalog: Catalog) -> None:
        await catalog.partitions.insert(partition("p1"))
        await catalog.placements.insert_many([placement(f"queue-{n:04}") for n in range(1200)])

    do(uri, fill)
    return uri
