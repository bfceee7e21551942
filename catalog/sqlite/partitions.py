"""The table of partitions."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping

from catalog.errors import HostTaken, PartitionConflict, PartitionInUse
from catalog.interface.partitions import PartitionStore
from catalog.model import ChangeSubject, Partition
from catalog.sqlite import changes, moves, placements
from catalog.sqlite.file import Noun, reading, writing
from catalog.sqlite.translation import unavailable

COLUMNS = "name, version, document"


class SQLitePartitions(Noun, PartitionStore):
    """``Catalog.partitions``."""

    @reading
    def get(self, connection: sqlite3.Connection, name: str) -> Partition | None:
        return _get(connection, name, self._path)

    @reading
    def all(self, connection: sqlite3.Connection) -> list[Partition]:
        return _all(connection, self._path)

    @writing
    def insert(self, connection: sqlite3.Connection, partition: Partition) -> None:
        stored = _get(connection, partition.name, self._path)
        if stored is not None:
            if stored.same_version(partition):
                return
            raise PartitionConflict(partition.name, stored)
        self._refuse_taken(connection, partition, partition.addresses)
        store(connection, partition)
        changes.append(connection, ChangeSubject.PARTITION, (partition.name,))

    @writing
    def replace(self, connection: sqlite3.Connection, partition: Partition) -> None:
        stored = _get(connection, partition.name, self._path)
        if stored is not None and stored.same_version(partition):
            return
        if stored is None or stored.version != partition.version - 1:
            raise PartitionConflict(partition.name, stored)
        new = {address: host for address, host in partition.addresses.items() if address not in stored.addresses}
        self._refuse_taken(connection, partition, new)
        connection.execute("UPDATE partitions SET version = ?, document = ? WHERE name = ?", _encode(partition))
        changes.append(connection, ChangeSubject.PARTITION, (partition.name,))

    @writing
    def remove(self, connection: sqlite3.Connection, name: str) -> None:
        named = placements.count(connection, None, [name], None)
        coming = moves.coming(connection, name)
        if named or coming is not None:
            raise PartitionInUse(name, named, coming)
        if connection.execute("DELETE FROM partitions WHERE name = ?", (name,)).rowcount:
            changes.append(connection, ChangeSubject.PARTITION, (name,))

    def _refuse_taken(self, connection: sqlite3.Connection, partition: Partition, new: Mapping[str, str]) -> None:
        """Raise HostTaken if another partition has one of the addresses. Writing transactions are serialized."""
        others = [other for other in _all(connection, self._path) if other.name != partition.name]
        for other in others:
            for address in other.addresses.keys() & new.keys():
                raise HostTaken(new[address], other.name)


def decode(row: tuple[str, int, str], path: str) -> Partition:
    """Return the partition in a row of COLUMNS. Raises CatalogUnavailable if it is none."""
    name, version, document = row
    try:
        return Partition.from_json({**json.loads(document), "name": name, "version": version})
    except (ValueError, TypeError, KeyError) as error:
        raise unavailable(path, f"partition {name!r} is damaged ({error})") from error


def store(connection: sqlite3.Connection, partition: Partition) -> None:
    """Store a new partition."""
    connection.execute("INSERT INTO partitions (version, document, name) VALUES (?, ?, ?)", _encode(partition))


def _get(connection: sqlite3.Connection, name: str, path: str) -> Partition | None:
    row = connection.execute(f"SELECT {COLUMNS} FROM partitions WHERE name = ?", (name,)).fetchone()  # noqa: S608
    return decode(row, path) if row else None


def _all(connection: sqlite3.Connection, path: str) -> list[Partition]:
    rows = connection.execute(f"SELECT {COLUMNS} FROM partitions ORDER BY name")  # noqa: S608
    return [decode(row, path) for row in rows]


def _encode(partition: Partition) -> tuple[int, str, str]:
    return partition.version, json.dumps(partition.to_json()), partition.name
