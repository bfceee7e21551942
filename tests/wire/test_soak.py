"""A whole system under traffic in all versions, while its queues move and its processes are killed: nothing is lost,
doubled, reordered or stuck, and without kills nobody meets an error.

In the ordinary run it takes a minute and the time that claims need to end; ``tox -e nightly`` takes more.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.mongod import mongod_replica_set
from tests.servers.zaqar import Zaqar
from tests.wire.soak.stage import Stage
from tests.wire.soak.system import System, running

# Of traffic, half of it without kills and half of it with; what an operator would call a soak begins at minutes.
SECONDS = float(os.environ.get("MARCONI_TEST_SOAK_SECONDS", "70"))
# A seed decides who is killed and what is posted, not what the machine makes of it.
SEED = int(os.environ.get("MARCONI_TEST_SOAK_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900 + 4 * SECONDS)]


@pytest.fixture
def system(zaqar16: Zaqar, tmp_path: Path) -> Iterator[System]:
    with mongod_replica_set(3) as mongods, running(mongods, zaqar16, tmp_path) as system:
        yield system


def test_nothing_is_lost_doubled_reordered_or_stuck(system: System) -> None:
    report = Stage(system, SEED).run(SECONDS / 2, SECONDS / 2)
    print("\n".join(report.lines()))
    assert report.faults == {}, report.lines()
    # So much has to happen that all of this means something.
    assert report.figures["switches"] > len(report.kills) > 2
    assert report.figures["messages delivered"] > SECONDS
    assert report.figures["messages seen by subscribers"] > SECONDS
