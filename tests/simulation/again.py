"""``python -m tests.simulation.again SEED [MUTATION]``: play a schedule once more and tell what happens in it."""

from __future__ import annotations

import contextlib
import sys

from tests.simulation.mutations import BY_NAME
from tests.simulation.schedule import play


def main() -> int:
    """Print the trace and what the judge says of it; return the exit code."""
    seed, *names = sys.argv[1:]
    with BY_NAME[names[0]].applied() if names else contextlib.nullcontext():
        outcome = play(int(seed), trace=True)
    print(*outcome.trace, f"{outcome.seconds:.1f} s, {outcome.steps} steps, {outcome.figures}", outcome, sep="\n")
    return 0 if outcome.fine else 1


if __name__ == "__main__":
    sys.exit(main())
