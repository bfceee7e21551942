"""Listings: order, ranges, pages, filters, counts, and that each is one range of an index."""

from __future__ import annotations

import itertools
import random
from itertools import product
from typing import Any

import pytest
from pymongo import MongoClient

from catalog import Catalog
from catalog.model import RARE_STATES, Placement, PlacementState, QueueKey
from tests.contract.examples import pages, partition, placement, store
from tests.contract.sqlite_work import ways

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
        listed = await catalog.placements.list_queues(project, "", "\x7f", 100)
        assert listed == [p for p in everything if p.project == project]
        assert [p.queue for p in listed] == QUEUES


async def test_both_ends_of_a_range_are_exclusive(catalog: Catalog, everything: list[Placement]) -> None:
    listed = await catalog.placements.list_queues("a", "A", "aa", 100)
    assert [p.queue for p in listed] == ["Z", "_", "a", "a-b"]
    assert await catalog.placements.count_queues("a", "A", "aa") == 4
    assert [p.queue for p in await catalog.placements.list_queues("a", "", "~", 100)] == QUEUES[:8]
    assert [p.queue for p in await catalog.placements.list_queues("a", "~", "\x7f", 100)] == ["~a", "~z"]
    assert await catalog.placements.list_queues("a", "z", "a", 100) == []
    assert await catalog.placements.list_queues("a", "", "", 100) == []
    assert await catalog.placements.list_queues("nobody", "", "\x7f", 100) == []


@pytest.mark.parametrize("limit", [0, 1, 3, 100])
async def test_limits(catalog: Catalog, everything: list[Placement], limit: int) -> None:
    assert [p.queue for p in await catalog.placements.list_queues("a", "", "\x7f", limit)] == QUEUES[:limit]
    assert await catalog.placements.find(limit=limit) == everything[:limit]


async def test_a_marker_need_not_exist(catalog: Catalog, everything: list[Placement]) -> None:
    assert [p.queue for p in await catalog.placements.list_queues("a", "a-", "~", 2)] == ["a-b", "aa"]
    assert await catalog.placements.find(after=QueueKey("a/a", ""), limit=1) == [
        next(p for p in everything if p.project == "a/b")
    ]


async def test_only_queues_that_exist_for_users_are_listed(catalog: Catalog) -> None:
    await store(catalog, *(placement(state.value, state=state) for state in PlacementState))
    assert [p.queue for p in await catalog.placements.list_queues("project", "", "~", 10)] == ["open", "sealing"]
    assert await catalog.placements.count_queues("project", "", "~") == 2
    listed = await catalog.placements.find(project="project", limit=10)
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
    partitions = None if partition is None else [partition]
    while page := await catalog.placements.find(
        project=project, partitions=partitions, after=listed[-1].key if listed else None, limit=7
    ):
        listed += page
    assert listed == expected
    assert await catalog.placements.count(project=project, partitions=partitions) == len(expected)


async def test_after_a_key_of_another_project(catalog: Catalog, everything: list[Placement]) -> None:
    of_a = [p for p in everything if p.project == "a"]
    assert await catalog.placements.find(project="a", after=QueueKey("", "z"), limit=100) == of_a
    assert await catalog.placements.find(project="a", after=QueueKey("b", "0"), limit=100) == []
    assert await catalog.placements.find(project="a", partitions=["p1"], after=QueueKey("b", "0"), limit=100) == []


async def search(
    catalog: Catalog, containing: str, *, after: str = "", before: str = "\x7f", limit: int = 100, examine: int = 100
) -> tuple[list[str], str | None]:
    found, reached = await catalog.placements.search_queues(
        "a", after, before, limit, containing=containing, examine=examine
    )
    return [p.queue for p in found], reached


async def test_a_search_finds_names_by_a_part_of_them(catalog: Catalog, everything: list[Placement]) -> None:
    assert await search(catalog, "a") == (["a", "a-b", "aa", "~a"], None)
    assert await search(catalog, "a", before="~") == (["a", "a-b", "aa"], None)
    assert await search(catalog, "A") == (["A"], None)
    assert await search(catalog, "") == (QUEUES, None)
    assert await search(catalog, "a", after="a", before="aa") == (["a-b"], None)
    assert await search(catalog, "a", after="z", before="a") == ([], None)
    found, _ = await catalog.placements.search_queues("a", "", "~", 1, containing="z", examine=100)
    assert found == [p for p in everything if p.key == ("a", "z")]


async def test_a_part_of_a_name_means_itself(catalog: Catalog, everything: list[Placement]) -> None:
    for part in ("a.b", ".", "%", "_a", "[a]", "$queue", "$", "a|z", "\0", "\ufffd", "aa-", "x" * 5000):
        assert await search(catalog, part) == ([], None)


