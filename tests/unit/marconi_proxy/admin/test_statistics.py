"""The contents of queues, as last summed up: over the admin API and as commands."""

from __future__ import annotations

import pytest

from catalog.model import StatisticsSubject, SubjectStatistics, Walk
from marconi_proxy.cli.statistics import ago
from tests.unit.admin_api import admin_api_at, put_partition
from tests.unit.cli_bridge import runner
from tests.unit.marconi_proxy.test_cli import quiet_logging  # noqa: F401 -- a fixture

PARTITION, PROJECT = StatisticsSubject
NOW = 1700000600.0


@pytest.fixture
async def api(tmp_path, monkeypatch):
    async with admin_api_at(NOW, tmp_path, monkeypatch) as api:
        yield api


@pytest.fixture
def run(api, monkeypatch, capsys, quiet_logging):  # noqa: F811
    return runner(api, monkeypatch, capsys)


def sums(
    subject: StatisticsSubject, name: str, queues: int = 3, oldest: float | None = 1700000000.5
) -> SubjectStatistics:
    return SubjectStatistics(subject, name, queues, 12, 1, oldest, 2, begun=NOW - 300, ended=NOW - 200)


SHOWN = {
    "queues": 3,
    "free": 12,
    "claimed": 1,
    "oldest": "2023-11-14T22:13:20.500Z",
    "unknown": 2,
    "begun": "2023-11-14T22:18:20.000Z",
    "ended": "2023-11-14T22:20:00.000Z",
    "age": 200.0,
}
NEVER = {"begun": None, "ended": None, "holder": None}


async def save(api, walk: Walk) -> None:
    holder = (await api.catalog.statistics.walk.acquire("host/1/a", 60)).holder
    assert holder is not None
    await api.catalog.statistics.walk.save(walk, holder.token, 60)


async def test_partitions_are_those_that_are_registered(api):
    for name in ("p1", "p2"):
        await put_partition(api.catalog, name)
    await api.catalog.statistics.put(PARTITION, [sums(PARTITION, "p1"), sums(PARTITION, "p0")], since="", until=None)
    found = (await api.client.get("/v1/statistics/partitions")).json()
    assert found == {
        "partitions": [{"partition": "p1"} | SHOWN, {"partition": "p2"} | dict.fromkeys(SHOWN)],
        "walk": NEVER,
    }
    await save(api, Walk(begun=NOW - 300))
    walk = (await api.client.get("/v1/statistics/partitions")).json()["walk"]
    assert walk == {"begun": "2023-11-14T22:18:20.000Z", "ended": None, "holder": "host/1/a"}


async def test_there_is_none(api):
    assert (await api.client.get("/v1/statistics/partitions")).json() == {"partitions": [], "walk": NEVER}
    assert (await api.client.get("/v1/statistics/projects")).json() == {"projects": [], "links": [], "walk": NEVER}


NAMES = ["", "-", "a/b c", "id:x", "proj\xc3\xa9ct", "\xff"]
JSON_NAMES = [None, "-", "a/b c", "id:x", "proj\u00e9ct", "\xff"]


@pytest.mark.parametrize("limit", [1, 2, 1000])
async def test_projects_come_in_pages(api, limit):
    await api.catalog.statistics.put(PROJECT, [sums(PROJECT, name) for name in NAMES], since="", until=None)
    found, path = [], f"/v1/statistics/projects?limit={limit}"
    while True:
        document = (await api.client.get(path)).json()
        if not document["projects"]:
            assert document["links"] == []
            break
        assert len(document["projects"]) <= limit
        found += document["projects"]
        [path] = [link["href"] for link in document["links"] if link["rel"] == "next"]
    assert found == [{"project": name} | SHOWN for name in JSON_NAMES]


