"""Catalog verify over real processes: a front door, a mover, two of our nodes and a Zaqar, and damage done to them."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from catalog import Catalog, open_catalog
from catalog.model import Placement, PlacementState, QueueKey, Segment
from marconi_proxy.cli.main import main
from tests.servers.fake_partition import until
from tests.servers.marconi import ADMIN_URL_VARIABLE
from tests.servers.partition import PartitionNode, start_partition
from tests.servers.zaqar import Zaqar
from tests.wire.conftest import logged
from tests.wire.raw_http import Answer, exchange
from tests.wire.script import CLIENT
from tests.wire.test_live_moves import PATIENCE, Mover, running

T = TypeVar("T")
_EXECUTABLE = Path(sys.executable).with_name("marconi-proxy")
# Short waits, which are safe here because all processes share one clock.
OPTIONS = {"audit.confirm_after": 0.1, "audit.clocks": 1.0, "moving.ambiguity": 0.0}
REPAIRED = {"ghost", "drift", "unfinished", "leftover", "stranded"}


@dataclass
class Audited:
    """North has an inventory, south and Zaqar have none."""

    mover: Mover
    addresses: dict[str, tuple[str, int]]

    def verify(self, *arguments: str, status: int | None) -> list[dict[str, Any]]:
        """Run the command, which must end with ``status``, or with 0 or 3; return the findings."""
        env = {f"OS_{name.replace('.', '__')}".upper(): str(value) for name, value in OPTIONS.items()}
        proxy = self.mover.door.proxy
        command = ("catalog", "verify", "--catalog", proxy.catalog, "--rate", "500", "-f", "json", *arguments)
        out, err = io.StringIO(), io.StringIO()
        # In this process: to start another one takes longer than all that it does.
        with (
            pytest.MonkeyPatch.context() as patched,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            for name, value in (env | {ADMIN_URL_VARIABLE: proxy.admin_url}).items():
                patched.setenv(name, value)
            ended = main(list(command))
        assert ended in ((0, 3) if status is None else (status,)), err.getvalue() + out.getvalue()
        found: list[dict[str, Any]] = json.loads(out.getvalue())
        return found

    def kinds(self, project: str, status: int) -> list[tuple[str, str, str]]:
        found = self.verify("--project", project, status=status)
        assert {one["project"] for one in found} <= {project}
        return sorted((one["kind"], one["queue"], one["partition"]) for one in found)

    def directly(self, partition: str, method: str, path: str, project: str, body: Any = None, **more: str) -> Answer:
        """Call a partition past the front door."""
        data = b"" if body is None else json.dumps(body).encode()
        headers = {"Client-ID": CLIENT, "X-Project-Id": project, **more}
        return exchange(self.addresses[partition], method, path, headers.items(), data)

    def catalog(self, work: Callable[[Catalog], Awaitable[T]]) -> T:
        async def opened() -> T:
            catalog = await open_catalog(self.mover.door.proxy.catalog)
            try:
                return await work(catalog)
            finally:
                await catalog.close()

        return asyncio.run(opened())

    def project(self, home: str) -> str:
        project = self.mover.door.tenant(pinned=home)
        assert self.mover.door.ask("PUT", "/v2/queues/healthy", project).status == 201
        return project

    def post(self, project: str, queue: str) -> None:
        body = {"messages": [{"ttl": 300, "body": "x"}]}
        assert self.mover.door.ask("POST", f"/v2/queues/{queue}/messages", project, body).status == 201

    def drains(self, project: str, queue: str, target: str) -> str:
        """Move a queue that has a message, so that its older part stays; return the move."""
        self.post(project, queue)
        move = self.mover.order(project, queue, target)
        self.mover.until_in(move, "draining")
        return move

    def empty(self, project: str, queue: str) -> None:
        def nothing_left() -> bool:
            answer = self.mover.door.ask("DELETE", f"/v2/queues/{queue}/messages?pop=10", project)
            return answer.status == 200 and not json.loads(answer.body)["messages"]

        until(nothing_left, f"{queue} is empty")


@pytest.fixture(scope="module")
def audited(zaqar16: Zaqar, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    directory = tmp_path_factory.mktemp("audit")
    nodes: dict[str, PartitionNode] = {}
    try:
        for name in ("north", "south"):
            (directory / name).mkdir()
            storage = f"sqlite:///{directory / name / 'messages.db'}"
            nodes[name] = start_partition(storage, directory / name, inventory=name == "north")
        with logged(*(node.process for node in nodes.values())):
            urls = {name: node.url for name, node in nodes.items()} | {"zaqar": zaqar16.url}
            with running(directory, urls, moving__ambiguity=0.0) as mover:
                mover.door.change("north", inventory=nodes["north"].inventory)
                addresses = {name: node.address for name, node in nodes.items()} | {"zaqar": zaqar16.address}
                yield Audited(mover, addresses)
    finally:
        for node in nodes.values():
            node.process.stop()


def ghost(audited: Audited, project: str, home: str, away: str) -> tuple[str, str]:
    assert audited.mover.door.ask("PUT", "/v2/queues/ghost", project).status == 201
    assert audited.directly(home, "DELETE", "/v2/queues/ghost", project).status == 204
    return "ghost", home


def orphan(audited: Audited, project: str, home: str, away: str) -> tuple[str, str]:
    assert audited.directly(home, "PUT", "/v2/queues/orphan", project).status == 201
    return "orphan", home


def double(audited: Audited, project: str, home: str, away: str) -> tuple[str, str]:
    assert audited.mover.door.ask("PUT", "/v2/queues/double", project).status == 201
    assert audited.directly(away, "PUT", "/v2/queues/double", project).status == 201
    return "double", away


def drift(audited: Audited, project: str, home: str, away: str) -> tuple[str, str]:
    assert audited.mover.door.ask("PUT", "/v2/queues/drift", project, {"colour": "blue"}).status == 201
    audited.drains(project, "drift", away)
    assert audited.directly(home, "PUT", "/v1/queues/drift/metadata", project, {"colour": "red"}).status == 204
    return "drift", home


def foreign_writer(audited: Audited, project: str, home: str, away: str) -> tuple[str, str]:
    audited.drains(project, "foreign", away)
    switched = time.monotonic()
    # The longest call of a front door, none here, and the difference of clocks; in whole seconds.
    until(lambda: time.monotonic() > switched + OPTIONS["audit.clocks"] + 1.5, "nothing of before can come any more")
    body = {"messages": [{"ttl": 300, "body": "past the front door"}]}
    # Our own nodes take no other posts there any more.
    of_another_proxy = {"X-Marconi-Epoch": f"{uuid.uuid4().hex}/1"}
    answer = audited.directly(home, "POST", "/v2/queues/foreign/messages", project, body, **of_another_proxy)
    assert answer.status == 201
    return "foreign", home


def unfinished(audited: Audited, project: str, home: str, away: str) -> tuple[str, str]:
    segment = Segment(0, home, "unfinished")
    placement = Placement(
        project, "unfinished", 1, PlacementState.DELETING, (segment,), since=1.0, incarnation=uuid.uuid4().hex
    )
    assert audited.directly(home, "PUT", "/v2/queues/unfinished", project).status == 201
    audited.catalog(lambda catalog: catalog.placements.insert(placement))
    return "unfinished", home


def leftover(audited: Audited, project: str, home: str, away: str) -> tuple[str, str]:
    """There and back while it has messages, which gives it another name; and away again."""
    move = audited.drains(project, "leftover", away)
    status, _ = audited.mover.door.admin("POST", f"/v1/moves/{move}/reverse")
    assert status == 200
    until(lambda: audited.mover.segments(project, "leftover") == [home, away, home], "it is back")
    placement = audited.mover.door.placement(project, "leftover")
    assert placement is not None
    name = placement["segments"][-1]["physical"]
    assert name != "leftover"
    audited.empty(project, "leftover")
    audited.mover.until_in(move, "done")
    audited.mover.until_in(audited.mover.order(project, "leftover", away), "done")
    assert audited.directly(home, "PUT", f"/v2/queues/{name}", project).status == 201
    return name, home


def stranded(audited: Audited, project: str, home: str, away: str) -> tuple[str, str]:
    """An adoption that was broken off: the chain is there, and its move is not."""
    for name in (home, away):
        assert audited.directly(name, "PUT", "/v2/queues/stranded", project).status == 201
    chain = (Segment(0, home, "stranded", sealed=True), Segment(1, away, "stranded"))
    incarnation = uuid.uuid4().hex
    placement = Placement(
        project, "stranded", 1, PlacementState.OPEN, chain, since=1.0, incarnation=incarnation, move=f"of-{incarnation}"
    )
    audited.catalog(lambda catalog: catalog.placements.insert(placement))
    return "stranded", away


DAMAGE = {
    "ghost": ghost,
    "orphan": orphan,
    "double": double,
    "drift": drift,
    "foreign-writer": foreign_writer,
    "unfinished": unfinished,
    "leftover": leftover,
    "stranded": stranded,
}
WAYS = [("north", "zaqar"), ("zaqar", "south")]


@pytest.mark.parametrize(("home", "away"), WAYS)
@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_found_and_repaired_where_that_is_safe(kind: str, home: str, away: str, audited: Audited) -> None:
    project = audited.project(home)
    assert audited.kinds(project, 0) == []
    expected = (kind, *DAMAGE[kind](audited, project, home, away))
    assert audited.kinds(project, 3) == [expected]
    safe = kind in REPAIRED
    (repaired,) = audited.verify("--project", project, "--repair", status=0 if safe else 3)
    assert repaired["repair"] == ("repaired" if safe else "remains")
    assert audited.kinds(project, 0 if safe else 3) == ([] if safe else [expected])


def test_all_damage_together_in_all_that_there_is(audited: Audited) -> None:
    before = {(one["project"], one["queue"]) for one in audited.verify(status=None)}
    projects = [(audited.project(home), home, away) for home, away in WAYS]
    expected = {
        (kind, project, *do(audited, project, home, away))
        for project, home, away in projects
        for kind, do in DAMAGE.items()
    }
    found = audited.verify(status=3)
    news = [one for one in found if (one["project"], one["queue"]) not in before]
    assert {(one["kind"], one["project"], one["queue"], one["partition"]) for one in news} == expected
    audited.verify("--repair", status=3)
    left = [one for one in audited.verify(status=3) if (one["project"], one["queue"]) not in before]
    assert {(one["kind"], one["project"], one["queue"], one["partition"]) for one in left} == {
        one for one in expected if one[0] not in REPAIRED
    }


def test_what_the_repair_of_a_ghost_leaves_works(audited: Audited) -> None:
    project = audited.project("south")
    ghost(audited, project, "south", "north")
    assert audited.mover.door.ask("GET", "/v1/queues/ghost", project).status == 404
    audited.verify("--project", project, "--repair", status=0)
    assert audited.mover.door.ask("GET", "/v1/queues/ghost", project).status == 204
    audited.post(project, "ghost")
    assert audited.mover.door.placement(project, "ghost") is not None


def test_what_was_stranded_is_drained_when_its_move_is_resumed(audited: Audited) -> None:
    project = audited.project("north")
    stranded(audited, project, "north", "south")
    body = {"messages": [{"ttl": 300, "body": "of before"}]}
    assert audited.directly("north", "POST", "/v2/queues/stranded/messages", project, body).status == 201
    audited.verify("--project", project, "--repair", status=0)
    placement = audited.mover.door.placement(project, "stranded")
    assert placement is not None
    status, _ = audited.mover.door.admin("POST", f"/v1/moves/{placement['move']}/resume")
    assert status == 200
    audited.post(project, "stranded")
    audited.empty(project, "stranded")
    audited.mover.until_in(placement["move"], "done")
    assert audited.mover.segments(project, "stranded") == ["south"]
    assert audited.kinds(project, 0) == []


def test_a_partition_that_does_not_answer_is_told_and_has_no_ghosts(audited: Audited) -> None:
    project = audited.project("south")
    audited.mover.door.register("http://127.0.0.1:9", name="down", api_versions=["v2"], weight=0)
    placement = Placement(project, "there", 1, PlacementState.OPEN, (Segment(0, "down", "there"),), incarnation="born")
    audited.catalog(lambda catalog: catalog.placements.insert(placement))
    try:
        assert audited.verify("--project", project, status=4) == []
        assert audited.verify("--project", project, "--partition", "south", status=0) == []
        ghost(audited, project, "south", "north")
        assert [one["kind"] for one in audited.verify("--project", project, status=3)] == ["ghost"]
    finally:
        audited.catalog(lambda catalog: catalog.placements.remove(QueueKey(project, "there"), 1, "born"))
        status, _ = audited.mover.door.admin("DELETE", "/v1/partitions/down")
        assert status == 204


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--partition", "nowhere"), "--partition: nowhere is not registered"),
        (("--rate", "0"), "--rate: must be more than 0"),
        (("--project", ""), "--project: "),
        (("--project", "p", "--projects-file", "f"), "--projects-file"),
        (("--projects-file", "/dev/null"), "names no project"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(arguments: tuple[str, ...], says: str, audited: Audited) -> None:
    command = (str(_EXECUTABLE), "catalog", "verify", "--catalog", audited.mover.door.proxy.catalog, *arguments)
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
