"""The front door as tests use it: clients that know their worker, the operator, and the contents of the catalog.

``Door`` wraps a running marconi-proxy. To connect a client to a certain worker, it stops all others meanwhile. The
kernel's tables show the worker that calls a partition.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.servers.fake_partition import FakePartition, until
from tests.servers.marconi import MarconiProxy
from tests.servers.suspension import suspend
from tests.wire.raw_http import TIMEOUT_SECONDS, Answer, exchange
from tests.wire.script import CLIENT


def request_headers(project: str | None, more: Mapping[str, str]) -> dict[str, str]:
    named = {} if project is None else {"X-Project-Id": project}
    return {"Client-ID": CLIENT, **named, **more}


class Client:
    """A client with one connection, which is kept."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)

    def connect(self) -> socket.socket:
        self._connection.connect()
        return self._connection.sock

    def close(self) -> None:
        self._connection.close()

    def ask(self, method: str, target: str, project: str | None, body: Any = None, **headers: str) -> Answer:
        """Send a request, with ``body`` as JSON unless it is None, and return the answer. Raises OSError."""
        self.send(method, target, project, body, **headers)
        return self.answered()

    def send(self, method: str, target: str, project: str | None, body: Any = None, **headers: str) -> None:
        """The first half of ``ask``."""
        data = None if body is None else json.dumps(body).encode()
        self._connection.request(method, target, data, request_headers(project, headers))

    def answered(self) -> Answer:
        """The second half of ``ask``."""
        response = self._connection.getresponse()
        return Answer(response.status, tuple(response.getheaders()), response.read())


