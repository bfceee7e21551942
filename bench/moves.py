"""How long writes to a queue wait while it is moved.

One run starts two of our nodes (SQLite and MongoDB), two front doors with two workers each, two movers, and a producer
and a consumer for each queue, who never stop. Then queues move back and forth, one after the other, with nothing wrong.
Two figures of each move are shown as median, 99th percentile and maximum, in milliseconds:

    paused   as the mover measures it: from just before the seal to just after the switch
    felt     the longest post to that queue meanwhile, less the median of all posts; one more producer posts to it then,
             without any pause

The parts of ``paused``, each from its beginning, are those that the log of a move keeps. With --frozen, one worker is
stopped (SIGSTOP) before each move: what is shown besides is how long its first seal held writes before it was aborted.

Nothing may go wrong meanwhile: what clients saw is judged by the checker of the tests, and the last lines tell what is
broken, with 1 as the exit status: a promise, an answer that was not due, a 99th percentile of ``paused`` over 250 ms,
or with --frozen a seal that held writes for more than 2 s.

What else there is, by options; each of them alone, and all together, next to nothing of it, with --all:

    --planned N    a plan moves N more queues of the project together with those of the clients; the figures are of the
                   first of its moves
    --finished N   records of moves that have finished, of the same partitions
    --members N    members besides the four workers: one process makes the writes that so many workers make
                   (bench.crowd)

With --all, a 99th percentile of more than half as much again as without is a fault, too.

A dozen processes take part in each pause: on a machine without an idle processor they wait for one each time that it is
their turn, which is why its load is shown. The traffic is such that two processors are not kept busy by it.

    python -m bench.moves                       200 moves, the catalog on MongoDB
    python -m bench.moves --catalog sqlite
    python -m bench.moves --frozen --moves 5
    python -m bench.moves --all --moves 100     two tables, of half an hour each
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import secrets
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import NamedTuple

from bench.crowd import attend
from catalog.factory import open_catalog
from catalog.interface import Catalog
from catalog.model import FINISHED_STATES, LogEntry, Move, MoveState, Placement, PlacementState, QueueKey, Segment
from tests.checker.judge import Violation, judge
from tests.checker.record import History
from tests.servers.marconi import CommandFailed
from tests.servers.mongod import ReplicaSet, mongod_replica_set, with_database
from tests.servers.suspension import suspend
from tests.wire.keep_alive import KeepAlive
from tests.wire.soak import dialect
from tests.wire.soak.clients import HEADERS, PROJECT, Consumer, Journal, Producer, Trouble
from tests.wire.soak.system import OPTIONS, System, running
from tests.wire.soak.traffic import traffic

QUEUES = 8
# Seconds: the older segments are retired soon, and no lease ends while a worker is frozen.
QUIET = {
    "moving.linger": 0.5,
    "directory.lease": 30.0,
    "directory.member_interval": 2.0,
    "moving.keep_finished": 1_000_000,
}
# Milliseconds: how long writes wait for a quiet move in 99 of 100 cases, and for a worker that stands still.
PAUSE, HELD = 250.0, 2000.0
# A 99th percentile is flat if it is no more than so many times that of the same without what makes it grow.
FLAT = 1.5
# Seconds to wait for a move.
PATIENCE = 60.0
BATCH = 500
BORN = "0123456789abcdef"
# Of a pause, from its beginning: until the seal was stored, until all workers had acknowledged it, and until the target
# was in step; what is left is the switch.
PARTS = ("seal_ms", "acks_ms", "in_step_ms")
_SWITCHED = frozenset({MoveState.DRAINING, MoveState.LINGERING, MoveState.RETIRED, *FINISHED_STATES})


class Scale(NamedTuple):
    """The size of what surrounds the measured moves, by the options of the same names."""

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


class Bench:
    """``pace``: seconds between two posts of a producer, on the average. ``planned``: queues of a plan, if any."""

    def __init__(self, system: System, moves: int, pace: float, *, frozen: bool, planned: int = 0) -> None:
        self._system = system
        self._moves = moves
        self._pace = pace
        self._frozen = frozen
        self._planned = planned
        self._queues = [f"q{n}" for n in range(QUEUES)]
        self._journal = Journal({queue: History() for queue in self._queues})
        self._admin = KeepAlive(system.admin, {"Content-Type": "application/json"})
        self._homes = dict.fromkeys(self._queues, 0)
        self.moves: list[Move] = []
        self.felt: list[float] = []
        self.aborted: list[float] = []
        self.runnable: list[int] = []

    async def run(self) -> None:
        await self._create()
        doors = [door.public_address for door in self._system.doors]
        catalog = await open_catalog(self._system.catalog)
        try:
            async with traffic(catalog, doors[0], self._journal, *self._clients(doors)):
                if self._planned:
                    await self._plan(catalog)
                else:
                    await asyncio.sleep(3.0)
                    for n in range(self._moves):
                        await self._one(catalog, self._queues[n % QUEUES])
        finally:
            self._admin.close()
            await catalog.close()

    async def _create(self) -> None:
        connection = KeepAlive(self._system.doors[0].public_address, HEADERS)
        for queue in self._queues:
            reply = await connection.ask("PUT", dialect.queue_path("v2", queue))
            if reply is None or reply.status != 201:
                raise RuntimeError(f"a queue was not created: {reply}")
        connection.close()

    def _clients(self, doors: Sequence[tuple[str, int]]) -> tuple[list[Producer], list[Consumer]]:
        producers, consumers = [], []
        for n, queue in enumerate(self._queues):
            chance = random.Random(n)
            producers.append(Producer(f"p{n}", "v2", doors[n % 2], self._journal, [queue], chance, self._pace))
            consumers.append(Consumer(f"c{n}", "v2", doors[(n + 1) % 2], self._journal, [queue], chance, {queue: 60.0}))
        return producers, consumers

    async def _plan(self, catalog: Catalog) -> None:
        """Let a plan move these and many more queues; return when enough of them are switched."""
        source, target = list(self._system.nodes)[:2]
        names = [f"planned-{n:05}" for n in range(self._planned)]
        node = KeepAlive(self._system.nodes[source][0].address, HEADERS)
        for name in names:
            reply = await node.ask("PUT", dialect.queue_path("v2", name))
            if reply is None or reply.status != 201:
                raise RuntimeError(f"a queue was not created: {reply}")
        node.close()
        placements = [
            Placement(PROJECT, n, 1, PlacementState.OPEN, (Segment(0, source, n),), incarnation=BORN) for n in names
        ]
        for start in range(0, len(placements), BATCH):
            await catalog.placements.insert_many(placements[start : start + BATCH])
        proxy = self._system.doors[0]
        await asyncio.to_thread(proxy.run, "move", "tenant", PROJECT, "--to", target, "--pin", "--yes", "--no-wait")
        (plan,) = await catalog.plans.find(limit=1)
        enough = min(self._moves, len(names))
        deadline = time.monotonic() + PATIENCE + enough
        while len(self.moves) < enough:
            if time.monotonic() > deadline:
                raise RuntimeError(f"plan {plan.id} has switched {len(self.moves)} queues, and not {enough}")
            await asyncio.sleep(1.0)
            self.moves = await catalog.moves.find(plan=plan.id, states=_SWITCHED, limit=BATCH)
            self.runnable.append(runnable())
        with suppress(CommandFailed):  # it has ended by itself
            await asyncio.to_thread(proxy.run, "plan", "stop", plan.id)

    async def _one(self, catalog: Catalog, queue: str) -> None:
        """Move a queue to where it is not; return when it is switched."""
        partitions = list(self._system.nodes)
        self._homes[queue] = (self._homes[queue] + 1) % len(partitions)
        victim = self._system.doors[0].worker_pids[0]
        before = time.monotonic()
        # A worker that is frozen before cannot acknowledge the seal.
        with frozen(victim) if self._frozen else nullcontext():
            id_ = await self._order(catalog, queue, partitions[self._homes[queue]])
            # Without it few pauses would be felt by anybody.
            door = self._system.doors[len(self.moves) % 2].public_address
            probe = Producer(f"probe{len(self.moves)}", "v2", door, self._journal, [queue], random.Random(0), 0.005)
            probing = asyncio.create_task(probe.run())
            if self._frozen:
                await self._until(catalog, id_, switched=False)
        self.moves.append(await self._until(catalog, id_, switched=True))
        self.runnable.append(runnable())
        after = time.monotonic()
        probe.over = True
        await probing
        usual = statistics.median(took.seconds for took in self._journal.posts)
        mine = [t.seconds for t in self._journal.posts if t.queue == queue and before <= t.sent <= after]
        self.felt.append((max(mine, default=usual) - usual) * 1000.0)

    async def _order(self, catalog: Catalog, queue: str, target: str) -> str:
        """Order a move and return its id. Waits until the last one of this queue has ended: else that would go on."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if await catalog.moves.under_way(QueueKey(PROJECT, queue)) is not None:
                await asyncio.sleep(0.1)
                continue
            reply = await self._admin.ask("POST", "/v1/moves", {"project": PROJECT, "queue": queue, "to": target})
            if reply is None or reply.status != 201:
                raise RuntimeError(f"the move of {queue} to {target} is not taken: {reply}")
            (ordered,) = reply.document["moves"]
            found: str = ordered["id"]
            return found
        raise RuntimeError(f"the last move of {queue} has not ended after {PATIENCE:g} s")

    async def _until(self, catalog: Catalog, id_: str, *, switched: bool) -> Move:
        """Return the move when its queue is switched, or when its seal was aborted for the first time."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            move = await catalog.moves.get(id_)
            if move is None:
                raise RuntimeError(f"move {id_} is gone")
            sealed = [n for n, entry in enumerate(move.log) if entry.state is MoveState.SEALING]
            if switched and move.state in _SWITCHED:
                return move
            if not switched and sealed and len(move.log) > sealed[0] + 1:
                # What the records say is when they were written: next to the seal and to its end.
                self.aborted.append((move.log[sealed[0] + 1].at - (move.measured.sealed_at or 0.0)) * 1000.0)
                return move
            await asyncio.sleep(0.02)
        raise RuntimeError(f"move {id_} of {move.queue} is {move.state} after {PATIENCE:g} s: {move.measured}")

    def faults(self) -> list[str]:
        """Return what is broken."""
        broken = [violation for history in self._journal.histories.values() for violation in judge(history)]
        # A move whose worker stands still is switched when that is gone: what it costs is what its first seal did.
        pauses = [] if self._frozen else [move.pause_ms for move in self.moves if move.pause_ms is not None]
        return faults(pauses, self.aborted, self._journal.troubles, broken)

    def figures(self) -> dict[str, object]:
        shown: dict[str, object] = {"moves": len(self.moves), "posts": len(self._journal.posts)}
        shown["usual post (ms)"] = round(statistics.median(t.seconds for t in self._journal.posts) * 1000.0, 1)
        shown["paused (ms)"] = summary([move.pause_ms for move in self.moves if move.pause_ms is not None])
        if self.felt:
            shown["felt (ms)"] = summary(self.felt)
        for name in PARTS:
            shown[f"  {name} (ms)"] = summary([part for move in self.moves if (part := measured(move, name))])
        if self.aborted:
            shown["held before an abort (ms)"] = summary(self.aborted)
        shown["seals"] = sum(move.attempt for move in self.moves)
        shown["runnable processes"] = round(statistics.median(self.runnable), 1)
        shown["processors"] = os.cpu_count()
        refused = Counter(trouble.status for trouble in self._journal.troubles)
        shown["errors that clients saw"] = dict(refused) or "none"
        return shown


def faults(
    pauses: Sequence[float], aborted: Sequence[float], troubles: Sequence[Trouble], broken: Sequence[Violation]
) -> list[str]:
    """Return what is broken. ``pauses``, and what was ``aborted`` had held writes for: in milliseconds."""
    found = [str(violation) for violation in broken]
    found += [f"an answer that was not due: {trouble}" for trouble in troubles]
    if pauses and (late := summary(pauses)["p99"]) > PAUSE:
        found.append(f"the 99th percentile of pauses is {late:g} ms, more than {PAUSE:g}")
    if aborted and max(aborted) > HELD:
        found.append(f"a seal held writes for {max(aborted):.0f} ms before it was aborted, more than {HELD:g}")
    return found


def measured(move: Move, name: str) -> float | None:
    """Return a measure of the switch."""
    for entry in move.log:
        measures = dict(entry.measures)
        if "pause_ms" in measures and name in measures:
            return float(measures[name])
    return None


async def stock(uri: str, partitions: Sequence[str], finished: int) -> None:
    """Prepare the catalog at ``uri``, with so many records of moves that have finished."""
    catalog = await open_catalog(uri)
    try:
        await catalog.init()
        token = await catalog.backups.begin_load(replace=False)
        for start in range(0, finished, BATCH):
            await catalog.backups.load(
                token, [ended_move(n, *partitions) for n in range(start, min(start + BATCH, finished))]
            )
        await catalog.backups.end_load(token)
    finally:
        await catalog.close()


def ended_move(number: int, source: str, target: str) -> Move:
    log = tuple(LogEntry(float(n), state, "it went on") for n, state in enumerate((MoveState.PLANNED, MoveState.DONE)))
    certificate = {"move": f"ended-{number}", "pause_ms": 50.0}
    return Move(
        f"ended-{number}",
        PROJECT,
        f"ended-{number}",
        source,
        target,
        state=MoveState.DONE,
        log=log,
        pause_ms=50.0,
        certificate=certificate,
        incarnation=BORN,
        destination=target,
    )


@contextmanager
def crowd(uri: str, members: int) -> Iterator[None]:
    """Let so many members be there."""
    if not members:
        yield
        return
    process = multiprocessing.get_context("spawn").Process(target=attend, args=(uri, members, QUIET["directory.lease"]))
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Let a process stand still until the block ends."""
    suspend(pid)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def runnable() -> int:
    """Return how many processes run or would like to, besides this one (Linux, proc(5))."""
    return int(Path("/proc/loadavg").read_text().split()[3].partition("/")[0]) - 1


