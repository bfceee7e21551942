"""The targets, started when the first test asks for each and kept to the end of the session."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest
from pymongo import MongoClient

from tests.servers.marconi import marconi_proxy
from tests.servers.mongod import with_database
from tests.servers.partition import PartitionNode, start_partition
from tests.wire.conftest import logged
from tests.wire.contract.targets import Make, Name, Target, names
from tests.wire.contract.tenant import Tenant

NODES_BEHIND_A_DOOR = 2


@pytest.fixture(scope="session")
def storage_uri(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], str]]:
    """Make up the URI of a new store of a driver; it is gone at the end of the session."""
    with ExitStack() as stack:

        def uri(driver: str) -> str:
            if driver == "sqlite":
                return f"sqlite:///{tmp_path_factory.mktemp('store') / 'messages.db'}"
            if driver == "mongodb":
                server = request.getfixturevalue("mongodb_uri")
                database = f"partition_{uuid.uuid4().hex[:12]}"
                stack.callback(_drop, server, database)
                return with_database(server, database)
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
) -> Iterator[Callable[[str], tuple[str, int]]]:
    """Our front doors, each over nodes of one driver."""
    with ExitStack() as stack:

        @cache
        def door(driver: str) -> tuple[str, int]:
            logs = tmp_path_factory.mktemp(f"door-{driver}")
            proxy = stack.enter_context(marconi_proxy(f"sqlite:///{logs / 'catalog.db'}", logs))
            stack.enter_context(logged(proxy.public, proxy.admin))
            for number in range(NODES_BEHIND_A_DOOR):
                proxy.run("partition", "register", f"node-{number}", "--host", nodes(driver, number).url)
            return proxy.public_address

        yield door


@pytest.fixture(scope="session", params=names(), ids=str)
def target(
    request: pytest.FixtureRequest,
    nodes: Callable[[str, int], PartitionNode],
    doors: Callable[[str], tuple[str, int]],
) -> Target:
    name: Name = request.param
    if name.make is Make.ZAQAR:
        return Target(name, request.getfixturevalue("zaqar16").address)
    if name.make is Make.NODE:
        return Target(name, nodes(name.store, 0).address)
    return Target(name, doors(name.store))


@pytest.fixture(params=["v1", "v1.1", "v2"])
def version(request: pytest.FixtureRequest) -> str:
    """Every version, unless a test says which."""
    return request.param


@pytest.fixture
def tenant(target: Target, version: str) -> Tenant:
    """A client in a project of its own."""
    return Tenant(target, version)
