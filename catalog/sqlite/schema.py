"""The file: its tables, its creation and upgrade, and the check that it is a catalog.

``application_id`` marks the file as a catalog, and ``user_version`` is the schema version. Both are in the file's
header, so that the check needs no table.
"""

from __future__ import annotations

import sqlite3
import time

from catalog.errors import LoadUnfinished, NotInitialised, WrongSchema
from catalog.interface import SCHEMA_VERSION
from catalog.sqlite import plans
from catalog.sqlite.connection_thread import BUSY_TIMEOUT
from catalog.sqlite.translation import unavailable

APPLICATION_ID = 0x4D52434E  # "MRCN"

# WITHOUT ROWID: the primary key is the table, so that a listing is one range of one b-tree.
# ``document`` is the whole value as JSON; for a field that has a column as well, the column counts.
# ``placed`` has a row for every partition that a placement names: the index (partition, project, queue). Its foreign
# key prevents that a placement names a removed partition.
# ``unfinished`` is the unique index that limits a queue to one unfinished move.
# ``loading`` has a row from the begin of a load of a backup to its end.
# The column ``progress`` of ``plans`` is null in a plan of schema version 3, which has its moves in the document.
#
# The steps from version 0 to 1, from 1 to 2 and so on. A new file takes all of them, so there is one way to the present
# schema. Workers of the previous release, which may still run, must be able to go on: new columns have defaults, those
# of members the ones for a worker without promises.
_STEPS = (
    (
        """CREATE TABLE pings (id INTEGER PRIMARY KEY CHECK (id = 1), at REAL NOT NULL)""",
        """CREATE TABLE partitions (
        name TEXT NOT NULL PRIMARY KEY,
        version INTEGER NOT NULL,
        document TEXT NOT NULL
    ) WITHOUT ROWID""",
        """CREATE TABLE placements (
        project TEXT NOT NULL,
        queue TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        state TEXT NOT NULL,
        document TEXT NOT NULL,
        PRIMARY KEY (project, queue)
    ) WITHOUT ROWID""",
        """CREATE TABLE placed (
        partition TEXT NOT NULL REFERENCES partitions (name),
        project TEXT NOT NULL,
        queue TEXT NOT NULL,
        PRIMARY KEY (partition, project, queue)
    ) WITHOUT ROWID""",
        """CREATE TABLE tenants (project TEXT NOT NULL PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID""",
        """CREATE TABLE members (
        id TEXT NOT NULL PRIMARY KEY,
        applied INTEGER NOT NULL,
        synced INTEGER NOT NULL,
        renewed REAL NOT NULL
    ) WITHOUT ROWID""",
        """CREATE TABLE changes (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        subject TEXT NOT NULL,
        name TEXT NOT NULL,
        epoch INTEGER
    )""",
    ),
    (
        """ALTER TABLE members ADD COLUMN lease REAL NOT NULL DEFAULT 0.0""",
        """ALTER TABLE members ADD COLUMN acked INTEGER NOT NULL DEFAULT 0""",
        """ALTER TABLE members ADD COLUMN capabilities TEXT NOT NULL DEFAULT '[]'""",
        """ALTER TABLE members ADD COLUMN holds TEXT NOT NULL DEFAULT '{}'""",
        """ALTER TABLE changes ADD COLUMN born TEXT""",
        """CREATE TABLE moves (
        id TEXT NOT NULL PRIMARY KEY,
        version INTEGER NOT NULL,
        project TEXT NOT NULL,
        queue TEXT NOT NULL,
        source TEXT NOT NULL,
        target TEXT NOT NULL,
        state TEXT NOT NULL,
        plan TEXT,
        unfinished INTEGER NOT NULL,
        document TEXT NOT NULL,
        token INTEGER NOT NULL DEFAULT 0,
        holder TEXT,
        held_until REAL
    ) WITHOUT ROWID""",
        """CREATE UNIQUE INDEX unfinished ON moves (project, queue) WHERE unfinished""",
        """CREATE INDEX moves_by_queue ON moves (project, queue, id)""",
        """CREATE INDEX moves_by_source ON moves (source, id)""",
        """CREATE INDEX moves_by_target ON moves (target, id)""",
        """CREATE INDEX moves_by_state ON moves (state, id)""",
        """CREATE INDEX moves_by_plan ON moves (plan, id)""",
        """CREATE TABLE plans (
        id TEXT NOT NULL PRIMARY KEY,
        version INTEGER NOT NULL,
        state TEXT NOT NULL,
        document TEXT NOT NULL
    ) WITHOUT ROWID""",
    ),
    (
        """CREATE INDEX placements_in_rare_states ON placements (state, project, queue) WHERE state <> 'open'""",
        """CREATE TABLE loading (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        token TEXT NOT NULL,
        since REAL NOT NULL,
        first_token INTEGER NOT NULL
    )""",
        """CREATE TABLE statistics (
        subject TEXT NOT NULL,
        name TEXT NOT NULL,
        document TEXT NOT NULL,
        PRIMARY KEY (subject, name)
    ) WITHOUT ROWID""",
        """CREATE TABLE walks (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        document TEXT NOT NULL,
        token INTEGER NOT NULL,
        holder TEXT,
        held_until REAL
    )""",
        """CREATE TABLE audits (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        document TEXT NOT NULL,
        token INTEGER NOT NULL,
        holder TEXT,
        held_until REAL
    )""",
    ),
    (
        """ALTER TABLE members ADD COLUMN beat INTEGER NOT NULL DEFAULT 0""",
        """ALTER TABLE members ADD COLUMN acks TEXT NOT NULL DEFAULT '[]'""",
        """ALTER TABLE members ADD COLUMN late_writes INTEGER NOT NULL DEFAULT 0""",
        *(
            f"""ALTER TABLE {table} ADD COLUMN {column} DEFAULT 0"""
            for table in ("moves", "walks", "audits")
            for column in ("beat INTEGER NOT NULL", "promised REAL NOT NULL")
        ),
        """CREATE TABLE held_writes (
        move TEXT NOT NULL,
        member TEXT NOT NULL,
        document TEXT NOT NULL,
        PRIMARY KEY (move, member)
    ) WITHOUT ROWID""",
        # ``ended`` numbers finished moves in the order of their ends. It is 0 for unfinished ones, and for those that a
        # mover of the previous release finished.
        """ALTER TABLE moves ADD COLUMN ended INTEGER NOT NULL DEFAULT 0""",
        """UPDATE moves SET ended = o.number
        FROM (SELECT id, row_number() OVER (ORDER BY id) AS number FROM moves WHERE NOT unfinished) AS o
        WHERE moves.id = o.id""",
        """CREATE TABLE identity (id INTEGER PRIMARY KEY CHECK (id = 1), token TEXT NOT NULL)""",
        """INSERT INTO identity (id, token) VALUES (1, lower(hex(randomblob(8))))""",
        """CREATE INDEX ended_moves ON moves (ended, id) WHERE NOT unfinished""",
        """CREATE INDEX unfinished_moves ON moves (id) WHERE unfinished""",
        """CREATE INDEX unfinished_moves_by_source ON moves (source, id, state) WHERE unfinished""",
        """CREATE INDEX unfinished_moves_by_target ON moves (target, id, state) WHERE unfinished""",
        """CREATE INDEX unfinished_moves_by_project ON moves (project, id) WHERE unfinished""",
        """CREATE INDEX unfinished_moves_by_plan ON moves (plan, id) WHERE unfinished""",
        """ALTER TABLE plans ADD COLUMN progress TEXT""",
        """ALTER TABLE plans ADD COLUMN active INTEGER NOT NULL DEFAULT 1""",
        """CREATE INDEX active_plans ON plans (id) WHERE active""",
        """CREATE TABLE planned_moves (
        plan TEXT NOT NULL,
        number INTEGER NOT NULL,
        project TEXT NOT NULL,
        queue TEXT NOT NULL,
        document TEXT NOT NULL,
        outcome TEXT,
        ending TEXT,
        PRIMARY KEY (plan, number)
    ) WITHOUT ROWID""",
        """CREATE UNIQUE INDEX planned_moves_by_queue ON planned_moves (plan, project, queue)""",
        """CREATE INDEX planned_moves_by_outcome ON planned_moves (plan, outcome, number)""",
        """CREATE INDEX moves_by_plan_and_state ON moves (plan, state, id)""",
        """CREATE INDEX tenants_by_pin ON tenants (json_extract(document, '$.pinned'), project)""",
        """CREATE INDEX tenants_by_spread ON tenants (json_extract(document, '$.spread'), project)""",
    ),
)


