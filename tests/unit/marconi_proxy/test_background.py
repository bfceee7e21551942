"""Tasks in the background: their end, their lock, and when they are due again."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Coroutine
from typing import Any

import pytest

from catalog.errors import LockHeld
from catalog.model import Holder
from catalog.model.move import UNPROMISED_HOLD
from catalog.unchanged import Unchanged
from marconi_proxy.background import Interval, ended, take_lock
from tests.unit.moving_world import FakeClock


async def for_ever() -> None:
    await asyncio.Event().wait()


async def deaf(times: int) -> None:
    """Lose some cancellations, as a call does that is just answered."""
    while True:
        try:
            await for_ever()
        except asyncio.CancelledError:
            times -= 1
            if times < 0:
                raise


async def failing() -> None:
    try:
        await for_ever()
    finally:
        raise ValueError("while it ended")


async def over() -> str:
    return "over"


@pytest.mark.parametrize("work", [for_ever, lambda: deaf(1), lambda: deaf(3), failing, over])
async def test_a_task_is_over_however_it_ends(work: Any, recwarn: pytest.WarningsRecorder) -> None:
    coroutine: Coroutine[Any, Any, Any] = work()
    task = asyncio.create_task(coroutine)
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        await ended([task, None], again=0.01)
    assert task.done()
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
    del task, coroutine
    gc.collect()
    assert complaints == []


async def test_nothing_to_end() -> None:
    await ended([])
    await ended([None])


# -- locks -------------------------------------------------------------------------------------------------------------


class Lock:
    """Held by ``holder``. Each try takes ``slow`` seconds on the way there."""

    def __init__(self, clock: FakeClock, holder: Holder | None) -> None:
        self.clock = clock
        self.holder = holder
        self.slow = 0.0
        self.tries: list[Holder | None] = []

    async def take(self, over: Holder | None) -> str:
        self.clock.time += self.slow
        self.tries.append(over)
        if self.holder is not None and self.holder != over:
            raise LockHeld("the lock", self.holder)
        return "taken"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


HOLDER = Holder("host/1/x", 7, 3, 15.0)


async def tried(watched: Unchanged[str], lock: Lock) -> bool:
    try:
        return await take_lock(watched, "lock", lock.take) == "taken"
    except LockHeld:
        return False


async def test_a_free_lock_is_taken(clock: FakeClock) -> None:
    lock = Lock(clock, None)
    assert await tried(Unchanged(clock.monotonic), lock)
    assert lock.tries == [None]


@pytest.mark.parametrize(("holder", "patience"), [(HOLDER, 15.0), (Holder("of a release before", 7), UNPROMISED_HOLD)])
async def test_a_lock_is_taken_over_when_it_was_watched_for_what_was_promised(
    clock: FakeClock, holder: Holder, patience: float
) -> None:
    lock, watched = Lock(clock, holder), Unchanged[str](clock.monotonic)
    assert not await tried(watched, lock)
    clock.time += patience
    assert not await tried(watched, lock)
    clock.time += 0.1
    assert await tried(watched, lock)
    assert lock.tries == [None, None, None, holder]


@pytest.mark.parametrize(
    "sign",
    [Holder("host/1/x", 7, 4, 15.0), Holder("host/1/x", 8, 3, 15.0), Holder("host/2/y", 7, 3, 15.0)],
    ids=["renewed", "taken again", "another"],
)
async def test_any_change_of_the_holder_is_a_sign_of_life(clock: FakeClock, sign: Holder) -> None:
    lock, watched = Lock(clock, HOLDER), Unchanged[str](clock.monotonic)
    await tried(watched, lock)
    clock.time += 15.1
    lock.holder = sign
    assert not await tried(watched, lock)
    clock.time += 15.0
    assert not await tried(watched, lock)
    clock.time += 0.1
    assert await tried(watched, lock)


async def test_a_clock_on_the_wall_that_is_set_ends_no_hold(clock: FakeClock) -> None:
    lock, watched = Lock(clock, HOLDER), Unchanged[str](clock.monotonic)
    await tried(watched, lock)
    clock.set = 3600.0
    assert not await tried(watched, lock)
    clock.set = -3600.0
    clock.time += 15.1
    assert await tried(watched, lock)


async def test_a_slow_answer_is_no_proof_of_silence(clock: FakeClock) -> None:
    """The holder may have renewed while the answer was on its way."""
    lock, watched = Lock(clock, HOLDER), Unchanged[str](clock.monotonic)
    lock.slow = 100.0
    assert not await tried(watched, lock)
    assert not await tried(watched, lock)


async def test_a_holder_that_renews_at_the_last_moment_keeps_its_lock(clock: FakeClock) -> None:
    lock, watched = Lock(clock, HOLDER), Unchanged[str](clock.monotonic)
    await tried(watched, lock)
    clock.time += 15.1
    take = lock.take

    async def overtaken(over: Holder | None) -> str:
        if over is not None:
            lock.holder = Holder("host/1/x", 7, 4, 15.0)
        return await take(over)

    lock.take = overtaken  # type: ignore[method-assign]
    assert not await tried(watched, lock)


# -- intervals ---------------------------------------------------------------------------------------------------------


def test_what_was_never_done_is_due(clock: FakeClock) -> None:
    interval = Interval(100.0, clock, random.Random(1))
    assert interval.left(None) == 0.0
    # This process has seen it done: the whole interval is left.
    assert interval.left("first") == 100.0
    clock.time += 60.0
    assert interval.left("first") == 40.0
    assert interval.left("second") == 100.0
    clock.time += 101.0
    assert interval.left("second") == -1.0


def test_of_what_was_done_before_this_process_began_some_part_has_passed(clock: FakeClock) -> None:
    left = [Interval(100.0, clock, random.Random(seed)).left("earlier") for seed in range(200)]
    assert 0.0 <= min(left) < 10.0
    assert 90.0 < max(left) <= 100.0
    interval = Interval(100.0, clock, random.Random(1))
    before = interval.left("earlier")
    clock.time += 5.0
    assert interval.left("earlier") == before - 5.0
    assert interval.left("later") == 100.0


def test_an_interval_goes_by_no_clock_on_the_wall(clock: FakeClock) -> None:
    interval = Interval(100.0, clock, random.Random(1))
    interval.left(None)
    interval.left("first")
    clock.set = -1e6
    clock.time += 60.0
    assert interval.left("first") == 40.0
    clock.set = 1e6
    assert interval.left("first") == 40.0
