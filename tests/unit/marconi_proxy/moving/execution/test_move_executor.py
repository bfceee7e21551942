"""One move, from its order to its end, and everything that comes in between."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from catalog.errors import CatalogUnavailable
from catalog.model import HeldWrites, MoveProgress, MoveState, PartitionState, PlacementState, QueueKey, Segment
from marconi_proxy.fencing.barrier import MemberSighting
from marconi_proxy.fencing.transitions import seal, switch
from marconi_proxy.moving.execution.move_group import MoveGroup
from marconi_proxy.moving.mover import _PATIENCE
from marconi_proxy.moving.orders.direction import writes_to
from marconi_proxy.moving.protocol.machine import Event
from marconi_proxy.partition_client.outcome import CALL, Unready
from tests.unit.faulty_steps import Died, Fault
from tests.unit.moving_crew import Crew
from tests.unit.moving_world import PACE, PROJECT, REUSE, FakeQueue, World, make_partition, member, plain, restamped


async def test_a_move_ends_with_the_queue_on_the_target_and_nothing_on_the_source() -> None:
    world = World()
    key = world.put("orders", free=3, colour="red")
    world.queues["p1", "orders"].subscribers.add("http://hook.example")
    world.order("m1", "orders")
    world.on_state[MoveState.DRAINING] = world.empty

    await Crew(world, "m1").run()

    move = world.moves["m1"]
    assert move.state is MoveState.DONE
    assert world.chain("orders") == ["p2"]
    assert world.placements[key].move is None
    assert world.kept() == [("p2", "orders")]
    assert world.last("orders").metadata == {"colour": "red"}
    assert world.last("orders").subscribers == {"http://hook.example"}
    states = [entry.state.value for entry in move.log]
    assert states == ["preparing", "armed", "sealing", "draining", "lingering", "retired", "done"]
    assert move.pause_ms is not None
    switch = dict(move.log[3].measures)
    parts = [float(switch[part]) for part in ("seal_ms", "acks_ms", "in_step_ms", "pause_ms")]
    assert parts == sorted(parts)
    assert move.certificate is not None
    assert move.certificate["pause_ms"] == move.pause_ms
    assert move.certificate["barrier"] == {"acknowledged": ["w1", "w2"], "signed_off": [], "expired": []}
    first, second = [check["at"] for check in move.certificate["zero_checks"]]
    assert second - first >= PACE.linger
    assert first >= move.certificate["switched_at"]
    assert move.certificate["deleted"] == [["p1", "orders"]]


async def test_messages_keep_the_older_segment_and_the_record_says_what_it_waits_for() -> None:
    world = World()
    world.put("orders", free=3)
    world.order("m1", "orders")
    crew = Crew(world, "m1")
    group = crew.mover()
    for _ in range(8):
        world.clock.time += 6
        await group.step()
    assert world.moves["m1"].state is MoveState.DRAINING
    assert world.moves["m1"].measured.waits == "3 free"
    assert world.moves["m1"].measured.left == 3
    assert world.moves["m1"].measured.left_at_switch == 3
    assert world.chain("orders") == ["p1 sealed", "p2"]


async def test_a_silent_member_aborts_the_seal_and_is_named() -> None:
    world = World()
    world.put("orders")
    world.order("m1", "orders")
    world.silent.add("w2")
    aborted: list[str] = []

    async def until_aborted(name: str) -> None:
        move = world.moves["m1"]
        if move.attempt and move.state is MoveState.ARMED and not aborted:
            aborted.extend(world.chain("orders"))
            world.silent.clear()
            renew(world, "w2")

    world.before = until_aborted
    await Crew(world, "m1").run()

    move = world.moves["m1"]
    assert aborted == ["p1"]
    (entry,) = [entry for entry in move.log if "acknowledged" in entry.reason]
    assert entry.reason == "not acknowledged by member w2"
    assert move.attempt == 2
    assert move.state is MoveState.DONE


def renew(world: World, name: str) -> None:
    sighting = world.sightings[name]
    member = restamped(sighting.member, stamp=f"{sighting.member.stamp}+")
    world.sightings[name] = sighting._replace(member=member)


async def test_a_member_that_did_not_acknowledge_must_be_heard_of_before_the_next_seal() -> None:
    """It is frozen: each further seal would make clients wait for nothing."""
    world = World()
    world.put("orders")
    world.order("m1", "orders")
    world.silent.add("w2")
    group = Crew(world, "m1").mover()
    while not world.moves["m1"].attempt or world.moves["m1"].state is not MoveState.ARMED:
        await group.step()
    for _ in range(5):
        world.clock.time += 300
        # Its silence is short enough, and still it has not renewed since before the seal.
        await group.step()
    assert world.moves["m1"].attempt == 1
    assert "w2" in world.moves["m1"].measured.waits
    assert [member for member, _ in world.moves["m1"].progress.unacknowledged] == ["w2"]
    world.silent.clear()
    renew(world, "w2")
    world.clock.time += 300
    while world.moves["m1"].state is MoveState.ARMED:
        await group.step()
    assert world.moves["m1"].attempt == 2


@pytest.mark.parametrize(
    ("sighting", "words"),
    [
        (MemberSighting(member("old", capabilities=("chains-1",)), 1.0), "release"),
        (MemberSighting(member("quiet"), 15.0), "not heard of"),
        (MemberSighting(member("cut", synced=False), 1.0), "cut off"),
    ],
)
async def test_a_member_that_is_not_fit_is_named_and_nothing_is_sealed(sighting: MemberSighting, words: str) -> None:
    world = World()
    world.put("orders")
    world.order("m1", "orders")
    world.sightings = {"x": sighting}
    group = Crew(world, "m1").mover()
    while not world.moves["m1"].progress.failures:
        await group.step()
    waits = world.moves["m1"].measured.waits
    assert words in waits
    assert sighting.member.id in waits
    assert not world.sealed


async def test_a_member_that_has_expired_is_not_waited_for() -> None:
    world = World()
    world.put("orders")
    world.order("m1", "orders")
    world.sightings["w2"] = world.sightings["w2"]._replace(silence=31.0, expired=True)
    world.silent.add("w2")
    await Crew(world, "m1").run()
    assert world.moves["m1"].certificate is not None
    assert world.moves["m1"].certificate["barrier"]["expired"] == ["w2"]


async def test_a_mover_that_has_just_started_seals_nothing_before_it_knows_which_members_live() -> None:
    """Else writes would wait for one that was killed long ago."""
    world = World()
    world.put("orders")
    world.order("m1", "orders")
    world.sightings["w2"] = world.sightings["w2"]._replace(silence=0.0, proven=False)
    seen: list[bool] = []

    async def watch(name: str) -> None:
        if world.clock.slept > 2.0:
            world.sightings["w2"] = world.sightings["w2"]._replace(proven=True)
        seen.append(bool(world.sealed) and not world.sightings["w2"].proven)

    world.before = watch
    await Crew(world, "m1").run()
    assert not any(seen)
    assert world.moves["m1"].attempt == 1
    assert world.moves["m1"].pause_ms == 0.0


async def test_a_member_that_stays_unproven_is_not_waited_for_longer_than_one_that_went_silent() -> None:
    world = World()
    world.put("orders")
    world.order("m1", "orders")
    group = Crew(world, "m1").mover()

    async def silence(name: str) -> None:
        world.sightings["w2"] = world.sightings["w2"]._replace(silence=world.clock.slept, proven=False)

    world.before = silence
    while not world.moves["m1"].progress.failures:
        await group.step()
    assert "not heard of" in world.moves["m1"].measured.waits
    assert "w2" in world.moves["m1"].measured.waits
    assert not world.sealed


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (make_partition("p2", state=PartitionState.CORDONED), "takes no queues"),
        (make_partition("p2", state=PartitionState.DISABLED), "takes no queues"),
        (make_partition("p2", versions=()), "versions"),
        (make_partition("p2", versions=("v1",)), "v2"),
        (None, "not registered"),
    ],
)
async def test_a_target_that_does_not_do_pauses_the_move_in_the_end_with_the_reason(target: object, words: str) -> None:
    world = World()
    world.put("orders")
    world.order("m1", "orders")
    if target is None:
        del world.partitions["p2"]
    else:
        world.partitions["p2"] = target  # type: ignore[assignment]
    await Crew(world, "m1").run()
    assert world.moves["m1"].state is MoveState.PAUSED
    assert words in world.moves["m1"].log[-1].reason
    assert world.kept() == [("p1", "orders")]


async def test_a_partition_that_cannot_be_seen_keeps_its_segment() -> None:
    """Nothing is retired by a look that failed, however long it lasts."""
    world = World()
    world.put("orders")
    world.order("m1", "orders")
    world.on_state[MoveState.LINGERING] = lambda: world.unreachable.add("p1")
    crew = Crew(world, "m1")
    group = crew.mover()
    while world.moves["m1"].state is not MoveState.LINGERING:
        await group.step()
    for _ in range(10):
        world.clock.time += 100
        await group.step()
    assert world.moves["m1"].state is MoveState.LINGERING
    assert world.chain("orders") == ["p1 sealed", "p2"]
    assert "p1" in world.moves["m1"].measured.waits
    world.unreachable.clear()
    await crew.run()
    assert world.moves["m1"].state is MoveState.DONE


async def test_a_message_that_arrives_late_sends_it_back_to_draining() -> None:
    world = World()
    world.put("orders")
    world.order("m1", "orders")

    def late() -> None:
        world.queues["p1", "orders"].free = 1
        world.on_state[MoveState.DRAINING] = world.empty

    world.on_state[MoveState.LINGERING] = late
    await Crew(world, "m1").run()
    assert [entry.state.value for entry in world.moves["m1"].log].count("draining") == 2
    assert world.moves["m1"].state is MoveState.DONE


async def test_what_has_the_queue_s_name_on_the_target_is_let_be() -> None:
    world = World()
    world.put("orders")
    world.queues["p2", "orders"] = replace(world.queues["p1", "orders"], free=2)
    world.order("m1", "orders")
    await Crew(world, "m1").run()
    (backend_name,) = [name for partition, name in world.queues if partition == "p2" and name != "orders"]
    assert backend_name.startswith("orders-1-")
    assert world.queues["p2", "orders"].free == 2
    assert world.moves["m1"].state is MoveState.DONE


async def test_a_move_is_not_begun_when_its_plan_is_gone() -> None:
    world = World()
    world.put("orders")
    world.order("m1", "orders", plan="plan-1")
    await Crew(world, "m1").mover().step()
    assert world.moves["m1"].state is MoveState.PLANNED
    assert "plan plan-1 is not in the catalog any more" in world.moves["m1"].measured.waits
    world.plans.add("plan-1")
    await Crew(world, "m1").mover().step()
    assert world.moves["m1"].state is MoveState.PREPARING


# -- names ------------------------------------------------------------------------------------------------------------


def _physical(world: World, where: str) -> str:
    (backend_name,) = [name for partition, name in world.queues if partition == where and name != "orders"]
    return backend_name


async def test_a_queue_that_goes_and_comes_back_has_no_name_twice() -> None:
    """A stale reader or a late deletion can never meet a newer segment under the name that it knows."""
    world = World()
    world.put("orders")
    names: list[tuple[str, str]] = [("p1", "orders")]
    for id_, target in (("m1", "p2"), ("m2", "p1"), ("m3", "p2"), ("m4", "p1")):
        world.order(id_, "orders", target)
        await Crew(world, id_).run()
        assert world.moves[id_].state is MoveState.DONE
        (queue,) = world.queues
        assert (queue[0], plain(queue[1])) == (target, "orders")
        names.append(queue)
    assert len(set(names)) == 5


async def test_a_reversed_move_has_no_name_twice() -> None:
    world = World()
    key = world.put("orders")
    world.order("m1", "orders")
    world.on_state[MoveState.DRAINING] = lambda: world.decide("m1", Event.REVERSE)
    await Crew(world, "m1").run()
    (segment,) = world.placements[key].segments
    assert segment.partition == "p1"
    assert segment.backend_name != "orders"


async def test_a_cancelled_attempt_leaves_its_name_to_no_other() -> None:
    world = World()
    world.put("orders")
    names: list[str] = []

    def cancel() -> None:
        names.append(_physical(world, "p2"))
        world.decide("m1", Event.CANCEL)

    world.order("m1", "orders")
    world.on_state[MoveState.ARMED] = cancel
    await Crew(world, "m1").run()
    assert world.moves["m1"].state is MoveState.CANCELLED
    world.order("m2", "orders")
    await Crew(world, "m2").run()
    assert world.moves["m2"].state is MoveState.DONE
    assert _physical(world, "p2") not in names


async def test_a_second_way_that_was_cancelled_leaves_its_name_to_no_other() -> None:
    """Of the same move, to the same partition, and for a segment of the same number."""
    world = World()
    key = world.put("orders", free=1)
    world.order("m1", "orders")
    names: list[str] = []

    def cancel() -> None:
        names.append(_physical(world, "p3"))
        world.decide("m1", Event.CANCEL)
        world.on_state[MoveState.DRAINING] = again

    def again() -> None:
        world.decide("m1", Event.ONWARD, "p3")
        world.on_state[MoveState.DRAINING] = world.empty

    world.on_state[MoveState.DRAINING] = lambda: world.decide("m1", Event.ONWARD, "p3")
    world.on_state[MoveState.REROUTE_ARMED] = cancel
    await Crew(world, "m1").run()
    (segment,) = world.placements[key].segments
    assert segment.partition == "p3"
    assert segment.backend_name not in names
    assert world.kept() == [("p3", "orders")]


async def test_a_preparation_that_is_repeated_keeps_its_name() -> None:
    """The queue that the first preparation created is there already, and was not deleted."""
    world = World()
    world.put("orders")
    world.order("m1", "orders")
    group = Crew(world, "m1").mover()
    while world.moves["m1"].state is not MoveState.ARMED:
        await group.step()
    name = _physical(world, "p2")
    world.decide("m1", Event.PAUSE)
    world.decide("m1", Event.RESUME)
    await Crew(world, "m1").run()
    assert world.moves["m1"].state is MoveState.DONE
    assert _physical(world, "p2") == name


async def test_a_dead_letter_queue_keeps_its_name_and_its_move_lasts_until_that_can_be_used_again() -> None:
    world = World()
    world.put("dead", group="orders")
    ended: list[float] = []
    for id_, target in (("m1", "p2"), ("m2", "p1"), ("m3", "p2")):
        world.order(id_, "dead", target)
        await Crew(world, id_).run()
        assert world.moves[id_].state is MoveState.DONE
        assert set(world.queues) == {(target, "dead")}
        gone = world.removed["p1" if target == "p2" else "p2", "dead"]
        ended.append(world.clock.monotonic() - gone)
    # ``World`` checks that none is made again earlier.
    assert all(waited >= REUSE for waited in ended)


async def test_a_mover_that_takes_such_a_move_over_waits_anew() -> None:
    """It cannot know how long ago the queue was deleted."""
    world = World()
    world.put("dead", group="orders")
    world.order("m1", "dead")
    group = Crew(world, "m1").mover()
    while not world.removed:
        await world.clock.sleep(await group.step())
    world.clock.time += REUSE - 1.0
    other = Crew(world, "m1").mover()
    assert await other.step() >= REUSE - 1.0
    assert world.moves["m1"].state is MoveState.RETIRED
    await world.clock.sleep(REUSE)
    await other.step()
    assert world.moves["m1"].state is MoveState.DONE


async def test_a_cancelled_move_of_a_dead_letter_queue_waits_too() -> None:
    world = World()
    world.put("dead", group="orders")
    world.order("m1", "dead")
    world.on_state[MoveState.ARMED] = lambda: world.decide("m1", Event.CANCEL)
    await Crew(world, "m1").run()
    assert world.moves["m1"].state is MoveState.CANCELLED
    assert world.clock.monotonic() - world.removed["p2", "dead"] >= REUSE
    world.order("m2", "dead")
    await Crew(world, "m2").run()
    assert world.moves["m2"].state is MoveState.DONE


# -- clocks -----------------------------------------------------------------------------------------------------------


async def _duration(clock_is_set: bool) -> tuple[float, list[str], list[str]]:
    """Return how long a move takes by the mover's own clock, what it called, and the states it was in."""
    world = World()
    world.put("orders")
    world.order("m1", "orders")
    failures = 3
    steps = [3600.0, -3600.0, 1e8, -1e6]

    async def meddle(name: str) -> None:
        nonlocal failures
        if clock_is_set:
            steps.append(steps.pop(0))
            world.clock.set = steps[0]
        if name == "sync_metadata" and failures:
            failures -= 1
            raise Unready("the partition is away")

    world.before = meddle
    crew = Crew(world, "m1")
    await crew.run()
    return world.clock.monotonic(), crew.calls, [entry.state.value for entry in world.moves["m1"].log]


