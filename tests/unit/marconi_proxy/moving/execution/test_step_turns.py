"""Turns of steps: how many at a time, and what a pause changes."""

from __future__ import annotations

import asyncio

from marconi_proxy.moving.execution.step_turns import StepTurns


class _Step:
    """Takes a turn and keeps it until ``go`` is set."""

    def __init__(self, turns: StepTurns) -> None:
        self.stepping = False
        self.go = asyncio.Event()
        self.task = asyncio.create_task(self._run(turns))

    async def _run(self, turns: StepTurns) -> None:
        async with turns.step():
            self.stepping = True
            await self.go.wait()


async def _steps(turns: StepTurns, number: int) -> list[_Step]:
    steps = [_Step(turns) for _ in range(number)]
    await asyncio.sleep(0)
    return steps


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_so_many_steps_at_a_time_in_order() -> None:
    steps = await _steps(StepTurns(2), 4)
    assert [step.stepping for step in steps] == [True, True, False, False]
    steps[1].go.set()
    await _settle()
    assert [step.stepping for step in steps] == [True, True, True, False]
    for step in steps:
        step.go.set()
    await asyncio.gather(*(step.task for step in steps))


async def test_while_a_pause_lasts_fewer_steps_begin() -> None:
    turns = StepTurns(3, beside=1)
    first = await _steps(turns, 2)
    with turns.pause():
        later = await _steps(turns, 3)
        assert not any(step.stepping for step in later), "as many as may run beside a pause are running"
        first[0].go.set()
        await _settle()
        assert not any(step.stepping for step in later)
        first[1].go.set()
        await _settle()
        assert [step.stepping for step in later] == [True, False, False], "one at a time goes on beside a pause"
        with turns.pause():
            pass
        await _settle()
        assert [step.stepping for step in later] == [True, False, False], "another pause is still open"
    await _settle()
    assert all(step.stepping for step in later)
    for step in later:
        step.go.set()
    await asyncio.gather(*(step.task for step in first + later))


async def test_a_step_that_is_given_up_gives_its_turn_back() -> None:
    turns = StepTurns(1)
    one, waits, next_ = await _steps(turns, 3)
    waits.task.cancel()
    one.go.set()
    await _settle()
    assert waits.task.cancelled()
    assert next_.stepping
    next_.task.cancel()
    await _settle()
    (last,) = await _steps(turns, 1)
    assert last.stepping
    last.go.set()
    await last.task


async def test_a_step_that_is_given_up_in_the_moment_of_its_turn_gives_it_back() -> None:
    turns = StepTurns(1)
    async with turns.step():
        admitted, next_ = await _steps(turns, 2)
    # That end has admitted the first one, which has not run yet.
    admitted.task.cancel()
    await _settle()
    assert not admitted.stepping
    assert next_.stepping
    next_.go.set()
    await next_.task