def _header(connection: sqlite3.Connection) -> tuple[int, int]:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return application, version


def _is_empty(connection: sqlite3.Connection) -> bool:
    return _header(connection) == (0, 0) and not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()


def _version(connection: sqlite3.Connection, path: str) -> int:
    """Return the catalog's version, 0 for an empty file. Raises WrongSchema if it is no catalog, or a later one."""
    if _is_empty(connection):
        return 0
    application, version = _header(connection)
    if application != APPLICATION_ID:
        raise WrongSchema(f"catalog {path}: the file is a SQLite database of something else")
    if not 1 <= version <= SCHEMA_VERSION:
        raise _wrong(path, version)
    return version


def _wrong(path: str, version: int) -> WrongSchema:
    return WrongSchema(f"catalog {path} has schema version {version}, this release works with {SCHEMA_VERSION}")


def check(connection: sqlite3.Connection, path: str) -> None:
    """Raise NotInitialised, WrongSchema or LoadUnfinished unless the file is a catalog of this release."""
    version = _version(connection, path)
    if version == 0:
        raise NotInitialised(f"catalog {path} is empty: it was never initialised")
    if version < SCHEMA_VERSION:
        raise WrongSchema(f"{_wrong(path, version)}; marconi-proxy catalog init upgrades it")
    _refuse_half(connection, path)