async def test_a_clock_on_the_wall_that_is_set_changes_nothing() -> None:
    """Back-off, the time a move lingers, and whatever else is waited for go by the process's own clock."""
    undisturbed, calls, states = await _duration(False)
    assert states[-1] == "done"
    assert await _duration(True) == (pytest.approx(undisturbed), calls, states)


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
async def test_lingering_is_neither_shortened_nor_prolonged(jump: float) -> None:
    world = World()
    world.put("orders")
    world.order("m1", "orders")
    group = Crew(world, "m1").mover()
    while world.moves["m1"].state is not MoveState.LINGERING:
        await world.clock.sleep(await group.step())
    await group.step()
    world.clock.set = jump
    world.clock.time += PACE.linger - 1.0
    assert 0.0 < await group.step() <= 1.01
    assert world.moves["m1"].state is MoveState.LINGERING
    world.clock.time += 1.01
    await group.step()
    assert world.moves["m1"].state is MoveState.RETIRED


async def test_a_mover_that_takes_a_lingering_move_over_lingers_anew() -> None:
    """The clock of the one before it is of another machine."""
    world = World()
    world.put("orders")
    world.order("m1", "orders")
    group = Crew(world, "m1").mover()
    while world.moves["m1"].state is not MoveState.LINGERING:
        await world.clock.sleep(await group.step())
    world.clock.time += PACE.linger + 1.0
    other = Crew(world, "m1").mover()
    assert await other.step() > PACE.linger - 1.0
    assert world.moves["m1"].state is MoveState.LINGERING


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
async def test_backing_off_is_neither_shortened_nor_prolonged(jump: float) -> None:
    world = World()
    world.put("orders")
    world.order("m1", "orders")
    world.unreachable.add("p1")
    group = Crew(world, "m1").mover()
    while not world.moves["m1"].progress.failures:
        wait = await group.step()
    wait = await group.step()
    failures = world.moves["m1"].progress.failures
    world.clock.set = jump
    world.clock.time += wait / 2
    assert await group.step() == pytest.approx(wait / 2, abs=0.01)
    assert world.moves["m1"].progress.failures == failures
    world.clock.time += wait / 2 + 0.01
    for _ in range(2):
        await group.step()
    assert world.moves["m1"].progress.failures == failures + 1


