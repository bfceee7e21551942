"""Queues, topics and their metadata."""

from __future__ import annotations

import json
import sqlite3
from functools import lru_cache
from typing import NamedTuple

from partition.errors import QueueChanged, QueueMissing
from partition.model.queue import Epoch, Kind, Metadata, Queue, QueueKey, QueueQuery, lower_bound, place
from partition.storage.sqlite import marks

# Rows that a filtered page reads at a time: filters are not indexed.
_FILTER_CHUNK = 500
# Characters of the largest metadata that is cached as a value, which takes many times as much memory.
_REMEMBERED = 4096


class Found(NamedTuple):
    """A queue's row. ``declared`` is false for one that only dead letters created."""

    queue: int
    declared: bool
    revision: int
    metadata: str

    @property
    def version(self) -> str:
        return f"{self.queue}.{self.revision}"


def find(connection: sqlite3.Connection, key: QueueKey) -> Found | None:
    """Return the queue, also an undeclared one."""
    row = connection.execute(
        "SELECT queue, created, revision, metadata FROM queue WHERE kind=? AND project=? AND name=?",
        (key.kind, key.project, key.name),
    ).fetchone()
    return None if row is None else Found(row[0], row[1] != 0, row[2], row[3])


def declared(connection: sqlite3.Connection, key: QueueKey, version: str | None = None) -> Found:
    """Return the queue. Raises QueueMissing; QueueChanged if it is not at ``version``."""
    found = find(connection, key)
    if found is None or not found.declared:
        raise QueueMissing(key.name) if version is None else QueueChanged(key.name)
    if version is not None and found.version != version:
        raise QueueChanged(key.name)
    return found


def parsed(metadata: str) -> Metadata:
    """Return the stored metadata. The result may be shared and must not be changed."""
    return _parsed(metadata) if len(metadata) <= _REMEMBERED else _parsed.__wrapped__(metadata)


@lru_cache(maxsize=1024)
def _parsed(metadata: str) -> Metadata:
    result: Metadata = json.loads(metadata)
    return result


def get(connection: sqlite3.Connection, key: QueueKey) -> Queue | None:
    found = find(connection, key)
    if found is None or not found.declared:
        return None
    return Queue(key.name, found.version, parsed(found.metadata))


def create(connection: sqlite3.Connection, key: QueueKey, metadata: str, epoch: Epoch | None, now: int) -> bool:
    """Raises QueueClosed."""
    marks.check(connection, key, epoch)
    found = find(connection, key)
    if found is None:
        _insert(connection, key, metadata, created=now)
        return True
    if found.declared:
        return False
    # An undeclared queue of dead letters becomes a declared one, with them in it.
    connection.execute(
        "UPDATE queue SET created=?, revision=revision+1, metadata=? WHERE queue=?", (now, metadata, found.queue)
    )
    return True


def for_dead_letters(connection: sqlite3.Connection, key: QueueKey) -> int:
    """Return the number of the queue, created undeclared if there is none."""
    found = find(connection, key)
    return _insert(connection, key, "{}", created=0) if found is None else found.queue


def _insert(connection: sqlite3.Connection, key: QueueKey, metadata: str, *, created: int) -> int:
    queue = connection.execute(
        "INSERT INTO queue (kind, project, name, created, revision, metadata) VALUES (?, ?, ?, ?, 0, ?)",
        (key.kind, key.project, key.name, created, metadata),
    ).lastrowid
    assert queue is not None
    connection.execute("INSERT INTO tally (queue, last, total, claimed) VALUES (?, 0, 0, 0)", (queue,))
    return queue


def replace_metadata(
    connection: sqlite3.Connection, key: QueueKey, metadata: str, version: str | None, epoch: Epoch | None
) -> None:
    """Raises QueueClosed, QueueMissing, QueueChanged."""
    marks.check(connection, key, epoch)
    found = declared(connection, key, version)
    connection.execute("UPDATE queue SET revision=revision+1, metadata=? WHERE queue=?", (metadata, found.queue))


def delete(connection: sqlite3.Connection, key: QueueKey) -> None:
    found = find(connection, key)
    if found is None:
        return
    connection.execute("DELETE FROM queue WHERE queue=?", (found.queue,))
    connection.execute("DELETE FROM tally WHERE queue=?", (found.queue,))
    connection.execute("INSERT INTO dropped (queue) VALUES (?)", (found.queue,))
    marks.forget_shut(connection, key)


def list_page(connection: sqlite3.Connection, query: QueueQuery) -> list[Queue]:
    """Walk the index of names from ``query.after``; with filters, until the page is full."""
    page: list[Queue] = []
    after = query.after
    selective = bool(query.name_part or query.filters)
    chunk = _FILTER_CHUNK if selective else query.limit
    while True:
        rows = connection.execute(
            "SELECT name, queue, revision, metadata FROM queue "
            "WHERE kind=? AND project=? AND name>? AND created!=0 ORDER BY name LIMIT ?",
            (query.kind, query.project, after, chunk),
        ).fetchall()
        for name, queue, revision, metadata in rows:
            if query.name_part in name and _matches(metadata, query):
                page.append(Queue(name, f"{queue}.{revision}", parsed(metadata)))
                if len(page) == query.limit:
                    return page
        if not selective or len(rows) < chunk:
            return page
        after = rows[-1][0]


def inventory(connection: sqlite3.Connection, after: QueueKey | None, limit: int) -> list[tuple[QueueKey, Queue]]:
    """Read a page of each kind, and merge the two."""
    found = []
    for kind in Kind:
        rows = connection.execute(
            "SELECT project, name, queue, revision, metadata FROM queue"
            " WHERE kind=? AND (project, name)>(?, ?) AND created!=0 ORDER BY project, name LIMIT ?",
            (kind, *lower_bound(after, kind), limit),
        )
        found += [
            (QueueKey(project, name, kind), Queue(name, f"{queue}.{revision}", parsed(metadata)))
            for project, name, queue, revision, metadata in rows
        ]
    found.sort(key=lambda one: place(one[0]))
    return found[:limit]


def _matches(metadata: str, query: QueueQuery) -> bool:
    if not query.filters:
        return True
    stored = parsed(metadata)
    return all(type(stored.get(name)) is type(value) and stored[name] == value for name, value in query.filters)


def count(connection: sqlite3.Connection, project: str, kind: Kind) -> int:
    (number,) = connection.execute(
        "SELECT count(*) FROM queue WHERE kind=? AND project=? AND created!=0", (kind, project)
    ).fetchone()
    return int(number)
