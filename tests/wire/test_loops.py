"""A front door is no partition: it is refused as one, and a call that comes back to it ends at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from catalog import open_catalog
from catalog.model import Partition
from tests.servers.fake_partition import FakePartition, until
from tests.servers.marconi import CommandFailed, marconi_proxy
from tests.wire.door import Door

PROJECT = "project"
# Versions are set, because a probe cannot read them from a front door.
HOME: dict[str, Any] = {"api_versions": ("v1", "v1.1", "v2"), "api_versions_set": True}


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    """Over a catalog of its own, without partitions; a probe every second."""
    options = {"admin.probe_interval": 1.0}
    with marconi_proxy(f"sqlite:///{tmp_path}/catalog.db", tmp_path / "logs", workers=2, options=options) as proxy:
        yield Door(proxy)


def insert(door: Door, partition: Partition) -> None:
    """Register a partition without the checks of the admin API."""

    async def done() -> None:
        catalog = await open_catalog(door.proxy.catalog)
        await catalog.partitions.insert(partition)
        await catalog.close()

    asyncio.run(done())


def placed(door: Door) -> Any:
    status, document = door.admin("GET", "/v1/placements")
    assert status in (200, 204)
    return document["placements"] if document else []


def test_the_front_door_is_not_registered_as_a_partition(door: Door) -> None:
    body = {"hosts": [door.proxy.public_url], "weight": 100}
    for members in ({}, {"api_versions": ["v2"]}):
        status, document = door.admin("PUT", "/v1/partitions/loop", body | members)
        assert status == 400
        assert f"{door.proxy.public_url} is a front door over this catalog, not a partition" in document["description"]
    assert door.admin("GET", "/v1/partitions/loop")[0] == 404
    with FakePartition() as host:
        name = door.register(host.url)
        assert door.admin("PATCH", f"/v1/partitions/{name}", {"hosts": [door.proxy.public_url]})[0] == 400
        assert door.admin("GET", f"/v1/partitions/{name}")[1]["hosts"] == [host.url]
    with pytest.raises(CommandFailed, match="exit code 2"):
        door.proxy.run("partition", "register", "loop", "--host", door.proxy.public_url)


def test_the_host_of_another_partition_is_refused_with_3(door: Door) -> None:
    with FakePartition() as host:
        name = door.register(host.url)
        other = host.url.replace("http://127.0.0.1", "HTTP://127.0.0.1") + "/"
        with pytest.raises(CommandFailed, match=f"exit code 3\n.*belongs to partition {name} already"):
            door.proxy.run("partition", "register", "twice", "--host", other)
        status, document = door.admin("PUT", "/v1/partitions/twice", {"hosts": [host.url], "weight": 1})
        assert (status, document["title"]) == (409, "Host taken")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/v2/queues/q", {}),
        ("PUT", "/v1.1/queues/q", None),
        ("POST", "/v2/queues/q/messages", {"messages": [{"ttl": 60, "body": 1}]}),
        ("GET", "/v2/queues/q/stats", None),
    ],
)
def test_a_call_that_comes_back_ends_at_once_and_leaves_nothing(door: Door, method: str, path: str, body: Any) -> None:
    insert(door, Partition("loop", (door.proxy.public_url,), **HOME))
    until(lambda: door.ask("GET", "/v2/queues/other/stats", PROJECT).status != 503, "the partition is known")
    answer = door.ask(method, path, PROJECT, body)
    assert answer.status == 400
    assert "This request has passed this front door already" in json.loads(answer.body)["description"]
    until(lambda: placed(door) == [], "nothing is left in the catalog")
    log = door.proxy.public.log_tail(100_000)
    assert "came back from 127.0.0.1: a host of a partition leads to this front door" in log


def test_a_probe_finds_a_host_that_leads_back(door: Door) -> None:
    insert(door, Partition("loop", (door.proxy.public_url,), **HOME))

    def told() -> bool:
        _, health = door.admin("GET", "/v1/health")
        return "is a front door over this catalog" in json.dumps(health)

    until(told, "a round of probes")


def test_the_front_door_of_another_deployment_may_be_a_partition(door: Door, tmp_path: Path) -> None:
    with (
        marconi_proxy(f"sqlite:///{tmp_path}/inner.db", tmp_path / "inner", workers=1) as proxy,
        FakePartition() as host,
    ):
        inner = Door(proxy)
        inner.tell_all(inner.register(host.url), host)
        door.register(proxy.public_url)
        until(lambda: door.ask("PUT", "/v2/queues/q", PROJECT, {}).status == 201, "the inner one is known")
        assert door.state(PROJECT, "q") == inner.state(PROJECT, "q") == "open"