async def test_a_seal_that_is_taken_over_has_its_time_from_when_it_was_first_seen() -> None:
    """Whatever time is written in the placement, by a clock that may be an hour before or behind."""
    world = World()
    key = world.put("orders")
    world.order("m1", "orders")
    group = Crew(world, "m1").mover()
    while world.moves["m1"].state is not MoveState.ARMED:
        await group.step()
    world.silent.add("w2")
    for written in (-3600.0, 3600.0):
        sealed = seal(world.placements[key], "m1", world.clock.now() + written, PACE.max_segments)
        world.placements[key] = sealed
        begun = world.clock.monotonic()
        other = Crew(world, "m1").mover()
        while world.placements[key].state is PlacementState.SEALING:
            await other.step()
        assert world.clock.monotonic() - begun == pytest.approx(PACE.longest_seal(None), abs=0.5)


# -- held writes ------------------------------------------------------------------------------------------------------


async def test_what_members_said_of_held_writes_is_certified_and_forgotten() -> None:
    world = World()
    world.put("orders")
    world.order("m1", "orders")
    held = [HeldWrites("w1", 3, 1, 250), HeldWrites("w2", 0, 2, 2000)]
    world.held = {"m1": held, "other": held}
    await Crew(world, "m1").run()
    certificate = world.moves["m1"].certificate
    assert certificate is not None
    assert certificate["writes"] == {"held": 3, "refused": 3, "longest_ms": 2000}
    assert world.held == {"other": held}


async def test_a_move_waits_for_its_turn_while_a_partition_has_enough() -> None:
    world = World()
    for n in range(PACE.at_once):
        world.put(f"other-{n}", "p3")
        world.order(f"other-{n}", f"other-{n}")
        world.moves[f"other-{n}"] = replace(world.moves[f"other-{n}"], state=MoveState.PREPARING)
    world.put("orders")
    world.order("m1", "orders")
    assert await Crew(world, "m1").mover().step() > 0
    assert world.moves["m1"].state is MoveState.PLANNED
    assert "p2" in world.moves["m1"].measured.waits


# -- operators ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [MoveState.PREPARING, MoveState.ARMED])
async def test_a_cancelled_move_leaves_nothing_on_the_target(state: MoveState) -> None:
    world = World()
    world.put("orders", free=1)
    world.order("m1", "orders")
    world.on_state[state] = lambda: world.decide("m1", Event.CANCEL)
    await Crew(world, "m1").run()
    assert world.moves["m1"].state is MoveState.CANCELLED
    assert world.chain("orders") == ["p1"]
    assert world.kept() == [("p1", "orders")]


async def test_a_reversed_move_ends_where_it_began_under_another_name() -> None:
    world = World()
    world.put("orders", free=1)
    world.order("m1", "orders")

    def back() -> None:
        world.decide("m1", Event.REVERSE)
        world.on_state[MoveState.DRAINING] = world.empty

    world.on_state[MoveState.DRAINING] = back
    await Crew(world, "m1").run()
    assert world.moves["m1"].state is MoveState.DONE
    assert world.chain("orders") == ["p1"]
    assert [name for name in world.queues if name != ("p1", "orders")] == list(world.queues)
    assert len(world.queues) == 1
    assert world.moves["m1"].certificate is not None
    assert world.moves["m1"].certificate["to"] == "p1"


