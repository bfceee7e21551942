"""A catalog that an earlier release made: refused until it is initialised again, then as good as new."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from catalog import Catalog, open_catalog
from catalog.errors import Conflict, WrongSchema
from catalog.interface import SCHEMA_VERSION
from catalog.model import Member, PlacementState, Tenant
from tests.contract import racing, version_1, version_2
from tests.contract.examples import Feed, move, placement
from tests.contract.version_1 import NEWS, ORDERS, PARTITIONS


@pytest.fixture
def old_uri(catalog_uri: str) -> str:
    version_1.make(catalog_uri)
    return catalog_uri


@pytest.fixture
async def upgraded(old_uri: str) -> AsyncIterator[Catalog]:
    catalog = await open_catalog(old_uri)
    await catalog.init()
    yield catalog
    await catalog.close()


async def test_check_says_what_to_do(old_uri: str) -> None:
    catalog = await open_catalog(old_uri)
    with pytest.raises(WrongSchema, match=f"version 1, this .* {SCHEMA_VERSION}; marconi-proxy catalog init"):
        await catalog.check()
    await catalog.init()
    await catalog.check()
    await catalog.init()
    await catalog.close()


async def test_everything_is_still_there(upgraded: Catalog) -> None:
    assert await upgraded.list_placements(limit=10) == [NEWS, ORDERS]
    assert await upgraded.list_placements(partitions=["p1"], limit=10) == [ORDERS]
    assert await upgraded.list_queues("project", "", "~", 10) == [ORDERS]
    assert await upgraded.list_partitions() == PARTITIONS
    assert await upgraded.get_tenant("project") == Tenant("project", pinned="p1")
    [sighting] = await upgraded.list_members()
    assert sighting.member == Member("host/1/boot", 5, True, lease=0.0)
    assert ORDERS.born == ""


async def test_old_placements_are_changed_and_removed_as_ever(upgraded: Catalog) -> None:
    with pytest.raises(Conflict):
        await upgraded.replace_placement(replace(ORDERS, epoch=3, born="x"))
    with pytest.raises(Conflict):
        await upgraded.remove_placement(ORDERS.key, 2, "x")
    sealed = replace(ORDERS, epoch=3, state=PlacementState.SEALING, move="m-1")
    await upgraded.replace_placement(sealed)
    assert await upgraded.get_placement(ORDERS.key) == sealed
    await upgraded.remove_placement(ORDERS.key, 3, "")
    anew = placement("orders", "p2")
    assert await upgraded.insert_placement(anew) == (anew, True)
    with pytest.raises(Conflict):
        await upgraded.remove_placement(anew.key, 1, "")


async def test_moves_and_the_feed_work(upgraded: Catalog) -> None:
    async with Feed(upgraded) as feed:
        await upgraded.insert_move(move("m-1", "orders"))
        await upgraded.insert_placement(placement("more"))
        await feed.until(lambda: len(feed.changes) == 2)
        assert [change.name for change in feed.changes] == [("m-1",), ("project", "more")]


async def test_workers_of_the_release_before_go_on_beside_us(upgraded: Catalog, old_uri: str) -> None:
    await upgraded.insert_placement(placement("more"))
    await upgraded.renew_member(Member("host/1/boot", 7, True, acked=7, capabilities=("chains-1",), lease=3.0))
    async with Feed(upgraded) as feed:
        # They read what they know, and write back no more than that.
        await asyncio.to_thread(version_1.replace_placement, old_uri, placement("more", epoch=2))
        await feed.until(lambda: feed.epochs("more") == [2])
    current = placement("more", epoch=2, born="")
    assert await upgraded.get_placement(current.key) == current
    with pytest.raises(Conflict) as conflict:
        await upgraded.replace_placement(placement("more", epoch=3))
    assert conflict.value.current == current
    await upgraded.replace_placement(replace(current, epoch=3))
    await upgraded.remove_member("host/1/boot")
    await asyncio.to_thread(version_1.renew_member, old_uri)
    [sighting] = await upgraded.list_members()
    assert sighting.member.capabilities == ()
    assert sighting.member.lease == 0.0


async def test_processes_race_to_upgrade(old_uri: str) -> None:
    assert await racing.in_processes(4, racing.initialise, old_uri) == [True] * 4
    catalog = await open_catalog(old_uri)
    assert await catalog.list_placements(limit=10) == [NEWS, ORDERS]
    await catalog.insert_move(move("m-1", "orders"))
    await catalog.close()


@pytest.fixture
async def from_2(catalog_uri: str) -> AsyncIterator[Catalog]:
    version_2.make(catalog_uri)
    catalog = await open_catalog(catalog_uri)
    with pytest.raises(WrongSchema, match=f"version 2, this .* {SCHEMA_VERSION}; marconi-proxy catalog init"):
        await catalog.check()
    await catalog.init()
    await catalog.check()
    yield catalog
    await catalog.close()


async def test_everything_of_version_2_is_still_there(from_2: Catalog) -> None:
    assert await from_2.list_placements(limit=10) == [version_2.NEWS, version_2.ORDERS]
    assert await from_2.list_partitions() == PARTITIONS
    assert await from_2.get_tenant("project") == Tenant("project", pinned="p1")
    assert await from_2.list_moves(limit=10) == [version_2.MOVE]
    assert await from_2.list_plans(limit=10) == [version_2.PLAN]
    assert await from_2.list_planned_moves("plan-1", limit=9) == [version_2.PLANNED_MOVE]
    held = await from_2.take_move("m-1", "another", 60.0)
    assert held.holder is not None
    assert held.holder.token == 2


async def test_rare_states_of_version_2_are_found(from_2: Catalog, catalog_uri: str) -> None:
    assert await from_2.list_placements(states=[PlacementState.CREATING], limit=10) == [version_2.NEWS]
    deleting = replace(version_2.ORDERS, epoch=5, state=PlacementState.DELETING)
    await asyncio.to_thread(version_2.replace_placement, catalog_uri, deleting)
    assert await from_2.list_placements(states=[PlacementState.DELETING], partitions=["p1"], limit=10) == [deleting]
