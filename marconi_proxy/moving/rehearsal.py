"""Whether a move could be made now: the driver of moves over steps without effect, up to the seal."""

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

# From planned to armed it takes a few steps; more are a sign of a move that gets nowhere.
_STEPS = 10
_TRIED = (MoveState.PLANNED, MoveState.PREPARING, MoveState.REROUTE_PREPARING)
_ARMED = (MoveState.ARMED, MoveState.REROUTE_ARMED)


class Rehearsed(NamedTuple):
    """``problems``: why it could not be made now, a sentence each, none if it could. ``would``: what would be done."""

    problems: list[str]
    would: list[str]


async def rehearse(
    steps: Steps, pace: MovePace, clock: Clock, hold_max: float, move: Move, mates: Sequence[Move] = ()
) -> Rehearsed:
    """Go through a move that is planned, or sent on, with all checks of preparing and arming and without effect.

    ``steps`` are the real ones, of which only what reads is used. ``hold_max``: seconds that a worker holds a write.
    ``mates`` are the moves of its group, which need not be stored either. Raises CatalogError.
    """
    dry = DryRun(steps, move, mates)
    executor = MoveExecutor(dry, pace, clock, random.Random(0), move, 0)  # noqa: S311 - it waits for nothing
    for _ in range(_STEPS):
        await executor.step()
        if executor.move.state not in _TRIED or executor.move.facts.get("failures"):
            break
    problems = []
    if executor.move.state not in _ARMED:
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
