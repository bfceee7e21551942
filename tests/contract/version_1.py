"""A catalog as the releases with schema version 1 made and filled it, word for word."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from pymongo import MongoClient

from catalog.model import Partition, Placement, PlacementState, Segment

ORDERS = Placement(
    "project", "orders", 2, PlacementState.OPEN, (Segment(0, "p1", "orders"),), since=1700000001.5, group="source"
)
NEWS = Placement("", "~news", 1, PlacementState.CREATING, (Segment(0, "p2", "news"),), since=1700000002.0)
PARTITIONS = [
    Partition("p1", ("http://p1.example:8888",), api_versions=("v1", "v2")),
    Partition("p2", ("http://p2.example:8888",), weight=7, region="eu"),
]

_SQLITE = """
PRAGMA journal_mode=WAL;
BEGIN;
CREATE TABLE pings (id INTEGER PRIMARY KEY CHECK (id = 1), at REAL NOT NULL);
CREATE TABLE partitions (
        name TEXT NOT NULL PRIMARY KEY,
        version INTEGER NOT NULL,
        document TEXT NOT NULL
    ) WITHOUT ROWID;
INSERT INTO "partitions" VALUES('p1',1,'{"name": "p1", "hosts": ["http://p1.example:8888"], "weight": 100, "region": null, "labels": [], "state": "enabled", "api_versions": ["v1", "v2"], "api_versions_set": false, "version": 1}');
INSERT INTO "partitions" VALUES('p2',1,'{"name": "p2", "hosts": ["http://p2.example:8888"], "weight": 7, "region": "eu", "labels": [], "state": "enabled", "api_versions": [], "api_versions_set": false, "version": 1}');
CREATE TABLE placements (
        project TEXT NOT NULL,
        queue TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        state TEXT NOT NULL,
        document TEXT NOT NULL,
        PRIMARY KEY (project, queue)
    ) WITHOUT ROWID;
INSERT INTO "placements" VALUES('','~news',1,'creating','{"project": null, "queue": "~news", "epoch": 1, "state": "creating", "segments": [{"n": 0, "partition": "p2", "physical": "news", "sealed": false}], "base": 0, "since": 1700000002.0, "group": null}');
INSERT INTO "placements" VALUES('project','orders',2,'open','{"project": "project", "queue": "orders", "epoch": 2, "state": "open", "segments": [{"n": 0, "partition": "p1", "physical": "orders", "sealed": false}], "base": 0, "since": 1700000001.5, "group": "source"}');
CREATE TABLE placed (
        partition TEXT NOT NULL REFERENCES partitions (name),
        project TEXT NOT NULL,
        queue TEXT NOT NULL,
        PRIMARY KEY (partition, project, queue)
    ) WITHOUT ROWID;
INSERT INTO "placed" VALUES('p1','project','orders');
INSERT INTO "placed" VALUES('p2','','~news');
CREATE TABLE tenants (project TEXT NOT NULL PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "tenants" VALUES('project','{"project": "project", "spread": 1, "pinned": "p1"}');
CREATE TABLE members (
        id TEXT NOT NULL PRIMARY KEY,
        applied INTEGER NOT NULL,
        synced INTEGER NOT NULL,
        renewed REAL NOT NULL
    ) WITHOUT ROWID;
INSERT OR REPLACE INTO members (id, applied, synced, renewed) VALUES ('host/1/boot', 5, 1, julianday('now'));
CREATE TABLE changes (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        subject TEXT NOT NULL,
        name TEXT NOT NULL,
        epoch INTEGER
    );
INSERT INTO "changes" VALUES(1,'partition','["p1"]',NULL);
INSERT INTO "changes" VALUES(2,'partition','["p2"]',NULL);
INSERT INTO "changes" VALUES(3,'placement','["project", "orders"]',1);
INSERT INTO "changes" VALUES(4,'placement','["project", "orders"]',2);
INSERT INTO "changes" VALUES(5,'placement','["", "~news"]',1);
INSERT INTO "changes" VALUES(6,'tenant','["project"]',NULL);
PRAGMA application_id=1297236814;
PRAGMA user_version=1;
COMMIT;
"""  # noqa: E501

_MONGODB: dict[str, list[dict[str, Any]]] = {
    "partitions": [
        {
            "_id": "p1",
            "name": "p1",
            "hosts": ["http://p1.example:8888"],
            "weight": 100,
            "region": None,
            "labels": [],
            "state": "enabled",
            "api_versions": ["v1", "v2"],
            "api_versions_set": False,
            "version": 1,
        },
        {
            "_id": "p2",
            "name": "p2",
            "hosts": ["http://p2.example:8888"],
            "weight": 7,
            "region": "eu",
            "labels": [],
            "state": "enabled",
            "api_versions": [],
            "api_versions_set": False,
            "version": 1,
        },
    ],
    "placements": [
        {
            "_id": "project\0orders",
            "project": "project",
            "queue": "orders",
            "epoch": 2,
            "state": "open",
            "segments": [{"n": 0, "partition": "p1", "physical": "orders", "sealed": False}],
            "base": 0,
            "since": 1700000001.5,
            "group": "source",
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
        },
    ],
    "tenants": [{"_id": "project", "project": "project", "spread": 1, "pinned": "p1"}],
    "catalog": [{"_id": "schema", "version": 1}],
}


def make(uri: str) -> None:
    """Make such a catalog at ``uri``."""
    if uri.startswith("sqlite"):
        with closing(sqlite3.connect(urlsplit(uri).path[1:])) as connection:
            connection.executescript(_SQLITE)
        return
    with MongoClient(uri) as client:
        database = client.get_default_database()
        database["placements"].create_index([("segments.partition", 1), ("_id", 1)], name="partition")
        for collection, documents in _MONGODB.items():
            database[collection].insert_many([dict(document) for document in documents])
    renew_member(uri)


def renew_member(uri: str) -> None:
    """Renew a member as a worker of such a release does."""
    if uri.startswith("sqlite"):
        with closing(sqlite3.connect(urlsplit(uri).path[1:], isolation_level=None)) as connection:
            connection.execute(
                "INSERT OR REPLACE INTO members (id, applied, synced, renewed)"
                " VALUES ('host/1/boot', 5, 1, julianday('now'))"
            )
        return
    with MongoClient(uri) as client:
        stamped = {"applied": 5, "synced": True, "renewed": datetime.now(UTC)}
        client.get_default_database()["members"].update_one({"_id": "host/1/boot"}, {"$set": stamped}, upsert=True)


def replace_placement(uri: str, placement: Placement) -> None:
    """Replace a placement as a worker of such a release does: without the members that it does not know."""
    document = placement.to_json()
    del document["born"], document["move"]
    if uri.startswith("sqlite"):
        with closing(sqlite3.connect(urlsplit(uri).path[1:], isolation_level=None)) as connection:
            connection.execute(
                "UPDATE placements SET epoch = ?, state = ?, document = ? WHERE project = ? AND queue = ?",
                (placement.epoch, placement.state.value, json.dumps(document), *placement.key),
            )
            connection.execute(
                "INSERT INTO changes (subject, name, epoch) VALUES (?, ?, ?)",
                ("placement", json.dumps(placement.key), placement.epoch),
            )
        return
    with MongoClient(uri) as client:
        id_ = f"{placement.project}\0{placement.queue}"
        client.get_default_database()["placements"].replace_one({"_id": id_}, document | {"project": placement.project})
