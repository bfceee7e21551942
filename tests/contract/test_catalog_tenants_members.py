"""Tenants and members."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from catalog import Catalog
from catalog.errors import NotRegistered
from catalog.model import Member, Seal, Tenant


@pytest.mark.parametrize("project", ["", "project", "a/b c", "\xe9\xff", "$set"])
async def test_tenants(catalog: Catalog, other: Catalog, project: str) -> None:
    assert await catalog.tenants.get(project) is None
    await catalog.tenants.put(Tenant(project, spread=3))
    assert await other.tenants.get(project) == Tenant(project, spread=3)
    await other.tenants.put(Tenant(project, pinned="p1"))
    assert await catalog.tenants.get(project) == Tenant(project, pinned="p1")
    await catalog.tenants.remove(project)
    await catalog.tenants.remove(project)
    assert await other.tenants.get(project) is None


async def test_tenants_are_listed_by_project(catalog: Catalog, other: Catalog) -> None:
    tenants = [
        Tenant("", pinned="p1"),
        Tenant("a", spread=3),
        Tenant("a/b", spread=3, pinned="p1"),
        Tenant("b", pinned="p2"),
        Tenant("\xe9", pinned="p1"),
    ]
    for tenant in reversed(tenants):
        await catalog.tenants.put(tenant)
    assert await other.tenants.find(limit=9) == tenants
    assert await other.tenants.find(after="", limit=2) == tenants[1:3]
    assert await other.tenants.find(pinned="p1", limit=9) == [tenants[0], tenants[2], tenants[4]]
    assert await other.tenants.find(pinned="p1", after="", limit=1) == [tenants[2]]
    assert await other.tenants.find(spread=3, limit=9) == tenants[1:3]
    assert await other.tenants.find(pinned="p1", spread=3, limit=9) == [tenants[2]]
    assert await other.tenants.find(pinned="p9", limit=9) == []
    assert await other.tenants.find(limit=0) == []
    await catalog.tenants.change("a/b", members={"pinned": "p2"})
    await catalog.tenants.remove("\xe9")
    assert await other.tenants.find(pinned="p1", limit=9) == [tenants[0]]


async def test_tenants_put_by_many_at_once(catalog: Catalog, other: Catalog) -> None:
    tenants = [Tenant("project", spread=n) for n in range(1, 21)]
    await asyncio.gather(*((catalog, other)[n % 2].tenants.put(tenant) for n, tenant in enumerate(tenants)))
    assert await catalog.tenants.get("project") in tenants


async def test_members_of_a_tenant_change_one_by_one(catalog: Catalog, other: Catalog) -> None:
    await catalog.tenants.change("project", members={"spread": 3})
    assert await other.tenants.get("project") == Tenant("project", spread=3)
    await other.tenants.change("project", members={"pinned": "p1"})
    assert await catalog.tenants.get("project") == Tenant("project", spread=3, pinned="p1")
    await catalog.tenants.change("project", members={"pinned": None})
    assert await other.tenants.get("project") == Tenant("project", spread=3)


@pytest.mark.parametrize(
    ("members", "error"), [({"spread": 0}, ValueError), ({"pinned": "p 1"}, ValueError), ({"colour": 1}, TypeError)]
)
async def test_a_tenant_is_not_changed_to_what_none_can_be(catalog: Catalog, members, error) -> None:
    await catalog.tenants.put(Tenant("project", spread=3))
    with pytest.raises(error):
        await catalog.tenants.change("project", members=members)
    assert await catalog.tenants.get("project") == Tenant("project", spread=3)


@pytest.mark.parametrize("project", ["", "project", "$set", "\xe9\xff"])
async def test_two_who_change_other_members_at_once_both_succeed(catalog: Catalog, other: Catalog, project) -> None:
    for spread in range(2, 12):
        await asyncio.gather(
            catalog.tenants.change(project, members={"spread": spread}),
            other.tenants.change(project, members={"pinned": f"p{spread}"}),
        )
        assert await catalog.tenants.get(project) == Tenant(project, spread, f"p{spread}")
        if spread % 2:
            await other.tenants.remove(project)


SEALS = frozenset({Seal("project", "orders", "b", 7), Seal("", "~topic", "", 2**40)})


async def only(catalog: Catalog) -> Member:
    [member] = await catalog.members.all()
    return member


async def test_members_are_listed_by_id_as_they_last_renewed(catalog: Catalog, other: Catalog) -> None:
    assert await catalog.members.all() == []
    await catalog.members.register(Member("host/2/$boot", 1, applied=5))
    await other.members.register(Member("host/1/boot", applied=2**62, synced=True))
    latest = Member("host/2/$boot", 2, 6, True, SEALS, ("chains-2", "a"), lease=12.5, late_writes=3)
    await catalog.members.renew(latest)
    assert await other.members.all() == [Member("host/1/boot", 0, 2**62, True), latest]
    await catalog.members.remove("host/1/boot")
    await catalog.members.remove("host/1/boot")
    assert await only(other) == latest


async def test_each_renewal_has_a_stamp_of_its_own_and_the_stores_time(catalog: Catalog, other: Catalog) -> None:
    stamps = []
    for beat in range(1, 6):
        member = Member("host/1/boot", beat)
        await (catalog.members.renew(member) if beat > 1 else catalog.members.register(member))
        seen = await only(other)
        assert abs(seen.renewed - time.time()) < 3600
        assert await only(catalog) == seen
        assert (await only(catalog)).stamp == seen.stamp
        stamps.append(seen.stamp)
    assert len(set(stamps)) == 5


async def test_a_member_that_was_removed_is_not_brought_back_by_a_renewal(catalog: Catalog, other: Catalog) -> None:
    member = Member("host/1/boot", 1)
    with pytest.raises(NotRegistered, match="host/1/boot"):
        await catalog.members.renew(member)
    assert await other.members.all() == []
    await catalog.members.register(member)
    await other.members.remove(member.id)
    with pytest.raises(NotRegistered):
        await catalog.members.renew(replace(member, beat=2))
    assert await other.members.all() == []
    await catalog.members.register(replace(member, beat=3))
    await catalog.members.renew(replace(member, beat=4))
    assert (await only(other)).beat == 4


async def test_a_renewal_that_comes_late_changes_nothing(catalog: Catalog, other: Catalog) -> None:
    await catalog.members.register(Member("host/1/boot", 1))
    latest = Member("host/1/boot", 3, acks=SEALS)
    await catalog.members.renew(latest)
    before = await only(other)
    for late in (replace(latest, beat=2, acks=frozenset()), replace(latest, acks=frozenset())):
        await other.members.renew(late)
        after = await only(other)
        assert (after, after.stamp, after.renewed) == (latest, before.stamp, before.renewed)


async def test_each_change_of_a_member_is_listed(catalog: Catalog) -> None:
    """Those that have not changed since the last listing are not decoded again."""
    stays, changes = Member("host/1/boot", 1, lease=30.0), Member("host/2/boot", 1, lease=30.0)
    for member in (stays, changes):
        await catalog.members.register(member)
    assert await catalog.members.all() == [stays, changes]
    renewed = replace(changes, beat=2, applied=7, acks=frozenset({Seal("project", "orders", "0123456789abcdef", 3)}))
    await catalog.members.renew(renewed)
    before, after = await catalog.members.all(), await catalog.members.all()
    assert before == after == [stays, renewed]
    await catalog.members.remove(stays.id)
    assert await catalog.members.all() == [renewed]


async def test_only_a_member_that_has_not_renewed_since_it_was_seen_expires(catalog: Catalog, other: Catalog) -> None:
    """However short its lease is and however long ago it renewed: that is for its observer to judge."""
    for id_ in ("brief", "stays"):
        await catalog.members.register(Member(id_, 1, lease=0.000001))
    brief, stays = await other.members.all()
    await catalog.members.renew(replace(stays, beat=2))
    assert not await other.members.expire(stays)
    assert await other.members.expire(brief)
    assert (await only(catalog)).id == "stays"
    assert await other.members.expire(brief)  # nothing to forget is success
    # A member that registers again is another one, even with the same document.
    await catalog.members.register(Member("brief", 2, lease=0.000001))
    assert not await other.members.expire(brief)
    assert [member.id for member in await catalog.members.all()] == ["brief", "stays"]


async def test_a_renewal_and_an_expiry_at_once(catalog: Catalog, other: Catalog) -> None:
    """Either the member is renewed and stays, or it is removed and learns of it."""
    for n in range(30):
        await catalog.members.register(Member("host/1/boot", 2 * n))
        seen = await only(other)
        expired, renewed = await asyncio.gather(
            other.members.expire(seen),
            catalog.members.renew(Member("host/1/boot", 2 * n + 1)),
            return_exceptions=True,
        )
        if expired:
            assert isinstance(renewed, NotRegistered)
            assert await other.members.all() == []
        else:
            assert renewed is None
            assert (await only(other)).beat == 2 * n + 1
