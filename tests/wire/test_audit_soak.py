"""Catalog verify reports nothing about a whole and undamaged system, under traffic in all versions while queues move.

test_soak judges the answers that clients get. The ordinary run lasts some seconds, ``tox -e nightly`` ten minutes;
a slow machine goes on until enough has happened.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from catalog import open_catalog
from catalog.model import QueueKey
from tests.servers.mongod import mongod_replica_set
from tests.servers.zaqar import Zaqar
from tests.wire.soak.stage import Stage
from tests.wire.soak.system import OPTIONS, System, running

SECONDS = float(os.environ.get("MARCONI_TEST_AUDIT_SECONDS", "12"))
SEED = int(os.environ.get("MARCONI_TEST_SOAK_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)
_EXECUTABLE = Path(sys.executable).with_name("marconi-proxy")


class Run(NamedTuple):
    status: int
    out: str
    err: str


class Verifying:
    """Gives the command once more whenever it has ended, in a thread; ``runs`` is what came of it."""

    def __init__(self, catalog: str) -> None:
        self.runs: list[Run] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(catalog,), name="verify")

    def __enter__(self) -> Verifying:
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self, catalog: str) -> None:
        # The options of the system, with a shorter time until a finding is confirmed.
        options = {**OPTIONS, "audit.confirm_after": 1.0, "audit.clocks": 1.0}
        env = {f"OS_{name.replace('.', '__')}".upper(): str(value) for name, value in options.items()}
        command = (str(_EXECUTABLE), "catalog", "verify", "--catalog", catalog, "--rate", "200", "-f", "json")
        while not self._over.is_set():
            done = subprocess.run(
                command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=os.environ | env
            )
            self.runs.append(Run(done.returncode, done.stdout, done.stderr))


async def behind(uri: str, finding: dict[str, str]) -> list[object]:
    """Return the placement and the moves of a queue of which something was found, also of one with a made-up name."""
    catalog = await open_catalog(uri)
    try:
        told: list[object] = []
        for queue in sorted({finding["queue"], finding["queue"].rsplit("-", 2)[0]}):
            told.append(await catalog.placements.get(QueueKey(finding["project"], queue)))
            told += await catalog.moves.find(project=finding["project"], queue=queue, limit=100)
        return told
    finally:
        await catalog.close()


@pytest.fixture
def system(second_zaqar16: Zaqar, tmp_path: Path) -> Iterator[System]:
    # Not the one on which test_soak has left its queues: they would be found.
    with mongod_replica_set(1) as mongods, running(mongods, second_zaqar16, tmp_path) as system:
        yield system


@pytest.mark.nightly
@pytest.mark.timeout(2400 + 4 * SECONDS)
def test_nothing_is_reported_of_a_healthy_system_under_load_and_moves(system: System) -> None:
    stage = Stage(system, SEED)
    began = time.monotonic()
    with Verifying(system.catalog) as verifying:

        def enough() -> bool:
            return len(verifying.runs) >= 2 and len(stage.soak.switches()) >= len(stage.queues) / 2

        ways = stage.run(SECONDS, 0.0, enough).switches()
    print(f"seed {SEED}: {len(verifying.runs)} runs in {time.monotonic() - began:.0f} s, {len(ways)} switches")
    print(verifying.runs[-1].err)
    wrong = [run for run in verifying.runs if run.status != 0 or json.loads(run.out) != []]
    for finding in {json.dumps(one) for run in wrong for one in json.loads(run.out or "[]")}:
        print(finding)
        print(*asyncio.run(behind(system.catalog, json.loads(finding))), sep="\n")
    assert wrong == []
    assert len(verifying.runs) >= 2
    # With fewer switches, the result would mean nothing.
    assert len(ways) >= len(stage.queues) / 2
