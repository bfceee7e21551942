"""Whether a large catalog survives a backup into the other driver and back unchanged, how fast, and in how much memory.

One run fills a catalog with a million placements (``bench.catalog_contents``). One in 200 is being moved, and has a
chain of two segments and its move; one in 200 was moved, and has the record of its move; one in 200 is reserved for a
dead-letter queue. There are also partitions, decisions for tenants, and a plan. (Metadata is not in a catalog.) Then
the run calls the commands as operators do:

    export            catalog export of the first catalog to a file
    import            catalog import of it into the other driver, which is empty
    export            catalog export of that to a second file
    import --replace  catalog import of the second file over the first catalog: emptied, and filled again
    export            catalog export of it to a third file

The contents and the lines of the first file are compared as sets, by the sum of their hashes. The files are compared
byte for byte, except for members that cannot be equal: ``time`` in the first line; ``sha256`` in the last, which covers
the time (the import checks it); and ``epoch`` and ``floor`` of placements, which an import raises.

The table has for each command its seconds, documents per second, the largest resident set of its process by the
kernel's count, its lines of progress (one every 5 seconds without a terminal), and its longest silence in seconds.

The exit status is 1 if anything differs, if a command fails, if one that takes 30 seconds or more shows no progress, or
if one needs more than 128 MB: the memory must not depend on the number of placements.

    python -m bench.backup                                a million placements, from SQLite to MongoDB and back
    python -m bench.backup --from mongodb
    python -m bench.backup --placements 20000 -f json
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b
from itertools import chain, pairwise, zip_longest
from pathlib import Path
from typing import Any

from bench.catalog_contents import BIG_TENANT, PARTITIONS, Contents, Filler, MongoDBFiller, SQLiteFiller, opened
from catalog.backup.lines import value_line
from catalog.factory import open_catalog
from catalog.interface import Catalog
from catalog.model import (
    BackupValue,
    LogEntry,
    Move,
    MovePlan,
    MoveState,
    Placement,
    PlacementState,
    PlannedMove,
    PlanState,
    Segment,
    Tenant,
    WholePlan,
)
from tests.servers.mongod import mongod_replica_set, with_database

KINDS = ("sqlite", "mongodb")
PLACEMENTS = 1_000_000
LEAST = 1000
# Of so many placements, one is being moved, one was moved, and one is reserved.
RARE = 200
# Moves in the plan.
PLANNED = 100
# The limits: megabytes of a command, and seconds until its first line of progress.
MEMORY, PATIENCE = 128.0, 30.0
_NOW = 1700000000.0
_UNTIL_64_BITS = 2**64 - 1
# Runs a command and prints the kilobytes of its largest resident set. The script is small, because the kernel also
# counts the memory that the process had before it became the command.
_METER = """
import os, resource, sys
status = os.spawnvp(os.P_WAIT, sys.argv[1], sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status if status >= 0 else 1)
"""


# -- contents --------------------------------------------------------------------------------------------------------


def lived(one: Placement, number: int) -> tuple[Placement, Move | None]:
    """Return the placement as after some use, and its move if it has one. ``number``: its own in the catalog."""
    rest, (first,), incarnation = number % RARE, one.segments, f"{number:016x}"
    one = replace(one, incarnation=incarnation)
    if rest == 2:
        return replace(one, state=PlacementState.RESERVED, group=f"{one.queue}-source"), None
    if rest > 1:
        return one, None
    target = f"p{(int(first.partition[1:]) + 1) % PARTITIONS}"
    state, id_ = (MoveState.DRAINING if rest == 0 else MoveState.DONE), f"m-{incarnation}"
    entries = tuple(LogEntry(_NOW + n, s, "bench", (("attempt", 1),)) for n, s in enumerate((MoveState.ARMED, state)))
    move = Move(id_, one.project, one.queue, first.partition, target, state, 3, 1, _NOW, entries, 250, 31.5)
    last = Segment(1, target, one.queue)
    if rest == 1:
        return replace(one, epoch=4, segments=(last,)), replace(
            move, incarnation=incarnation, certificate={"posts": number}
        )
    sealed = replace(first, sealed=True)
    return replace(one, epoch=3, segments=(sealed, last), move=id_), replace(move, incarnation=incarnation, tail=0)


@dataclass
class Filled:
    """The record of a catalog's contents: ``counts`` of each kind, and the ``sum`` of the hashes of their lines."""

    counts: dict[str, int] = field(default_factory=dict)
    sum: int = 0
    moves: list[Move] = field(default_factory=list)

    def add(self, kind: str, value: BackupValue) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.sum = added(self.sum, value_line(value))

    def placements(self, number: int) -> Iterator[Placement]:
        for n, one in enumerate(Contents().grow(number)):
            placement, move = lived(one, n)
            if move is not None:
                self.moves.append(move)
            self.add("placement", placement)
            yield placement


