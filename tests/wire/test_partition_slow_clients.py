"""Clients that are slow on purpose, too large, or say who they are where nobody looks; and stopping amid traffic."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.servers.partition import PartitionNode, start_partition
from tests.wire.conftest import logged
from tests.wire.partition_traffic import MESSAGES, Traffic
from tests.wire.script import CLIENT


@contextmanager
def running(directory: Path) -> Iterator[PartitionNode]:
    node = start_partition(f"sqlite:///{directory / 'messages.db'}", directory)
    try:
        with logged(node.process):
            yield node
    finally:
        node.process.stop()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PartitionNode]:
    with running(tmp_path_factory.mktemp("patient")) as node:
        yield node


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PartitionNode]:
    """For requests that are never sent whole."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OS_SERVER__REQUEST_TIMEOUT", "0.5")
        with running(tmp_path_factory.mktemp("impatient")) as node:
            yield node


def connect(node: PartitionNode) -> socket.socket:
    return socket.create_connection(node.address, timeout=30)


def head(method: str, path: str, *lines: str) -> bytes:
    usual = (f"{method} {path} HTTP/1.1", "Host: x", f"Client-ID: {CLIENT}", "X-Project-Id: p")
    return "\r\n".join((*usual, *lines, "", "")).encode()


def everything(connection: socket.socket) -> bytes:
    """Return the bytes until the server ends the connection. Raises TimeoutError if it does not."""
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except ConnectionResetError:
        pass
    return received


WHOLE = head("GET", "/v2/ping")


BEGUN = [
    b"\r\n",
    b"GET /v2/pi",
    WHOLE[:-2],
    head("POST", MESSAGES, "Content-Length: 10") + b"{",
    head("POST", MESSAGES, "Transfer-Encoding: chunked") + b"5\r\n{",
]


@pytest.mark.parametrize("begun", [b"", *BEGUN])
def test_a_request_that_does_not_come_to_its_end(impatient: PartitionNode, begun: bytes) -> None:
    with connect(impatient) as connection:
        connection.sendall(begun)
        assert b"HTTP/1.1 2" not in everything(connection)  # it may be refused, and is closed


def answered(node: PartitionNode) -> socket.socket:
    """A connection on which a request was answered: another one, if this machine is slower than the node's patience."""
    while True:
        connection = connect(node)
        with suppress(ConnectionError):
            connection.sendall(WHOLE)
            if connection.recv(1000).endswith(b"\r\n\r\n"):
                return connection
        connection.close()


@pytest.mark.parametrize("begun", BEGUN)
def test_a_second_request_that_does_not_come_to_its_end(impatient: PartitionNode, begun: bytes) -> None:
    with answered(impatient) as connection:
        connection.sendall(begun)
        assert b"HTTP/1.1 2" not in everything(connection)  # it may be refused, and is closed


def test_a_client_that_does_not_read(impatient: PartitionNode) -> None:
    """Its connection is closed, and with it all that waits to be sent."""
    with connect(impatient) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        home = head("GET", "/v2/")
        try:
            while True:
                connection.sendall(home * 100)
        except (ConnectionResetError, BrokenPipeError):
            pass


@pytest.mark.parametrize("line", ["GET /" + "x" * 300_000, "GET / HTTP/1.1\r\nHost: x\r\nX: " + "x" * 300_000])
def test_a_head_without_end(node: PartitionNode, line: str) -> None:
    with connect(node) as connection:
        try:
            for piece in range(0, len(line), 1000):
                connection.sendall(line[piece : piece + 1000].encode())
        except (ConnectionResetError, BrokenPipeError):
            pass
        else:
            assert everything(connection)[:12] in (b"HTTP/1.1 400", b"")


def test_trailers_name_nobody(node: PartitionNode) -> None:
    """A proxy in front that sets the project looks at headers only."""
    chunks = b"0\r\nX-Project-Id: victim\r\n\r\n"
    with connect(node) as connection:
        connection.sendall(head("PUT", "/v1/queues/mine", "Transfer-Encoding: chunked") + chunks)
        connection.sendall(head("DELETE", "/v2/queues/other", "Transfer-Encoding: chunked") + chunks)
        connection.sendall(head("GET", "/v2/queues", "Connection: close"))
        assert b'"name": "mine"' in everything(connection)


def test_a_broken_request_is_not_the_answer_to_the_one_before(node: PartitionNode) -> None:
    body = b'{"messages": [{"body": 1}]}'
    post = head("POST", MESSAGES, f"Content-Length: {len(body)}") + body
    with connect(node) as connection:
        connection.sendall(post + b"\x00 nonsense\r\n\r\n")
        assert not everything(connection).startswith(b"HTTP/1.1 400")


def test_many_slow_clients_keep_nobody_waiting(node: PartitionNode) -> None:
    slow = [connect(node) for _ in range(200)]
    try:
        for connection in slow:
            connection.sendall(b"POST /v2/queues")
        with connect(node) as connection:
            connection.sendall(head("GET", "/v2/ping", "Connection: close"))
            assert everything(connection).startswith(b"HTTP/1.1 204")
    finally:
        for connection in slow:
            connection.close()


# Stopping


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopping_amid_traffic_finishes_what_was_begun(tmp_path: Path, number: signal.Signals) -> None:
    """A request that the server has read whole is answered; all that it acknowledged is there when it runs again."""

    async def run() -> None:
        nonlocal node
        traffic = Traffic(node.address, producers=8, consumers=4, messages=4000)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(traffic.run())
            for stop in (1000, 2000, 3000):
                await traffic.reaches(stop)
                assert not running.done()
                node.process.signal(number)
                assert await asyncio.to_thread(node.process.ended) == 0
                node = start_partition(node.storage, tmp_path, workers=2, port=node.port)
        for claim in set((await traffic.remaining()).values()) - {None}:
            await traffic.release(str(claim))
        await traffic.consume_the_rest()
        assert traffic.record.faults() == {}

    node = start_partition(f"sqlite:///{tmp_path / 'messages.db'}", tmp_path, workers=2)
    try:
        asyncio.run(run())
    finally:
        node.process.stop()


def test_a_request_under_way_is_answered_before_the_end(tmp_path: Path) -> None:
    node = start_partition(f"sqlite:///{tmp_path / 'messages.db'}", tmp_path)
    body = b'{"messages": [{"body": 1}]}'
    try:
        with connect(node) as connection:
            connection.sendall(head("POST", MESSAGES, f"Content-Length: {len(body)}", "Expect: 100-continue"))
            assert connection.recv(100).startswith(b"HTTP/1.1 100")  # so it was begun
            node.process.signal(signal.SIGTERM)
            node.process.wait_until(lambda: not listening(node))
            connection.sendall(body)
            assert everything(connection).startswith(b"HTTP/1.1 201")
        assert node.process.ended() == 0
    finally:
        node.process.stop()


def listening(node: PartitionNode) -> bool:
    try:
        socket.create_connection(node.address, timeout=30).close()
    except ConnectionRefusedError:
        return False
    return True
