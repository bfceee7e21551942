"""The targets, started when the first test asks for each and kept to the end of the session."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.servers.marconi import MarconiProxy
from tests.servers.partition import PartitionNode
from tests.wire.contract.targets import Make, Name, Target, names
from tests.wire.contract.tenant import Tenant

# That the suite is right about a Zaqar changes with the suite alone.
_TARGETS = [pytest.param(name, marks=[pytest.mark.nightly] if name.make is Make.ZAQAR else []) for name in names()]


@pytest.fixture(scope="session", params=_TARGETS, ids=str)
def target(
    request: pytest.FixtureRequest,
    nodes: Callable[[str, int], PartitionNode],
    doors: Callable[[str], MarconiProxy],
) -> Target:
    name: Name = request.param
    if name.make is Make.ZAQAR:
        return Target(name, request.getfixturevalue("zaqar16").address)
    if name.make is Make.NODE:
        return Target(name, nodes(name.store, 0).address)
    return Target(name, doors(name.store).public_address)


@pytest.fixture(params=["v1", "v1.1", "v2"])
def version(request: pytest.FixtureRequest) -> str:
    """Every version, unless a test names its own."""
    return request.param


@pytest.fixture
def tenant(target: Target, version: str) -> Tenant:
    """A client in a project of its own."""
    return Tenant(target, version)
