"""A catalog as the releases with schema version 3 made and filled it, word for word.

It was made by their code: everything that such a catalog can hold is in it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from pymongo import ASCENDING, MongoClient

from catalog.model import (
    AuditState,
    Ending,
    LogEntry,
    Member,
    Move,
    MoveMeasurements,
    MoveOutcome,
    MovePlan,
    MoveProgress,
    MoveState,
    Partition,
    PartitionState,
    Placement,
    PlacementState,
    PlannedMove,
    PlanState,
    Progress,
    QueueKey,
    Segment,
    StatisticsSubject,
    SubjectStatistics,
    Tenant,
    Walk,
)

PARTITIONS = [
    Partition("p1", ("http://p1.example:8888",), inventory="http://p1.example:9888", api_versions=("v1", "v1.1", "v2")),
    Partition("p2", ("http://p2.example", "http://P2.example:8888"), weight=7, region="eu", version=3),
    # Two partitions with a host in common were accepted.
    Partition("p3", ("http://p2.example:80",), state=PartitionState.CORDONED),
]
ORDERS = Placement(
    "project",
    "orders",
    9,
    PlacementState.OPEN,
    (Segment(1, "p2", "orders", sealed=True), Segment(2, "p1", "orders-2")),
    base=1,
    incarnation="0123456789abcdef",
    move="m-2",
)
LETTERS = Placement(
    "project", "letters", 1, PlacementState.RESERVED, (Segment(0, "p1", "letters"),), group="orders", incarnation="d"
)
MAIL = Placement("project", "mail", 1, PlacementState.OPEN, (Segment(0, "p1", "mail"),), incarnation="c")
NEWS = Placement(
    "", "~news", 1, PlacementState.CREATING, (Segment(0, "p2", "~news"),), since=1700000002.0, incarnation="b"
)
PLACEMENTS = [ORDERS, LETTERS, MAIL, NEWS]
TENANT = Tenant("project", pinned="p1")
DONE = Move(
    "20240501T120000-p0001-00000",
    "project",
    "orders",
    "p1",
    "p2",
    MoveState.DONE,
    7,
    attempt=1,
    created=1714564800.0,
    log=(
        LogEntry(1714564801.0, MoveState.SEALING, "every member is there", (("attempt", 1),)),
        LogEntry(1714564802.0, MoveState.DRAINING, "switched", (("pause_ms", 12.5),)),
        LogEntry(1714564902.0, MoveState.DONE, "nothing of it is left"),
    ),
    max_pause_ms=250.0,
    pause_ms=12.5,
    certificate={"queue": "orders", "from": "p1", "to": "p2", "done_at": 1714564902.0},
    plan="20240501T120000-p0001",
    incarnation="0123456789abcdef",
    tail=0,
    backend_name="orders",
    measured=MoveMeasurements(left=0),
)
DRAINING = Move(
    "m-2",
    "project",
    "orders",
    "p2",
    "p1",
    MoveState.DRAINING,
    5,
    attempt=2,
    created=1714565000.0,
    log=(LogEntry(1714565001.0, MoveState.DRAINING, "switched", (("pause_ms", 20.0),)),),
    pause_ms=20.0,
    incarnation="0123456789abcdef",
    tail=1,
    backend_name="orders-2",
    due=1714565009.0,
    progress=MoveProgress(switched_at=1714565001.0),
    measured=MoveMeasurements(left=3),
    other_facts={"in_doubt_until": 1714565061.0},
)
BEGUN = Move(
    "20240501T120000-p0001-00001",
    "project",
    "mail",
    "p1",
    "p2",
    MoveState.PREPARING,
    2,
    created=1714565000.0,
    log=(LogEntry(1714565000.5, MoveState.PREPARING, "begun"),),
    plan="20240501T120000-p0001",
    incarnation="c",
)
MOVES = [DONE, DRAINING, BEGUN]
# As the present release carries them over.
RUNNING = MovePlan(
    "20240501T120000-p0001",
    "drain p1",
    2,
    "899fe227e77244b82d4afae0e3dbafb327ac4dad86089de453ccc716067fba16",
    created=1714564799.0,
    version=5,
    state=PlanState.RUNNING,
    budgets={"at_once": 4, "seals_per_second": 5.0, "window": None, "stop_after": 5, "max_pause_ms": 250.0},
    preconditions={
        "selection": {"kind": "drain", "subject": "p1", "to": []},
        "partitions": [{"name": "p1", "takes": True, "api_versions": ["v1", "v1.1", "v2"]}],
        "emptied": ["p1"],
        "left_out": [],
        "left_out_count": 0,
    },
    progress=Progress(2, (), (1,), (), {MoveOutcome.DONE: 1}, ((12.0, 1),), allowance=4.0),
)
PLANNED = MovePlan(
    "plan-1",
    "the plan plan-1",
    1,
    "874b1c4765c9cc8ab4b7bbf94d921befd3e81bd71bfe8dc64cc66e9c82d6b940",
    version=2,
    budgets={"at_once": 2},
)
PLANNED_MOVES = [
    PlannedMove(
        *("project", "orders", "p1", "p2", RUNNING.id, 0, "0123456789abcdef"),
        ending=Ending(0, MoveOutcome.DONE, "", 12.5),
    ),
    PlannedMove("project", "mail", "p1", "p2", RUNNING.id, 1, "c"),
    PlannedMove("project", "orders", "p1", "p2", PLANNED.id, 0),
]
PLANS = [RUNNING, PLANNED]
MEMBER = Member("host/1/boot", applied=9, synced=True, capabilities=("chains-1",), lease=30.0)
STATISTICS = [
    SubjectStatistics(StatisticsSubject.PARTITION, "p1", 2, 5, 1, 1714560000.0, 0, 1714564000.0, 1714564100.0),
    SubjectStatistics(StatisticsSubject.PROJECT, "project", 3, 7, 1, None, 1, 1714564000.0, 1714564100.0),
]
WALK = Walk(1714564000.0, None, QueueKey("project", "mail"), (STATISTICS[0],))
AUDIT = AuditState(
    1714564000.0, 1714564100.0, 1714564200.0, 4, findings={"orphan": 1}, unreachable={"p3": "it is away"}
)

_SQLITE = r"""
PRAGMA journal_mode=WAL;
BEGIN;
CREATE TABLE audits (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        document TEXT NOT NULL,
        token INTEGER NOT NULL,
        holder TEXT,
        held_until REAL
    );
