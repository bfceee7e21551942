"""The operator's check: damage that SQLite finds, and inconsistent counts. Slow."""

from __future__ import annotations

import sqlite3

# Each query returns (queue, number of cases); no row is the good result.
_RULES = (
    (
        "total of its messages is wrong",
        "SELECT tally.queue, total FROM tally WHERE total !="
        " (SELECT count(*) FROM message WHERE message.queue=tally.queue)",
    ),
    (
        "count of its claimed messages is wrong",
        "SELECT tally.queue, claimed FROM tally WHERE claimed !="
        " (SELECT count(*) FROM message WHERE message.queue=tally.queue AND claim IS NOT NULL)",
    ),
    (
        "claim without its messages",
        "SELECT claim.queue, number FROM claim WHERE size !="
        " (SELECT count(*) FROM message WHERE message.claim=claim.number)"
        " AND queue NOT IN (SELECT queue FROM dropped)",
    ),
    (
        "message in a state that contradicts its claim or delay",
        "SELECT queue, number FROM message WHERE (state=1) != (claim IS NOT NULL) OR (state=2) != (due IS NOT NULL)",
    ),
    (
        "message of a queue that does not exist",
        "SELECT queue, number FROM message WHERE queue NOT IN (SELECT queue FROM queue)"
        " AND queue NOT IN (SELECT queue FROM dropped)",
    ),
)


def faults(connection: sqlite3.Connection) -> list[str]:
    """Return the faults, a sentence each."""
    found = [text for (text,) in connection.execute("PRAGMA integrity_check") if text != "ok"]
    for what, query in _RULES:
        found += [f"queue {queue}: {what} ({detail})" for queue, detail in connection.execute(query)]
    return found
