"""Transactions on partitions. Each function runs inside a transaction that its caller begins and ends."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping

from catalog.errors import HostTaken, PartitionConflict, PartitionInUse
from catalog.model import COMING_STATES, ChangeSubject, Partition
from catalog.sqlite import changes, listing, moves
from catalog.sqlite.translation import unavailable

COLUMNS = "name, version, document"


def decode(row: tuple[str, int, str], path: str) -> Partition:
    """Return the partition in a row of COLUMNS. Raises CatalogUnavailable if it is none."""
    name, version, document = row
    try:
        return Partition.from_json({**json.loads(document), "name": name, "version": version})
    except (ValueError, TypeError, KeyError) as error:
        raise unavailable(path, f"partition {name!r} is damaged ({error})") from error


def get(connection: sqlite3.Connection, name: str, path: str) -> Partition | None:
    """Return the partition, None if there is none."""
    row = connection.execute(f"SELECT {COLUMNS} FROM partitions WHERE name = ?", (name,)).fetchone()  # noqa: S608
    return decode(row, path) if row else None


def list_all(connection: sqlite3.Connection, path: str) -> list[Partition]:
    """Return all of them, by name."""
    rows = connection.execute(f"SELECT {COLUMNS} FROM partitions ORDER BY name")  # noqa: S608
    return [decode(row, path) for row in rows]


def insert(connection: sqlite3.Connection, partition: Partition, path: str) -> None:
    """Store a new one, as ``Catalog.insert_partition``."""
    stored = get(connection, partition.name, path)
    if stored is not None:
        if _same(stored, partition):
            return
        raise PartitionConflict(partition.name, stored)
    _refuse_taken(connection, partition, partition.addresses, path)
    store(connection, partition)
    changes.append(connection, ChangeSubject.PARTITION, (partition.name,))


def store(connection: sqlite3.Connection, partition: Partition) -> None:
    """Store one that is not there."""
    connection.execute("INSERT INTO partitions (version, document, name) VALUES (?, ?, ?)", _encode(partition))


def replace(connection: sqlite3.Connection, partition: Partition, path: str) -> None:
    """Compare-and-set, as ``Catalog.replace_partition``."""
    stored = get(connection, partition.name, path)
    if stored is not None and _same(stored, partition):
        return
    if stored is None or stored.version != partition.version - 1:
        raise PartitionConflict(partition.name, stored)
    new = {address: host for address, host in partition.addresses.items() if address not in stored.addresses}
    _refuse_taken(connection, partition, new, path)
    connection.execute("UPDATE partitions SET version = ?, document = ? WHERE name = ?", _encode(partition))
    changes.append(connection, ChangeSubject.PARTITION, (partition.name,))


def remove(connection: sqlite3.Connection, name: str, path: str) -> None:
    """Remove it, as ``Catalog.remove_partition``."""
    named = listing.count(connection, None, [name], None)
    coming = moves.list_all(connection, None, None, name, COMING_STATES, None, None, None, 1, path)
    if named or coming:
        raise PartitionInUse(name, named, coming[0].id if coming else None)
    if connection.execute("DELETE FROM partitions WHERE name = ?", (name,)).rowcount:
        changes.append(connection, ChangeSubject.PARTITION, (name,))


def _refuse_taken(connection: sqlite3.Connection, partition: Partition, new: Mapping[str, str], path: str) -> None:
    """Raise HostTaken if another partition has one of the addresses. There is one writing transaction at a time."""
    others = [other for other in list_all(connection, path) if other.name != partition.name]
    for other in others:
        for address in other.addresses.keys() & new.keys():
            raise HostTaken(new[address], other.name)


def _same(one: Partition, other: Partition) -> bool:
    return one == other and one.version == other.version  # equality of partitions leaves the version out


def _encode(partition: Partition) -> tuple[int, str, str]:
    return partition.version, json.dumps(partition.to_json()), partition.name
