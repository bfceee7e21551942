"""Very many first requests for one queue at the same moment, through all workers: one placement, one queue, no error.

Race 1 of API section 10.5 and "two first requests at the same time must agree" of 8.4, by weight of numbers.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import pytest

from tests.servers.fake_partition import FakePartition, until
from tests.servers.marconi import marconi_proxy
from tests.servers.zaqar import Zaqar
from tests.wire.door import Door, alone, connections_by_process, request_headers
from tests.wire.raw_http import TIMEOUT_SECONDS, exchange

WORKERS = 4
QUEUE = "orders"
PATH = f"/v2/queues/{QUEUE}"
# (method, body), as sent; a body is the number of the message posted.
Request = tuple[str, int | None]


@pytest.fixture(scope="module")
def door(new_catalog: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with marconi_proxy(new_catalog(), tmp_path_factory.mktemp("first"), workers=WORKERS) as proxy:
        yield Door(proxy)


@pytest.fixture
def fakes(door: Door) -> Iterator[dict[str, FakePartition]]:
    """Three partitions by name, which all workers know."""
    with ExitStack() as stack:
        hosts = {}
        for _ in range(3):
            host = stack.enter_context(FakePartition())
            hosts[name := door.register(host.url)] = host
            stack.callback(door.change, name, state="disabled")
        door.tell_all(name, host)
        yield hosts


@contextmanager
def connections_to_all(door: Door, each: int) -> Iterator[list[socket.socket]]:
    """Open connections, ``each`` to every worker."""
    port = door.proxy.public_port
    with ExitStack() as stack:
        connections = []
        peers: set[int] = set()
        for worker in door.workers:
            with alone(worker, door.workers):
                of_one = [
                    stack.enter_context(closing(socket.create_connection(door.proxy.public_address, TIMEOUT_SECONDS)))
                    for _ in range(each)
                ]
                peers.update(connection.getsockname()[1] for connection in of_one)
                until(
                    lambda worker=worker: connections_by_process(port, peers, [worker]) == {worker: each},
                    "the worker takes its connections",
                )
            connections.append(of_one)
        assert connections_by_process(port, peers, door.workers) == dict.fromkeys(door.workers, each)
        assert len(connections) == WORKERS
        # In turns, so that what is sent in this order is met by all workers at once.
        yield [connection for turn in zip(*connections, strict=True) for connection in turn]


def serialised(request: Request, project: str) -> bytes:
    method, number = request
    target, body = PATH, b""
    if method == "POST":
        target, body = f"{PATH}/messages", json.dumps({"messages": [{"ttl": 300, "body": number}]}).encode()
    lines = [f"{name}: {value}" for name, value in request_headers(project, {}).items()]
    head = "\r\n".join([f"{method} {target} HTTP/1.1", "Host: x", *lines, f"Content-Length: {len(body)}", "", ""])
    return head.encode() + body


async def all_at_once(connections: list[socket.socket], requests: list[bytes]) -> list[int]:
    """Send every request on a connection of its own, and only then look at answers. Return their statuses."""
    streams = [await asyncio.open_connection(sock=connection.dup()) for connection in connections]
    try:
        for (_, writer), request in zip(streams, requests, strict=True):
            writer.write(request)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            heads = await asyncio.gather(*(reader.readuntil(b"\r\n\r\n") for reader, _ in streams))
    finally:
        for _, writer in streams:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for _, writer in streams), return_exceptions=True)
    return [int(head.split(b" ")[1]) for head in heads]


def mixed(number: int) -> list[Request]:
    """Posts and creations; in turns of five, so that each of four workers gets both."""
    return [("POST", n) if n % 5 % 2 else ("PUT", None) for n in range(number)]


def the_placement(door: Door, project: str) -> dict[str, Any]:
    """Return the only placement of a project."""
    (placement,) = door.admin("GET", f"/v1/placements?project={project}")[1]["placements"]
    assert (placement["queue"], placement["state"]) == (QUEUE, "open")
    return placement


@pytest.mark.parametrize("requests", [mixed(WORKERS * 200), [("PUT", None)] * WORKERS * 200], ids=["mixed", "PUT"])
def test_first_requests_agree_on_one_place(
    requests: list[Request], door: Door, fakes: dict[str, FakePartition]
) -> None:
    """4 workers, 200 concurrent first requests to each, three partitions, spread 3: one placement and one queue; all
    are answered 2xx, and all messages are in the one queue."""
    project = door.tenant(spread=3)
    with connections_to_all(door, len(requests) // WORKERS) as connections:
        answered = asyncio.run(all_at_once(connections, [serialised(request, project) for request in requests]))
    by_method = {(method, status) for (method, _), status in zip(requests, answered, strict=True)}
    assert by_method <= {("PUT", 201), ("PUT", 204), ("POST", 201)}
    placement = the_placement(door, project)
    (segment,) = placement["segments"]
    assert [name for name, host in fakes.items() if host.store.has(project, QUEUE)] == [segment["partition"]]
    assert sum(host.store.created[project, QUEUE] for host in fakes.values()) == 1
    posted = sorted(number for method, number in requests if method == "POST")
    assert sorted(fakes[segment["partition"]].store.bodies(project, QUEUE)) == posted
    # No partition saw a call of the other kind: not even one that was refused there.
    assert [name for name, host in fakes.items() if host.of(project)] == [segment["partition"]]
    if not posted:
        assert Counter(answered) == {201: 1, 204: len(requests) - 1}
    for worker in door.workers:
        with door.through(worker) as client:
            assert client.ask("PUT", PATH, project).status == 204
    assert door.listed(project) == [QUEUE]


def _put(door: Door, project: str, queue: str) -> int | None:
    """Return how a creation was answered, None if it was refused."""
    status = door.ask("PUT", f"/v2/queues/{queue}", project).status
    assert status in (201, 204, 503)
    return None if status == 503 else status


def test_many_queues_at_once_are_each_in_one_place(door: Door, fakes: dict[str, FakePartition]) -> None:
    """The same for a hundred queues with four first requests each, one through every worker."""
    project = door.tenant(spread=3)
    queues = [f"queue-{number:03}" for number in range(100)]
    asked = [queue for queue in queues for _ in range(WORKERS)]
    requests = [
        serialised(("PUT", None), project).replace(PATH.encode(), f"/v2/queues/{queue}".encode()) for queue in asked
    ]
    with connections_to_all(door, len(queues)) as connections:
        answered = asyncio.run(all_at_once(connections, requests))
    creations = Counter(queue for queue, status in zip(asked, answered, strict=True) if status == 201)
    # A machine on which so many take longer than a call of the catalog may refuses some, which clients send again.
    for queue in (queue for queue, status in zip(asked, answered, strict=True) if status == 503):
        status = until(lambda queue=queue: _put(door, project, queue), "the queue can be created")
        creations[queue] += status == 201
    assert set(answered) <= {201, 204, 503}
    assert max(creations.values()) == 1
    created: Counter[str] = Counter()
    for name, host in fakes.items():
        created.update(queue for _, queue in host.store.created.elements())
        for _, queue in host.store.queues:
            assert door.home(project, queue) == name
    assert created == dict.fromkeys(queues, 1)
    assert all(host.store.queues for host in fakes.values()), "the project is spread over all three"
    assert door.listed(project) == queues


def test_first_requests_agree_on_one_zaqar(door: Door, partitions: dict[str, Zaqar]) -> None:
    """The same with real Zaqar partitions: 4 workers, 50 concurrent first requests to each."""
    registered = {door.register(server.url): server for server in partitions.values()}
    try:
        project = door.tenant(spread=3)
        for worker in door.workers:
            warm = door.tenant(pinned=list(registered)[-1])
            with door.through(worker) as client:
                until(
                    lambda client=client, warm=warm: client.ask("PUT", PATH, warm).status in (201, 204),
                    "the worker knows the partitions",
                )
        requests = mixed(WORKERS * 50)
        with connections_to_all(door, 50) as connections:
            answered = asyncio.run(all_at_once(connections, [serialised(request, project) for request in requests]))
        assert set(answered) <= {201, 204}
        (segment,) = the_placement(door, project)["segments"]
        headers = request_headers(project, {}).items()
        having = []
        for name, server in registered.items():
            listed = json.loads(exchange(server.address, "GET", "/v2/queues", headers).body)
            having += [name for entry in listed["queues"] if entry["name"] == QUEUE]
        assert having == [segment["partition"]]
        posted = [number for method, number in requests if method == "POST"]
        stats = door.ask("GET", f"{PATH}/stats", project)
        assert json.loads(stats.body)["messages"]["total"] == len(posted)
        read: list[int] = []
        page = f"{PATH}/messages?echo=true&limit=20"
        while messages := json.loads(door.ask("GET", page, project).body):
            if not messages["messages"]:
                break
            read += [message["body"] for message in messages["messages"]]
            page = messages["links"][0]["href"]
        assert sorted(read) == posted
        assert door.listed(project) == [QUEUE]
    finally:
        for name in registered:
            door.change(name, state="disabled")
