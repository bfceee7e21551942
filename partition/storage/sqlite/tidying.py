"""Making true on disk what is true by the clock: claims that have ended, delays that have passed.

Claims expire by themselves (API section 6.5), but their messages stay in the wrong range of the index until somebody
moves them. Writers do so for their queue before they look at it; a reader that finds something untidy asks for it.
"""

from __future__ import annotations

import sqlite3

from partition.storage.sqlite.states import DELAYED, FREE

# Claims, and delayed messages, dealt with in one go.
_AT_A_TIME = 500


class Untidy(Exception):
    """The reader cannot answer before the queue was tidied. ``queue`` is its number."""

    def __init__(self, queue: int) -> None:
        super().__init__(queue)
        self.queue = queue


def is_tidy(connection: sqlite3.Connection, queue: int, now: int) -> bool:
    """Whether every message of the queue is in its proper range."""
    ended, passed = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM claim WHERE queue=?1 AND expires<=?2),"
        " EXISTS (SELECT 1 FROM message WHERE queue=?1 AND due<=?2)",
        (queue, now),
    ).fetchone()
    return not ended and not passed


def tidy(connection: sqlite3.Connection, queue: int, now: int) -> None:
    """Free the messages of the queue whose claim has ended, and those that are due."""
    while ended := connection.execute(
        "SELECT number FROM claim WHERE queue=? AND expires<=? LIMIT ?", (queue, now, _AT_A_TIME)
    ).fetchall():
        for (claim,) in ended:
            free(connection, queue, claim)
    connection.execute(
        "UPDATE message SET state=?, due=NULL WHERE queue=? AND due<=? AND state=?", (FREE, queue, now, DELAYED)
    )


def free(connection: sqlite3.Connection, queue: int, claim: int, *, forgive: bool = False) -> None:
    """End the claim. ``forgive`` resets how often its messages were claimed (API section 6.9)."""
    freed = connection.execute(
        f"UPDATE message SET state=?, claim=NULL{', claims=0' if forgive else ''} WHERE claim=?",  # noqa: S608
        (FREE, claim),
    ).rowcount
    connection.execute("DELETE FROM claim WHERE number=?", (claim,))
    connection.execute("UPDATE tally SET claimed=claimed-? WHERE queue=?", (freed, queue))
