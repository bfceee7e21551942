"""A whole system under traffic in all versions, while its queues move and its processes are killed or suspended, and
their clocks are set: nothing is lost, duplicated, reordered or stuck, and without kills no client meets an error.

The ordinary run has half a minute of kills, ``tox -e nightly`` twenty-five; a slow machine goes on until enough has
happened.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.mongod import mongod_replica_set
from tests.servers.stepped_clock import SteppedClock
from tests.servers.zaqar import Zaqar
from tests.wire.soak.stage import Stage
from tests.wire.soak.system import System, running

# Of traffic, one seventh of it without kills.
SECONDS = float(os.environ.get("MARCONI_TEST_SOAK_SECONDS", "42"))
# A seed decides the kills and the posts, but not their timing on the machine.
SEED = int(os.environ.get("MARCONI_TEST_SOAK_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)


@pytest.fixture
def system(zaqar16: Zaqar, tmp_path: Path) -> Iterator[System]:
    clocks = [SteppedClock(tmp_path, f"mongod {number}") for number in range(3)]
    with (
        mongod_replica_set(3, clocks=clocks) as mongods,
        running(mongods, zaqar16, tmp_path, mongod_clocks=clocks) as system,
    ):
        yield system


@pytest.mark.slow
@pytest.mark.timeout(2400 + 4 * SECONDS)
def test_nothing_is_lost_doubled_reordered_or_stuck(system: System) -> None:
    stage = Stage(system, SEED)
    soak = stage.run(SECONDS / 7, SECONDS * 6 / 7, lambda: len(stage.soak.switches()) >= len(stage.queues) / 4)
    print("\n".join([f"seed {SEED}", *soak.lines()]))
    faults = soak.faults()
    assert faults == {}, json.dumps(faults, indent=1)