def added(total: int, line: bytes) -> int:
    """Return the sum of hashes with that of a line added. The sum does not depend on the order of lines."""
    return (total + int.from_bytes(blake2b(line, digest_size=8).digest())) & _UNTIL_64_BITS


async def fill(uri: str, filler: Filler, number: int) -> Filled:
    """Initialise a catalog and fill it; return the record of its contents."""
    filled = Filled()
    catalog = await opened(uri)
    try:
        await asyncio.to_thread(filler.fill, filled.placements(number))
        for partition in await catalog.partitions.all():
            filled.add("partition", partition)
        await _fill_others(catalog, filled)
    finally:
        await catalog.close()
    return filled


async def _fill_others(catalog: Catalog, filled: Filled) -> None:
    for tenant in (Tenant(BIG_TENANT, spread=PARTITIONS), Tenant("tenant-000001", pinned="p1")):
        await catalog.tenants.put(tenant)
        filled.add("tenant", tenant)
    for move in filled.moves:
        await catalog.moves.insert(move)
        filled.add("move", move)
    planned = tuple(
        PlannedMove(m.project, m.queue, m.source, m.target, "bench", number, m.incarnation)
        for number, m in enumerate(filled.moves[:PLANNED])
    )
    plan = MovePlan("bench", "some of them", created=_NOW, state=PlanState.RUNNING, budgets={"at_once": 2})
    whole = WholePlan(plan, planned)
    await catalog.plans.insert(whole)
    filled.add("plan", whole.plan)
    for one in whole.moves:
        filled.add("planned_move", one)


# -- commands --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Run:
    """The figures of one command. ``memory``: its largest resident set in megabytes; ``progress``: its lines of it;
    ``silence``: the longest time between two lines, in seconds."""

    command: str
    catalog: str
    documents: int
    seconds: float
    memory: float
    progress: int
    silence: float

    @property
    def rate(self) -> float:
        return self.documents / self.seconds

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "rate": round(self.rate)}


class CommandFailed(Exception):
    """A command did not end with status 0. The message has its output."""


def run(command: str, uri: str, documents: int, *arguments: str) -> Run:
    """Run ``marconi-proxy catalog COMMAND`` on a catalog. Raises CommandFailed."""
    program = [sys.executable, "-m", "marconi_proxy", "catalog", *command.split(), "--catalog", uri, *arguments]
    lines: list[tuple[float, str]] = []
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-c", _METER, *program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stderr:
            lines.append((time.monotonic() - began, line))
        kilobytes = process.stdout.read()
    seconds = time.monotonic() - began
    output = "".join(line for _, line in lines)
    if process.returncode:
        raise CommandFailed(f"catalog {command} ended with status {process.returncode}: {output}")
    times = [0.0, *(at for at, _ in lines), seconds]
    silence = max(after - before for before, after in pairwise(times))
    progress = sum(line.startswith(("exporting: ", "checking: ", "importing: ")) for _, line in lines)
    kind, memory = uri.partition(":")[0], int(kilobytes) * 1024 / 1e6
    done = Run(command, kind, documents, round(seconds, 2), round(memory, 1), progress, round(silence, 2))
    print(row(done), file=sys.stderr)
    return done


def round_trip(first: str, second: str, directory: Path, documents: int) -> tuple[list[Run], list[Path]]:
    """Export the first catalog, take it into the second and back; return the runs and the three backups."""
    files = [directory / f"{n}.jsonl" for n in range(3)]
    runs = [
        run("export", first, documents, "-o", str(files[0])),
        run("import", second, documents, str(files[0])),
        run("export", second, documents, "-o", str(files[1])),
        run("import --replace", first, documents, str(files[1])),
        run("export", first, documents, "-o", str(files[2])),
    ]
    return runs, files


# -- comparison ------------------------------------------------------------------------------------------------------


def comparable(line: bytes, number: int) -> bytes:
    """Return the part of a line that must be equal in every backup of the same contents. An import gives placements
    other epochs and floors."""
    if number == 1:
        return json.dumps(json.loads(line) | {"time": None}).encode()
    if line.startswith(b'{"counts":'):
        return json.dumps(json.loads(line) | {"sha256": None}).encode()
    if not line.startswith(b'{"kind":"placement"'):
        return line
    value = json.loads(line)["value"]
    return json.dumps(value | {"epoch": None, "floor": None}).encode()


def differences(one: Path, other: Path) -> list[str]:
    """Return a text with the first line in which two backups differ, if they do."""
    with one.open("rb") as left, other.open("rb") as right:
        for number, pair in enumerate(zip_longest(left, right), 1):
            if pair[0] == pair[1]:
                continue
            if None in pair or comparable(pair[0], number) != comparable(pair[1], number):
                return [f"{one.name} and {other.name} differ from line {number} on"]
    return []


