from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from catalog.model import Partition, PlacementState
from catalog.sqlite.placements import SQLitePlacements
from tests.unit.admin_api import admin_api, put_placement
from tests.unit.catalog_stage import BORN

# As the catalog sorts them.
ALL = [("", "~t"), ("", "z"), ("a", "q1"), ("a", "q2"), ("a/b", "q"), ("\u00c3\u00a9", "q")]


@pytest.fixture
async def api(tmp_path):
    async with admin_api(tmp_path) as api:
        await api.catalog.partitions.insert(Partition("p", ("http://p:8888",), region="n\u00f6rd"))
        await api.catalog.partitions.insert(Partition("other", ("http://other:8888",), region="north"))
        for project, queue in ALL:
            await put_placement(api.catalog, project, queue, "other" if queue == "q2" else "p")
        yield api


async def test_one_placement(api):
    response = await api.client.get("/v1/placements/a/q1")
    assert response.status_code == 200
    assert response.json() == {
        "project": "a",
        "queue": "q1",
        "epoch": 1,
        "state": "open",
        "segments": [{"n": 0, "partition": "p", "physical": "q1", "sealed": False}],
        "base": 0,
        "since": "2023-11-14T22:13:20.500Z",
        "group": None,
        "born": BORN,
        "move": None,
        "floor": 0,
    }


@pytest.mark.parametrize(
    ("path", "project"),
    [("-/z", None), ("-/~t", None), ("-/%7Et", None), ("a%2Fb/q", "a/b"), ("%C3%A9/q", "\u00e9"), ("id:a/q1", "a")],
)
async def test_names_of_all_spellings(api, path, project):
    response = await api.client.get(f"/v1/placements/{path}")
    assert response.status_code == 200
    assert response.json()["project"] == project


@pytest.mark.parametrize("path", ["a/q3", "id:-/z", "-/q1", "a/b/q", "a"])
async def test_what_is_not_placed_is_404(api, path):
    assert (await api.client.get(f"/v1/placements/{path}")).status_code == 404


async def pages(api, path):
    found, count = [], 0
    while True:
        response = await api.client.get(path)
        assert response.status_code == 200
        document = response.json()
        found += [(p["project"], p["queue"]) for p in document["placements"]]
        count += 1
        if not document["placements"]:
            assert document["links"] == []
            return found, count
        (link,) = document["links"]
        assert link["rel"] == "next"
        assert link["href"].startswith("/v1/placements?")
        path = link["href"]


@pytest.mark.parametrize("limit", [1, 2, 5, 1000])
async def test_pages_show_every_placement_once(api, limit):
    found, count = await pages(api, f"/v1/placements?limit={limit}")
    assert sorted(found, key=str) == sorted(
        [(None, "~t"), (None, "z"), ("a", "q1"), ("a", "q2"), ("a/b", "q"), ("\u00e9", "q")], key=str
    )
    assert count == -(-6 // limit) + 1


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("project=a", ["q1", "q2"]),
        ("project=-", ["z", "~t"]),
        ("project=id:-", []),
        ("project=a%2Fb", ["q"]),
        ("project=%C3%A9", ["q"]),
        ("project=a&partition=other", ["q2"]),
        ("partition=other", ["q2"]),
        ("project=&partition=other", ["q2"]),
        ("region=north", ["q2"]),
        ("region=n%C3%B6rd", ["z", "~t", "q1", "q", "q"]),
        ("region=north&partition=other", ["q2"]),
        ("region=north&partition=p", []),
        ("state=open", ["z", "~t", "q1", "q2", "q", "q"]),
        ("state=sealing", []),
        ("state=sealing,open&project=a", ["q1", "q2"]),
    ],
)
async def test_filters_hold_over_pages(api, query, expected):
    found, _ = await pages(api, f"/v1/placements?{query}&limit=1")
    assert [queue for _, queue in found] == expected


async def test_rare_states_are_found(api):
    deleting = replace(await put_placement(api.catalog, "a", "gone", "other"), epoch=2, state=PlacementState.DELETING)
    await api.catalog.placements.replace(deleting)
    for query in ("state=deleting", "state=deleting,sealing&region=north", "state=deleting&partition=other&project=a"):
        found, _ = await pages(api, f"/v1/placements?{query}&limit=1")
        assert found == [("a", "gone")]
    assert (await pages(api, "/v1/placements?state=deleting&partition=p"))[0] == []


@pytest.mark.parametrize(
    ("query", "count"),
    [("", 6), ("project=a", 2), ("project=-&state=open", 2), ("partition=other", 1), ("region=north&state=sealing", 0)],
)
async def test_counts(api, query, count):
    response = await api.client.get(f"/v1/placements/count?{query}")
    assert response.status_code == 200
    assert response.json() == {"count": count}


@pytest.mark.parametrize("query", ["partition=nowhere", "region=nowhere", "state=closed", "project=id:", "limit=3"])
async def test_a_wrong_parameter_of_a_count_is_400_and_names_itself(api, query):
    response = await api.client.get(f"/v1/placements/count?{query}")
    assert response.status_code == 400
    assert response.json()["description"].startswith(query.partition("=")[0] + ": ")


async def test_a_count_that_takes_too_long_says_what_to_do(tmp_path, monkeypatch):
    async def never(self, **filters):
        await asyncio.Event().wait()

    monkeypatch.setattr(SQLitePlacements, "count", never)
    async with admin_api(tmp_path, admin__count_timeout=0.05) as api:
        response = await api.client.get("/v1/placements/count")
        assert response.status_code == 503
        assert response.headers["Retry-After"] == "60"
        for words in ("0.05 seconds", "count_timeout", "Narrow", "stats"):
            assert words in response.json()["description"]


async def test_a_marker_is_a_project_and_a_queue(api):
    response = await api.client.get("/v1/placements?marker=a/q1&limit=1")
    assert [p["queue"] for p in response.json()["placements"]] == ["q2"]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=x",
        "limit=1.0",
        "limit=%D9%A3",
        "marker=x",
        "partition=nowhere",
        "region=nowhere",
        "state=closed",
        "state=open,closed",
        "project=id:",
        "partitions=p",
        "marker=a%00/b",
        "limit=" + "9" * 5000,
    ],
)
async def test_a_wrong_parameter_is_400_and_names_itself(api, query):
    response = await api.client.get(f"/v1/placements?{query}")
    assert response.status_code == 400
    if "%00" not in query:
        assert response.json()["description"].startswith(query.partition("=")[0] + ": ")


@pytest.mark.parametrize("path", ["/v1/catalogue", "/v1/catalogue/q"])
async def test_what_placements_replaced_is_404(api, path):
    assert (await api.client.get(path)).status_code == 404