async def test_a_way_back_that_was_paused_and_not_taken_says_where_the_queue_is_in_the_end() -> None:
    world = World()
    world.put("orders")
    world.order("m1", "orders")
    world.on_state[MoveState.DRAINING] = lambda: world.decide("m1", Event.REVERSE)
    world.on_state[MoveState.REROUTE_ARMED] = lambda: world.decide("m1", Event.PAUSE)
    await Crew(world, "m1").run()
    assert (world.moves["m1"].state, world.moves["m1"].destination) == (MoveState.SUSPENDED, "p2")
    world.decide("m1", Event.RESUME)
    await Crew(world, "m1").run()
    assert (world.moves["m1"].state, world.moves["m1"].destination) == (MoveState.DONE, "p2")


async def test_the_record_says_where_writes_go_all_the_way_there_and_back() -> None:
    world = World()
    world.put("orders", free=1)
    world.order("m1", "orders")
    seen: list[tuple[MoveState, str, str]] = []

    def look() -> None:
        move, placement = world.moves["m1"], world.placements[QueueKey(PROJECT, "orders")]
        seen.append((move.state, writes_to(move), placement.partition))

    def back() -> None:
        look()
        world.on_state[MoveState.DRAINING] = world.empty
        world.decide("m1", Event.REVERSE)

    world.on_state |= {
        MoveState.ARMED: look,
        MoveState.DRAINING: back,
        MoveState.REROUTE_ARMED: look,
        MoveState.DONE: look,
    }
    await Crew(world, "m1").run()
    assert seen == [
        (MoveState.ARMED, "p1", "p1"),
        (MoveState.DRAINING, "p2", "p2"),
        (MoveState.REROUTE_ARMED, "p2", "p2"),
        (MoveState.DONE, "p1", "p1"),
    ]


async def test_a_reverse_that_is_cancelled_goes_on_to_the_target() -> None:
    world = World()
    world.put("orders")
    world.order("m1", "orders")
    world.on_state[MoveState.DRAINING] = lambda: world.decide("m1", Event.REVERSE)
    world.on_state[MoveState.REROUTE_ARMED] = lambda: world.decide("m1", Event.CANCEL)
    await Crew(world, "m1").run()
    assert world.moves["m1"].state is MoveState.DONE
    assert world.moves["m1"].destination == "p2"
    assert world.kept() == [("p2", "orders")]


async def test_a_move_that_is_sent_on_switches_once_more_and_tells_of_both() -> None:
    world = World()
    world.put("orders", free=1)
    world.order("m1", "orders")

    def on() -> None:
        world.decide("m1", Event.ONWARD, "p3")
        world.on_state[MoveState.REROUTE_SEALING] = lambda: chains.append(world.chain("orders"))
        world.on_state[MoveState.DRAINING] = world.empty

    chains: list[list[str]] = []
    world.on_state[MoveState.DRAINING] = on
    await Crew(world, "m1").run()
    move = world.moves["m1"]
    assert chains == [["p1 sealed", "p2", "sealing"]]
    assert (move.state, move.source, move.target, move.destination) == (MoveState.DONE, "p2", "p3", "p3")
    assert world.chain("orders") == ["p3"]
    assert world.kept() == [("p3", "orders")]
    assert move.certificate is not None
    assert (move.certificate["from"], move.certificate["to"]) == ("p2", "p3")
    assert [(switch["from"], switch["to"]) for switch in move.certificate["switches"]] == [("p1", "p2"), ("p2", "p3")]
    assert all(switch["pause_ms"] is not None for switch in move.certificate["switches"])
    assert [entry.reason for entry in move.log if entry.state is MoveState.DRAINING] == [
        "writes go to p2",
        "writes go to p3",
    ]


async def test_a_switch_that_nobody_measured_has_no_pause_of_an_earlier_one() -> None:
    world = World()
    key = world.put("orders", free=1)
    world.order("m1", "orders")

    def on() -> None:
        world.decide("m1", Event.ONWARD, "p3")
        world.on_state[MoveState.DRAINING] = world.empty

    async def before(name: str) -> None:
        """Seal and switch it, as another mover that dies then."""
        if world.moves["m1"].state is MoveState.REROUTE_ARMED:
            world.before = None
            placement = seal(world.placements[key], "m1", world.clock.now(), PACE.max_segments)
            backend_name = world.moves["m1"].backend_name
            assert backend_name is not None
            world.placements[key] = switch(placement, "m1", "p3", backend_name, world.clock.now())

    world.on_state[MoveState.DRAINING] = on
    world.before = before
    await Crew(world, "m1").run()
    move = world.moves["m1"]
    assert (move.state, move.destination, move.pause_ms) == (MoveState.DONE, "p3", None)
    assert move.certificate is not None
    assert (move.certificate["pause_ms"], move.certificate["switches"][-1]["pause_ms"]) == (None, None)
    assert move.certificate["switches"][0]["pause_ms"] is not None


@pytest.mark.parametrize("decision", [Event.CANCEL, Event.PAUSE])
async def test_a_move_that_is_not_sent_on_after_all_is_what_it_was(decision: Event) -> None:
    world = World()
    world.put("orders", free=1)
    world.order("m1", "orders")

    def on() -> None:
        world.decide("m1", Event.ONWARD, "p3")
        world.on_state[MoveState.DRAINING] = lambda: world.decide("m1", Event.PAUSE)

    world.on_state[MoveState.DRAINING] = on
    world.on_state[MoveState.REROUTE_ARMED] = lambda: world.decide("m1", decision)
    await Crew(world, "m1").run()
    move = world.moves["m1"]
    assert (move.state, move.source, move.target, move.destination) == (MoveState.SUSPENDED, "p1", "p2", "p2")
    world.decide("m1", Event.REVERSE)
    world.on_state[MoveState.DRAINING] = world.empty
    await Crew(world, "m1").run()
    assert world.chain("orders") == ["p1"]
    assert len(world.queues) == 1


async def test_a_move_that_was_sent_on_is_reversed_to_where_writes_went_before() -> None:
    world = World()
    world.put("orders", free=1)
    world.order("m1", "orders")

    def back() -> None:
        world.decide("m1", Event.REVERSE)
        world.on_state[MoveState.DRAINING] = world.empty

    def on() -> None:
        world.decide("m1", Event.ONWARD, "p3")
        world.on_state[MoveState.DRAINING] = back

    world.on_state[MoveState.DRAINING] = on
    await Crew(world, "m1").run()
    move = world.moves["m1"]
    assert (move.state, move.source, move.target, move.destination) == (MoveState.DONE, "p2", "p3", "p2")
    assert world.chain("orders") == ["p2"]


async def test_a_move_is_not_sent_on_to_a_partition_that_takes_no_queues() -> None:
    world = World()
    world.put("orders", free=1)
    world.order("m1", "orders")
    world.partitions["p3"] = make_partition("p3", state=PartitionState.CORDONED)
    world.on_state[MoveState.DRAINING] = lambda: world.decide("m1", Event.ONWARD, "p3")
    group = Crew(world, "m1").mover()
    while "takes no queues" not in (world.moves["m1"].measured.waits or ""):
        await group.step()
    assert world.moves["m1"].state is MoveState.REROUTE_PREPARING


