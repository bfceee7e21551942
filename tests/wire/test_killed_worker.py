"""A worker is killed between writing a new queue down and its creation: the next call completes it, in one place.

The partition accepts the connection and does not answer, the placement is ``creating``, and the worker that waits gets
SIGKILL. The fate of its call is up to the network: it is lost, or the partition does it late.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

from tests.servers.fake_partition import FakePartition, Held, until
from tests.servers.marconi import marconi_proxy
from tests.servers.suspension import suspend
from tests.servers.zaqar import Zaqar
from tests.wire.door import Client, Door, process_at, request_headers, unread
from tests.wire.raw_http import Answer, exchange

QUEUE = "orders"
PATH = f"/v2/queues/{QUEUE}"


@pytest.fixture(scope="module", params=["mongodb", "sqlite"])
def door(
    request: pytest.FixtureRequest, new_catalog: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Door]:
    logs = tmp_path_factory.mktemp(f"killed-{request.param}")
    catalog = new_catalog() if request.param == "mongodb" else f"sqlite:///{logs / 'catalog.db'}"
    with marconi_proxy(catalog, logs) as proxy:
        yield Door(proxy)


@pytest.fixture
def partitions(door: Door) -> Iterator[dict[str, FakePartition]]:
    """Three partitions by name, which all workers know."""
    with ExitStack() as stack:
        hosts = {}
        for _ in range(3):
            host = stack.enter_context(FakePartition())
            hosts[name := door.register(host.url)] = host
            stack.callback(door.change, name, state="disabled")
        door.tell_all(name, host)
        yield hosts


@pytest.fixture(scope="module")
def partition(door: Door, zaqar16: Zaqar) -> str:
    """One that is a Zaqar, and takes no queues unless a test says so."""
    name = door.register(zaqar16.url)
    door.change(name, state="disabled")
    return name


def create(client: Client | Door, how: str, project: str) -> Answer:
    """Send a call that creates the queue: PUT, or POST of a message that says so."""
    if how == "PUT":
        return client.ask("PUT", PATH, project)
    return client.ask("POST", f"{PATH}/messages", project, {"messages": [{"ttl": 300, "body": "posted"}]})


@contextmanager
def all_held(partitions: dict[str, FakePartition]) -> Iterator[dict[str, Held]]:
    """Have every partition keep creating calls waiting, before they are done."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(host.hold("PUT|POST", ".*")) for name, host in partitions.items()}


def assert_listed(door: Door, project: str, queues: list[str]) -> None:
    for version in ("v1", "v1.1", "v2"):
        assert door.listed(project, version) == queues


@pytest.mark.parametrize("then", ["PUT", "POST", "GET and PUT"])
@pytest.mark.parametrize("fate", ["lost", "late"])
@pytest.mark.parametrize("first", ["PUT", "POST"])
def test_the_next_call_completes_the_queue_of_a_killed_worker(
    first: str, fate: str, then: str, door: Door, partitions: dict[str, FakePartition]
) -> None:
    """kill -9 of a worker between insert and forward; then (a) PUT, (b) v2 POST, (c) first a GET and then a PUT: the
    placement is open, on the same partition, there is exactly one physical queue, and it is listed."""
    project = door.tenant(spread=3)
    with all_held(partitions) as held, ThreadPoolExecutor(1) as pool:
        lost = pool.submit(create, door, first, project)
        until(lambda: door.state(project, QUEUE) == "creating", "the placement is written down")
        home = door.home(project, QUEUE)
        host = partitions[home]
        (call,) = held[home].wait()
        door.kill(process_at(call.connection, host.port, door.workers))
        # Its client learns nothing, for nobody knows anything.
        assert isinstance(lost.exception(), Exception)
        assert (door.state(project, QUEUE), door.home(project, QUEUE)) == ("creating", home)
        assert_listed(door, project, [])
        if fate == "lost":
            held[home].lose()
    if fate == "late":
        until(lambda: host.store.has(project, QUEUE), "the partition does the call of the worker that is gone")
    # The partition works again; nobody has met the queue yet.
    assert host.store.has(project, QUEUE) == (fate == "late")
    assert_listed(door, project, [])

    if then == "GET and PUT":
        assert door.ask("GET", PATH, project).status == 200
        if fate == "late":
            until(lambda: door.state(project, QUEUE) == "open", "who met the queue has looked, and found it")
        else:
            assert_listed(door, project, [])
        assert door.home(project, QUEUE) == home
        then = "PUT"
    expected = 201 if then == "POST" or fate == "lost" else 204
    assert create(door, then, project).status == expected

    assert (door.state(project, QUEUE), door.home(project, QUEUE)) == ("open", home)
    assert [name for name, one in partitions.items() if one.store.has(project, QUEUE)] == [home]
    assert sum(one.store.created[project, QUEUE] for one in partitions.values()) == 1
    assert_listed(door, project, [QUEUE])
    posted = ["posted"] * ((first == "POST" and fate == "late") + (then == "POST"))
    read = json.loads(door.ask("GET", f"{PATH}/messages?echo=true", project).body)
    assert [message["body"] for message in read["messages"]] == posted
    # And it is a queue like any other.
    assert door.ask("DELETE", PATH, project).status == 204
    assert (door.placement(project, QUEUE), host.store.has(project, QUEUE)) == (None, False)