INSERT INTO "audits" VALUES(1,'{"begun": 1714564000.0, "ended": 1714564100.0, "since": 1714564200.0, "queues": 4, "changed": 0, "untold": 0, "findings": {"orphan": 1}, "unseen": [{"partition": "p3", "why": "it is away"}]}',1,'mover/1/boot',2460000.5);
CREATE TABLE changes (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        subject TEXT NOT NULL,
        name TEXT NOT NULL,
        epoch INTEGER
    , born TEXT);
INSERT INTO "changes" VALUES(1,'partition','["p1"]',NULL,NULL);
INSERT INTO "changes" VALUES(2,'partition','["p2"]',NULL,NULL);
INSERT INTO "changes" VALUES(3,'partition','["p3"]',NULL,NULL);
INSERT INTO "changes" VALUES(4,'placement','["project", "orders"]',9,'0123456789abcdef');
INSERT INTO "changes" VALUES(5,'placement','["project", "letters"]',1,'d');
INSERT INTO "changes" VALUES(6,'placement','["project", "mail"]',1,'c');
INSERT INTO "changes" VALUES(7,'placement','["", "~news"]',1,'b');
INSERT INTO "changes" VALUES(8,'tenant','["project"]',NULL,NULL);
INSERT INTO "changes" VALUES(9,'move','["20240501T120000-p0001-00000"]',7,NULL);
INSERT INTO "changes" VALUES(10,'move','["m-2"]',5,NULL);
INSERT INTO "changes" VALUES(11,'move','["20240501T120000-p0001-00001"]',2,NULL);
INSERT INTO "changes" VALUES(12,'plan','["20240501T120000-p0001"]',4,NULL);
INSERT INTO "changes" VALUES(13,'plan','["plan-1"]',1,NULL);
CREATE TABLE loading (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        token TEXT NOT NULL,
        since REAL NOT NULL,
        first_token INTEGER NOT NULL
    );
