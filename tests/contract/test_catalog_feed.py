"""The change feed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from catalog import Catalog
from catalog.errors import CatalogError
from catalog.model import ChangeSubject, HeldWrites, Member, MoveState, PlacementState, Synced, Tenant
from marconi_proxy.fencing.transitions import prepare, seal, switch
from tests.contract import racing
from tests.contract.examples import BORN, Feed, move, partition, placement, plan, whole_plan


async def test_the_first_item_says_that_all_before_is_to_be_dropped(catalog: Catalog) -> None:
    await catalog.placements.insert(placement("before"))
    async with Feed(catalog) as feed:
        first = feed.items[0]
        assert isinstance(first, Synced)
        assert first.fresh
        await catalog.placements.insert(placement("after"))
        await feed.until(lambda: bool(feed.changes))
        assert [change.name for change in feed.changes] == [("project", "after")]
        assert sum(isinstance(item, Synced) and item.fresh for item in feed.items) == 1


async def test_every_kind_of_write_is_shown_in_order(catalog: Catalog, other: Catalog) -> None:
    async with Feed(catalog) as own, Feed(other) as others:
        await catalog.placements.insert(placement("orders", project="a/\xff"))
        await catalog.placements.replace(placement("orders", "p1", "p2", project="a/\xff", epoch=2))
        await catalog.partitions.insert(partition("p4"))
        await catalog.tenants.put(Tenant("", spread=2))
        await catalog.placements.remove(placement("orders", project="a/\xff").key, 2, BORN)
        await catalog.partitions.replace(partition("p4", version=2))
        await catalog.tenants.put(Tenant("", spread=3))
        await catalog.tenants.remove("")
        await catalog.partitions.replace(partition("p3", version=2))
        await catalog.moves.insert(move("m-1"))
        await catalog.plans.insert(whole_plan("plan-1"))
        taken = await catalog.moves.lock("m-1").acquire("mover", 3600.0)
        assert taken.holder is not None
        await catalog.moves.replace(move("m-1", version=2, state=MoveState.PREPARING), taken.holder.token)
        await catalog.plans.replace(plan("plan-1", version=2))
        await catalog.placements.insert(placement("~last", project=""))
        for feed in (own, others):
            await feed.until(lambda feed=feed: feed.epochs("~last") == [1])
            shown = [(change.subject, change.name, change.epoch) for change in feed.changes]
            assert shown == [
                (ChangeSubject.PLACEMENT, ("a/\xff", "orders"), 1),
                (ChangeSubject.PLACEMENT, ("a/\xff", "orders"), 2),
                (ChangeSubject.PARTITION, ("p4",), None),
                (ChangeSubject.TENANT, ("",), None),
                (ChangeSubject.PLACEMENT, ("a/\xff", "orders"), None),
                (ChangeSubject.PARTITION, ("p4",), None),
                (ChangeSubject.TENANT, ("",), None),
                (ChangeSubject.TENANT, ("",), None),
                (ChangeSubject.PARTITION, ("p3",), None),
                (ChangeSubject.MOVE, ("m-1",), 1),
                (ChangeSubject.PLAN, ("plan-1",), 1),
                (ChangeSubject.MOVE, ("m-1",), 2),
                (ChangeSubject.PLAN, ("plan-1",), 2),
                (ChangeSubject.PLACEMENT, ("", "~last"), 1),
            ]
            lives = [change.incarnation for change in feed.changes]
            assert lives == [BORN if c.subject is ChangeSubject.PLACEMENT and c.epoch else None for c in feed.changes]
            positions = [item.position for item in feed.items]
            assert positions == sorted(positions)
            of_changes = [change.position for change in feed.changes]
            assert len(set(of_changes)) == len(of_changes)
        assert [c.position for c in own.changes] == [c.position for c in others.changes]


async def test_the_removal_of_a_partition_is_shown(catalog: Catalog) -> None:
    async with Feed(catalog) as feed:
        await catalog.partitions.remove("p3")
        await feed.until(lambda: bool(feed.changes))
        assert {(change.subject, change.name) for change in feed.changes} == {(ChangeSubject.PARTITION, ("p3",))}


async def test_silence_proves_life_and_goes_on(catalog: Catalog) -> None:
    async with Feed(catalog) as feed:
        await feed.until(lambda: len(feed.silences) >= 3)
        assert feed.changes == []
        await catalog.placements.insert(placement("orders"))
        await feed.until(lambda: bool(feed.changes))
        reached = feed.changes[0].position
        await feed.until(lambda: feed.silences[-1].position >= reached)
        positions = [item.position for item in feed.items]
        assert positions == sorted(positions)


async def test_only_the_subjects_that_were_asked_for_are_shown(catalog: Catalog) -> None:
    async with Feed(catalog, {ChangeSubject.TENANT, ChangeSubject.PARTITION}) as feed:
        await catalog.placements.insert(placement("orders"))
        await catalog.moves.insert(move("m-1"))
        await catalog.plans.insert(whole_plan("plan-1"))
        await catalog.partitions.insert(partition("p4"))
        await catalog.placements.replace(placement("orders", epoch=2))
        await catalog.tenants.put(Tenant("project"))
        await feed.until(lambda: len(feed.changes) == 2)
        shown = [(change.subject, change.name) for change in feed.changes]
        assert shown == [(ChangeSubject.PARTITION, ("p4",)), (ChangeSubject.TENANT, ("project",))]


async def test_other_changes_do_not_keep_a_feed_from_proving_life(catalog: Catalog, other: Catalog) -> None:
    async with Feed(catalog, {ChangeSubject.MOVE}) as feed:
        while len(feed.silences) < 3:
            await other.tenants.put(Tenant("project"))
        assert feed.changes == []


async def test_writes_that_change_nothing_are_not_shown(catalog: Catalog) -> None:
    await catalog.placements.insert(placement("orders", since=1.0))
    await catalog.moves.insert(move("m-1"))
    async with Feed(catalog) as feed:
        await catalog.placements.insert(placement("orders", since=2.0))
        await catalog.placements.remove(placement("nothing").key, 1, BORN)
        await catalog.partitions.remove("nothing")
        await catalog.tenants.remove("nothing")
        await catalog.members.register(Member("nobody's business", 1))
        await catalog.members.renew(Member("nobody's business", 2))
        [member] = await catalog.members.all()
        await catalog.members.expire(member)
        await catalog.held_writes.put({"m-1": HeldWrites("nobody's business", 1)})
        await catalog.held_writes.remove("m-1")
        await catalog.placements.insert(placement("last"))
        await feed.until(lambda: bool(feed.changes))
        assert [change.name for change in feed.changes] == [("project", "last")]


async def test_who_holds_a_move_is_not_shown(catalog: Catalog) -> None:
    await catalog.moves.insert(move("m-1"))
    async with Feed(catalog) as feed:
        taken = await catalog.moves.lock("m-1").acquire("mover", 3600.0)
        assert taken.holder is not None
        await catalog.moves.lock("m-1").renew(taken.holder.token, 3600.0)
        await catalog.moves.insert(move("m-1"))
        await catalog.moves.lock("m-1").release(taken.holder.token)
        await catalog.moves.lock("m-1").acquire("mover", 3600.0)
        await catalog.placements.insert(placement("last"))
        await feed.until(lambda: bool(feed.changes))
        assert [change.name for change in feed.changes] == [("project", "last")]


async def test_a_seal_is_shown_as_what_members_acknowledge(catalog: Catalog, other: Catalog) -> None:
    """It is the one change of this name, epoch and life, however often the queue lived before."""
    for incarnation in ("first", "second"):
        await other.placements.insert(placement("orders", incarnation=incarnation))
        async with Feed(catalog) as feed:
            seal = placement("orders", epoch=2, state=PlacementState.SEALING, incarnation=incarnation)
            await catalog.placements.replace(seal)
            await other.tenants.put(Tenant(f"after {incarnation}"))
            await feed.until(
                lambda feed=feed, incarnation=incarnation: any(
                    c.name == (f"after {incarnation}",) for c in feed.changes
                )
            )
            [own] = [c for c in feed.changes if (c.name, c.epoch, c.incarnation) == (seal.key, 2, incarnation)]
            assert feed.items[0].position < own.position < feed.changes[-1].position
            assert [change.seal for change in feed.changes] == [seal.seal if c is own else None for c in feed.changes]
        # A feed that begins later has a position that is not before it.
        async with Feed(other) as late:
            assert late.items[0].position >= own.position
        await other.placements.remove(seal.key, 2, incarnation)


async def test_a_preparation_is_shown_as_what_members_acknowledge(catalog: Catalog, other: Catalog) -> None:
    """The feed distinguishes it from the other changes of a queue, also from those that keep its move."""
    await other.placements.insert(placement("orders"))
    changes = [prepare(placement("orders"), "m-1")]
    changes.append(seal(changes[-1], "m-1", 1.0, 4))
    changes.append(switch(changes[-1], "m-1", "p2", "orders", 2.0))
    async with Feed(catalog) as feed:
        for changed in changes:
            await other.placements.replace(changed)
            await feed.until(lambda changed=changed: changed.epoch in {change.epoch for change in feed.changes})
        assert [change.preparation for change in feed.changes] == [changes[0].preparation, None, None]
        assert [change.seal for change in feed.changes] == [None, changes[1].seal, None]


async def test_a_feed_begins_at_or_after_what_was_read_before_it(catalog: Catalog, other: Catalog) -> None:
    """Two watch; whatever one of them has read when the other one's feed begins is not after its first Synced."""
    await catalog.placements.insert(placement("orders"))
    position_of: dict[int, int] = {}
    async with Feed(catalog) as feed:
        for epoch in range(2, 30):
            await catalog.placements.replace(placement("orders", epoch=epoch))
            stored = await other.placements.get(placement("orders").key)
            assert stored is not None
            async with Feed(other) as late:
                began = late.items[0].position
            await feed.until(lambda epoch=stored.epoch: epoch in feed.epochs("orders"))
            position_of |= {c.epoch: c.position for c in feed.changes if c.epoch is not None}
            assert position_of[stored.epoch] <= began


