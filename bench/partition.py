"""How fast our node is, next to a real Zaqar 16 with the same load and as many workers on the same cores.

One run starts our node on SQLite, our node on MongoDB, and Zaqar 16 on the same MongoDB (gunicorn with threads, no
Keystone, writes acknowledged by a majority). The loads, through API v2 (``bench.messaging`` has the details):

    post          one message of 1 KiB per request
    list          10 messages per page, walking a queue of 1000
    claim+delete  claim one message and delete it, counted as one, from a queue that is kept stocked

Servers run on the second core and the following ones, with a core for each worker if there are enough. The load runs on
the first core, and so does mongod, to the advantage of the servers that use it. All files are on one disk, so that a
sync costs the same. A wrong answer ends the run, and is shown in place of all rates.

Machines are noisy. The servers alternate within each round. Rates and latencies are medians over the rounds, and a
ratio is the median of the ratios of each round, from two rates that were measured seconds apart. Only ratios can be
compared between runs. ``ceiling`` is the rate of the load generator against a stub that does nothing: a rate near it is
the generator's. ``cpu_us`` is the processor time of the server for each event, in µs, without that of mongod; it varies
less than rates.

--stocked N compares two stores instead: a new one, and one with N messages in 30 queues of 10 projects, of which three
are in use. A ratio near 1 means that a full store is as fast as an empty one.

--tree DIRECTORY compares two versions of our node instead: the one in this checkout, and the one in DIRECTORY, such as
``git worktree add DIRECTORY main`` makes. The ratio is that of this checkout to the other.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from bench import messaging
from bench.front_door import free_port, processor_time, running
from partition.model.message import NewMessage
from partition.model.queue import QueueKey
from partition.storage.opening import GROUP, open_storage
from tests.servers.mongod import ReplicaSet, mongod_replica_set
from tests.servers.partition import start_partition
from tests.servers.zaqar import zaqar

EXAMPLES = """
examples:
  python -m bench.partition                                    all servers and loads, one worker, 3 rounds of 4 seconds
  python -m bench.partition --workers 2 --seconds 10 --rounds 5 -f json
  python -m bench.partition --only sqlite --load lists         only lists, on our node on SQLite
  python -m bench.partition --stocked 1000000 --only sqlite    an empty store and a full one
  python -m bench.partition --tree /tmp/main --only sqlite     this checkout and another one
"""

LOAD_CORE = 0
STORAGES = ("sqlite", "mongodb")
CONTESTANTS = (*STORAGES, "zaqar")
ROWS = {"posts": "post", "lists": "list", "claims": "claim+delete"}
# Threads of each worker of Zaqar: with 4 it lists a third fewer pages.
ZAQAR_THREADS = 16
# Projects of a stocked store. Each has a queue for each load, so that those in use are as deep as the others.
PROJECTS = 10
# Messages in one call of a storage; and concurrent calls, which a store may coalesce into one transaction.
FILL_BATCH, FILL_CALLERS = 200, 8

Figures = dict[str, float]


class LoadFailed(Exception):
    """A server's answer was not the expected one. The message ends with the output of the load generator."""


@dataclass(frozen=True)
class Contestant:
    """A running server, by its process. ``versus``: the others are compared with this one."""

    name: str
    url: str
    pid: int
    versus: bool = False


