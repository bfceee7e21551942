"""Listings: order, ranges, pages, filters, counts, and that each is one range of an index."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from pymongo import MongoClient

from catalog import Catalog
from catalog.model import Placement, PlacementState, QueueKey
from catalog.sqlite import placements as sqlite_placements
from tests.contract.examples import pages, placement, store

pytestmark = pytest.mark.slow

# Neighbours in the order of keys, chosen so that a careless separator would mix them.
PROJECTS = ["", " ", "!", "a", "a\x01", "a ", "a!", "a/", "a/b", "aa", "a~", "b", "B", "\xe9", "\xff", "\xff\xff", "~"]
QUEUES = ["0", "A", "Z", "_", "a", "a-b", "aa", "z", "~a", "~z"]


@pytest.fixture
async def everything(catalog: Catalog) -> list[Placement]:
    """Every queue in every project, spread over two partitions, sorted by key."""
    chance = random.Random(1)
    all_of_them = [
        placement(queue, *chance.sample(["p1", "p2"], chance.randint(1, 2)), project=project)
        for project in PROJECTS
        for queue in QUEUES
    ]
    await store(catalog, *chance.sample(all_of_them, len(all_of_them)))
    return sorted(all_of_them, key=lambda p: p.key)


async def test_queues_of_one_project_by_name(catalog: Catalog, everything: list[Placement]) -> None:
    for project in PROJECTS:
        listed = await catalog.list_queues(project, "", "\x7f", 100)
        assert listed == [p for p in everything if p.project == project]
        assert [p.queue for p in listed] == QUEUES


async def test_both_ends_of_a_range_are_exclusive(catalog: Catalog, everything: list[Placement]) -> None:
    listed = await catalog.list_queues("a", "A", "aa", 100)
    assert [p.queue for p in listed] == ["Z", "_", "a", "a-b"]
    assert await catalog.count_queues("a", "A", "aa") == 4
    assert [p.queue for p in await catalog.list_queues("a", "", "~", 100)] == QUEUES[:8]
    assert [p.queue for p in await catalog.list_queues("a", "~", "\x7f", 100)] == ["~a", "~z"]
    assert await catalog.list_queues("a", "z", "a", 100) == []
    assert await catalog.list_queues("a", "", "", 100) == []
    assert await catalog.list_queues("nobody", "", "\x7f", 100) == []


@pytest.mark.parametrize("limit", [0, 1, 3, 100])
async def test_limits(catalog: Catalog, everything: list[Placement], limit: int) -> None:
    assert [p.queue for p in await catalog.list_queues("a", "", "\x7f", limit)] == QUEUES[:limit]
    assert await catalog.list_placements(limit=limit) == everything[:limit]


async def test_a_marker_need_not_exist(catalog: Catalog, everything: list[Placement]) -> None:
    assert [p.queue for p in await catalog.list_queues("a", "a-", "~", 2)] == ["a-b", "aa"]
    assert await catalog.list_placements(after=QueueKey("a/a", ""), limit=1) == [
        next(p for p in everything if p.project == "a/b")
    ]


async def test_only_queues_that_exist_for_users_are_listed(catalog: Catalog) -> None:
    await store(catalog, *(placement(state.value, state=state) for state in PlacementState))
    assert [p.queue for p in await catalog.list_queues("project", "", "~", 10)] == ["open", "sealing"]
    assert await catalog.count_queues("project", "", "~") == 2
    listed = await catalog.list_placements(project="project", limit=10)
    assert [p.queue for p in listed] == ["creating", "deleting", "open", "reserved", "sealing"]


@pytest.mark.parametrize("project", [None, "", "a", "a/", "\xff", "nobody"])
@pytest.mark.parametrize("partition", [None, "p1", "p2", "p3"])
async def test_filters_and_pages_of_placements(
    catalog: Catalog, everything: list[Placement], project: str | None, partition: str | None
) -> None:
    expected = [
        p
        for p in everything
        if (project is None or p.project == project)
        and (partition is None or partition in {s.partition for s in p.segments})
    ]
    listed: list[Placement] = []
    while page := await catalog.list_placements(
        project=project, partition=partition, after=listed[-1].key if listed else None, limit=7
    ):
        listed += page
    assert listed == expected
    assert await catalog.count_placements(project=project, partition=partition) == len(expected)


async def test_after_a_key_of_another_project(catalog: Catalog, everything: list[Placement]) -> None:
    of_a = [p for p in everything if p.project == "a"]
    assert await catalog.list_placements(project="a", after=QueueKey("", "z"), limit=100) == of_a
    assert await catalog.list_placements(project="a", after=QueueKey("b", "0"), limit=100) == []
    assert await catalog.list_placements(project="a", partition="p1", after=QueueKey("b", "0"), limit=100) == []


async def test_pages_of_many_queues(catalog: Catalog) -> None:
    names = [f"queue-{n:04}" for n in range(1200)]
    await store(catalog, *(placement(name, random.Random(name).choice(["p1", "p2", "p3"])) for name in names))
    assert await pages(catalog, "project", 100) == names
    assert await pages(catalog, "project", 1000) == names
    assert await catalog.count_placements(project="project") == 1200


def _sqlite_plans(catalog: Any) -> list[str]:
    """How SQLite runs the statements of every listing and count."""
    plans = []
    path = catalog._path
    with closing(sqlite3.connect(path)) as connection:
        statements: list[str] = []
        connection.set_trace_callback(statements.append)
        after = QueueKey("a", "b")
        sqlite_placements.list_queues(connection, "a", "b", "c", 10, path)
        for project, partition in (("a", None), ("a", "p1"), (None, "p1"), (None, None)):
            sqlite_placements.list_all(connection, project, partition, after, 10, path)
            if partition or project:
                sqlite_placements.count(connection, project, partition)
        connection.set_trace_callback(None)
        for statement in statements:
            plans += [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
    return plans


async def _mongodb_plans(catalog: Catalog, uri: str) -> list[dict[str, Any]]:
    """What MongoDB's profiler says about every listing and count."""
    with MongoClient(uri) as client:
        database = client.get_default_database()
        database.command("profile", 2)
        after = QueueKey("a", "b")
        await catalog.list_queues("a", "b", "c", 10)
        for project, partition in (("a", None), ("a", "p1"), (None, "p1"), (None, None)):
            await catalog.list_placements(project=project, partition=partition, after=after, limit=10)
            await catalog.count_placements(project=project, partition=partition)
        database.command("profile", 0)
        return list(database["system.profile"].find({"ns": f"{database.name}.placements"}))


async def test_every_listing_is_one_range_of_an_index(
    catalog: Catalog, catalog_uri: str, everything: list[Placement]
) -> None:
    if catalog_uri.startswith("sqlite"):
        plans = _sqlite_plans(catalog)
        assert plans
        for plan in plans:
            assert plan.startswith("SEARCH"), plan  # neither a SCAN nor a sort
            assert "PRIMARY KEY" in plan, plan
        return
    profiles = await _mongodb_plans(catalog, catalog_uri)
    assert len(profiles) == 9
    for profile in profiles:
        assert profile["planSummary"].startswith(("IXSCAN", "COUNT_SCAN")), profile
        assert not profile.get("hasSortStage"), profile
        if "find" in profile["command"]:
            assert profile["docsExamined"] <= 10, profile
            assert profile["keysExamined"] <= 11, profile