async def test_a_group_is_sent_on_in_one_round() -> None:
    world = World()
    world.put("orders", free=1, _dead_letter_queue="dead")
    world.put("dead", free=1, group="orders")
    world.order("m1", "orders", group=("m2",))
    world.order("m2", "dead", group=("m1",))
    crew = Crew(world, "m1", "m2")
    group = crew.mover()
    while [move.state for move in world.moves.values()] != [MoveState.DRAINING] * 2:
        await world.clock.sleep(await group.step())
    for id_ in ("m1", "m2"):
        world.decide(id_, Event.ONWARD, "p3")
    sealed = []
    world.on_state[MoveState.REROUTE_SEALING] = lambda: sealed.append([world.chain("orders"), world.chain("dead")])
    while [move.state for move in world.moves.values()] != [MoveState.DRAINING] * 2:
        await world.clock.sleep(await group.step())
    assert sealed == [[["p1 sealed", "p2", "sealing"]] * 2]
    world.empty()
    await crew.run()
    assert (world.chain("orders"), world.chain("dead")) == (["p3"], ["p3"])
    assert world.kept() == [("p3", "dead"), ("p3", "orders")]


async def test_nothing_of_a_round_goes_on_when_it_has_failed() -> None:
    world = World()
    world.put("orders")
    world.order("m1", "orders")
    group = Crew(world, "m1").mover()
    while world.moves["m1"].state is not MoveState.ARMED:
        await group.step()

    async def fail(name: str) -> None:
        if name == "members" and world.sealed:
            raise CatalogUnavailable("the feed is cut")
        for _ in range(20 * (name == "record")):
            await asyncio.sleep(0)

    world.before = fail
    with pytest.raises(CatalogUnavailable, match="cut"):
        await group.step()
    assert len(asyncio.all_tasks()) == 1
    assert world.moves["m1"].state is MoveState.SEALING


@pytest.mark.parametrize("event", [Event.REVERSE, Event.ONWARD])
async def test_a_second_way_that_cannot_be_gone_is_given_up_and_the_move_drains_on(event: Event) -> None:
    world = World()
    world.put("orders", free=1)
    world.order("m1", "orders")

    def on() -> None:
        world.decide("m1", event, "p3" if event is Event.ONWARD else None)
        world.partitions["p1"] = make_partition("p1", state=PartitionState.DISABLED)
        world.partitions["p3"] = make_partition("p3", state=PartitionState.DISABLED)
        world.on_state[MoveState.DRAINING] = world.empty

    world.on_state[MoveState.DRAINING] = on
    await Crew(world, "m1").run()
    move = world.moves["m1"]
    assert (move.state, world.chain("orders")) == (MoveState.DONE, ["p2"])
    assert (move.source, move.target, move.destination) == ("p1", "p2", "p2")
    (given_up,) = [entry.reason for entry in move.log if entry.state is MoveState.REROUTE_UNDOING]
    assert given_up.startswith(f"failed {PACE.give_up_after} times in a row, the last time: partition p")


async def test_a_second_way_to_a_partition_that_has_died_is_cancelled_and_the_move_drains_on() -> None:
    world = World()
    world.put("orders", free=1)
    world.order("m1", "orders")
    world.on_state[MoveState.DRAINING] = lambda: world.decide("m1", Event.ONWARD, "p3")

    def die() -> None:
        world.unreachable.add("p3")
        world.decide("m1", Event.CANCEL)
        world.on_state[MoveState.DRAINING] = world.empty

    world.on_state[MoveState.REROUTE_ARMED] = die
    group = Crew(world, "m1").mover()
    for _ in range(40):
        await world.clock.sleep(await group.step())
    assert (world.moves["m1"].state, world.chain("orders")) == (MoveState.RETIRED, ["p2"])
    assert ("p3", "orders") in world.kept()
    world.unreachable.clear()
    await Crew(world, "m1").run()
    assert world.moves["m1"].state is MoveState.DONE
    assert world.kept() == [("p2", "orders")]


async def test_a_paused_move_rests_until_it_is_resumed() -> None:
    world = World()
    world.put("orders")
    world.order("m1", "orders")
    world.on_state[MoveState.ARMED] = lambda: world.decide("m1", Event.PAUSE)
    crew = Crew(world, "m1")
    await crew.run()
    assert world.moves["m1"].state is MoveState.PAUSED
    world.decide("m1", Event.RESUME)
    await crew.run()
    assert world.moves["m1"].state is MoveState.DONE


async def test_a_seal_that_an_operator_overtook_is_taken_back() -> None:
    """Paused between the seal and its record, by a mover that then died."""
    world = World()
    key = world.put("orders")
    world.order("m1", "orders")
    crew = Crew(world, "m1")
    group = crew.mover()
    while world.moves["m1"].state is not MoveState.ARMED:
        await group.step()
    placement = world.placements[key]
    await world.place(
        replace(placement, epoch=2, state=PlacementState.SEALING, move="m1", since=world.clock.now()), "seals"
    )
    world.decide("m1", Event.PAUSE)
    await crew.run()
    assert world.moves["m1"].state is MoveState.PAUSED
    assert world.chain("orders") == ["p1"]


@pytest.mark.parametrize(
    "state",
    [MoveState.PREPARING, MoveState.ARMED, MoveState.SEALING, MoveState.DRAINING, MoveState.LINGERING],
)
async def test_a_deletion_that_the_partition_refuses_in_the_end_does_not_end_the_move(state: MoveState) -> None:
    """While it is under way the mover decides nothing: that there is no message means nothing then."""
    world = World()
    key = world.put("orders", free=1)
    world.order("m1", "orders")
    crew = Crew(world, "m1")
    reached: list[int] = []

    def delete() -> None:
        world.empty()
        placement = world.placements[key]
        world.placements[key] = replace(placement, epoch=placement.epoch + 1, state=PlacementState.DELETING)
        reached.append(len(crew.calls))

    async def refuse(name: str) -> None:
        placement = world.placements[key]
        if reached and len(crew.calls) > reached[0] + 20 and placement.state is PlacementState.DELETING:
            move = placement.move if len(placement.segments) > 1 else None
            world.placements[key] = replace(placement, epoch=placement.epoch + 1, state=PlacementState.OPEN, move=move)

    world.on_state[MoveState.DRAINING] = world.empty
    world.on_state[state] = delete
    world.before = refuse
    await crew.run()
    assert reached
    move = world.moves["m1"]
    assert move.state is MoveState.DONE
    assert world.chain("orders") == ["p2"]
    assert world.kept() == [("p2", "orders")]
    if state in (MoveState.PREPARING, MoveState.ARMED):
        assert "the queue is deleting" in [entry.reason for entry in move.log]


async def test_a_move_waits_for_the_end_of_a_deletion_and_says_so() -> None:
    world = World()
    key = world.put("orders")
    world.order("m1", "orders")
    group = Crew(world, "m1").mover()
    while world.moves["m1"].state is not MoveState.DRAINING:
        await group.step()
    placement = world.placements[key]
    world.placements[key] = replace(placement, epoch=placement.epoch + 1, state=PlacementState.DELETING)
    for _ in range(3):
        world.clock.time += 100
        assert await group.step() > 0
    assert world.moves["m1"].state is MoveState.DRAINING
    assert world.moves["m1"].measured.waits == "for the end of a deletion of the queue"
    world.delete(key)
    await group.step()
    assert world.moves["m1"].state is MoveState.VOID


@pytest.mark.parametrize("anew", [False, True])
async def test_a_queue_that_is_deleted_after_its_move_was_retired_leaves_nothing_behind(anew: bool) -> None:
    """Its users' deletion knows nothing of the older queue any more: the move still deletes it."""
    world = World()
    key = world.put("orders")
    world.order("m1", "orders")

    def delete() -> None:
        world.delete(key)
        if anew:
            world.put("orders", "p3", free=1)
            world.placements[key] = replace(world.placements[key], incarnation="another")

    world.on_state[MoveState.RETIRED] = delete
    await Crew(world, "m1").run()
    move = world.moves["m1"]
    assert move.state is MoveState.DONE
    assert move.certificate is not None
    assert (move.certificate["from"], move.certificate["to"]) == ("p1", "p2")
    assert ["p1", "orders"] in move.certificate["deleted"]
    assert set(world.queues) == ({("p3", "orders")} if anew else set())


