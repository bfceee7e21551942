"""How long writes to a queue wait while it is moved.

One run starts two of our nodes (SQLite and MongoDB), two front doors with two workers each, two movers, and for each
queue a producer and a consumer that never stop. Then queues move back and forth, one after the other, and no part
fails. Two figures of each move are shown as median, 99th percentile and maximum, in milliseconds:

    paused   as the mover measures it: from just before the seal to just after the switch
    felt     the longest post to that queue meanwhile, less the median of all posts; one more producer, without any
             pause, posts to it then

The parts of ``paused``, each from its beginning, come from the log of the move. With --frozen, one worker is stopped
(SIGSTOP) before each move; the time is shown for which the first seal held writes until it was aborted.

The exit status is 1 if a promise was broken, by the judgement of the tests' checker on the clients' histories; if a
client got an answer other than the expected one; if the 99th percentile of ``paused`` is over 250 ms; or if, with
--frozen, a seal held writes for more than 2 s. The last lines name each of these.

More load, by options: each alone, or with --all each alone, all together, and none for comparison:

    --planned N    a plan moves N more queues of the project together with those of the clients; the figures are those
                   of the first of its moves
    --finished N   records of finished moves, of the same partitions
    --members N    members besides the four workers: one process makes their writes (bench.crowd)

With --all, a 99th percentile of more than 1.5 times that without load is a fault, too.

A dozen processes take part in each pause. On a machine without an idle processor each of them waits for one in turn, so
the load is shown. The traffic alone does not keep two processors busy.

    python -m bench.moves                       200 moves, the catalog on MongoDB
    python -m bench.moves --catalog sqlite
    python -m bench.moves --frozen --moves 5
    python -m bench.moves --all --moves 100     two tables, of half an hour each
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench import crowd
from bench.moved_queues import BATCH, MovedQueues
from catalog.factory import open_catalog
from catalog.model import LogEntry, Move, MoveState
from tests.checker.judge import Violation, judge
from tests.servers.mongod import ReplicaSet, mongod_replica_set, with_database
from tests.wire.soak.clients import PROJECT, Trouble
from tests.wire.soak.system import OPTIONS, running

# Seconds: the older segments are retired soon, and no lease ends while a worker is frozen.
QUIET = {
    "moving.linger": 0.5,
    "directory.lease": 30.0,
    "directory.member_interval": 2.0,
    "moving.keep_finished": 1_000_000,
}
# The limits in milliseconds: of the 99th percentile of undisturbed pauses, and of a seal while a worker is frozen.
PAUSE, HELD = 250.0, 2000.0
# The most by which load may multiply the 99th percentile.
FLAT = 1.5
# The parts of a pause, from its beginning: until the seal was stored, until all workers had acknowledged it, and until
# the target was in step. The rest is the switch.
PARTS = ("seal_ms", "acks_ms", "in_step_ms")


class Scale(NamedTuple):
    """The load besides the measured moves, by the options of the same names."""

    planned: int = 0
    finished: int = 0
    members: int = 0


SCALES = (
    Scale(),
    Scale(planned=200),
    Scale(planned=3_000),
    Scale(planned=20_000),
    Scale(finished=100_000),
    Scale(members=196),
    Scale(20_000, 100_000, 196),
)


async def stock(uri: str, partitions: Sequence[str], finished: int) -> None:
    """Initialise the catalog at ``uri``, with the records of so many ``finished`` moves."""
    catalog = await open_catalog(uri)
    try:
        await catalog.init()
        token = await catalog.backups.begin_load(replace=False)
        for start in range(0, finished, BATCH):
            await catalog.backups.load(
                token, [finished_move(n, *partitions) for n in range(start, min(start + BATCH, finished))]
            )
        await catalog.backups.end_load(token)
    finally:
        await catalog.close()


def finished_move(number: int, source: str, target: str) -> Move:
    """Return the record of a finished move, of the usual size."""
    log = tuple(LogEntry(float(n), state, "message") for n, state in enumerate((MoveState.PLANNED, MoveState.DONE)))
    certificate = {"move": f"finished-{number}", "pause_ms": 50.0}
    return Move(
        f"finished-{number}",
        PROJECT,
        f"finished-{number}",
        source,
        target,
        state=MoveState.DONE,
        log=log,
        pause_ms=50.0,
        certificate=certificate,
        incarnation="0123456789abcdef",
        destination=target,
    )


def measure(mongods: ReplicaSet, arguments: argparse.Namespace, scale: Scale) -> tuple[dict[str, object], list[str]]:
    """Return the figures of one run, and its faults."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        on_mongodb = arguments.catalog == "mongodb"
        database = f"catalog_{secrets.token_hex(6)}"
        catalog = with_database(mongods.uri(), database) if on_mongodb else f"sqlite:///{directory / 'catalog.db'}"
        asyncio.run(stock(catalog, ("sqlite", "mongodb"), scale.finished))
        with (
            running(mongods, None, directory, {**OPTIONS, **QUIET}, catalog) as system,
            crowd.running(catalog, scale.members, QUIET["directory.lease"]),
        ):
            # All queues begin on the first partition.
            system.doors[0].run("tenant", "set", PROJECT, "--pin", next(iter(system.nodes)))
            queues = MovedQueues(
                system, arguments.moves, arguments.pace, frozen=arguments.frozen, planned=scale.planned
            )
            asyncio.run(queues.run())
    return figures_of(queues), faults_of(queues, frozen=arguments.frozen)


