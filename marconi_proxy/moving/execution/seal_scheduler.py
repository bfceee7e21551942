"""The start of seal rounds, limited in rate."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from catalog.model import PlacementState
from marconi_proxy.clock import Clock, Pacer
from marconi_proxy.moving.execution.move_executor import MoveExecutor
from marconi_proxy.moving.execution.seal_round import SealRound
from marconi_proxy.moving.execution.step_turns import StepTurns
from marconi_proxy.moving.execution.steps.interface import Steps


class SealScheduler:
    """Run the seal rounds of one mover. ``per_second``: the average number of queues to seal in a second, at most.
    ``turns``: those of the mover's steps, which make room for a round."""

    def __init__(self, steps: Steps, clock: Clock, per_second: float, turns: StepTurns) -> None:
        self._steps = steps
        self._clock = clock
        self._pacer = Pacer(per_second, clock)
        self._turns = turns
        self._running: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<SealScheduler {len(self._running)} running>"

    async def seal(self, executors: Sequence[MoveExecutor]) -> None:
        """Seal and switch, or abort, the queues of a group, as soon as the rate allows. Raises CatalogError.

        A round that has begun runs to its end even if its caller is cancelled.
        """
        # A queue that is sealed already holds writes, so its round does not wait.
        if not any(
            executor.placement is not None and executor.placement.state is PlacementState.SEALING
            for executor in executors
        ):
            await self._pacer.turn(len(executors))
        round_ = SealRound(self._steps, self._clock, executors)
        # This takes up to a lease and holds no writes, so it is cancelled with its caller.
        await round_.prove()
        await round_.prepare()
        running = asyncio.create_task(self._run(round_), name="a round of seals")
        self._running.add(running)
        running.add_done_callback(self._ended)
        await asyncio.shield(running)

    async def _run(self, round_: SealRound) -> None:
        with self._turns.pause():
            await round_.run()

    def _ended(self, running: asyncio.Task[None]) -> None:
        self._running.discard(running)
        if not running.cancelled():
            running.exception()  # retrieved here, because its caller may have been cancelled

    async def stop(self) -> None:
        """Wait for the rounds in progress."""
        await asyncio.gather(*self._running, return_exceptions=True)