def summary(values: Sequence[float]) -> dict[str, float]:
    """Return median, 99th percentile and maximum."""
    ordered = sorted(values)
    return {
        "p50": round(statistics.median(ordered), 1),
        "p99": round(ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))], 1),
        "max": round(ordered[-1], 1),
    }


def measure(mongods: ReplicaSet, arguments: argparse.Namespace, scale: Scale) -> tuple[dict[str, object], list[str]]:
    """Return the figures of one run, and what is broken."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        on_mongodb = arguments.catalog == "mongodb"
        database = f"catalog_{secrets.token_hex(6)}"
        catalog = with_database(mongods.uri(), database) if on_mongodb else f"sqlite:///{directory / 'catalog.db'}"
        asyncio.run(stock(catalog, ("sqlite", "mongodb"), scale.finished))
        with running(mongods, None, directory, {**OPTIONS, **QUIET}, catalog) as system, crowd(catalog, scale.members):
            # All begin on the first one.
            system.doors[0].run("tenant", "set", PROJECT, "--pin", next(iter(system.nodes)))
            bench = Bench(system, arguments.moves, arguments.pace, frozen=arguments.frozen, planned=scale.planned)
            asyncio.run(bench.run())
    return bench.figures(), bench.faults()


def show(figures: dict[str, object], broken: list[str]) -> None:
    for name, figure in figures.items():
        told = "  ".join(f"{part} {n}" for part, n in figure.items()) if isinstance(figure, dict) else figure
        print(f"{name:>26}  {told}")
    print("\n".join(f"BROKEN: {fault}" for fault in broken) or "nothing is broken", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moves", type=int, default=200)
    parser.add_argument("--pace", type=float, default=0.2, help="seconds between two posts of one of 8 producers")
    parser.add_argument("--catalog", choices=["mongodb", "sqlite"], default="mongodb")
    parser.add_argument("--frozen", action="store_true", help="freeze a worker before each move")
    parser.add_argument("--planned", type=int, default=0, metavar="N")
    parser.add_argument("--finished", type=int, default=0, metavar="N")
    parser.add_argument("--members", type=int, default=0, metavar="N")
    parser.add_argument("--all", action="store_true", help="all scales, one after the other")
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
                print(", ".join(f"{n} {name}" for name, n in scale._asdict().items() if n) or "nothing besides")
                show(figures, broken)
    return 1 if all_broken else 0


if __name__ == "__main__":
    sys.exit(main())
