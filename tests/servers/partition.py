"""marconi-partition as a child process, over a store that outlives it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from partition.storage.opening import GROUP
from tests.servers.zaqar import HOST, ServerProcess, on_a_free_port, status_of

# The same as the Zaqar of the tests has, so that either judges the other's signatures.
SECRET = "a secret of the tests"
# Zaqar's default. Ours refuses subscriptions, since nothing is delivered.
SUBSCRIBER_TYPES = "http,https,mailto,trust+http,trust+https"


def storage_drivers() -> list[str]:
    """The schemes of all installed storage drivers of the partition; of one that has several, the first by name."""
    by_driver: dict[str, str] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        by_driver.setdefault(entry.value, entry.name)
    return sorted(by_driver.values())


@dataclass(frozen=True)
class PartitionNode:
    """A running node: where it listens, its store, its process, and the base URL of its inventory if it has one."""

    port: int
    storage: str
    process: ServerProcess
    inventory: str | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def address(self) -> tuple[str, int]:
        return HOST, self.port

    def kill(self) -> None:
        """End the master and every worker at once, as a power cut would: nothing is flushed or closed."""
        self.process.kill()


def start_partition(
    storage: str,
    directory: Path,
    *,
    workers: int = 1,
    port: int | None = None,
    launcher: Sequence[str] = (sys.executable,),
    inventory: bool = False,
    drain_time: float = 0.0,
) -> PartitionNode:
    """Run a node over the store at URI ``storage``, logging below ``directory``; on ``port`` if given, and with an
    ``inventory`` if asked. It accepts requests for ``drain_time`` seconds more when it is stopped.

    ``launcher`` is what runs Python. It is ready when it answers, which does not mean that it can write. The caller
    stops it. Raises ServerFailed.
    """

    def start(port: int) -> ServerProcess:
        options = ["--storage", storage, "--bind", f"{HOST}:{port}", "--workers", str(workers)]
        if inventory:
            options += ["--admin-bind", f"{HOST}:0"]
        return ServerProcess(
            "marconi-partition serve",
            (*launcher, "-m", "partition", "serve", *options),
            directory / "partition.log",
            {
                "OS_SIGNED_URL__SECRET_KEY": SECRET,
                "OS_TRANSPORT__SUBSCRIBER_TYPES": SUBSCRIBER_TYPES,
                "OS_SERVER__DRAIN_TIME": str(drain_time),
            },
        )

    def ready(port: int) -> bool:
        return status_of(HOST, port, "/") == 300

    if port is None:
        process, port = on_a_free_port(start, ready)
    else:
        process = start(port)
        process.wait_until(lambda: ready(port))
    shown = re.findall(r"shown to every client of (\S+)", process.log.read_text())
    return PartitionNode(port, storage, process, shown[-1] if shown else None)


@contextmanager
def partition_node(directory: Path, *, workers: int = 1) -> Iterator[PartitionNode]:
    """Run a node over a new SQLite store below ``directory``. Raises ServerFailed."""
    node = start_partition(f"sqlite:///{directory / 'messages.db'}", directory, workers=workers)
    try:
        yield node
    finally:
        node.process.stop()