async def test_a_mover_that_was_frozen_before_its_seal_can_not_seal_once_the_move_is_undone() -> None:
    world = World()
    world.put("orders")
    world.order("m1", "orders")
    frozen = Crew(world, "m1")

    async def thaw_late(name: str) -> None:
        if name == "place":
            world.before = None
            world.decide("m1", Event.CANCEL)
            await Crew(world, "m1").run()

    world.before = thaw_late
    await frozen.run()
    assert world.moves["m1"].state is MoveState.CANCELLED
    assert world.chain("orders") == ["p1"]
    assert world.kept() == [("p1", "orders")]


async def test_what_a_mover_had_made_when_it_died_is_deleted_when_the_move_is_cancelled() -> None:
    world = World()
    world.put("orders")
    world.order("m1", "orders")
    dead = Crew(world, "m1", fault_at=lambda _, name: Fault.DIE_AFTER if name == "sync_metadata" else None).mover()
    await dead.step()
    with pytest.raises(Died):
        await dead.step()
    assert ("p2", "orders") in world.kept()
    world.decide("m1", Event.CANCEL)
    await Crew(world, "m1").run()
    assert world.moves["m1"].state is MoveState.CANCELLED
    assert world.kept() == [("p1", "orders")]


@pytest.mark.parametrize("fault", [Fault.LOSE_REPLY, Fault.DIE_AFTER, Fault.DIE_BEFORE], ids=lambda f: f.name.lower())
@pytest.mark.parametrize("end", [MoveState.CANCELLED, MoveState.VOID, MoveState.DONE])
async def test_a_move_does_not_end_while_a_deletion_may_still_be_done(end: MoveState, fault: Fault) -> None:
    """After its end a new life of the queue may have its plain name again."""
    world = World()
    key = world.put("orders")
    world.order("m1", "orders")
    if end is MoveState.CANCELLED:
        world.on_state[MoveState.ARMED] = lambda: world.decide("m1", Event.CANCEL)
    elif end is MoveState.VOID:
        world.on_state[MoveState.DRAINING] = lambda: world.placements.pop(key)
    sent: list[float] = []

    def fault_at(number: int, name: str) -> Fault | None:
        if name == "remove":
            sent.append(world.clock.now())
        return fault if name == "remove" and len(sent) <= 2 else None

    crew = Crew(world, "m1", fault_at=fault_at)
    await crew.run()
    move = world.moves["m1"]
    assert move.state is end
    # It is repeated, and each of them may still be done some time after it was sent.
    assert len(sent) >= 3
    assert move.log[-1].at - sent[2] >= CALL + PACE.ambiguity


async def test_a_move_whose_deletions_were_answered_ends_at_once() -> None:
    world = World()
    world.put("orders")
    world.order("m1", "orders")
    sent: list[float] = []

    async def note(name: str) -> None:
        if name == "remove":
            sent.append(world.clock.now())

    world.before = note
    await Crew(world, "m1").run()
    assert world.moves["m1"].state is MoveState.DONE
    assert [world.moves["m1"].log[-1].at] == sent


async def test_the_last_thing_before_each_deletion_is_to_make_sure_of_hold_and_placement() -> None:
    world = World()
    world.put("orders")
    world.order("m1", "orders")
    world.on_state[MoveState.DRAINING] = lambda: world.decide("m1", Event.REVERSE)
    crew = Crew(world, "m1")
    await crew.run()
    removals = [at for at, name in enumerate(crew.calls) if name == "remove"]
    assert len(removals) == 2
    for at in removals:
        assert crew.calls[at - 3 : at] == ["unsubscribe", "record", "placement"]


async def test_a_queue_that_is_deleted_while_its_partition_is_away_keeps_its_move_until_all_is_deleted() -> None:
    world = World()
    key = world.put("orders")
    world.order("m1", "orders")

    def delete_in_part() -> None:
        segment = world.placements[key].segments[-1]
        world.delete(key)
        world.queues["p2", segment.backend_name] = FakeQueue()
        world.unreachable.add("p2")

    world.on_state[MoveState.DRAINING] = delete_in_part

    async def come_back(name: str) -> None:
        if world.moves["m1"].measured.waits == "partition p2 does not answer":
            world.unreachable.clear()

    world.before = come_back
    await Crew(world, "m1").run()
    assert world.moves["m1"].state is MoveState.VOID
    assert world.queues == {}
    assert world.placements == {}


async def test_a_queue_with_a_message_is_never_deleted() -> None:
    """It came by a way that is none of ours, after two looks had found nothing."""
    world = World()
    world.put("orders")
    world.order("m1", "orders")

    def late() -> None:
        world.queues["p1", "orders"].free = 1

    world.on_state[MoveState.RETIRED] = late
    await Crew(world, "m1").run()
    assert world.moves["m1"].state is MoveState.DONE
    assert world.queues["p1", "orders"].free == 1
    assert world.moves["m1"].certificate is not None
    assert world.moves["m1"].certificate["deleted"] == []


async def test_a_mover_that_was_frozen_before_it_deletes_leaves_what_came_there_meanwhile() -> None:
    """Between its look and its deletion another mover goes on, and the queue begins a new life on the old partition."""
    world = World()
    key = world.put("orders")
    world.order("m1", "orders")

    async def thaw_late(name: str) -> None:
        if world.moves["m1"].state is MoveState.RETIRED and name == "look":
            world.before = None
            await Crew(world, "m1").run()
            assert world.moves["m1"].state is MoveState.DONE
            world.delete(key)
            world.put("orders")
            world.placements[key] = replace(
                world.placements[key], incarnation="f" * 16, segments=(Segment(0, "p1", "other"),)
            )
            world.queues["p1", "orders"] = FakeQueue()

    world.before = thaw_late
    await Crew(world, "m1").run()
    assert ("p1", "orders") in world.queues


async def test_what_a_queue_of_a_new_life_holds_is_not_deleted_by_the_move_of_the_old_one() -> None:
    world = World()
    key = world.put("orders")
    world.order("m1", "orders")
    looked: list[str] = []

    async def begin_anew(name: str) -> None:
        # The mover has found the old queue empty, and is about to delete it.
        if world.moves["m1"].state is MoveState.RETIRED and name == "record" and not looked:
            looked.append(name)
            world.delete(key)
            world.put("orders")
            world.placements[key] = replace(world.placements[key], incarnation="f" * 16)
            world.queues["p1", "orders"].free = 1

    world.before = begin_anew
    await Crew(world, "m1").run()
    assert world.queues["p1", "orders"].free == 1
    # Retired ends with done alone, whatever became of the queue; its own leftovers are gone.
    assert world.moves["m1"].state is MoveState.DONE
    assert world.kept() == [("p1", "orders")]


async def test_a_mover_that_was_frozen_after_its_last_look_can_not_retire_what_is_not_empty_any_more() -> None:
    world = World()
    world.put("orders")
    world.order("m1", "orders")
    frozen: list[str] = []

    async def thaw_late(name: str) -> None:
        if world.moves["m1"].state is MoveState.LINGERING and name == "place" and not frozen:
            frozen.append(name)
            world.queues["p1", "orders"].free = 1
            other = Crew(world, "m1").mover()
            while world.moves["m1"].state is MoveState.LINGERING:
                await world.clock.sleep(await other.step())

    world.before = thaw_late
    crew = Crew(world, "m1")
    group = crew.mover()
    while not frozen:
        world.clock.time += 100
        await group.step()
    assert world.chain("orders") == ["p1 sealed", "p2"]
    assert world.moves["m1"].state is MoveState.DRAINING


