"""Workers are listed, and removed only when they cannot write any more, as the admin API watched on its own clock."""

from __future__ import annotations

import pytest

from catalog.errors import CatalogUnavailable
from catalog.model import Member
from catalog.sqlite.members import SQLiteMembers
from marconi_proxy.admin.members import MemberRoll, Observed
from tests.unit.admin_api import admin_api

ID = "host/7/a b"
PATH = "/v1/members/host%2F7%2Fa%20b"


class Clock:
    """The admin API's monotonic clock."""

    def __init__(self) -> None:
        self.now = 5000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    build = MemberRoll.__init__
    monkeypatch.setattr(MemberRoll, "__init__", lambda self, catalog: build(self, catalog, clock))
    return clock


@pytest.fixture
async def api(tmp_path, clock):
    async with admin_api(tmp_path) as api:
        yield api


async def test_members_say_how_long_they_may_write(api, clock):
    await api.catalog.members.register(
        Member(ID, beat=5, applied=3, synced=True, capabilities=("chains-2",), lease=30.0, late_writes=2)
    )
    assert (await api.client.get("/v1/members")).json()["members"][0]["age"] == 0.0
    clock.now += 12.0
    (member,) = (await api.client.get("/v1/members")).json()["members"]
    assert member.pop("renewed").endswith("Z")
    assert member == {
        "id": ID,
        "beat": 5,
        "applied": 3,
        "synced": True,
        "capabilities": ["chains-2"],
        "lease": 30.0,
        "late_writes": 2,
        "age": 12.0,
        "may_write_for": 18.0,
        "fresh": True,
    }


async def test_a_member_that_may_still_write_is_not_evicted(api, clock):
    await api.catalog.members.register(Member(ID, lease=30.0))
    await api.client.get("/v1/members")
    clock.now += 29.0
    response = await api.client.delete(PATH)
    assert response.status_code == 409
    description = response.json()["description"]
    assert description.startswith(f"Worker {ID} may write to queues")
    assert "for 29.0 s" in description
    assert "after another 1.0 s" in description
    assert len(await api.catalog.members.all()) == 1


async def test_a_silent_member_is_not_evicted_by_a_process_that_has_just_begun_to_watch(api, monkeypatch):
    """However long ago it renewed by any clock on the wall."""
    await api.catalog.members.register(Member(ID, lease=30.0))
    listed = SQLiteMembers.all

    async def long_ago(self):
        return [Member.from_json(m.to_json(), renewed=5.0, stamp=m.stamp) for m in await listed(self)]

    monkeypatch.setattr(SQLiteMembers, "all", long_ago)
    assert (await api.client.delete(PATH)).status_code == 409


async def test_a_member_that_is_gone_is_removed_and_again(api, clock):
    await api.catalog.members.register(Member(ID, lease=30.0))
    assert (await api.client.delete(PATH)).status_code == 409
    clock.now += 30.0
    for _ in range(2):
        assert (await api.client.delete(PATH)).status_code == 204
    assert await api.catalog.members.all() == []


async def test_a_member_that_renews_while_it_is_evicted_stays(api, clock, monkeypatch):
    await api.catalog.members.register(Member(ID, beat=1, lease=30.0))
    await api.client.get("/v1/members")
    clock.now += 31.0
    expire = SQLiteMembers.expire

    async def late(self, member):
        await api.catalog.members.renew(Member(ID, beat=2, lease=30.0))
        return await expire(self, member)

    monkeypatch.setattr(SQLiteMembers, "expire", late)
    assert (await api.client.delete(PATH)).status_code == 409
    assert len(await api.catalog.members.all()) == 1


async def test_the_admin_api_watches_all_the_time(tmp_path, clock):
    """So that a member that was killed need not be looked at twice."""
    async with admin_api(tmp_path) as api:
        await api.catalog.members.register(Member(ID, lease=30.0))
        roll = MemberRoll(api.catalog)

        async def sleep(seconds: float) -> None:
            clock.now += seconds
            if clock.now > 5040.0:
                raise EOFError

        with pytest.raises(EOFError):
            await roll.run(sleep)
        (observed,) = await roll.read()
        assert observed.silence > 30.0
        assert observed.may_write_for == 0.0


async def test_watching_goes_on_when_the_catalog_was_away(tmp_path, clock, monkeypatch):
    async with admin_api(tmp_path) as api:
        listed, failures = SQLiteMembers.all, [CatalogUnavailable("away")]

        async def failing(self):
            if failures:
                raise failures.pop()
            return await listed(self)

        roll, slept = MemberRoll(api.catalog), []
        monkeypatch.setattr(SQLiteMembers, "all", failing)

        async def sleep(seconds: float) -> None:
            slept.append(seconds)
            if len(slept) == 2:
                raise EOFError

        with pytest.raises(EOFError):
            await roll.run(sleep)
        assert failures == []


@pytest.mark.parametrize(
    ("lease", "silence", "left"), [(30.0, 12.0, 18.0), (30.0, 31.0, 0.0), (0.0, 100.0, 500.0), (0.0, 601.0, 0.0)]
)
def test_one_that_promised_nothing_is_waited_for_longer(lease, silence, left):
    assert Observed(Member(ID, lease=lease), silence).may_write_for == left


async def test_a_catalog_that_is_away_is_503(api, monkeypatch):
    async def fail(*_, **__):
        raise CatalogUnavailable("away")

    monkeypatch.setattr(SQLiteMembers, "all", fail)
    assert (await api.client.delete("/v1/members/x")).status_code == 503
