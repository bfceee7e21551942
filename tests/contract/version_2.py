"""A catalog as the releases with schema version 2 made and filled it, word for word."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from pymongo import ASCENDING, MongoClient

from catalog.model import Holder, Move, MovePlan, MoveState, Placement, PlacementState, PlannedMove, Segment

ORDERS = Placement(
    "project",
    "orders",
    4,
    PlacementState.OPEN,
    (Segment(0, "p1", "orders", sealed=True), Segment(1, "p2", "orders")),
    incarnation="0123456789abcdef",
)
NEWS = Placement(
    "", "~news", 1, PlacementState.CREATING, (Segment(0, "p2", "news"),), since=1700000002.0, incarnation="b"
)
MOVE = Move("m-1", "project", "orders", "p1", "p2", MoveState.DRAINING, created=1700000001.0)
HOLDER = Holder("mover", 1, 1677283200000)
# As the present release carries them over.
PLAN = MovePlan(
    "plan-1",
    "the plan plan-1",
    1,
    "874b1c4765c9cc8ab4b7bbf94d921befd3e81bd71bfe8dc64cc66e9c82d6b940",
    version=2,
    budgets={"at_once": 2},
)
PLANNED_MOVE = PlannedMove("project", "orders", "p1", "p2", "plan-1", 0)

_SQLITE = """
PRAGMA journal_mode=WAL;
BEGIN;
CREATE TABLE changes (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        subject TEXT NOT NULL,
        name TEXT NOT NULL,
        epoch INTEGER
    , born TEXT);
INSERT INTO "changes" VALUES(1,'partition','["p1"]',NULL,NULL);
INSERT INTO "changes" VALUES(2,'partition','["p2"]',NULL,NULL);
INSERT INTO "changes" VALUES(3,'placement','["project", "orders"]',4,'0123456789abcdef');
INSERT INTO "changes" VALUES(4,'placement','["", "~news"]',1,'b');
INSERT INTO "changes" VALUES(5,'tenant','["project"]',NULL,NULL);
INSERT INTO "changes" VALUES(6,'move','["m-1"]',1,NULL);
INSERT INTO "changes" VALUES(7,'plan','["plan-1"]',1,NULL);
CREATE TABLE members (
        id TEXT NOT NULL PRIMARY KEY,
        applied INTEGER NOT NULL,
        synced INTEGER NOT NULL,
        renewed REAL NOT NULL
    , lease REAL NOT NULL DEFAULT 0.0, acked INTEGER NOT NULL DEFAULT 0, capabilities TEXT NOT NULL DEFAULT '[]', holds TEXT NOT NULL DEFAULT '{}') WITHOUT ROWID;
CREATE TABLE moves (
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
    ) WITHOUT ROWID;
INSERT INTO "moves" VALUES('m-1',1,'project','orders','p1','p2','draining',NULL,1,'{"id": "m-1", "project": "project", "queue": "orders", "source": "p1", "target": "p2", "state": "draining", "version": 1, "attempt": 0, "created": 1700000001.0, "log": [], "max_pause_ms": null, "pause_ms": null, "certificate": null, "plan": null, "group": [], "born": "", "toward": "p2", "tail": null, "physical": null, "due": 0.0, "facts": {}}',1,'mover',2460000.5);
CREATE TABLE partitions (
        name TEXT NOT NULL PRIMARY KEY,
        version INTEGER NOT NULL,
        document TEXT NOT NULL
    ) WITHOUT ROWID;
INSERT INTO "partitions" VALUES('p1',1,'{"name": "p1", "hosts": ["http://p1.example:8888"], "weight": 100, "region": null, "labels": [], "state": "enabled", "api_versions": ["v1", "v2"], "api_versions_set": false, "version": 1}');
INSERT INTO "partitions" VALUES('p2',1,'{"name": "p2", "hosts": ["http://p2.example:8888"], "weight": 7, "region": "eu", "labels": [], "state": "enabled", "api_versions": [], "api_versions_set": false, "version": 1}');
CREATE TABLE pings (id INTEGER PRIMARY KEY CHECK (id = 1), at REAL NOT NULL);
CREATE TABLE placed (
        partition TEXT NOT NULL REFERENCES partitions (name),
        project TEXT NOT NULL,
        queue TEXT NOT NULL,
        PRIMARY KEY (partition, project, queue)
    ) WITHOUT ROWID;
