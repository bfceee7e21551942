"""A rehearsal finds what a move would find, and does nothing."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest

from catalog.model import Move, MoveState, PartitionState
from marconi_proxy.fencing.barrier import MemberSighting
from marconi_proxy.fencing.transitions import hidden_name
from marconi_proxy.moving.execution.pace import MovePace
from marconi_proxy.moving.protocol.machine import Event
from marconi_proxy.moving.rehearsal import Rehearsed, rehearse
from tests.unit.moving_crew import Crew
from tests.unit.moving_world import BORN, PROJECT, World, make_partition, member


async def _rehearse(world: World, move: Move, *mates: Move) -> Rehearsed:
    before = deepcopy((world.placements, world.queues, world.moves))
    rehearsed = await rehearse(world, MovePace(), world.clock, 2.0, move, mates)
    assert (world.placements, world.queues, world.moves) == before
    return rehearsed


def _ordered(world: World, queue: str = "orders", **more: object) -> Move:
    world.order("m1", queue, **more)  # type: ignore[arg-type]
    return world.moves.pop("m1")


async def test_a_move_that_could_be_made_has_no_problem_and_says_what_would_be_done() -> None:
    world = World()
    world.put("orders", free=7)
    rehearsed = await _rehearse(world, _ordered(world))
    assert rehearsed.problems == []
    name = hidden_name(PROJECT, "orders", BORN, 1, "m1/0")
    assert rehearsed.would == [
        f"create queue {name} on partition p2",
        "leave 7 messages on partition p1 to be read there first",
        "hold each write for at most 2000 ms, and begin to end an attempt after 1500 ms",
        "send writes to partition p2",
    ]


async def test_a_move_that_is_sent_on_is_rehearsed_too() -> None:
    world = World()
    world.put("orders", free=7)
    world.order("m1", "orders")
    world.on_state[MoveState.DRAINING] = lambda: world.decide("m1", Event.PAUSE)
    await Crew(world, "m1").run()
    world.decide("m1", Event.ONWARD, "p3")
    rehearsed = await _rehearse(world, world.moves["m1"])
    assert rehearsed.problems == []
    assert rehearsed.would[0].startswith("create queue orders-2-")
    assert rehearsed.would[0].endswith(" on partition p3")
    assert rehearsed.would[-1] == "send writes to partition p3"
    world.partitions["p3"] = make_partition("p3", state=PartitionState.CORDONED)
    assert (await _rehearse(world, world.moves["m1"])).problems == ["partition p3 is cordoned: it takes no queues"]


async def test_it_names_the_partition_that_takes_no_queues() -> None:
    world = World()
    world.put("orders")
    world.partitions["p2"] = make_partition("p2", state=PartitionState.CORDONED)
    assert (await _rehearse(world, _ordered(world))).problems == ["partition p2 is cordoned: it takes no queues"]


@pytest.mark.parametrize("where", ["p1", "p2"])
async def test_it_names_the_partition_that_does_not_answer(where: str) -> None:
    world = World()
    world.put("orders")
    world.unreachable.add(where)
    (problem,) = (await _rehearse(world, _ordered(world))).problems
    assert problem == f"partition {where} does not answer"


async def test_it_names_the_member_that_would_not_acknowledge() -> None:
    world = World()
    world.put("orders")
    world.sightings["old"] = MemberSighting(member("old", capabilities=()), 1.0)
    (problem,) = (await _rehearse(world, _ordered(world))).problems
    assert "old" in problem


async def test_a_group_is_rehearsed_with_moves_that_are_not_stored() -> None:
    world = World()
    world.put("orders", _dead_letter_queue="dead")
    world.put("dead", group="orders")
    move = _ordered(world, group=("m2",))
    mate = replace(_ordered(world, "dead", group=("m1",)), id="m2")
    assert (await _rehearse(world, move, mate)).problems == []
    assert (await _rehearse(world, replace(move, group=()))).problems == [
        "its dead-letter queue dead does not go with it"
    ]
