"""Bringing the disk in line with the clock: ended claims, passed delays.

Claims end by themselves (API section 6.5), but their messages stay in the wrong range of the index until a writer moves
them. A hundred thousand may end in one second, so no call waits for that: readers search the untidy range, and writers
tidy a bounded part of their queue on the way. The sweep does the rest.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from partition.storage.sqlite.schema import DELAYED, FREE

# Claims ended, and delayed messages moved, by one call that needs free messages; and by one step of the sweep.
ON_THE_WAY = 20
IN_A_SWEEP = 200


class Untidy(NamedTuple):
    """The messages of a queue in the wrong range: with an ended claim, or delayed and due."""

    ended: bool
    due: bool


def untidy(connection: sqlite3.Connection, queue: int, now: int) -> Untidy:
    """Return the untidy messages."""
    ended, due = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM claim WHERE queue=?1 AND expires<=?2),"
        " EXISTS (SELECT 1 FROM message WHERE queue=?1 AND due<=?2)",
        (queue, now),
    ).fetchone()
    return Untidy(bool(ended), bool(due))


def tidy(connection: sqlite3.Connection, queue: int, now: int, most: int) -> bool:
    """Free messages of up to ``most`` ended claims, and ``most`` that are due; return whether there may be more."""
    wrong = untidy(connection, queue, now)
    more = False
    if wrong.ended:
        ended = connection.execute(
            "SELECT number FROM claim WHERE queue=? AND expires<=? LIMIT ?", (queue, now, most)
        ).fetchall()
        for (claim,) in ended:
            free(connection, queue, claim)
        more = len(ended) == most
    if wrong.due:
        moved = connection.execute(
            "UPDATE message SET state=?, due=NULL WHERE number IN"
            " (SELECT number FROM message INDEXED BY message_by_due WHERE queue=? AND due<=? LIMIT ?) AND state=?",
            (FREE, queue, now, most, DELAYED),
        ).rowcount
        more |= moved == most
    return more


def free(connection: sqlite3.Connection, queue: int, claim: int, *, forgive: bool = False) -> None:
    """End the claim. ``forgive`` resets how often its messages were claimed (API section 6.9)."""
    freed = connection.execute(
        f"UPDATE message SET state=?, claim=NULL{', claims=0' if forgive else ''} WHERE claim=?",  # noqa: S608
        (FREE, claim),
    ).rowcount
    connection.execute("DELETE FROM claim WHERE number=?", (claim,))
    connection.execute("UPDATE tally SET claimed=claimed-? WHERE queue=?", (freed, queue))
