"""Backups: what their lines are, and every way in which one is refused."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256

import pytest

from catalog.backup import reader
from catalog.backup.exporter import export
from catalog.backup.importer import HalfLoaded, let_lapse, load, verify
from catalog.backup.lines import end_line, header_line, kind_of, value_line
from catalog.backup.reader import Backup, BadBackup
from catalog.backup.shapes import SHAPES
from catalog.errors import CatalogUnavailable, LoadUnfinished, NotEmpty
from catalog.model import (
    KINDS,
    Ending,
    LogEntry,
    Member,
    MoveOutcome,
    MoveState,
    Partition,
    Placement,
    PlacementState,
    Tenant,
    WholePlan,
)
from tests.contract.examples import move, partition, placement, whole_plan
from tests.simulation.memory_catalog import MemoryCatalog, Store
from tests.unit.moving_world import FakeClock

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
AT = 1700000000.0
MOVE = replace(
    move("m-1"), log=(LogEntry(1.5, MoveState.PLANNED, "asked", (("attempt", 2),)),), certificate={"a": [1, None]}
)
WHOLE = whole_plan("plan-1", "orders", "news")
VALUES = [
    partition("p1"),
    Partition("p2", ("https://p2.example:8888",), region="\u00fc", labels=("b", "a"), api_versions=("v2",)),
    Tenant(""),
    Tenant("\xc3\xa9", pinned="p1"),
    placement("q", "p1", "p2", project=""),
    placement("~t", "p2", state=PlacementState.RESERVED),
    MOVE,
    WHOLE.plan,
    *WHOLE.moves,
]


def backup(lines=None) -> list[bytes]:
    """The lines of a backup of VALUES."""
    lines = [value_line(value) for value in VALUES] if lines is None else lines
    return sealed([header_line(NOW), *lines])


def sealed(lines: list[bytes]) -> list[bytes]:
    """The lines with a last one that fits."""
    counts = dict.fromkeys(KINDS, 0)
    for line in lines[1:]:
        counts[json.loads(line)["kind"]] += 1
    return [*lines, end_line(counts, sha256(b"".join(lines)).hexdigest())]


def stream(lines) -> io.BytesIO:
    return io.BytesIO(b"".join(lines))


def values_of(lines) -> list[object]:
    return [value for batch in Backup(stream(lines)).batches() for value in batch]


def nothing(seen) -> None:
    pass


async def exported(catalog) -> bytes:
    out = io.BytesIO()
    await export(catalog, out, NOW, nothing)
    return out.getvalue()


@pytest.fixture
def catalog():
    return MemoryCatalog(Store(lambda: 1700000000.0))


def test_what_is_written_is_read():
    assert values_of(backup()) == VALUES
    assert values_of(backup([])) == []


def test_lines_are_a_contract():
    assert header_line(NOW) == (
        b'{"format":"marconi-proxy catalog","schema":4,"time":"2024-05-01T12:00:00Z","version":1}\n'
    )
    assert value_line(Tenant("\xe9", pinned="p1")) == (
        b'{"kind":"tenant","value":{"pinned":"p1","project":"\\u00e9","spread":1}}\n'
    )
    assert "holder" not in json.loads(value_line(MOVE))["value"]


@pytest.mark.parametrize("value", VALUES)
def test_every_field_has_a_shape(value):
    document = json.loads(value_line(value))["value"]
    assert document.keys() == {field.removesuffix("?") for field in SHAPES[kind_of(value)]}


def test_batches_are_bounded_by_number_and_size(monkeypatch):
    monkeypatch.setattr(reader, "_BATCH", 3)
    assert [len(batch) for batch in Backup(stream(backup())).batches()] == [3, 3, 3, 1]
    monkeypatch.setattr(reader, "_BATCH_BYTES", 10)
    assert [len(batch) for batch in Backup(stream(backup())).batches()] == [1] * 10


def damaged(at, **changes):
    """Return a backup with other fields in value number ``at``; None takes one away."""
    document = json.loads(value_line(VALUES[at]))
    for field, value in changes.items():
        if value is ...:
            del document["value"][field]
        else:
            document["value"][field] = value
    lines = [value_line(value) for value in VALUES]
    lines[at] = json.dumps(document).encode() + b"\n"
    return backup(lines)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (damaged(0, weight="7"), "line 2: partition.weight: '7' is not an integer"),
        (damaged(0, weight=-7), "line 2: partition: weight: -7"),
        (damaged(0, hosts="http://p1"), "line 2: partition.hosts: is not an array"),
        (damaged(0, hosts=["http://u:secret@p1"]), "line 2: partition: hosts: a URL must not carry a user"),
        (damaged(0, state="on"), "line 2: partition.state: 'on' is not one of enabled, "),
        (damaged(0, region=7), "line 2: partition.region: 7 is not a text"),
        (damaged(2, spread=...), "line 4: tenant.spread: is missing"),
        (damaged(2, colour="red"), "line 4: tenant.colour: there is no such field"),
        (damaged(2, spread=True), "line 4: tenant.spread: True is not an integer"),
        (damaged(4, epoch=0), "line 6: placement: epoch: 0"),
        (damaged(4, segments=[7]), r"line 6: placement.segments\[0\]: is not an object"),
        (damaged(4, segments=[]), "line 6: placement: segments: a placement has at least one"),
        (damaged(4, since="now"), "line 6: placement.since: 'now' is not a number"),
        (
            damaged(4, segments=[{"n": 0, "partition": "p3", "physical": "q", "sealed": False}]),
            "line 6: placement.segments: partition 'p3' is not in this backup",
        ),
        (
            damaged(4, segments=[{"n": 0, "partition": "p1", "physical": "q", "sealed": 0}]),
            r"line 6: placement.segments\[0\].sealed: 0 is not true or false",
        ),
        (damaged(0, version=2**63), "line 2: partition.version: 9223372036854775808 is not an integer"),
        (damaged(4, epoch=2**63), "line 6: placement.epoch: 9223372036854775808 is not an integer"),
        (damaged(4, since=10**400), "line 6: placement.since: 1000"),
        (damaged(4, since=-(2**63) - 1), "line 6: placement.since: -9223372036854775809 is not a number"),
        (
            damaged(4, segments=[{"n": 0, "partition": "p1", "physical": "\ud800", "sealed": False}]),
            "line 6: placement: physical: ",
        ),
        (damaged(6, log=[{"at": 1, "state": "planned"}]), r"line 8: move.log\[0\].reason: is missing"),
        (damaged(6, facts=[1]), r"line 8: move.facts: \[1\] is not an object"),
        (damaged(6, facts={"$a": 1}), "line 8: move: facts: a key"),
        (damaged(6, source="p2"), "line 8: move: target: the queue is on p2 already"),
        (damaged(7, title="another"), "line 11: planned_move: hash: "),
        (damaged(8, queue="another"), "line 11: planned_move: hash: "),
        (damaged(7, size=1), "line 10: planned_move: hash: "),
        (damaged(7, size=3), "line 12: planned_move: some of plan 'plan-1' are missing"),
        (damaged(8, number=2), "line 10: planned_move: number 2 of plan 'plan-1' is too many"),
        (damaged(8, plan="plan-0"), "line 10: planned_move: number 0 of plan 'plan-0' is too many"),
    ],
)
def test_a_field_that_is_wrong_is_named_with_its_line(lines, words):
    with pytest.raises(BadBackup, match=f"^{words}"):
        values_of(lines)


GOOD = backup()
# The same after an import at AT.
RESTORED = backup([value_line(v.restored(AT) if isinstance(v, Placement) else v) for v in VALUES])
HEADER = json.loads(GOOD[0])


def header(**changes) -> bytes:
    return json.dumps(HEADER | changes).encode() + b"\n"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "line 1: the backup ends here"),
        ([b"\x00\xff\n"], "line 1: is not a JSON object"),
        ([b"[" * 100_000 + b"\n"], "line 1: is not a JSON object"),
        ([b'{"title": "recipes"}\n'], "line 1: format: is not 'marconi-proxy catalog'"),
        ([header(version=2), *GOOD[1:]], "line 1: version: 2 is of a later release"),
        ([header(schema=5), *GOOD[1:]], "line 1: schema: 5 is of a later release"),
        ([header(schema="3"), *GOOD[1:]], "line 1: schema: is not an integer"),
        ([header(time=None), *GOOD[1:]], "line 1: time: "),
        (GOOD[:5], "line 6: the backup ends here, without its last line: it was cut off"),
        ([*GOOD[:5], GOOD[5][:-9]], "line 6: the backup ends here"),
        ([*GOOD[:-1], GOOD[-1][:-1]], "line 12: the backup ends here"),
        ([*GOOD, b"\n"], "line 13: there is something after the last line"),
        ([*GOOD[:2], *GOOD[3:]], "line 5: placement.segments: partition 'p2' is not in this backup"),
        ([*GOOD[:3], *GOOD[4:]], "line 11: counts: are not those of the lines before"),
        ([*GOOD[:2], b'{"kind": "queue", "value": {}}\n', *GOOD[2:]], "line 3: kind: is none of partition, "),
        ([*GOOD[:2], b'{"kind": "tenant"}\n', *GOOD[2:]], "line 3: has not exactly a kind and a value"),
        ([*GOOD[:2], b"\n", *GOOD[2:]], "line 3: is not a JSON object"),
        ([*GOOD[:2], GOOD[1], *GOOD[2:]], "line 3: is there twice"),
        ([GOOD[0], GOOD[2], GOOD[1], *GOOD[3:]], "line 3: stands before what it must come after"),
        ([GOOD[0], GOOD[3], *GOOD[1:3], *GOOD[4:]], "line 3: stands before what it must come after"),
        (
            [line.replace(b'"weight":100', b'"weight":200') for line in GOOD],
            "line 12: sha256: is not that of the lines",
        ),
        (
            [*GOOD[:7], GOOD[7].replace(b'"m-1"', b'"m-0"'), *GOOD[7:]],
            "line 9: move: is not finished, like another one of the same queue",
        ),
        ([*GOOD[:1], b'{"kind": "tenant", "kind": "plan", "value": {}}\n'], "line 2: is not a JSON object"),
        ([*GOOD[:1], b'{"kind": "tenant", "value": NaN}\n'], "line 2: is not a JSON object"),
    ],
)
def test_what_is_no_whole_backup_is_refused(lines, words):
    with pytest.raises(BadBackup, match=f"^{words}"):
        values_of(lines)


def test_a_line_without_end_is_not_read_into_memory(monkeypatch):
    monkeypatch.setattr(reader, "MAX_LINE", 200)
    with pytest.raises(BadBackup, match="line 2: is longer than 200 bytes"):
        values_of([GOOD[0], b'{"' + b"x" * 1000 + b'"}\n'])


async def test_from_a_backup_to_a_catalog_and_back(catalog):
    seen = []
    lines = backup()
    counts = {"partition": 2, "tenant": 2, "placement": 2, "move": 1, "plan": 1, "planned_move": 2}
    assert await verify(stream(lines), lambda found: seen.append(found.read)) == counts
    assert seen == [sum(map(len, lines))]
    assert await load(catalog, stream(lines), AT, replace=False, seen=nothing) == counts
    assert await exported(catalog) == b"".join(RESTORED)


OF_BEFORE = {
    "id": "plan-1",
    "hash": "",
    "title": "the plan plan-1",
    "created": 1.5,
    "version": 7,
    "state": "running",
    "budgets": {"at_once": 2},
    "moves": [{"project": "project", "queue": f"q{n}", "source": "p1", "target": "p2"} for n in range(5)],
    "preconditions": {"born": ["b"] * 5, "groups": [[1, 2]], "emptied": [], "left_out_count": 0},
    "results": {
        "open": [3],
        "ended": {"0": "done", "2": "failed"},
        "reasons": {"2": "it was tried 20 times"},
        "pauses": {"0": 21.0},
        "last": 1700000000.0,
        "allowance": 2.5,
        "note": "a note",
    },
}
OF_BEFORE["hash"] = sha256(
    json.dumps(
        [OF_BEFORE[name] for name in ("id", "title", "budgets", "moves", "preconditions")],
        sort_keys=True,
        separators=(",", ":"),
    ).encode()
).hexdigest()


def of_schema_3(plan) -> list[bytes]:
    """The lines of a backup of schema version 3."""
    lines = [value_line(value) for value in VALUES[:7]]
    lines += [json.dumps({"kind": "plan", "value": plan}).encode() + b"\n"]
    lines = [header(schema=3), *lines]
    counts = {"partition": 2, "tenant": 2, "placement": 2, "move": 1, "plan": 1}
    return [*lines, end_line(counts, sha256(b"".join(lines)).hexdigest())]


async def test_a_plan_of_a_backup_of_before_is_carried_over(catalog):
    counts = await load(catalog, stream(of_schema_3(OF_BEFORE)), AT, replace=False, seen=nothing)
    assert (counts["plan"], counts["planned_move"]) == (1, 0)
    (plan,) = await catalog.plans.find(active=True, limit=9)
    progress = plan.progress
    assert (plan.size, plan.version, plan.hash) == (5, 8, OF_BEFORE["hash"])
    assert (progress.next, progress.ahead, progress.pending) == (1, (2, 3), (3,))
    assert (progress.counts, progress.pauses) == ({MoveOutcome.DONE: 1, MoveOutcome.FAILED: 1}, ((21.0, 1),))
    assert (progress.endings, progress.allowance, progress.note) == ((), 2.5, "a note")
    moves = await catalog.planned_moves.find("plan-1", limit=9)
    assert [move.group for move in moves] == [None, (1, 2), (1, 2), None, None]
    assert [move.ending for move in moves] == [
        Ending(0, MoveOutcome.DONE, "", 21.0),
        None,
        Ending(2, MoveOutcome.FAILED, "it was tried 20 times"),
        None,
        None,
    ]
    assert WholePlan(plan, tuple(moves)).preconditions == OF_BEFORE["preconditions"]
    # The export has the present form, and can be read again.
    again = MemoryCatalog(Store(lambda: 1700000000.0))
    await load(again, io.BytesIO(await exported(catalog)), AT, replace=False, seen=nothing)
    assert await exported(again) == await exported(catalog)


def test_a_plan_of_a_backup_of_before_that_was_changed_is_refused():
    with pytest.raises(BadBackup, match=r"^line 9: plan: hash: "):
        values_of(of_schema_3(OF_BEFORE | {"title": "another"}))
    with pytest.raises(BadBackup, match=r"^line 9: plan\.results: is missing"):
        values_of(of_schema_3({name: value for name, value in OF_BEFORE.items() if name != "results"}))


async def test_what_is_wrong_at_once_changes_nothing(catalog):
    await catalog.partitions.insert(partition("p1"))
    before = await exported(catalog)
    with pytest.raises(BadBackup):
        await load(catalog, stream(damaged(0, weight=-1)), AT, replace=True, seen=nothing)
    with pytest.raises(NotEmpty):
        await load(catalog, stream(GOOD), AT, replace=False, seen=nothing)
    assert await exported(catalog) == before


async def test_nobody_knows_how_far_an_emptying_went_that_was_not_answered(catalog, monkeypatch):
    async def begin_load(*, replace: bool) -> str:
        raise CatalogUnavailable("it cannot be reached")

    monkeypatch.setattr(catalog.backups, "begin_load", begin_load)
    with pytest.raises(HalfLoaded, match="may have been emptied") as caught:
        await load(catalog, stream(backup()), AT, replace=True, seen=nothing)
    assert not caught.value.emptied
    assert isinstance(caught.value.__cause__, CatalogUnavailable)


async def test_what_is_wrong_later_leaves_the_mark(catalog, monkeypatch):
    monkeypatch.setattr(reader, "_BATCH", 2)
    for lines in (GOOD[:-1], [*GOOD[:-1], GOOD[-1].replace(b'"sha256":"', b'"sha256":"0')], damaged(6, facts=[])):
        with pytest.raises(HalfLoaded) as refused:
            await load(catalog, stream(lines), AT, replace=False, seen=nothing)
        assert isinstance(refused.value.__cause__, BadBackup)
        with pytest.raises(LoadUnfinished):
            await exported(catalog)
    await load(catalog, stream(GOOD), AT, replace=False, seen=nothing)
    assert await exported(catalog) == b"".join(RESTORED)


# -- before a backup is loaded -----------------------------------------------------------------------------------------


class Watch:
    """A catalog, a clock that goes when it is waited, and what is done meanwhile: by seconds."""

    def __init__(self):
        self.clock = FakeClock()
        self.store = Store(self.clock.now)
        self.catalog = MemoryCatalog(self.store)
        self.meanwhile = {}
        self.left = []

    async def sleep(self, seconds):
        await self.clock.sleep(seconds)
        for at in [at for at in self.meanwhile if at <= self.clock.slept]:
            await self.meanwhile.pop(at)()

    async def let_lapse(self):
        await let_lapse(self.catalog, self.left.append, clock=self.clock.monotonic, sleep=self.sleep)

    async def ordered(self, id_, holder=None, seconds=15.0):
        for name in ("p1", "p2"):
            await self.catalog.partitions.insert(partition(name))
        await self.catalog.placements.insert(placement("orders", "p1"))
        await self.catalog.moves.insert(move(id_))
        if holder is not None:
            await self.catalog.moves.lock(id_).acquire(holder, seconds)


@pytest.fixture
def watch():
    return Watch()


async def test_where_nothing_is_registered_there_is_nothing_to_wait_for(watch):
    await watch.ordered("m-1")
    await watch.let_lapse()
    assert watch.clock.slept == 0.0
    assert watch.left == []


async def test_those_that_were_killed_are_removed_when_they_were_watched_for_what_they_promised(watch):
    await watch.catalog.members.register(Member("dead", lease=30.0))
    await watch.catalog.members.register(Member("dead sooner", lease=5.0))
    await watch.ordered("m-1", "mover", 15.0)
    watch.clock.set = 1e9  # however long ago they renewed by any clock on the wall
    await watch.let_lapse()
    assert await watch.catalog.members.all() == []
    assert (await watch.catalog.moves.get("m-1")).holder is None
    assert 30.0 < watch.clock.slept < 33.0
    assert watch.left[0] == 30.0
    assert watch.left == sorted(watch.left, reverse=True)
    await watch.catalog.backups.begin_load(replace=True)


async def test_a_worker_that_lives_ends_the_wait_and_nothing_is_removed(watch):
    for name in ("lives", "dead"):
        await watch.catalog.members.register(Member(name, lease=30.0))
    watch.meanwhile[3.0] = lambda: watch.catalog.members.renew(Member("lives", 1, lease=30.0))
    await watch.let_lapse()
    assert watch.clock.slept < 5.0
    assert len(await watch.catalog.members.all()) == 2


async def test_a_mover_that_lives_ends_the_wait(watch):
    await watch.ordered("m-1", "mover")
    watch.meanwhile[3.0] = lambda: watch.catalog.moves.lock("m-1").renew(1, 15.0)
    await watch.let_lapse()
    assert watch.clock.slept < 5.0
    assert (await watch.catalog.moves.get("m-1")).holder.name == "mover"


async def test_a_worker_that_registers_meanwhile_ends_the_wait(watch):
    await watch.catalog.members.register(Member("dead", lease=30.0))
    watch.meanwhile[3.0] = lambda: watch.catalog.members.register(Member("new", lease=30.0))
    await watch.let_lapse()
    assert watch.clock.slept < 5.0
    assert len(await watch.catalog.members.all()) == 2


async def test_a_worker_that_signs_off_meanwhile_is_not_waited_for(watch):
    await watch.catalog.members.register(Member("stops", lease=30.0))
    watch.meanwhile[3.0] = lambda: watch.catalog.members.remove("stops")
    await watch.let_lapse()
    assert watch.clock.slept < 5.0
    assert await watch.catalog.members.all() == []


async def test_a_worker_that_renews_just_before_it_is_removed_stays(watch):
    await watch.catalog.members.register(Member("late", lease=30.0))
    expire = watch.catalog.members.expire

    async def renewed(member):
        await watch.catalog.members.renew(Member("late", 1, lease=30.0))
        return await expire(member)

    watch.catalog.members.expire = renewed
    await watch.let_lapse()
    assert len(await watch.catalog.members.all()) == 1
