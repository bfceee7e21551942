"""The targets, started when the first test asks for each and kept to the end of the session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest

from tests.servers.marconi import marconi_proxy
from tests.servers.partition import PartitionNode
from tests.wire.conftest import logged
from tests.wire.contract.targets import Make, Name, Target, names
from tests.wire.contract.tenant import Tenant

NODES_BEHIND_A_DOOR = 2


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