INSERT INTO "placed" VALUES('p1','project','orders');
INSERT INTO "placed" VALUES('p2','','~news');
INSERT INTO "placed" VALUES('p2','project','orders');
CREATE TABLE placements (
        project TEXT NOT NULL,
        queue TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        state TEXT NOT NULL,
        document TEXT NOT NULL,
        PRIMARY KEY (project, queue)
    ) WITHOUT ROWID;
INSERT INTO "placements" VALUES('','~news',1,'creating','{"project": null, "queue": "~news", "epoch": 1, "state": "creating", "segments": [{"n": 0, "partition": "p2", "physical": "news", "sealed": false}], "base": 0, "since": 1700000002.0, "group": null, "born": "b", "move": null}');
INSERT INTO "placements" VALUES('project','orders',4,'open','{"project": "project", "queue": "orders", "epoch": 4, "state": "open", "segments": [{"n": 0, "partition": "p1", "physical": "orders", "sealed": true}, {"n": 1, "partition": "p2", "physical": "orders", "sealed": false}], "base": 0, "since": 0.0, "group": null, "born": "0123456789abcdef", "move": null}');
CREATE TABLE plans (
        id TEXT NOT NULL PRIMARY KEY,
        version INTEGER NOT NULL,
        state TEXT NOT NULL,
        document TEXT NOT NULL
    ) WITHOUT ROWID;
