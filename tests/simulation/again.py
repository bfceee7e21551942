"""``python -m tests.simulation.again SEED [MUTATION]``: play a schedule once more and print its trace."""

from __future__ import annotations

import contextlib
import sys

from tests.simulation.mutations import BY_NAME
from tests.simulation.schedule import play


def main() -> int:
    """Print the trace and the verdict of the judge; return the exit code."""
    seed, *names = sys.argv[1:]
    with BY_NAME[names[0]].applied() if names else contextlib.nullcontext():
        outcome = play(int(seed), trace=True)
    print(*outcome.trace, f"{outcome.seconds:.1f} s, {outcome.steps} steps, {outcome.figures}", outcome, sep="\n")
    return 0 if outcome.fine else 1


if __name__ == "__main__":
    sys.exit(main())
