"""The contract of the steps of a move, for the fake of the unit tests and for the real ones over each catalog."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import pytest

from catalog import Catalog
from catalog.errors import LockLost, MoveConflict, PlacementConflict
from catalog.model import LogEntry, Member, Move, MoveState, Placement, PlacementState, QueueKey, Segment
from marconi_proxy.fencing.barrier import MemberSighting
from marconi_proxy.moving.execution.steps.interface import Steps
from tests.contract.mover_stage import PATIENCE, PROJECT, Stage
from tests.servers.fake_partition import FakePartition
from tests.unit.moving_world import World

KEY = QueueKey(PROJECT, "orders")
SOURCE, TARGET = Segment(0, "p1", "orders"), Segment(1, "p2", "orders")


@dataclass
class Subject:
    """Steps, and how a test makes and sees what they are about."""

    steps: Steps
    put: Callable[[str], Awaitable[QueueKey]]
    order: Callable[[str, str], Awaitable[Move]]
    take: Callable[[str], Awaitable[int]]
    has: Callable[[str, str], bool]
    name_dead_letters: Callable[[str, str], None]
    closed: Callable[[str, str], str | None]


@pytest.fixture(params=["fake", "real"])
async def subject(request: pytest.FixtureRequest, catalog: Catalog) -> AsyncIterator[Subject]:
    async with AsyncExitStack() as stack:
        if request.param == "fake":
            yield _fake()
            return
        hosts = {name: stack.enter_context(FakePartition()) for name in ("p1", "p2", "p3")}
        stage = await stack.enter_async_context(Stage(catalog, hosts))

        async def take(id_: str) -> int:
            holder = (await catalog.moves.lock(id_).acquire("me", 60.0)).holder
            assert holder is not None
            return holder.token

        def name_dead_letters(queue: str, dead: str) -> None:
            hosts["p1"].store.queues[PROJECT, queue].metadata["_dead_letter_queue"] = dead

        def closed(where: str, queue: str) -> str | None:
            return hosts[where].store.closed.get((PROJECT, queue))

        steps = stage.steps(stack)
        yield Subject(steps, stage.put, stage.order, take, stage.has, name_dead_letters, closed)


def _fake() -> Subject:
    world = World()

    async def put(queue: str) -> QueueKey:
        return world.put(queue)

    async def order(id_: str, queue: str) -> Move:
        world.order(id_, queue)
        return world.moves[id_]

    async def take(id_: str) -> int:
        return world.take(id_)[1]

    def name_dead_letters(queue: str, dead: str) -> None:
        world.queues["p1", queue].metadata["_dead_letter_queue"] = dead

    def has(where: str, queue: str) -> bool:
        return (where, queue) in world.queues

    def closed(where: str, queue: str) -> str | None:
        mark = world.closed.get((where, queue))
        return None if mark is None else f"{mark[0]}/{mark[1]}"

    return Subject(world, put, order, take, has, name_dead_letters, closed)


async def _placement(subject: Subject, key: QueueKey = KEY) -> Placement:
    placement = await subject.steps.placement(key)
    assert placement is not None
    return placement


async def test_a_record_is_stored_by_its_holder_only_and_once(subject: Subject) -> None:
    await subject.put("orders")
    move = await subject.order("m1", "orders")
    token = await subject.take("m1")
    changed = move.entered(LogEntry(1.0, MoveState.PREPARING, "its turn came"))
    with pytest.raises(LockLost):
        await subject.steps.record(changed, token - 1)
    await subject.steps.record(changed, token)
    await subject.steps.record(changed, token)
    with pytest.raises(MoveConflict):
        await subject.steps.record(replace(changed, attempt=1), token)
    assert await subject.steps.move("m1") == changed
    assert await subject.steps.busy("p2", 4) == 1
    assert await subject.steps.busy("p3", 4) == 0


async def test_a_placement_is_stored_by_its_epoch_and_life(subject: Subject) -> None:
    await subject.put("orders")
    placement = await _placement(subject)
    sealed = replace(placement, epoch=2, state=PlacementState.SEALING, move="m1", since=5.0)
    await subject.steps.place(sealed, "seals")
    await subject.steps.place(sealed, "seals")
    for wrong in (
        replace(sealed, since=6.0),
        replace(sealed, epoch=4),
        replace(sealed, epoch=3, incarnation="another"),
    ):
        with pytest.raises(PlacementConflict):
            await subject.steps.place(wrong, "seals")
    assert await _placement(subject) == sealed


async def test_members_acknowledge_the_seals_in_force(subject: Subject) -> None:
    await subject.put("orders")
    sealed = replace(await _placement(subject), epoch=2, state=PlacementState.SEALING, move="m1")
    await subject.steps.place(sealed, "seals")
    seen = await _members(subject, lambda member: sealed.seal in member.acks)
    assert {one.member.id for one in seen} == {"w1", "w2"}
    assert not any(one.expired for one in seen)
    await subject.steps.place(replace(sealed, epoch=3, state=PlacementState.OPEN, move=None), "aborts the seal")
    await _members(subject, lambda member: not member.acks)


async def _members(subject: Subject, condition: Callable[[Member], bool]) -> list[MemberSighting]:
    """Return them when the condition holds for each."""
    async with asyncio.timeout(PATIENCE):
        while True:
            seen = await subject.steps.members()
            if all(condition(one.member) for one in seen):
                return seen
            await asyncio.sleep(0.01)


async def test_whose_dead_letters_come_is_what_is_stored_on_that_partition(subject: Subject) -> None:
    for queue in ("orders", *(f"q{n}" for n in range(20)), "source"):
        await subject.put(queue)
    assert await subject.steps.source_of(KEY, "p1") is None
    subject.name_dead_letters("orders", "orders")
    subject.name_dead_letters("q1", "q2")
    assert await subject.steps.source_of(KEY, "p1") is None
    subject.name_dead_letters("source", "orders")
    assert await subject.steps.source_of(KEY, "p1") == "source"
    assert await subject.steps.source_of(KEY, "p2") is None


async def test_a_queue_is_brought_in_step_looked_at_and_removed(subject: Subject) -> None:
    await subject.put("orders")
    assert (await subject.steps.look(KEY, TARGET)).empty
    for _ in range(2):
        await subject.steps.sync_metadata(KEY, SOURCE, TARGET, 10.0)
        assert subject.has("p2", "orders")
    assert (await subject.steps.look(KEY, TARGET)).empty
    for _ in range(2):
        await subject.steps.unsubscribe(KEY, TARGET)
        await subject.steps.remove(KEY, TARGET)
        assert not subject.has("p2", "orders")
    assert subject.has("p1", "orders")


async def test_a_sealed_queue_is_closed_to_writes_of_before_the_end_of_its_seal(subject: Subject) -> None:
    await subject.put("orders")
    placement = await _placement(subject)
    sealed = replace(placement, epoch=2, state=PlacementState.SEALING, move="m1")
    for _ in range(2):
        await subject.steps.close(sealed, 10.0)
        assert subject.closed("p1", "orders") == f"{placement.incarnation}/3"


async def test_what_is_not_there_is_none(subject: Subject) -> None:
    assert await subject.steps.placement(KEY) is None
    assert await subject.steps.move("m9") is None
    assert await subject.steps.partition("p9") is None
    partition = await subject.steps.partition("p1")
    assert partition is not None
    assert partition.name == "p1"
