"""From a storage URI to an open store. The only place that looks up drivers."""

from __future__ import annotations

from stevedore.driver import DriverManager
from stevedore.exception import NoMatches

from partition.errors import BadStorageURI
from partition.model.clock import Clock, system_clock
from partition.storage.interface import Storage
from partition.storage.uri import split

GROUP = "marconi_partition.storage"
_FORMS = "sqlite:////absolute/path and mongodb://HOST:PORT[,HOST:PORT]/DATABASE[?options]"


def driver_of(uri: str) -> type[Storage]:
    """Return the driver for the scheme of ``uri``. Raises BadStorageURI, which never quotes more than the scheme."""
    scheme = split(uri).scheme
    if not scheme:
        raise BadStorageURI(f"the storage URI has no scheme; good ones are {_FORMS}")
    try:
        found: DriverManager[type[Storage]] = DriverManager(GROUP, scheme, invoke_on_load=False)
    except NoMatches:
        raise BadStorageURI(f"no storage driver is installed for {scheme}://; good URIs are {_FORMS}") from None
    driver = found.driver
    if not (isinstance(driver, type) and issubclass(driver, Storage)):
        raise BadStorageURI(f"what is installed as the storage driver for {scheme}:// is none")
    return driver


async def open_storage(uri: str, clock: Clock = system_clock) -> Storage:
    """Open the store at ``uri``. Raises BadStorageURI, WrongStore, StorageUnavailable."""
    return await driver_of(uri).open(uri, clock)


def redacted(uri: str) -> str:
    """Return a storage URI fit for logs: without user, password and query."""
    parts = split(uri)
    _, at, hosts = parts.authority.rpartition("@")
    return f"{parts.scheme}://{'***@' if at else ''}{hosts}{parts.path}"
