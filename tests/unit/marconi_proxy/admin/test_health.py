from __future__ import annotations

import asyncio
from datetime import datetime

import pytest

from catalog.errors import CatalogUnavailable
from catalog.model import Member
from catalog.sqlite.driver import SQLiteCatalog
from marconi_proxy.admin.members import MemberRoll
from tests.unit.admin_api import admin_api, put_partition, versions

ONE = {"hosts": ["http://one", "http://two"], "weight": 1}


@pytest.fixture
async def api(tmp_path):
    async with admin_api(tmp_path, {"one": versions("2")}) as api:
        yield api


async def test_health_of_an_empty_catalog(api):
    response = await api.client.get("/v1/health")
    assert response.status_code == 200
    assert response.json() == {"catalog": {"reachable": True}, "partitions": {}, "members": []}


async def test_health_shows_what_was_seen_of_every_host(api):
    await api.client.put("/v1/partitions/p", json=ONE)
    partition = (await api.client.get("/v1/health")).json()["partitions"]["p"]
    assert (partition["state"], partition["api_versions"]) == ("enabled", ["v2"])
    one, two = partition["hosts"]["http://one"], partition["hosts"]["http://two"]
    assert (one["reachable"], one["error"]) == (True, None)
    assert (two["reachable"], two["error"]) == (False, "connection refused")
    assert datetime.fromisoformat(one["checked"]).utcoffset().total_seconds() == 0


async def test_a_host_that_was_not_probed_yet(tmp_path):
    async def silent(request):
        await asyncio.Event().wait()

    async with admin_api(tmp_path, {"one": silent}) as api:
        await put_partition(api.catalog, "p", "http://one")
        hosts = (await api.client.get("/v1/health")).json()["partitions"]["p"]["hosts"]
    assert hosts == {"http://one": {"reachable": False, "error": "not probed yet", "checked": None}}


async def test_members_and_how_old_their_news_is(api):
    await api.catalog.members.register(Member("host/1/x", applied=3, synced=True))
    (member,) = (await api.client.get("/v1/health")).json()["members"]
    assert member.pop("age") + member.pop("may_write_for") == pytest.approx(600, abs=0.01)
    assert member.pop("renewed").endswith("Z")
    assert member == {
        "id": "host/1/x",
        "beat": 0,
        "synced": True,
        "applied": 3,
        "capabilities": [],
        "lease": 0.0,
        "late_writes": 0,
        "fresh": True,
    }


async def test_a_member_whose_feed_is_cut_is_not_fresh(api):
    await api.catalog.members.register(Member("host/1/x", applied=3, synced=False))
    (member,) = (await api.client.get("/v1/health")).json()["members"]
    assert (member["synced"], member["fresh"]) == (False, False)


@pytest.mark.parametrize("promised", [1.0, 0.0])
async def test_a_member_that_is_overdue_is_not_fresh(tmp_path, promised, monkeypatch):
    now = 0.0
    build = MemberRoll.__init__
    monkeypatch.setattr(MemberRoll, "__init__", lambda self, catalog: build(self, catalog, lambda: now))
    async with admin_api(tmp_path, directory__lease=1, directory__member_interval=0.1) as api:
        await api.catalog.members.register(Member("host/1/x", synced=True, lease=promised))
        fresh = [(await api.client.get("/v1/health")).json()["members"][0]["fresh"]]
        now = 1.0
        fresh.append((await api.client.get("/v1/health")).json()["members"][0]["fresh"])
    assert fresh == [True, False]


async def test_an_unreachable_catalog_is_503_with_what_is_known(api, monkeypatch):
    async def fail(*_):
        raise CatalogUnavailable("gone")

    monkeypatch.setattr(SQLiteCatalog, "ping", fail)
    response = await api.client.get("/v1/health")
    assert response.status_code == 503
    assert response.json()["catalog"] == {"reachable": False}