# -- groups ------------------------------------------------------------------------------------------------------------


def _group(world: World) -> None:
    world.put("orders", free=1, _dead_letter_queue="dead")
    world.put("dead", free=1, group="orders")
    world.order("m1", "orders", group=("m2",))
    world.order("m2", "dead", group=("m1",))


async def test_a_queue_goes_with_its_dead_letter_queue() -> None:
    world = World()
    _group(world)
    order: list[str] = []

    async def drain(name: str) -> None:
        switched = [placement.queue for placement in world.placements.values() if len(placement.segments) == 2]
        order.extend(queue for queue in switched if queue not in order)
        if len(switched) == 2:
            world.empty()

    world.before = drain
    await Crew(world, "m1", "m2").run()
    assert {move.state for move in world.moves.values()} == {MoveState.DONE}
    assert world.chain("orders") == world.chain("dead") == ["p2"]
    assert order == ["dead", "orders"]


async def test_a_group_that_has_begun_is_not_kept_apart_by_a_full_budget() -> None:
    """The one that has begun keeps its place until the other is ready too: neither would ever go on."""
    world = World()
    _group(world)

    def others_come() -> None:
        for n in range(PACE.at_once):
            world.put(f"other{n}")
            world.order(f"x{n}", f"other{n}", state=MoveState.ARMED)

    world.on_state[MoveState.PREPARING] = others_come
    group = Crew(world, "m1", "m2").mover()
    for _ in range(20):
        await group.step()
        world.clock.time += 10
    assert world.chain("orders") == world.chain("dead") == ["p1 sealed", "p2"]


async def test_dead_letters_that_may_still_come_keep_their_segment() -> None:
    world = World()
    _group(world)
    group = Crew(world, "m1", "m2").mover()
    while world.moves["m2"].state is not MoveState.DRAINING:
        await group.step()
    world.queues["p1", "dead"].free = 0
    for _ in range(20):
        world.clock.time += 100
        await group.step()
    assert world.chain("dead") == ["p1 sealed", "p2"]
    assert world.moves["m2"].measured.waits == "dead letters of queue orders may still come"


async def test_dead_letters_of_another_source_keep_their_segment_until_it_has_gone_too() -> None:
    """The catalog knows one source of a dead-letter queue: that others name it, their partition knows."""
    world = World()
    _group(world)
    world.put("second", _dead_letter_queue="dead")
    world.put("third", _dead_letter_queue="else")
    world.queues["p1", "dead"].free = world.queues["p1", "orders"].free = 0
    asked: list[str] = []

    async def count(name: str) -> None:
        asked.extend(["all"] if name == "source_of" else [])

    world.before = count
    group = Crew(world, "m1", "m2").mover()
    for _ in range(20):
        world.clock.time += 100
        await group.step()
    assert world.moves["m1"].state is MoveState.DONE
    assert world.chain("dead") == ["p1 sealed", "p2"]
    assert world.moves["m2"].measured.waits == "dead letters of queue second may still come"
    assert asked == ["all"]

    world.order("m3", "second")
    await Crew(world, "m1", "m2", "m3").run()
    assert {move.state for move in world.moves.values()} == {MoveState.DONE}
    assert world.chain("dead") == world.chain("second") == ["p2"]


@pytest.mark.parametrize("queue", ["orders", "dead"])
async def test_half_a_group_is_refused(queue: str) -> None:
    world = World()
    _group(world)
    del world.moves["m1"], world.moves["m2"]
    world.order("m1", queue)
    await Crew(world, "m1").run()
    assert world.moves["m1"].state is MoveState.PAUSED
    assert "does not go with it" in world.moves["m1"].log[-1].reason


@pytest.mark.parametrize("source", ["gone", "reserved", "there already"])
async def test_a_dead_letter_queue_goes_alone_where_no_source_keeps_it(source: str) -> None:
    world = World()
    world.put("dead", group="orders")
    if source != "gone":
        key = world.put("orders", "p2" if source == "there already" else "p1")
        if source == "reserved":
            world.placements[key] = replace(world.placements[key], state=PlacementState.RESERVED)
    world.order("m1", "dead")
    await Crew(world, "m1").run()
    assert world.moves["m1"].state is MoveState.DONE
    assert world.chain("dead") == ["p2"]


async def test_a_group_is_aborted_together() -> None:
    world = World()
    _group(world)
    group = Crew(world, "m1", "m2").mover()
    failed = False

    async def fail(name: str) -> None:
        nonlocal failed
        sealed = [p for p in world.placements.values() if p.state is PlacementState.SEALING]
        if name == "sync_metadata" and len(sealed) == 2 and not failed:
            failed = True
            world.unreachable.add("p2")

    world.before = fail
    while not failed:
        await group.step()
    assert world.chain("orders") == world.chain("dead") == ["p1"]
    assert [move.state for move in world.moves.values()] == [MoveState.ARMED] * 2


async def _armed(world: World) -> MoveGroup:
    """Drive all moves until they are armed."""
    group = Crew(world, *world.moves).mover()
    while {move.state for move in world.moves.values()} != {MoveState.ARMED}:
        for executor in group.executors:
            await executor.step()
    return group


async def _sealed_by_a_mover_that_died(world: World, id_: str) -> MoveGroup:
    """Arm a group, and seal one of its queues only."""
    _group(world)
    await _armed(world)
    placement = world.placements[world.moves[id_].key]
    await world.place(seal(placement, id_, world.clock.now(), PACE.max_segments), "seals the queue")
    return Crew(world, "m1", "m2").mover()


@pytest.mark.parametrize("sealed", ["m1", "m2"])
async def test_a_seal_is_gone_on_with_together_with_its_group(sealed: str) -> None:
    """A queue that went alone would put its dead letters where no placement leads yet."""
    world = World()
    group = await _sealed_by_a_mover_that_died(world, sealed)
    order: list[str] = []

    async def watch(name: str) -> None:
        switched = [placement.queue for placement in world.placements.values() if len(placement.segments) == 2]
        order.extend(queue for queue in switched if queue not in order)

    world.before = watch
    for _ in range(10):
        await group.step()
    assert order == ["dead", "orders"]
    assert world.clock.slept < PACE.seal_timeout


@pytest.mark.parametrize(("sealed", "other"), [("m1", "m2"), ("m2", "m1")])
async def test_a_seal_is_taken_back_if_its_group_cannot_go_on(sealed: str, other: str) -> None:
    world = World()
    group = await _sealed_by_a_mover_that_died(world, sealed)
    world.decide(other, Event.CANCEL)
    for _ in range(3):
        await group.step()
    assert world.chain("orders") == world.chain("dead") == ["p1"]


@pytest.mark.parametrize(
    ("event", "state"), [(Event.PAUSE, MoveState.PAUSED), (Event.CANCEL, MoveState.CANCELLED)], ids=["pause", "cancel"]
)
@pytest.mark.parametrize(("stopped", "other"), [("m1", "m2"), ("m2", "m1")])
async def test_a_move_stops_with_one_of_its_group(event: Event, state: MoveState, stopped: str, other: str) -> None:
    world = World()
    _group(world)
    world.on_state[MoveState.ARMED] = lambda: world.decide(stopped, event)
    await Crew(world, "m1", "m2").run()
    assert [move.state for move in world.moves.values()] == [state] * 2
    reasons = [entry.reason for entry in world.moves[other].log]
    # A pause by an operator is no failure of a plan.
    assert f"an operator: its group goes together: {event} of move {stopped}" in reasons
    assert world.chain("orders") == world.chain("dead") == ["p1"]


