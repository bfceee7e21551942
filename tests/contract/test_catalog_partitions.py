"""Partitions: registration, compare-and-set, removal."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from catalog import Catalog
from catalog.errors import HostTaken, PartitionConflict, PartitionInUse
from catalog.model import MoveState, Partition, PartitionState
from tests.contract.examples import BORN, move, partition, placement


@pytest.mark.parametrize(
    "stored",
    [
        partition("plain"),
        Partition(
            name="Full.1_2-3",
            hosts=("http://10.0.0.1:8888", "https://[::1]:8889"),
            weight=4294967295,
            region="eu north",
            labels=("ssd", "\xe9"),
            state=PartitionState.CORDONED,
            api_versions=("v1", "v2"),
            api_versions_set=True,
            inventory="http://10.0.0.1:8890",
        ),
        partition("nothing", weight=0),
    ],
)
async def test_what_is_stored_comes_back_whole(catalog: Catalog, other: Catalog, stored: Partition) -> None:
    await catalog.partitions.insert(stored)
    found = await other.partitions.get(stored.name)
    assert found == stored
    assert found.version == 1
    assert stored in await other.partitions.all()


async def test_partitions_are_listed_by_name(catalog: Catalog) -> None:
    for n, name in enumerate(("zebra", "Alpha", "p10", "alpha")):
        await catalog.partitions.insert(Partition(name, (f"http://host-{n}.example",)))
    names = [p.name for p in await catalog.partitions.all()]
    assert names == ["Alpha", "alpha", "p1", "p10", "p2", "p3", "zebra"]


async def test_nothing_is_there_before_it_is_registered(catalog: Catalog) -> None:
    assert await catalog.partitions.get("p4") is None


async def test_a_name_is_registered_once(catalog: Catalog, other: Catalog) -> None:
    with pytest.raises(PartitionConflict) as conflict:
        await other.partitions.insert(partition("p1", weight=7))
    assert conflict.value.current == partition("p1")
    assert await catalog.partitions.get("p1") == partition("p1")


async def test_a_repeated_registration_is_success_until_it_was_changed(catalog: Catalog) -> None:
    await catalog.partitions.insert(partition("p1"))
    await catalog.partitions.replace(partition("p1", version=2))
    with pytest.raises(PartitionConflict):
        await catalog.partitions.insert(partition("p1"))


async def test_replace_is_a_compare_and_set(catalog: Catalog, other: Catalog) -> None:
    second = partition("p1", version=2, weight=5)
    await catalog.partitions.replace(second)
    await catalog.partitions.replace(second)  # a repeated write
    for stale in (partition("p1", version=2, weight=6), partition("p1", version=4), partition("p1", version=1)):
        with pytest.raises(PartitionConflict) as conflict:
            await other.partitions.replace(stale)
        assert conflict.value.current == second
        assert conflict.value.current.version == 2
    await other.partitions.replace(partition("p1", version=3, weight=6))
    found = await catalog.partitions.get("p1")
    assert found is not None
    assert (found.version, found.weight) == (3, 6)


async def test_replace_of_nothing_is_a_conflict_with_nothing(catalog: Catalog) -> None:
    with pytest.raises(PartitionConflict) as conflict:
        await catalog.partitions.replace(partition("p4", version=2))
    assert conflict.value.current is None
    assert await catalog.partitions.get("p4") is None


async def test_remove(catalog: Catalog, other: Catalog) -> None:
    await catalog.partitions.remove("p1")
    await catalog.partitions.remove("p1")  # nothing to remove is success
    assert await other.partitions.get("p1") is None
    await other.partitions.insert(partition("p1", weight=3))
    assert await catalog.placements.insert(placement("orders", "p1")) == (placement("orders", "p1"), True)


async def test_a_partition_in_use_stays(catalog: Catalog, other: Catalog) -> None:
    await catalog.placements.insert(placement("one", "p1", "p2"))
    await catalog.placements.insert(placement("two", "p2"))
    with pytest.raises(PartitionInUse) as refused:
        await other.partitions.remove("p2")
    assert refused.value.placements == 2
    with pytest.raises(PartitionInUse):
        await other.partitions.remove("p1")  # named by a sealed segment only
    assert await catalog.partitions.get("p2") == partition("p2")
    # It goes on as if nothing had been tried.
    assert (await catalog.placements.insert(placement("three", "p2")))[1]
    await catalog.placements.replace(placement("two", "p2", "p1", epoch=2))
    for queue, epoch in (("one", 1), ("two", 2), ("three", 1)):
        await catalog.placements.remove(placement(queue).key, epoch, BORN)
    await other.partitions.remove("p2")
    assert [p.name for p in await catalog.partitions.all()] == ["p1", "p3"]


async def test_a_partition_that_a_move_may_bring_a_queue_stays(catalog: Catalog, other: Catalog) -> None:
    await catalog.placements.insert(placement("orders", "p1"))
    one = move("m-1")
    await catalog.moves.insert(one)
    states = [MoveState.PREPARING, MoveState.PAUSED, MoveState.REROUTE_ARMED]
    for version, state in enumerate(states, start=2):
        with pytest.raises(PartitionInUse, match="move m-1") as refused:
            await other.partitions.remove("p2")
        assert refused.value.placements == 0
        one = replace(one, state=state, version=version)
        await catalog.moves.replace(one, None)
    # It still has to delete what it has left there; but what is gone needs no deletion.
    await catalog.moves.replace(replace(one, state=MoveState.UNDOING, version=5), None)
    await other.partitions.remove("p2")
    assert await catalog.partitions.get("p2") is None


async def test_refused_removal_keeps_the_version(catalog: Catalog) -> None:
    await catalog.placements.insert(placement("orders", "p1"))
    with pytest.raises(PartitionInUse):
        await catalog.partitions.remove("p1")
    await catalog.partitions.replace(replace(partition("p1"), version=2))


# -- a host is of one partition --------------------------------------------------------------------------------------

SPELLINGS = [
    ("http://10.0.0.1:80", "http://10.0.0.1"),
    ("https://Host.example/", "https://host.example:443"),
    ("http://host.example.", "http://host.example"),
    ("http://[::1]:8888", "http://[0:0::0001]:8888"),
    ("http://host.example:8888", "https://host.example:8888"),
]


@pytest.mark.parametrize(("one", "another"), SPELLINGS)
async def test_a_host_is_of_one_partition_in_every_spelling(
    catalog: Catalog, other: Catalog, one: str, another: str
) -> None:
    first = Partition("first", (one, "http://more.example"))
    await catalog.partitions.insert(first)
    await other.partitions.insert(first)  # a repeated write
    second = Partition("second", ("http://else.example", another))
    with pytest.raises(HostTaken) as taken:
        await other.partitions.insert(second)
    assert (taken.value.host, taken.value.other) == (second.hosts[1], "first")
    assert await catalog.partitions.get("second") is None
    await catalog.partitions.insert(replace(second, hosts=second.hosts[:1]))
    with pytest.raises(HostTaken):
        await catalog.partitions.replace(replace(second, version=2))
    # Its own it may spell otherwise; and what it lets go of is free.
    await catalog.partitions.replace(replace(first, hosts=(another,), version=2))
    await catalog.partitions.replace(replace(first, hosts=("http://new.example",), version=3))
    await catalog.partitions.replace(replace(second, version=2))
    await catalog.partitions.remove("second")
    await catalog.partitions.insert(Partition("third", second.hosts))


async def test_of_two_that_register_a_host_at_once_one_is_refused(catalog: Catalog, other: Catalog) -> None:
    for n in range(10):
        hosts = (f"http://host-{n}.example:8888",)
        outcomes = await asyncio.gather(
            catalog.partitions.insert(Partition(f"one-{n}", hosts)),
            other.partitions.insert(Partition(f"two-{n}", hosts)),
            return_exceptions=True,
        )
        assert sorted(type(outcome) for outcome in outcomes if outcome) == [HostTaken]


async def test_a_host_in_a_backup_is_taken_too(catalog: Catalog) -> None:
    token = await catalog.backups.begin_load(replace=True)
    shared = ("http://shared.example",)
    loaded = [Partition("a", ("http://a.example",)), Partition("b", shared), Partition("c", shared)]
    await catalog.backups.load(token, loaded)
    await catalog.backups.end_load(token)
    with pytest.raises(HostTaken):
        await catalog.partitions.insert(Partition("d", loaded[0].hosts))
    # Two partitions may keep the hosts that they had in common before.
    for one in loaded[1:]:
        await catalog.partitions.replace(replace(one, weight=1, version=2))


async def test_a_catalog_keeps_its_identity(catalog: Catalog, other: Catalog) -> None:
    identity = await catalog.identity()
    assert len(identity) == 16
    int(identity, 16)
    await catalog.init()
    await catalog.backups.end_load(await catalog.backups.begin_load(replace=True))
    assert await other.identity() == identity
