"""The node's protocol without a network: chunks go in exactly as given."""

from __future__ import annotations

import asyncio
import json

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from partition.serving.protocol import Bounds, PartitionProtocol

MAX_HEAD = 1024
HEAD = b"PUT / HTTP/1.1\r\nHost: x\r\nX-A: head\r\n"


class Transport(asyncio.Transport):
    def __init__(self):
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data):
        assert not self.closed, "written after close"
        self.written += data

    def close(self):
        self.closed = True

    def is_closing(self):
        return self.closed

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass


class Connection:
    """Collects what the application sees: the values of X-A, and the length of the body, of each request."""

    def __init__(self):
        self.seen = []
        self.transport = Transport()
        config = Config(self._application, ws="none", lifespan="off", access_log=False, log_config=None)
        config.load()
        config.loaded_app = self._application
        self._protocol = PartitionProtocol(config, ServerState(), {}, bounds=Bounds(60.0, MAX_HEAD))
        self._protocol.connection_made(self.transport)

    async def _application(self, scope, receive, send):
        size = 0
        while True:
            event = await receive()
            size += len(event.get("body", b""))
            if not event.get("more_body"):
                break
        self.seen.append(([value for name, value in scope["headers"] if name == b"x-a"], size))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send(self, *chunks):
        for chunk in chunks:
            if not self.transport.closed:
                self._protocol.data_received(chunk)
            for _ in range(20):
                await asyncio.sleep(0)
        self._protocol.connection_lost(None)


@pytest.mark.parametrize("pieces", [1, 100])
async def test_trailers_are_no_headers(pieces):
    connection = Connection()
    sent = HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nb\r\n0\r\nX-A: trailer\r\n\r\n"
    size = max(1, len(sent) // pieces)
    await connection.send(*(sent[start : start + size] for start in range(0, len(sent), size)))
    assert connection.seen == [([b"head"], 1)]


@pytest.mark.parametrize("size", [1, 7, 300, 10_000])
async def test_a_head_is_bounded_however_it_comes(size):
    connection = Connection()
    sent = HEAD + b"X-B: " + b"b" * MAX_HEAD + b"\r\n\r\n"
    await connection.send(*(sent[start : start + size] for start in range(0, len(sent), size)))
    assert connection.seen == []
    assert connection.transport.closed
    head, _, body = connection.transport.written.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["title"] == "Bad request"


@pytest.mark.parametrize("size", [100, 1000, 100_000])
async def test_bodies_do_not_count_as_heads(size):
    connection = Connection()
    one = HEAD + b"Content-Length: 5000\r\n\r\n" + b"b" * 5000
    sent = one * 3
    await connection.send(*(sent[start : start + size] for start in range(0, len(sent), size)))
    assert connection.seen == [([b"head"], 5000)] * 3
    assert connection.transport.written.count(b"HTTP/1.1 204 ") == 3


async def test_what_is_no_request_is_refused_as_the_api_does():
    connection = Connection()
    await connection.send(b"nonsense\r\n\r\n")
    assert connection.transport.written.startswith(b"HTTP/1.1 400 ")
    assert b'"title": "Bad request"' in connection.transport.written
    assert connection.transport.closed
