"""A catalog that an earlier release made: refused until it is initialised again, then as good as new."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from catalog import Catalog, open_catalog
from catalog.errors import (
    CatalogError,
    CatalogUnavailable,
    HostTaken,
    LockHeld,
    PlacementConflict,
    PlanConflict,
    WrongSchema,
)
from catalog.interface import SCHEMA_VERSION
from catalog.model import (
    UNPROMISED_LEASE,
    Ending,
    Holder,
    Member,
    Move,
    MoveOutcome,
    MovePlan,
    PlacementState,
    PlannedMove,
    PlanState,
    Progress,
    StatisticsSubject,
    Tenant,
    WholePlan,
)
from catalog.model.move import UNPROMISED_HOLD
from marconi_proxy.moving.plans.budgets import Budgets
from marconi_proxy.moving.plans.planner import plan
from marconi_proxy.moving.plans.selection import PlanKind, Selection
from marconi_proxy.moving.plans.survey import layout_for
from tests.contract import racing, version_1, version_2, version_3
from tests.contract.examples import Feed, move, placement, whole_plan
from tests.contract.plan_stage import Clock, executor, finish, furnish, outcomes, records, state
from tests.contract.version_1 import NEWS, ORDERS, PARTITIONS

EARLIER = f"version {{}}, this release works with {SCHEMA_VERSION}; marconi-proxy catalog init"


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
    with pytest.raises(WrongSchema, match=EARLIER.format(1)):
        await catalog.check()
    await catalog.init()
    await catalog.check()
    await catalog.init()
    await catalog.close()


async def test_everything_is_still_there(upgraded: Catalog) -> None:
    assert await upgraded.placements.find(limit=10) == [NEWS, ORDERS]
    assert await upgraded.placements.find(partitions=["p1"], limit=10) == [ORDERS]
    assert await upgraded.placements.list_queues("project", "", "~", 10) == [ORDERS]
    assert await upgraded.partitions.all() == PARTITIONS
    assert await upgraded.tenants.get("project") == Tenant("project", pinned="p1")
    [member] = await upgraded.members.all()
    assert member == Member("host/1/boot", 0, 5, True, lease=0.0)
    assert member.patience == UNPROMISED_LEASE
    assert ORDERS.incarnation == ""


async def test_old_placements_are_changed_and_removed_as_ever(upgraded: Catalog) -> None:
    with pytest.raises(PlacementConflict):
        await upgraded.placements.replace(replace(ORDERS, epoch=3, incarnation="x"))
    with pytest.raises(PlacementConflict):
        await upgraded.placements.remove(ORDERS.key, 2, "x")
    sealed = replace(ORDERS, epoch=3, state=PlacementState.SEALING, move="m-1")
    await upgraded.placements.replace(sealed)
    assert await upgraded.placements.get(ORDERS.key) == sealed
    await upgraded.placements.remove(ORDERS.key, 3, "")
    anew = placement("orders", "p2")
    assert await upgraded.placements.insert(anew) == (anew, True)
    with pytest.raises(PlacementConflict):
        await upgraded.placements.remove(anew.key, 1, "")


async def test_moves_and_the_feed_work(upgraded: Catalog) -> None:
    async with Feed(upgraded) as feed:
        await upgraded.moves.insert(move("m-1", "orders"))
        await upgraded.placements.insert(placement("more"))
        await feed.until(lambda: len(feed.changes) == 2)
        assert [change.name for change in feed.changes] == [("m-1",), ("project", "more")]


async def test_workers_of_the_release_before_go_on_beside_us(upgraded: Catalog, old_uri: str) -> None:
    await upgraded.placements.insert(placement("more"))
    await upgraded.members.register(Member("host/1/boot", 7, 7, True, capabilities=("chains-2",), lease=3.0))
    async with Feed(upgraded) as feed:
        # They read what they know, and write back no more than that.
        await asyncio.to_thread(version_1.replace_placement, old_uri, placement("more", epoch=2))
        await feed.until(lambda: feed.epochs("more") == [2])
    current = placement("more", epoch=2, incarnation="")
    assert await upgraded.placements.get(current.key) == current
    with pytest.raises(PlacementConflict) as conflict:
        await upgraded.placements.replace(placement("more", epoch=3))
    assert conflict.value.current == current
    await upgraded.placements.replace(replace(current, epoch=3))
    await upgraded.members.remove("host/1/boot")
    await asyncio.to_thread(version_1.renew_member, old_uri)
    [member] = await upgraded.members.all()
    assert member.capabilities == ()
    assert member.lease == 0.0


async def test_processes_race_to_upgrade(old_uri: str) -> None:
    assert await racing.in_processes(4, racing.initialise, old_uri) == [True] * 4
    catalog = await open_catalog(old_uri)
    assert await catalog.placements.find(limit=10) == [NEWS, ORDERS]
    await catalog.moves.insert(move("m-1", "orders"))
    await catalog.close()


@pytest.fixture
async def from_2(catalog_uri: str) -> AsyncIterator[Catalog]:
    version_2.make(catalog_uri)
    catalog = await open_catalog(catalog_uri)
    with pytest.raises(WrongSchema, match=EARLIER.format(2)):
        await catalog.check()
    await catalog.init()
    await catalog.check()
    yield catalog
    await catalog.close()


async def test_everything_of_version_2_is_still_there(from_2: Catalog) -> None:
    assert await from_2.placements.find(limit=10) == [version_2.NEWS, version_2.ORDERS]
    assert await from_2.partitions.all() == PARTITIONS
    assert await from_2.tenants.get("project") == Tenant("project", pinned="p1")
    assert await from_2.moves.find(limit=10) == [version_2.MOVE]
    assert await from_2.plans.find(limit=10) == [version_2.PLAN]
    assert await from_2.planned_moves.find("plan-1", limit=9) == [version_2.PLANNED_MOVE]
    assert (await from_2.moves.find(limit=10))[0].holder == version_2.HOLDER
    held = await from_2.moves.lock("m-1").acquire("another", 60.0, over=version_2.HOLDER)
    assert held.holder == Holder("another", 2, 0, 60.0)


async def test_rare_states_of_version_2_are_found(from_2: Catalog, catalog_uri: str) -> None:
    assert await from_2.placements.find(states=[PlacementState.CREATING], limit=10) == [version_2.NEWS]
    deleting = replace(version_2.ORDERS, epoch=5, state=PlacementState.DELETING)
    await asyncio.to_thread(version_2.replace_placement, catalog_uri, deleting)
    assert await from_2.placements.find(states=[PlacementState.DELETING], partitions=["p1"], limit=10) == [deleting]


@pytest.fixture
async def from_3(catalog_uri: str) -> AsyncIterator[Catalog]:
    version_3.make(catalog_uri)
    catalog = await open_catalog(catalog_uri)
    with pytest.raises(WrongSchema, match=EARLIER.format(3)):
        await catalog.check()
    await catalog.init()
    await catalog.check()
    yield catalog
    await catalog.close()


async def test_everything_of_version_3_is_still_there(from_3: Catalog) -> None:
    placements = sorted(version_3.PLACEMENTS, key=lambda placement: placement.key)
    assert await from_3.placements.find(limit=10) == placements
    assert await from_3.partitions.all() == version_3.PARTITIONS
    assert await from_3.tenants.get("project") == version_3.TENANT
    assert await from_3.moves.find(limit=10) == sorted(version_3.MOVES, key=lambda move: move.id)
    assert await from_3.plans.find(limit=10) == version_3.PLANS
    found = [
        move for id_ in ("20240501T120000-p0001", "plan-1") for move in await from_3.planned_moves.find(id_, limit=9)
    ]
    assert found == version_3.PLANNED_MOVES
    assert await from_3.members.all() == [version_3.MEMBER]
    assert await from_3.statistics.get(StatisticsSubject.PARTITION, "p1") == version_3.STATISTICS[0]
    assert await from_3.statistics.get(StatisticsSubject.PROJECT, "project") == version_3.STATISTICS[1]
    assert await from_3.statistics.walk.get() == version_3.WALK
    assert await from_3.audit.get() == version_3.AUDIT


async def test_hosts_of_version_3_are_known_and_may_stay(from_3: Catalog, catalog_uri: str) -> None:
    one, two, three = version_3.PARTITIONS
    for host in (*one.hosts, *two.hosts):
        with pytest.raises(HostTaken):
            await from_3.partitions.insert(replace(one, name="p4", hosts=(host,)))
    # The third has one in common with the second.
    await from_3.partitions.replace(replace(three, weight=1, version=2))
    await from_3.partitions.replace(replace(two, weight=1, version=4))
    # An admin API of that release registers another one, without this check.
    await asyncio.to_thread(
        version_3.insert_partition, catalog_uri, replace(one, name="p5", hosts=("http://p5.example",))
    )
    with pytest.raises(HostTaken):
        await from_3.partitions.insert(replace(one, name="p6", hosts=("https://p5.example:80",)))
    assert await from_3.identity()


async def test_locks_of_version_3_are_taken_over_with_larger_tokens(from_3: Catalog) -> None:
    """Those that had run out are watched as any other: no clock is asked."""
    move = await from_3.moves.get("m-2")
    assert move is not None
    for take, over, token in (
        (from_3.moves.lock("m-2").acquire, move.holder, 3),
        (from_3.statistics.walk.acquire, (await from_3.statistics.walk.get()).holder, 2),
        (from_3.audit.acquire, (await from_3.audit.get()).holder, 2),
    ):
        if over is not None:
            with pytest.raises(CatalogError, match=f"by {over.name}"):
                await take("another", 60.0)
        taken = await take("another", 60.0, over=over)
        assert taken.holder == Holder("another", token, 0, 60.0)


async def test_workers_of_version_3_go_on_beside_us(from_3: Catalog, catalog_uri: str) -> None:
    renewed = replace(version_3.MEMBER, applied=11)
    await asyncio.to_thread(version_3.renew_member, catalog_uri, renewed)
    assert await from_3.members.all() == [renewed]
    registered = replace(version_3.PARTITIONS[0], name="p4", hosts=("http://p4.example:8888",))
    await asyncio.to_thread(version_3.insert_partition, catalog_uri, registered)
    assert await from_3.partitions.get("p4") == registered


# -- plans with their moves and results inside -------------------------------------------------------------------------


def of_before(whole: WholePlan, results: dict[str, Any], state: PlanState = PlanState.RUNNING) -> dict[str, Any]:
    """The document of a plan as releases with schema version 3 stored it."""
    return whole.to_json() | {"version": 7, "state": state.value, "results": results}


RESULTS = {
    "open": [1, 3],
    "ended": {"0": "done", "4": "failed"},
    "reasons": {"4": "it was tried 20 times"},
    "pauses": {"0": 21.0},
    "last": 1700000000.0,
    "allowance": 2.5,
    "note": None,
}


def carried_over(whole: WholePlan, found: MovePlan) -> bool:
    """Whether a plan is what it was before, with RESULTS."""
    progress = Progress(
        2, (3, 4), (1, 3), (), {MoveOutcome.DONE: 1, MoveOutcome.FAILED: 1}, ((21.0, 1),), allowance=2.5
    )
    return found == replace(whole.plan, version=8, state=PlanState.RUNNING, progress=progress)


def ended_before(whole: WholePlan) -> list[PlannedMove]:
    """Return the moves of the plan, with their ends by RESULTS."""
    moves = list(whole.moves)
    moves[0] = replace(moves[0], ending=Ending(0, MoveOutcome.DONE, "", 21.0))
    moves[4] = replace(moves[4], ending=Ending(4, MoveOutcome.FAILED, "it was tried 20 times"))
    return moves


async def test_plans_of_before_are_carried_over_by_init(catalog_uri: str) -> None:
    version_2.make(catalog_uri)
    running = whole_plan("running", *"abcdef")
    version_2.put_plan(catalog_uri, of_before(running, RESULTS))
    version_2.put_plan(catalog_uri, of_before(whole_plan("stopped", *"abcdef"), RESULTS, PlanState.STOPPED))
    done = of_before(whole_plan("done"), {"open": [], "ended": {"0": "gone"}}, PlanState.DONE)
    version_2.put_plan(catalog_uri, done)
    version_2.put_plan(catalog_uri, of_before(whole_plan("damaged"), RESULTS) | {"title": "another"})
    catalog = await open_catalog(catalog_uri)
    await catalog.init()
    found = await catalog.plans.get("running")
    assert found is not None
    assert carried_over(running, found)
    assert await catalog.planned_moves.find("running", limit=9) == ended_before(running)
    active = [plan.id for plan in await catalog.plans.find(active=True, after="damaged", limit=9)]
    assert active == ["running", "stopped"]
    with pytest.raises(CatalogUnavailable, match="damaged"):
        await catalog.plans.get("damaged")
    await catalog.close()


async def test_a_plan_that_a_release_before_makes_beside_us_is_carried_over_when_it_is_read(
    catalog: Catalog, other: Catalog, catalog_uri: str
) -> None:
    wholes = [whole_plan(f"plan-{n}", *"abcdef") for n in range(3)]
    for whole in wholes:
        await asyncio.to_thread(version_2.put_plan, catalog_uri, of_before(whole, RESULTS))
    found = await asyncio.gather(*((catalog, other)[n % 2].plans.get("plan-0") for n in range(6)))
    assert all(one is not None and carried_over(wholes[0], one) for one in found)
    listed = await other.plans.find(active=True, limit=9)
    assert [carried_over(*pair) for pair in zip(wholes, listed, strict=True)] == [True] * 3
    assert await catalog.planned_moves.find("plan-2", limit=9) == ended_before(wholes[2])
    await asyncio.to_thread(version_2.put_plan, catalog_uri, of_before(whole_plan("late"), {"open": []}))
    with pytest.raises(PlanConflict) as conflict:
        await catalog.plans.insert(replace(whole_plan("late"), plan=replace(whole_plan("late").plan, created=9.0)))
    assert conflict.value.current == replace(whole_plan("late").plan, version=8, state=PlanState.RUNNING)
    await asyncio.to_thread(version_2.put_plan, catalog_uri, of_before(whole_plan("later"), {"open": []}))
    kept = [value async for batch in catalog.backups.snapshot() for value in batch if isinstance(value, MovePlan)]
    assert [plan.id for plan in kept] == ["late", "later", "plan-0", "plan-1", "plan-2"]


async def test_a_plan_of_before_is_carried_on_to_its_end(catalog: Catalog, catalog_uri: str) -> None:
    await furnish(catalog, [f"q{n}" for n in range(5)])
    layout = await layout_for(catalog, Selection(PlanKind.TENANT, "a", ("p2",)), 4)
    whole = plan(Selection(PlanKind.TENANT, "a", ("p2",)), layout, Budgets(), plan_id="plan", created=0.0)
    # One has ended, one has a move, one was to be begun when its mover died.
    results = RESULTS | {"open": [1, 2], "ended": {"0": "gone"}, "reasons": {}, "pauses": {}}
    await asyncio.to_thread(version_2.put_plan, catalog_uri, of_before(whole, results))
    one = whole.moves[1]
    await catalog.moves.insert(Move("plan-00001", "a", one.queue, "p1", "p2", plan="plan", incarnation=one.incarnation))
    clock = Clock()
    for _ in range(6):
        await executor(catalog, clock).round()
        await finish(catalog)
        clock.now += 10
    assert await state(catalog) is PlanState.DONE
    assert await outcomes(catalog) == {0: MoveOutcome.GONE, **dict.fromkeys(range(1, 5), MoveOutcome.DONE)}
    assert [move.id for move in await records(catalog)] == [f"plan-{n:05d}" for n in range(1, 5)]


async def test_a_worker_of_version_3_expires_unless_it_renews(from_3: Catalog, catalog_uri: str) -> None:
    """It counts no renewals: the store's time is what changes by each."""
    [seen] = await from_3.members.all()
    stamps = {seen.stamp}
    for _ in range(3):
        await asyncio.to_thread(version_3.renew_member, catalog_uri, version_3.MEMBER)
        assert not await from_3.members.expire(seen)
        [seen] = await from_3.members.all()
        assert seen.beat == 0
        stamps.add(seen.stamp)
        await asyncio.sleep(0.005)  # the store's time is kept in milliseconds
    assert len(stamps) == 4
    assert await from_3.members.expire(seen)
    assert await from_3.members.all() == []


