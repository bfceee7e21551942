"""The commands of adoption as an operator meets them: refusals, a killed process, and a front door in between."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from catalog import open_catalog
from tests.servers.fake_partition import until
from tests.servers.partition import start_partition
from tests.wire.conftest import logged
from tests.wire.estate import Command, Estate, estate
from tests.wire.raw_http import Answer, exchange
from tests.wire.script import CLIENT

PROJECT = "project"
HEADERS = {"Client-ID": CLIENT, "X-Project-Id": PROJECT}
MANY = 300


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    with estate(tmp_path_factory.mktemp("adoption"), "north", "south") as two:
        yield two


def adopt(here: Estate, *arguments: object) -> Command:
    return here.command("catalog", "adopt", *map(str, arguments), "--catalog", here.proxy.catalog, "-f", "json")


def ended(command: Command, status: int = 0) -> Any:
    assert command.ended() == status, command.err
    return json.loads(command.out) if command.out else None


def directly(here: Estate, partition: str, method: str, path: str, project: str, body: Any = None) -> Answer:
    data = b"" if body is None else json.dumps(body).encode()
    return exchange(here.nodes[partition].address, method, path, (HEADERS | {"X-Project-Id": project}).items(), data)


def count(here: Estate, project: str) -> int:
    async def counted() -> int:
        catalog = await open_catalog(here.proxy.catalog)
        try:
            return await catalog.placements.count(project=project)
        finally:
            await catalog.close()

    return asyncio.run(counted())


def test_an_apply_that_is_killed_goes_on_when_it_is_given_again(here: Estate, tmp_path: Path) -> None:
    for number in range(MANY):
        assert directly(here, "north", "PUT", f"/v2/queues/q{number}", "killed").status == 201
    plan = tmp_path / "plan"
    assert ended(adopt(here, "plan", "north", "south", "--project", "killed", "-o", plan))["queues"] == MANY
    applying = adopt(here, "apply", plan, "--rate", 5)
    until(lambda: count(here, "killed"), "something is adopted")
    applying.process.send_signal(signal.SIGKILL)
    applying.process.wait()
    before = count(here, "killed")
    assert 0 < before < MANY
    summary = ended(adopt(here, "apply", plan, "--rate", 10_000))
    assert (summary["there"], summary["adopted"], summary["conflicts"]) == (before, MANY - before, 0)
    assert ended(adopt(here, "apply", plan, "--rate", 10_000))["there"] == MANY
    assert ended(adopt(here, "plan", "north", "south", "--project", "killed", "-o", plan))["queues"] == 0


def test_a_queue_that_the_front_door_makes_elsewhere_is_shown_and_can_be_chained(here: Estate, tmp_path: Path) -> None:
    project = here.door.tenant(pinned="south")
    plan = tmp_path / "plan"

    def message(body: str) -> dict[str, object]:
        return {"messages": [{"ttl": 300, "body": body}]}

    path = "/v2/queues/orders/messages"
    assert directly(here, "north", "POST", path, project, message("before")).status == 201
    ended(adopt(here, "plan", "north", "south", "--project", project, "-o", plan))
    assert here.door.ask("POST", path, project, message("after")).status == 201
    applying = adopt(here, "apply", plan)
    assert ended(applying, 3)["conflicts"] == 1
    assert f"{project}/orders: it is placed on south, and found on north as well" in applying.err
    assert "Next: marconi-proxy catalog adopt plan" in applying.err

    made = ended(adopt(here, "plan", "north", "south", "--project", project, "-o", plan))
    assert (made["queues"], made["conflicts"], made["chain"]) == (0, 1, 1)
    assert ended(adopt(here, "apply", plan))["adopted"] == 1
    placement = here.door.placement(project, "orders")
    assert placement is not None
    assert [(s["partition"], s["sealed"]) for s in placement["segments"]] == [("north", True), ("south", False)]

    def claimed() -> list[str]:
        answer = here.door.ask("POST", "/v2/queues/orders/claims", project, {"ttl": 300, "grace": 60})
        if answer.status == 204:
            return []
        messages = json.loads(answer.body)["messages"]
        for each in messages:
            assert here.door.ask("DELETE", each["href"], project).status == 204
        return [each["body"] for each in messages]

    # As soon as the workers have heard of it.
    assert until(claimed, "a message") == ["before"]
    assert claimed() == ["after"]
    assert ended(adopt(here, "apply", plan, "--retire"))["retiring"] == 1
    here.reaches(placement["move"], "done")
    assert directly(here, "north", "GET", "/v1/queues/orders", project).status == 404


def test_an_inventory_needs_no_projects(here: Estate, tmp_path: Path) -> None:
    node = start_partition(f"sqlite:///{tmp_path / 'messages.db'}", tmp_path, inventory=True)
    try:
        with logged(node.process):
            assert exchange(node.address, "PUT", "/v2/queues/known", HEADERS.items(), b"").status == 201
            here.proxy.run("partition", "register", "own", "--host", node.url, "--inventory", str(node.inventory))
            plan = tmp_path / "plan"
            assert ended(adopt(here, "plan", "own", "-o", plan))["queues"] == 1
            assert ended(adopt(here, "apply", plan))["adopted"] == 1
            placement = here.door.placement(PROJECT, "known")
            assert placement is not None
            assert placement["segments"][0]["partition"] == "own"
    finally:
        node.process.stop()


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("plan", "nowhere", "--project", "p", "-o", "PLAN"), 2, "PARTITION: nowhere is not registered"),
        (("plan", "north", "-o", "PLAN"), 1, "partition north has no inventory"),
        (("plan", "north", "--project", "", "-o", "PLAN"), 2, "--project: "),
        (("plan", "north", "--project", "p", "--projects-file", "f", "-o", "PLAN"), 2, "--projects-file"),
        (("plan", "north", "--projects-file", "/nowhere/at/all", "-o", "PLAN"), 2, "--projects-file: cannot read"),
        (("plan", "north", "--projects-file", "/dev/null", "-o", "PLAN"), 2, "names no project"),
        (("plan", "north", "--project", "p", "-o", "/nowhere/plan"), 1, "--output: cannot write /nowhere/plan"),
        (("plan", "north", "--project", "p", "-o", "/"), 1, f"--output: cannot write /: {os.strerror(errno.EISDIR)}"),
        (("plan", "north", "--project", "p", "--rate", "0", "-o", "PLAN"), 2, "--rate: must be more than 0"),
        (("plan", "north", "--project", "p", "--rule", "merge", "-o", "PLAN"), 2, "--rule"),
        (("plan", "down", "--project", "p", "-o", "PLAN"), 1, "partition down"),
        (("apply", "/nowhere/plan"), 2, "FILE: cannot read /nowhere/plan"),
        (("apply", "/dev/null"), 3, "it was cut off. Nothing was done"),
        (("apply", __file__), 3, "line 1: is not one whole JSON object. Nothing was done"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    arguments: tuple[str, ...], status: int, says: str, here: Estate, tmp_path: Path
) -> None:
    plan = tmp_path / "plan"
    if "down" in arguments:
        here.door.admin(
            "PUT", "/v1/partitions/down", {"hosts": ["http://127.0.0.1:9"], "weight": 0, "api_versions": ["v2"]}
        )
    command = adopt(here, *(str(plan) if argument == "PLAN" else argument for argument in arguments))
    ended(command, status)
    assert says in command.err
    assert "Traceback" not in command.err
    assert list(tmp_path.iterdir()) == []


def test_a_device_is_written_to_and_not_replaced(here: Estate, tmp_path: Path) -> None:
    link = tmp_path / "plan"
    link.symlink_to("/dev/null")
    ended(adopt(here, "plan", "north", "--project", "nobody", "-o", link))
    assert link.readlink() == Path("/dev/null")
    assert link.is_char_device()
