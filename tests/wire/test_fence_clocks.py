"""No clock and no cut harms a queue that is moved. Workers and movers are real, over partitions that can be slow.

The wall clocks of these processes, and of the MongoDB server, are set forward and back while a seal is in force. A
worker, or a mover, is suspended; a worker is cut off from the catalog while the queue moves there and back.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from tests.servers.fake_partition import FakePartition, until
from tests.servers.marconi import marconi_proxy
from tests.servers.mongod import mongod_replica_set, with_database
from tests.servers.relay import Relay
from tests.servers.stepped_clock import SteppedClock, stepped_clock
from tests.servers.suspension import suspend
from tests.wire.conftest import logged
from tests.wire.door import Client, Door
from tests.wire.hand import locked, pid_of
from tests.wire.raw_http import Answer
from tests.wire.test_live_moves import QUICK, Mover, mover_process, running

QUEUE = "orders"


class Stage:
    """Partitions ``north``, where the queues of a new tenant are, and ``south``; a front door and a mover."""

    def __init__(self, mover: Mover, hosts: dict[str, FakePartition], clock: SteppedClock | None = None) -> None:
        self.mover = mover
        self.door = mover.door
        self.north = hosts["north"]
        self.project = self.door.tenant(pinned="north")
        self._clock = clock

    def step(self, seconds: int) -> None:
        assert self._clock is not None
        self._clock.step(seconds)

    def freeze(self, pid: int) -> None:
        """Have a process stand still, but not in the middle of a write to SQLite, which nothing would end."""
        uri = self.door.proxy.catalog
        with locked(Path(uri.removeprefix("sqlite:///"))) if uri.startswith("sqlite") else nullcontext():
            suspend(pid)

    def post(self, client: Client | Door, body: str, queue: str = QUEUE) -> Answer:
        document = {"messages": [{"ttl": 3000, "body": body}]}
        return client.ask("POST", f"/v2/queues/{queue}/messages", self.project, document)

    def posts(self, client: Client | Door, *bodies: str) -> None:
        """Post all of them; return when each was acknowledged."""
        for body in bodies:
            until(lambda body=body: self.post(client, body).status == 201, f"{body} is posted")

    def order(self, target: str = "south", queue: str = QUEUE) -> str:
        return self.mover.order(self.project, queue, target)

    def members(self) -> list[dict[str, Any]]:
        status, document = self.door.admin("GET", "/v1/members")
        assert status == 200, document
        found: list[dict[str, Any]] = document["members"]
        return found

    def segments(self, queue: str = QUEUE) -> list[str]:
        return self.mover.segments(self.project, queue)

    def state(self) -> str | None:
        return self.door.state(self.project, QUEUE)

    def until_sealed(self) -> None:
        until(lambda: self.state() == "sealing", "the queue is sealed")

    def until_open(self) -> None:
        until(lambda: self.state() == "open", "the queue is open")


class Subscriber:
    """Reads a queue by the links that it gets. ``seen``: what it was shown; ``refusals``: how often it got 503."""

    def __init__(self, client: Client, project: str) -> None:
        self._client = client
        self._project = project
        self._href = f"/v2/queues/{QUEUE}/messages?echo=true&limit=20"
        self.seen: list[str] = []
        self.refusals = 0

    def look(self) -> None:
        answer = self._client.ask("GET", self._href, self._project)
        if answer.status == 503:
            self.refusals += 1
            return
        assert answer.status == 200, answer
        document = json.loads(answer.body)
        self.seen += [message["body"] for message in document["messages"]]
        if document["links"]:
            self._href = document["links"][0]["href"]

    def until_seen(self, body: str) -> None:
        until(lambda: self.look() or body in self.seen, f"the subscriber sees {body}")


@contextmanager
def fake_partitions() -> Iterator[dict[str, FakePartition]]:
    with FakePartition() as north, FakePartition() as south:
        yield {"north": north, "south": south}


@contextmanager
def staged(
    directory: Path, catalog: str | None = None, clock: SteppedClock | None = None, **options: object
) -> Iterator[Stage]:
    with fake_partitions() as hosts:
        urls = {name: host.url for name, host in hosts.items()}
        with running(directory, urls, catalog, **options) as mover:
            yield Stage(mover, hosts, clock)


# -- clocks ------------------------------------------------------------------------------------------------------------


@contextmanager
def clocked(kind: str, directory: Path, **options: object) -> Iterator[Stage]:
    """A stage where all that has to do with the catalog, its server among it, goes by a clock that is set."""
    with ExitStack() as stack:
        clock = stack.enter_context(stepped_clock(directory))
        catalog = None
        if kind == "mongodb":
            replica_set = stack.enter_context(mongod_replica_set())
            catalog = with_database(replica_set.uri(), "catalog")
        yield stack.enter_context(staged(directory, catalog, clock, **options))


@pytest.fixture(params=["sqlite", "mongodb"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_wall_clock_is_set_and_no_other(tmp_path: Path) -> None:
    """Else the tests below would prove nothing."""
    program = "import time; print(time.time(), time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME))"
    with stepped_clock(tmp_path) as clock:
        clock.step(100_000)
        shown = subprocess.run((sys.executable, "-c", program), check=True, capture_output=True).stdout.split()
    wall, monotonic, boot = map(float, shown)
    assert abs(wall - time.time() - 100_000) < 1000
    assert abs(monotonic - time.monotonic()) < 1000
    assert abs(boot - time.clock_gettime(time.CLOCK_BOOTTIME)) < 1000


def test_the_clock_of_the_store_is_set(kind: str, tmp_path: Path) -> None:
    """The times of renewals are by the clock of MongoDB's server, or of the processes with SQLite in them."""
    with clocked(kind, tmp_path) as stage:

        def renewed() -> list[int]:
            """The years when members renewed."""
            return [int(member["renewed"][:4]) for member in stage.members()]

        before = max(renewed())
        stage.step(100_000_000)
        until(lambda: min(renewed()) - before in (3, 4), "all have renewed")


