"""Moves as operators order, watch and change them on the command line, of queues that have more than messages."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from catalog.model import MoveState
from marconi_proxy.moving.protocol.machine import before_switch
from tests.servers.fake_partition import until
from tests.servers.marconi import CommandFailed
from tests.servers.suspension import suspend
from tests.wire.estate import Estate, estate
from tests.wire.raw_http import Answer

PATCH = "application/openstack-messaging-v2.0-json-patch"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    with estate(tmp_path_factory.mktemp("orders"), "north", "south", "east") as both:
        yield both


class Project:
    """A project with new queues on north."""

    def __init__(self, here: Estate) -> None:
        self.here = here
        self.id = here.door.tenant(pinned="north")

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        return self.here.door.ask(method, f"/v2{path}", self.id, body, **headers)

    def done(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Ask for what must succeed; return the document."""
        answer = self.ask(method, path, body, **headers)
        assert 200 <= answer.status < 300, answer
        return json.loads(answer.body) if answer.body else None

    def post(self, queue: str, *bodies: Any) -> None:
        self.done("POST", f"/queues/{queue}/messages", {"messages": [{"ttl": 3600, "body": body} for body in bodies]})

    def take(self, queue: str, most: int = 20) -> list[Any]:
        """Take messages out; return their bodies."""
        document = self.done("DELETE", f"/queues/{queue}/messages?pop={most}")
        return [message["body"] for message in document["messages"]] if document else []

    def segments(self, queue: str) -> list[str]:
        placement = self.here.door.placement(self.id, queue)
        assert placement is not None
        return [segment["partition"] for segment in placement["segments"]]

    def start(self, queue: str, *more: str) -> str:
        """Order a move to south; return its id."""
        arguments = ("move", "start", self.id, queue, "--to", "south", *more)
        found: str = self.here.proxy.query(*arguments)["id"]
        return found


@pytest.fixture
def project(here: Estate) -> Project:
    return Project(here)


def test_a_queue_takes_its_dead_letter_queue_along(here: Estate, project: Project) -> None:
    project.done("PUT", "/queues/orders", {"_dead_letter_queue": "dead", "_max_claim_count": 1})
    project.done("PUT", "/queues/dead")
    project.post("orders", "one")
    project.post("dead", "lost before")
    rehearsal = here.proxy.query("move", "start", project.id, "orders", "--to", "south", "--dry-run")
    assert rehearsal["target"] == "south"
    assert "orders: hold each write for at most" in " ".join(rehearsal["would"])
    move_id = project.start("orders", "--wait", "switch")
    assert (project.segments("orders"), project.segments("dead")) == (["north", "south"], ["north", "south"])
    (other,) = here.move(move_id)["group"]
    assert here.move(other)["queue"] == "dead"
    assert not before_switch(MoveState(here.move(other)["state"]))
    project.post("orders", "two")
    assert project.take("orders", 1) == ["one"]
    assert project.take("orders", 1) == ["two"]
    assert project.take("dead", 1) == ["lost before"]
    for moved in (move_id, other):
        here.reaches(moved, "done")
    assert (project.segments("orders"), project.segments("dead")) == (["south"], ["south"])
    metadata = project.done("GET", "/queues/orders")
    assert (metadata["_dead_letter_queue"], metadata["_max_claim_count"]) == ("dead", 1)


def test_subscriptions_are_there_before_writes_are(here: Estate, project: Project) -> None:
    project.done("PUT", "/queues/orders")
    project.post("orders", "one")
    for number in range(3):
        hook = {"subscriber": f"http://hook.example/{number}", "ttl": 3000, "options": {"number": number}}
        project.done("POST", "/queues/orders/subscriptions", hook)
    move_id = project.start("orders", "--wait", "switch")
    assert project.segments("orders") == ["north", "south"], "the old one holds a message"
    found = project.done("GET", "/queues/orders/subscriptions?limit=20")["subscriptions"]
    assert sorted((one["subscriber"], one["options"]["number"]) for one in found) == [
        (f"http://hook.example/{number}", number) for number in range(3)
    ]
    # It is the new partition that was asked.
    project.done("DELETE", f"/queues/orders/subscriptions/{found[0]['id']}")
    assert project.take("orders") == ["one"]
    here.reaches(move_id, "done")
    assert len(project.done("GET", "/queues/orders/subscriptions?limit=20")["subscriptions"]) == 2


def test_metadata_that_is_changed_after_it_was_prepared_arrives(here: Estate, project: Project) -> None:
    project.done("PUT", "/queues/orders", {"colour": "red", "size": 1})
    project.post("orders", "keeps the older segment")
    change = [
        {"op": "replace", "path": "/metadata/colour", "value": "green"},
        {"op": "remove", "path": "/metadata/size"},
    ]
    awake, frozen = here.door.workers[:2]
    with here.door.through(awake) as client:
        # Without its acknowledgement nothing is switched.
        suspend(frozen)
        try:
            move_id = project.start("orders")
            here.reaches(move_id, "armed")
            changed = client.ask("PATCH", "/v2/queues/orders", project.id, change, **{"Content-Type": PATCH})
            assert changed.status == 200
        finally:
            os.kill(frozen, signal.SIGCONT)
    here.reaches(move_id, "draining")
    assert project.segments("orders") == ["north", "south"]
    metadata = project.done("GET", "/queues/orders")
    assert (metadata["colour"], "size" in metadata) == ("green", False)


