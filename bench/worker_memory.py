"""The memory of a front-door worker, by the number of placements in its cache. Prints megabytes.

The process is a worker in all but its listener. The figure is its resident set after it has looked up as many
placements as it is to cache.

    python -m bench.worker_memory URI PLACEMENTS      for bench.catalog, which has filled the catalog
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import resource
import subprocess
import sys
from pathlib import Path

# A worker has these too.
import marconi_proxy.serving.server  # noqa: F401
import serving.worker  # noqa: F401
from catalog.model import QueueKey
from marconi_proxy import options
from marconi_proxy.front_door.application import make_application

# Lookups of the worker at a time.
AT_ONCE = 10


def measured(uri: str, placements: int) -> float:
    """Return the megabytes of a worker, in a process of its own, with so many placements of a catalog."""
    command = [sys.executable, "-m", "bench.worker_memory", uri, str(placements)]
    return round(float(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout), 1)


async def occupied(uri: str, placements: int) -> float:
    """Return the megabytes of this process as a worker that has looked up so many placements. Raises RuntimeError if
    its cache has fewer."""
    door = make_application(options.load(overrides={"catalog.uri": uri, "directory.cache_size": max(1, placements)}))
    await door.worker.start()
    after: QueueKey | None = None
    asked = 0
    while asked < placements:
        page = await door.worker.catalog.placements.find(after=after, limit=min(placements - asked, AT_ONCE))
        if not page:
            break
        await asyncio.gather(*(door.worker.directory.find(one.key) for one in page))
        after, asked = page[-1].key, asked + len(page)
    kept = len(door.worker.directory._placements)
    if kept < asked:
        raise RuntimeError(f"the cache has {kept} of {asked} placements: the figure would be too good")
    gc.collect()
    megabytes = resident()
    await door.worker.stop()
    print(f"a worker with {kept} placements: {megabytes:.1f} MB", file=sys.stderr)
    return megabytes


def resident() -> float:
    """Return the megabytes of this process's resident set (Linux, proc(5))."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("uri", help="of the catalog")
    parser.add_argument("placements", type=int, help="that the worker caches")
    arguments = parser.parse_args()
    print(asyncio.run(occupied(arguments.uri, arguments.placements)))
