"""Many clients, and clients for a long time: what they cost a worker, and what they leave behind."""

from __future__ import annotations

import random
import resource
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.idle_clients import Crowd, resident
from tests.servers.fake_partition import FakePartition, until
from tests.servers.marconi import marconi_proxy
from tests.servers.partition import start_partition
from tests.wire.conftest import logged
from tests.wire.door import Door
from tests.wire.evil.client import connect, talk
from tests.wire.raw_http import exchange

IDLE, SLOW = 1000, 100
ROUNDS, WARM_UP = 10_000, 2000


@dataclass(frozen=True)
class Server:
    """Where one of the two listens, and its worker."""

    address: tuple[str, int]
    worker: int

    @property
    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.worker}/fd").iterdir()))

    def serves(self) -> bool:
        """Return whether a client that needs the store, or the partition, is served."""
        return exchange(self.address, "PUT", "/v1/queues/q", [("X-Project-Id", "crowds")]).status in (201, 204)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    directory = tmp_path_factory.mktemp("crowds")
    with ExitStack() as stack:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        node = start_partition(f"sqlite:///{directory / 'messages.db'}", directory)
        stack.callback(node.process.stop)
        proxy = stack.enter_context(marconi_proxy(f"sqlite:///{directory / 'catalog.db'}", directory, workers=1))
        stack.enter_context(logged(node.process, proxy.public))
        host = stack.enter_context(FakePartition())
        door = Door(proxy)
        door.tell_all(door.register(host.url), host)
        yield {
            "front door": Server(proxy.public_address, *proxy.worker_pids),
            "marconi-partition": Server(node.address, *node.process.children),
        }


@pytest.fixture(params=["front door", "marconi-partition"])
def server(request: pytest.FixtureRequest, servers: dict[str, Server]) -> Server:
    return servers[request.param]


def test_idle_and_slow_clients_cost_little_and_hold_up_no_other(server: Server) -> None:
    assert server.serves()
    memory, descriptors = resident(server.worker), server.descriptors
    crowd = Crowd(server.address, "127.0.0.7")
    try:
        crowd.hold(IDLE, SLOW)
        for _ in range(100):
            assert server.serves()
        assert (resident(server.worker) - memory) / (IDLE + SLOW) < 16_000
        assert server.descriptors >= IDLE + SLOW
    finally:
        crowd.close()
    until(lambda: server.descriptors <= descriptors + 1, "the connections are closed")


def test_bodies_that_are_announced_take_no_room_from_others(server: Server) -> None:
    """200 announce more than [public] max_bodies, and [server] max_bodies, allow together."""
    announced = [connect(server.address) for _ in range(200)]
    for client in announced:
        client.sendall(_post(1_000_000))
    answer = exchange(server.address, "POST", "/v2/queues/q/messages", HEADERS, BODY)
    for client in announced:
        client.close()
    assert answer.status == 201


HEADERS = [("Client-ID", "3381af92-2b9e-11e3-b191-71861300734c"), ("X-Project-Id", "crowds")]
BODY = b'{"messages": [{"body": 1}]}'


def _post(length: int) -> bytes:
    lines = [f"{name}: {value}" for name, value in (("Host", "x"), *HEADERS, ("Content-Length", str(length)))]
    return "\r\n".join(["POST /v2/queues/q/messages HTTP/1.1", *lines, "", ""]).encode()


def _put(*headers: bytes, body: bytes = b"") -> bytes:
    lines = (b"PUT /v1/queues/q HTTP/1.1", b"Host: x", b"X-Project-Id: crowds", *headers, b"", body)
    return b"\r\n".join(lines)


SENT = [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 3,
    _put(b"Content-Length: 5", body=b"hello"),
    _put(b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n"),
    _put(b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\nz\r\n"),
    _put(b"Content-Length: 5", body=b"hell"),
    _put(b"Content-Length: 500000", body=b"x" * 100_000),
    _put(b"Expect: 100-continue", b"Upgrade: h2c", b"Content-Length: 5", body=b"hello"),
    _put() * 2 + b"\x00",
    b"GET /v1/queues/q/none HTTP/1.0\r\n\r\n",
    b"\x16\x03\x01",
    b"GET /" + b"x" * 70_000,
    b"",
]


def _play(server: Server, sent: bytes, *, aborts: bool) -> None:
    if not aborts:
        talk(server.address, sent)
        return
    with connect(server.address) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(sent[:50_000])


@pytest.mark.slow
def test_rounds_leave_no_memory_and_no_descriptors_behind(server: Server) -> None:
    chance = random.Random(13)

    def rounds(count: int) -> tuple[int, int]:
        with ThreadPoolExecutor(8) as clients:
            played = [
                clients.submit(_play, server, chance.choice(SENT), aborts=chance.random() < 0.2) for _ in range(count)
            ]
        for future in played:
            future.result()
        assert server.serves()
        until(lambda: server.descriptors <= descriptors + 8, "the connections are closed")
        return server.descriptors, resident(server.worker)

    assert server.serves()
    descriptors = server.descriptors
    warm, memory = rounds(WARM_UP)
    after, grown = rounds(ROUNDS)
    assert after <= warm + 2
    assert grown - memory < 4_000_000
