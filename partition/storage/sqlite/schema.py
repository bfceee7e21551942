"""The tables and the constants in them, preparing a new file, and verifying an existing one."""

from __future__ import annotations

import os
import secrets
import sqlite3

from partition.errors import WrongStore
from partition.model.identifier import MULTIPLIERS, TAGS, Identifiers
from partition.storage.sqlite.translation import unavailable

# "MarP", so that the file is recognised, and a catalog's file is not taken for ours.
APPLICATION_ID = 0x4D617250
VERSION = 1
# The version of a store with marks: releases that know only VERSION would ignore marks, and refuse it.
FENCED = 2

# The states of a stored message, which are ranges of one index.
FREE = 0
CLAIMED = 1  # under a claim, which may have expired and not been swept: see tidying.py
DELAYED = 2  # until it is due, or found to be: see tidying.py

# The index in which every page is a range. Each query names it: by default SQLite may prefer the index by expiry, and
# would then read the whole queue to sort it.
STORED = "message INDEXED BY message_by_state"

# Times are milliseconds since 1970; ttl and grace are seconds. A queue is named by a number that is never used again,
# so that deleting a large one is one row, and the rest is swept.
_TABLES = """
CREATE TABLE store (
    tag INTEGER NOT NULL,           -- of identifiers
    multiplier INTEGER NOT NULL,
    last INTEGER NOT NULL           -- the last number given to a message, claim or subscription
);
CREATE TABLE queue (
    queue INTEGER PRIMARY KEY AUTOINCREMENT,
    kind INTEGER NOT NULL,
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    created INTEGER NOT NULL,       -- 0 if only dead letters brought it about (API section 6.9)
    revision INTEGER NOT NULL,      -- of the metadata
    metadata TEXT NOT NULL
);
CREATE UNIQUE INDEX queue_by_name ON queue (kind, project, name);
-- Beside the queue, because it changes with every post and metadata can be large.
CREATE TABLE tally (
    queue INTEGER PRIMARY KEY,
    last INTEGER NOT NULL,          -- position of the newest message ever
    total INTEGER NOT NULL,         -- messages, including those that expired and were not swept
    claimed INTEGER NOT NULL        -- those with a claim, including claims that expired and were not swept
);
CREATE TABLE message (
    number INTEGER PRIMARY KEY,     -- what the identifier hides
    queue INTEGER NOT NULL,
    position INTEGER NOT NULL,      -- what a marker says
    state INTEGER NOT NULL,         -- FREE, CLAIMED or DELAYED
    expires INTEGER NOT NULL,
    client BLOB NOT NULL,
    created INTEGER NOT NULL,
    ttl INTEGER NOT NULL,
    due INTEGER,                    -- until when it is delayed
    claim INTEGER,                  -- number of its claim
    claims INTEGER NOT NULL,        -- how often it was claimed
    body TEXT NOT NULL
);
-- Every page is a range of this one; what else a page may hide is in it too, so that skipping reads no message.
CREATE INDEX message_by_state ON message (queue, state, position, expires, client);
CREATE INDEX message_by_expiry ON message (queue, expires);
CREATE INDEX message_by_claim ON message (claim) WHERE claim IS NOT NULL;
CREATE INDEX message_by_due ON message (queue, due) WHERE due IS NOT NULL;
CREATE TABLE claim (
    number INTEGER PRIMARY KEY,
    queue INTEGER NOT NULL,
    created INTEGER NOT NULL,       -- or renewed
    ttl INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    size INTEGER NOT NULL           -- its messages; never 0, for an empty claim is forgotten
);
CREATE INDEX claim_by_expiry ON claim (queue, expires);
CREATE TABLE subscription (
    number INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    project TEXT NOT NULL,
    source TEXT NOT NULL,           -- a name: subscriptions outlive their queue
    subscriber TEXT NOT NULL,
    created INTEGER NOT NULL,
    ttl INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    options TEXT NOT NULL,
    confirmed INTEGER NOT NULL
);
CREATE UNIQUE INDEX subscription_by_subscriber ON subscription (kind, project, source, subscriber);
CREATE INDEX subscription_by_queue ON subscription (kind, project, source, number);
CREATE INDEX subscription_by_expiry ON subscription (expires);
-- Deleted queues whose messages are still to be swept.
CREATE TABLE dropped (queue INTEGER PRIMARY KEY);
"""