async def test_a_read_never_lags_behind_the_feed(catalog: Catalog, other: Catalog) -> None:
    await catalog.placements.insert(placement("orders"))
    watching = other.watch()
    await anext(watching)

    async def write() -> None:
        for epoch in range(2, 60):
            await catalog.placements.replace(placement("orders", epoch=epoch))

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        shown = 0
        while shown < 59:
            item = await anext(watching)
            if isinstance(item, Synced):
                continue
            assert item.epoch is not None
            shown = item.epoch
            stored = await other.placements.get(placement("orders").key)
            assert stored is not None
            assert stored.epoch >= shown
    await watching.aclose()


async def test_every_write_that_returns_is_shown_also_to_feeds_that_begin_meanwhile(catalog: Catalog) -> None:
    """Feeds begin while a writer is at it: each shows every write that began after its first Synced, without gaps."""
    await catalog.placements.insert(placement("orders"))
    written = 1
    stop = False

    async def write() -> None:
        nonlocal written
        while not stop:
            await catalog.placements.replace(placement("orders", epoch=written + 1))
            written += 1

    async def follow() -> None:
        async with Feed(catalog) as feed:
            at_sync = written
            await feed.until(lambda: len(feed.changes) >= 15)
            epochs = feed.epochs("orders")
            assert epochs == list(range(epochs[0], epochs[0] + len(epochs)))
            assert epochs[0] <= at_sync + 2  # the one in flight at the Synced may be shown or not

    async with asyncio.TaskGroup() as group:
        writer = group.create_task(write())
        await asyncio.gather(*(follow() for _ in range(4)))
        await follow()
        stop = True
        await writer