class Door:
    """A running marconi-proxy and its operator."""

    def __init__(self, proxy: MarconiProxy) -> None:
        self.proxy = proxy

    # -- clients -----------------------------------------------------------------------------------------------------

    def ask(self, method: str, target: str, project: str | None, body: Any = None, **headers: str) -> Answer:
        """As ``Client.ask``, on a connection of its own, with whichever worker takes it."""
        data = None if body is None else json.dumps(body).encode()
        return exchange(self.proxy.public_address, method, target, request_headers(project, headers).items(), data)

    @contextmanager
    def through(self, worker: int) -> Iterator[Client]:
        """A client that talks to this worker."""
        client = Client(self.proxy.public_port)
        try:
            with alone(worker, self.workers):
                client.connect()
                assert client.ask("GET", "/", None).status == 300
            yield client
        finally:
            client.close()

    @contextmanager
    def through_two(self) -> Iterator[tuple[Client, Client]]:
        """Two clients that talk to two workers."""
        one, other = self.workers[:2]
        with self.through(one) as first, self.through(other) as second:
            yield first, second

    @property
    def workers(self) -> tuple[int, ...]:
        """The front door's workers, once all of them serve."""
        return self.proxy.worker_pids

    def kill(self, worker: int) -> None:
        """Kill a worker with SIGKILL; return when another one has taken its place."""
        before = self.workers
        assert worker in before
        os.kill(worker, signal.SIGKILL)
        until(lambda: len(self.workers) == len(before) and worker not in self.workers, "another worker")

    # -- the operator ------------------------------------------------------------------------------------------------

    def admin(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Call the admin API; return (status, document)."""
        data = None if body is None else json.dumps(body).encode()
        answer = exchange(("127.0.0.1", self.proxy.admin_port), method, path, [], data)
        return answer.status, json.loads(answer.body) if answer.body else None

    def register(self, *hosts: str, name: str | None = None, **members: Any) -> str:
        """Register a partition with these hosts; return its name."""
        name = name or f"p-{uuid.uuid4().hex[:8]}"
        status, document = self.admin("PUT", f"/v1/partitions/{name}", {"hosts": hosts, "weight": 100} | members)
        assert status == 201, document
        return name

    def change(self, partition: str, **members: Any) -> None:
        """Change members of a partition."""
        status, document = self.admin("PATCH", f"/v1/partitions/{partition}", members)
        assert status in (200, 204), document

    def tenant(self, *, spread: int = 1, pinned: str | None = None) -> str:
        """Make up a project and decide where its queues go."""
        project = f"project-{uuid.uuid4().hex[:8]}"
        status, document = self.admin("PUT", f"/v1/tenants/{project}", {"spread": spread, "pinned": pinned})
        assert status == 204, document
        return project

    def tell_all(self, partition: str, host: FakePartition) -> None:
        """Return when every worker knows ``partition`` with its host ``host``, and all earlier changes."""
        for worker in self.workers:
            project = self.tenant(pinned=partition)
            path = f"/v2/queues/{uuid.uuid4().hex}"
            with self.through(worker) as client:
                until(
                    lambda client=client, path=path, project=project: (
                        client.ask("GET", path, project) and host.count("GET", path, project)
                    ),
                    f"worker {worker} asks partition {partition}",
                )

    def placement(self, project: str | None, queue: str) -> dict[str, Any] | None:
        """Return a queue's placement, None if it has none."""
        written = "-" if project is None else f"id:{quote(project, safe='')}"
        status, document = self.admin("GET", f"/v1/placements/{written}/{queue}")
        assert status in (200, 404), document
        return document if status == 200 else None

    def state(self, project: str | None, queue: str) -> str | None:
        """Return the state of a queue's placement, None if it has none."""
        placement = self.placement(project, queue)
        return placement and placement["state"]

    def home(self, project: str | None, queue: str) -> str:
        """Return the partition of a queue."""
        placement = self.placement(project, queue)
        assert placement is not None, f"{project}/{queue} is not placed"
        (segment,) = placement["segments"]
        return segment["partition"]

    def listed(self, project: str | None, version: str = "v2") -> list[str]:
        """Return the names that a client sees, by the links of the listing to its end."""
        return [entry["name"] for page in self.pages(project, version) for entry in page]

    def pages(
        self, project: str | None, version: str, query: str = "", most: int = 50
    ) -> Iterator[list[dict[str, Any]]]:
        """Yield the pages of a listing up to the last one that is not empty. Raises AssertionError after ``most``."""
        href = f"/{version}/queues?{query}"
        for _ in range(most):
            answer = self.ask("GET", href, project)
            assert answer.status == (204 if not answer.body else 200), answer
            document = json.loads(answer.body) if answer.body else {"queues": []}
            if not document["queues"]:
                return
            yield document["queues"]
            (link,) = document["links"]
            href = link["href"]
        raise AssertionError(f"the listing has not ended after {most} pages")


# -- processes -------------------------------------------------------------------------------------------------------


def _connections() -> dict[tuple[int, int], str]:
    """Inodes of this machine's TCP sockets with a peer, by (own port, peer's port)."""
    found = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, own, peer, *_, inode = line.split()[:10]
        found[int(own.rpartition(":")[2], 16), int(peer.rpartition(":")[2], 16)] = inode
    return found


def _sockets(pid: int) -> set[str]:
    """Inodes of the sockets that a process has open; none if it is gone."""
    found = set()
    with suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                found.add(entry.readlink().name.removeprefix("socket:[").removesuffix("]"))
    return found


def process_at(own_port: int, peer_port: int, among: Iterable[int]) -> int:
    """Return which of the processes ``among`` has the connection from ``own_port`` to ``peer_port`` open."""

    def owner() -> int | None:
        inode = _connections().get((own_port, peer_port))
        return next((pid for pid in among if inode in _sockets(pid)), None)

    pid: int = until(owner, f"a process of {among} at port {own_port} of the connection to {peer_port}")
    return pid


def connections_by_process(port: int, peers: Collection[int], among: Iterable[int]) -> dict[int, int]:
    """Return how many connections to the local ``port`` from the ports ``peers`` each of the processes has accepted."""
    inodes = {inode for (own, peer), inode in _connections().items() if own == port and peer in peers}
    return {pid: len(inodes & _sockets(pid)) for pid in among}


def unread(port: int) -> bool:
    """Whether some connection to the local ``port`` has received what its process has not read."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, own, peer, _, queues = line.split()[:5]
        if own.endswith(f":{port:04X}") and not peer.endswith(":0000") and not queues.endswith(":00000000"):
            return True
    return False


@contextmanager
def alone(pid: int, among: Iterable[int]) -> Iterator[None]:
    """Let ``pid`` be the only one of the processes ``among`` that runs."""
    others = [other for other in among if other != pid]
    try:
        for other in others:
            suspend(other)
        yield
    finally:
        for other in others:
            with suppress(ProcessLookupError):
                os.kill(other, signal.SIGCONT)
