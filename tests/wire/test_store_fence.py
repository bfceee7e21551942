"""A machine is paused with its clocks, then writes by a stale placement: stores refuse this, and nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.servers.fake_partition import until
from tests.servers.suspension import suspend
from tests.wire.door import Client
from tests.wire.estate import Estate, estate
from tests.wire.hand import locked
from tests.wire.raw_http import exchange

LAUNCHER = (sys.executable, str(Path(__file__).parents[1] / "servers" / "stopped_clock.py"))
QUEUE = "orders"
PATH = f"/v2/queues/{QUEUE}"
POSTS = 20
# Short, for the move waits for the lease of the machine to end; probes teach the catalog that the nodes fence.
OPTIONS = {"directory__lease": 4.0, "admin__probe_interval": 1.0}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    with estate(tmp_path_factory.mktemp("fence"), "north", "south", launcher=LAUNCHER, **OPTIONS) as here:
        until(lambda: all(entry["fences"] for entry in here.door.admin("GET", "/v1/partitions")[1]), "all fence")
        yield here


@pytest.fixture
def project(running: Estate) -> str:
    project = running.door.tenant(pinned="north")
    assert running.door.ask("PUT", PATH, project).status == 201
    return project


def message(body: Any) -> dict[str, Any]:
    return {"messages": [{"ttl": 3600, "body": body}]}


def stored(here: Estate, name: str, project: str, backend_name: str = QUEUE) -> list[Any]:
    """Return the bodies that a node lists of the queue. ``backend_name``: its name there."""
    headers = {"Client-ID": "3381af92-2b9e-11e3-b191-71861300734c", "X-Project-Id": project}
    found: list[Any] = []
    target = f"/v2/queues/{backend_name}/messages?limit=20&echo=true"
    while True:
        page = json.loads(exchange(here.nodes[name].address, "GET", target, headers.items()).body)
        if not page["messages"]:
            return found
        found += [one["body"] for one in page["messages"]]
        target = next(link["href"] for link in page["links"] if link["rel"] == "next")


def last_name(here: Estate, project: str) -> str:
    """Return the name of the queue in its last segment."""
    placement = here.door.placement(project, QUEUE)
    assert placement is not None
    return str(placement["segments"][-1]["physical"])


def order(here: Estate, project: str, target: str) -> str:
    _, document = here.door.admin("POST", "/v1/moves", {"project": project, "queue": QUEUE, "to": target})
    (move,) = document["moves"]
    return str(move["id"])


def test_posts_that_waited_in_a_paused_machine_come_to_where_writes_go_by_then(running: Estate, project: str) -> None:
    """Its clocks have stopped with it, so its lease seems to last, and it knows nothing of the switch."""
    here = running
    paused, other = here.door.workers[:2]
    with ExitStack() as stack:
        clients: list[Client] = [stack.enter_context(here.door.through(paused)) for _ in range(POSTS)]
        awake = stack.enter_context(here.door.through(other))
        for number, client in enumerate(clients):
            assert client.ask("POST", f"{PATH}/messages", project, message([number, "before"])).status == 201
        suspend(paused)
        try:
            for number, client in enumerate(clients):
                client.send("POST", f"{PATH}/messages", project, message([number, "late"]))
            move = order(here, project, "south")
            here.reaches(move, "draining")
            assert awake.ask("POST", f"{PATH}/messages", project, message("switched")).status == 201
            before = stored(here, "north", project)
            # It is not registered any more, but cannot learn of that before it writes.
            with locked(here.directory / "catalog.db"):
                os.kill(paused, signal.SIGCONT)
                answers = [client.answered() for client in clients]
        finally:
            os.kill(paused, signal.SIGCONT)
        assert [answer.status for answer in answers] == [201] * POSTS
        # The sealed segment got nothing more, and the last one has all that was acknowledged.
        assert stored(here, "north", project) == before == [[number, "before"] for number in range(POSTS)]
        south = stored(here, "south", project, last_name(here, project))
        assert south[0] == "switched"
        assert sorted(south[1:]) == [[number, "late"] for number in range(POSTS)]
        # It was not by chance: they were refused first.
        assert here.proxy.public.log.read_text().count("came after a switch and was refused there") >= 1


def test_a_post_of_a_paused_machine_creates_no_queue_where_one_was_retired(running: Estate, project: str) -> None:
    here = running
    paused, other = here.door.workers[:2]
    with here.door.through(paused) as client, here.door.through(other) as awake:
        assert client.ask("POST", f"{PATH}/messages", project, message("before")).status == 201
        suspend(paused)
        try:
            client.send("POST", f"{PATH}/messages", project, message("late"))
            move = order(here, project, "south")
            here.reaches(move, "draining")
            assert awake.ask("DELETE", f"{PATH}/messages?pop=1", project).status == 200
            here.reaches(move, "done")
            with locked(here.directory / "catalog.db"):
                os.kill(paused, signal.SIGCONT)
                assert client.answered().status == 201
        finally:
            os.kill(paused, signal.SIGCONT)
    assert stored(here, "north", project) == []
    assert stored(here, "south", project, last_name(here, project)) == ["late"]


def test_a_queue_that_is_deleted_and_created_again_takes_posts(running: Estate, project: str) -> None:
    """Where the one of before was closed: epochs begin at 1 again."""
    here = running
    move = order(here, project, "south")
    here.reaches(move, "done")
    assert here.door.ask("DELETE", PATH, project).status == 204
    assert here.door.ask("PUT", PATH, project).status == 201
    assert here.door.ask("POST", f"{PATH}/messages", project, message("again")).status == 201
    assert stored(here, "north", project) == ["again"]


def test_there_and_back_again(running: Estate, project: str) -> None:
    here = running
    for number, target in enumerate(("south", "north", "south")):
        here.reaches(order(here, project, target), "done")
        assert here.door.ask("POST", f"{PATH}/messages", project, message(number)).status == 201
        assert here.door.ask("DELETE", f"{PATH}/messages?pop=1", project).status == 200


def test_one_store_is_registered_once(running: Estate, tmp_path: Path) -> None:
    """Under another address of the same node."""
    here = running
    host = here.nodes["north"].url.replace("127.0.0.1", "localhost")
    command = here.command("partition", "register", "alias", "--host", host)
    assert command.ended() == 3
    assert "serve the store of partition north" in command.err
    assert here.door.admin("GET", "/v1/partitions/alias")[0] == 404


def test_clients_of_the_proxy_close_no_queue(running: Estate, project: str) -> None:
    refused = running.door.ask("PUT", f"{PATH}/fence", project, None, **{"X-Marconi-Epoch": "life/999999"})
    assert refused.status == 404
    late = running.door.ask("POST", f"{PATH}/messages", project, message("x"), **{"X-Marconi-Epoch": "life/0"})
    assert late.status == 201
