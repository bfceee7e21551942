"""Stats (API section 6.7): stored counters, and the two ends of a queue."""

from __future__ import annotations

import sqlite3

from partition.model.clock import age
from partition.model.identifier import Identifiers
from partition.model.message import Edge, Stats
from partition.model.queue import QueueKey
from partition.storage.sqlite import queues
from partition.storage.sqlite.schema import CLAIMED, DELAYED, FREE, STORED


def of_queue(connection: sqlite3.Connection, key: QueueKey, identifiers: Identifiers, now: int) -> Stats:
    """Raises QueueMissing."""
    queue = queues.declared(connection, key).queue
    # Only ended and unswept entries are counted here, which the sweep keeps few.
    total, claimed, expired, ended = connection.execute(
        "SELECT total, claimed, (SELECT count(*) FROM message WHERE queue=?1 AND expires<=?2),"
        " (SELECT total(size) FROM claim WHERE queue=?1 AND expires<=?2) FROM tally WHERE queue=?1",
        (queue, now),
    ).fetchone()
    oldest = _edge(connection, queue, "ASC", identifiers, now)
    newest = _edge(connection, queue, "DESC", identifiers, now)
    # A message under a live claim outlives it, so none of the expired ones is among the claimed.
    return Stats(total - expired, claimed - int(ended), oldest, newest)


def _edge(
    connection: sqlite3.Connection, queue: int, direction: str, identifiers: Identifiers, now: int
) -> Edge | None:
    found = []
    for state in (FREE, CLAIMED, DELAYED):
        found += connection.execute(
            f"SELECT position, number, created FROM {STORED} WHERE queue=? AND state=? AND expires>?"  # noqa: S608
            f" ORDER BY position {direction} LIMIT 1",
            (queue, state, now),
        ).fetchall()
    if not found:
        return None
    _, number, created = min(found) if direction == "ASC" else max(found)
    return Edge(identifiers.identifier(number), age(created, now), created)
