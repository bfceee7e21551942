"""A mover dies at every step of a whole move, loses the reply of every step, or cannot do it: another one goes on, and
the end is the same. ``World`` watches meanwhile that there is never more than one open segment, none without its queue,
and that nothing is deleted that is named or not empty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from catalog.model import MoveState, PlacementState
from marconi_proxy.moving.protocol.machine import Event
from tests.unit.faulty_steps import Fault
from tests.unit.moving_crew import Crew
from tests.unit.moving_world import PACE, World

pytestmark = pytest.mark.slow

# While a queue lingers, its dead-letter queue is looked at again and again: each look is one more step to fail.
SHORT = replace(PACE, linger=5.0)


@dataclass
class Scenario:
    """``ends``: the states that are right; by the end the queue is on one of ``homes``, None if it was deleted."""

    set_up: Callable[[World], None]
    ends: set[MoveState]
    homes: set[str | None]
    moves: tuple[str, ...] = ("m1",)


def _forward(world: World) -> None:
    world.put("orders", free=2, colour="red")
    world.order("m1", "orders")
    world.on_state[MoveState.DRAINING] = world.empty


def _cancelled(state: MoveState) -> Callable[[World], None]:
    def set_up(world: World) -> None:
        _forward(world)
        world.on_state[state] = lambda: world.decide("m1", Event.CANCEL)

    return set_up


def _reversed(world: World) -> None:
    _forward(world)

    def back() -> None:
        world.decide("m1", Event.REVERSE)
        world.on_state[MoveState.DRAINING] = world.empty

    world.on_state[MoveState.DRAINING] = back


def _sent_on(world: World) -> None:
    _forward(world)

    def on() -> None:
        world.decide("m1", Event.ONWARD, "p3")
        world.on_state[MoveState.DRAINING] = world.empty

    world.on_state[MoveState.DRAINING] = on


def _not_sent_on(world: World) -> None:
    _forward(world)
    world.on_state[MoveState.LINGERING] = lambda: world.decide("m1", Event.ONWARD, "p3")
    world.on_state[MoveState.REROUTE_ARMED] = lambda: world.decide("m1", Event.CANCEL)


def _sent_on_again(world: World) -> None:
    """There where something is left of the first time."""
    _not_sent_on(world)

    def cancel() -> None:
        world.decide("m1", Event.CANCEL)
        world.on_state[MoveState.DRAINING] = again

    def again() -> None:
        world.decide("m1", Event.ONWARD, "p3")
        world.on_state[MoveState.DRAINING] = world.empty

    world.on_state[MoveState.REROUTE_ARMED] = cancel


def _not_reversed(world: World) -> None:
    _forward(world)
    world.on_state[MoveState.LINGERING] = lambda: world.decide("m1", Event.REVERSE)
    world.on_state[MoveState.REROUTE_ARMED] = lambda: world.decide("m1", Event.CANCEL)


def _deleted(state: MoveState) -> Callable[[World], None]:
    def set_up(world: World) -> None:
        _forward(world)
        (key,) = world.placements
        world.on_state[state] = lambda: world.delete(key)

    return set_up


def _made_anew(state: MoveState) -> Callable[[World], None]:
    """Deleted, and created anew where it goes: its queue must not be deleted."""

    def set_up(world: World) -> None:
        _forward(world)
        (key,) = world.placements

        def again() -> None:
            world.delete(key)
            world.put("orders", "p2", free=5)
            world.placements[key] = replace(world.placements[key], incarnation="another-life")

        world.on_state[state] = again

    return set_up


def _aborted(world: World) -> None:
    """Any worker aborts an overdue seal."""
    _forward(world)
    (key,) = world.placements

    def abort() -> None:
        placement = world.placements[key]
        if placement.state is PlacementState.SEALING:
            state = PlacementState.OPEN
            world.placements[key] = replace(placement, epoch=placement.epoch + 1, state=state, move=None)

    world.on_state[MoveState.SEALING] = abort


def _grouped(world: World) -> None:
    world.put("orders", free=1, _dead_letter_queue="dead")
    world.put("dead", free=1, group="orders")
    world.order("m1", "orders", group=("m2",))
    world.order("m2", "dead", group=("m1",))
    world.on_state[MoveState.LINGERING] = world.empty

    async def drain(name: str) -> None:
        if all(move.attempt and move.state is not MoveState.SEALING for move in world.moves.values()):
            world.empty()

    world.before = drain


def _group_cancelled(world: World) -> None:
    """One of them is cancelled; the admin API died before it cancelled the other."""
    _grouped(world)
    world.on_state[MoveState.ARMED] = lambda: world.decide("m1", Event.CANCEL)


def _source_deleted(world: World) -> None:
    _grouped(world)
    world.before = None
    world.on_state[MoveState.ARMED] = lambda: world.delete(world.moves["m1"].key)
    world.on_state[MoveState.DRAINING] = world.empty


_BEFORE = {MoveState.CANCELLED}
SCENARIOS = {
    "forward": Scenario(_forward, {MoveState.DONE}, {"p2"}),
    "cancelled while preparing": Scenario(_cancelled(MoveState.PREPARING), _BEFORE, {"p1"}),
    "cancelled when armed": Scenario(_cancelled(MoveState.ARMED), _BEFORE, {"p1"}),
    "reversed": Scenario(_reversed, {MoveState.DONE}, {"p1"}),
    "sent on": Scenario(_sent_on, {MoveState.DONE}, {"p3"}),
    "sending on cancelled": Scenario(_not_sent_on, {MoveState.DONE}, {"p2"}),
    "sending on cancelled and repeated": Scenario(_sent_on_again, {MoveState.DONE}, {"p3"}),
    "reverse cancelled": Scenario(_not_reversed, {MoveState.DONE}, {"p2"}),
    "deleted while preparing": Scenario(_deleted(MoveState.PREPARING), _BEFORE, {None}),
    "deleted when armed": Scenario(_deleted(MoveState.ARMED), _BEFORE, {None}),
    "deleted when sealed": Scenario(_deleted(MoveState.SEALING), _BEFORE, {None}),
    "deleted while draining": Scenario(_deleted(MoveState.DRAINING), {MoveState.VOID}, {None}),
    "deleted when lingering": Scenario(_deleted(MoveState.LINGERING), {MoveState.VOID}, {None}),
    "deleted when retired": Scenario(_deleted(MoveState.RETIRED), {MoveState.DONE}, {None}),
    "made anew when armed": Scenario(_made_anew(MoveState.ARMED), _BEFORE, {"p2"}),
    "made anew while draining": Scenario(_made_anew(MoveState.DRAINING), {MoveState.VOID}, {"p2"}),
    "made anew when retired": Scenario(_made_anew(MoveState.RETIRED), {MoveState.DONE}, {"p2"}),
    "aborted by a worker": Scenario(_aborted, {MoveState.DONE}, {"p2"}),
    "a group": Scenario(_grouped, {MoveState.DONE}, {"p2"}, ("m1", "m2")),
    "a group, one of it cancelled": Scenario(_group_cancelled, _BEFORE, {"p1"}, ("m1", "m2")),
    "a group, its source deleted": Scenario(
        _source_deleted, {MoveState.CANCELLED, MoveState.DONE}, {None, "p2"}, ("m1", "m2")
    ),
}


async def _run(scenario: Scenario, fault_at: Callable[[int, str], Fault | None]) -> Crew:
    world = World()
    scenario.set_up(world)
    crew = Crew(world, *scenario.moves, fault_at=fault_at, pace=SHORT)
    await crew.run()
    return crew


def _check(scenario: Scenario, world: World, what: str) -> None:
    for move in world.moves.values():
        assert move.state in scenario.ends, f"{what}: {move.state} by {[e.reason for e in move.log]}"
        placement = world.placements.get(move.key)
        assert (placement and placement.partition) in scenario.homes, f"{what}: {placement}"
        if placement is not None:
            assert placement.state is PlacementState.OPEN, what
            assert placement.move is None, what
            assert len(placement.segments) == 1, what
    named = {(s.partition, s.backend_name) for p in world.placements.values() for s in p.segments}
    assert set(world.queues) == named, f"{what}: left behind or lost"


@pytest.mark.parametrize("fault", list(Fault), ids=lambda fault: fault.name.lower())
@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_fault_at_any_step_changes_nothing_about_the_end(name: str, fault: Fault) -> None:
    scenario = SCENARIOS[name]
    undisturbed = await _run(scenario, lambda number, call: None)
    _check(scenario, undisturbed.world, "undisturbed")
    assert undisturbed.movers == 1
    for at, call in enumerate(undisturbed.calls):
        crew = await _run(scenario, lambda number, call, at=at: fault if number == at else None)
        _check(scenario, crew.world, f"a mover that {fault.value} step {at}, {call}")


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_mover_that_dies_again_and_again_gets_there(name: str) -> None:
    """Each mover does a few steps only: some never get from the seal to the switch."""
    scenario = SCENARIOS[name]
    # Sealing takes more steps the more queues there are. And each mover waits anew: while one move of a group lingers,
    # the older segment of the other is looked at again and again.
    least = 110 if name == "a group" else 18 * len(scenario.moves) ** 2
    calls = len((await _run(scenario, lambda number, call: None)).calls)
    for life in (least, least + 1, least + 5, calls // 2):
        if life < least:
            continue
        crew = await _run(
            scenario, lambda number, call, life=life: Fault.DIE_AFTER if number % life == life - 1 else None
        )
        _check(scenario, crew.world, f"movers that live for {life} steps")
        assert crew.movers == 1 + len(crew.calls) // life
