"""Catalog URIs: those that are accepted, and the messages for others."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog import open_catalog
from catalog.errors import BadCatalogURI
from catalog.factory import catalog_scheme
from catalog.mongodb.driver import MongoDBCatalog
from catalog.sqlite.driver import SQLiteCatalog
from tests.conftest import FORGOTTEN_SOCKETS

pytestmark = [FORGOTTEN_SOCKETS, pytest.mark.usefixtures("forgotten_sockets")]


@pytest.mark.parametrize(
    ("uri", "scheme"),
    [
        ("sqlite:////var/lib/marconi-proxy/catalog.db", "sqlite"),
        ("sqlite:////tmp/with space/catalog", "sqlite"),
        ("mongodb://localhost/catalog", "mongodb"),
        ("mongodb://user:secret@a:1,b:2,[::1]:3/catalog?replicaSet=rs0&tls=true", "mongodb"),
    ],
)
def test_well_formed_uris(uri: str, scheme: str) -> None:
    assert catalog_scheme(uri) == scheme


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("", "no catalog is known for scheme ''"),
        ("/var/lib/catalog.db", "no catalog is known for scheme ''"),
        ("postgresql://user:hunter2@host/catalog", "no catalog is known for scheme 'postgresql'"),
        ("mongodb+srv://user:hunter2@host/catalog", "no catalog is known for scheme 'mongodb.srv'"),
        ("sqlite://", "absolute path after four slashes"),
        ("sqlite:///relative.db", "absolute path after four slashes"),
        ("sqlite://host/catalog.db", "absolute path after four slashes"),
        ("sqlite:////", "absolute path after four slashes"),
        ("sqlite:////catalog.db?mode=ro", "absolute path after four slashes"),
        ("sqlite:////catalog.db#1", "absolute path after four slashes"),
        ("mongodb://", "hosts and the name of a database"),
        ("mongodb:///catalog", "hosts and the name of a database"),
        ("mongodb://user:hunter2@host", "hosts and the name of a database"),
        ("mongodb://user:hunter2@host/", "hosts and the name of a database"),
        ("mongodb://user:hunter2@host/?replicaSet=rs0", "hosts and the name of a database"),
        ("mongodb://user:hunter2@[host/catalog", "malformed"),
    ],
)
def test_malformed_uris_are_told_what_is_accepted_and_never_quoted(uri: str, words: str) -> None:
    with pytest.raises(BadCatalogURI, match=words) as refused:
        catalog_scheme(uri)
    assert "sqlite:////absolute/path or mongodb://HOST:PORT" in str(refused.value)
    assert "hunter2" not in str(refused.value)


async def test_opening_chooses_the_driver(tmp_path: Path) -> None:
    catalog = await open_catalog(f"sqlite:///{tmp_path}/catalog.db")
    assert isinstance(catalog, SQLiteCatalog)
    assert f"{tmp_path}/catalog.db" in repr(catalog)
    await catalog.close()


async def test_opening_mongodb_waits_for_nobody() -> None:
    catalog = await open_catalog("mongodb://user:hunter2@192.0.2.1:1/catalog")
    assert isinstance(catalog, MongoDBCatalog)
    assert "192.0.2.1:1/catalog" in repr(catalog)
    assert "hunter2" not in repr(catalog)
    await catalog.close()
