"""Movers over catalogs of every kind: moves come to their end, whichever mover dies or is cut off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from catalog import Catalog
from catalog.model import MoveState, QueueKey
from marconi_proxy.moving.execution.steps.interface import Steps
from marconi_proxy.moving.protocol.machine import Event
from tests.contract import mover_stage
from tests.contract.mover_stage import PROJECT, Stage
from tests.servers.fake_partition import FakePartition
from tests.unit.faulty_steps import Fault, FaultySteps

pytestmark = pytest.mark.slow


@pytest.fixture
async def stage(catalog: Catalog) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        hosts = {name: stack.enter_context(FakePartition()) for name in ("p1", "p2", "p3")}
        yield await stack.enter_async_context(Stage(catalog, hosts))


async def test_a_queue_is_moved_and_what_it_leaves_is_deleted(stage: Stage) -> None:
    await stage.put("orders", "one", "two")
    await stage.order("m1", "orders")
    await stage.mover("a")
    move = await stage.wait_for("m1", lambda move: move.measured.left)
    assert move.state is MoveState.DRAINING
    assert await stage.partitions("orders") == ["p1", "p2"]
    assert move.pause_ms is not None
    stage.empty("p1", "orders")
    move = await stage.until("m1", MoveState.DONE)
    assert await stage.partitions("orders") == ["p2"]
    assert not stage.has("p1", "orders")
    [segment] = await stage.segments("orders")
    assert stage.hosts["p2"].store.queues[PROJECT, segment.backend_name].metadata == {"colour": "red"}
    assert move.certificate is not None
    assert set(move.certificate["barrier"]["acknowledged"]) == {"w1", "w2"}
    assert move.certificate["left_at_switch"] == 2


async def test_a_member_that_acknowledged_a_preparation_need_not_acknowledge_the_seal(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mover_stage, "PACE", replace(mover_stage.PACE, prepare_from=2))
    for member in stage.members:
        member.idle = True
    await stage.put("orders", "one")
    await stage.order("m1", "orders")
    await stage.mover("a")
    move = await stage.until("m1", MoveState.DRAINING)
    assert move.attempt == 1
    assert move.measured.barrier is not None
    assert set(move.measured.barrier.acknowledged) == {"w1", "w2"}


async def test_a_prepared_move_that_is_cancelled_leaves_no_preparation(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mover_stage, "PACE", replace(mover_stage.PACE, prepare_from=2))
    for member in stage.members:
        member.deaf = True
    await stage.put("orders", "one")
    await stage.order("m1", "orders")
    await stage.mover("a")
    await stage.wait_for("m1", lambda move: move.progress.failures)
    await stage.decide("m1", Event.CANCEL)
    await stage.until("m1", MoveState.CANCELLED)
    placement = await stage.catalog.placements.get(QueueKey(PROJECT, "orders"))
    assert placement is not None
    assert placement.preparation is None
    assert await stage.partitions("orders") == ["p1"]


async def test_many_moves_are_shared_by_movers(stage: Stage) -> None:
    for number in range(12):
        await stage.put(f"q{number}")
        await stage.order(f"m{number}", f"q{number}", "p2" if number % 2 else "p3")
    for name in ("a", "b"):
        await stage.mover(name)
    for number in range(12):
        move = await stage.until(f"m{number}", MoveState.DONE)
        assert [entry.state for entry in move.log].count(MoveState.DRAINING) == 1
        assert await stage.partitions(f"q{number}") == ["p2" if number % 2 else "p3"]


async def test_a_mover_that_is_stopped_leaves_its_moves_to_others_at_once(stage: Stage) -> None:
    await stage.put("orders", "one")
    await stage.order("m1", "orders")
    first = await stage.mover("a")
    await stage.until("m1", MoveState.DRAINING)
    await first.stop()
    assert (await stage.move("m1")).holder is None
    stage.empty("p1", "orders")
    await stage.mover("b")
    await stage.until("m1", MoveState.DONE)


@pytest.mark.parametrize(
    "step", ["place", "record", "members", "close", "sync_metadata", "look", "unsubscribe", "remove"]
)
async def test_a_mover_that_dies_is_followed_by_another(stage: Stage, step: str) -> None:
    """It dies in the first step of this kind that it does."""
    died = asyncio.Event()

    def dying(steps: Steps) -> Steps:
        def fault_at(number: int, name: str) -> Fault | None:
            if name == step:
                died.set()
                return Fault.DIE_AFTER
            return None

        return FaultySteps(steps, fault_at)

    await stage.put("orders")
    await stage.order("m1", "orders")
    await stage.mover("a", dying)
    await asyncio.wait_for(died.wait(), 30)
    await stage.mover("b")
    move = await stage.until("m1", MoveState.DONE)
    assert await stage.partitions("orders") == ["p2"]
    assert not stage.has("p1", "orders")
    # By the epoch of the switch, the second change since the queue was opened, if its seal was the first one.
    life, _, epoch = (stage.hosts["p1"].store.closed[PROJECT, "orders"] or "").partition("/")
    assert life == move.incarnation
    assert int(epoch) >= 3


async def test_a_deaf_member_delays_a_move_and_is_named(stage: Stage) -> None:
    await stage.put("orders")
    stage.members[1].deaf = True
    await stage.order("m1", "orders")
    await stage.mover("a")
    move = await stage.wait_for("m1", lambda move: move.progress.failures)
    assert "w2" in move.measured.waits
    stage.members[1].deaf = False
    await stage.until("m1", MoveState.DONE)


async def test_an_operator_cancels_a_move_that_cannot_go_on(stage: Stage) -> None:
    await stage.put("orders")
    for member in stage.members:
        member.deaf = True
    await stage.order("m1", "orders")
    await stage.mover("a")
    await stage.wait_for("m1", lambda move: move.progress.failures)
    await stage.decide("m1", Event.CANCEL)
    await stage.until("m1", MoveState.CANCELLED)
    assert await stage.partitions("orders") == ["p1"]
    assert stage.hosts["p2"].store.queues == {}


async def test_a_group_goes_together(stage: Stage) -> None:
    for queue in ("orders", "dead"):
        await stage.put(queue)
    stage.hosts["p1"].store.queues[PROJECT, "orders"].metadata["_dead_letter_queue"] = "dead"
    await stage.order("m1", "orders", group=("m2",))
    await stage.mover("a")
    await stage.mover("b")
    await stage.wait_for("m1", lambda move: "does not go with it" in (move.measured.waits or ""))
    assert await stage.partitions("orders") == ["p1"]
    await stage.order("m2", "dead", group=("m1",))
    moves = [await stage.until(id_, MoveState.DONE) for id_ in ("m1", "m2")]
    seals = [move.measured.sealed_at for move in moves]
    switches = [move.progress.switched_at for move in moves]
    assert max(seals) <= min(switches)
    assert await stage.partitions("orders") == await stage.partitions("dead") == ["p2"]