CREATE TABLE members (
        id TEXT NOT NULL PRIMARY KEY,
        applied INTEGER NOT NULL,
        synced INTEGER NOT NULL,
        renewed REAL NOT NULL
    , lease REAL NOT NULL DEFAULT 0.0, acked INTEGER NOT NULL DEFAULT 0, capabilities TEXT NOT NULL DEFAULT '[]', holds TEXT NOT NULL DEFAULT '{}') WITHOUT ROWID;
INSERT INTO "members" VALUES('host/1/boot',9,1,2460000.5,30.0,8,'["chains-1"]','{"m-2": {"held": 1}}');
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
INSERT INTO "moves" VALUES('20240501T120000-p0001-00000',7,'project','orders','p1','p2','done','20240501T120000-p0001',0,'{"id": "20240501T120000-p0001-00000", "project": "project", "queue": "orders", "source": "p1", "target": "p2", "state": "done", "version": 7, "attempt": 1, "created": 1714564800.0, "log": [{"at": 1714564801.0, "state": "sealing", "reason": "every member is there", "attempt": 1}, {"at": 1714564802.0, "state": "draining", "reason": "switched", "pause_ms": 12.5}, {"at": 1714564902.0, "state": "done", "reason": "nothing of it is left"}], "max_pause_ms": 250.0, "pause_ms": 12.5, "certificate": {"queue": "orders", "from": "p1", "to": "p2", "done_at": 1714564902.0}, "plan": "20240501T120000-p0001", "group": [], "born": "0123456789abcdef", "toward": "p2", "tail": 0, "physical": "orders", "due": 0.0, "facts": {"left": 0}}',0,NULL,NULL);
INSERT INTO "moves" VALUES('20240501T120000-p0001-00001',2,'project','mail','p1','p2','preparing','20240501T120000-p0001',1,'{"id": "20240501T120000-p0001-00001", "project": "project", "queue": "mail", "source": "p1", "target": "p2", "state": "preparing", "version": 2, "attempt": 0, "created": 1714565000.0, "log": [{"at": 1714565000.5, "state": "preparing", "reason": "begun"}], "max_pause_ms": null, "pause_ms": null, "certificate": null, "plan": "20240501T120000-p0001", "group": [], "born": "c", "toward": "p2", "tail": null, "physical": null, "due": 0.0, "facts": {}}',1,'mover/2/boot',2460000.5);
INSERT INTO "moves" VALUES('m-2',5,'project','orders','p2','p1','draining',NULL,1,'{"id": "m-2", "project": "project", "queue": "orders", "source": "p2", "target": "p1", "state": "draining", "version": 5, "attempt": 2, "created": 1714565000.0, "log": [{"at": 1714565001.0, "state": "draining", "reason": "switched", "pause_ms": 20.0}], "max_pause_ms": null, "pause_ms": 20.0, "certificate": null, "plan": null, "group": [], "born": "0123456789abcdef", "toward": "p1", "tail": 1, "physical": "orders-2", "due": 1714565009.0, "facts": {"left": 3, "in_doubt_until": 1714565061.0, "switched_at": 1714565001.0}}',2,'mover/1/boot',2460000.5);
CREATE TABLE partitions (
        name TEXT NOT NULL PRIMARY KEY,
        version INTEGER NOT NULL,
        document TEXT NOT NULL
    ) WITHOUT ROWID;