def missing(filled: Filled, backup: Path) -> list[str]:
    """Return a text for each kind that a backup does not have as it was filled in."""
    total, last = 0, b""
    with backup.open("rb") as lines:
        next(lines)
        for line in lines:
            total, last = added(total, last) if last else total, line
    counts = json.loads(last)["counts"]
    found = [f"{backup.name} has {counts[k]} of {n} {k}s" for k, n in filled.counts.items() if counts[k] != n]
    if not found and total != filled.sum:
        found = [f"{backup.name} has as many lines as were filled in, but not the same"]
    return found


def faults(runs: Sequence[Run]) -> list[str]:
    """Return a text for each limit that a command exceeds."""
    found = [
        f"{run.command} of {run.catalog} needed {run.memory:.0f} MB, more than {MEMORY:g}"
        for run in runs
        if run.memory > MEMORY
    ]
    return found + [
        f"{run.command} of {run.catalog} took {run.seconds:.0f} s and showed no progress"
        for run in runs
        if run.seconds >= PATIENCE and not run.progress
    ]


# -- run -------------------------------------------------------------------------------------------------------------

HEADER = f"{'':18}{'catalog':9}{'seconds':>9}{'per second':>12}{'MB':>8}{'progress':>10}{'silence':>9}"


def row(run: Run) -> str:
    figures = f"{run.seconds:>9.1f}{run.rate:>12,.0f}{run.memory:>8.1f}{run.progress:>10}{run.silence:>9.1f}"
    return f"{run.command:18}{run.catalog:9}{figures}"


async def prepare(uri: str) -> None:
    """Initialise an empty catalog."""
    catalog = await open_catalog(uri)
    await catalog.init()
    await catalog.close()


def measure(uris: tuple[str, str], filler: Filler, placements: int, directory: Path) -> dict[str, Any]:
    """Fill the first catalog, and take it into the second and back; return the figures. Raises CommandFailed."""
    began = time.monotonic()
    filled = asyncio.run(fill(uris[0], filler, placements))
    documents = sum(filled.counts.values())
    print(f"{documents:,} documents, filled in within {time.monotonic() - began:.0f} s\n{HEADER}", file=sys.stderr)
    asyncio.run(prepare(uris[1]))
    runs, files = round_trip(*uris, directory, documents)
    different = [*missing(filled, files[0]), *chain(*(differences(files[0], file) for file in files[1:]))]
    return {
        "documents": filled.counts,
        "bytes": files[0].stat().st_size,
        "commands": [run.to_json() for run in runs],
        "differences": different,
        "faults": [*different, *faults(runs)],
    }


def stores(stack: ExitStack, first: str, directory: str) -> tuple[tuple[str, str], Filler]:
    """Start the stores; return the URIs of both catalogs, and the filler of the first."""
    path = f"{directory}/catalog.db"
    server = stack.enter_context(mongod_replica_set(directory=directory, cache=0.5)).uri()
    sqlite, mongodb = f"sqlite:///{path}", with_database(server, "backup")
    return ((sqlite, mongodb), SQLiteFiller(path)) if first == "sqlite" else ((mongodb, sqlite), MongoDBFiller(mongodb))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--placements", type=int, default=PLACEMENTS, metavar="N", help=f"default: {PLACEMENTS}")
    parser.add_argument(
        "--from", choices=KINDS, default="sqlite", dest="first", help="the driver of the first catalog; default: sqlite"
    )
    parser.add_argument("--directory", metavar="DIR", help="directory of the files; default: that of temporary files")
    parser.add_argument("-f", "--format", choices=["table", "json"], default="table")
    arguments = parser.parse_args()
    if arguments.placements < LEAST:
        parser.error(f"at least {LEAST} placements are needed")
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=arguments.directory))
        uris, filler = stores(stack, arguments.first, directory)
        try:
            figures = measure(uris, filler, arguments.placements, Path(directory))
        except CommandFailed as error:
            print(f"BROKEN: {error}", file=sys.stderr)
            return 1
    whole = {"from": arguments.first, "placements": arguments.placements, "load": os.getloadavg()[0], **figures}
    if arguments.format == "json":
        print(json.dumps(whole, indent=2))
    else:
        names = {f.name for f in Run.__dataclass_fields__.values()}
        print(HEADER)
        for one in whole["commands"]:
            print(row(Run(**{name: value for name, value in one.items() if name in names})))
        print(f"a backup has {whole['bytes'] / 1e6:.1f} MB; load of the machine: {whole['load']:.1f}")
        print("\n".join(f"BROKEN: {fault}" for fault in whole["faults"]) or "identical, and nothing is broken")
    return 1 if whole["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
