"""When rounds of seals begin: whatever gets ready at about the same time shares one, and not too many in a second."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import chain

from catalog.model import PlacementState
from marconi_proxy.moving.clock import Clock
from marconi_proxy.moving.driving.drive import Drive
from marconi_proxy.moving.driving.sealing import Round
from marconi_proxy.moving.driving.steps.interface import Steps

# Seconds within which others may join a round, and how many convoys one has at most.
_GATHERING = 0.005
_MOST = 16


class Rounds:
    """Belongs to one mover. ``per_second``: how many queues may be sealed in a second, on the average."""

    def __init__(self, steps: Steps, clock: Clock, per_second: float) -> None:
        self._steps = steps
        self._clock = clock
        self._per_second = per_second
        self._waiting: list[tuple[Sequence[Drive], asyncio.Future[None]]] = []
        self._gatherer: asyncio.Task[None] | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._free_at = 0.0

    def __repr__(self) -> str:
        return f"<Rounds {len(self._waiting)} waiting, {len(self._running)} running>"

    async def seal(self, drives: Sequence[Drive]) -> None:
        """Seal and switch, or abort, the queues of a convoy. Raises CatalogError."""
        if any(drive.placement is not None and drive.placement.state is PlacementState.SEALING for drive in drives):
            # Writes are held already: no time to lose.
            await Round(self._steps, self._clock, drives).run()
            return
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((drives, done))
        if self._gatherer is None or self._gatherer.done():
            self._gatherer = asyncio.create_task(self._gather(), name="rounds of seals")
        await done

    async def _gather(self) -> None:
        while self._waiting:
            await self._clock.sleep(max(_GATHERING, self._free_at - self._clock.monotonic()))
            batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
            # Whoever was cancelled meanwhile does not hold its move any more.
            batch = [(drives, done) for drives, done in batch if not done.done()]
            sealed = sum(len(drives) for drives, _ in batch)
            self._free_at = max(self._free_at, self._clock.monotonic()) + sealed / self._per_second
            task = asyncio.create_task(self._run(batch), name="a round of seals")
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _run(self, batch: list[tuple[Sequence[Drive], asyncio.Future[None]]]) -> None:
        failure: Exception | None = None
        try:
            await Round(self._steps, self._clock, list(chain.from_iterable(drives for drives, _ in batch))).run()
        except Exception as error:
            failure = error
        finally:
            for _, done in batch:
                if done.done():
                    continue
                if failure is not None:
                    done.set_exception(failure)
                else:
                    done.set_result(None)

    async def stop(self) -> None:
        """Give up what has not begun, and wait for what has."""
        if self._gatherer is not None:
            self._gatherer.cancel()
        for _, done in self._waiting:
            done.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