async def test_a_search_goes_on_after_what_it_found_or_looked_at(catalog: Catalog, everything: list[Placement]) -> None:
    assert await search(catalog, "a", limit=2) == (["a", "a-b"], "a-b")
    assert await search(catalog, "a", after="a-b", limit=2) == (["aa", "~a"], "~a")
    assert await search(catalog, "a", after="~a", limit=2) == ([], None)
    assert await search(catalog, "z", examine=3) == ([], "Z")
    assert await search(catalog, "z", examine=8) == (["z"], "z")
    assert await search(catalog, "z", before="~", examine=9) == (["z"], None)
    assert await search(catalog, "z", examine=len(QUEUES)) == (["z", "~z"], "~z")
    assert await search(catalog, "Z", limit=1, examine=3) == (["Z"], "Z")


async def test_whatever_its_bounds_a_search_that_goes_on_finds_all(
    catalog: Catalog, everything: list[Placement]
) -> None:
    for limit, examine in itertools.product([1, 2, 50], [1, 2, 3, 7, 50]):
        found: list[str] = []
        after: str | None = ""
        while after is not None:
            page, after = await search(catalog, "a", after=after, limit=limit, examine=examine)
            found += page
        assert found == ["a", "a-b", "aa", "~a"], (limit, examine)


async def test_a_search_looks_at_queues_that_it_does_not_show(catalog: Catalog) -> None:
    await store(catalog, *(placement(state.value, state=state) for state in PlacementState))
    found, reached = await catalog.placements.search_queues("project", "", "~", 10, containing="e", examine=3)
    assert ([p.queue for p in found], reached) == (["open"], "open")
    found, reached = await catalog.placements.search_queues("project", "open", "~", 10, containing="e", examine=3)
    assert ([p.queue for p in found], reached) == (["sealing"], None)


async def test_pages_of_many_queues(catalog: Catalog) -> None:
    names = [f"queue-{n:04}" for n in range(1200)]
    await store(catalog, *(placement(name, random.Random(name).choice(["p1", "p2", "p3"])) for name in names))
    assert await pages(catalog, "project", 100) == names
    assert await pages(catalog, "project", 1000) == names
    assert await catalog.placements.count(project="project") == 1200
    for examine, limit, found, reached in (
        (1000, 5, [], "queue-0999"),
        (1001, 5, [], "queue-1000"),
        (1111, 5, names[1110:1111], "queue-1110"),
        (1150, 5, names[1110:1115], "queue-1114"),
        (1200, 50, names[1110:1120], "queue-1199"),
        (1201, 50, names[1110:1120], None),
    ):
        searched = await catalog.placements.search_queues("project", "", "~", limit, containing="-111", examine=examine)
        assert ([p.queue for p in searched[0]], searched[1]) == (found, reached)


FILTERED_STATES = [
    None,
    [],
    [PlacementState.OPEN],
    [PlacementState.SEALING],
    [PlacementState.DELETING, PlacementState.CREATING, PlacementState.CREATING],
    sorted(RARE_STATES),
    [PlacementState.OPEN, PlacementState.RESERVED],
    list(PlacementState),
]
FILTERED_PARTITIONS = [None, [], ["p1"], ["p2", "p1"], ["p1", "p2", "p3", "p1"], ["nowhere", "p3"]]


@pytest.fixture
async def mixed(catalog: Catalog) -> list[Placement]:
    """Queues in every state, each on some of three partitions, sorted by key."""
    chance = random.Random(2)
    all_of_them = [
        placement(
            queue,
            *chance.sample(["p1", "p2", "p3"], chance.randint(1, 3)),
            project=project,
            state=chance.choice(list(PlacementState)),
        )
        for project in ("", "a", "a/b", "b")
        for queue in QUEUES
    ]
    await store(catalog, *all_of_them)
    return sorted(all_of_them, key=lambda p: p.key)


async def test_partitions_and_states_together(catalog: Catalog, mixed: list[Placement]) -> None:
    for project, partitions, states in product((None, "a", "nobody"), FILTERED_PARTITIONS, FILTERED_STATES):
        expected = [
            p
            for p in mixed
            if (project is None or p.project == project)
            and (partitions is None or any(s.partition in partitions for s in p.segments))
            and (states is None or p.state in states)
        ]
        listed: list[Placement] = []
        while page := await catalog.placements.find(
            project=project,
            partitions=partitions,
            states=states,
            after=listed[-1].key if listed else None,
            limit=9,
        ):
            assert len(page) <= 9
            listed += page
        assert listed == expected, (project, partitions, states)
        assert len(expected) == await catalog.placements.count(project=project, partitions=partitions, states=states)