INSERT INTO "partitions" VALUES('p1',1,'{"name": "p1", "hosts": ["http://p1.example:8888"], "weight": 100, "region": null, "labels": [], "state": "enabled", "api_versions": ["v1", "v1.1", "v2"], "api_versions_set": false, "inventory": "http://p1.example:9888", "version": 1}');
INSERT INTO "partitions" VALUES('p2',3,'{"name": "p2", "hosts": ["http://p2.example", "http://p2.example:8888"], "weight": 7, "region": "eu", "labels": [], "state": "enabled", "api_versions": [], "api_versions_set": false, "inventory": null, "version": 3}');
INSERT INTO "partitions" VALUES('p3',1,'{"name": "p3", "hosts": ["http://p2.example:80"], "weight": 100, "region": null, "labels": [], "state": "cordoned", "api_versions": [], "api_versions_set": false, "inventory": null, "version": 1}');
CREATE TABLE pings (id INTEGER PRIMARY KEY CHECK (id = 1), at REAL NOT NULL);
CREATE TABLE placed (
        partition TEXT NOT NULL REFERENCES partitions (name),
        project TEXT NOT NULL,
        queue TEXT NOT NULL,
        PRIMARY KEY (partition, project, queue)
    ) WITHOUT ROWID;
INSERT INTO "placed" VALUES('p1','project','letters');
INSERT INTO "placed" VALUES('p1','project','mail');
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
INSERT INTO "placements" VALUES('','~news',1,'creating','{"project": null, "queue": "~news", "epoch": 1, "state": "creating", "segments": [{"n": 0, "partition": "p2", "physical": "~news", "sealed": false}], "base": 0, "since": 1700000002.0, "group": null, "born": "b", "move": null}');
INSERT INTO "placements" VALUES('project','letters',1,'reserved','{"project": "project", "queue": "letters", "epoch": 1, "state": "reserved", "segments": [{"n": 0, "partition": "p1", "physical": "letters", "sealed": false}], "base": 0, "since": 0.0, "group": "orders", "born": "d", "move": null}');
INSERT INTO "placements" VALUES('project','mail',1,'open','{"project": "project", "queue": "mail", "epoch": 1, "state": "open", "segments": [{"n": 0, "partition": "p1", "physical": "mail", "sealed": false}], "base": 0, "since": 0.0, "group": null, "born": "c", "move": null}');
INSERT INTO "placements" VALUES('project','orders',9,'open','{"project": "project", "queue": "orders", "epoch": 9, "state": "open", "segments": [{"n": 1, "partition": "p2", "physical": "orders", "sealed": true}, {"n": 2, "partition": "p1", "physical": "orders-2", "sealed": false}], "base": 1, "since": 0.0, "group": null, "born": "0123456789abcdef", "move": "m-2"}');
CREATE TABLE plans (
        id TEXT NOT NULL PRIMARY KEY,
        version INTEGER NOT NULL,
        state TEXT NOT NULL,
        document TEXT NOT NULL
    ) WITHOUT ROWID;
INSERT INTO "plans" VALUES('20240501T120000-p0001',4,'running','{"id": "20240501T120000-p0001", "hash": "899fe227e77244b82d4afae0e3dbafb327ac4dad86089de453ccc716067fba16", "title": "drain p1", "created": 1714564799.0, "version": 4, "state": "running", "budgets": {"at_once": 4, "seals_per_second": 5.0, "window": null, "stop_after": 5, "max_pause_ms": 250.0}, "moves": [{"project": "project", "queue": "orders", "source": "p1", "target": "p2"}, {"project": "project", "queue": "mail", "source": "p1", "target": "p2"}], "preconditions": {"selection": {"kind": "drain", "subject": "p1", "to": []}, "partitions": [{"name": "p1", "takes": true, "api_versions": ["v1", "v1.1", "v2"]}], "born": ["0123456789abcdef", "c"], "emptied": ["p1"], "groups": [], "left_out": [], "left_out_count": 0}, "results": {"open": [1], "ended": {"0": "done"}, "reasons": {}, "pauses": {"0": 12.5}, "last": 1714564999.0, "allowance": 4.0, "note": null}}');
INSERT INTO "plans" VALUES('plan-1',1,'planned','{"id": "plan-1", "hash": "874b1c4765c9cc8ab4b7bbf94d921befd3e81bd71bfe8dc64cc66e9c82d6b940", "title": "the plan plan-1", "created": 0.0, "version": 1, "state": "planned", "budgets": {"at_once": 2}, "moves": [{"project": "project", "queue": "orders", "source": "p1", "target": "p2"}], "preconditions": {}, "results": {}}');
CREATE TABLE statistics (
        subject TEXT NOT NULL,
        name TEXT NOT NULL,
        document TEXT NOT NULL,
        PRIMARY KEY (subject, name)
    ) WITHOUT ROWID;
