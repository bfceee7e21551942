"""The iterators of unmodified clients walk a thousand queues that are spread over three partitions, and stop."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.servers.marconi import marconi_proxy
from tests.servers.partition import PartitionNode, start_partition
from tests.wire.conftest import logged
from tests.wire.door import Client as Connection
from tests.wire.door import Door, request_headers
from tests.wire.raw_http import exchange
from tests.wire.test_clients import Client

pytestmark = pytest.mark.slow

PARTITIONS = ("north", "south", "west")
# In an order in which no locale has them. (python-zaqarclient takes no names with a dot.)
NAMES = [f"{'-A_aZz0'[number % 7]}{number:03}" for number in range(1000)]
# So small that a walk for a rare name has pages without any.
SCAN_LIMIT = 25

CLIENTS = [
    Client("zaqarclient-3.0.1", "clients-zaqarclient3", "zaqar_client.py", "v1", ("1",)),
    Client("zaqarclient-3.0.1", "clients-zaqarclient3", "zaqar_client.py", "v1.1", ("1.1",)),
    Client("zaqarclient-3.0.1", "clients-zaqarclient3", "zaqar_client.py", "v2", ("2",)),
    Client("zaqarclient-4.7.0", "clients", "zaqar_client.py", "v2", ("2",)),
    Client("openstacksdk-4.4.0", "clients", "openstack_sdk.py", "v2"),
]


@dataclass
class Thousand:
    """A front door and the project in which it has ``NAMES``."""

    door: Door
    project: str
    nodes: dict[str, PartitionNode]


@pytest.fixture(scope="module")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Thousand]:
    directory = tmp_path_factory.mktemp("thousand")
    nodes = {}
    try:
        for name in PARTITIONS:
            (directory / name).mkdir()
            nodes[name] = start_partition(f"sqlite:///{directory / name / 'messages.db'}", directory / name)
        catalog, options = f"sqlite:///{directory / 'catalog.db'}", {"listing.scan_limit": SCAN_LIMIT}
        with marconi_proxy(catalog, directory, options=options) as proxy, logged(proxy.public, proxy.admin):
            for name, node in nodes.items():
                proxy.run("partition", "register", name, "--host", node.url)
            door = Door(proxy)
            project = door.tenant(spread=len(PARTITIONS))
            with ThreadPoolExecutor(4) as together:
                for made in [together.submit(_make, proxy.public_port, project, NAMES[n::4]) for n in range(4)]:
                    made.result()
            yield Thousand(door, project, nodes)
    finally:
        for node in nodes.values():
            node.process.stop()


def _make(port: int, project: str, names: list[str]) -> None:
    connection = Connection(port)
    try:
        for name in names:
            answer = connection.ask("PUT", f"/v2/queues/{name}", project)
            assert answer.status == 201, answer
    finally:
        connection.close()


def test_the_queues_are_spread(thousand: Thousand) -> None:
    counts = []
    for node in thousand.nodes.values():
        headers = request_headers(thousand.project, {}).items()
        answer = exchange(("127.0.0.1", node.port), "GET", "/v2/queues?with_count=true&limit=1", headers)
        counts.append(json.loads(answer.body)["count"])
    assert sum(counts) == len(NAMES)
    assert min(counts) > len(NAMES) / 6


@pytest.mark.parametrize("client", CLIENTS, ids=str)
def test_a_walk_shows_every_queue_once_in_order_and_ends(client: Client, thousand: Thousand) -> None:
    report = client.run(thousand.door.proxy.public_url, thousand.project, "walk", NAMES)
    assert len(report["held"]) == (4 if client.script == "zaqar_client.py" and client.version == "v2" else 2)


def test_a_walk_for_a_rare_name_has_empty_pages_before_its_end(thousand: Thousand) -> None:
    href, pages = "/v2/queues?name=99", []
    while True:
        document = json.loads(thousand.door.ask("GET", href, thousand.project).body)
        pages.append([entry["name"] for entry in document["queues"]])
        if not document["links"]:
            break
        href = document["links"][0]["href"]
    assert [name for page in pages for name in page] == [name for name in sorted(NAMES) if "99" in name]
    assert len(pages) >= len(NAMES) // SCAN_LIMIT
    assert pages.count([]) > 1
