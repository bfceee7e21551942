"""SealScheduler of seals: groups know nothing of one another, and not too many queues are sealed in a second."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from catalog.errors import CatalogUnavailable
from catalog.model import MoveState, Placement
from marconi_proxy.fencing.transitions import bar, seal, withdraw
from marconi_proxy.moving.execution.move_executor import MoveExecutor
from marconi_proxy.moving.execution.seal_scheduler import SealScheduler
from marconi_proxy.moving.execution.step_turns import StepTurns
from tests.faults.evil_host import settled
from tests.unit.moving_crew import Crew
from tests.unit.moving_world import PACE, START, FakeClock, World


class Clock(FakeClock):
    """Lets others go on while one waits: time is what has been waited for by the one that waits longest."""

    def __init__(self) -> None:
        super().__init__()
        self._sleepers: list[float] = []

    async def sleep(self, seconds: float) -> None:
        until = self.time + seconds
        self._sleepers.append(until)
        try:
            while self.time < until:
                first = min(self._sleepers) == until
                for _ in range(100):
                    await asyncio.sleep(0)
                if first and min(self._sleepers) == until:
                    self.time = max(self.time, until)
        finally:
            self._sleepers.remove(until)


@pytest.fixture
def world() -> World:
    world = World()
    world.clock = Clock()
    return world


async def armed(world: World, *ids: str) -> list[MoveExecutor]:
    """Order and arm moves of queues of the same names; return what executors them."""
    for id_ in ids:
        world.put(id_)
        world.order(id_, id_)
    executors = []
    for id_ in ids:
        (executor,) = Crew(world, id_).mover().executors
        while not (await executor.step()).ready:
            pass
        executors.append(executor)
    return executors


async def sealed(scheduler: SealScheduler, *groups: Sequence[MoveExecutor]) -> None:
    await asyncio.gather(*(scheduler.seal(group) for group in groups))


async def test_a_queue_whose_writes_hang_aborts_its_own_seal_and_no_other(world: World) -> None:
    hangs, goes, goes_too = await armed(world, "hangs", "goes", "goes-too")
    world.hanging.add("hangs")
    began = world.clock.monotonic()
    await sealed(SealScheduler(world, world.clock, 1000.0, StepTurns()), [hangs], [goes], [goes_too])
    assert [executor.move.state for executor in (hangs, goes, goes_too)] == [
        MoveState.ARMED,
        MoveState.DRAINING,
        MoveState.DRAINING,
    ]
    assert hangs.move.log[-1].reason == "not acknowledged by member w1, w2"
    assert world.chain("hangs") == ["p1"]
    # Nor does it make the others wait.
    assert goes.move.pause_ms is not None
    assert goes.move.pause_ms < 100.0
    assert world.clock.monotonic() - began == pytest.approx(PACE.seal_timeout, abs=0.1)


async def test_a_group_waits_for_each_of_its_queues(world: World) -> None:
    """They are switched together or not at all."""
    world.put("orders", _dead_letter_queue="dead")
    world.put("dead", group="orders")
    world.order("m1", "orders", group=("m2",))
    world.order("m2", "dead", group=("m1",))
    group = Crew(world, "m1", "m2").mover()
    while {move.state for move in world.moves.values()} != {MoveState.ARMED}:
        for executor in group.executors:
            await executor.step()
    for executor in group.executors:
        await executor.step()
    (other,) = await armed(world, "other")
    world.hanging.add("dead")
    await sealed(SealScheduler(world, world.clock, 1000.0, StepTurns()), group.executors, [other])
    assert world.chain("orders") == world.chain("dead") == ["p1"]
    assert world.chain("other") == ["p1 sealed", "p2"]


async def test_a_failure_of_one_group_is_told_to_that_one(world: World) -> None:
    bad, good = await armed(world, "bad", "good")
    scheduler = SealScheduler(world, world.clock, 1000.0, StepTurns())

    bad.steps = _Failing(world)  # type: ignore[assignment]
    outcomes = await asyncio.gather(scheduler.seal([bad]), scheduler.seal([good]), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [CatalogUnavailable, type(None)]
    assert world.chain("good") == ["p1 sealed", "p2"]


class _Failing:
    """Steps that cannot change a placement."""

    def __init__(self, steps: World) -> None:
        self._steps = steps

    async def place(self, placement: object, what: str) -> None:
        raise CatalogUnavailable("away")

    def __getattr__(self, name: str) -> object:
        return getattr(self._steps, name)


async def test_with_many_members_a_seal_is_prepared_and_needs_no_other_acknowledgement(world: World) -> None:
    (executor,) = await armed(world, "q")
    executor.pace = replace(PACE, prepare_from=2)
    world.hanging.add("q")
    await sealed(SealScheduler(world, world.clock, 1000.0, StepTurns()), [executor])
    assert world.chain("q") == ["p1 sealed", "p2"]
    assert executor.move.pause_ms is not None
    assert executor.move.pause_ms < 100.0
    assert executor.move.measured.barrier is not None
    assert executor.move.measured.barrier.acknowledged == ("w1", "w2")
    assert dict(executor.move.log[-1].measures)["prepared"] == 2


async def test_with_few_members_a_seal_is_not_prepared(world: World) -> None:
    (executor,) = await armed(world, "q")
    epoch = world.placements[executor.move.key].epoch
    await sealed(SealScheduler(world, world.clock, 1000.0, StepTurns()), [executor])
    assert "prepared" not in dict(executor.move.log[-1].measures)
    assert world.placements[executor.move.key].epoch == epoch + 2, "a seal and a switch"


async def test_a_member_that_uses_the_queue_holds_up_a_preparation_for_a_while_only(world: World) -> None:
    (executor,) = await armed(world, "q")
    executor.pace = replace(PACE, prepare_from=2)
    world.silent.add("w2")
    began = world.clock.monotonic()
    await sealed(SealScheduler(world, world.clock, 1000.0, StepTurns()), [executor])
    assert executor.move.log[-1].reason == "not acknowledged by member w2"
    assert world.clock.monotonic() - began == pytest.approx(0.5 + PACE.seal_timeout, abs=0.2)


async def test_a_placement_that_changed_before_its_preparation_is_not_sealed(world: World) -> None:
    (executor,) = await armed(world, "q")
    executor.pace = replace(PACE, prepare_from=2)
    key = executor.move.key
    await world.place(bar(world.placements[key], world.clock.now()), "bars the placement")
    await sealed(SealScheduler(world, world.clock, 1000.0, StepTurns()), [executor])
    assert executor.move.state is MoveState.ARMED
    assert world.chain("q") == ["p1"]


async def test_after_a_withdrawal_all_members_acknowledge_the_seal(world: World) -> None:
    (executor,) = await armed(world, "q")
    executor.pace = replace(PACE, prepare_from=2)
    executor.steps = _Withdrawing(world)  # type: ignore[assignment]
    world.hanging.add("q")
    scheduler = SealScheduler(world, world.clock, 1000.0, StepTurns())
    await sealed(scheduler, [executor])
    assert executor.move.log[-1].reason == "not acknowledged by member w1, w2"
    assert world.chain("q") == ["p1"]


class _Withdrawing:
    """Steps in which a worker withdraws each preparation right before the seal."""

    def __init__(self, steps: World) -> None:
        self._steps = steps

    async def place(self, placement: Placement, what: str) -> None:
        stored = self._steps.placements[placement.key]
        if stored.preparation is not None:
            await self._steps.place(withdraw(stored), "uses the queue")
        await self._steps.place(placement, what)

    def __getattr__(self, name: str) -> object:
        return getattr(self._steps, name)


async def test_no_more_queues_are_sealed_in_a_second_than_there_may_be(world: World) -> None:
    executors = await armed(world, *(f"q{number}" for number in range(4)))
    world.clock.time = START
    await sealed(SealScheduler(world, world.clock, 2.0, StepTurns()), *([executor] for executor in executors))
    begun = sorted(executor.move.measured.sealed_at - START for executor in executors)
    assert begun == pytest.approx([0.0, 0.5, 1.0, 1.5], abs=0.05)


async def test_a_seal_that_was_found_is_not_kept_waiting(world: World) -> None:
    """Writes are held for it already."""
    first, found = await armed(world, "first", "found")
    scheduler = SealScheduler(world, world.clock, 0.001, StepTurns())
    await scheduler.seal([first])
    placement = world.placements[found.move.key]
    await world.place(seal(placement, "found", world.clock.now(), PACE.max_segments), "seals the queue")
    (executor,) = Crew(world, "found").mover().executors
    while not (await executor.step()).ready:
        pass
    began = world.clock.monotonic()
    await scheduler.seal([executor])
    assert world.clock.monotonic() - began < 1.0
    assert world.chain("found") == ["p1 sealed", "p2"]


async def test_a_round_that_has_begun_comes_to_its_end_though_its_caller_is_cancelled(world: World) -> None:
    """Writes are held: to let go in the middle would leave that to others."""
    (executor,) = await armed(world, "q")
    world.hanging.add("q")
    scheduler = SealScheduler(world, world.clock, 1000.0, StepTurns())
    calling = asyncio.create_task(scheduler.seal([executor]))
    await settled(lambda: world.chain("q") == ["p1", "sealing"])
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    world.hanging.clear()
    await scheduler.stop()
    assert world.chain("q") == ["p1 sealed", "p2"]


async def test_a_round_that_has_not_begun_is_given_up(world: World) -> None:
    first, second = await armed(world, "first", "second")
    scheduler = SealScheduler(world, world.clock, 0.001, StepTurns())
    await scheduler.seal([first])
    calling = asyncio.create_task(scheduler.seal([second]))
    await asyncio.sleep(0)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    await scheduler.stop()
    assert world.chain("second") == ["p1"]


async def test_a_round_that_does_not_know_yet_which_members_live_is_given_up(world: World) -> None:
    """It holds no writes, and may wait for a lease: a mover that is to end does not wait for that."""
    (executor,) = await armed(world, "q")
    world.sightings["w2"] = world.sightings["w2"]._replace(silence=0.0, proven=False)
    scheduler = SealScheduler(world, world.clock, 1000.0, StepTurns())
    calling = asyncio.create_task(scheduler.seal([executor]))
    began = world.clock.monotonic()
    await settled(lambda: world.clock.monotonic() > began + 1.0)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    await scheduler.stop()
    assert world.chain("q") == ["p1"]
