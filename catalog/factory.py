"""Open the catalog that a URI names. This is the only module that chooses a driver."""

from __future__ import annotations

from catalog.errors import BadCatalogURI
from catalog.interface import Catalog
from catalog.uri import split

_FORMS = "sqlite:////absolute/path or mongodb://HOST:PORT[,HOST:PORT]/DATABASE[?options]"


def catalog_scheme(uri: str) -> str:
    """Return ``sqlite`` or ``mongodb`` for a well-formed catalog URI.

    Raises BadCatalogURI. Its message never quotes the whole URI, which may contain a password.
    """
    parts = split(uri)
    if parts.authority.count("[") != parts.authority.count("]"):
        raise BadCatalogURI(f"the catalog URI is malformed: {_FORMS}")
    if parts.scheme == "sqlite":
        # Four slashes: an empty authority, then an absolute path.
        if parts.authority or not parts.path.startswith("//") or parts.path == "//" or parts.query or parts.fragment:
            raise BadCatalogURI(f"a SQLite catalog needs an absolute path after four slashes: {_FORMS}")
        return "sqlite"
    if parts.scheme == "mongodb":
        if not parts.authority or not parts.path.strip("/"):
            raise BadCatalogURI(f"a MongoDB catalog needs hosts and the name of a database: {_FORMS}")
        return "mongodb"
    raise BadCatalogURI(f"no catalog is known for scheme {parts.scheme!r}: {_FORMS}")


async def open_catalog(uri: str) -> Catalog:
    """Open the catalog at ``uri``, without initialising it. For MongoDB, do not wait for a connection.

    Raises BadCatalogURI. For SQLite, raises CatalogUnavailable if the file cannot be opened.
    """
    if catalog_scheme(uri) == "sqlite":
        from catalog.sqlite.driver import SQLiteCatalog

        return await SQLiteCatalog.open(split(uri).path[1:])
    from catalog.mongodb.driver import MongoDBCatalog

    return await MongoDBCatalog.open(uri)
