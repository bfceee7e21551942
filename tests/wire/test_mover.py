"""The mover as a process, over two real nodes: what it makes on one, and leaves on the other.

The members are the test's own: they have no writes under way, and acknowledge whatever they are shown.
"""

from __future__ import annotations

import json
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import pytest

from catalog import Catalog, open_catalog
from catalog.model import Move, MoveState, Partition, Placement, PlacementState, QueueKey, Segment
from tests.contract.mover_stage import FakeMember, Stage
from tests.servers.partition import PartitionNode
from tests.servers.zaqar import ServerProcess
from tests.wire.conftest import logged
from tests.wire.door import request_headers
from tests.wire.raw_http import Answer, exchange

_EXECUTABLE = Path(sys.executable).with_name("marconi-proxy")
_OPTIONS = {"OS_MOVING__LINGER": "0.2", "OS_MOVING__BACK_OFF": "0.1", "OS_MOVING__HOLD": "2"}


class Scene:
    """Two nodes, ``north`` and ``south``, a catalog that knows them, and movers."""

    def __init__(
        self, catalog: Catalog, uri: str, nodes: dict[str, PartitionNode], logs: Path, stack: ExitStack
    ) -> None:
        self.project = f"project-{secrets.token_hex(4)}"
        self.catalog = catalog
        self.stage = Stage(catalog, {})
        self._uri = uri
        self._nodes = nodes
        self._logs = logs
        self._stack = stack

    def mover(self, name: str) -> ServerProcess:
        """Run a mover; return when it is at work."""
        command = (str(_EXECUTABLE), "mover", "--catalog", self._uri)
        process = ServerProcess(f"marconi-proxy mover {name}", command, self._logs / f"{name}.log", _OPTIONS)
        self._stack.callback(process.stop)
        self._stack.enter_context(logged(process))
        process.wait_until(lambda: "is at work" in process.log_tail())
        return process

    def ask(self, where: str, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Ask a node itself. ``path`` is below the version."""
        data = None if body is None else json.dumps(body).encode()
        named = request_headers(self.project, headers).items()
        return exchange(self._nodes[where].address, method, f"/v2{path}", named, data)

    def document(self, where: str, path: str) -> Any:
        answer = self.ask(where, "GET", path)
        assert answer.status == 200, answer
        return json.loads(answer.body)

    async def put(self, queue: str, **metadata: Any) -> None:
        """Create a queue on north."""
        assert self.ask("north", "PUT", f"/queues/{queue}", metadata).status == 201
        placement = Placement(
            self.project, queue, 1, PlacementState.OPEN, (Segment(0, "north", queue),), incarnation=secrets.token_hex(8)
        )
        await self.catalog.placements.insert(placement)

    async def order(self, id_: str, queue: str) -> None:
        placement = await self.placement(queue)
        move = Move(id_, self.project, queue, "north", "south", created=time.time(), incarnation=placement.incarnation)
        await self.catalog.moves.insert(move)

    async def placement(self, queue: str) -> Placement:
        placement = await self.catalog.placements.get(QueueKey(self.project, queue))
        assert placement is not None
        return placement

    def queues(self, where: str) -> list[str]:
        return [queue["name"] for queue in self.document(where, "/queues")["queues"]]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
async def scene(nodes: Callable[[str, int], PartitionNode], tmp_path: Path, stack: ExitStack) -> AsyncIterator[Scene]:
    uri = f"sqlite:///{tmp_path / 'catalog.db'}"
    two = {"north": nodes("sqlite", 0), "south": nodes("sqlite", 1)}
    catalog = await open_catalog(uri)
    await catalog.init()
    for name, node in two.items():
        await catalog.partitions.insert(Partition(name, (node.url,), api_versions=("v1", "v1.1", "v2")))
    async with AsyncExitStack() as members:
        members.push_async_callback(catalog.close)
        for name in ("w1", "w2"):
            await members.enter_async_context(FakeMember(catalog, name))
        yield Scene(catalog, uri, two, tmp_path, stack)


async def test_a_queue_goes_with_all_it_has(scene: Scene) -> None:
    await scene.put("orders", colour="red", _default_message_delay=1)
    messages = [{"ttl": 300, "body": number, "delay": 600 if number == 3 else 0} for number in range(4)]
    assert scene.ask("north", "POST", "/queues/orders/messages", {"messages": messages}).status == 201
    hook = {"subscriber": "http://hook.example/orders", "ttl": 3000, "options": {"post_headers": {"X-Team": "blue"}}}
    answer = scene.ask("north", "POST", "/queues/orders/subscriptions", hook)
    made = json.loads(answer.body)["subscription_id"]
    path = f"/queues/orders/subscriptions/{made}/confirm"
    assert scene.ask("north", "PUT", path, {"confirmed": True}).status == 204
    claim = scene.ask("north", "POST", "/queues/orders/claims?limit=1", {"ttl": 300, "grace": 60})
    (claimed,) = json.loads(claim.body)["messages"]

    await scene.order("m1", "orders")
    mover = scene.mover("first")
    move = await scene.stage.wait_for("m1", lambda move: move.measured.left)

    assert move.measured.left_at_switch == 4
    assert "3 free, 1 claimed until at most" in move.measured.waits
    assert [segment.partition for segment in (await scene.placement("orders")).segments] == ["north", "south"]
    there = (await scene.placement("orders")).segments[-1].backend_name
    assert scene.document("south", f"/queues/{there}") == scene.document("north", "/queues/orders")
    (subscription,) = scene.document("south", f"/queues/{there}/subscriptions")["subscriptions"]
    assert subscription["subscriber"] == hook["subscriber"]
    assert subscription["options"] == hook["options"]
    assert subscription["confirmed"] is True
    assert 2900 < subscription["ttl"] <= 3000

    assert scene.ask("north", "DELETE", claimed["href"].removeprefix("/v2")).status == 204
    assert len(json.loads(scene.ask("north", "DELETE", "/queues/orders/messages?pop=20").body)["messages"]) == 3
    await scene.stage.until("m1", MoveState.DONE)
    assert scene.queues("north") == []
    assert scene.queues("south") == [there]
    # Of a queue that comes back by its name, they would be subscribers again.
    assert scene.document("north", "/queues/orders/subscriptions")["subscriptions"] == []
    mover.signal(signal.SIGTERM)
    assert mover.ended() == 0


async def test_a_message_that_is_only_delayed_or_claimed_keeps_its_segment(scene: Scene) -> None:
    for queue in ("delayed", "claimed"):
        await scene.put(queue, _default_message_delay=1)
        delay = 600 if queue == "delayed" else 0
        message = {"ttl": 600, "body": 1, "delay": delay}
        assert scene.ask("north", "POST", f"/queues/{queue}/messages", {"messages": [message]}).status == 201
    assert scene.ask("north", "POST", "/queues/claimed/claims", {"ttl": 600, "grace": 60}).status == 201
    scene.mover("first")
    for queue in ("delayed", "claimed"):
        await scene.order(queue, queue)
    for queue in ("delayed", "claimed"):
        move = await scene.stage.wait_for(queue, lambda move: move.measured.left)
        assert move.state is MoveState.DRAINING
        assert move.measured.left == 1
    assert "1 free" in (await scene.stage.move("delayed")).measured.waits
    assert "1 claimed until at most" in (await scene.stage.move("claimed")).measured.waits


async def test_another_mover_goes_on_with_the_moves_of_one_that_was_killed(scene: Scene) -> None:
    for number in range(10):
        await scene.put(f"q{number}")
    movers = [scene.mover(name) for name in ("first", "second")]
    for number in range(10):
        await scene.order(f"m{number}", f"q{number}")
        if number == 4:
            await scene.stage.until("m0", *(set(MoveState) - {MoveState.PLANNED}))
            movers[0].signal(signal.SIGKILL)
    for number in range(10):
        await scene.stage.until(f"m{number}", MoveState.DONE)
    assert scene.queues("north") == []
    placements = [await scene.placement(f"q{number}") for number in range(10)]
    assert scene.queues("south") == sorted(placement.segments[0].backend_name for placement in placements)
