"""Session-wide real servers of the wire tests: MongoDB, Zaqar, our own nodes, and marconi-proxy in front of them.

Each is started when the first test asks for it and stops at the end of the session. When a test fails, the ends of the
logs of all that run are added to its report.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

import pytest
from pymongo import MongoClient

from tests.servers.marconi import MarconiProxy, marconi_proxy
from tests.servers.mongod import with_database
from tests.servers.partition import PartitionNode, start_partition
from tests.servers.zaqar import ServerProcess, Zaqar, zaqar
from tests.wire.script import Played, Script, play

_NODES_BEHIND_A_DOOR = 2
_RUNNING: list[ServerProcess] = []

Directly = Callable[[Script, str], list[Played]]


@contextmanager
def logged(*processes: ServerProcess) -> Iterator[None]:
    """Show the logs of these processes with the tests that fail meanwhile."""
    _RUNNING.extend(processes)
    try:
        yield
    finally:
        for process in processes:
            _RUNNING.remove(process)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        report.sections += [(f"end of the log of {process.name}", process.log_tail(3000)) for process in _RUNNING]
    return report


@contextmanager
def _zaqar(release: str, mongodb_uri: str, **options: bool | str) -> Iterator[Zaqar]:
    with zaqar(release, mongodb_uri, **options) as server, logged(server.process):
        yield server


@contextmanager
def _front_door(catalog: str, logs: Path, **partitions: Zaqar) -> Iterator[MarconiProxy]:
    """Run marconi-proxy with one partition per keyword."""
    with marconi_proxy(catalog, logs) as proxy, logged(proxy.public, proxy.admin):
        for name, server in partitions.items():
            proxy.run("partition", "register", name, "--host", server.url)
        yield proxy


@pytest.fixture(scope="session")
def new_catalog(mongodb_uri: str) -> Callable[[], str]:
    """Make URIs of catalogs that do not exist yet."""
    return lambda: with_database(mongodb_uri, f"catalog_{uuid.uuid4().hex[:12]}")


@pytest.fixture(scope="session")
def zaqar16(mongodb_uri: str) -> Iterator[Zaqar]:
    with _zaqar("16", mongodb_uri, name="first") as server:
        yield server


@pytest.fixture(scope="session")
def second_zaqar16(mongodb_uri: str) -> Iterator[Zaqar]:
    with _zaqar("16", mongodb_uri, name="second") as server:
        yield server


@pytest.fixture(scope="session")
def zaqar23(mongodb_uri: str) -> Iterator[Zaqar]:
    with _zaqar("23", mongodb_uri, name="third") as server:
        yield server


@pytest.fixture(scope="session")
def operators_zaqar16(mongodb_uri: str) -> Iterator[Zaqar]:
    """One that serves the operator's routes."""
    with _zaqar("16", mongodb_uri, name="operators", admin_mode=True, pooling=True) as server:
        yield server


@pytest.fixture(scope="session")
def storage_uri(mongodb_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Make up the URI of a new store of a driver; it is gone at the end of the session."""
    with ExitStack() as stack:

        def uri(driver: str) -> str:
            if driver == "sqlite":
                return f"sqlite:///{tmp_path_factory.mktemp('store') / 'messages.db'}"
            if driver == "mongodb":
                database = f"partition_{uuid.uuid4().hex[:12]}"
                stack.callback(_drop, mongodb_uri, database)
                return with_database(mongodb_uri, database)
            raise LookupError(f"nobody has said here what a store of {driver} is called")

        yield uri


def _drop(server: str, database: str) -> None:
    with MongoClient(server, serverSelectionTimeoutMS=5000) as client:
        client.drop_database(database)


@pytest.fixture(scope="session")
def nodes(
    storage_uri: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str, int], PartitionNode]]:
    """Our nodes over stores of a driver, numbered; each has two workers."""
    with ExitStack() as stack:

        @cache
        def node(driver: str, number: int) -> PartitionNode:
            directory = tmp_path_factory.mktemp(f"node-{driver}-{number}")
            started = start_partition(storage_uri(driver), directory, workers=2)
            stack.callback(started.process.stop)
            stack.enter_context(logged(started.process))
            return started

        yield node


@pytest.fixture(scope="session")
def doors(
    nodes: Callable[[str, int], PartitionNode], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], MarconiProxy]]:
    """Our front doors, each over nodes of one driver."""
    with ExitStack() as stack:

        @cache
        def door(driver: str) -> MarconiProxy:
            logs = tmp_path_factory.mktemp(f"door-{driver}")
            proxy = stack.enter_context(marconi_proxy(f"sqlite:///{logs / 'catalog.db'}", logs))
            stack.enter_context(logged(proxy.public, proxy.admin))
            for number in range(_NODES_BEHIND_A_DOOR):
                proxy.run("partition", "register", f"node-{number}", "--host", nodes(driver, number).url)
            return proxy

        yield door


@pytest.fixture(scope="session")
def zaqar_of(request: pytest.FixtureRequest) -> Callable[[str], Zaqar]:
    """The Zaqar of a release."""
    return lambda release: request.getfixturevalue(f"zaqar{release}")


@pytest.fixture(scope="session")
def directly(zaqar_of: Callable[[str], Zaqar]) -> Directly:
    """Play a script against the Zaqar of a release, once in a session: how a partition answers when asked itself."""
    played: dict[tuple[str, str], list[Played]] = {}

    def answers(script: Script, release: str) -> list[Played]:
        key = (str(script), release)
        if key not in played:
            played[key] = play(script, zaqar_of(release).address)
        return played[key]

    return answers


@pytest.fixture(scope="session")
def front_door16(
    zaqar16: Zaqar, new_catalog: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MarconiProxy]:
    """marconi-proxy over MongoDB with a Zaqar 16 as its only partition."""
    with _front_door(new_catalog(), tmp_path_factory.mktemp("front-door-16"), sixteen=zaqar16) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def front_door23(zaqar23: Zaqar, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MarconiProxy]:
    """marconi-proxy over SQLite with a Zaqar 23 as its only partition."""
    logs = tmp_path_factory.mktemp("front-door-23")
    with _front_door(f"sqlite:///{logs / 'catalog.db'}", logs, twentythree=zaqar23) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def front_door_of(request: pytest.FixtureRequest) -> Callable[[str], MarconiProxy]:
    """marconi-proxy in front of a Zaqar of a release."""
    return lambda release: request.getfixturevalue(f"front_door{release}")


@pytest.fixture(scope="session")
def operators_front_door(
    operators_zaqar16: Zaqar, new_catalog: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MarconiProxy]:
    with _front_door(new_catalog(), tmp_path_factory.mktemp("front-door"), operators=operators_zaqar16) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def partitions(zaqar16: Zaqar, second_zaqar16: Zaqar, zaqar23: Zaqar) -> dict[str, Zaqar]:
    """The partitions of ``front_door``, by name: two with every version of the API, one with v2 only."""
    return {"north": zaqar16, "south": second_zaqar16, "west": zaqar23}


@pytest.fixture(scope="session")
def front_door(
    partitions: dict[str, Zaqar], new_catalog: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MarconiProxy]:
    """marconi-proxy over MongoDB with three partitions."""
    with _front_door(new_catalog(), tmp_path_factory.mktemp("front-door-3"), **partitions) as proxy:
        yield proxy
