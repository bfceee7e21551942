"""``python -m tests.simulation.mutate [NAME...]``: which ring catches which mutation, as a table.

``--ring``: simulation, explorer or unit, as often as wanted; the first alone by default. ``--schedules``: how many are
played at most.

``--renew``: another seed for each mutation that its known seed no longer catches, because the code or the world has
changed. Only schedules with the plot of the known seed are played, so this is quick.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import chain

from tests.simulation.mutations import BY_NAME, MUTATIONS, Mutation
from tests.simulation.schedule import Outcome, play
from tests.simulation.stories import plot

_UNIT = "tests/unit"
_EXPLORER = "tests/simulation/test_fence_protocol.py"


def first_caught(mutation: Mutation, schedules: int, first: int = 0) -> Outcome | None:
    """Return what came of the first schedule that catches it, None if none does."""
    with mutation.applied():
        for seed in range(first, first + schedules):
            outcome = play(seed)
            if not outcome.fine:
                return outcome
    return None


def renewed(mutation: Mutation, last: int = 4000) -> Outcome | None:
    """Return the first schedule with the plot of the mutation's seed that catches it, None if none up to ``last`` does.
    That is the one of the seed itself, if it still does."""
    assert mutation.seed is not None
    known = str(plot(mutation.seed))
    same = (seed for seed in range(last) if str(plot(seed)) == known)
    outcomes = (first_caught(mutation, 1, seed) for seed in chain([mutation.seed], same))
    return next((outcome for outcome in outcomes if outcome is not None), None)


def failing(mutation: Mutation, *tests: str) -> list[str]:
    """Return the files of those tests that fail under the mutation."""
    code = (
        "import sys, pytest\n"
        "from tests.simulation.mutations import BY_NAME\n"
        "with BY_NAME[sys.argv[1]].applied():\n"
        "    sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', *sys.argv[2:]]))\n"
    )
    command = [sys.executable, "-c", code, mutation.name, "--tb=no", "-rfE", *tests]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    lines = (line.split()[1] for line in told.splitlines() if line.startswith(("FAILED ", "ERROR ")))
    return sorted({line.partition("::")[0] for line in lines})


def _row(name: str, rings: list[str], schedules: int) -> str:
    mutation, cells = BY_NAME[name], []
    if "simulation" in rings:
        outcome = first_caught(mutation, schedules)
        found = "-" if outcome is None else f"{(*outcome.violations, *outcome.stuck)[0]}"
        cells.append(f"not in {schedules}" if outcome is None else f"seed {outcome.seed}: {found[:60]}")
    if "explorer" in rings:
        cells.append("explorer" if failing(mutation, "-x", _EXPLORER, "-k", "every_interleaving") else "-")
    if "unit" in rings:
        cells.append(", ".join(failing(mutation, _UNIT)) or "-")
    return f"{name:<24} " + " | ".join(cells)


def _renewed_row(name: str) -> str:
    mutation = BY_NAME[name]
    if mutation.seed is None:
        return f"{name:<24} has no seed"
    outcome = renewed(mutation)
    if outcome is None:
        return f"{name:<24} seed {mutation.seed} -> none of its plot"
    return f"{name:<24} seed {mutation.seed}" + ("" if outcome.seed == mutation.seed else f" -> {outcome.seed}")


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", default=[mutation.name for mutation in MUTATIONS])
    parser.add_argument("--ring", action="append", choices=("simulation", "explorer", "unit"))
    parser.add_argument("--schedules", type=int, default=2000)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--renew", action="store_true")
    given = parser.parse_args()
    rings = given.ring or ["simulation"]
    with ProcessPoolExecutor(given.processes) as pool:
        if given.renew:
            rows = pool.map(_renewed_row, given.names)
        else:
            rows = pool.map(_row, given.names, [rings] * len(given.names), [given.schedules] * len(given.names))
        for row in rows:
            print(row, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
