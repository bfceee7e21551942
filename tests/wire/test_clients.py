"""Unmodified clients live their whole life in our own node and behind the front door, in environments of their own.

Each script is first run against a real Zaqar, so that a failure elsewhere is not the script's.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.servers.interpreters import interpreter
from tests.servers.marconi import MarconiProxy, marconi_proxy
from tests.servers.partition import PartitionNode, storage_drivers
from tests.servers.zaqar import HOST, PINS, Zaqar
from tests.wire.raw_http import exchange
from tests.wire.script import OTHER_CLIENT

SCRIPTS = Path(__file__).with_name("clients")
# In seconds; a life is some hundred calls.
PATIENCE = 120
POSTED = 10


class ClientFailed(Exception):
    """A client's script failed a check; the message has all of its output."""


@dataclass(frozen=True)
class Client:
    """One release of a client speaking one version of the API. ``projects``: it can name its project."""

    name: str
    pins: str
    script: str
    version: str
    arguments: tuple[str, ...] = ()
    projects: bool = True

    def __str__(self) -> str:
        return f"{self.name}-{self.version}"

    def run(self, url: str, project: str, action: str, queues: list[str]) -> dict[str, Any]:
        """Run the script to its end and return its report. Raises ClientFailed."""
        python = interpreter(PINS / f"{self.pins}.txt")
        target = (url, project) if self.projects else (url,)
        done = subprocess.run(
            (str(python), str(SCRIPTS / self.script), *self.arguments, *target, action, *queues),
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8"},
        )
        if done.returncode != 0:
            raise ClientFailed(f"{self}, {action}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return json.loads(done.stdout)


NEWEST = Client("zaqarclient-4.7.0", "clients", "zaqar_client.py", "v2", ("2",))
CLIENTS = [
    Client("zaqarclient-3.0.1", "clients-zaqarclient3", "zaqar_client.py", "v1", ("1",)),
    Client("zaqarclient-3.0.1", "clients-zaqarclient3", "zaqar_client.py", "v1.1", ("1.1",)),
    Client("zaqarclient-3.0.1", "clients-zaqarclient3", "zaqar_client.py", "v2", ("2",)),
    NEWEST,
    Client("marconiclient-0.0.2", "clients-marconiclient", "marconi_client.py", "v1", projects=False),
    Client("openstacksdk-4.4.0", "clients", "openstack_sdk.py", "v2"),
]
OF_TENANTS = [client for client in CLIENTS if client.projects]
V2_CLIENTS = [client for client in CLIENTS if client.version == "v2"]


def _spread(client: Client) -> int:
    """Over how many partitions a tenant of this client can be spread: only two speak the versions before v2."""
    return 3 if client.version == "v2" else 2


@pytest.mark.nightly
@pytest.mark.parametrize("client", CLIENTS, ids=str)
def test_life_in_zaqar16_itself(client: Client, zaqar16: Zaqar) -> None:
    _live(client, zaqar16.url, _new_project())


@pytest.mark.nightly
@pytest.mark.parametrize("client", V2_CLIENTS, ids=str)
def test_life_in_zaqar23_itself(client: Client, zaqar23: Zaqar) -> None:
    _live(client, zaqar23.url, _new_project())


@pytest.mark.parametrize("driver", storage_drivers())
@pytest.mark.nightly
@pytest.mark.parametrize("client", CLIENTS, ids=str)
def test_life_in_our_own_node(client: Client, driver: str, nodes: Callable[[str, int], PartitionNode]) -> None:
    _live(client, nodes(driver, 0).url, _new_project())


@pytest.mark.parametrize("client", CLIENTS, ids=str)
def test_life_behind_the_front_door(client: Client, front_door: MarconiProxy) -> None:
    _live(client, front_door.public_url, _new_project())


@pytest.mark.quick
def test_life_behind_a_front_door_over_one_zaqar(
    zaqar16: Zaqar, new_catalog: Callable[[], str], tmp_path: Path
) -> None:
    with marconi_proxy(new_catalog(), tmp_path) as proxy:
        proxy.run("partition", "register", "zaqar", "--host", zaqar16.url)
        _live(NEWEST, proxy.public_url, _new_project())


@pytest.mark.parametrize("client", OF_TENANTS, ids=str)
def test_life_of_a_tenant_spread_over_partitions(client: Client, front_door: MarconiProxy) -> None:
    project = _new_project()
    front_door.run("tenant", "set", project, "--spread", str(_spread(client)))
    _live(client, front_door.public_url, project)


@pytest.mark.parametrize("partition", ["north", "south", "west"])
def test_life_of_a_tenant_pinned_to_a_partition(partition: str, front_door: MarconiProxy) -> None:
    client = V2_CLIENTS[0]
    project = _new_project()
    front_door.run("tenant", "set", project, "--pin", partition)
    _live(client, front_door.public_url, project)


@pytest.mark.parametrize("client", OF_TENANTS, ids=str)
def test_messages_of_a_spread_tenant_are_on_the_partition_of_their_queue_and_nowhere_else(
    client: Client, front_door: MarconiProxy, partitions: dict[str, Zaqar]
) -> None:
    # Not a random name: placement is a pure function of these names, so this uses the same partitions every time.
    project = f"spread-{client}"
    queues = [f"queue-{number}" for number in range(16)]
    front_door.run("tenant", "set", project, "--spread", str(_spread(client)))
    client.run(front_door.public_url, project, "post", queues)

    segments = _only_segments(front_door, project)
    assert sorted(segments) == sorted(queues)
    assert len({segment["partition"] for segment in segments.values()}) > 1
    for queue, segment in segments.items():
        found = {name: _messages(server, project, segment["physical"]) for name, server in partitions.items()}
        expected = {name: [] for name in partitions} | {segment["partition"]: list(range(POSTED))}
        assert found == expected, queue

    client.run(front_door.public_url, project, "drop", queues)
    for queue, segment in segments.items():
        assert _messages(partitions[segment["partition"]], project, segment["physical"]) == [], queue
    left = [row for row in front_door.query("placement", "list") if row["project"] == project]
    assert left == []


def _live(client: Client, url: str, project: str) -> None:
    # Names of their own also for the client that shares the namespace of no project.
    queues = [f"{uuid4().hex[:8]}-{letter}" for letter in "cab"]
    report = client.run(url, project, "life", queues)
    assert report["queues"] == queues
    assert "no queues in the end" in report["held"]


def _new_project() -> str:
    return f"project-{uuid4().hex[:12]}"


def _only_segments(proxy: MarconiProxy, project: str) -> dict[str, dict[str, Any]]:
    """The one segment that each queue of the project has."""
    found = {}
    for placement in _get((HOST, proxy.admin_port), f"/v1/placements?project={project}", project)["placements"]:
        (segment,) = placement["segments"]
        assert (placement["state"], segment["sealed"]) == ("open", False)
        found[placement["queue"]] = segment
    return found


def _messages(server: Zaqar, project: str, queue: str) -> list[int]:
    """The numbers in the bodies of the messages that this partition itself has in the queue."""
    path = f"/v2/queues/{queue}/messages?echo=true&include_claimed=true&limit=20"
    return [message["body"]["n"] for message in _get(server.address, path, project)["messages"]]


def _get(address: tuple[str, int], path: str, project: str) -> dict[str, Any]:
    answer = exchange(address, "GET", path, [("Client-ID", OTHER_CLIENT), ("X-Project-Id", project)])
    assert answer.status == 200, answer
    return json.loads(answer.body)
