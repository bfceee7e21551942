"""Which moves a mover visits; what it does there is in the contract tests."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from catalog.errors import LockHeld
from catalog.model import Holder, Move
from catalog.model.move import UNPROMISED_HOLD
from marconi_proxy.moving.execution.pace import MovePace
from marconi_proxy.moving.mover import Mover
from tests.simulation.mover_process import WorldClock
from tests.simulation.virtual_loop import VirtualLoop
from tests.unit.moving_world import FakeClock, World


class _Catalog:
    """Has no move in its pages, and one that is ordered when they were read."""

    def __init__(self) -> None:
        self.ordered: Any = None
        self.visited = asyncio.Event()

    @property
    def moves(self) -> _Catalog:
        return self

    async def find(self, **_: object) -> list[object]:
        self.ordered("m1", 1)
        return []

    async def get(self, move_id: str) -> None:
        assert move_id == "m1"
        self.visited.set()


async def test_a_move_that_is_ordered_during_a_sweep_is_visited_at_once() -> None:
    catalog, stop = _Catalog(), asyncio.Event()
    mover = Mover(catalog, World(), MovePace(), FakeClock(), random.Random(1), "mover")  # type: ignore[arg-type]
    catalog.ordered = mover.changed
    running = asyncio.create_task(mover.run(stop))
    # Its clock stands still: there is no second sweep.
    async with asyncio.timeout(30):
        await catalog.visited.wait()
    stop.set()
    await running


class _Hanging:
    """Has one move, which it lets be held; of the renewals only the first are answered."""

    def __init__(self, answered: int, now: Callable[[], float]) -> None:
        self.world = World()
        self.world.put("orders")
        self.world.order("m1", "orders")
        self.held: list[float] = []
        self._answered = answered
        self._now = now

    @property
    def moves(self) -> _Hanging:
        return self

    async def find(self, **_: object) -> list[Move]:
        return list(self.world.moves.values())

    async def get(self, move_id: str) -> Move:
        return self.world.moves[move_id]

    def lock(self, move_id: str) -> _Hanging:
        assert move_id == "m1"
        return self

    async def acquire(self, holder: str, seconds: float, *, over: Holder | None = None) -> Move:
        self.held.append(self._now())
        return replace(self.world.moves["m1"], holder=Holder(holder, 1, 0, seconds))

    async def renew(self, token: int, seconds: float) -> None:
        if len(self.held) > self._answered:
            await asyncio.Event().wait()
        self.held.append(self._now())

    async def release(self, token: int) -> None: ...


class _Locked:
    """Has one move, which another mover holds: it renews until ``dies``, seconds of the loop's clock."""

    def __init__(self, loop: VirtualLoop, dies: float, promised: float, stop: asyncio.Event) -> None:
        self.world = World()
        self.world.put("orders")
        self.world.order("m1", "orders")
        self.taken: list[tuple[float, Holder | None]] = []
        self.reads = self.refusals = 0
        self._loop = loop
        self._dies = dies
        self._promised = promised
        self._stop = stop

    @property
    def _holder(self) -> Holder:
        return Holder("dead", 7, int(min(self._loop.time(), self._dies)), self._promised)

    @property
    def moves(self) -> _Locked:
        return self

    async def find(self, **_: object) -> list[Move]:
        return [await self.get("m1")]

    async def get(self, move_id: str) -> Move:
        self.reads += 1
        return replace(self.world.moves[move_id], holder=self._holder)

    def lock(self, move_id: str) -> _Locked:
        assert move_id == "m1"
        return self

    async def acquire(self, holder: str, seconds: float, *, over: Holder | None = None) -> Move:
        if over != self._holder:
            self.refusals += 1
            raise LockHeld("move m1", self._holder)
        self.taken.append((self._loop.time(), over))
        self._stop.set()
        return replace(self.world.moves["m1"], holder=Holder(holder, 8, 0, seconds))

    async def renew(self, token: int, seconds: float) -> None: ...

    async def release(self, token: int) -> None: ...


@pytest.mark.parametrize("promised", [15.0, 0.0, 100.0])
@pytest.mark.parametrize("wall", [0.0, 1e9])
def test_the_lock_of_a_mover_that_died_is_taken_over_when_it_was_watched_for_what_it_promised(
    promised: float, wall: float
) -> None:
    loop = VirtualLoop()
    stop = asyncio.Event()
    dies = loop.time() + 40.0
    catalog = _Locked(loop, dies, promised, stop)
    mover = Mover(catalog, catalog.world, MovePace(), WorldClock(loop, wall), random.Random(1), "mover")  # type: ignore[arg-type]
    loop.run(mover.run(stop))
    ((taken, over),) = catalog.taken
    patience = promised or UNPROMISED_HOLD
    assert over == Holder("dead", 7, int(dies), promised)
    # Not before, and about as soon as the movers' sweeps allow.
    assert dies + patience - 1.0 <= taken <= dies + 2 * patience + 20.0


def test_a_move_that_its_holder_changes_often_costs_other_movers_a_read_at_times() -> None:
    loop = VirtualLoop()
    stop = asyncio.Event()
    catalog = _Locked(loop, math.inf, 15.0, stop)
    mover = Mover(catalog, catalog.world, MovePace(), WorldClock(loop, 0.0), random.Random(1), "mover")  # type: ignore[arg-type]

    async def change() -> None:
        for version in range(1, 201):
            mover.changed("m1", version)
            await asyncio.sleep(0.05)
        stop.set()

    async def both() -> None:
        await asyncio.gather(mover.run(stop), change())

    loop.run(both())
    # 200 changes in 10 seconds.
    assert 5 <= catalog.reads <= 25
    assert not catalog.refusals


@pytest.mark.parametrize("answered", [0, 1, 3])
def test_what_is_under_way_is_given_up_before_the_hold_may_have_ended(answered: int) -> None:
    """A partition does not check the lock of the move."""
    loop = VirtualLoop()
    pace = MovePace()
    catalog = _Hanging(answered, loop.time)
    stop = asyncio.Event()
    given_up: list[float] = []

    async def hang(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            given_up.append(loop.time())
            stop.set()

    catalog.world.before = hang
    clock = WorldClock(loop, 0.0)
    mover = Mover(catalog, catalog.world, pace, clock, random.Random(1), "mover")  # type: ignore[arg-type]
    loop.run(mover.run(stop))
    assert len(catalog.held) == 1 + answered
    assert catalog.held[-1] < given_up[0] < catalog.held[-1] + pace.hold