async def test_a_placement_changes_its_state(catalog: Catalog) -> None:
    await store(catalog, placement("orders", "p1", "p2"))
    sealing = {"states": [PlacementState.SEALING], "partitions": ["p1", "p2"]}
    await catalog.placements.replace(placement("orders", "p1", "p2", epoch=2, state=PlacementState.SEALING))
    assert [p.queue for p in await catalog.placements.find(limit=9, **sealing)] == ["orders"]
    assert await catalog.placements.count(**sealing) == 1
    await catalog.placements.replace(placement("orders", "p2", epoch=3))
    assert await catalog.placements.find(limit=9, **sealing) == []
    assert await catalog.placements.count(**sealing) == 0


async def test_more_partitions_than_a_server_merges(catalog: Catalog) -> None:
    names = [f"q{n:03}" for n in range(120)]
    for name in names:
        await catalog.partitions.insert(partition(name))
    placements = [placement(f"queue-{n:03}", name, names[n - 60]) for n, name in enumerate(names)]
    await store(catalog, *placements)
    assert await catalog.placements.find(partitions=names, limit=10) == placements[:10]
    assert await catalog.placements.count(partitions=names) == 120


Call = tuple[list[str] | None, list[PlacementState] | None]
CALLS: list[Call] = [
    (None, None),
    (["p1"], None),
    (["p1", "p2"], None),
    (None, [PlacementState.SEALING]),
    (None, sorted(RARE_STATES)),
    (["p1"], [PlacementState.SEALING]),
    (["p1", "p2"], sorted(RARE_STATES)),
    (None, [PlacementState.OPEN]),
    (["p1", "p2"], [PlacementState.OPEN, PlacementState.SEALING]),
]
PAGE = 10


@pytest.fixture
async def many(catalog: Catalog) -> None:
    """A thousand queues of two projects on three partitions, one in twenty in a rare state."""
    rare = sorted(RARE_STATES)
    await store(
        catalog,
        *(
            placement(
                f"queue-{n:04}",
                f"p{n % 3 + 1}",
                f"p{(n + 1) % 3 + 1}",
                project="ab"[n % 2],
                state=rare[n // 20 % 4] if n % 20 == 7 else PlacementState.OPEN,
            )
            for n in range(1000)
        ),
    )


async def _sqlite_plans(catalog: Any) -> list[str]:
    """How SQLite runs the statements of every listing and count."""

    async def all_of_them() -> None:
        after = QueueKey("a", "queue-0100")
        await catalog.placements.list_queues("a", "b", "c", PAGE)
        await catalog.placements.search_queues("a", "b", "c", PAGE, containing="b", examine=5)
        for project in ("a", None):
            for partitions, states in CALLS:
                where = {"project": project, "partitions": partitions, "states": states}
                await catalog.placements.find(**where, after=after, limit=PAGE)
                if partitions is None or len(partitions) == 1:  # else the placements must be filtered
                    await catalog.placements.count(**where)

    return [row for way in await ways(catalog, all_of_them) for row in way]


async def _mongodb_profiles(catalog: Catalog, uri: str) -> list[dict[str, Any]]:
    """Return the entries of MongoDB's profiler for every listing and count."""
    with MongoClient(uri) as client:
        database = client.get_default_database()
        database.command("profile", 2)
        after = QueueKey("a", "queue-0100")
        await catalog.placements.list_queues("a", "b", "c", PAGE)
        await catalog.placements.search_queues("a", "", "\x7f", PAGE, containing="a", examine=5)
        for project in ("a", None):
            for partitions, states in CALLS:
                await catalog.placements.find(
                    project=project, partitions=partitions, states=states, after=after, limit=PAGE
                )
                await catalog.placements.count(project=project, partitions=partitions, states=states)
        database.command("profile", 0)
        return list(database["system.profile"].find({"ns": f"{database.name}.placements"}))


async def test_every_listing_is_ranges_of_an_index(catalog: Catalog, catalog_uri: str, many: None) -> None:
    if catalog_uri.startswith("sqlite"):
        plans = await _sqlite_plans(catalog)
        assert plans
        for plan in plans:
            # Neither a SCAN nor a sort.
            assert plan.startswith("SEARCH") or plan.startswith("CORRELATED"), plan
            assert any(words in plan for words in ("PRIMARY KEY", "rare_states", "SUBQUERY")), plan
        return
    profiles = await _mongodb_profiles(catalog, catalog_uri)
    assert len(profiles) == 3 + 4 * len(CALLS)
    for profile in profiles:
        assert profile["planSummary"].startswith(("IXSCAN", "COUNT_SCAN")), profile
        assert not profile.get("hasSortStage"), profile
        if "find" in profile["command"]:
            # A page, the first of every range merged (two partitions, four states), and the few that are in none of
            # the states which are not rare.
            assert profile["docsExamined"] <= PAGE + 2, profile
            assert profile["keysExamined"] <= 2 * PAGE + 2 * 8, profile
