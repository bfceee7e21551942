"""``python -m tests.simulation.again SEED [BREAKAGE]``: play a schedule once more and tell what happens in it."""

from __future__ import annotations

import contextlib
import sys

from tests.simulation.breakages import BREAKAGES
from tests.simulation.schedule import play


def main() -> int:
    """Print the trace and what the judge says of it; return the exit code."""
    seed, *names = sys.argv[1:]
    broken = {breakage.__name__: breakage for breakage, _ in BREAKAGES}
    with broken[names[0]]() if names else contextlib.nullcontext():
        outcome = play(int(seed), trace=True)
    print(*outcome.trace, f"{outcome.seconds:.1f} s, {outcome.steps} steps, {outcome.figures}", outcome, sep="\n")
    return 0 if outcome.fine else 1


if __name__ == "__main__":
    sys.exit(main())
