"""Which moves a mover visits; what it does there is in the contract tests."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from marconi_proxy.moving.driving.pace import Pace
from marconi_proxy.moving.mover import Mover
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