@contextlib.contextmanager
def pinned(cores: set[int]) -> Iterator[None]:
    """Keep this thread, and every process that it starts, on ``cores`` until the block ends."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Stage:
    """Starts servers on ``cores``, with their files below ``directory``."""

    def __init__(self, stack: contextlib.ExitStack, directory: Path, cores: set[int], workers: int) -> None:
        self._stack = stack
        self._directory = directory
        self._cores = cores
        self._workers = workers
        self._mongod: ReplicaSet | None = None

    def storage(self, scheme: str, name: str) -> str:
        """Return the URI of a new store."""
        if scheme == "sqlite":
            return f"sqlite:///{self._directory / name}.db"
        return self.mongod().uri(f"bench_{name}")

    def mongod(self) -> ReplicaSet:
        """Return the one MongoDB of this run; the first call starts it."""
        if self._mongod is None:
            replica_set = mongod_replica_set(directory=str(self._directory))
            self._mongod = self._stack.enter_context(replica_set)
        return self._mongod

    def node(self, name: str, storage: str, *, versus: bool = False, tree: str | None = None) -> Contestant:
        """Start our node on a store, from the checkout ``tree``; without one, from this checkout."""
        home = self._directory / name
        home.mkdir()
        # ``python -m`` imports from its working directory first.
        launcher = ("env", "-C", tree, sys.executable) if tree else (sys.executable,)
        with pinned(self._cores):
            node = start_partition(storage, home, workers=self._workers, launcher=launcher)
        self._stack.callback(node.process.stop)
        return Contestant(name, node.url, node.process.pid, versus)

    def zaqar(self) -> Contestant:
        """Start Zaqar 16 on the MongoDB of this run."""
        mongodb = self.mongod().uri()
        with pinned(self._cores):
            server = self._stack.enter_context(zaqar("16", mongodb, workers=self._workers, threads=ZAQAR_THREADS))
        return Contestant("zaqar", server.url, server.process.pid, versus=True)


def missing(wanted: tuple[str, ...]) -> list[str]:
    """Return the storages whose driver is not installed."""
    installed = entry_points(group=GROUP).names
    return [scheme for scheme in STORAGES if scheme in wanted and scheme not in installed]


def side_by_side(stage: Stage, wanted: tuple[str, ...]) -> list[Contestant]:
    """Start our node on every storage whose driver is installed, and Zaqar."""
    schemes = [scheme for scheme in STORAGES if scheme in wanted and scheme not in missing(wanted)]
    contestants = [stage.node(scheme, stage.storage(scheme, scheme)) for scheme in schemes]
    if "zaqar" in wanted:
        contestants.append(stage.zaqar())
    return contestants


def empty_and_full(stage: Stage, scheme: str, messages: int) -> list[Contestant]:
    """Start our node twice: on a new store, and on one with so many messages."""
    full = stage.storage(scheme, "full")
    begin = time.monotonic()
    asyncio.run(fill(full, messages))
    print(f"{scheme}: stocked {messages} messages in {time.monotonic() - begin:.0f} s", file=sys.stderr)
    return [stage.node("full", full), stage.node("empty", stage.storage(scheme, "empty"), versus=True)]


def two_trees(stage: Stage, scheme: str, tree: str) -> list[Contestant]:
    """Start our node twice: from this checkout, and from ``tree``."""
    other = stage.node("other", stage.storage(scheme, "other"), versus=True, tree=tree)
    return [stage.node("this", stage.storage(scheme, "this")), other]


async def fill(uri: str, messages: int) -> None:
    """Post ``messages`` of the usual size, in equal parts, to every queue of every project, without HTTP."""
    storage = await open_storage(uri)
    projects = [messaging.PROJECT, *(f"{messaging.PROJECT}-{n}" for n in range(1, PROJECTS))]
    keys = [QueueKey(project, queue) for project in projects for queue in messaging.LOADS]
    for key in keys:
        await storage.create_queue(key, {})
    batch = [NewMessage(86400, json.dumps(messaging.BODY))] * FILL_BATCH
    # Batches alternate between the queues, so that the messages of a queue are not contiguous on disk.
    batches = iter([keys[n % len(keys)] for n in range(-(-messages // FILL_BATCH))])

    async def some() -> None:
        for key in batches:
            await storage.post(key, batch, b"another client")

    await asyncio.gather(*(some() for _ in range(FILL_CALLERS)))
    await storage.close()


def load(name: str, url: str, arguments: argparse.Namespace) -> Figures:
    """Run one load on one server. Raises LoadFailed if any answer was wrong."""
    sizes = ("--connections", str(arguments.connections), "--seconds", str(arguments.seconds))
    done = subprocess.run(
        [sys.executable, "-m", "bench.messaging", name, url, *sizes], check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise LoadFailed(f"{name} on {url} failed, so nothing is compared:\n{done.stderr}")
    found: Figures = json.loads(done.stdout)
    return found


def measured(name: str, contestant: Contestant, arguments: argparse.Namespace) -> Figures:
    """``load``, with the server's processor time for each event in µs as ``cpu``; the store's own is not in it."""
    before = processor_time(contestant.pid)
    found = load(name, contestant.url, arguments)
    used = processor_time(contestant.pid) - before
    return {**found, "cpu": used * 1e6 / (found["rate"] * arguments.seconds)}


def ceilings(arguments: argparse.Namespace, directory: Path, core: int) -> Figures:
    """Return the rate of each load against a stub on a core of the servers."""
    message = {"href": "/v2/queues/q/messages/1", "ttl": 1, "age": 0, "body": messaging.BODY}
    link = {"rel": "next", "href": "/v2/queues/q/messages?marker=1"}
    answer = json.dumps({"messages": [message] * messaging.PAGE, "links": [link]})
    port = free_port()
    stub = [sys.executable, "-m", "bench.stub", "--port", str(port), "--answer", answer]
    with running(stub, core, port, directory / "stub.out"):
        return {name: load(name, f"http://127.0.0.1:{port}", arguments)["rate"] for name in arguments.load}


def measure(
    arguments: argparse.Namespace, directory: Path, start: Callable[[Stage], list[Contestant]]
) -> list[dict[str, object]]:
    """Run the bench; return a line for each load and server."""
    last = os.cpu_count() or 1
    cores = set(range(LOAD_CORE + 1, min(LOAD_CORE + 1 + arguments.workers, last)))
    with pinned({LOAD_CORE}), contextlib.ExitStack() as stack:
        ceiling = ceilings(arguments, directory, min(cores))
        contestants = start(Stage(stack, directory, cores, arguments.workers))
        lines = []
        for name in arguments.load:
            runs: dict[str, list[Figures]] = {contestant.name: [] for contestant in contestants}
            for turn in range(arguments.rounds):
                # The last server of one round is the first of the next.
                for contestant in contestants if turn % 2 == 0 else reversed(contestants):
                    print(f"round {turn + 1} of {arguments.rounds}: {name} on {contestant.name}", file=sys.stderr)
                    runs[contestant.name].append(measured(name, contestant, arguments))
            lines += [summarise(name, contestant, contestants, runs, ceiling) for contestant in contestants]
        return lines


def summarise(
    name: str,
    contestant: Contestant,
    contestants: list[Contestant],
    runs: dict[str, list[Figures]],
    ceiling: Figures,
) -> dict[str, object]:
    """Return the medians over rounds. ``ratio``: to the server with ``versus``, None without one."""
    own = runs[contestant.name]
    versus = next((runs[other.name] for other in contestants if other.versus), None)
    ratios = [mine["rate"] / its["rate"] for mine, its in zip(own, versus, strict=True)] if versus else []
    return {
        "load": ROWS[name],
        "server": contestant.name,
        "per_second": round(statistics.median(run["rate"] for run in own)),
        "ratio": round(statistics.median(ratios), 2) if ratios else None,
        "cpu_us": round(statistics.median(run["cpu"] for run in own)),
        "p50_ms": round(statistics.median(run["p50"] for run in own), 2),
        "p99_ms": round(statistics.median(run["p99"] for run in own), 2),
        "slowest": round(min(run["rate"] for run in own)),
        "fastest": round(max(run["rate"] for run in own)),
        "empty_claims": round(sum(run.get("empty", 0) for run in own)),
        "ceiling": round(ceiling[name]),
    }


def table(lines: list[dict[str, object]]) -> str:
    columns = list(lines[0])
    return "\n".join(
        "  ".join(f"{cell!s:>12}" for cell in row) for row in (columns, *(line.values() for line in lines))
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=1, help="worker processes of each server (1)")
    parser.add_argument("--connections", type=int, default=32, help="connections of the load (32)")
    parser.add_argument("--seconds", type=float, default=4.0, help="seconds of one measurement (4)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each load on each server (3)")
    parser.add_argument("--only", action="append", choices=CONTESTANTS, help="may be repeated; all, if not given")
    parser.add_argument("--load", action="append", choices=list(ROWS), help="may be repeated; all, if not given")
    parser.add_argument("--stocked", type=int, metavar="N", help="compare a store with N messages and an empty one")
    parser.add_argument("--tree", metavar="DIRECTORY", help="compare the node of this checkout and of another one")
    parser.add_argument(
        "--directory", help="directory of the files, on a disk like that of production (a temporary one)"
    )
    parser.add_argument("-f", "--format", choices=["table", "json"], default="table")
    arguments = parser.parse_args()
    if (os.cpu_count() or 1) < 2:
        parser.error("two cores are needed: one for the servers, one for the load")
    arguments.load = arguments.load or list(ROWS)
    wanted = tuple(arguments.only or CONTESTANTS)
    schemes = [scheme for scheme in STORAGES if scheme in wanted]
    if arguments.stocked and arguments.tree:
        parser.error("--stocked and --tree exclude each other")
    if (arguments.stocked or arguments.tree) and (len(schemes) != 1 or missing(wanted)):
        parser.error("--stocked and --tree need one storage that is installed: --only sqlite or --only mongodb")

    def start(stage: Stage) -> list[Contestant]:
        if arguments.stocked:
            return empty_and_full(stage, schemes[0], arguments.stocked)
        if arguments.tree:
            return two_trees(stage, schemes[0], arguments.tree)
        return side_by_side(stage, wanted)

    with tempfile.TemporaryDirectory(prefix="bench-", dir=arguments.directory) as directory:
        try:
            lines = measure(arguments, Path(directory), start)
        except LoadFailed as failure:
            print(failure, file=sys.stderr)
            return 1
    for scheme in missing(wanted):
        line = f"no storage driver is installed for {scheme}: our node on it was not measured"
        print(line, file=sys.stderr if arguments.format == "json" else sys.stdout)
    print(json.dumps(lines, indent=2) if arguments.format == "json" else table(lines))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
