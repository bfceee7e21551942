"""Placements: insert-or-get, compare-and-set, removal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from catalog import Catalog
from catalog.errors import PartitionUnknown, PlacementConflict
from catalog.model import Placement, PlacementState, QueueKey, Segment
from tests.contract.examples import BORN, Feed, dangling, partition, placement

KEY = QueueKey("project", "orders")


@pytest.mark.parametrize(
    "stored",
    [
        placement("orders", since=1700000000.123456),
        placement("orders", project=""),
        placement("orders", project="a/b c"),
        placement("orders", project="\xe9t\xe9 \xff\x7f\x01"),
        placement("orders", project="$where"),
        placement("orders", project="p" * 256),
        placement("~topic"),
        placement("q" * 64, "p1", "p2", "p3", epoch=7, state=PlacementState.SEALING),
        Placement(
            "p",
            "q",
            2**40,
            PlacementState.DELETING,
            (Segment(9, "p2", "hidden", True),),
            base=9,
            since=1e9,
            group="source",
            incarnation="b",
            move="m-1",
        ),
        replace(placement("orders-dead"), group="orders"),
    ],
)
async def test_what_is_stored_comes_back_whole(catalog: Catalog, other: Catalog, stored: Placement) -> None:
    assert await catalog.placements.insert(stored) == (stored, True)
    assert await catalog.placements.get(stored.key) == stored
    assert await other.placements.get(stored.key) == stored
    assert await other.placements.find(limit=10) == [stored]


@pytest.mark.parametrize("state", list(PlacementState))
async def test_every_state_can_be_stored(catalog: Catalog, state: PlacementState) -> None:
    await catalog.placements.insert(placement("orders", state=state))
    stored = await catalog.placements.get(KEY)
    assert stored is not None
    assert stored.state is state


async def test_nothing_is_there_before_it_is_inserted(catalog: Catalog) -> None:
    assert await catalog.placements.get(KEY) is None


async def test_keys_do_not_collide(catalog: Catalog) -> None:
    keys = [("", "b"), ("b", "b"), ("a", "b"), ("a", "~b"), ("a ", "b"), ("a/b", "b"), ("A", "b"), ("a", "B")]
    for project, queue in keys:
        _, inserted = await catalog.placements.insert(placement(queue, project=project))
        assert inserted
    assert await catalog.placements.count() == len(keys)


async def test_insert_returns_the_winner(catalog: Catalog, other: Catalog) -> None:
    first, second = placement("orders", "p1", since=1.0), placement("orders", "p2", since=2.0)
    assert await catalog.placements.insert(first) == (first, True)
    assert await other.placements.insert(second) == (first, False)
    assert await other.placements.get(KEY) == first


async def test_a_repeated_insert_tells_that_the_first_one_succeeded(catalog: Catalog) -> None:
    once = placement("orders", since=1.5)
    assert await catalog.placements.insert(once) == (once, True)
    assert await catalog.placements.insert(once) == (once, True)
    await catalog.placements.replace(replace(once, epoch=2))
    assert await catalog.placements.insert(once) == (replace(once, epoch=2), False)


async def test_insert_refuses_unknown_partitions(catalog: Catalog) -> None:
    with pytest.raises(PartitionUnknown) as refused:
        await catalog.placements.insert(placement("orders", "p1", "nowhere", "p2"))
    assert refused.value.name == "nowhere"
    assert await catalog.placements.get(KEY) is None
    assert await catalog.placements.count(partitions=["p1"]) == 0


async def test_insert_returns_what_is_stored_whatever_partitions_ours_names(catalog: Catalog) -> None:
    await catalog.placements.insert(placement("orders", "p1"))
    assert await catalog.placements.insert(placement("orders", "nowhere")) == (placement("orders", "p1"), False)


async def test_many_are_inserted_or_got(catalog: Catalog, other: Catalog) -> None:
    there, later = placement("b", "p1", since=1.0), placement("c", "p1", epoch=3)
    await catalog.placements.insert(there)
    await catalog.placements.insert(later)
    wanted = [placement("d", "p3"), placement("b", "p2"), later, placement("a", "p1", "p2"), placement("d", "p1")]
    stored = [wanted[0], there, later, wanted[3], wanted[0]]
    assert await other.placements.insert_many(wanted) == stored
    assert await catalog.placements.insert_many(wanted) == stored  # repeated
    assert await catalog.placements.find(limit=10) == [wanted[3], there, later, wanted[0]]
    assert [await catalog.placements.count(partitions=[p]) for p in ("p1", "p2", "p3")] == [3, 1, 1]
    assert await catalog.placements.insert_many([]) == []


async def test_more_than_a_batch_of_them(catalog: Catalog) -> None:
    wanted = [placement(f"queue-{n:04}") for n in range(2300)]
    assert await catalog.placements.insert_many(wanted[:1500:2]) == wanted[:1500:2]
    assert await catalog.placements.insert_many(wanted[::-1]) == wanted[::-1]
    assert await catalog.placements.count() == 2300


async def test_many_are_shown_by_the_feed(catalog: Catalog) -> None:
    async with Feed(catalog) as feed:
        await catalog.placements.insert_many([placement("a"), placement("b")])
        await feed.until(lambda: len(feed.changes) == 2)
    assert {(change.name, change.epoch, change.incarnation) for change in feed.changes} == {
        (("project", "a"), 1, BORN),
        (("project", "b"), 1, BORN),
    }


async def test_of_many_none_on_an_unknown_partition_is_stored(catalog: Catalog) -> None:
    await catalog.placements.insert(placement("there", "p1"))
    with pytest.raises(PartitionUnknown) as refused:
        await catalog.placements.insert_many([placement("a", "p1"), placement("b", "p1", "nowhere")])
    assert refused.value.name == "nowhere"
    assert await catalog.placements.get(QueueKey("project", "b")) is None
    assert await dangling(catalog) == []
    assert await catalog.placements.insert_many([placement("there", "nowhere")]) == [placement("there", "p1")]


async def test_many_need_tokens_of_life(catalog: Catalog) -> None:
    with pytest.raises(ValueError, match="born"):
        await catalog.placements.insert_many([placement("a"), placement("b", incarnation="")])
    assert await catalog.placements.count() == 0


async def test_replace_stores_the_next_epoch(catalog: Catalog, other: Catalog) -> None:
    await catalog.placements.insert(placement("orders"))
    moved = placement("orders", "p1", "p2", epoch=2)
    await catalog.placements.replace(moved)
    assert await other.placements.get(KEY) == moved
    back = placement("orders", "p3", epoch=3)
    await other.placements.replace(back)
    assert await catalog.placements.get(KEY) == back
    assert [await catalog.placements.count(partitions=[p]) for p in ("p1", "p2", "p3")] == [0, 0, 1]


@pytest.mark.parametrize("epoch", [1, 2, 4, 5])
async def test_replace_meets_another_epoch(catalog: Catalog, epoch: int) -> None:
    stored = placement("orders", epoch=2)
    await catalog.placements.insert(stored)
    with pytest.raises(PlacementConflict) as conflict:
        await catalog.placements.replace(placement("orders", "p2", epoch=epoch))
    assert conflict.value.current == stored
    assert await catalog.placements.get(KEY) == stored


async def test_replace_of_nothing_is_a_conflict_with_nothing(catalog: Catalog) -> None:
    with pytest.raises(PlacementConflict) as conflict:
        await catalog.placements.replace(placement("orders", epoch=2))
    assert conflict.value.current is None
    assert await catalog.placements.get(KEY) is None


async def test_a_repeated_replace_is_success(catalog: Catalog) -> None:
    await catalog.placements.insert(placement("orders"))
    second = placement("orders", "p1", "p2", epoch=2)
    await catalog.placements.replace(second)
    await catalog.placements.replace(second)
    assert await catalog.placements.get(KEY) == second


async def test_replace_refuses_unknown_partitions(catalog: Catalog) -> None:
    stored = placement("orders")
    await catalog.placements.insert(stored)
    with pytest.raises(PartitionUnknown) as refused:
        await catalog.placements.replace(placement("orders", "p1", "nowhere", epoch=2))
    assert refused.value.name == "nowhere"
    assert await catalog.placements.get(KEY) == stored


async def test_remove_at_the_epoch(catalog: Catalog, other: Catalog) -> None:
    await catalog.placements.insert(placement("orders", "p1", "p2", epoch=3))
    await catalog.placements.remove(KEY, 3, BORN)
    assert await other.placements.get(KEY) is None
    assert await catalog.placements.count(partitions=["p1"]) == 0
    await catalog.placements.remove(KEY, 3, BORN)  # nothing to remove is success


@pytest.mark.parametrize("epoch", [1, 2, 4])
async def test_remove_meets_another_epoch(catalog: Catalog, epoch: int) -> None:
    stored = placement("orders", epoch=3)
    await catalog.placements.insert(stored)
    with pytest.raises(PlacementConflict) as conflict:
        await catalog.placements.remove(KEY, epoch, BORN)
    assert conflict.value.current == stored
    assert await catalog.placements.get(KEY) == stored


async def test_a_removed_queue_can_be_placed_anew(catalog: Catalog) -> None:
    await catalog.placements.insert(placement("orders", "p1"))
    await catalog.placements.remove(KEY, 1, BORN)
    anew = placement("orders", "p2", since=9.0)
    assert await catalog.placements.insert(anew) == (anew, True)


async def test_a_later_life_at_the_same_epoch_is_another_placement(catalog: Catalog, other: Catalog) -> None:
    """A queue that is created anew reaches the same epochs: a writer that read the one must not change the other."""
    seen = placement("orders", "p1", incarnation="first")
    await catalog.placements.insert(seen)
    await other.placements.remove(KEY, 1, "first")
    anew = placement("orders", "p2", incarnation="second")
    assert await other.placements.insert(anew) == (anew, True)
    for call in (
        catalog.placements.replace(replace(seen, epoch=2, state=PlacementState.SEALING)),
        catalog.placements.remove(KEY, 1, "first"),
        catalog.placements.remove(KEY, 1, ""),
    ):
        with pytest.raises(PlacementConflict) as conflict:
            await call
        assert conflict.value.current == anew
    assert await catalog.placements.insert(seen) == (anew, False)
    assert await other.placements.get(KEY) == anew
    await catalog.placements.replace(replace(anew, epoch=2))
    await catalog.placements.remove(KEY, 2, "second")
    assert await other.placements.get(KEY) is None


async def test_a_new_placement_needs_a_token_of_its_own(catalog: Catalog) -> None:
    with pytest.raises(ValueError, match=r"^born: "):
        await catalog.placements.insert(placement("orders", incarnation=""))
    assert await catalog.placements.get(KEY) is None


async def test_a_placement_may_name_a_partition_twice(catalog: Catalog) -> None:
    there_and_back = placement("orders", "p1", "p2", "p1")
    await catalog.placements.insert(there_and_back)
    assert await catalog.placements.find(partitions=["p1"], limit=10) == [there_and_back]
    await catalog.placements.replace(placement("orders", "p2", "p1", epoch=2))
    assert await catalog.placements.count(partitions=["p1"]) == 1
    assert await catalog.partitions.all() == [partition("p1"), partition("p2"), partition("p3")]
