"""A catalog that a test takes away from all processes, and gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.servers.mongod import mongod_replica_set, with_database
from tests.wire.hand import locked


@contextmanager
def catalog_outage(store: str, directory: Path) -> Iterator[tuple[str, Callable[[], AbstractContextManager[None]]]]:
    """Yield the URI of a catalog, and the context of an outage: SQLite takes no writes, MongoDB does not answer."""
    if store == "sqlite":
        path = directory / "catalog.db"
        yield f"sqlite:///{path}", lambda: locked(path)
        return
    with mongod_replica_set() as replica_set:

        @contextmanager
        def suspended() -> Iterator[None]:
            server = replica_set.wait_for_primary()
            server.suspend()
            try:
                yield
            finally:
                server.wake()

        yield with_database(replica_set.uri(), "catalog"), suspended