async def test_changes_by_another_process_are_shown(catalog: Catalog, catalog_uri: str) -> None:
    queues = [f"queue-{n}" for n in range(20)]
    async with Feed(catalog) as feed:
        await racing.in_processes(1, racing.place_all, catalog_uri, queues)
        await feed.until(lambda: len(feed.changes) == len(queues))
        assert [change.name[1] for change in feed.changes] == queues


async def test_a_reader_who_pauses_misses_nothing(catalog: Catalog) -> None:
    watching = catalog.watch()
    await anext(watching)
    for n in range(700):
        await catalog.tenants.put(Tenant(f"project-{n}"))
    names: list[str] = []
    while len(names) < 700:
        item = await anext(watching)
        if not isinstance(item, Synced):
            names.append(item.name[0])
    assert names == [f"project-{n}" for n in range(700)]
    await watching.aclose()


async def test_leaving_a_feed_does_not_disturb_others(catalog: Catalog) -> None:
    async with Feed(catalog) as stays:
        for n in range(3):
            async with Feed(catalog):
                await catalog.tenants.put(Tenant(f"project-{n}"))
        await stays.until(lambda: len(stays.changes) == 3)
    with pytest.raises(CatalogError):
        await catalog.placements.replace(replace(placement("nothing"), epoch=2))