@pytest.mark.parametrize(
    ("written", "name"), [("-", ""), ("id:-", "-"), ("a%2Fb%20c", "a/b c"), ("proj%C3%A9ct", "proj\xc3\xa9ct")]
)
async def test_one_project(api, written, name):
    await api.catalog.statistics.put(PROJECT, [sums(PROJECT, name), sums(PROJECT, "zz")], since="", until=None)
    document = (await api.client.get(f"/v1/statistics/projects?project={written}")).json()
    assert [one["queues"] for one in document["projects"]] == [3]
    assert document["projects"][0]["project"] != "zz"
    assert document["links"] == []


async def test_a_project_of_which_nothing_is_known(api):
    assert (await api.client.get("/v1/statistics/projects?project=x")).json()["projects"] == []


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("projects?limit=0", "limit"),
        ("projects?limit=1001", "limit"),
        ("projects?project=id:", "project"),
        ("projects?marker=id:", "marker"),
        ("projects?partition=p1", "partition"),
        ("partitions?limit=1", "limit"),
    ],
)
async def test_what_cannot_be_asked(api, query, named):
    response = await api.client.get(f"/v1/statistics/{query}")
    assert response.status_code == 400
    assert response.json()["description"].startswith(f"{named}:")


async def test_an_age_is_never_negative(api):
    late = SubjectStatistics(PROJECT, "p", begun=NOW, ended=NOW + 5)
    await api.catalog.statistics.put(PROJECT, [late], since="", until=None)
    assert (await api.client.get("/v1/statistics/projects")).json()["projects"][0]["age"] == 0


# -- commands ----------------------------------------------------------------------------------------------------------


async def test_partitions_are_shown_with_their_age(api, run):
    for name in ("p1", "p2"):
        await put_partition(api.catalog, name)
    ended = await run("stats", "partitions")
    assert ended.status == 0
    assert "Not yet computed" in ended.err
    assert "and has not begun" in ended.err
    assert ended.out.count("not yet computed") == 2
    await save(api, Walk(begun=NOW - 300))
    assert "and began at 2023-11-14T22:18:20" in (await run("stats", "partitions")).err
    await api.catalog.statistics.put(PARTITION, [sums(PARTITION, "p1")], since="", until=None)
    ended = await run("stats", "partitions")
    assert "3 min ago" in ended.out
    assert "not yet computed" in ended.out
    assert "Unknown queues could not be polled" in ended.err
    ended = await run("stats", "partitions", "-f", "json")
    assert ended.json[0] == {
        "partition": "p1",
        "queues": 3,
        "free": 12,
        "claimed": 1,
        "oldest": SHOWN["oldest"],
        "unknown": 2,
        "as_of": SHOWN["ended"],
    }
    assert ended.json[1]["as_of"] is None


async def test_projects_are_shown_to_the_limit(api, run):
    await api.catalog.statistics.put(PROJECT, [sums(PROJECT, name) for name in NAMES], since="", until=None)
    ended = await run("stats", "projects", "--limit", "2", "-f", "json")
    assert [one["project"] for one in ended.json] == [None, "-"]
    assert "--marker id:-" in ended.err
    ended = await run("stats", "projects", "--marker", "id:-", "-f", "json")
    assert [one["project"] for one in ended.json] == JSON_NAMES[2:]
    assert "--marker" not in ended.err
    ended = await run("stats", "projects", "--project", "proj\u00e9ct", "-f", "json")
    assert [one["project"] for one in ended.json] == ["proj\u00e9ct"]
    ended = await run("stats", "projects", "--project", "other", "-f", "csv")
    assert "Not yet computed" in ended.err


async def test_a_project_that_had_nothing_when_all_were_asked(api, run):
    await save(api, Walk(begun=NOW - 300, ended=NOW - 200))
    assert "last polled them, at 2023-11-14T22:20" in (await run("stats", "projects", "--project", "x")).err


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s ago"),
        (119, "119 s ago"),
        (180, "3 min ago"),
        (7199, "120 min ago"),
        (7200, "2 h ago"),
        (200000, "2 days ago"),
    ],
)
def test_how_long_ago(seconds, words):
    assert ago(seconds) == words
