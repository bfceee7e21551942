"""The cost of moves: for a queue with history, and for queues without any, because they could be moved.

One run starts a stub host that answers 550 bytes of JSON and two front doors with one worker each, pinned as in
``bench.front_door``: the real one, and ``bench.plain``, which has neither chains nor fences. The queues alternate, so
that a noisy machine disturbs all; medians are printed. ``us`` is the processor time of a call in the front door.
``cost`` and ``rate`` are that time and the calls per second, divided by those of ``plain`` in the same round.

    plain      the queue of the next row, through the front door without moves
    never      one segment, as it was created: forwarded unchanged
    once       one segment, with a tag on all of its ids
    draining   an empty sealed segment and an open one: a list reads both

    python -m bench.chains
    python -m bench.chains --seconds 10 -f json
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.front_door import (
    ANSWER,
    HEADERS,
    STUB_CONF,
    free_port,
    nginx,
    processor_time,
    python_load,
    register,
    running,
    wrk_load,
)
from catalog import open_catalog
from catalog.model import Placement, PlacementState, Segment

CHAINS = {
    "never": (Segment(0, "stub", "never"),),
    "once": (Segment(1, "stub", "once"),),
    "draining": (Segment(0, "stub", "draining", sealed=True), Segment(1, "stub", "draining.1")),
}


async def place(uri: str) -> None:
    """Insert the placements of the queues."""
    catalog = await open_catalog(uri)
    for name, segments in CHAINS.items():
        placement = Placement(HEADERS["X-Project-Id"], name, 1, PlacementState.OPEN, segments, incarnation=name)
        await catalog.placements.insert(placement)
    await catalog.close()


def measure(arguments: argparse.Namespace, directory: Path) -> list[dict[str, object]]:
    """Run the bench; return a row for each method and queue."""
    load_core, proxy_core = 0, 1
    load = wrk_load if shutil.which("wrk") else python_load
    stub_port = free_port()
    uri = f"sqlite:///{directory}/catalog.sqlite"
    stub = (
        nginx(directory, "stub", STUB_CONF.format(dir=directory, port=stub_port, answer=ANSWER))
        if shutil.which("nginx")
        else [sys.executable, "-m", "bench.stub", "--port", str(stub_port), "--answer", ANSWER]
    )
    commands = {
        "real": [str(Path(sys.executable).with_name("marconi-proxy"))],
        "plain": [sys.executable, "-m", "bench.plain"],
    }
    rows: list[dict[str, object]] = []
    with ExitStack() as stack:
        stack.enter_context(running(stub, load_core, stub_port, directory / "stub.out"))
        asyncio.run(register(uri, f"http://127.0.0.1:{stub_port}"))
        asyncio.run(place(uri))
        doors = {}
        for door, command in commands.items():
            port = free_port()
            serve = ["serve", "public", "--catalog", uri, "--bind", f"127.0.0.1:{port}", "--workers", "1"]
            pid = stack.enter_context(running([*command, *serve], proxy_core, port, directory / f"{door}.out"))
            doors[door] = port, pid
        measured = {"plain": ("plain", "never"), **{name: ("real", name) for name in CHAINS}}
        for method in ("GET", "POST"):
            runs: dict[str, list[tuple[float, float]]] = {name: [] for name in measured}
            for _ in range(arguments.rounds):
                for name, (door, queue) in measured.items():
                    port, pid = doors[door]
                    path = f"/v2/queues/{queue}/messages"
                    before = processor_time(pid)
                    found = load(port, method, arguments.connections, arguments.seconds, load_core, directory, path)
                    used = processor_time(pid) - before
                    runs[name].append((found["rate"], used / (found["rate"] * arguments.seconds) * 1e6))
            for name, of_one in runs.items():
                rps, us = medians(of_one)
                # In relation to the same round, because the machine's other load is about the same then.
                pairs = zip(of_one, runs["plain"], strict=True)
                rate, cost = medians([(ours[0] / plain[0], ours[1] / plain[1]) for ours, plain in pairs])
                row = {"request": f"{method} x {arguments.connections}", "queue": name, "rps": round(rps)}
                rows.append(row | {"us": round(us, 1), "cost": round(cost, 3), "rate": round(rate, 3)})
    return rows


def medians(runs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the medians of the two figures."""
    rates, times = zip(*runs, strict=True)
    return statistics.median(rates), statistics.median(times)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=int, default=4, help="of one measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("-f", "--format", choices=["table", "json"], default="table")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        Path(directory).chmod(0o755)
        rows = measure(arguments, Path(directory))
    if arguments.format == "json":
        print(json.dumps(rows, indent=2))
        return 0
    columns = list(rows[0])
    print("  ".join(f"{column:>10}" for column in columns))
    for row in rows:
        print("  ".join(f"{row[column]!s:>10}" for column in columns))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
