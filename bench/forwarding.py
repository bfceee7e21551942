"""The path of a forwarded call through a worker, without sockets: the same bytes on the same objects, and no kernel.

``Path`` connects a client's connection and a partition's to transports that keep what is written to them. A call is
then one step: the bytes of a request in, those that the partition gets, the bytes of its answer in, those that the
client gets.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path as FilePath

from catalog import open_catalog
from catalog.model import API_VERSIONS, Partition, Placement, PlacementState, QueueKey, Segment
from marconi_proxy import options
from marconi_proxy.front_door.application import FrontDoor, make_application
from marconi_proxy.upstream.connection import Connection as UpstreamConnection
from marconi_proxy.upstream.pool import Origin, Pool
from serving.connection import Connection
from serving.limits import Limits
from serving.server import Server

HOST = "http://127.0.0.1:1"
KEY = QueueKey("bench", "orders")
LIMITS = Limits(65536, 30.0, 30.0, 75.0, 30.0, 1 << 26, 1000)
_COMMON = b"Host: queues.example:8888\r\nClient-ID: 3381af92-2b9e-11e3-b191-71861300734c\r\nX-Project-Id: bench\r\n"
_JSON = b"Content-Type: application/json\r\n"
BODY = b'{"messages": [{"ttl": 300, "body": "%b"}]}' % (b"x" * 980)
GET = b"GET /v2/queues/orders/messages HTTP/1.1\r\n" + _COMMON + b"\r\n"
POST = (
    b"POST /v2/queues/orders/messages HTTP/1.1\r\n%b%bContent-Length: %d\r\n\r\n" % (_COMMON, _JSON, len(BODY)) + BODY
)
_ANSWER = b"Server: stub\r\nDate: Tue, 01 Dec 2026 00:00:00 GMT\r\nConnection: keep-alive\r\n"
PAGE = b"HTTP/1.1 200 OK\r\n%b%bContent-Length: 550\r\n\r\n" % (_ANSWER, _JSON) + b"x" * 550
CREATED = b"HTTP/1.1 201 Created\r\n%b%bContent-Length: 20\r\n\r\n" % (_ANSWER, _JSON) + b"x" * 20


class Transport(asyncio.Transport):
    """Keeps the last bytes that were written."""

    written = b""

    def write(self, data: bytes) -> None:  # type: ignore[override]
        self.written = data

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None: ...
    def close(self) -> None: ...


class Path:
    """A call's way through ``door``, by one client's connection and one to the partition, both kept."""

    def __init__(self, door: FrontDoor) -> None:
        loop = asyncio.get_running_loop()
        self._client, self._partition = Transport(), Transport()
        self._connection: Connection = Server(door, LIMITS, loop).connect()
        self._connection.connection_made(self._client)
        pool: Pool = door.worker.pool
        origin = Origin.of(HOST)
        kept = pool._idle.setdefault(origin, deque())
        self._upstream = UpstreamConnection(HOST, loop, 65536, kept.append, pool._all.discard)
        self._upstream.connection_made(self._partition)
        self._upstream.idle_since = loop.time()
        kept.append(self._upstream)

    def call(self, request: bytes, answer: bytes) -> bytes:
        """Return the bytes that the client gets. Raises AssertionError if the call is not forwarded in one step."""
        self._client.written = self._partition.written = b""
        self._connection.data_received(request)
        assert self._partition.written, "not forwarded at once"
        self._upstream.data_received(answer)
        assert self._client.written, "not answered at once"
        return self._client.written


@asynccontextmanager
async def path(directory: FilePath) -> AsyncIterator[Path]:
    """A worker with the queue KEY on the partition at HOST, and the way of a call through it."""
    uri = f"sqlite:///{directory}/catalog.sqlite"
    catalog = await open_catalog(uri)
    await catalog.init()
    await catalog.partitions.insert(Partition("stub", (HOST,), api_versions=API_VERSIONS, api_versions_set=True))
    placement = Placement(*KEY, 1, PlacementState.OPEN, (Segment(0, "stub", KEY.queue),), 0, 0.0, incarnation="i")
    await catalog.placements.insert(placement)
    await catalog.close()
    door = make_application(options.load(overrides={"catalog.uri": uri}))
    await door.worker.start()
    try:
        assert await door.worker.directory.find(KEY) is not None
        yield Path(door)
    finally:
        await door.worker.stop()
