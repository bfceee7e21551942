"""Ways to partitions without sockets: calls that go straight into the application of our own node, or to a test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from catalog.model import API_VERSIONS, Partition
from marconi_proxy.upstream.errors import ConnectFailed
from marconi_proxy.upstream.exchange import UpstreamCall
from partition.admin.application import AdminApplication
from partition.api.application import Application
from partition.api.node import Node
from partition.model.queue import Kind, QueueKey
from partition.storage.opening import open_storage

Handler = Callable[[UpstreamCall], Awaitable["Given"]]
CLIENT = b"c" * 16


@dataclass
class Given:
    """An answer that is there already."""

    status: int
    body: bytes = b""

    async def read(self, most: int = 0) -> bytes:
        return self.body


class Way:
    """As ``Upstream``, to the handler of a partition's first host; a host without one refuses the connection."""

    def __init__(self, partition: Partition, handlers: Mapping[str, Handler], asked: list[str]) -> None:
        self.partition = partition
        self._handlers = handlers
        self._asked = asked

    def update(self, partition: Partition) -> None:
        self.partition = partition

    async def send(self, call: UpstreamCall, *, within: float | None = None) -> Given:
        self._asked.append(call.target.decode())
        handler = self._handlers.get(self.partition.hosts[0])
        if handler is None:
            raise ConnectFailed(f"{self.partition.hosts[0]} refused the connection")
        return await handler(call)


def application(app: Any) -> Handler:
    """Return what answers a call as an ASGI application does."""

    async def answer(call: UpstreamCall) -> Given:
        parts = urlsplit(call.target.decode())
        headers = [line.split(b": ", 1) for line in call.lines.split(b"\r\n") if line]
        scope = {
            "type": "http",
            "method": call.method.decode(),
            "path": unquote(parts.path),
            "query_string": parts.query.encode(),
            "headers": [(name, value) for name, value in headers],
        }
        given = Given(0)

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": call.body}

        async def send(message: dict[str, Any]) -> None:
            given.status = message.get("status", given.status)
            given.body += message.get("body", b"")

        await app(scope, receive, send)
        return given

    return answer


class Nodes:
    """Nodes over SQLite by the names of their partitions, and ways to them; ``asked`` are the targets of all calls."""

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        self.nodes = dict(nodes)
        self.asked: list[str] = []
        self.handlers: dict[str, Handler] = {}
        for name, node in nodes.items():
            self.handlers[f"http://{name}:8888"] = application(Application(node))
            self.handlers[f"http://{name}:8890"] = application(AdminApplication(node))

    def partition(self, name: str, **members: Any) -> Partition:
        given = {"hosts": (f"http://{name}:8888",), "api_versions": API_VERSIONS} | members
        return Partition(name, **given)

    def way(self, partition: Partition) -> Any:
        return Way(partition, self.handlers, self.asked)

    async def put(self, name: str, project: str, *queues: str, **metadata: Any) -> None:
        """Create queues; ``~name`` is a topic."""
        for queue in queues:
            kind = Kind.TOPIC if queue.startswith("~") else Kind.QUEUE
            await self.nodes[name].storage.create_queue(QueueKey(project, queue.removeprefix("~"), kind), metadata)


@asynccontextmanager
async def nodes(directory: Path, *names: str) -> AsyncIterator[Nodes]:
    """Open a node for each of the names."""
    opened = {name: Node(await open_storage(f"sqlite:///{directory / name}.db")) for name in names}
    try:
        yield Nodes(opened)
    finally:
        for node in opened.values():
            await node.storage.close()
