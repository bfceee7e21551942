"""The store itself: init, check, ping, close."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from pymongo import MongoClient

from catalog import Catalog, open_catalog
from catalog.errors import CatalogUnavailable, NotInitialised, WrongSchema
from catalog.interface import SCHEMA_VERSION
from tests.contract.examples import partition, placement


def write_schema_version(uri: str, version: int) -> None:
    """Make the store look as if another release had prepared it."""
    if uri.startswith("sqlite"):
        with closing(sqlite3.connect(urlsplit(uri).path[1:])) as connection:
            connection.execute(f"PRAGMA user_version={version}")
    else:
        with MongoClient(uri) as client:
            client.get_default_database()["catalog"].update_one({"_id": "schema"}, {"$set": {"version": version}})


async def test_check_accepts_what_init_prepared(catalog_uri: str) -> None:
    catalog = await open_catalog(catalog_uri)
    await catalog.init()
    await catalog.check()
    await catalog.close()


async def test_init_is_idempotent_and_keeps_what_is_stored(catalog: Catalog) -> None:
    await catalog.placements.insert(placement("orders"))
    await catalog.init()
    assert await catalog.placements.get(placement("orders").key) == placement("orders")
    assert len(await catalog.partitions.all()) == 3


async def test_init_by_many_at_once(catalog_uri: str) -> None:
    catalogs = [await open_catalog(catalog_uri) for _ in range(6)]
    await asyncio.gather(*(catalog.init() for catalog in catalogs))
    await catalogs[0].partitions.insert(partition("p1"))
    for catalog in catalogs:
        await catalog.check()
        assert await catalog.partitions.get("p1") == partition("p1")
        await catalog.close()


@pytest.mark.parametrize("version", [SCHEMA_VERSION + 1, 0])
async def test_another_schema_version_is_refused(catalog_uri: str, catalog: Catalog, version: int) -> None:
    write_schema_version(catalog_uri, version)
    other = await open_catalog(catalog_uri)
    with pytest.raises(WrongSchema, match=f"version {version}.* {SCHEMA_VERSION}"):
        await other.check()
    with pytest.raises(WrongSchema):
        await other.init()
    await other.close()


async def test_check_tells_that_nothing_was_initialised(catalog_uri: str, catalog: Catalog) -> None:
    if catalog_uri.startswith("sqlite"):
        # Opening initialises an empty file; so it has to become empty under an open catalog.
        with closing(sqlite3.connect(urlsplit(catalog_uri).path[1:])) as connection:
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
            ).fetchall():
                connection.execute(f"DROP TABLE {name}")
            connection.execute("PRAGMA application_id=0")
            connection.execute("PRAGMA user_version=0")
            connection.execute("VACUUM")
            names = connection.execute("SELECT name FROM sqlite_master").fetchall()
            assert [n for n in names if n != ("sqlite_sequence",)] == []
    else:
        with MongoClient(catalog_uri) as client:
            client.drop_database(client.get_default_database())
    with pytest.raises(NotInitialised):
        await catalog.check()


async def test_ping_returns_when_the_store_can_be_written(catalog: Catalog, other: Catalog) -> None:
    await asyncio.gather(*(c.ping() for c in (catalog, other) * 4))


async def test_close_is_idempotent_and_final(catalog: Catalog) -> None:
    await catalog.close()
    await catalog.close()
    with pytest.raises(CatalogUnavailable):
        await catalog.placements.get(placement("orders").key)
    with pytest.raises(CatalogUnavailable):
        await catalog.placements.insert(placement("orders"))


async def test_closing_ends_feeds(catalog: Catalog) -> None:
    feed = catalog.watch()
    await anext(feed)
    await catalog.close()
    with pytest.raises(CatalogUnavailable):
        async for _ in feed:
            pass
