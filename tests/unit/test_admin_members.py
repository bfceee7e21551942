"""Workers are listed, and forgotten only when they cannot write any more."""

from __future__ import annotations

import pytest

from catalog.model import Member, MemberSighting
from catalog.sqlite.driver import SQLiteCatalog
from marconi_proxy.admin.members import may_write_for
from tests.unit.admin_api import admin_api

ID = "host/7/a b"


@pytest.fixture
async def api(tmp_path):
    async with admin_api(tmp_path) as api:
        yield api


async def test_members_say_how_long_they_may_write(api):
    await api.catalog.renew_member(Member(ID, applied=3, synced=True, acked=2, capabilities=("chains-1",), lease=30.0))
    (member,) = (await api.client.get("/v1/members")).json()["members"]
    assert member.pop("age") + member.pop("may_write_for") == pytest.approx(30, abs=0.01)
    assert member == {
        "id": ID,
        "applied": 3,
        "synced": True,
        "acked": 2,
        "capabilities": ["chains-1"],
        "lease": 30.0,
        "holds": {},
        "fresh": True,
    }


async def test_who_may_still_write_is_not_evicted(api):
    await api.catalog.renew_member(Member(ID, lease=30.0))
    response = await api.client.delete("/v1/members/host%2F7%2Fa%20b")
    assert response.status_code == 409
    description = response.json()["description"]
    assert description.startswith(f"Worker {ID} renewed its lease 0.")
    assert "for another 29." in description or "for another 30.0" in description
    assert len(await api.catalog.list_members()) == 1


async def test_who_is_gone_is_forgotten_and_again(api, monkeypatch):
    await api.catalog.renew_member(Member(ID, lease=30.0))
    monkeypatch.setattr(MemberSighting, "silent", lambda self, idle=0.0: True)
    for _ in range(2):
        assert (await api.client.delete("/v1/members/host%2F7%2Fa%20b")).status_code == 204
    assert await api.catalog.list_members() == []


@pytest.mark.parametrize(
    ("lease", "age", "left"), [(30.0, 12.0, 18.0), (30.0, 31.0, 0.0), (0.0, 100.0, 500.0), (0.0, 601.0, 0.0)]
)
def test_one_that_promised_nothing_is_waited_for_longer(lease, age, left):
    assert may_write_for(MemberSighting(Member(ID, lease=lease), age)) == left


async def test_a_catalog_that_is_away_is_503(api, monkeypatch):
    async def fail(*_, **__):
        from catalog.errors import CatalogUnavailable

        raise CatalogUnavailable("away")

    monkeypatch.setattr(SQLiteCatalog, "evict_member", fail)
    assert (await api.client.delete("/v1/members/x")).status_code == 503
