"""``python -m tests.simulation.several``: play the schedules of one kind, and show those that break a promise.

``--story``: those with these words in their plot, such as ``trap: a machine``; ``--all-fence``: those in which every
partition fences by itself, so that machines are paused.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import count, islice

from tests.simulation.schedule import Outcome, play
from tests.simulation.stories import plot


def seeds(first: int, words: str, *, all_fence: bool) -> Iterator[int]:
    """Yield the seeds of a kind, from the first on."""
    for seed in count(first):
        about = plot(seed)
        if words in str(about) and (about.all_fence or not all_fence):
            yield seed


def main() -> int:
    """Print what was broken, and how often each thing happened; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--schedules", type=int, default=100)
    parser.add_argument("--story", default="")
    parser.add_argument("--all-fence", action="store_true")
    parser.add_argument("--processes", type=int, default=1)
    given = parser.parse_args()
    chosen = list(islice(seeds(given.first, given.story, all_fence=given.all_fence), given.schedules))
    figures: Counter[str] = Counter()
    broken: list[Outcome] = []
    with ProcessPoolExecutor(given.processes) as pool:
        for outcome in pool.map(play, chosen, chunksize=5):
            figures.update(outcome.figures)
            figures["steps"] += outcome.steps
            if not outcome.fine:
                broken.append(outcome)
                print(plot(outcome.seed), outcome, sep="\n", flush=True)
    print(f"{len(broken)} of {len(chosen)} schedules, the last of seed {chosen[-1]}: {dict(figures)}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
