"""The parts that drive and rehearse moves, made from the options and an open catalog."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from oslo_config import cfg

from catalog.interface import Catalog
from catalog.model import Move
from marconi_proxy.clock import SystemClock
from marconi_proxy.moving.execution.pace import MovePace
from marconi_proxy.moving.execution.steps.real import RealSteps
from marconi_proxy.moving.rehearsal import Rehearsed, rehearse
from marconi_proxy.moving.retention import Retention
from marconi_proxy.partition_client.upstreams import make_upstreams


def pace_of(conf: cfg.ConfigOpts) -> MovePace:
    """Return the mover's options of group ``[moving]``."""
    return MovePace(
        seal_timeout=conf.moving.seal_timeout,
        back_off=conf.moving.back_off,
        linger=conf.moving.linger,
        max_segments=conf.moving.max_segments,
        at_once=conf.moving.at_once,
        seals_per_second=conf.moving.seals_per_second,
        hold=conf.moving.hold,
        give_up_after=conf.moving.give_up_after,
        ambiguity=conf.moving.ambiguity,
    )


def make_retention(conf: cfg.ConfigOpts, catalog: Catalog) -> Retention:
    """Return the task that removes the records of moves and plans that ended long ago."""
    chance = random.Random()  # noqa: S311 - spreads load, guards nothing
    moving = conf.moving
    return Retention(catalog, SystemClock(), chance, keep=moving.keep_finished, seconds=moving.keep_finished_for)


def make_steps(conf: cfg.ConfigOpts, catalog: Catalog, stack: AsyncExitStack) -> RealSteps:
    """Return the real steps; ``stack`` closes their connections. Call it in the event loop."""
    return RealSteps(catalog, make_upstreams(conf, stack), SystemClock())


def make_rehearsal(
    conf: cfg.ConfigOpts, catalog: Catalog, stack: AsyncExitStack
) -> Callable[..., Awaitable[Rehearsed]]:
    """Return ``rehearsal(move, *mates)``, of a move that need not be stored; ``mates``: the others of its group."""
    steps = make_steps(conf, catalog, stack)

    async def rehearsal(move: Move, *mates: Move) -> Rehearsed:
        return await rehearse(steps, pace_of(conf), SystemClock(), conf.moving.hold_max, move, mates)

    return rehearsal
