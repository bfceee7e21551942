"""The end of tasks that run in the background."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

# Seconds until a task is asked again: longer than one takes that lets go of something in the catalog at its end.
_AGAIN = 6.0


async def ended(tasks: Iterable[asyncio.Task[Any] | None], again: float = _AGAIN) -> None:
    """Cancel tasks and wait until they are over, however they end; None counts as a task that is over.

    A cancellation can be lost: pymongo, and ``asyncio.wait_for`` before Python 3.12, let a call that is just then
    answered return its answer, and a loop around it goes on. So whoever has not ended is asked ``again`` after so many
    seconds.
    """
    ending = [task for task in tasks if task is not None]
    while left := [task for task in ending if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=again)
    for task in ending:
        if not task.cancelled():
            task.exception()  # else asyncio complains that nobody looked
