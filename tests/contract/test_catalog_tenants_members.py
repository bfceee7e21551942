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


async def test_tenants_put_by_many_at_once(catalog: Catalog, other: Catalog) -> None:
    tenants = [Tenant("project", spread=n) for n in range(1, 21)]
    await asyncio.gather(*((catalog, other)[n % 2].put_tenant(tenant) for n, tenant in enumerate(tenants)))
    assert await catalog.get_tenant("project") in tenants


async def test_members_are_listed_by_id_as_they_last_renewed(catalog: Catalog, other: Catalog) -> None:
    assert await catalog.list_members() == []
    await catalog.renew_member(Member("host/2/$boot", applied=5))
    await other.renew_member(Member("host/1/boot", applied=2**62, synced=True))
    await catalog.renew_member(Member("host/2/$boot", applied=6, synced=True))
    members = [sighting.member for sighting in await other.list_members()]
    assert members == [Member("host/1/boot", 2**62, True), Member("host/2/$boot", 6, True)]
    await catalog.remove_member("host/1/boot")
    await catalog.remove_member("host/1/boot")
    assert [sighting.member.id for sighting in await other.list_members()] == ["host/2/$boot"]


async def test_ages_grow_until_renewed(catalog: Catalog) -> None:
    await catalog.renew_member(Member("old"))
    await catalog.renew_member(Member("new"))

    async def ages() -> dict[str, float]:
        return {sighting.member.id: sighting.age for sighting in await catalog.list_members()}

    async with asyncio.timeout(PATIENCE):
        while (await ages())["old"] < 0.2:  # noqa: ASYNC110 -- the clock is the store's
            await asyncio.sleep(0.01)
    before = await ages()
    assert before["old"] >= before["new"] >= 0
    await catalog.renew_member(Member("new"))
    after = await ages()
    assert after["old"] >= before["old"]
    assert 0 <= after["new"] < after["old"]
