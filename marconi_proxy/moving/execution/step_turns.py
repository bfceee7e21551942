"""The concurrent steps of one mover, which make room for rounds that hold writes.

A step copies metadata, reads partitions and writes records. Each of these costs processor time of the mover, of the
catalog and of partitions: time for which a round with held writes would have to wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

# Steps at a time: usually, and while writes are held.
STEPS = 8
_STEPS_BESIDE_A_PAUSE = 1


class StepTurns:
    """Admit at most ``most`` steps at a time, and while a pause lasts no more than ``beside`` pauses, in the order of
    their requests. Steps in progress when a pause begins go on."""

    def __init__(self, most: int = STEPS, beside: int = _STEPS_BESIDE_A_PAUSE) -> None:
        self._most = most
        self._beside = beside
        self._running = 0
        self._pauses = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def __repr__(self) -> str:
        return f"<StepTurns {self._running} steps, {len(self._waiting)} waiting, {self._pauses} pauses>"

    @asynccontextmanager
    async def step(self) -> AsyncIterator[None]:
        """Wait for a turn; it lasts as long as the block."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self._end()
            raise
        try:
            yield
        finally:
            self._end()

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Mark a round that holds writes; it lasts as long as the block."""
        self._pauses += 1
        try:
            yield
        finally:
            self._pauses -= 1
            self._admit()

    def _end(self) -> None:
        self._running -= 1
        self._admit()

    def _admit(self) -> None:
        limit = self._beside if self._pauses else self._most
        while self._waiting and self._running < limit:
            turn = self._waiting.popleft()
            if not turn.cancelled():
                self._running += 1
                turn.set_result(None)