def _refuse_half(connection: sqlite3.Connection, path: str) -> None:
    """Raise LoadUnfinished if the catalog is being loaded."""
    row = connection.execute("SELECT strftime('%Y-%m-%dT%H:%M:%SZ', since) FROM loading").fetchone()
    if row is not None:
        raise LoadUnfinished(
            f"catalog {path} is being loaded from a backup since {row[0]}, or that import was interrupted: "
            "run marconi-proxy catalog import again if it is not running"
        )


def identity(connection: sqlite3.Connection, path: str) -> str:
    """Return the catalog's token. Raises CatalogUnavailable if it has none, as in earlier releases."""
    if _version(connection, path) < SCHEMA_VERSION:
        raise unavailable(path, "it has no identity yet: marconi-proxy catalog init gives it one")
    (token,) = connection.execute("SELECT token FROM identity").fetchone()
    return str(token)


def ping(connection: sqlite3.Connection) -> None:
    """Write a row that is never read."""
    connection.execute("INSERT OR REPLACE INTO pings (id, at) VALUES (1, julianday('now'))")


def init(connection: sqlite3.Connection, path: str) -> None:
    """Make the file a catalog of this version: initialise an empty file, upgrade an earlier version.

    Call it outside of a transaction; any number of processes may do so at once. Raises WrongSchema if the file has any
    other content, which stays unchanged.
    """
    if _version(connection, path) == SCHEMA_VERSION:
        return
    # A crash after this leaves an empty file in WAL mode, from which the next call continues.
    _use_wal(connection, path)
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in _STEPS[_version(connection, path) :]:  # none except for the first of several processes
            for statement in step:
                connection.execute(statement)
        plans.carry_over(connection)
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def init_if_empty(connection: sqlite3.Connection, path: str) -> None:
    """Initialise a new or empty file; leave any other unchanged."""
    if _is_empty(connection):
        init(connection, path)


def _use_wal(connection: sqlite3.Connection, path: str) -> None:
    # A change of the journal mode locks the whole file briefly, and SQLite does not call its busy handler for it. So
    # processes that initialise concurrently retry here.
    deadline = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        except sqlite3.OperationalError as error:
            busy = getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
            if not busy or time.monotonic() >= deadline:
                raise
            time.sleep(0.005)
            continue
        if mode != "wal":
            raise unavailable(path, f"SQLite cannot keep a write-ahead log there (journal mode {mode})")
        return
