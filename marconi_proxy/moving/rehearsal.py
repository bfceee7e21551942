"""A rehearsal of a move: the executor of moves over steps without effect, up to the seal."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from catalog.model import Move, MoveState
from marconi_proxy.clock import Clock
from marconi_proxy.moving.execution.move_executor import MoveExecutor
from marconi_proxy.moving.execution.pace import MovePace
from marconi_proxy.moving.execution.seal_round import unfit
from marconi_proxy.moving.execution.steps.dry import DryRun
from marconi_proxy.moving.execution.steps.interface import Steps
from marconi_proxy.moving.protocol.machine import ARMED

# A move takes a few steps from planned to armed. One that takes more makes no progress.
_STEPS = 10
_TRIED = (MoveState.PLANNED, MoveState.PREPARING, MoveState.REROUTE_PREPARING)


class Rehearsed(NamedTuple):
    """The result: ``problems``, the reasons why the move is impossible now, a sentence each; ``would``, its effects."""

    problems: list[str]
    would: list[str]


async def rehearse(
    steps: Steps, pace: MovePace, clock: Clock, hold_max: float, move: Move, mates: Sequence[Move] = ()
) -> Rehearsed:
    """Rehearse a move that is planned or sent on: all checks up to the seal, without effect.

    ``steps``: the real ones, of which only the reads are used. ``hold_max``: the most seconds for which a worker holds
    a write. ``mates``: the other moves of its group. None of the moves need be stored. Raises CatalogError.
    """
    dry = DryRun(steps, move, mates)
    executor = MoveExecutor(dry, pace, clock, random.Random(0), move, 0)  # noqa: S311 - it waits for nothing
    for _ in range(_STEPS):
        await executor.step()
        if executor.move.state not in _TRIED or executor.move.facts.get("failures"):
            break
    problems = []
    if executor.move.state not in ARMED:
        problems.append(str(executor.move.facts.get("waits") or executor.move.log[-1].reason))
    obstacle = unfit(await steps.members())
    if obstacle is not None:
        problems.append(obstacle)
    if not problems:
        longest = pace.longest_seal(move.max_pause_ms) * 1000
        dry.sentences.append(
            f"hold each write for at most {hold_max * 1000:.0f} ms, and begin to end an attempt after {longest:.0f} ms"
        )
        dry.sentences.append(f"send writes to partition {move.destination}")
    return Rehearsed(problems, dry.sentences)
