"""Fixtures that several rings of tests share."""

from __future__ import annotations

import gc
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import hypothesis
import pytest
from pymongo import MongoClient

from tests.servers.mongod import mongod_replica_set, with_database

# No test asserts a time: an example that a busy machine makes slow has not failed. Nor does a run fail for what another
# run has not drawn: only the nightly one draws anew.
hypothesis.settings.register_profile(
    "marconi",
    deadline=None,
    derandomize="MARCONI_TEST_ANEW" not in os.environ,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("marconi")

# pymongo 4.20 forgets to close a socket when a client is closed while it connects. For tests of servers that are gone,
# together with the fixture below: the socket goes when garbage is collected, and must do so while this is in force.
FORGOTTEN_SOCKETS = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

_WIRE = Path(__file__).parent / "wire"

# Temporary directories are in memory where there is room for them: many servers sync many files, and on a busy disk
# each of them waits for all the others. No test needs a real disk.
_MEMORY = Path("/dev/shm")
_ROOM = 4 << 30
if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free >= _ROOM:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))


def pytest_configure() -> None:
    """Let SIGINT end the processes of tests: a shell that starts the run in the background has it ignored, and children
    inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark those of real servers, and begin with the files that ask for the most time: no process of a parallel run
    waits for them at the end."""
    asked: dict[Path, float] = {}
    for item in items:
        if item.path.is_relative_to(_WIRE) and item.get_closest_marker("quick") is None:
            item.add_marker("wire")
        mark = item.get_closest_marker("timeout")
        asked[item.path] = max(asked.get(item.path, 0.0), float(mark.args[0]) if mark else 0.0)
    items.sort(key=lambda item: -asked[item.path])


def pytest_collection_finish() -> None:
    """Collect garbage seldom: every collection of the run would walk the thousands of tests that were collected.

    They are not frozen instead: older releases of hypothesis look for the referrers of an object among what is not.
    """
    gc.set_threshold(50_000, 20, 100)


@pytest.fixture
def forgotten_sockets() -> Iterator[None]:
    """Collect the sockets that pymongo forgot in this test, so that no later test is blamed for them."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def mongodb_uri() -> Iterator[str]:
    """The URI of a MongoDB replica set: the one in MARCONI_TEST_MONGODB_URI, or one of our own for the session."""
    given = os.environ.get("MARCONI_TEST_MONGODB_URI")
    if given:
        yield given
        return
    with mongod_replica_set() as replica_set:
        yield replica_set.uri()


@pytest.fixture
def mongodb_database_uri(mongodb_uri: str) -> Iterator[str]:
    """The URI of a database of the test's own, dropped afterwards."""
    name = f"test_{uuid4().hex}"
    yield with_database(mongodb_uri, name)
    with MongoClient(mongodb_uri) as client:
        client.drop_database(name)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the property ``explored`` of tests, from any process: a search is worth as much as it has visited."""
    explored = [
        value
        for report in terminalreporter.getreports("passed")
        for name, value in report.user_properties
        if name == "explored"
    ]
    if explored:
        terminalreporter.section("explored")
        for line in explored:
            terminalreporter.write_line(str(line))
