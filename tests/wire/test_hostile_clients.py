"""Clients that send too much, too little, too late or ambiguously; and partitions that help them."""

from __future__ import annotations

import socket
import struct
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.servers.fake_partition import FakePartition, raw_answer, until
from tests.servers.marconi import marconi_proxy
from tests.wire.door import Door
from tests.wire.script import CLIENT

BODY_TIMEOUT = "1.5"
# Seconds within which four long answers have to begin.
DEADLINE = "5"


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """One worker, with little patience."""
    logs = tmp_path_factory.mktemp("hostile")
    options = {"public.body_timeout": BODY_TIMEOUT, "upstream.deadline": DEADLINE, "upstream.max_concurrency": 4}
    with marconi_proxy(f"sqlite:///{logs / 'catalog.db'}", logs, workers=1, options=options) as proxy:
        yield Door(proxy)


@pytest.fixture(scope="module")
def partition(door: Door) -> Iterator[FakePartition]:
    with FakePartition() as host:
        door.tell_all(door.register(host.url), host)
        yield host


@pytest.fixture
def project() -> str:
    return f"project-{uuid.uuid4().hex[:8]}"


def connect(door: Door) -> socket.socket:
    return socket.create_connection(door.proxy.public_address, timeout=30)


def head(method: str, path: str, project: str, *lines: str) -> bytes:
    usual = (f"{method} {path} HTTP/1.1", "Host: x", f"Client-ID: {CLIENT}", f"X-Project-Id: {project}")
    return "\r\n".join((*usual, *lines, "", "")).encode()


def everything(connection: socket.socket) -> bytes:
    """Return the bytes until the server ends the connection. Raises TimeoutError if it does not."""
    received = b""
    while piece := connection.recv(65536):
        received += piece
    return received


def test_trailers_are_no_headers(door: Door, partition: FakePartition, project: str) -> None:
    with connect(door) as connection:
        connection.sendall(
            head("PUT", "/v1/queues/orders", project, "Transfer-Encoding: chunked", "Connection: close")
            + b"0\r\nX-Project-Id: other\r\nX-Roles: admin\r\nURL-Signature: f\r\n\r\n"
        )
        assert everything(connection).startswith(b"HTTP/1.1 201 ")
    (call,) = [call for call in partition.of(project) if call.method == "PUT"]
    assert {"x-roles", "url-signature"} & {name.lower() for name in call.headers} == set()
    assert door.placement(project, "orders") is not None
    assert door.placement("other", "orders") is None


@pytest.mark.parametrize("trailers", [b"X-A: b\r\n" * 20_000, b"X-A: " + b"b" * 200_000], ids=["many", "one"])
def test_trailers_are_bounded(door: Door, partition: FakePartition, project: str, trailers: bytes) -> None:
    with connect(door) as connection:
        connection.sendall(head("PUT", "/v1/queues/orders", project, "Transfer-Encoding: chunked") + b"0\r\n")
        try:
            connection.sendall(trailers)
            answer = everything(connection)
        except ConnectionError:
            answer = b""
    assert b" 201 " not in answer
    assert door.placement(project, "orders") is None


@pytest.mark.parametrize("sent", [b"", b"{"], ids=["nothing", "something"])
def test_a_body_that_does_not_come_is_refused(door: Door, partition: FakePartition, project: str, sent: bytes) -> None:
    with connect(door) as connection:
        connection.sendall(head("POST", "/v2/queues/orders/messages", project, "Content-Length: 10") + sent)
        answer = everything(connection)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"did not arrive within" in answer
    assert partition.of(project) == []


@pytest.mark.parametrize("expect", [(), ("Expect: 100-continue",)], ids=["sends", "asks first"])
def test_a_refused_body_ends_the_connection(
    door: Door, partition: FakePartition, project: str, expect: tuple[str, ...]
) -> None:
    """Else what the client sends next, or does not send, would be read as something else (RFC 9110 section 10.1.1)."""
    with connect(door) as connection:
        connection.sendall(head("POST", "/v2/queues/orders/messages", project, "Content-Length: 2000000", *expect))
        connection.sendall(head("GET", "/v2/queues", project))
        answer = everything(connection)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"\r\nconnection: close\r\n" in answer
    assert answer.count(b"HTTP/1.1 ") == 1


def test_first_calls_do_not_wait_for_each_other_beyond_the_deadline(
    door: Door, partition: FakePartition, project: str
) -> None:
    body = {"messages": [{"body": 1}]}

    def post(_: int) -> int:
        return door.ask("POST", "/v2/queues/orders/messages", project, body).status

    with partition.hold("POST", "/v2/queues/orders/messages") as held, ThreadPoolExecutor(6) as clients:
        answers = list(clients.map(post, range(6)))
        held.lose()
    assert answers == [503] * 6
    # One deadline bounds waiting and sending: the last of them had no time left to be sent in.
    assert partition.count("POST", "/v2/queues/orders/messages", project) < 6


def test_a_client_that_left_before_its_turn_has_nothing_done(
    door: Door, partition: FakePartition, project: str
) -> None:
    path = "/v2/queues/orders/messages"
    body = b'{"messages": [{"body": "mine"}]}'
    with partition.hold("POST", path) as held, connect(door) as first:
        first.sendall(head("POST", path, project, f"Content-Length: {len(body)}") + body)
        (call,) = held.wait()
        with connect(door) as second:
            # Closing aborts: the end of its input alone would be no reason to drop its request.
            second.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            second.sendall(head("POST", path, project, f"Content-Length: {len(body)}") + body)
        # A third call on the same connection order: when it was answered, the second one's end has been seen.
        assert door.ask("GET", "/", None).status == 300
        held.release(call)
        assert first.recv(65536).startswith(b"HTTP/1.1 201 ")
    until(lambda: (door.placement(project, "orders") or {}).get("state") == "open", "the queue is open")
    assert door.ask("GET", "/v2/queues/orders/stats", project).status == 200
    assert partition.count("POST", path, project) == 1


@pytest.mark.parametrize("status", [0, 42, 600, 999])
def test_an_impossible_status_is_a_fault(door: Door, partition: FakePartition, project: str, status: int) -> None:
    answer = raw_answer(200, [("content-length", "0")]).replace(b" 200 ", b" %03d " % status, 1)
    with partition.script("GET", "/v2/queues/orders/stats", answer):
        received = door.ask("GET", "/v2/queues/orders/stats", project)
    assert received.status == 503
    assert received.header("retry-after") is not None


def test_slow_readers_hold_no_more_than_their_share(door: Door, partition: FakePartition, project: str) -> None:
    """[upstream] max_concurrency counts answers until their last byte; a client that takes nothing loses its place."""
    path = "/v2/queues/orders/stats"
    size = 50_000_000
    large = raw_answer(200, [("content-length", str(size))], b"x" * size)
    with partition.script("GET", path, large):
        readers = [connect(door) for _ in range(4)]
        for reader in readers:
            reader.sendall(head("GET", path, project))
            assert reader.recv(1024).startswith(b"HTTP/1.1 200 ")
        refused = door.ask("GET", path, project)
        assert refused.status == 503
        assert b"Too many calls" in refused.body
    # Nobody reads on: after [upstream] deadline each of them is given up.
    until(lambda: door.ask("GET", "/v2/queues/other/stats", project).status == 200, "room for other calls")
    for reader in readers:
        reader.close()