# Stores of earlier releases have none.
_MARKS = """
CREATE TABLE IF NOT EXISTS mark (
    number INTEGER PRIMARY KEY,     -- counts up, so that the oldest are known
    kind INTEGER NOT NULL,
    project TEXT NOT NULL,
    name TEXT NOT NULL,             -- marks outlive their queue
    life TEXT NOT NULL,
    epoch INTEGER NOT NULL,         -- writes of this life with a lower one are refused
    shut INTEGER NOT NULL,          -- so are posts without any
    UNIQUE (kind, project, name, life)
)
"""


def open_or_prepare(path: str, busy_timeout: float) -> Identifiers:
    """Prepare the file if it is new or empty, verify it otherwise; return the identifiers of the store.

    Raises sqlite3.Error, WrongStore, StorageUnavailable.
    """
    if bytes_of(path) == 0 and bytes_of(f"{path}-wal") > 0:
        # SQLite would take it for a new file, and delete what is left.
        raise WrongStore(f"storage {path}: it is empty, but its -wal is not; restore it, or remove the -wal as well")
    connection = sqlite3.connect(path, timeout=busy_timeout, isolation_level=None)
    try:
        if not _tables(connection):
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("BEGIN IMMEDIATE")
            # Another process may have been faster.
            if not _tables(connection):
                _prepare(connection)
            connection.execute("COMMIT")
        identifiers = verify(connection, path)
        connection.execute(_MARKS)
        return identifiers
    finally:
        connection.close()


def verify(connection: sqlite3.Connection, path: str) -> Identifiers:
    """Return the identifiers of the store. Raises sqlite3.Error, WrongStore, StorageUnavailable."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID and not _tables(connection):
        raise WrongStore(f"storage {path}: it is empty")
    if application != APPLICATION_ID:
        raise WrongStore(f"storage {path}: it is a database of something else")
    if version not in (VERSION, FENCED):
        raise WrongStore(f"storage {path}: it has schema {version}, and this release knows {VERSION} and {FENCED}")
    row = connection.execute("SELECT tag, multiplier FROM store").fetchone()
    try:
        return Identifiers(*row)
    except (TypeError, ValueError):
        # No row ever written is like this, but a page of zeros has such rows, and SQLite reports no fault in it.
        raise unavailable(path, "it is damaged") from None


def take_numbers(connection: sqlite3.Connection, count: int) -> int:
    """Return the first of ``count`` fresh numbers in a row.

    Identifiers hide these numbers. They are counted up for the whole store, and never issued twice.
    """
    (last,) = connection.execute("UPDATE store SET last=last+? RETURNING last", (count,)).fetchone()
    return int(last) - count + 1


def bytes_of(path: str) -> int:
    """The size of a file, 0 if there is none. A directory has a size too, and is then refused."""
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


def _tables(connection: sqlite3.Connection) -> int:
    (count,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return int(count)


def _prepare(connection: sqlite3.Connection) -> None:
    for statement in _statements():
        connection.execute(statement)
    drawn = (secrets.randbelow(TAGS), secrets.randbelow(MULTIPLIERS) | 1)
    connection.execute("INSERT INTO store (tag, multiplier, last) VALUES (?, ?, 0)", drawn)
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={VERSION}")


def _statements() -> list[str]:
    # Not executescript(), which would commit first.
    found, statement = [], ""
    for line in _TABLES.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            found.append(statement)
            statement = ""
    return found
