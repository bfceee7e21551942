"""One executor of plans in each situation that it can meet; the contract tests run several at once."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from dataclasses import replace

import pytest

from catalog import open_catalog
from catalog.errors import CatalogUnavailable
from catalog.model import (
    MoveOutcome,
    MovePlan,
    MoveState,
    PartitionState,
    PlacementState,
    PlannedMove,
    PlanState,
    Progress,
    QueueKey,
    WholePlan,
)
from marconi_proxy.moving.orders.order import OPERATOR
from marconi_proxy.moving.plans import progress as plan_progress
from marconi_proxy.moving.plans.budgets import Budgets
from marconi_proxy.moving.plans.executor import run_plans, until_news
from marconi_proxy.moving.plans.selection import PlanKind, Selection
from tests.catalog_wraps import Passing
from tests.contract.plan_stage import (
    Clock,
    endings,
    enter,
    executor,
    finish,
    furnish,
    outcomes,
    place,
    progress,
    records,
    running,
    state,
)
from tests.simulation.memory_catalog import MemoryCatalog, Store


@pytest.fixture
async def catalog(tmp_path):
    catalog = await open_catalog(f"sqlite:///{tmp_path}/catalog.db")
    await catalog.init()
    yield catalog
    await catalog.close()


@pytest.fixture
def clock():
    return Clock()


async def change(catalog, **members):
    plan = await catalog.plans.get("plan")
    await catalog.plans.replace(replace(plan, version=plan.version + 1, **members))


async def test_a_plan_that_was_not_applied_is_left_alone(catalog, clock):
    await furnish(catalog, ["a"])
    await running(catalog, state=PlanState.PLANNED)
    await executor(catalog, clock).round()
    assert await records(catalog) == []


async def test_a_paused_plan_begins_nothing_and_goes_on_counting(catalog, clock):
    await furnish(catalog, ["a", "b"])
    await running(catalog, Budgets(at_once=1))
    one = executor(catalog, clock)
    await one.round()
    await change(catalog, state=PlanState.PAUSED)
    await finish(catalog)
    await one.round()
    assert len(await records(catalog)) == 1
    assert await outcomes(catalog) == {0: MoveOutcome.DONE}
    await change(catalog, state=PlanState.RUNNING)
    await one.round()
    assert len(await records(catalog)) == 2


async def test_moves_of_a_plan_carry_what_it_says(catalog, clock):
    await furnish(catalog, ["q"])
    await place(catalog, "dead", group="q")
    await running(catalog, Budgets(max_pause_ms=150))
    await executor(catalog, clock).round()
    one, other = await records(catalog)
    assert (one.id, other.id) == ("plan-00000", "plan-00001")
    assert (one.group, other.group) == (("plan-00001",), ("plan-00000",))
    assert (one.max_pause_ms, one.plan, one.incarnation, one.created) == (150, "plan", "0123456789abcdef", clock.now)


async def test_a_move_that_has_come_to_its_switch_makes_room_for_the_next(catalog, clock):
    await furnish(catalog, ["a", "b"])
    await running(catalog, Budgets(at_once=1))
    one = executor(catalog, clock)
    await one.round()
    (first,) = await records(catalog)
    await enter(catalog, first, MoveState.DRAINING)
    await one.round()
    assert len(await records(catalog)) == 2
    assert (await progress(catalog)).open == 2


@pytest.mark.parametrize("final", [MoveState.CANCELLED, MoveState.VOID, MoveState.PAUSED])
async def test_a_move_that_has_ended_or_is_paused_makes_room_for_the_next(catalog, clock, final):
    await furnish(catalog, ["a", "b"])
    await running(catalog, Budgets(at_once=1))
    one = executor(catalog, clock)
    await one.round()
    (first,) = await records(catalog)
    await enter(catalog, first, final, f"{OPERATOR}so")
    await one.round()
    assert len(await records(catalog)) == 2


async def test_moves_are_begun_no_faster_than_budgeted(catalog, clock):
    await furnish(catalog, [f"q{n}" for n in range(9)])
    await running(catalog, Budgets(at_once=100, seals_per_second=2))
    one = executor(catalog, clock)
    begun = []
    for _ in range(5):
        await one.round()
        begun.append(len(await records(catalog)))
        clock.now += 0.5
    assert begun == [2, 3, 4, 5, 6]


async def test_outside_its_window_nothing_is_begun(catalog, clock):
    await furnish(catalog, ["a"])
    clock.now = 86400 * 20_000 + 3600.0
    await running(catalog, Budgets(window="02:00-03:00"))
    one = executor(catalog, clock)
    await one.round()
    assert await records(catalog) == []
    clock.now += 3600
    await one.round()
    assert len(await records(catalog)) == 1


async def test_a_group_larger_than_the_budget_goes_alone(catalog, clock):
    await furnish(catalog, ["q", "z"])
    await place(catalog, "dead", group="q")
    await running(catalog, Budgets(at_once=1, seals_per_second=1))
    one = executor(catalog, clock)
    await one.round()
    assert {m.queue for m in await records(catalog)} == {"q", "dead"}
    await finish(catalog)
    clock.now += 10
    await one.round()
    assert len(await records(catalog)) == 3


async def ended(catalog, clock, rounds=3):
    for _ in range(rounds):
        await executor(catalog, clock).round()
        clock.now += 1
    found = await endings(catalog)
    return await outcomes(catalog), {number: ending.reason for number, ending in found.items() if ending.reason}


async def test_a_queue_that_is_gone_or_anew_is_no_failure(catalog, clock):
    await furnish(catalog, ["a", "b"])
    await running(catalog, Budgets(stop_after=1))
    for queue in ("a", "b"):
        await catalog.placements.remove(QueueKey("a", queue), 1, "0123456789abcdef")
    await place(catalog, "b", incarnation="ffff")
    assert await ended(catalog, clock) == ({0: MoveOutcome.GONE, 1: MoveOutcome.GONE}, {})
    assert await state(catalog) is PlanState.DONE
    assert await records(catalog) == []


async def test_a_queue_that_is_being_deleted_is_waited_for(catalog, clock):
    await furnish(catalog, ["a"])
    await running(catalog)
    placement = await catalog.placements.get(QueueKey("a", "a"))
    deleting = replace(placement, epoch=2, state=PlacementState.DELETING)
    await catalog.placements.replace(deleting)
    assert await ended(catalog, clock) == ({}, {})
    await catalog.placements.remove(placement.key, 2, placement.incarnation)
    assert await ended(catalog, clock) == ({0: MoveOutcome.GONE}, {})


async def test_a_target_that_takes_no_more_refuses_and_so_many_failures_stop_the_plan(catalog, clock):
    await furnish(catalog, ["a", "b", "c", "d"])
    await running(catalog, Budgets(at_once=1, stop_after=2))
    target = await catalog.partitions.get("p2")
    await catalog.partitions.replace(replace(target, state=PartitionState.CORDONED, version=target.version + 1))
    found, reasons = await ended(catalog, clock, 6)
    assert found == {0: MoveOutcome.REFUSED, 1: MoveOutcome.REFUSED}
    assert reasons[0] == "partition p2 is cordoned: it takes no more queues"
    assert await state(catalog) is PlanState.STOPPED
    assert (await progress(catalog)).note == "stopped after 2 failures"
    assert await records(catalog) == []


@pytest.mark.parametrize(
    ("final", "reason", "outcome"),
    [
        (MoveState.PAUSED, "gave up after 20 seals", MoveOutcome.FAILED),
        (MoveState.PAUSED, f"{OPERATOR}pause", None),
        (MoveState.CANCELLED, "cleaned up", MoveOutcome.CANCELLED),
        (MoveState.VOID, "the queue was deleted", MoveOutcome.GONE),
        (MoveState.SUSPENDED, f"{OPERATOR}pause", None),
        (MoveState.LINGERING, "empty", None),
    ],
)
async def test_how_a_move_ended(catalog, clock, final, reason, outcome):
    await furnish(catalog, ["a"])
    await running(catalog)
    await executor(catalog, clock).round()
    (move,) = await records(catalog)
    await enter(catalog, move, final, reason)
    found, reasons = await ended(catalog, clock, 1)
    assert found == ({0: outcome} if outcome else {})
    assert reasons == ({0: reason} if outcome is MoveOutcome.FAILED else {})
    assert await state(catalog) is (PlanState.DONE if outcome else PlanState.RUNNING)


async def test_a_move_that_was_reversed_is_said_to_be(catalog, clock):
    await furnish(catalog, ["a"])
    await running(catalog)
    await executor(catalog, clock).round()
    (move,) = await records(catalog)
    await enter(catalog, move, MoveState.DONE, destination="p1")
    assert (await ended(catalog, clock, 1))[0] == {0: MoveOutcome.REVERSED}


async def test_a_move_that_was_sent_on_elsewhere_is_not_where_the_plan_says(catalog, clock):
    await furnish(catalog, ["a"])
    await running(catalog)
    await executor(catalog, clock).round()
    (move,) = await records(catalog)
    await enter(catalog, move, MoveState.DONE, source="p2", target="p3", destination="p3")
    assert (await ended(catalog, clock, 1))[0] == {0: MoveOutcome.REVERSED}


async def test_a_cancelled_move_of_a_deleted_queue_is_gone(catalog, clock):
    await furnish(catalog, ["a"])
    await running(catalog)
    await executor(catalog, clock).round()
    (move,) = await records(catalog)
    await enter(catalog, move, MoveState.CANCELLED)
    await catalog.placements.remove(move.key, 1, move.incarnation)
    assert (await ended(catalog, clock, 1))[0] == {0: MoveOutcome.GONE}


async def test_a_kept_place_follows_its_source_once_that_has_gone(catalog, clock):
    await furnish(catalog, ["q"])
    await place(catalog, "kept", PlacementState.RESERVED, group="q")
    await running(catalog)
    one = executor(catalog, clock)
    await one.round()
    (move,) = await records(catalog)
    assert (move.queue, move.group) == ("q", ())
    await one.round()
    kept = QueueKey("a", "kept")
    assert (await catalog.placements.get(kept)).partition == "p1"
    await enter(catalog, move, MoveState.DRAINING)
    await one.round()
    placement = await catalog.placements.get(kept)
    assert (placement.partition, placement.state, placement.segments[0].n) == ("p2", PlacementState.RESERVED, 1)
    (move,) = await records(catalog)
    await enter(catalog, move, MoveState.DONE)
    await one.round()
    assert (await ended(catalog, clock))[0] == {0: MoveOutcome.DONE, 1: MoveOutcome.DONE}
    assert await state(catalog) is PlanState.DONE


async def test_a_kept_place_stays_if_its_source_does(catalog, clock):
    await furnish(catalog, ["q"])
    await place(catalog, "kept", PlacementState.RESERVED, group="q")
    await running(catalog)
    await executor(catalog, clock).round()
    (move,) = await records(catalog)
    await enter(catalog, move, MoveState.CANCELLED)
    found, reasons = await ended(catalog, clock)
    assert set(found.values()) == {MoveOutcome.CANCELLED}
    assert "its source q is on p1" in reasons.values()


async def test_what_is_left_on_a_drained_partition_is_said(catalog, clock):
    await furnish(catalog, ["q"])
    await running(catalog, selection=Selection(PlanKind.DRAIN, "p1"))
    await place(catalog, "late")
    one = executor(catalog, clock)
    await one.round()
    await finish(catalog)
    await one.round()
    assert await state(catalog) is PlanState.DONE
    assert (await progress(catalog)).note == "partition p1 still has 1 placement"
    assert (await catalog.partitions.get("p1")).state is PartitionState.ENABLED


async def test_rounds_go_on_whatever_happens(catalog, clock, monkeypatch, caplog):
    rounds = []

    async def list_plans(**_):
        rounds.append(1)
        raise [CatalogUnavailable("away"), RuntimeError("a mistake"), asyncio.CancelledError][len(rounds) - 1]

    async def sleep(seconds):
        assert seconds == 1.0

    monkeypatch.setattr(catalog.plans, "find", list_plans)
    with pytest.raises(asyncio.CancelledError):
        await run_plans(executor(catalog, clock), sleep=sleep)
    assert len(rounds) == 3
    assert "plans wait: the catalog is not available: away" in caplog.text
    assert "a mistake" in caplog.text


async def test_a_plan_that_an_operator_stops_meanwhile_begins_nothing(catalog, clock, monkeypatch):
    await furnish(catalog, ["a"])
    await running(catalog)
    real, met = catalog.plans.replace, []

    async def overtaken(plan):
        if not met:
            met.append(1)
            stored = await catalog.plans.get("plan")
            await real(replace(stored, version=stored.version + 1, state=PlanState.STOPPED))
        await real(plan)

    monkeypatch.setattr(catalog.plans, "replace", overtaken)
    await executor(catalog, clock).round()
    assert await records(catalog) == []
    assert await state(catalog) is PlanState.STOPPED


async def test_a_move_that_another_executor_has_begun_and_a_mover_sealed_meanwhile_is_not_refused(
    catalog, clock, monkeypatch
):
    await furnish(catalog, ["a"])
    plan = await running(catalog)
    await change(catalog, progress=Progress().with_begun([0], 0.0))
    real, met = catalog.placements.get, []

    async def overtaken(key):
        if not met:
            met.append(1)
            await executor(catalog, clock).round()
            placement = await real(key)
            sealed = replace(placement, epoch=2, state=PlacementState.SEALING, move=f"{plan.plan.id}-00000")
            await catalog.placements.replace(sealed)
        return await real(key)

    monkeypatch.setattr(catalog.placements, "get", overtaken)
    await executor(catalog, clock).round()
    assert len(await records(catalog)) == 1
    assert (await progress(catalog)).open == 1
    assert await outcomes(catalog) == {}


async def test_one_of_several_executors_is_at_work_on_a_plan(catalog, clock):
    await furnish(catalog, ["a", "b"])
    await running(catalog, Budgets(at_once=1))
    first, second = (executor(catalog, clock, yields=2.0) for _ in range(2))
    assert await first.round()
    assert await second.round(), "it has not seen the other one yet"
    # It was changed by a third process.
    await change(catalog)
    await finish(catalog)
    for one in (first, second):
        assert not await one.round()
    clock.now += 2.0
    assert await first.round()
    assert not await second.round()
    await finish(catalog)
    assert await first.round()
    assert await state(catalog) is PlanState.DONE


async def test_news_end_a_sleep_and_are_taken_in_by_it():
    news = asyncio.Event()
    sleep = until_news(news)
    news.set()
    async with asyncio.timeout(60):
        await sleep(3600.0)
    assert not news.is_set()
    await sleep(0.0)


# -- what a round costs ------------------------------------------------------------------------------------------------


class Counting(Passing):
    """A catalog that counts what is asked of it, and the values that it answers with, by verb."""

    def __init__(self, catalog):
        super().__init__(catalog, self._counted)
        self.calls = Counter()
        self.values = Counter()

    async def _counted(self, verb, call):
        answer = await call()
        self.calls[verb] += 1
        self.values[verb] += len(answer) if isinstance(answer, list) else answer is not None
        return answer


async def costs(size):
    """Return calls and values by round, of a plan with moves that drain slowly, and the size of its record."""
    catalog, clock = MemoryCatalog(Store(time.time)), Clock()
    await furnish(catalog, [], ("p1", "p2"))
    moves = tuple(PlannedMove("a", f"q{n}", "p1", "p2", "plan", n, "0123456789abcdef") for n in range(size))
    for one in moves[:60]:
        await place(catalog, one.queue)
    whole = WholePlan(
        MovePlan(
            "plan",
            "many",
            state=PlanState.RUNNING,
            budgets=Budgets(at_once=4).to_json(),
            preconditions={"emptied": ["p1"]},
        ),
        moves,
    )
    await catalog.plans.insert(whole)
    counting = Counting(catalog)
    one = executor(counting, clock, believed=60.0)
    found = []
    for turn in range(24):
        counting.calls.clear()
        counting.values.clear()
        await one.round()
        found.append((dict(counting.calls), dict(counting.values)))
        for move in await records(catalog):
            if move.state is MoveState.PLANNED:
                await enter(catalog, move, MoveState.DRAINING)
                one.changed(move.id)
            elif move.state is MoveState.DRAINING and turn % 3 == 0:
                await enter(catalog, move, MoveState.DONE, pause_ms=float(turn))
                one.changed(move.id)
        clock.now += 10.0
    (plan,) = await catalog.plans.find(limit=1)
    return found, len(json.dumps(plan.to_json()))


async def test_a_round_costs_the_same_whatever_the_size_of_the_plan():
    small, size_of_small = await costs(200)
    large, size_of_large = await costs(20_000)
    assert small == large
    assert abs(size_of_large - size_of_small) < 10
    assert max(sum(values.values()) for _, values in large) < 300
    assert large[2][0]["moves.insert"] == 4, "there was something to do"


async def test_what_one_executor_began_the_next_goes_on_with_at_no_greater_pace(catalog, clock):
    await furnish(catalog, [f"q{n}" for n in range(30)])
    await running(catalog, Budgets(at_once=100, seals_per_second=5))
    await executor(catalog, clock).round()
    assert len(await records(catalog)) == 5
    # Others have clocks of their own, and have seen nothing yet.
    late = Clock(clock.now + 1e6)
    other = executor(catalog, late)
    await other.round()
    assert len(await records(catalog)) == 5
    late.now += 0.4
    await other.round()
    assert len(await records(catalog)) == 7
    late.now += 1e6
    await other.round()
    assert len(await records(catalog)) == 12


async def test_a_stopped_plan_has_the_ends_of_its_moves_written_down(catalog, clock):
    await furnish(catalog, ["a", "b", "c"])
    await running(catalog, Budgets(at_once=2))
    one = executor(catalog, clock)
    await one.round()
    await change(catalog, state=PlanState.STOPPED)
    await finish(catalog)
    for _ in range(2):
        await one.round()
    moves = await catalog.planned_moves.find("plan", limit=9)
    assert [move.ending and move.ending.outcome for move in moves] == [MoveOutcome.DONE, MoveOutcome.DONE, None]
    assert await state(catalog) is PlanState.STOPPED
    assert await catalog.plans.find(active=True, limit=9) == []


async def test_a_stopped_plan_inserts_no_moves_that_were_begun_and_gives_them_up_after_a_while(catalog, clock):
    await furnish(catalog, ["a", "b"])
    await running(catalog)
    await change(catalog, state=PlanState.STOPPED, progress=Progress().with_begun([0], 0.0))
    one = executor(catalog, clock)
    for _ in range(2):
        await one.round()
        assert await outcomes(catalog) == {}
        clock.now += 30.0
    for _ in range(2):
        await one.round()
    assert {n: e.reason for n, e in (await endings(catalog)).items()} == {0: "the plan was stopped first"}
    assert await records(catalog) == []
    assert await catalog.plans.find(active=True, limit=9) == []


async def test_a_move_whose_record_was_removed_before_its_end_was_written_down(catalog, clock):
    await furnish(catalog, ["a"])
    plan = await running(catalog)
    # It was begun and its record was seen.
    await change(catalog, progress=replace(Progress().with_begun([0], 0.0), pending=()))
    placement = await catalog.placements.get(plan.moves[0].key)
    there = (replace(placement.segments[0], partition="p2"),)
    await catalog.placements.replace(replace(placement, epoch=2, segments=there))
    assert (await ended(catalog, clock, 1))[0] == {0: MoveOutcome.DONE}
    assert await records(catalog) == []


async def test_a_group_that_is_larger_than_what_a_round_looks_at_goes_as_a_whole(catalog, clock, monkeypatch):
    monkeypatch.setattr(plan_progress, "CANDIDATES", 2)
    await furnish(catalog, ["q"])
    for n in range(4):
        await place(catalog, f"dead{n}", group="q")
    await running(catalog, Budgets(at_once=9))
    await executor(catalog, clock).round()
    assert len(await records(catalog)) == 5
    assert {len(move.group) for move in await records(catalog)} == {4}


async def test_a_kept_place_waits_for_a_source_that_leaves_another_partition(catalog, clock):
    await furnish(catalog, [], ("p1", "p2", "p3"))
    await place(catalog, "kept", PlacementState.RESERVED, group="q")
    kept = await catalog.placements.get(QueueKey("a", "kept"))
    await catalog.placements.insert(
        replace(
            kept,
            queue="q",
            state=PlacementState.OPEN,
            group=None,
            segments=(replace(kept.segments[0], partition="p3", backend_name="q"),),
        )
    )
    await running(catalog)
    for _ in range(3):
        await executor(catalog, clock).round()
    assert (await catalog.placements.get(kept.key)).partition == "p1"
    assert await outcomes(catalog) == {}
    assert await finish(catalog) == 1
    assert set((await ended(catalog, clock))[0].values()) == {MoveOutcome.DONE}
    assert (await catalog.placements.get(kept.key)).partition == "p2"