def test_a_move_is_reversed_after_its_switch(here: Estate, project: Project) -> None:
    project.done("PUT", "/queues/orders", {"colour": "red"})
    project.post("orders", 1)
    move_id = project.start("orders", "--wait", "switch")
    project.post("orders", 2)
    with pytest.raises(CommandFailed, match=r"exit code 3\n.*cannot be cancelled; what can be done: pause, reverse"):
        here.proxy.run("move", "cancel", move_id)
    here.proxy.run("move", "reverse", move_id)
    until(lambda: len(project.segments("orders")) == 3, "it is switched back")
    assert project.segments("orders") == ["north", "south", "north"]
    project.post("orders", 3)
    assert [project.take("orders", 1) for _ in range(3)] == [[1], [2], [3]]
    here.reaches(move_id, "done")
    assert project.segments("orders") == ["north"]
    assert project.done("GET", "/queues/orders")["colour"] == "red"
    certificate = here.proxy.query("move", "certificate", move_id)
    assert (certificate["from"], certificate["to"]) == ("south", "north")
    project.post("orders", 4)
    assert project.take("orders") == [4]


def test_a_queue_that_was_not_emptied_is_moved_once_more(here: Estate, project: Project) -> None:
    project.done("PUT", "/queues/orders", {"colour": "red"})
    project.post("orders", 1, 2)
    move_id = project.start("orders", "--wait", "switch")
    project.post("orders", 3, 4)
    again = ("move", "start", project.id, "orders", "--to", "east")
    here.proxy.run(*again, "--dry-run")
    assert here.proxy.query(*again, "--wait", "switch")["id"] == move_id
    assert project.segments("orders") == ["north", "south", "east"]
    project.post("orders", 5, 6)
    assert [project.take("orders", 1) for _ in range(6)] == [[n] for n in range(1, 7)]
    here.reaches(move_id, "done")
    assert project.segments("orders") == ["east"]
    assert project.done("GET", "/queues/orders")["colour"] == "red"
    certificate = here.proxy.query("move", "certificate", move_id)
    assert [(one["from"], one["to"]) for one in certificate["switches"]] == [("north", "south"), ("south", "east")]


@pytest.fixture
def still(here: Estate) -> Iterator[None]:
    """No mover is at work."""
    here.pause_mover()
    yield
    here.resume_mover()


@pytest.mark.usefixtures("still")
def test_a_move_is_cancelled_before_its_switch(here: Estate, project: Project) -> None:
    project.done("PUT", "/queues/orders")
    move_id = project.start("orders")
    here.proxy.run("move", "cancel", move_id)
    assert here.move(move_id)["state"] == "undoing"
    here.resume_mover()
    here.reaches(move_id, "cancelled")
    assert project.segments("orders") == ["north"]
    project.post("orders", 1)
    with pytest.raises(CommandFailed, match=r"exit code 3\n.*nothing can be done about it"):
        here.proxy.run("move", "resume", move_id)


@pytest.mark.usefixtures("still")
def test_a_move_rests_while_it_is_paused(here: Estate, project: Project) -> None:
    for queue in ("orders", "later"):
        project.done("PUT", f"/queues/{queue}")
    paused = project.start("orders")
    here.proxy.run("move", "pause", paused)
    after = project.start("later")
    here.resume_mover()
    here.reaches(after, "done")
    shown = here.move(paused)
    assert (shown["state"], shown["can"]) == ("paused-before-switch", ["resume", "cancel"])
    assert project.segments("orders") == ["north"]
    here.proxy.run("move", "resume", paused)
    here.reaches(paused, "done")
    assert project.segments("orders") == ["south"]


def test_a_move_is_paused_after_its_switch(here: Estate, project: Project) -> None:
    project.done("PUT", "/queues/orders")
    project.post("orders", 1)
    move_id = project.start("orders", "--wait", "switch")
    here.proxy.run("move", "pause", move_id)
    assert project.take("orders") == [1]
    project.post("orders", 2)
    assert here.move(move_id)["state"] == "paused-after-switch"
    assert project.segments("orders") == ["north", "south"]
    here.proxy.run("move", "resume", move_id)
    here.reaches(move_id, "done")
    assert project.take("orders") == [2]


def test_a_queue_that_is_deleted_while_it_is_moved_is_gone(here: Estate, project: Project) -> None:
    project.done("PUT", "/queues/orders")
    project.post("orders", 1)
    move_id = project.start("orders", "--wait", "switch")
    project.done("DELETE", "/queues/orders")
    project.done("PUT", "/queues/orders")
    project.post("orders", 2)
    assert here.reaches(move_id, "queue-deleted")["log"][-1]["reason"] == "the queue was deleted by its users"
    assert project.take("orders") == [2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("move", "start", "PROJECT", "missing", "--to", "south"), "exit code 1\n.*no such queue has a placement"),
        (("move", "start", "PROJECT", "orders", "--to", "nowhere"), "exit code 2\n.*to: there is no partition nowhere"),
        (("move", "start", "PROJECT", "orders", "--to", "north"), "exit code 3\n.*it is on partition north already"),
        (("move", "watch", "nothing"), "exit code 1\n.*there is neither a move nor a plan nothing"),
        (("move", "reverse", "nothing"), "exit code 1\n.*There is no move nothing"),
        (("move", "tenant", "PROJECT", "--to", "nowhere", "--yes"), "exit code 2\n.*nowhere"),
        (("partition", "drain", "nowhere", "--yes"), "exit code 1\n.*nowhere"),
        (("region", "evacuate", "nowhere", "--yes"), "nowhere"),
    ],
)
def test_what_cannot_be_ordered_is_named(here: Estate, project: Project, arguments: tuple[str, ...], said: str) -> None:
    project.done("PUT", "/queues/orders")
    with pytest.raises(CommandFailed, match=said):
        here.proxy.run(*(project.id if word == "PROJECT" else word for word in arguments))
