"""The end of tasks in the background."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any

import pytest

from marconi_proxy.background import ended


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
