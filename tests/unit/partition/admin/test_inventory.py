"""The operator's view of a node: what is shown, what is refused, and that only its own listener shows it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from partition.admin.application import AdminApplication
from partition.api.node import Node
from partition.model.queue import NO_PROJECT, Kind, QueueKey
from partition.serving.cli import Exit, main
from partition.serving.lifespan import Worker
from partition.storage.opening import open_storage
from tests.contract.partition_stores import CLIENT, LEASE, FakeClock, some

KEYS = [
    QueueKey(NO_PROJECT, "a"),
    QueueKey("p", "a"),
    QueueKey("p", "b"),
    QueueKey("p", "a", Kind.TOPIC),
    QueueKey("p,q/r", "a"),
    QueueKey("\xc3\xa9", "a"),
    QueueKey("\xff", "a"),
]
SHOWN = [(None, "a"), ("p", "a"), ("p", "b"), ("p", "~a"), ("p,q/r", "a"), ("é", "a"), ("\udcff", "a")]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def node(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Node]:
    storage = await open_storage(f"sqlite:///{tmp_path / 'store.db'}", clock)
    yield Node(storage)
    await storage.close()


@pytest.fixture
async def client(node: Node) -> AsyncIterator[httpx.AsyncClient]:
    for key in KEYS:
        await node.storage.create_queue(key, {"name": key.name})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(AdminApplication(node)), base_url="http://n") as client:
        yield client


def names(document: dict[str, Any]) -> list[tuple[str | None, str]]:
    return [(entry["project"], entry["queue"]) for entry in document["queues"]]


@pytest.mark.parametrize("limit", [1, 3, 7])
async def test_links_lead_through_all_of_it(client, limit):
    found, following = [], f"/v1/inventory?limit={limit}"
    while following:
        answer = await client.get(following)
        assert answer.status_code == 200
        found += names(answer.json())
        links = answer.json()["links"]
        following = links[0]["href"] if links else None
    assert found == SHOWN


async def test_an_entry_has_what_was_asked_for(client, node, clock):
    plain = (await client.get("/v1/inventory")).json()
    assert plain["queues"][0] == {"project": None, "queue": "a"}
    await node.storage.post(KEYS[1], some(*range(3)), CLIENT)
    await node.storage.claim(KEYS[1], LEASE, 1)
    clock.passes(7)
    full = (await client.get("/v1/inventory?metadata=true&detailed=true&limit=2")).json()
    assert full["queues"][1] == {
        "project": "p",
        "queue": "a",
        "metadata": {"name": "a"},
        "messages": {"free": 2, "claimed": 1, "total": 3},
        "oldest": {"age": 7, "created": "2023-11-14T22:13:20Z"},
    }
    assert full["queues"][0]["oldest"] is None
    assert full["links"] == [{"rel": "next", "href": "/v1/inventory?limit=2&metadata=true&detailed=true&marker=p%2Fa"}]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=101&detailed=true", "limit"),
        ("limit=101&metadata=true", "limit"),
        ("limit=ten", "limit"),
        ("detailed=perhaps", "detailed"),
        ("marker=nothing", "marker"),
        ("project=p", "project"),
    ],
)
async def test_what_cannot_be_is_refused_by_name(client, query, named):
    answer = await client.get(f"/v1/inventory?{query}")
    assert answer.status_code == 400
    assert answer.json()["description"].startswith(f"{named}: ")


async def test_there_is_nothing_else_there(client):
    assert (await client.get("/v1/queues")).status_code == 404
    answer = await client.post("/v1/inventory")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


async def test_a_store_that_fails_is_503(client, node):
    await node.storage.close()
    answer = await client.get("/v1/inventory")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


async def test_a_call_is_the_operators_by_the_port_it_comes_to(node):
    worker = Worker(lambda: None, 1.0, 7)
    worker._open_node = lambda: _given(node)
    await worker._open()

    async def status(port: int, path: str) -> int:
        transport = httpx.ASGITransport(worker)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://n:{port}") as client:
            return (await client.get(path)).status_code

    assert await status(7, "/v1/inventory") == 200
    assert await status(8, "/v1/inventory") == 404
    assert await status(8, "/") == 300
    assert await status(7, "/") == 404


async def _given(node: Node) -> Node:
    return node


def test_the_listener_must_have_a_port_of_its_own(tmp_path, capsys):
    storage = f"sqlite:///{tmp_path / 'store.db'}"
    assert main(["serve", "--storage", storage, "--admin-bind", "here"]) == Exit.USAGE
    assert "[server] admin_bind" in capsys.readouterr().err
