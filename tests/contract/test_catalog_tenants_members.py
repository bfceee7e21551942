"""Tenants and members."""

from __future__ import annotations

import asyncio

import pytest

from catalog import Catalog
from catalog.model import Member, Tenant
from tests.contract.examples import PATIENCE


@pytest.mark.parametrize("project", ["", "project", "a/b c", "\xe9\xff", "$set"])
async def test_tenants(catalog: Catalog, other: Catalog, project: str) -> None:
    assert await catalog.get_tenant(project) is None
    await catalog.put_tenant(Tenant(project, spread=3))
    assert await other.get_tenant(project) == Tenant(project, spread=3)
    await other.put_tenant(Tenant(project, pinned="p1"))
    assert await catalog.get_tenant(project) == Tenant(project, pinned="p1")
    await catalog.remove_tenant(project)
    await catalog.remove_tenant(project)
    assert await other.get_tenant(project) is None


async def test_tenants_are_listed_by_project(catalog: Catalog, other: Catalog) -> None:
    tenants = [
        Tenant("", pinned="p1"),
        Tenant("a", spread=3),
        Tenant("a/b", spread=3, pinned="p1"),
        Tenant("b", pinned="p2"),
        Tenant("\xe9", pinned="p1"),
    ]
    for tenant in reversed(tenants):
        await catalog.put_tenant(tenant)
    assert await other.list_tenants(limit=9) == tenants
    assert await other.list_tenants(after="", limit=2) == tenants[1:3]
    assert await other.list_tenants(pinned="p1", limit=9) == [tenants[0], tenants[2], tenants[4]]
    assert await other.list_tenants(pinned="p1", after="", limit=1) == [tenants[2]]
    assert await other.list_tenants(spread=3, limit=9) == tenants[1:3]
    assert await other.list_tenants(pinned="p1", spread=3, limit=9) == [tenants[2]]
    assert await other.list_tenants(pinned="p9", limit=9) == []
    assert await other.list_tenants(limit=0) == []
    await catalog.change_tenant("a/b", members={"pinned": "p2"})
    await catalog.remove_tenant("\xe9")
    assert await other.list_tenants(pinned="p1", limit=9) == [tenants[0]]


async def test_tenants_put_by_many_at_once(catalog: Catalog, other: Catalog) -> None:
    tenants = [Tenant("project", spread=n) for n in range(1, 21)]
    await asyncio.gather(*((catalog, other)[n % 2].put_tenant(tenant) for n, tenant in enumerate(tenants)))
    assert await catalog.get_tenant("project") in tenants


async def test_members_of_a_tenant_change_one_by_one(catalog: Catalog, other: Catalog) -> None:
    await catalog.change_tenant("project", members={"spread": 3})
    assert await other.get_tenant("project") == Tenant("project", spread=3)
    await other.change_tenant("project", members={"pinned": "p1"})
    assert await catalog.get_tenant("project") == Tenant("project", spread=3, pinned="p1")
    await catalog.change_tenant("project", members={"pinned": None})
    assert await other.get_tenant("project") == Tenant("project", spread=3)


@pytest.mark.parametrize(
    ("members", "error"), [({"spread": 0}, ValueError), ({"pinned": "p 1"}, ValueError), ({"colour": 1}, TypeError)]
)
async def test_a_tenant_is_not_changed_to_what_none_can_be(catalog: Catalog, members, error) -> None:
    await catalog.put_tenant(Tenant("project", spread=3))
    with pytest.raises(error):
        await catalog.change_tenant("project", members=members)
    assert await catalog.get_tenant("project") == Tenant("project", spread=3)


@pytest.mark.parametrize("project", ["", "project", "$set", "\xe9\xff"])
async def test_two_who_change_other_members_at_once_both_succeed(catalog: Catalog, other: Catalog, project) -> None:
    for spread in range(2, 12):
        await asyncio.gather(
            catalog.change_tenant(project, members={"spread": spread}),
            other.change_tenant(project, members={"pinned": f"p{spread}"}),
        )
        assert await catalog.get_tenant(project) == Tenant(project, spread, f"p{spread}")
        if spread % 2:
            await other.remove_tenant(project)


async def test_members_are_listed_by_id_as_they_last_renewed(catalog: Catalog, other: Catalog) -> None:
    assert await catalog.list_members() == []
    await catalog.renew_member(Member("host/2/$boot", applied=5))
    await other.renew_member(Member("host/1/boot", applied=2**62, synced=True))
    latest = Member(
        "host/2/$boot", 6, True, acked=4, capabilities=("chains-1", "a"), lease=12.5, holds={"m-1": {"held": 2}}
    )
    await catalog.renew_member(latest)
    members = [sighting.member for sighting in await other.list_members()]
    assert members == [Member("host/1/boot", 2**62, True), latest]
    await catalog.remove_member("host/1/boot")
    await catalog.remove_member("host/1/boot")
    assert [sighting.member.id for sighting in await other.list_members()] == ["host/2/$boot"]


async def ages(catalog: Catalog) -> dict[str, float]:
    return {sighting.member.id: sighting.age for sighting in await catalog.list_members()}


async def test_only_a_member_that_has_been_silent_for_its_lease_is_evicted(catalog: Catalog, other: Catalog) -> None:
    brief, long, none = Member("brief", lease=0.001), Member("long", lease=3600.0), Member("none")
    for member in (brief, long, none):
        await catalog.renew_member(member)
    async with asyncio.timeout(PATIENCE):
        while min((await ages(catalog)).values()) < 0.01:  # noqa: ASYNC110 -- the clock is the store's
            await asyncio.sleep(0.002)
    for stays in (long, none):
        sighting = await other.evict_member(stays.id)
        assert sighting is not None
        assert sighting.member == stays
        assert 0 < sighting.age < 3600
    sighting = await other.evict_member("brief", idle=600.0)
    assert sighting is not None
    assert sighting.member == brief
    assert await other.evict_member("brief") is None
    assert await other.evict_member("brief") is None  # nothing to forget is success
    assert set(await ages(catalog)) == {"long", "none"}
    await catalog.renew_member(brief)
    assert set(await ages(catalog)) == {"long", "none", "brief"}


async def test_ages_grow_until_renewed(catalog: Catalog) -> None:
    await catalog.renew_member(Member("old"))
    await catalog.renew_member(Member("new"))

    async with asyncio.timeout(PATIENCE):
        while (await ages(catalog))["old"] < 0.2:  # noqa: ASYNC110 -- the clock is the store's
            await asyncio.sleep(0.01)
    before = await ages(catalog)
    assert before["old"] >= before["new"] >= 0
    await catalog.renew_member(Member("new"))
    after = await ages(catalog)
    assert after["old"] >= before["old"]
    assert 0 <= after["new"] < after["old"]
