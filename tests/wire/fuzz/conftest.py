"""The targets of fuzzing: our node on every installed store, and the front door before such nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.servers.marconi import MarconiProxy
from tests.servers.partition import PartitionNode, storage_drivers
from tests.servers.zaqar import ServerProcess
from tests.wire.raw_http import exchange


@dataclass(frozen=True)
class Server:
    """Where it listens, and the processes that must survive. ``strict``: it is our front door."""

    address: tuple[str, int]
    processes: tuple[ServerProcess, ...]
    strict: bool

    @property
    def workers(self) -> set[int]:
        return {pid for process in self.processes for pid in process.children}

    @property
    def tracebacks(self) -> int:
        return sum(process.log.read_text(errors="replace").count("Traceback") for process in self.processes)


@pytest.fixture(
    scope="module", params=[(make, driver) for make in ("node", "door") for driver in storage_drivers()], ids="-".join
)
def server(
    request: pytest.FixtureRequest, nodes: Callable[[str, int], PartitionNode], doors: Callable[[str], MarconiProxy]
) -> Server:
    make, driver = request.param
    if make == "node":
        node = nodes(driver, 0)
        return Server(node.address, (node.process,), strict=False)
    door = doors(driver)
    behind = (nodes(driver, number).process for number in range(2))
    return Server(door.public_address, (door.public, *behind), strict=True)


@pytest.fixture(autouse=True)
def survives(server: Server) -> Iterator[None]:
    """Afterwards the server lives, in the same processes, and its log has no new traceback."""
    workers, tracebacks = server.workers, server.tracebacks
    yield
    assert exchange(server.address, "GET", "/v1/health", []).status == 204
    assert workers <= server.workers
    assert server.tracebacks == tracebacks
