"""Writes while a queue is sealed, through real processes: two workers, two partitions, a mover in a test's hands.

The tests wait for events that must come, never for a time.
"""

from __future__ import annotations

import itertools
import os
import signal
import socket
import struct
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest

from catalog.model import PlacementState
from marconi_proxy.fencing.barrier import Waiting
from tests.servers.fake_partition import FakePartition, until
from tests.servers.marconi import marconi_proxy
from tests.servers.suspension import suspend
from tests.wire.conftest import logged
from tests.wire.door import Client, Door, unread
from tests.wire.hand import Hand, next_name, pid_of
from tests.wire.outage import catalog_outage
from tests.wire.raw_http import Answer

QUEUE = "orders"
PATH = f"/v2/queues/{QUEUE}"
# Short leases, so that a lapse comes soon; nothing held is ever refused for taking long.
OPTIONS = {"directory.lease": 4.0, "directory.member_interval": 0.5, "moving.hold_max": 60.0}


class Stage:
    """A running front door and two partitions that all workers know."""

    def __init__(self, door: Door, north: FakePartition, south: FakePartition, names: tuple[str, str]) -> None:
        self.door = door
        self.hand = Hand(door.proxy.catalog)
        self.north, self.south = north, south
        self.north_name, self.south_name = names
        self.project = door.tenant(pinned=self.north_name)
        self.move = f"m-{uuid.uuid4().hex[:8]}"
        assert door.ask("PUT", PATH, self.project).status == 201
        # As the mover's preparation does.
        self._names = {self.north: QUEUE, self.south: next_name(self.hand.placement(self.project, QUEUE))}
        self.south.store.queues[self.project, self._names[south]] = type(north.store.queues[self.project, QUEUE])()

    def post(self, client: Client | Door, body: object) -> Answer:
        return client.ask("POST", f"{PATH}/messages", self.project, {"messages": [{"ttl": 300, "body": body}]})

    def warm(self, *clients: Client) -> None:
        """Have workers know the queue. One that stood still for long enough takes no writes at first."""
        for client in clients:
            until(lambda client=client: self.post(client, "warm").status == 201, "a worker takes writes")

    def bodies(self, host: FakePartition) -> list[object]:
        return [body for body in host.store.bodies(self.project, self._names[host]) if body != "warm"]

    def state(self) -> PlacementState:
        return self.hand.placement(self.project, QUEUE).state


@contextmanager
def staged(door: Door) -> Iterator[Stage]:
    with ExitStack() as stack:
        hosts = [stack.enter_context(FakePartition()) for _ in range(2)]
        names = [door.register(host.url) for host in hosts]
        for name in names:
            stack.callback(door.change, name, state="disabled")
        for name, host in zip(names, hosts, strict=True):
            door.tell_all(name, host)
        yield Stage(door, hosts[0], hosts[1], (names[0], names[1]))


@contextmanager
def running(catalog: str, logs: Path, **options: object) -> Iterator[Door]:
    merged = OPTIONS | {name.replace("__", "."): value for name, value in options.items()}
    with marconi_proxy(catalog, logs, options=merged) as proxy, logged(proxy.public, proxy.admin):
        yield Door(proxy)


@pytest.fixture(scope="module", params=["mongodb", "sqlite"])
def door(
    request: pytest.FixtureRequest, new_catalog: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Door]:
    """One where seals end by the test's hand only."""
    logs = tmp_path_factory.mktemp(f"fences-{request.param}")
    catalog = new_catalog() if request.param == "mongodb" else f"sqlite:///{logs / 'catalog.db'}"
    with running(catalog, logs, moving__seal_overdue=3600.0) as door:
        yield door


@pytest.fixture
def stage(door: Door) -> Iterator[Stage]:
    with staged(door) as stage:
        yield stage


# -- a switch ----------------------------------------------------------------------------------------------------------


class Producers:
    """Two threads for each of two clients' workers, posting [producer, number] one after the other."""

    def __init__(self, stage: Stage, workers: tuple[int, ...]) -> None:
        self._stage = stage
        self._workers = workers
        self._over = threading.Event()
        self.posted = [0] * (2 * len(workers))
        self.refused: list[Answer] = []

    def _produce(self, producer: int) -> None:
        with closing(self._clients[producer]) as client:
            for number in itertools.count():
                if self._over.is_set():
                    return
                answer = self._stage.post(client, [producer, number])
                if answer.status != 201:
                    self.refused.append(answer)
                    return
                self.posted[producer] = number + 1

    def __enter__(self) -> Producers:
        self._stack = ExitStack()
        door = self._stage.door
        self._clients = [self._stack.enter_context(door.through(worker)) for worker in self._workers for _ in range(2)]
        self._threads = [threading.Thread(target=self._produce, args=(n,)) for n in range(len(self.posted))]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        self._stack.close()

    def more(self, count: int) -> None:
        """Return when each has posted so many more."""
        before = list(self.posted)
        until(
            lambda: self.refused or all(now >= then + count for now, then in zip(self.posted, before, strict=True)),
            "all producers go on",
        )
        assert self.refused == []