def figures_of(queues: MovedQueues) -> dict[str, object]:
    """Return the figures of a run, by the names that are shown."""
    moves, posts = queues.moves, queues.journal.posts
    shown: dict[str, object] = {"moves": len(moves), "posts": len(posts)}
    shown["usual post (ms)"] = round(statistics.median(t.seconds for t in posts) * 1000.0, 1)
    shown["paused (ms)"] = summary(pauses(moves))
    if queues.felt:
        shown["felt (ms)"] = summary(queues.felt)
    for name in PARTS:
        shown[f"  {name} (ms)"] = summary([part for move in moves if (part := measured(move, name))])
    if queues.aborted:
        shown["held before an abort (ms)"] = summary(queues.aborted)
    shown["seals"] = sum(move.attempt for move in moves)
    shown["runnable processes"] = round(statistics.median(queues.runnable), 1)
    shown["processors"] = os.cpu_count()
    refused = Counter(trouble.status for trouble in queues.journal.troubles)
    shown["errors that clients saw"] = dict(refused) or "none"
    return shown


def faults_of(queues: MovedQueues, *, frozen: bool) -> list[str]:
    """Return the faults of a run. If workers were ``frozen``, the first seals count in place of the pauses."""
    broken = [violation for history in queues.journal.histories.values() for violation in judge(history)]
    return faults([] if frozen else pauses(queues.moves), queues.aborted, queues.journal.troubles, broken)


def faults(
    pauses: Sequence[float], aborted: Sequence[float], troubles: Sequence[Trouble], broken: Sequence[Violation]
) -> list[str]:
    """Return a text for each fault. ``pauses``: of moves; ``aborted``: for which seals held writes until their abort;
    both in milliseconds."""
    found = [str(violation) for violation in broken]
    found += [f"an unexpected answer: {trouble}" for trouble in troubles]
    if pauses and (late := summary(pauses)["p99"]) > PAUSE:
        found.append(f"the 99th percentile of pauses is {late:g} ms, more than {PAUSE:g}")
    if aborted and max(aborted) > HELD:
        found.append(f"a seal held writes for {max(aborted):.0f} ms before it was aborted, more than {HELD:g}")
    return found


def pauses(moves: Sequence[Move]) -> list[float]:
    """Return the milliseconds of each pause."""
    return [move.pause_ms for move in moves if move.pause_ms is not None]


def measured(move: Move, name: str) -> float | None:
    """Return a measure from the log entry of the switch, None if it has none."""
    for entry in move.log:
        measures = dict(entry.measures)
        if "pause_ms" in measures and name in measures:
            return float(measures[name])
    return None


def summary(values: Sequence[float]) -> dict[str, float]:
    """Return median, 99th percentile and maximum."""
    ordered = sorted(values)
    return {
        "p50": round(statistics.median(ordered), 1),
        "p99": round(ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))], 1),
        "max": round(ordered[-1], 1),
    }


def show(figures: dict[str, object], broken: list[str]) -> None:
    """Print the figures and the faults."""
    for name, figure in figures.items():
        text = "  ".join(f"{part} {n}" for part, n in figure.items()) if isinstance(figure, dict) else figure
        print(f"{name:>26}  {text}")
    print("\n".join(f"BROKEN: {fault}" for fault in broken) or "nothing is broken", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moves", type=int, default=200, help="moves to measure")
    parser.add_argument("--pace", type=float, default=0.2, help="mean seconds between two posts of each producer")
    parser.add_argument("--catalog", choices=["mongodb", "sqlite"], default="mongodb")
    parser.add_argument("--frozen", action="store_true", help="stop a worker before each move")
    parser.add_argument("--planned", type=int, default=0, metavar="N", help="queues that a plan moves too")
    parser.add_argument("--finished", type=int, default=0, metavar="N", help="records of finished moves")
    parser.add_argument("--members", type=int, default=0, metavar="N", help="members besides the workers")
    parser.add_argument("--all", action="store_true", help="all loads, one after the other")
    parser.add_argument("-f", "--format", choices=["table", "json"], default="table")
    arguments = parser.parse_args()
    scales = SCALES if arguments.all else (Scale(arguments.planned, arguments.finished, arguments.members),)
    shown, all_broken = [], []
    with mongod_replica_set() as mongods:
        for scale in scales:
            figures, broken = measure(mongods, arguments, scale)
            paused = figures["paused (ms)"]
            assert isinstance(paused, dict)
            if shown:
                figures["times the first 99th percentile"] = times = round(paused["p99"] / shown[0]["p99"], 2)
                broken += [f"{times} times the first 99th percentile is not flat"] if times > FLAT else []
            shown.append(paused)
            all_broken += broken
            if arguments.format == "json":
                print(json.dumps(scale._asdict() | figures | {"faults": broken}), flush=True)
            else:
                print(", ".join(f"{n} {name}" for name, n in scale._asdict().items() if n) or "no load")
                show(figures, broken)
    return 1 if all_broken else 0


if __name__ == "__main__":
    sys.exit(main())