@pytest.mark.parametrize("step", [pytest.param(60, marks=pytest.mark.nightly), 1000, -1000])
def test_no_queue_is_switched_under_a_write_when_the_clock_is_set(kind: str, step: int, tmp_path: Path) -> None:
    """A post takes seconds at its partition, the queue is sealed, and the clock steps: the post is still waited for."""
    with clocked(kind, tmp_path) as stage, stage.door.through_two() as (one, other), ThreadPoolExecutor(1) as thread:
        stage.posts(one, "first")
        stage.posts(other, "second")
        subscriber = Subscriber(other, stage.project)
        subscriber.until_seen("second")
        with stage.north.hold("POST", f"/v2/queues/{QUEUE}/messages") as held:
            slow = thread.submit(stage.post, one, "slow")
            held.wait()
            move = stage.order()
            for _ in range(2):
                stage.until_sealed()
                stage.step(step)
                stage.until_open()
                assert stage.segments() == ["north"], "it was switched while a write was under way"
            held.release()
        assert slow.result().status == 201
        stage.mover.until_in(move, "draining")
        stage.posts(other, "last")
        subscriber.until_seen("last")
        assert subscriber.seen == ["first", "second", "slow", "last"]


def test_a_live_worker_stays_registered_when_the_clock_is_set_forward(kind: str, tmp_path: Path) -> None:
    """Also one that stands still for a while, which is shorter than its lease; and it is waited for."""
    options = {"directory__member_interval": 0.1}
    with clocked(kind, tmp_path, **options) as stage, stage.door.through_two() as (lively, slow):
        stage.posts(lively, "first")
        stage.posts(slow, "second")
        # By then the mover knows which members live.
        until(lambda: stage.post(stage.door, "first", "another").status == 201, "another queue is there")
        stage.mover.until_in(stage.order(queue="another"), "draining")
        ours, frozen = stage.door.workers[:2]

        def members() -> dict[int, int]:
            """How often each has renewed, by process."""
            return {pid_of(member["id"]): member["beat"] for member in stage.members()}

        before = members()
        stage.freeze(frozen)
        try:
            stage.step(1000)
            move = stage.order()
            shown = until(
                lambda: (shown := stage.mover.show(move)) and shown["facts"].get("unacknowledged") and shown,
                "the seal is aborted",
            )
            assert {pid_of(name) for name in shown["facts"]["unacknowledged"]} == {frozen}
            # It looks for members that are gone every thirty renewals.
            until(lambda: members()[ours] > before[ours] + 35, "the other worker has looked for those that are gone")
            assert set(members()) == set(before)
            assert stage.segments() == ["north"]
        finally:
            os.kill(frozen, signal.SIGCONT)
        stage.mover.until_in(move, "draining")
        assert set(members()) == set(before)
        stage.posts(slow, "last")


def test_a_dead_worker_is_not_waited_for_longer_when_the_clock_is_set_back(kind: str, tmp_path: Path) -> None:
    with clocked(kind, tmp_path, directory__lease=4.0, directory__member_interval=0.5) as stage:
        stage.posts(stage.door, "first")
        victim = stage.door.workers[0]
        stage.door.kill(victim)
        stage.step(-1000)
        stage.mover.until_in(stage.order(), "draining")
        assert stage.segments() == ["north", "south"]
        assert victim not in {pid_of(member["id"]) for member in stage.members()}


# -- processes that stand still ----------------------------------------------------------------------------------------


