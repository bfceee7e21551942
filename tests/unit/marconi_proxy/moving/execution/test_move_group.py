"""How the steps of several groups make room for each other."""

from __future__ import annotations

import asyncio

from catalog.model import Move
from marconi_proxy.moving.execution.driven_move import AT_ONCE, READY, Next
from marconi_proxy.moving.execution.move_group import MoveGroup
from marconi_proxy.moving.execution.step_turns import StepTurns


class _Drive:
    """Takes its step at the test's command."""

    def __init__(self, name: str, then: Next) -> None:
        self.move = Move(name, "p", name, "p1", "p2")
        self.stepping = asyncio.Event()
        self.go = asyncio.Event()
        self._then = then

    async def step(self) -> Next:
        self.stepping.set()
        await self.go.wait()
        return self._then


async def test_steps_wait_for_their_turn_and_seals_take_none():
    turns = StepTurns(1)
    sealing, sealed = asyncio.Event(), asyncio.Event()

    async def seal(executors):
        sealing.set()
        await sealed.wait()

    one, other = _Drive("m1", READY), _Drive("m2", AT_ONCE)
    first = asyncio.create_task(MoveGroup([one], seal, turns).step())
    second = asyncio.create_task(MoveGroup([other], seal, turns).step())
    await one.stepping.wait()
    assert not other.stepping.is_set()
    one.go.set()
    await sealing.wait()
    other.go.set()
    assert await second == 0.0, "the other went on while the first was sealed"
    assert not first.done()
    sealed.set()
    assert await first == 0.0
