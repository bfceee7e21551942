"""A crowd of clients while hosts die, freeze and come back: the calls that may fail, and those that must not.

* 128 clients while each of two hosts of a partition gets kill -9 and is started again, three times, or for two minutes
  in ``tox -e nightly``: no safe call fails, no post is refused that a living host would have taken, none is stored
  twice.
* 1,000 impatient clients of a frozen partition: all calls to another partition are served.
* 1,000 clients that repeat their calls during an outage: all are served after it.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.depth import DEEP
from tests.servers.fake_partition import FakePartition, until
from tests.servers.marconi import marconi_proxy
from tests.servers.partition import PartitionNode, start_partition
from tests.wire.conftest import logged
from tests.wire.door import Door
from tests.wire.script import CLIENT

CLIENTS = 128
KILLS = 3
# Seconds of kills in the nightly run, and between one step and the next.
NIGHTLY = 120.0
PAUSE = 2.0
CROWD = 1000
PATIENCE = 60.0


class CrowdClient:
    """A client with one kept connection, which connects anew when it has none."""

    def __init__(self, door: Door, project: str) -> None:
        self._address = door.proxy.public_address
        self._project = project
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, method: str, target: str, document: Any = None) -> tuple[int, dict[str, str], bytes]:
        """Return (status, headers, body). Raises OSError, EOFError."""
        body = b"" if document is None else json.dumps(document).encode()
        head = (
            f"{method} {target} HTTP/1.1\r\nHost: x\r\nClient-ID: {CLIENT}\r\nX-Project-Id: {self._project}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(*self._address)
        assert self._reader is not None
        self._writer.write(head.encode() + body)
        first, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        answer = await self._reader.readexactly(int(headers.get("content-length", 0)))
        if headers.get("connection") == "close":
            self.leave()
        return int(first.split()[1]), headers, answer

    def leave(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()


@asynccontextmanager
async def crowd(door: Door, project: str, number: int) -> AsyncIterator[list[CrowdClient]]:
    clients = [CrowdClient(door, project) for _ in range(number)]
    try:
        yield clients
    finally:
        for client in clients:
            client.leave()


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    logs = tmp_path_factory.mktemp("trouble")
    options = {
        "public.max_connections_per_client": 10_000,
        "upstream.deadline": 20.0,
        "upstream.try_timeout": 1.0,
        "upstream.max_concurrency": 64,
        "admin.probe_interval": 1.0,
    }
    catalog = f"sqlite:///{logs / 'catalog.db'}"
    with marconi_proxy(catalog, logs, options=options) as proxy, logged(proxy.public, proxy.admin):
        yield Door(proxy)


# -- hosts that die ----------------------------------------------------------------------------------------------------


class Hosts:
    """Two nodes over one store, which get kill -9."""

    def __init__(self, directory: Path) -> None:
        self._storage = f"sqlite:///{directory / 'messages.db'}"
        self._directory = directory
        self.nodes: list[PartitionNode] = []

    def __enter__(self) -> Hosts:
        for _ in range(2):
            self.nodes.append(start_partition(self._storage, self._directory))
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.process.stop()

    def kill(self, number: int) -> None:
        self.nodes[number].kill()

    def revive(self, number: int) -> None:
        self.nodes[number] = start_partition(self._storage, self._directory, port=self.nodes[number].port)


async def test_hosts_that_are_killed_and_come_back(door: Door, tmp_path: Path) -> None:
    with Hosts(tmp_path) as hosts:
        partition = door.register(*(node.url for node in hosts.nodes), name="killed")
        project = door.tenant(pinned=partition)
        until(lambda: door.ask("PUT", "/v2/queues/q", project).status in (201, 204), "the queue is created")
        statuses: Counter[tuple[str, int]] = Counter()
        refusals: Counter[str] = Counter()
        posted: set[str] = set()
        ambiguous: set[str] = set()
        over = asyncio.Event()

        async def live(client: CrowdClient, *, posts: bool) -> None:
            while not over.is_set():
                if not posts:
                    status, _, body = await client.ask("GET", "/v2/queues/q/stats")
                    statuses["GET", status] += 1
                    if status != 200:
                        refusals[body.decode()] += 1
                    continue
                name = uuid.uuid4().hex
                status, _, body = await client.ask(
                    "POST", "/v2/queues/q/messages", {"messages": [{"ttl": 3600, "body": name}]}
                )
                statuses["POST", status] += 1
                if status == 201:
                    posted.add(name)
                elif b"may have been processed" in body:
                    ambiguous.add(name)
                else:
                    refusals[body.decode()] += 1
                await asyncio.sleep(random.uniform(0.0, 1.0))

        async with crowd(door, project, CLIENTS) as clients:
            living = [asyncio.create_task(live(client, posts=number % 2 == 0)) for number, client in enumerate(clients)]
            begin, kills = time.monotonic(), 0
            while time.monotonic() - begin < NIGHTLY if DEEP else kills < KILLS:
                await asyncio.sleep(PAUSE)
                await asyncio.to_thread(hosts.kill, kills % 2)
                await asyncio.sleep(PAUSE)
                await asyncio.to_thread(hosts.revive, kills % 2)
                kills += 1
            await asyncio.sleep(PAUSE)
            over.set()
            await asyncio.gather(*living)
        print(f"{kills} kills: {dict(statuses)}; {len(ambiguous)} posts may have been processed")
        assert refusals == {}
        assert statuses["GET", 200] == sum(count for (method, _), count in statuses.items() if method == "GET")
        stored = Counter(_bodies(door, project))
        assert [name for name, count in stored.items() if count > 1] == []
        assert posted <= stored.keys() <= posted | ambiguous


def _bodies(door: Door, project: str) -> Iterator[str]:
    """Yield the bodies of all messages."""
    target = "/v2/queues/q/messages?limit=20&echo=true"
    while True:
        page = json.loads(door.ask("GET", target, project).body)
        if not page["messages"]:
            return
        yield from (message["body"] for message in page["messages"])
        target = page["links"][0]["href"]


# -- a partition that is frozen ----------------------------------------------------------------------------------------


async def test_impatient_clients_of_a_frozen_partition_do_no_harm_to_another(door: Door) -> None:
    with FakePartition() as frozen, FakePartition() as alive:
        stuck = door.tenant(pinned=door.register(frozen.url))
        served = door.tenant(pinned=door.register(alive.url))
        for project in (stuck, served):
            until(
                lambda project=project: door.ask("PUT", "/v2/queues/q", project).status in (201, 204),
                "the queue is created",
            )
        over = asyncio.Event()
        statuses: Counter[int] = Counter()

        async def be_impatient(client: CrowdClient) -> None:
            while not over.is_set():
                try:
                    async with asyncio.timeout(random.uniform(0.1, 1.0)):
                        _, headers, _ = await client.ask("GET", "/v2/queues/q/stats")
                        await asyncio.sleep(int(headers.get("retry-after", 1)))
                except TimeoutError:
                    client.leave()

        async def be_served(client: CrowdClient) -> None:
            for _ in range(20):
                status, _, _ = await client.ask("GET", "/v2/queues/q/stats")
                statuses[status] += 1

        with frozen.hold("GET", ".*") as held:
            async with crowd(door, stuck, CROWD) as impatient, crowd(door, served, 16) as patient:
                waiting = [asyncio.create_task(be_impatient(client)) for client in impatient]
                await asyncio.to_thread(held.wait, 64)
                await asyncio.gather(*(be_served(client) for client in patient))
                over.set()
                await asyncio.gather(*waiting)
            assert statuses == {200: 16 * 20}
        # The places of those that have left are free: the partition serves as soon as it is thawed.
        until(lambda: door.ask("GET", "/v2/queues/q/stats", stuck).status == 200, "the partition serves again")


# -- an outage ---------------------------------------------------------------------------------------------------------


async def test_a_storm_of_retrying_clients_after_an_outage_is_absorbed(door: Door) -> None:
    with FakePartition() as one:
        project = door.tenant(pinned=door.register(one.url))
        until(lambda: door.ask("PUT", "/v2/queues/q", project).status in (201, 204), "the queue is created")
        one.refuse()
        refused = 0
        waits: Counter[int] = Counter()

        async def insist(client: CrowdClient) -> int:
            nonlocal refused
            for attempt in range(1, 1000):
                status, headers, _ = await client.ask("GET", "/v2/queues/q/stats")
                if status == 200:
                    return attempt
                assert status == 503
                refused += 1
                waits[int(headers["retry-after"])] += 1
                # A fifth of what is asked for: an impatient crowd.
                await asyncio.sleep(int(headers["retry-after"]) / 5)
            raise AssertionError("never served")

        async with crowd(door, project, CROWD) as clients:
            insisting = [asyncio.create_task(insist(client)) for client in clients]
            await _happens(lambda: refused >= 2 * CROWD)
            one.listen()
            back = time.monotonic()
            attempts = await asyncio.gather(*insisting)
            print(f"{refused} refusals; all served {time.monotonic() - back:.1f} s after the outage")
        assert len(attempts) == CROWD
        # They were not sent away to return together.
        assert len(waits) > 1


async def _happens(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - it follows from many clients
            await asyncio.sleep(0.05)