def test_both_workers_killed_one_after_the_other(door: Door, partitions: dict[str, FakePartition]) -> None:
    """kill -9 of a worker that was just completing what another one, killed before, had begun."""
    project = door.tenant(spread=3)
    with all_held(partitions) as held, ThreadPoolExecutor(2) as pool:
        for number in (1, 2):
            lost = pool.submit(create, door, "PUT", project)
            until(lambda number=number: sum(len(one.calls) for one in held.values()) == number, "the call arrives")
            home = door.home(project, QUEUE)
            call = held[home].calls[-1]
            door.kill(process_at(call.connection, partitions[home].port, door.workers))
            assert isinstance(lost.exception(), Exception)
            assert door.state(project, QUEUE) == "creating"
        assert len(held[home].calls) == 2, "both went to one partition"
    assert create(door, "POST", project).status == 201
    assert (door.state(project, QUEUE), door.home(project, QUEUE)) == ("open", home)
    assert sum(one.store.created[project, QUEUE] for one in partitions.values()) == 1
    assert_listed(door, project, [QUEUE])


@pytest.mark.parametrize("then", ["PUT", "POST", "GET and PUT"])
@pytest.mark.parametrize("first", ["PUT", "POST"])
def test_the_same_with_a_real_zaqar_that_stands_still(
    first: str, then: str, door: Door, zaqar16: Zaqar, partition: str
) -> None:
    """kill -9 between insert and forward, where the partition is a Zaqar that is stopped: the kernel takes the call,
    and nobody reads it until the worker is gone."""
    door.change(partition, state="enabled")
    try:
        project = door.tenant(pinned=partition)
        (server,) = zaqar16.process.children
        victim = door.workers[0]
        with door.through(victim) as client:
            until(
                lambda: client.ask("PUT", "/v2/queues/trial", project).status == 201, "the worker knows the partition"
            )
            assert client.ask("DELETE", "/v2/queues/trial", project).status == 204
            with ThreadPoolExecutor(1) as pool:
                suspend(server)
                try:
                    lost = pool.submit(create, client, first, project)
                    until(lambda: door.state(project, QUEUE) == "creating", "the placement is written down")
                    until(lambda: unread(zaqar16.port), "the call is at the partition")
                    door.kill(victim)
                finally:
                    os.kill(server, signal.SIGCONT)
                assert isinstance(lost.exception(), Exception)
        assert door.home(project, QUEUE) == partition
        if then == "GET and PUT":
            assert door.ask("GET", PATH, project).status == 200
            then = "PUT"
        assert create(door, then, project).status in (201, 204)
        assert (door.state(project, QUEUE), door.home(project, QUEUE)) == ("open", partition)
        assert_listed(door, project, [QUEUE])
        headers = request_headers(project, {}).items()
        assert exchange(zaqar16.address, "GET", f"/v1/queues/{QUEUE}", headers).status == 204
        mine = json.loads(exchange(zaqar16.address, "GET", "/v2/queues", headers).body)["queues"]
        assert [entry["name"] for entry in mine] == [QUEUE]
        assert door.ask("DELETE", PATH, project).status == 204
        assert exchange(zaqar16.address, "GET", f"/v1/queues/{QUEUE}", headers).status == 404
    finally:
        door.change(partition, state="disabled")
