"""Which moves a mover visits; what it does there is in the contract tests."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from catalog.model import Holder, Move
from marconi_proxy.moving.driving.pace import Pace
from marconi_proxy.moving.mover import Mover
from tests.simulation.mover_process import WorldClock
from tests.simulation.virtual_loop import VirtualLoop
from tests.unit.moving_world import FakeClock, World


class _Catalog:
    """Has no move in its pages, and one that is ordered when they were read."""

    def __init__(self) -> None:
        self.ordered: Any = None
        self.visited = asyncio.Event()

    async def list_moves(self, **_: object) -> list[object]:
        self.ordered("m1", 1)
        return []

    async def get_move(self, move_id: str) -> None:
        assert move_id == "m1"
        self.visited.set()


async def test_a_move_that_is_ordered_during_a_sweep_is_visited_at_once() -> None:
    catalog, stop = _Catalog(), asyncio.Event()
    mover = Mover(catalog, World(), Pace(), FakeClock(), random.Random(1), "mover")  # type: ignore[arg-type]
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

    async def list_moves(self, **_: object) -> list[Move]:
        return list(self.world.moves.values())

    async def get_move(self, move_id: str) -> Move:
        return self.world.moves[move_id]

    async def take_move(self, move_id: str, holder: str, seconds: float) -> Move:
        self.held.append(self._now())
        return replace(self.world.moves[move_id], holder=Holder(holder, 1, 0.0))

    async def renew_move(self, move_id: str, token: int, seconds: float) -> None:
        if len(self.held) > self._answered:
            await asyncio.Event().wait()
        self.held.append(self._now())

    async def release_move(self, move_id: str, token: int) -> None: ...


@pytest.mark.parametrize("answered", [0, 1, 3])
def test_what_is_under_way_is_given_up_before_the_hold_may_have_ended(answered: int) -> None:
    """A partition does not ask who holds the move."""
    loop = VirtualLoop()
    pace = Pace()
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
