"""Moves: records, at most one unfinished for each queue, and their locks; plans."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from pymongo import MongoClient

from catalog import Catalog
from catalog.errors import LockLost, MoveConflict, MoveUnderWay, PlanConflict
from catalog.model import (
    FINISHED_STATES,
    ChangeSubject,
    Ending,
    HeldWrites,
    Holder,
    LogEntry,
    Move,
    MoveOutcome,
    MoveState,
    PlanState,
    Progress,
    QueueKey,
    WholePlan,
)
from catalog.mongodb.driver import MongoDBCatalog
from catalog.sqlite import plans as sqlite_plans
from catalog.sqlite.driver import SQLiteCatalog
from tests.contract.examples import Feed, move, plan, whole_plan
from tests.contract.sqlite_work import steps
from tests.simulation.memory_catalog import MemoryCatalog

HOUR = 3600.0


async def holder_of(catalog: Catalog, move_id: str) -> Holder:
    """The holder of a move that is held."""
    seen = await catalog.moves.get(move_id)
    assert seen is not None
    assert seen.holder is not None
    return seen.holder


def next_of(one: Move, state: MoveState = MoveState.PREPARING) -> Move:
    return replace(one, state=state, version=one.version + 1)


async def token(catalog: Catalog, move_id: str, holder: str = "mover", over: Holder | None = None) -> int:
    """Take the move; return the token."""
    taken = await catalog.moves.lock(move_id).acquire(holder, HOUR, over=over)
    assert taken.holder is not None
    assert taken.holder.name == holder
    return taken.holder.token


@pytest.mark.parametrize(
    "stored",
    [
        move("m-1"),
        Move(
            "20261121T080000-123Z-ab",
            "a/\xff",
            "~t",
            "Full.1_2-3",
            "p2",
            MoveState.LINGERING,
            2**40,
            attempt=7,
            created=1700000000.25,
            log=(
                LogEntry(1700000000.5, MoveState.ARMED, "all 4 workers are capable"),
                LogEntry(1.5, MoveState.SEALING, "\xe9$", (("acks", 4), ("pause_ms", 12.5), ("who", "$host/1"))),
            ),
            max_pause_ms=250,
            pause_ms=38.25,
            certificate={"checks": [{"at": 1.5, "free": 0, "ok": True, "note": None}], "deep": {"a": {"b": []}}},
            plan="plan-1",
            group=("m-2", "m-3"),
            incarnation="5a5a",
            destination="Full.1_2-3",
            tail=3,
            backend_name="~t.3",
            due=1700000001.75,
            other_facts={"seal": {"members": ["host/1/boot"], "position": 2**40}},
        ),
        move("no-project", project=""),
    ],
    ids=lambda one: one.id,
)
async def test_what_is_stored_comes_back_whole(catalog: Catalog, other: Catalog, stored: Move) -> None:
    await catalog.moves.insert(stored)
    found = await other.moves.get(stored.id)
    assert found == stored
    assert found.to_json() == stored.to_json()
    assert await other.moves.find(limit=10) == [stored]
    changed = replace(next_of(stored), certificate={"only": "this"}, group=())
    await other.moves.replace(changed, None)
    assert await catalog.moves.get(stored.id) == changed


async def test_the_move_that_is_under_way(catalog: Catalog, other: Catalog) -> None:
    orders = move("m-2").key
    assert await other.moves.under_way(orders) is None
    await catalog.moves.insert(move("m-1", state=MoveState.DONE))
    await catalog.moves.insert(move("m-3", "other"))
    await catalog.moves.insert(replace(move("m-4"), project="another"))
    assert await other.moves.under_way(orders) is None
    await catalog.moves.insert(move("m-2"))
    held = await token(catalog, "m-2")
    found = await other.moves.under_way(orders)
    assert found == move("m-2")
    assert found.holder is not None
    assert found.holder.token == held
    await catalog.moves.replace(next_of(move("m-2"), MoveState.CANCELLED), held)
    assert await other.moves.under_way(orders) is None


async def test_nothing_is_there_before_it_is_inserted(catalog: Catalog) -> None:
    assert await catalog.moves.get("m-1") is None
    assert await catalog.moves.find(limit=10) == []
    with pytest.raises(MoveConflict) as conflict:
        await catalog.moves.replace(move("m-1", version=2), None)
    assert conflict.value.current is None
    with pytest.raises(MoveConflict):
        await catalog.moves.replace(move("m-1", version=2), 1)
    with pytest.raises(MoveConflict):
        await catalog.moves.lock("m-1").acquire("mover", HOUR)
    with pytest.raises(LockLost):
        await catalog.moves.lock("m-1").renew(1, HOUR)
    await catalog.moves.lock("m-1").release(1)


async def test_an_id_is_taken_once(catalog: Catalog, other: Catalog) -> None:
    await catalog.moves.insert(move("m-1"))
    await other.moves.insert(move("m-1"))  # a repeated write
    for different in (move("m-1", created=1.0), move("m-1", "elsewhere")):
        with pytest.raises(MoveConflict) as conflict:
            await other.moves.insert(different)
        assert conflict.value.current == move("m-1")
    assert await catalog.moves.find(limit=10) == [move("m-1")]


@pytest.mark.parametrize("state", MoveState)
async def test_a_queue_has_one_unfinished_move(catalog: Catalog, other: Catalog, state: MoveState) -> None:
    await catalog.moves.insert(move("m-1"))
    now = move("m-1", state=state, version=2)
    await catalog.moves.replace(now, None)
    if state in FINISHED_STATES:
        await other.moves.insert(move("m-2"))
        # And a finished one cannot come back beside another.
        with pytest.raises(MoveUnderWay) as refused:
            await catalog.moves.replace(move("m-1", state=MoveState.DRAINING, version=3), None)
        assert refused.value.current == move("m-2")
        assert await other.moves.get("m-1") == now
        await catalog.moves.replace(replace(now, version=3, plan="p"), None)
    else:
        with pytest.raises(MoveUnderWay) as refused:
            await other.moves.insert(move("m-2"))
        assert refused.value.current == now
        assert await catalog.moves.get("m-2") is None
    # Other queues, the same name in another project among them, have nothing to do with it.
    await other.moves.insert(move("m-3", "elsewhere"))
    await other.moves.insert(move("m-4", project=""))


async def test_replace_is_a_compare_and_set(catalog: Catalog, other: Catalog) -> None:
    first = move("m-1")
    await catalog.moves.insert(first)
    second = next_of(first)
    await catalog.moves.replace(second, None)
    await other.moves.replace(second, None)  # a repeated write
    for stale in (next_of(first, MoveState.CANCELLED), first, next_of(next_of(second))):
        with pytest.raises(MoveConflict) as conflict:
            await other.moves.replace(stale, None)
        assert conflict.value.current == second
    assert await catalog.moves.get("m-1") == second


async def test_filters_and_pages(catalog: Catalog) -> None:
    everything = []
    for n in range(12):
        one = move(
            f"m-{n:02}",
            f"queue-{n % 4}",
            f"p{n % 3 + 1}",
            f"p{(n + 1) % 3 + 1}",
            project=("a", "b", "")[n % 3],
            state=list(MoveState)[n % 5],
            plan=("plan-1", None)[n % 2],
        )
        await catalog.moves.insert(one)
        everything.append(one)
    filters = {
        "project": ("a", "", "nobody"),
        "queue": ("queue-1", "nothing"),
        "partition": ("p1", "p3", "p9"),
        "states": ([MoveState.PLANNED], {MoveState.ARMED, MoveState.DRAINING}, frozenset(MoveState), ()),
        "plan": ("plan-1", "plan-2"),
    }

    def passes(one: Move, given: dict[str, object]) -> bool:
        return all(
            {
                "project": lambda value: one.project == value,
                "queue": lambda value: one.queue == value,
                "partition": lambda value: value in (one.source, one.target),
                "states": lambda value: one.state in value,
                "plan": lambda value: one.plan == value,
            }[name](value)
            for name, value in given.items()
        )

    chosen = [{name: value} for name, values in filters.items() for value in values]
    chosen += [
        {},
        {"project": "a", "partition": "p1"},
        {"plan": "plan-1", "states": [MoveState.PLANNED], "queue": "queue-0"},
    ]
    for given in chosen:
        expected = [one for one in everything if passes(one, given)]
        listed: list[Move] = []
        while page := await catalog.moves.find(**given, after=listed[-1].id if listed else None, limit=2):
            assert len(page) <= 2
            listed += page
        assert listed == expected, given
    assert await catalog.moves.find(limit=0) == []
    assert await catalog.moves.find(after="m-05x", limit=1) == [everything[6]]


# -- the lock of a move ------------------------------------------------------------------------------------------------


async def test_one_holds_it(catalog: Catalog, other: Catalog) -> None:
    await catalog.moves.insert(move("m-1"))
    taken = await catalog.moves.lock("m-1").acquire("one", HOUR)
    assert taken == move("m-1")
    assert taken.holder is not None
    assert taken.holder == Holder("one", taken.holder.token, 0, HOUR)
    assert await holder_of(other, "m-1") == taken.holder
    assert [listed.holder for listed in await other.moves.find(limit=1)] == [taken.holder]


async def test_the_holder_changes_the_move(catalog: Catalog) -> None:
    await catalog.moves.insert(move("m-1"))
    held = await token(catalog, "m-1")
    second = next_of(move("m-1"))
    await catalog.moves.replace(second, held)
    await catalog.moves.replace(second, held)  # a repeated write
    with pytest.raises(MoveConflict):
        await catalog.moves.replace(next_of(move("m-1"), MoveState.ARMED), held)
    found = await catalog.moves.get("m-1")
    assert found == second
    assert found.holder is not None  # it holds it still
    assert found.holder.token == held


@pytest.mark.parametrize("end", ["released", "taken over", "taken again"])
async def test_who_lost_it_changes_nothing_any_more(catalog: Catalog, other: Catalog, end: str) -> None:
    await catalog.moves.insert(move("m-1"))
    lost = await token(catalog, "m-1", "one")
    if end == "released":
        await catalog.moves.lock("m-1").release(lost)
        await catalog.moves.lock("m-1").release(lost)
    elif end == "taken over":
        await token(other, "m-1", "two", await holder_of(other, "m-1"))
    elif end == "taken again":
        await token(other, "m-1", "one")
    before = await other.moves.get("m-1")
    assert before is not None
    for _ in range(2):
        with pytest.raises(LockLost) as refused:
            await catalog.moves.replace(next_of(move("m-1")), lost)
        assert (refused.value.what, refused.value.token) == ("move m-1", lost)
    await catalog.moves.lock("m-1").release(lost)
    after = await other.moves.get("m-1")
    assert after == before == move("m-1")
    assert after.holder == before.holder
    assert (after.holder is None) == (end == "released")


async def test_a_hold_without_a_promise_does_not_end_by_itself(catalog: Catalog, other: Catalog) -> None:
    await catalog.moves.insert(move("m-1"))
    taken = await catalog.moves.lock("m-1").acquire("one", 0.0)
    assert taken.holder is not None
    await catalog.moves.replace(next_of(move("m-1")), taken.holder.token)
    assert (await holder_of(other, "m-1")).name == "one"


async def test_what_an_operator_decides_meets_the_holder_as_a_conflict(catalog: Catalog, other: Catalog) -> None:
    await catalog.moves.insert(move("m-1"))
    held = await token(catalog, "m-1")
    cancelled = next_of(move("m-1"), MoveState.UNDOING)
    await other.moves.replace(cancelled, None)
    with pytest.raises(MoveConflict) as conflict:
        await catalog.moves.replace(next_of(move("m-1"), MoveState.ARMED), held)
    assert conflict.value.current == cancelled
    await catalog.moves.replace(next_of(cancelled, MoveState.CANCELLED), held)


# -- the writes that waited for a move --------------------------------------------------------------------------------


async def test_held_writes_are_kept_by_move_and_member(catalog: Catalog, other: Catalog) -> None:
    for id_ in ("m-1", "m-2", "m-10"):
        await catalog.moves.insert(move(id_, f"queue-{id_}"))
    assert await catalog.held_writes.find("m-1") == []
    one, two = HeldWrites("host/1/$boot", 3, 1, 250), HeldWrites("host/2/boot", 1)
    await catalog.held_writes.put({"m-2": two, "m-1": two, "m-10": one})
    await other.held_writes.put({"m-1": one})
    assert await other.held_writes.find("m-1") == [one, two]
    latest = HeldWrites("host/1/$boot", 2**40, 2, 300)
    await catalog.held_writes.put({"m-1": latest})
    await catalog.held_writes.put({})
    assert await other.held_writes.find("m-1") == [latest, two]
    await other.held_writes.remove("m-1")
    await other.held_writes.remove("m-1")
    assert await catalog.held_writes.find("m-1") == []
    assert await catalog.held_writes.find("m-2") == [two]
    assert await catalog.held_writes.find("m-10") == [one]


async def test_held_writes_of_moves_that_are_finished_or_unknown_are_dropped(catalog: Catalog) -> None:
    await catalog.moves.insert(move("m-1", "goes", state=MoveState.SEALING))
    await catalog.moves.insert(move("m-2", "went", state=MoveState.DONE))
    held = HeldWrites("host/1/boot", 3)
    await catalog.held_writes.put(dict.fromkeys(("m-1", "m-2", "m-3"), held))
    assert [await catalog.held_writes.find(f"m-{n}") for n in (1, 2, 3)] == [[held], [], []]
    await catalog.held_writes.put({"m-3": held})
    assert await catalog.held_writes.find("m-3") == []


async def test_held_writes_go_with_the_record_and_stay_with_a_move_that_stays(catalog: Catalog) -> None:
    for n in (1, 2):
        await catalog.moves.insert(move(f"m-{n}", f"queue-{n}"))
    held = HeldWrites("host/1/boot", 3)
    await catalog.held_writes.put({"m-1": held, "m-2": held})
    await catalog.moves.replace(replace(move("m-1", "queue-1", state=MoveState.DONE), version=2), None)
    await catalog.moves.remove(["m-1", "m-2"])
    assert await catalog.held_writes.find("m-1") == []
    assert await catalog.held_writes.find("m-2") == [held]


# -- plans ------------------------------------------------------------------------------------------------------------


async def test_plans(catalog: Catalog, other: Catalog) -> None:
    assert await catalog.plans.get("plan-1") is None
    whole = whole_plan("plan-1", "orders", "~t", "\xe9")
    first = replace(whole.plan, hash="", preconditions={"epochs": [1, 2]}, created=1700000000.25)
    whole = WholePlan(first, whole.moves)
    first = whole.plan
    await catalog.plans.insert(whole)
    await other.plans.insert(whole)  # a repeated write
    found = await other.plans.get("plan-1")
    assert found == first
    assert found.to_json() == first.to_json()
    second = replace(first, version=2, state=PlanState.RUNNING, progress=PROGRESS)
    await other.plans.replace(second)
    await other.plans.replace(second)  # a repeated write
    assert await catalog.plans.get("plan-1") == second
    for call in (
        catalog.plans.insert(whole),
        catalog.plans.replace(replace(first, version=2)),
        catalog.plans.replace(replace(first, version=4)),
    ):
        with pytest.raises(PlanConflict) as conflict:
            await call
        assert conflict.value.current == second
    with pytest.raises(PlanConflict) as conflict:
        await catalog.plans.replace(plan("plan-2", version=2))
    assert conflict.value.current is None


PROGRESS = Progress(
    next=2,
    ahead=(4, 7),
    pending=(7,),
    endings=(Ending(0, MoveOutcome.DONE, "", 3.5), Ending(1, MoveOutcome.REFUSED, "why")),
    counts={MoveOutcome.DONE: 1, MoveOutcome.REFUSED: 1},
    pauses=((3.5, 1),),
    allowance=0.25,
    note="a note",
)


async def test_a_plan_is_removed_if_it_has_not_changed(catalog: Catalog, other: Catalog) -> None:
    await catalog.plans.insert(whole_plan("plan-1"))
    changed = plan("plan-1", version=2, state=PlanState.RUNNING)
    await catalog.plans.replace(changed)
    await catalog.plans.insert(whole_plan("plan-2"))
    assert await other.plans.exists("plan-1")
    with pytest.raises(PlanConflict) as conflict:
        await catalog.plans.remove("plan-1", 1)
    assert conflict.value.current == changed
    assert await other.plans.exists("plan-1")
    assert len(await other.planned_moves.find("plan-1", limit=9)) == 1
    async with Feed(other) as feed:
        await catalog.plans.remove("plan-1", 2)
        await catalog.plans.remove("plan-1", 2)  # a repeated write
        await feed.until(lambda: bool(feed.changes))
        assert [(one.subject, one.name, one.epoch) for one in feed.changes] == [(ChangeSubject.PLAN, ("plan-1",), None)]
    assert not await other.plans.exists("plan-1")
    assert await other.plans.get("plan-1") is None
    assert await other.planned_moves.find("plan-1", limit=9) == []
    assert await other.plans.find(limit=9) == [plan("plan-2")]
    with pytest.raises(PlanConflict) as conflict:
        await catalog.plans.replace(replace(changed, version=3))
    assert conflict.value.current is None


async def strand(catalog: Catalog, whole: WholePlan) -> None:
    """Store the moves of a plan, and not the plan: as an insertion, or on MongoDB a removal, that dies half-way."""
    if isinstance(catalog, SQLiteCatalog):
        await catalog._file.write(sqlite_plans.insert_moves, whole.moves)
    elif isinstance(catalog, MongoDBCatalog):
        await catalog.planned_moves.insert(whole.moves)
    else:
        assert isinstance(catalog, MemoryCatalog)
        catalog._process.store.planned_moves.update(((move.plan, move.number), move) for move in whole.moves)


async def test_moves_without_their_plan_are_found_and_removed(catalog: Catalog, other: Catalog) -> None:
    assert await other.plans.orphaned() == []
    await catalog.plans.insert(whole_plan("plan-2"))
    for id_ in ("plan-3", "plan-1"):
        await strand(catalog, whole_plan(id_, "a", "b"))
    assert await other.plans.orphaned() == ["plan-1", "plan-3"]
    await other.plans.remove("plan-1", 0)
    assert await catalog.planned_moves.find("plan-1", limit=9) == []
    assert await catalog.plans.orphaned() == ["plan-3"]
    await other.plans.insert(whole_plan("plan-3", "a", "b"))  # the insertion goes on
    assert await catalog.plans.orphaned() == []
    assert [one.id for one in await catalog.plans.find(limit=9)] == ["plan-2", "plan-3"]


async def test_looking_for_moves_without_a_plan_costs_as_much_as_there_are_plans(
    catalog: Catalog, catalog_uri: str
) -> None:
    for n in range(3):
        await catalog.plans.insert(whole_plan(f"plan-{n}", *(f"queue-{number:04}" for number in range(2000))))
    if isinstance(catalog, SQLiteCatalog):
        assert await catalog.plans.orphaned() == []
        assert await steps(catalog, catalog.plans.orphaned) < 100
        return
    with MongoClient[dict[str, Any]](catalog_uri) as client:
        database = client.get_default_database()
        database.command("profile", 2)
        assert await catalog.plans.orphaned() == []
        database.command("profile", 0)
        (profile,) = database["system.profile"].find({"ns": f"{database.name}.planned_moves"})
    assert max(profile["docsExamined"], profile["keysExamined"]) < 20


async def test_plans_are_listed_by_id(catalog: Catalog) -> None:
    plans = [whole_plan(f"plan-{n}", state=list(PlanState)[n % 3]) for n in range(6)]
    for one in reversed(plans):
        await catalog.plans.insert(one)
    heads = [one.plan for one in plans]
    assert await catalog.plans.find(limit=100) == heads
    assert await catalog.plans.find(after="plan-1", limit=2) == heads[2:4]
    assert await catalog.plans.find(states=[PlanState.PLANNED], limit=100) == [heads[0], heads[3]]
    assert await catalog.plans.find(states={PlanState.RUNNING, PlanState.PAUSED}, after="plan-2", limit=9) == heads[4:]
    assert await catalog.plans.find(states=[], limit=100) == []
    assert await catalog.plans.find(limit=0) == []


async def test_plans_about_which_there_is_something_to_do(catalog: Catalog) -> None:
    ending = Ending(0, MoveOutcome.DONE)
    begun = Progress().with_begun([0], 0.0)
    written = replace(begun.with_endings([ending]), endings=())
    states = {
        "planned": (PlanState.PLANNED, Progress(), False),
        "running": (PlanState.RUNNING, Progress(), True),
        "paused": (PlanState.PAUSED, written, True),
        "stopped-0": (PlanState.STOPPED, written, False),
        "stopped-1": (PlanState.STOPPED, begun, True),
        "done-0": (PlanState.DONE, written, False),
        "done-1": (PlanState.DONE, begun.with_endings([ending]), True),
    }
    for name, (state, progress, _) in states.items():
        whole = whole_plan(name)
        await catalog.plans.insert(whole)
        await catalog.plans.replace(replace(whole.plan, version=2, state=state, progress=progress))
    found = [one.id for one in await catalog.plans.find(active=True, limit=9)]
    assert found == sorted(name for name, (_, _, active) in states.items() if active)
    assert [one.id for one in await catalog.plans.find(active=True, after="done-1", limit=1)] == ["paused"]
    assert await catalog.plans.find(active=True, states=[PlanState.PLANNED], limit=9) == []


async def test_two_race_to_change_a_plan(catalog: Catalog, other: Catalog) -> None:
    await catalog.plans.insert(whole_plan("plan-1"))
    candidates = [replace(plan("plan-1", version=2), progress=Progress(note=f"by {n}")) for n in range(20)]
    answers = await asyncio.gather(
        *((catalog, other)[n % 2].plans.replace(one) for n, one in enumerate(candidates)), return_exceptions=True
    )
    [winner] = [one for one, answer in zip(candidates, answers, strict=True) if answer is None]
    refusals = [answer for answer in answers if answer is not None]
    assert all(isinstance(refusal, PlanConflict) and refusal.current == winner for refusal in refusals)
    assert await catalog.plans.get("plan-1") == winner


async def test_a_plan_of_many_moves(catalog: Catalog) -> None:
    large = whole_plan("plan-1", *(f"{'queue' * 11}-{n:05}" for n in range(20_000)))
    await catalog.plans.insert(large)
    assert await catalog.plans.get("plan-1") == large.plan
    found = []
    while page := await catalog.planned_moves.find("plan-1", after=len(found) - 1, limit=5000):
        found += page
    assert found == list(large.moves)


async def test_moves_of_a_plan_are_listed_by_number_and_end_once(catalog: Catalog, other: Catalog) -> None:
    whole = whole_plan("plan-1", *"abcdef")
    await catalog.plans.insert(whole)
    await catalog.plans.insert(whole_plan("plan-1-b", "a"))
    moves = list(whole.moves)
    assert await other.planned_moves.get("plan-1", QueueKey("project", "c")) == moves[2]
    assert await catalog.planned_moves.get("plan-1", QueueKey("project", "z")) is None
    assert await catalog.planned_moves.find("plan-1", limit=9) == moves
    assert await catalog.planned_moves.find("plan-1", after=1, before=4, limit=9) == moves[2:4]
    assert await catalog.planned_moves.find("plan-1", after=1, limit=1) == moves[2:3]
    assert await catalog.planned_moves.find("plan-1", numbers=[9, 4, 0], limit=9) == [moves[0], moves[4]]
    assert await catalog.planned_moves.find("plan-1", numbers=[], limit=9) == []
    assert await catalog.planned_moves.find("plan-1", limit=0) == []
    assert await catalog.planned_moves.find("none", limit=9) == []
    done, failed = Ending(1, MoveOutcome.DONE, "", 20.5), Ending(3, MoveOutcome.FAILED, "it was tried 20 times")
    await other.planned_moves.end("plan-1", [done, failed])
    await catalog.planned_moves.end("plan-1", [Ending(1, MoveOutcome.GONE), Ending(99, MoveOutcome.GONE)])
    await catalog.planned_moves.end("plan-1", [])
    moves[1], moves[3] = replace(moves[1], ending=done), replace(moves[3], ending=failed)
    assert await catalog.planned_moves.find("plan-1", limit=9) == moves
    assert await catalog.planned_moves.find("plan-1", outcomes=[None], after=0, limit=9) == [moves[2], *moves[4:]]
    assert (
        await catalog.planned_moves.find("plan-1", outcomes=[MoveOutcome.FAILED, None], after=2, limit=2) == moves[3:5]
    )
    assert await catalog.planned_moves.find("plan-1", outcomes={MoveOutcome.DONE}, limit=9) == moves[1:2]
    assert await catalog.planned_moves.find("plan-1", outcomes=[], limit=9) == []
    assert await catalog.planned_moves.find("plan-1", outcomes=[None], numbers=[1, 2], limit=9) == moves[2:3]


async def test_moves_are_listed_by_ids_and_by_plan_and_state(catalog: Catalog) -> None:
    moves = [move(f"m-{n}", f"q{n}", plan="plan-1" if n else None) for n in range(5)]
    moves[2] = replace(moves[2], state=MoveState.DONE)
    for one in moves:
        await catalog.moves.insert(one)
    assert await catalog.moves.find(ids=["m-3", "m-1", "m-9"], limit=9) == [moves[1], moves[3]]
    assert await catalog.moves.find(ids=["m-3", "m-1"], after="m-1", limit=9) == [moves[3]]
    assert await catalog.moves.find(ids=[], limit=9) == []
    assert await catalog.moves.find(plan="plan-1", states=[MoveState.PLANNED], limit=2) == [moves[1], moves[3]]