def test_held_writes_go_on_in_the_new_segment_and_none_is_lost_or_refused(stage: Stage) -> None:
    hand = stage.hand
    with Producers(stage, stage.door.workers) as producers:
        producers.more(20)
        hand.order(stage.project, QUEUE, stage.move, stage.north_name, stage.south_name)
        sealed = hand.seal(stage.project, QUEUE, stage.move)
        assert len(hand.passed(sealed).acknowledged) >= 2
        before = stage.bodies(stage.north)
        hand.switch(sealed, stage.south_name)
        producers.more(20)
    assert producers.refused == []
    # From the acknowledgement on nothing came to the old segment, and all that was acknowledged is there, in order.
    assert stage.bodies(stage.north) == before
    after = stage.bodies(stage.south)
    for producer, posted in enumerate(producers.posted):
        mine = [body for body in before + after if body[0] == producer]  # type: ignore[index]
        assert mine == [[producer, number] for number in range(posted)]

    def figures() -> dict[str, int] | None:
        found = hand.held_writes(stage.move)
        return {"held": sum(f.held for f in found), "refused": sum(f.refused for f in found)} if found else None

    assert until(figures, "the workers tell of the calls that they held")["refused"] == 0


def test_a_write_under_way_is_waited_for(stage: Stage) -> None:
    one, other = stage.door.workers[:2]
    with stage.door.through(one) as first, stage.door.through(other) as second, ThreadPoolExecutor(2) as threads:
        stage.warm(first, second)
        with stage.north.hold("POST", f"{PATH}/messages") as held:
            slow = threads.submit(stage.post, first, "slow")
            held.wait()
            sealed = stage.hand.seal(stage.project, QUEUE, stage.move)
            stage.hand.only_waiting_for(sealed, one)
            # A write from now on waits for the switch, and does not delay it.
            waiting = threads.submit(stage.post, second, "waiting")
            held.release()
        assert slow.result().status == 201
        stage.hand.passed(sealed)
        stage.hand.switch(sealed, stage.south_name)
        assert waiting.result().status == 201
    assert stage.bodies(stage.north) == ["slow"]
    assert stage.bodies(stage.south) == ["waiting"]


def test_a_write_without_an_answer_is_waited_for_too(stage: Stage) -> None:
    one = stage.door.workers[0]
    with stage.door.through(one) as first, ThreadPoolExecutor(1) as thread:
        stage.warm(first)
        with stage.north.hold("POST", f"{PATH}/messages") as held:
            lost = thread.submit(stage.post, first, "lost")
            held.wait()
            held.lose()
        assert lost.result().status == 503
        sealed = stage.hand.seal(stage.project, QUEUE, stage.move)
        # For as long as it may still be done, which is longer than this test waits.
        stage.hand.only_waiting_for(sealed, one)
        stage.hand.abort(sealed)
        assert stage.post(first, "later").status == 201
    assert stage.bodies(stage.north)[-1] == "later"


def test_a_held_client_that_aborts_its_connection_posts_nothing(stage: Stage) -> None:
    """An orderly end of its input is no abort: the client may read its answer still (RFC 9112 section 9.6)."""
    one = stage.door.workers[0]
    with stage.door.through(one) as first, stage.door.through(one) as second, ThreadPoolExecutor(1) as thread:
        stage.warm(first, second)
        sealed = stage.hand.seal(stage.project, QUEUE, stage.move)
        stage.hand.passed(sealed)
        impatient = Client(stage.door.proxy.public_port)
        connection = impatient.connect()
        connection.settimeout(0.5)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with suppress(TimeoutError):
            stage.post(impatient, "left")
        impatient.close()
        waiting = thread.submit(stage.post, second, "stayed")
        stage.hand.switch(sealed, stage.south_name)
        assert waiting.result().status == 201
    assert stage.bodies(stage.south) == ["stayed"]
    assert stage.bodies(stage.north) == []


def test_a_deletion_under_a_seal_wins(stage: Stage) -> None:
    """The queue is gone, and its mover cannot switch it."""
    one = stage.door.workers[0]
    with stage.door.through(one) as first:
        stage.warm(first)
        sealed = stage.hand.seal(stage.project, QUEUE, stage.move)
        assert first.ask("DELETE", PATH, stage.project).status == 204
    with pytest.raises(Exception, match="the placement no longer exists"):
        stage.hand.switch(sealed, stage.south_name)
    assert stage.door.placement(stage.project, QUEUE) is None
    assert not stage.north.store.has(stage.project, QUEUE)


# -- workers that cannot be asked --------------------------------------------------------------------------------------


