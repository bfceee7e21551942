"""The processor that idle front-door workers take, with the catalog on SQLite.

Starts a front door without any clients, lets it settle, and reads the time on a processor of each worker from the
kernel (Linux, proc(5)). Prints percents of one core: of a worker, and of all. With --tree, the workers of another
checkout are measured alternately, so that a change can be compared with its state before within one run.

    python -m bench.idle_workers                         4 workers, 3 rounds of 20 seconds
    python -m bench.idle_workers --tree ../before
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.servers.marconi import marconi_proxy

# Seconds from the start of the workers until they are idle.
SETTLING = 5.0


def on_processor(pid: int) -> float:
    """Return the seconds that the threads of a process have spent on a processor."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def measure(tree: Path, workers: int, seconds: float) -> list[float]:
    """Return the percents of a core that each idle worker of a checkout takes."""
    launcher = ("env", f"PYTHONPATH={tree}", sys.executable, "-P", "-m", "marconi_proxy")
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        catalog = f"sqlite:///{Path(name) / 'catalog.db'}"
        with marconi_proxy(catalog, Path(name), workers=workers, launcher=launcher) as proxy:
            time.sleep(SETTLING)
            before = {pid: on_processor(pid) for pid in proxy.worker_pids}
            started = time.monotonic()
            time.sleep(seconds)
            passed = time.monotonic() - started
            return [(on_processor(pid) - spent) / passed * 100.0 for pid, spent in before.items()]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tree", type=Path, help="another checkout, to be measured alternately")
    options = parser.parse_args(arguments)
    here = Path(__file__).resolve().parents[1]
    trees = [tree.resolve() for tree in (options.tree, here) if tree is not None]
    shares: dict[Path, list[list[float]]] = {tree: [] for tree in trees}
    for _ in range(options.rounds):
        for tree in trees:
            shares[tree].append(measure(tree, options.workers, options.seconds))
    for tree, rounds in shares.items():
        each = statistics.median(share for shown in rounds for share in shown)
        total = statistics.median(sum(shown) for shown in rounds)
        print(f"{tree}: {each:.2f} % of a core for a worker, {total:.2f} % for all {options.workers}")


if __name__ == "__main__":
    main()