INSERT INTO "plans" VALUES('plan-1',1,'planned','{"id": "plan-1", "hash": "874b1c4765c9cc8ab4b7bbf94d921befd3e81bd71bfe8dc64cc66e9c82d6b940", "title": "the plan plan-1", "created": 0.0, "version": 1, "state": "planned", "budgets": {"at_once": 2}, "moves": [{"project": "project", "queue": "orders", "source": "p1", "target": "p2"}], "preconditions": {}, "results": {}}');
CREATE TABLE tenants (project TEXT NOT NULL PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "tenants" VALUES('project','{"project": "project", "spread": 1, "pinned": "p1"}');
CREATE UNIQUE INDEX unfinished ON moves (project, queue) WHERE unfinished;
CREATE INDEX moves_by_queue ON moves (project, queue, id);
CREATE INDEX moves_by_source ON moves (source, id);
CREATE INDEX moves_by_target ON moves (target, id);
CREATE INDEX moves_by_state ON moves (state, id);
CREATE INDEX moves_by_plan ON moves (plan, id);
PRAGMA application_id=1297236814;
PRAGMA user_version=2;
COMMIT;
"""  # noqa: E501

_INDEXES: dict[str, list[tuple[str, list[str], dict[str, Any]]]] = {
    "placements": [("partition", ["segments.partition", "_id"], {})],
    "moves": [
        (
            "unfinished",
            ["project", "queue"],
            {"unique": True, "partialFilterExpression": {"unfinished": True}},
        ),
        ("queue", ["project", "queue", "_id"], {}),
        ("partition", ["partitions", "_id"], {}),
        ("state", ["state", "_id"], {}),
        ("plan", ["plan", "_id"], {}),
    ],
}
_PARTITION = {"region": None, "labels": [], "state": "enabled", "api_versions_set": False, "version": 1}
_MONGODB: dict[str, list[dict[str, Any]]] = {
    "partitions": [
        {
            "_id": "p1",
            "name": "p1",
            "hosts": ["http://p1.example:8888"],
            "weight": 100,
            **_PARTITION,
            "api_versions": ["v1", "v2"],
        },
        {
            "_id": "p2",
            "name": "p2",
            "hosts": ["http://p2.example:8888"],
            "weight": 7,
            **_PARTITION,
            "region": "eu",
            "api_versions": [],
        },
    ],
    "placements": [
        {
            "_id": "project\0orders",
            "project": "project",
            "queue": "orders",
            "epoch": 4,
            "state": "open",
            "segments": [
                {"n": 0, "partition": "p1", "physical": "orders", "sealed": True},
                {"n": 1, "partition": "p2", "physical": "orders", "sealed": False},
            ],
            "base": 0,
            "since": 0.0,
            "group": None,
            "born": "0123456789abcdef",
            "move": None,
        },
        {
            "_id": "\0~news",
            "project": "",
            "queue": "~news",
            "epoch": 1,
            "state": "creating",
            "segments": [{"n": 0, "partition": "p2", "physical": "news", "sealed": False}],
            "base": 0,
            "since": 1700000002.0,
            "group": None,
            "born": "b",
            "move": None,
        },
    ],
    "tenants": [{"_id": "project", "project": "project", "spread": 1, "pinned": "p1"}],
    "moves": [
        {
            "_id": "m-1",
            "project": "project",
            "queue": "orders",
            "source": "p1",
            "target": "p2",
            "state": "draining",
            "version": 1,
            "attempt": 0,
            "created": 1700000001.0,
            "log": [],
            "max_pause_ms": None,
            "pause_ms": None,
            "certificate": None,
            "plan": None,
            "group": [],
            "born": "",
            "toward": "p2",
            "tail": None,
            "physical": None,
            "due": 0.0,
            "facts": {},
            "partitions": ["p1", "p2"],
            "unfinished": True,
            "holder": "mover",
            "token": 1,
            "until": datetime(2023, 2, 25, tzinfo=UTC),
        }
    ],
    "plans": [
        {
            "_id": "plan-1",
            "hash": "874b1c4765c9cc8ab4b7bbf94d921befd3e81bd71bfe8dc64cc66e9c82d6b940",
            "title": "the plan plan-1",
            "created": 0.0,
            "version": 1,
            "state": "planned",
            "budgets": {"at_once": 2},
            "moves": [{"project": "project", "queue": "orders", "source": "p1", "target": "p2"}],
            "preconditions": {},
            "results": {},
        }
    ],
    "catalog": [{"_id": "schema", "version": 2}],
}


def make(uri: str) -> None:
    """Make such a catalog at ``uri``."""
    if uri.startswith("sqlite"):
        with closing(sqlite3.connect(urlsplit(uri).path[1:])) as connection:
            connection.executescript(_SQLITE)
        return
    with MongoClient(uri) as client:
        database = client.get_default_database()
        for collection, indexes in _INDEXES.items():
            for name, fields, options in indexes:
                database[collection].create_index([(field, ASCENDING) for field in fields], name=name, **options)
        for collection, documents in _MONGODB.items():
            database[collection].insert_many([dict(document) for document in documents])


def put_plan(uri: str, document: dict[str, Any]) -> None:
    """Store a plan as an admin server or mover of such a release, and of one with version 3, does."""
    if uri.startswith("sqlite"):
        with closing(sqlite3.connect(urlsplit(uri).path[1:], isolation_level=None)) as connection:
            connection.execute(
                "INSERT INTO plans (version, state, document, id) VALUES (?, ?, ?, ?)",
                (document["version"], document["state"], json.dumps(document), document["id"]),
            )
        return
    stored = {"_id": document["id"], **document}
    del stored["id"]
    with MongoClient(uri) as client:
        client.get_default_database()["plans"].insert_one(stored)


def replace_placement(uri: str, placement: Placement) -> None:
    """Replace a placement as a worker of such a release does."""
    if uri.startswith("sqlite"):
        with closing(sqlite3.connect(urlsplit(uri).path[1:], isolation_level=None)) as connection:
            connection.execute(
                "UPDATE placements SET epoch = ?, state = ?, document = ? WHERE project = ? AND queue = ?",
                (placement.epoch, placement.state.value, json.dumps(placement.to_json()), *placement.key),
            )
            connection.execute(
                "INSERT INTO changes (subject, name, epoch, born) VALUES (?, ?, ?, ?)",
                ("placement", json.dumps(placement.key), placement.epoch, placement.incarnation),
            )
        return
    document = placement.to_json() | {"project": placement.project}
    with MongoClient(uri) as client:
        id_ = f"{placement.project}\0{placement.queue}"
        client.get_default_database()["placements"].replace_one({"_id": id_}, document)