async def test_a_mover_of_version_3_leaves_our_moves_alone(from_3: Catalog, catalog_uri: str) -> None:
    await from_3.moves.insert(move("m-9", "elsewhere"))
    taken = await from_3.moves.lock("m-9").acquire("ours", 1.0)
    assert taken.holder is not None
    assert not await asyncio.to_thread(version_3.take_move, catalog_uri, "m-9", "theirs", 60.0)
    await from_3.moves.lock("m-9").renew(taken.holder.token, 1.0)
    assert not await asyncio.to_thread(version_3.take_move, catalog_uri, "m-9", "theirs", 60.0)
    await from_3.moves.lock("m-9").release(taken.holder.token)
    assert await asyncio.to_thread(version_3.take_move, catalog_uri, "m-9", "theirs", 60.0)


@pytest.mark.parametrize("before", ["never", "ours"])
async def test_a_mover_of_version_3_is_taken_over_unless_it_renews(
    from_3: Catalog, catalog_uri: str, before: str
) -> None:
    """It promises nothing, and counts no renewals: the end of its hold is what changes by each."""
    await from_3.moves.insert(move("m-9", "elsewhere"))
    if before == "ours":
        ours = (await from_3.moves.lock("m-9").acquire("ours", 1.0)).holder
        assert ours is not None
        await from_3.moves.lock("m-9").renew(ours.token, 1.0)
        await from_3.moves.lock("m-9").release(ours.token)
    assert await asyncio.to_thread(version_3.take_move, catalog_uri, "m-9", "theirs", 60.0)
    watched = await holder_of(from_3, "m-9")
    assert (watched.name, watched.patience) == ("theirs", UNPROMISED_HOLD)
    await asyncio.sleep(0.005)  # the store's time is kept in milliseconds
    assert await asyncio.to_thread(version_3.renew_move, catalog_uri, "m-9", watched.token, 60.0)
    with pytest.raises(LockHeld) as held:
        await from_3.moves.lock("m-9").acquire("ours", 60.0, over=watched)
    renewed = held.value.holder
    assert renewed == await holder_of(from_3, "m-9") != watched
    taken = await from_3.moves.lock("m-9").acquire("ours", 60.0, over=renewed)
    assert not await asyncio.to_thread(version_3.renew_move, catalog_uri, "m-9", renewed.token, 60.0)
    assert await holder_of(from_3, "m-9") == taken.holder


async def holder_of(catalog: Catalog, move_id: str) -> Holder:
    """The holder of a move that is held."""
    seen = await catalog.moves.get(move_id)
    assert seen is not None
    assert seen.holder is not None
    return seen.holder