def test_a_mover_that_stands_still_under_a_seal_switches_nothing_when_it_goes_on(tmp_path: Path) -> None:
    """Workers end its seal, another mover moves the queue; what it was about to do has no effect any more."""
    options = {"moving.hold": 2.0, "moving.seal_overdue": 1.0}
    named = {name.replace(".", "__"): value for name, value in options.items()}
    with staged(tmp_path, **named) as stage, stage.door.through_two() as (one, other), ThreadPoolExecutor(1) as thread:
        stage.posts(one, "first")
        stage.posts(other, "second")
        subscriber = Subscriber(other, stage.project)
        frozen = stage.mover.process
        with stage.north.hold("POST", f"/v2/queues/{QUEUE}/messages") as held:
            slow = thread.submit(stage.post, one, "slow")
            held.wait()
            move = stage.order()
            stage.until_sealed()
            stage.freeze(frozen.pid)
            try:
                held.release()
                assert slow.result().status == 201
                # All workers have acknowledged the seal by now, or are about to.
                stage.until_open()
                stage.posts(other, "between")
                with mover_process(stage.door.proxy.catalog, tmp_path, QUICK | options):
                    stage.mover.until_in(move, "draining")
                    stage.posts(one, "after")
                    placement = stage.door.placement(stage.project, QUEUE)
                    os.kill(frozen.pid, signal.SIGCONT)
                    until(lambda: "another one continues" in frozen.log_tail(), "the frozen mover finds itself late")
                    stage.posts(one, "last")
                    assert stage.door.placement(stage.project, QUEUE) == placement
            finally:
                os.kill(frozen.pid, signal.SIGCONT)
        states = [entry["state"] for entry in stage.mover.show(move)["log"]]
        assert states.count("draining") == 1
        subscriber.until_seen("last")
        assert subscriber.seen == ["first", "second", "slow", "between", "after", "last"]


# -- a worker that is cut off ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("knows", ["one segment", "two segments"])
def test_a_reader_at_a_worker_that_is_cut_off_sees_each_message_once_and_in_order(knows: str, tmp_path: Path) -> None:
    """The queue goes to the other partition and back, where it has another name than that which the worker knows."""
    options = {"directory.lease": 3.0, "directory.member_interval": 0.5}
    named = {name.replace(".", "__"): value for name, value in options.items()}
    with ExitStack() as stack:
        replica_set = stack.enter_context(mongod_replica_set())
        server = replica_set.wait_for_primary()
        relay = stack.enter_context(Relay(server.port))
        stage = stack.enter_context(staged(tmp_path, with_database(replica_set.uri(), "catalog"), **named))
        behind = f"mongodb://127.0.0.1:{relay.port}/catalog?directConnection=true"
        proxy = stack.enter_context(marconi_proxy(behind, tmp_path / "cut off", workers=1, options=QUICK | options))
        stack.enter_context(logged(proxy.public, proxy.admin))
        cut_off = Door(proxy)
        reader = stack.enter_context(cut_off.through(cut_off.workers[0]))
        subscriber = Subscriber(reader, stage.project)

        stage.posts(stage.door, "a1", "a2")
        subscriber.until_seen("a2")
        if knows == "one segment":
            relay.cut()
        move = stage.order("south")
        stage.mover.until_in(move, "draining")
        stage.posts(stage.door, "b1", "b2")
        if knows == "two segments":
            until(lambda: stage.post(reader, "b3").status == 201, "the worker knows the second segment")
            relay.cut()
        else:
            stage.posts(stage.door, "b3")
        stage.north.store.queues[stage.project, QUEUE].messages.clear()  # consumed
        stage.mover.until_in(move, "done")
        move = stage.order("north")
        stage.mover.until_in(move, "draining")
        placement = stage.door.placement(stage.project, QUEUE)
        assert placement is not None
        names = [(segment["partition"], segment["physical"]) for segment in placement["segments"]]
        assert [partition for partition, _ in names] == ["south", "north"]
        assert ("north", QUEUE) not in names
        stage.posts(stage.door, "c1", "c2")

        everything = ["a1", "a2", "b1", "b2", "b3", "c1", "c2"]
        for _ in range(3):
            subscriber.look()
        if knows == "two segments":
            until(lambda: subscriber.look() or subscriber.refusals, "it does not go by old news of such a queue")
        assert subscriber.seen == everything[: len(subscriber.seen)]
        assert stage.post(reader, "stale").status == 503
        relay.mend()
        subscriber.until_seen("c2")
        assert subscriber.seen == everything
        until(lambda: stage.post(reader, "last").status == 201, "it takes writes again")
        subscriber.until_seen("last")
        assert subscriber.seen == [*everything, "last"]


# -- a queue with hanging writes ---------------------------------------------------------------------------------------


def test_a_queue_whose_writes_hang_holds_up_no_other(tmp_path: Path) -> None:
    """Five queues without a write are moved together with one that has a slow post: none of their seals fails."""
    idle = [f"idle-{number}" for number in range(5)]
    with staged(tmp_path) as stage, ThreadPoolExecutor(1) as thread:
        for queue in (QUEUE, *idle):
            until(lambda queue=queue: stage.post(stage.door, "first", queue).status == 201, f"{queue} is there")
        with stage.north.hold("POST", f"/v2/queues/{QUEUE}/messages") as held:
            slow = thread.submit(stage.post, stage.door, "slow")
            held.wait()
            moves = [stage.order(queue=queue) for queue in (QUEUE, *idle)]
            for move in moves[1:]:
                shown = stage.mover.until_in(move, "draining")
                assert [entry["state"] for entry in shown["log"]].count("sealing") == 1, "its seal was aborted"
            # The one that hangs is sealed in vain meanwhile.
            until(lambda: stage.mover.show(moves[0])["facts"].get("unacknowledged"), "its seal is aborted")
            assert stage.segments() == ["north"]
            held.release()
        assert slow.result().status == 201
        stage.mover.until_in(moves[0], "draining")
