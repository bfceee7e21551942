"""How many instructions of the processor a forwarded call costs in user mode, by callgrind.

The call goes through a worker without sockets (``bench.forwarding``), so the figures leave out the event loop and the
kernel; they are the same on every machine, but for the build of Python. Each is the difference of two runs.

    python -m bench.instructions          GET and POST 1 KiB, with the compiled recogniser and without

Needs valgrind (a Debian package). Takes some minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from bench.forwarding import CREATED, GET, PAGE, POST, path
from serving import head_recogniser

CALLS = {"GET": (GET, PAGE), "POST": (POST, CREATED)}
FEW, MANY = 200, 1200


async def make_calls(name: str, count: int) -> None:
    request, answer = CALLS[name]
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        async with path(Path(directory)) as forwarding:
            for _ in range(count):
                forwarding.call(request, answer)


def instructions(name: str, count: int, *, pure: bool) -> int:
    """Return the instructions of a process that makes ``count`` calls."""
    child = [sys.executable, "-m", "bench.instructions", "--calls", name, str(count)]
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *child],
        env={**os.environ, "PYTHONHASHSEED": "0", **({"MARCONI_PURE": "1"} if pure else {})},
        check=True,
        stderr=subprocess.PIPE,
        text=True,
    )
    found = re.search(r"Collected : (\d+)", done.stderr)
    assert found is not None, done.stderr
    return int(found[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", nargs=2, metavar=("NAME", "COUNT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.calls:
        asyncio.run(make_calls(arguments.calls[0], int(arguments.calls[1])))
        return 0
    if shutil.which("valgrind") is None:
        parser.error("valgrind is needed (Debian package valgrind)")
    kinds = [False, True] if head_recogniser.COMPILED else [True]
    with ThreadPoolExecutor(2) as pool:
        for pure in kinds:
            for name in CALLS:
                few, many = pool.map(partial(instructions, name, pure=pure), (FEW, MANY))
                recogniser = "pure" if pure else "compiled"
                print(f"{name:5} {recogniser:9} {(many - few) / (MANY - FEW):9,.0f} instructions per call")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