INSERT INTO "statistics" VALUES('partition','p1','{"subject": "partition", "name": "p1", "queues": 2, "free": 5, "claimed": 1, "oldest": 1714560000.0, "unknown": 0, "begun": 1714564000.0, "ended": 1714564100.0}');
INSERT INTO "statistics" VALUES('project','project','{"subject": "project", "name": "project", "queues": 3, "free": 7, "claimed": 1, "oldest": null, "unknown": 1, "begun": 1714564000.0, "ended": 1714564100.0}');
CREATE TABLE tenants (project TEXT NOT NULL PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "tenants" VALUES('project','{"project": "project", "spread": 1, "pinned": "p1"}');
CREATE TABLE walks (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        document TEXT NOT NULL,
        token INTEGER NOT NULL,
        holder TEXT,
        held_until REAL
    );
INSERT INTO "walks" VALUES(1,'{"begun": 1714564000.0, "ended": null, "after": {"project": "project", "queue": "mail"}, "partitions": [{"subject": "partition", "name": "p1", "queues": 2, "free": 5, "claimed": 1, "oldest": 1714560000.0, "unknown": 0, "begun": 1714564000.0, "ended": 1714564100.0}], "project": null}',1,'mover/1/boot',2460000.5);
CREATE UNIQUE INDEX unfinished ON moves (project, queue) WHERE unfinished;
CREATE INDEX moves_by_queue ON moves (project, queue, id);
CREATE INDEX moves_by_source ON moves (source, id);
CREATE INDEX moves_by_target ON moves (target, id);
CREATE INDEX moves_by_state ON moves (state, id);
CREATE INDEX moves_by_plan ON moves (plan, id);
CREATE INDEX placements_in_rare_states ON placements (state, project, queue) WHERE state <> 'open';
PRAGMA application_id=1297236814;
PRAGMA user_version=3;
COMMIT;
"""  # noqa: E501

_LONG_AGO = datetime(2023, 2, 25, tzinfo=UTC)
_RARE = {"state": {"$in": ["creating", "deleting", "reserved", "sealing"]}}
_INDEXES: dict[str, list[tuple[str, list[str], dict[str, Any]]]] = {
    "moves": [
        ("unfinished", ["project", "queue"], {"unique": True, "partialFilterExpression": {"unfinished": True}}),
        ("queue", ["project", "queue", "_id"], {}),
        ("partition", ["partitions", "_id"], {}),
        ("state", ["state", "_id"], {}),
        ("plan", ["plan", "_id"], {}),
    ],
    "placements": [
        ("partition", ["segments.partition", "_id"], {}),
        ("rare_state", ["state", "_id"], {"partialFilterExpression": _RARE}),
        ("rare_state_and_partition", ["state", "segments.partition", "_id"], {"partialFilterExpression": _RARE}),
    ],
}
_MONGODB: dict[str, list[dict[str, Any]]] = {
    "catalog": [{"_id": "schema", "version": 3}],
    "members": [
        {
            "_id": "host/1/boot",
            "renewed": _LONG_AGO,
            "applied": 9,
            "synced": True,
            "acked": 8,
            "capabilities": ["chains-1"],
            "lease": 30.0,
            "holds": {"m-2": {"held": 1}},
        }
    ],
    "moves": [
        {
            "_id": "20240501T120000-p0001-00000",
            "project": "project",
            "queue": "orders",
            "source": "p1",
            "target": "p2",
            "state": "done",
            "version": 7,
            "attempt": 1,
            "created": 1714564800.0,
            "log": [
                {"at": 1714564801.0, "state": "sealing", "reason": "every member is there", "attempt": 1},
                {"at": 1714564802.0, "state": "draining", "reason": "switched", "pause_ms": 12.5},
                {"at": 1714564902.0, "state": "done", "reason": "nothing of it is left"},
            ],
            "max_pause_ms": 250.0,
            "pause_ms": 12.5,
            "certificate": {"queue": "orders", "from": "p1", "to": "p2", "done_at": 1714564902.0},
            "plan": "20240501T120000-p0001",
            "group": [],
            "born": "0123456789abcdef",
            "toward": "p2",
            "tail": 0,
            "physical": "orders",
            "due": 0.0,
            "facts": {"left": 0},
            "partitions": ["p1", "p2"],
            "unfinished": False,
            "holder": None,
            "token": 0,
            "until": None,
        },
        {
            "_id": "20240501T120000-p0001-00001",
            "project": "project",
            "queue": "mail",
            "source": "p1",
            "target": "p2",
            "state": "preparing",
            "version": 2,
            "attempt": 0,
            "created": 1714565000.0,
            "log": [{"at": 1714565000.5, "state": "preparing", "reason": "begun"}],
            "max_pause_ms": None,
            "pause_ms": None,
            "certificate": None,
            "plan": "20240501T120000-p0001",
            "group": [],
            "born": "c",
            "toward": "p2",
            "tail": None,
            "physical": None,
            "due": 0.0,
            "facts": {},
            "partitions": ["p1", "p2"],
            "unfinished": True,
            "holder": "mover/2/boot",
            "token": 1,
            "until": _LONG_AGO,
        },
        {
            "_id": "m-2",
            "project": "project",
            "queue": "orders",
            "source": "p2",
            "target": "p1",
            "state": "draining",
            "version": 5,
            "attempt": 2,
            "created": 1714565000.0,
            "log": [{"at": 1714565001.0, "state": "draining", "reason": "switched", "pause_ms": 20.0}],
            "max_pause_ms": None,
            "pause_ms": 20.0,
            "certificate": None,
            "plan": None,
            "group": [],
            "born": "0123456789abcdef",
            "toward": "p1",
            "tail": 1,
            "physical": "orders-2",
            "due": 1714565009.0,
            "facts": {"left": 3, "in_doubt_until": 1714565061.0, "switched_at": 1714565001.0},
            "partitions": ["p2", "p1"],
            "unfinished": True,
            "holder": "mover/1/boot",
            "token": 2,
            "until": _LONG_AGO,
        },
    ],
    "partitions": [
        {
            "_id": "p1",
            "name": "p1",
            "hosts": ["http://p1.example:8888"],
            "weight": 100,
            "region": None,
            "labels": [],
            "state": "enabled",
            "api_versions": ["v1", "v1.1", "v2"],
            "api_versions_set": False,
            "inventory": "http://p1.example:9888",
            "version": 1,
        },
        {
            "_id": "p2",
            "name": "p2",
            "hosts": ["http://p2.example", "http://p2.example:8888"],
            "weight": 7,
            "region": "eu",
            "labels": [],
            "state": "enabled",
            "api_versions": [],
            "api_versions_set": False,
            "inventory": None,
            "version": 3,
        },
        {
            "_id": "p3",
            "name": "p3",
            "hosts": ["http://p2.example:80"],
            "weight": 100,
            "region": None,
            "labels": [],
            "state": "cordoned",
            "api_versions": [],
            "api_versions_set": False,
            "inventory": None,
            "version": 1,
        },
    ],
    "placements": [
        {
            "_id": "\0~news",
            "project": "",
            "queue": "~news",
            "epoch": 1,
            "state": "creating",
            "segments": [{"n": 0, "partition": "p2", "physical": "~news", "sealed": False}],
            "base": 0,
            "since": 1700000002.0,
            "group": None,
            "born": "b",
            "move": None,
        },
        {
            "_id": "project\0letters",
            "project": "project",
            "queue": "letters",
            "epoch": 1,
            "state": "reserved",
            "segments": [{"n": 0, "partition": "p1", "physical": "letters", "sealed": False}],
            "base": 0,
            "since": 0.0,
            "group": "orders",
            "born": "d",
            "move": None,
        },
        {
            "_id": "project\0mail",
            "project": "project",
            "queue": "mail",
            "epoch": 1,
            "state": "open",
            "segments": [{"n": 0, "partition": "p1", "physical": "mail", "sealed": False}],
            "base": 0,
            "since": 0.0,
            "group": None,
            "born": "c",
            "move": None,
        },
        {
            "_id": "project\0orders",
            "project": "project",
            "queue": "orders",
            "epoch": 9,
            "state": "open",
            "segments": [
                {"n": 1, "partition": "p2", "physical": "orders", "sealed": True},
                {"n": 2, "partition": "p1", "physical": "orders-2", "sealed": False},
            ],
            "base": 1,
            "since": 0.0,
            "group": None,
            "born": "0123456789abcdef",
            "move": "m-2",
        },
    ],
    "plans": [
        {
            "_id": "20240501T120000-p0001",
            "hash": "899fe227e77244b82d4afae0e3dbafb327ac4dad86089de453ccc716067fba16",
            "title": "drain p1",
            "created": 1714564799.0,
            "version": 4,
            "state": "running",
            "budgets": {"at_once": 4, "seals_per_second": 5.0, "window": None, "stop_after": 5, "max_pause_ms": 250.0},
            "moves": [
                {"project": "project", "queue": "orders", "source": "p1", "target": "p2"},
                {"project": "project", "queue": "mail", "source": "p1", "target": "p2"},
            ],
            "preconditions": {
                "selection": {"kind": "drain", "subject": "p1", "to": []},
                "partitions": [{"name": "p1", "takes": True, "api_versions": ["v1", "v1.1", "v2"]}],
                "born": ["0123456789abcdef", "c"],
                "emptied": ["p1"],
                "groups": [],
                "left_out": [],
                "left_out_count": 0,
            },
            "results": {
                "open": [1],
                "ended": {"0": "done"},
                "reasons": {},
                "pauses": {"0": 12.5},
                "last": 1714564999.0,
                "allowance": 4.0,
                "note": None,
            },
        },
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
        },
    ],
    "statistics": [
        {
            "_id": "partition\0p1",
            "subject": "partition",
            "name": "p1",
            "queues": 2,
            "free": 5,
            "claimed": 1,
            "oldest": 1714560000.0,
            "unknown": 0,
            "begun": 1714564000.0,
            "ended": 1714564100.0,
        },
        {
            "_id": "project\0project",
            "subject": "project",
            "name": "project",
            "queues": 3,
            "free": 7,
            "claimed": 1,
            "oldest": None,
            "unknown": 1,
            "begun": 1714564000.0,
            "ended": 1714564100.0,
        },
    ],
    "tenants": [{"_id": "project", "project": "project", "spread": 1, "pinned": "p1"}],
    "walks": [
        {
            "_id": "audit",
            "begun": 1714564000.0,
            "ended": 1714564100.0,
            "since": 1714564200.0,
            "queues": 4,
            "changed": 0,
            "untold": 0,
            "findings": {"orphan": 1},
            "unseen": [{"partition": "p3", "why": "it is away"}],
            "holder": "mover/1/boot",
            "token": 1,
            "until": _LONG_AGO,
        },
        {
            "_id": "walk",
            "begun": 1714564000.0,
            "ended": None,
            "after": {"project": "project", "queue": "mail"},
            "partitions": [
                {
                    "subject": "partition",
                    "name": "p1",
                    "queues": 2,
                    "free": 5,
                    "claimed": 1,
                    "oldest": 1714560000.0,
                    "unknown": 0,
                    "begun": 1714564000.0,
                    "ended": 1714564100.0,
                }
            ],
            "project": None,
            "holder": "mover/1/boot",
            "token": 1,
            "until": _LONG_AGO,
        },
    ],
}


def make(uri: str) -> None:
    """Make such a catalog at ``uri``. Every lock in it ended long ago, and the member's last renewal is as old."""
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


@contextmanager
def _sqlite(uri: str) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(urlsplit(uri).path[1:], isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys=ON")
        yield connection


def renew_member(uri: str, member: Member) -> None:
    """Renew a member as a worker of such a release does, which also registers by it, and acknowledges a position."""
    document = {
        "applied": member.applied,
        "synced": member.synced,
        "acked": member.applied,
        "capabilities": list(member.capabilities),
        "lease": member.lease,
        "holds": {},
    }
    if uri.startswith("sqlite"):
        columns = {**document, "capabilities": json.dumps(document["capabilities"]), "holds": "{}"}
        with _sqlite(uri) as connection:
            connection.execute(
                f"INSERT OR REPLACE INTO members (id, {', '.join(columns)}, renewed)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, julianday('now'))",
                (member.id, *columns.values()),
            )
        return
    stamped = {"renewed": "$$NOW", **{name: {"$literal": value} for name, value in document.items()}}
    with MongoClient(uri) as client:
        members = client.get_default_database()["members"]
        members.update_one({"_id": member.id}, [{"$set": stamped}], upsert=True)


def take_move(uri: str, move_id: str, holder: str, seconds: float) -> bool:
    """Lock a move as a mover of such a release does; return whether no other mover held it."""
    if uri.startswith("sqlite"):
        with _sqlite(uri) as connection:
            taken = connection.execute(
                "UPDATE moves SET holder = ?, token = token + 1, held_until = julianday('now') + ? / 86400.0"
                " WHERE id = ? AND (held_until IS NULL OR held_until <= julianday('now') OR holder = ?)",
                (holder, seconds, move_id, holder),
            )
            return bool(taken.rowcount)
    hold = {"holder": {"$literal": holder}, "token": {"$add": ["$token", 1]}, "until": _from_now(seconds)}
    free = {"_id": move_id, "$or": [{"$expr": {"$not": [_HELD]}}, {"holder": holder}]}
    with MongoClient(uri) as client:
        return bool(client.get_default_database()["moves"].update_one(free, [{"$set": hold}]).matched_count)


def renew_move(uri: str, move_id: str, token: int, seconds: float) -> bool:
    """Prolong a hold as a mover of such a release does; return whether it lasted."""
    if uri.startswith("sqlite"):
        with _sqlite(uri) as connection:
            renewed = connection.execute(
                "UPDATE moves SET held_until = julianday('now') + ? / 86400.0"
                " WHERE id = ? AND token = ? AND held_until > julianday('now')",
                (seconds, move_id, token),
            )
            return bool(renewed.rowcount)
    held = {"_id": move_id, "token": token, "$expr": _HELD}
    with MongoClient(uri) as client:
        moves = client.get_default_database()["moves"]
        return bool(moves.update_one(held, [{"$set": {"until": _from_now(seconds)}}]).matched_count)


_HELD = {"$gt": ["$until", "$$NOW"]}


def _from_now(seconds: float) -> dict[str, Any]:
    return {"$add": ["$$NOW", round(seconds * 1000)]}


def finish_move(uri: str, move_id: str) -> None:
    """Call a move done, as a mover of such a release does."""
    if uri.startswith("sqlite"):
        with _sqlite(uri) as connection:
            connection.execute("UPDATE moves SET state = 'done', unfinished = 0 WHERE id = ?", (move_id,))
        return
    with MongoClient(uri) as client:
        done = {"$set": {"state": "done", "unfinished": False}}
        client.get_default_database()["moves"].update_one({"_id": move_id}, done)


def insert_partition(uri: str, partition: Partition) -> None:
    """Register a partition as the admin API of such a release does."""
    if uri.startswith("sqlite"):
        with _sqlite(uri) as connection:
            connection.execute(
                "INSERT INTO partitions (version, document, name) VALUES (?, ?, ?)",
                (partition.version, json.dumps(partition.to_json()), partition.name),
            )
            connection.execute(
                "INSERT INTO changes (subject, name) VALUES (?, ?)", ("partition", json.dumps([partition.name]))
            )
        return
    with MongoClient(uri) as client:
        client.get_default_database()["partitions"].insert_one({"_id": partition.name, **partition.to_json()})