def test_a_frozen_worker_keeps_a_queue_from_being_switched_until_its_lease_is_over(stage: Stage) -> None:
    hand = stage.hand
    lively, frozen = stage.door.workers[:2]
    with stage.door.through(lively) as first, stage.door.through(frozen) as second, ThreadPoolExecutor(1) as thread:
        stage.warm(first, second)
        suspend(frozen)
        try:
            sealed = hand.seal(stage.project, QUEUE, stage.move)
            hand.only_waiting_for(sealed, frozen)
            hand.abort(sealed)
            assert stage.post(first, "after the abort").status == 201
            # The first thing that it does when it runs again is a write, by what it knew.
            asked = thread.submit(stage.post, second, "frozen")
            until(lambda: unread(stage.door.proxy.public_port), "it has something to do")
            sealed = hand.seal(stage.project, QUEUE, stage.move)
            passed = hand.passed(sealed)
            assert frozen in {pid_of(name) for name in passed.expired}
            hand.switch(sealed, stage.south_name)
        finally:
            os.kill(frozen, signal.SIGCONT)
        status = asked.result().status
        assert status in (201, 503)
        until(lambda: stage.post(second, "thawed").status == 201, "it takes writes again")
    assert stage.bodies(stage.north) == ["after the abort"]
    assert stage.bodies(stage.south) == (["frozen"] if status == 201 else []) + ["thawed"]


def test_a_killed_worker_is_waited_for_until_its_lease_is_over(stage: Stage) -> None:
    hand = stage.hand
    victim, other = stage.door.workers[:2]
    with stage.door.through(victim) as first, stage.door.through(other) as second, ThreadPoolExecutor(1) as thread:
        stage.warm(first, second)
        stage.door.kill(victim)
        sealed = hand.seal(stage.project, QUEUE, stage.move)
        hand.only_waiting_for(sealed, victim)
        waiting = thread.submit(stage.post, second, "held")
        assert victim in {pid_of(name) for name in hand.passed(sealed).expired}
        hand.switch(sealed, stage.south_name)
        assert waiting.result().status == 201
    assert stage.bodies(stage.south) == ["held"]


def test_a_worker_that_is_stopped_signs_off(tmp_path: Path) -> None:
    with running(f"sqlite:///{tmp_path / 'catalog.db'}", tmp_path) as door:
        hand = Hand(door.proxy.catalog)
        until(lambda: {pid_of(member.id) for member in hand.members()} == set(door.workers), "all are registered")
        door.proxy.public.signal(signal.SIGTERM)
        door.proxy.public.ended()
        assert hand.members() == []


# -- seals without a mover ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A front door with workers that abort seals soon."""
    logs = tmp_path_factory.mktemp("impatient")
    with running(f"sqlite:///{logs / 'catalog.db'}", logs, moving__seal_overdue=1.0) as door:
        yield door


@pytest.mark.parametrize("held", [True, False], ids=["a write waits", "nobody waits"])
def test_a_seal_that_nobody_ends_is_aborted(impatient: Door, held: bool) -> None:
    with staged(impatient) as stage, ThreadPoolExecutor(1) as thread:
        sealed = stage.hand.seal(stage.project, QUEUE, stage.move)
        waiting = thread.submit(stage.post, impatient, "held") if held else None
        until(lambda: stage.state() is PlacementState.OPEN, "some worker aborts the seal")
        if waiting is not None:
            assert waiting.result().status == 201
        assert stage.post(impatient, "later").status == 201
        assert stage.bodies(stage.north) == (["held", "later"] if held else ["later"])
        with pytest.raises(Exception, match="the stored placement is"):
            stage.hand.switch(sealed, stage.south_name)


# -- without the catalog -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("store", ["sqlite", "mongodb"])
def test_a_worker_that_is_cut_off_reads_on_and_takes_no_writes_until_it_is_back(store: str, tmp_path: Path) -> None:
    with catalog_outage(store, tmp_path) as (uri, cut), running(uri, tmp_path) as door, staged(door) as stage:
        with door.through(door.workers[0]) as client:
            stage.warm(client)
            with cut():
                until(lambda: stage.post(client, "cut off").status == 503, "its lease is over")
                refused = stage.post(client, "refused")
                assert refused.status == 503
                assert refused.header("retry-after") in ("1", "2")
                assert b"no writes" in refused.body
                posted = stage.bodies(stage.north)
                assert client.ask("GET", f"{PATH}/messages?echo=true", stage.project).status == 200
                assert stage.bodies(stage.north) == posted
                assert "refused" not in posted
            until(lambda: stage.post(client, "back").status == 201, "it is registered again")
        assert stage.bodies(stage.north)[-1] == "back"


def test_the_verdict_names_who_is_waited_for(stage: Stage) -> None:
    _, frozen = stage.door.workers[:2]
    suspend(frozen)
    try:
        sealed = stage.hand.seal(stage.project, QUEUE, stage.move)
        stage.hand.only_waiting_for(sealed, frozen)
        verdict = stage.hand.verdict(sealed)
        assert isinstance(verdict, Waiting)
        assert len(verdict.names) == 1
        stage.hand.abort(sealed)
    finally:
        os.kill(frozen, signal.SIGCONT)
