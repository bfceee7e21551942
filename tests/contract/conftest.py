"""A catalog of every kind, for the suite that defines the contract of catalogs."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from catalog import Catalog, open_catalog
from tests.contract.examples import partition
from tests.simulation.memory_catalog import MemoryCatalog, Store

# Catalogs that other processes can open. The one of the simulations is in memory, and promises the same otherwise.
STORED = ("sqlite", "mongodb")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let tests that name a catalog's URI have the stored ones, and those that only use a catalog, all."""
    if "catalog_kind" in metafunc.fixturenames:
        kinds = STORED if "catalog_uri" in metafunc.fixturenames else (*STORED, "memory")
        metafunc.parametrize("catalog_kind", kinds)


@pytest.fixture
def catalog_uri(catalog_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URI of an empty catalog of each kind; its store was never initialised."""
    if catalog_kind == "sqlite":
        return f"sqlite:///{tmp_path}/catalog.db"
    return str(request.getfixturevalue("mongodb_database_uri"))


OpenAgain = Callable[[], Awaitable[Catalog]]


@pytest.fixture
def open_again(catalog_kind: str, request: pytest.FixtureRequest) -> OpenAgain:
    """Opens the test's catalog, each time with connections of its own."""
    if catalog_kind == "memory":
        store = Store(time.time)

        async def opened() -> Catalog:
            return MemoryCatalog(store)

        return opened
    uri = request.getfixturevalue("catalog_uri")
    return lambda: open_catalog(uri)


@pytest.fixture
async def catalog(open_again: OpenAgain) -> AsyncIterator[Catalog]:
    """An initialised catalog with the partitions p1, p2 and p3."""
    catalog = await open_again()
    await catalog.init()
    for name in ("p1", "p2", "p3"):
        await catalog.partitions.insert(partition(name))
    yield catalog
    await catalog.close()


@pytest.fixture
async def other(catalog: Catalog, open_again: OpenAgain) -> AsyncIterator[Catalog]:
    """The same catalog, opened a second time with connections of its own, as another process would."""
    other = await open_again()
    yield other
    await other.close()