async def test_a_group_is_paused_together_when_one_is_given_up() -> None:
    world = World()
    _group(world)
    world.queues["p2", "dead"] = FakeQueue(free=1)
    world.moves["m2"] = replace(world.moves["m2"], progress=MoveProgress(failures=PACE.give_up_after - 1))
    await Crew(world, "m1", "m2").run()
    assert [move.state for move in world.moves.values()] == [MoveState.PAUSED] * 2
    reason = world.moves["m1"].log[-1].reason
    assert reason.startswith("its group goes together: pause of move m2, which failed 20 times in a row")


async def test_a_group_that_is_resumed_one_after_the_other_goes_on() -> None:
    world = World()
    _group(world)
    crew = Crew(world, "m1", "m2")
    world.on_state[MoveState.PREPARING] = lambda: world.decide("m1", Event.PAUSE)
    await crew.run()
    world.decide("m1", Event.RESUME)
    group = crew.mover()
    for _ in range(10):
        await group.step()
    assert world.moves["m1"].state is MoveState.ARMED
    assert world.moves["m1"].measured.waits == "for move m2 of its group, which is paused-before-switch"
    world.decide("m2", Event.RESUME)
    for _ in range(10):
        await group.step()
    assert world.chain("orders") == world.chain("dead") == ["p1 sealed", "p2"]


async def _gone_together(world: World) -> None:
    """Let a group go to where it was ordered, and empty where it was."""
    _group(world)
    group = Crew(world, "m1", "m2").mover()
    while {move.state for move in world.moves.values()} != {MoveState.DRAINING}:
        await group.step()
    world.empty()


@pytest.mark.parametrize("ordered", ["m1", "m2"])
async def test_half_a_group_that_was_sent_a_second_way_gives_up_and_drains_on(ordered: str) -> None:
    """The admin API died before it ordered the other half."""
    world = World()
    await _gone_together(world)
    world.decide(ordered, Event.ONWARD, "p3")
    await Crew(world, "m1", "m2").run()
    assert [move.state for move in world.moves.values()] == [MoveState.DONE] * 2
    assert world.chain("orders") == world.chain("dead") == ["p2"]
    (given_up,) = [entry.reason for entry in world.moves[ordered].log if entry.state is MoveState.REROUTE_UNDOING]
    assert given_up.startswith(f"failed {PACE.give_up_after} times in a row, the last time: ")


async def test_a_group_whose_halves_were_sent_two_ways_gives_up_and_drains_on() -> None:
    world = World()
    world.partitions["p4"] = make_partition("p4")
    await _gone_together(world)
    world.decide("m1", Event.ONWARD, "p3")
    world.decide("m2", Event.ONWARD, "p4")
    await Crew(world, "m1", "m2").run()
    assert [move.state for move in world.moves.values()] == [MoveState.DONE] * 2
    assert world.chain("orders") == world.chain("dead") == ["p2"]


async def test_a_reverse_is_cancelled_together() -> None:
    world = World()
    _group(world)
    group = Crew(world, "m1", "m2").mover()
    while {move.state for move in world.moves.values()} != {MoveState.DRAINING}:
        await group.step()
    world.queues["p1", "dead"].free = world.queues["p1", "orders"].free = 0
    for id_ in world.moves:
        world.decide(id_, Event.REVERSE)
    world.clock.time += 1
    world.decide("m1", Event.CANCEL)
    await Crew(world, "m1", "m2").run()
    assert [move.state for move in world.moves.values()] == [MoveState.DONE] * 2
    assert world.chain("orders") == world.chain("dead") == ["p2"]


async def test_a_dead_letter_queue_goes_on_when_its_source_is_deleted() -> None:
    world = World()
    _group(world)
    world.queues["p1", "dead"].free = 0
    world.on_state[MoveState.ARMED] = lambda: world.delete(world.moves["m1"].key)
    await Crew(world, "m1", "m2").run()
    assert world.moves["m1"].state is MoveState.CANCELLED
    assert world.moves["m2"].state is MoveState.DONE
    assert world.chain("dead") == ["p2"]


async def test_a_source_waits_for_its_dead_letter_queue_that_is_deleted_to_be_created() -> None:
    """Else dead letters from where it was would come into a queue that no placement names."""
    world = World()
    _group(world)
    group = await _armed(world)
    placement = world.placements[world.moves["m2"].key]
    world.placements[placement.key] = replace(placement, epoch=2, state=PlacementState.RESERVED)
    del world.queues["p1", "dead"]
    for _ in range(10):
        await group.step()
        world.clock.time += 10
    assert world.moves["m2"].state is MoveState.CANCELLED
    assert "its dead-letter queue dead was not created yet" in world.moves["m1"].measured.waits
    assert world.chain("orders") == ["p1"]


async def test_a_source_that_goes_a_second_way_says_that_its_dead_letter_queue_is_deleted() -> None:
    world = World()
    await _gone_together(world)
    for id_ in world.moves:
        world.decide(id_, Event.ONWARD, "p3")
    key = world.moves["m2"].key
    placement = world.placements[key]
    reserved = PlacementState.RESERVED
    world.placements[key] = replace(
        placement, epoch=placement.epoch + 1, state=reserved, segments=placement.segments[-1:], move=None
    )
    for name in [name for name in world.queues if name[1] == "dead"]:
        del world.queues[name]
    group = Crew(world, *world.moves).mover()
    for _ in range(4):
        await group.step()
    assert world.moves["m2"].state is MoveState.VOID
    assert "its dead-letter queue dead was not created yet" in world.moves["m1"].measured.waits
    await Crew(world, "m1", "m2").run()
    assert (world.moves["m1"].state, world.chain("orders")) == (MoveState.DONE, ["p2"])


async def test_what_has_begun_to_switch_is_completed_whatever_becomes_of_a_third() -> None:
    world = World()
    _group(world)
    world.put("older", group="orders")
    world.moves["m1"] = replace(world.moves["m1"], group=("m2", "m3"))
    world.moves["m2"] = replace(world.moves["m2"], group=("m1", "m3"))
    world.order("m3", "older", group=("m1", "m2"))
    await _armed(world)
    placement = world.placements[world.moves["m2"].key]
    placement = seal(placement, "m2", world.clock.now(), PACE.max_segments)
    await world.place(placement, "seals the queue")
    await world.close(placement, 1.0)
    await world.place(switch(placement, "m2", "p2", "dead", world.clock.now()), "switches the queue")
    world.decide("m3", Event.CANCEL)
    world.on_state[MoveState.LINGERING] = world.empty
    group = Crew(world, *world.moves).mover()
    for _ in range(20):
        await group.step()
    assert world.chain("orders") == world.chain("dead") == ["p1 sealed", "p2"]
    assert world.chain("older") == ["p1"]
    assert world.moves["m3"].measured.waits == "until its name can be used again"
    world.clock.time += REUSE
    await group.step()
    assert world.moves["m3"].state is MoveState.CANCELLED


async def test_a_move_does_not_go_while_one_of_its_group_is_not_there_yet() -> None:
    """Its dead-letter queue may be ordered, and in another mover's hands."""
    world = World()
    _group(world)
    group = Crew(world, "m1").mover()
    wait = 0.0
    for _ in range(20):
        world.clock.time += 10
        wait = await group.step()
    assert world.chain("orders") == ["p1"]
    assert world.moves["m1"].measured.waits == "for move m2 of its group"
    assert wait > _PATIENCE, "the mover stays with it, and drives others the less"
