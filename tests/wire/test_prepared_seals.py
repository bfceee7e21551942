"""Sixteen real workers: with so many members, a mover prepares its seals (architecture section 7.12)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench.moved_queues import MovedQueues
from marconi_proxy.moving.execution.pace import MovePace
from tests.checker.judge import judge
from tests.servers.mongod import mongod_replica_set
from tests.wire.soak.clients import PROJECT
from tests.wire.soak.system import OPTIONS, running

WORKERS = 16
MOVES = 6


@pytest.mark.slow
def test_nothing_is_lost_while_idle_workers_acknowledge_before_writes_are_held(tmp_path: Path) -> None:
    assert MovePace().prepare_from <= WORKERS
    options = {**OPTIONS, "directory.lease": 30.0, "moving.linger": 0.5}
    with mongod_replica_set() as mongods, running(mongods, None, tmp_path, options, workers=WORKERS // 2) as system:
        system.doors[0].run("tenant", "set", PROJECT, "--pin", next(iter(system.nodes)))
        queues = MovedQueues(system, MOVES, 0.1, frozen=False)
        asyncio.run(queues.run())
    assert queues.journal.troubles == []
    assert [violation for history in queues.journal.histories.values() for violation in judge(history)] == []
    switches = [m for move in queues.moves for entry in move.log if "pause_ms" in (m := dict(entry.measures))]
    assert [switch["members"] for switch in switches] == [WORKERS] * MOVES
    # Each queue is used by a few workers, which acknowledge the seal; on a slow machine so do some of the others.
    assert any(switch.get("prepared") for switch in switches)
