"""Finished moves: kept for a while, removed in the order in which they ended, and in the way of nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from pymongo import MongoClient

from catalog import Catalog, open_catalog
from catalog.errors import PartitionInUse
from catalog.model import COMING_STATES, UNFINISHED_STATES, ChangeSubject, MoveState, Partition
from marconi_proxy.moving.execution.steps.interface import BUSY
from tests.contract import version_3
from tests.contract.examples import Feed, move
from tests.contract.sqlite_work import steps, ways

ENDS = (MoveState.DONE, MoveState.CANCELLED, MoveState.VOID)


async def end(catalog: Catalog, *ids: str) -> None:
    """Insert moves that wait, then finish them in this order."""
    for id_ in ids:
        await catalog.moves.insert(move(id_, f"queue-{id_}"))
    for n, id_ in enumerate(ids):
        stored = await catalog.moves.get(id_)
        assert stored is not None
        await catalog.moves.replace(replace(stored, state=ENDS[n % len(ENDS)], version=2), None)


async def ended(catalog: Catalog, *, keep: int = 0, skip: int = 0, limit: int = 100) -> list[str]:
    return [one.id for one in await catalog.moves.find_ended(keep=keep, skip=skip, limit=limit)]


async def test_they_are_in_the_order_in_which_they_ended(catalog: Catalog, other: Catalog) -> None:
    await catalog.moves.insert(move("m-0", "waits"))
    await end(catalog, "m-3", "m-1", "m-5", "m-2")
    await catalog.moves.insert(move("m-4", "past", state=MoveState.DONE))
    assert await ended(other) == ["m-3", "m-1", "m-5", "m-2", "m-4"]
    assert await ended(other, keep=2) == ["m-3", "m-1", "m-5"]
    assert await ended(other, keep=1, skip=2) == ["m-5", "m-2"]
    assert await ended(other, keep=1, skip=1, limit=2) == ["m-1", "m-5"]
    assert await ended(other, keep=5) == await ended(other, keep=9) == await ended(other, skip=5) == []
    assert await ended(other, limit=0) == []


async def test_the_order_does_not_depend_on_a_clock(catalog: Catalog) -> None:
    await end(catalog, "m-1", "m-2")
    # By a mover with a clock that is years behind.
    await catalog.moves.insert(replace(move("m-0", "behind", state=MoveState.DONE), created=1.0))
    assert await ended(catalog, keep=1) == ["m-1", "m-2"]


async def test_removed_ones_are_gone_and_others_stay(catalog: Catalog, other: Catalog) -> None:
    await end(catalog, "m-1", "m-2", "m-3")
    await catalog.moves.insert(move("m-4", "waits"))
    async with Feed(other) as feed:
        await catalog.moves.remove(["m-1", "m-3", "m-4", "m-9"])
        await catalog.moves.remove(["m-1", "m-3"])  # a repeated write
        await catalog.moves.remove([])
        await feed.until(lambda: len(feed.changes) == 2)
        assert {(one.subject, one.name, one.epoch) for one in feed.changes} == {
            (ChangeSubject.MOVE, (id_,), None) for id_ in ("m-1", "m-3")
        }
    assert await other.moves.get("m-1") is None
    assert [one.id for one in await other.moves.find(limit=9)] == ["m-2", "m-4"]
    assert await ended(other) == ["m-2"]
    await other.moves.insert(move("m-5", "queue-m-1"))


async def test_one_that_goes_on_after_all_is_not_removed(catalog: Catalog) -> None:
    await end(catalog, "m-1", "m-2")
    stored = await catalog.moves.get("m-1")
    assert stored is not None
    await catalog.moves.replace(replace(stored, state=MoveState.DRAINING, version=3), None)
    await catalog.moves.remove(["m-1"])
    assert await ended(catalog) == ["m-2"]
    assert await catalog.moves.get("m-1") is not None


async def test_two_remove_the_same(catalog: Catalog, other: Catalog) -> None:
    ids = [f"m-{n}" for n in range(20)]
    await end(catalog, *ids)
    await asyncio.gather(*(one.moves.remove(ids[n : n + 8]) for n in (0, 4, 8, 12) for one in (catalog, other)))
    assert await ended(catalog) == []
    assert await catalog.moves.find(limit=9) == []


async def test_those_of_a_backup_come_first(catalog: Catalog) -> None:
    token = await catalog.backups.begin_load(replace=True)
    await catalog.backups.load(
        token, [Partition("p1", ("http://p1.example",)), Partition("p2", ("http://p2.example",))]
    )
    await catalog.backups.load(token, [move(f"m-{n}", state=MoveState.DONE) for n in (4, 6, 8)])
    await catalog.backups.end_load(token)
    await end(catalog, "m-5")
    assert await ended(catalog) == ["m-4", "m-6", "m-8", "m-5"]
    await catalog.backups.begin_load(replace=True)
    assert await ended(catalog) == []


async def test_those_of_version_3_come_first(catalog_uri: str) -> None:
    version_3.make(catalog_uri)
    catalog = await open_catalog(catalog_uri)
    await catalog.init()
    await end(catalog, "m-1")
    assert await ended(catalog) == [version_3.DONE.id, "m-1"]
    assert await ended(catalog, keep=1) == [version_3.DONE.id]
    # By a mover of that release, which still runs.
    await asyncio.to_thread(version_3.finish_move, catalog_uri, "m-2")
    assert await ended(catalog, keep=1) == [version_3.DONE.id, "m-2"][:: 1 if catalog_uri.startswith("mongo") else -1]
    await catalog.moves.remove(["m-2"])
    assert await catalog.moves.get("m-2") is None
    await catalog.close()


# -- what they cost others -------------------------------------------------------------------------------------------

FINISHED = 2000
QUERIES: list[dict[str, Any]] = [
    {"states": UNFINISHED_STATES, "after": "m-0100"},
    {"states": BUSY},
    {"states": [MoveState.DRAINING, MoveState.LINGERING]},
    {"project": "project", "states": UNFINISHED_STATES},
    {"project": "project", "queue": "queue-7", "states": UNFINISHED_STATES},
    {"plan": "plan-1", "states": UNFINISHED_STATES},
    {"partition": "p1", "states": BUSY},
    {"partition": "p2", "states": BUSY},
    {"partition": "p1", "states": COMING_STATES, "project": "project"},
]


@pytest.fixture
async def many(catalog: Catalog) -> None:
    """Thousands of finished moves of one partition, plan and project, and three that are not."""
    token = await catalog.backups.begin_load(replace=True)
    await catalog.backups.load(
        token, [Partition("p1", ("http://p1.example",)), Partition("p2", ("http://p2.example",))]
    )
    past = [move(f"m-{n:04}", f"queue-{n % 10}", state=ENDS[n % 3], plan="plan-1") for n in range(FINISHED)]
    for n in range(0, FINISHED, 500):
        await catalog.backups.load(token, past[n : n + 500])
    states = (MoveState.PREPARING, MoveState.SEALING, MoveState.DRAINING)
    await catalog.backups.load(
        token, [move(f"n-{n}", f"queue-{n}", state=s, plan="plan-1") for n, s in enumerate(states)]
    )
    await catalog.backups.end_load(token)


async def test_every_query_of_unfinished_moves_passes_over_finished_ones(
    catalog: Catalog, catalog_uri: str, many: None
) -> None:
    for query in QUERIES:
        found = await catalog.moves.find(**query, limit=10)
        assert [one.id for one in found] == _expected(query), query
        if catalog_uri.startswith("sqlite"):
            taken = await steps(catalog, partial(catalog.moves.find, **query, limit=10))  # type: ignore[arg-type]
            assert taken < 100, (query, taken)
    if catalog_uri.startswith("sqlite"):
        assert await _sqlite_plan(catalog, QUERIES[6]) >= {"unfinished_moves_by_source", "unfinished_moves_by_target"}
    else:
        examined = await _mongodb_examined(catalog, catalog_uri)
        assert len(examined) == len(QUERIES) + 1
        assert max(examined) < 20, examined


def _expected(query: dict[str, Any]) -> list[str]:
    here = [("n-0", MoveState.PREPARING, 0), ("n-1", MoveState.SEALING, 1), ("n-2", MoveState.DRAINING, 2)]
    return [
        id_ for id_, state, n in here if state in query["states"] and query.get("queue", f"queue-{n}") == f"queue-{n}"
    ]


async def _sqlite_plan(catalog: Any, query: dict[str, Any]) -> set[str]:
    """The words of how SQLite runs the query. Fails if it reads a table or an index from end to end."""
    rows = [row for way in await ways(catalog, lambda: catalog.moves.find(**query, limit=10)) for row in way]
    assert rows
    assert not [row for row in rows if row.startswith("SCAN moves")], rows
    return {word for row in rows for word in row.split()}


async def _mongodb_examined(catalog: Catalog, uri: str) -> list[int]:
    """How many documents and keys MongoDB looked at for each query, and to see whether a partition can be removed."""
    with MongoClient(uri) as client:
        database = client.get_default_database()
        database.command("profile", 2)
        for query in QUERIES:
            await catalog.moves.find(**query, limit=10)
        with pytest.raises(PartitionInUse):
            await catalog.partitions.remove("p1")
        database.command("profile", 0)
        profiles = list(database["system.profile"].find({"ns": f"{database.name}.moves"}))
    return [max(profile["docsExamined"], profile["keysExamined"]) for profile in profiles]
