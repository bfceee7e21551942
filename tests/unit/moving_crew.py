"""Movers over a ``World``: one after the other, each as long as it lives."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

from catalog.errors import CatalogError, LockLost
from catalog.unchanged import Unchanged
from marconi_proxy.moving.execution.move_executor import MoveExecutor
from marconi_proxy.moving.execution.move_group import MoveGroup
from marconi_proxy.moving.execution.pace import MovePace
from marconi_proxy.moving.execution.seal_round import SealRound
from marconi_proxy.moving.execution.step_turns import StepTurns
from tests.unit.faulty_steps import Died, Fault, FaultySteps
from tests.unit.moving_world import PACE, World

_MOST = 400


class Crew:
    """Drives the moves ``ids`` until they end, or nothing can be done about them. ``fault_at`` counts the calls of all
    movers together. A mover that dies is followed by another one."""

    def __init__(
        self,
        world: World,
        *ids: str,
        fault_at: Callable[[int, str], Fault | None] = lambda n, name: None,
        pace: MovePace = PACE,
    ) -> None:
        self.world = world
        self.pace = pace
        self.ids = ids
        self.calls: list[str] = []
        self.movers = 0
        self._fault_at = fault_at
        self._chance = random.Random(1)

    def _fault(self, number: int, name: str) -> Fault | None:
        self.calls.append(name)
        return self._fault_at(len(self.calls) - 1, name)

    def mover(self) -> MoveGroup:
        """Return what a new mover drives, which holds all moves from now on."""
        self.movers += 1
        # Slower than a seal may be.
        steps = FaultySteps(self.world, self._fault, lambda: self.world.clock.sleep(3.0))
        held = [self.world.take(id_) for id_ in self.ids]
        watched: Unchanged[tuple[str, str]] = Unchanged(self.world.clock.monotonic)
        executors = [
            MoveExecutor(steps, self.pace, self.world.clock, self._chance, move, token, watched) for move, token in held
        ]

        async def seal(ready: Sequence[MoveExecutor]) -> None:
            round_ = SealRound(steps, self.world.clock, ready)
            await round_.prove()
            await round_.run()

        return MoveGroup(executors, seal, StepTurns())

    async def run(self) -> None:
        """Return when all moves have ended or rest."""
        group = self.mover()
        for _ in range(_MOST):
            try:
                wait = await group.step()
            except (Died, LockLost):
                group = self.mover()
            except CatalogError:
                pass
            else:
                if math.isinf(wait):
                    return
                await self.world.clock.sleep(wait)
        raise AssertionError(f"no end: {[(m.state, m.measured.waits) for m in self.world.moves.values()]}")
