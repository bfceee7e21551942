"""A catalog of every kind, for the suite that says what a catalog is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from catalog import Catalog, open_catalog
from tests.contract.examples import partition


@pytest.fixture(params=["sqlite", "mongodb"])
def catalog_uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URI of an empty catalog of each kind; its store was never initialised."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/catalog.db"
    return str(request.getfixturevalue("mongodb_database_uri"))


@pytest.fixture
async def catalog(catalog_uri: str) -> AsyncIterator[Catalog]:
    """An initialised catalog with the partitions p1, p2 and p3."""
    catalog = await open_catalog(catalog_uri)
    await catalog.init()
    for name in ("p1", "p2", "p3"):
        await catalog.insert_partition(partition(name))
    yield catalog
    await catalog.close()


@pytest.fixture
async def other(catalog: Catalog, catalog_uri: str) -> AsyncIterator[Catalog]:
    """The same catalog, opened a second time with connections of its own, as another process would."""
    other = await open_catalog(catalog_uri)
    yield other
    await other.close()
