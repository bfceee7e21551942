"""Whole systems under faults, judged by what their clients saw: schedule after schedule, each from its seed.

``MARCONI_TEST_SCHEDULES`` is their number; 250 is the usual run, 100,000 the nightly one. Nearly half lie in ambush at
the moments of moves at which the protocol is narrow: they meet what many more would that are drawn by chance.
"""

from __future__ import annotations

import gc
import hashlib
import multiprocessing
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from typing import NamedTuple

import pytest

from tests.simulation.schedule import Outcome, play

SCHEDULES = int(os.environ.get("MARCONI_TEST_SCHEDULES", "250"))
_AT_A_TIME = 250
FIRSTS = range(0, SCHEDULES, _AT_A_TIME)

# The events that every batch must have.
HAPPENING = {
    *("late", "lost", "mute", "sluggish", "readings that lag", "partitions crashed"),
    *("workers frozen", "writes stalled", "workers restarted", "catalogs lost", "catalog away", "catalog mute"),
    *("movers killed", "movers frozen", "movers died before a call", "movers died after a call", "takeovers"),
    *("aborts", "retires", "operators: reverse", "operators: cancel", "operators: pause", "operators: resume"),
    *("shy claims", "slow posts", "feeds lost", "deletions of queues", "purges", "settings", "dead letters"),
    *("pops", "renewals", "machines paused", "writes of paused machines"),
    *("ambushes: seal", "ambushes: seal done", "ambushes: switch", "ambushes: arming", "ambushes: abort done"),
    *("preparations", "withdrawals", "unknown", "refused"),
}


def digest(outcome: Outcome) -> str:
    return hashlib.sha256("\n".join(outcome.trace).encode()).hexdigest()


class Batch(NamedTuple):
    """The result of some schedules: all their figures, and the first seed that broke a promise."""

    figures: Counter[str]
    broken: int | None


def played(first: int) -> Batch:
    figures: Counter[str] = Counter()
    for seed in range(first, min(first + _AT_A_TIME, SCHEDULES)):
        outcome = play(seed)
        if not outcome.fine:
            return Batch(figures, seed)
        figures.update(outcome.figures)
    return Batch(figures, None)


@pytest.fixture(scope="module")
def batches() -> Iterator[dict[int, Future[Batch]]]:
    """All the batches, on as many cores as there are for each of pytest's processes."""
    processes = len(os.sched_getaffinity(0)) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    # PERF: there is little to be found, and to look for it all the time takes a tenth of all that is done.
    seldom = partial(gc.set_threshold, 50_000, 20, 100)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max(1, processes), mp_context=spawn, initializer=seldom) as pool:
        yield {first: pool.submit(played, first) for first in FIRSTS}
        pool.shutdown(cancel_futures=True)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("first", FIRSTS)
def test_every_promise_is_kept(first: int, batches: dict[int, Future[Batch]]) -> None:
    figures, broken = batches[first].result()
    if broken is not None:
        outcome = play(broken, trace=True)
        print(*outcome.trace, sep="\n")
        pytest.fail(str(outcome), pytrace=False)
    print(f"seeds from {first}: {dict(figures)}")
    # A world in which nothing happens proves nothing. Rare events are asserted only of many schedules.
    if first + _AT_A_TIME <= SCHEDULES:
        assert figures["switches"] >= _AT_A_TIME * 0.8
        assert HAPPENING - {name for name, times in figures.items() if times} == set()


def test_a_seed_is_the_same_run_each_time_and_in_every_process() -> None:
    seeds = (5, 7, 13)
    here = [digest(play(seed, trace=True)) for seed in seeds]
    assert len(set(here)) == len(seeds)
    assert here == [digest(play(seed, trace=True)) for seed in seeds]
    code = (
        "from tests.simulation.test_schedules import digest, play\n"
        f"print(*[digest(play(seed, trace=True)) for seed in {seeds}])"
    )
    for hash_seed in ("1", "2"):
        there = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
            text=True,
            timeout=120,
        )
        assert there.stdout.split() == here
