"""Queues come to be and go: what is in the catalog, what is on the partition, and what every crash between leaves.

The catalog is real, the partitions are scripted, the clocks are the test's.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from catalog.errors import CatalogUnavailable, PlacementConflict
from catalog.model import Move, MoveState, PartitionState, Placement, PlacementState, QueueKey, Segment, Tenant
from catalog.sqlite.driver import SQLiteCatalog
from marconi_proxy.fencing.transitions import hidden_name, rehome, seal, switch
from marconi_proxy.front_door import placement_watch
from marconi_proxy.front_door.directory import Directory
from marconi_proxy.front_door.lifecycle import Lifecycle
from marconi_proxy.front_door.refusals import RequestRefused
from marconi_proxy.front_door.write_gate import WriteGate
from marconi_proxy.upstream.connection import UpstreamAnswer
from marconi_proxy.upstream.errors import (
    BadAnswer,
    ConnectFailed,
    DeadlineExceeded,
    NotSent,
    Unanswered,
    UpstreamError,
    Withdrawn,
)
from marconi_proxy.upstream.exchange import Upstream, UpstreamCall
from marconi_proxy.upstream.limits import UpstreamLimits
from marconi_proxy.upstream.pool import Pool
from tests.faults.evil_host import NO_CONTENT, PATIENCE, EvilHost, Request, answer, serve, settled, unused_port
from tests.unit.catalog_stage import BORN, PROJECT, Staged, key, partition, placement

TAKEOVER_AFTER, DEADLINE = 20.0, 60.0

RESERVED, CREATING, OPEN, SEALING, DELETING = (
    PlacementState.RESERVED,
    PlacementState.CREATING,
    PlacementState.OPEN,
    PlacementState.SEALING,
    PlacementState.DELETING,
)
Q = key("q")
HERE = Segment(0, "p1", "q")
PUT = UpstreamCall(b"PUT", b"/v2/queues/q", b"x-project-id: project\r\n", b"", repeatable=True)
POST = UpstreamCall(b"POST", b"/v2/queues/q/messages", b"x-project-id: project\r\n", b"", repeatable=False)
DELETE = UpstreamCall(b"DELETE", b"/v2/queues/q", b"x-project-id: project\r\n", b"", repeatable=True)

Reply = Callable[[Request], Awaitable[bytes]]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Partition:
    """A store of queues behind the API. ``replies`` answer the next calls of a method instead; ``log`` is what came."""

    def __init__(self) -> None:
        self.queues: set[str] = set()
        self.log: list[str] = []
        self.replies: dict[str, deque[Reply]] = {}
        self.at_once: Counter[str] = Counter()
        self.most_at_once = 0
        self.host = EvilHost([serve(self.handle)])

    def reply(self, method: str, *replies: Reply) -> None:
        self.replies.setdefault(method, deque()).extend(replies)

    async def handle(self, request: Request) -> bytes:
        method, target = request.method.decode(), request.target.decode()
        if method != "GET":
            self.log.append(f"{method} {target}")
        self.at_once[method] += 1
        self.most_at_once = max(self.most_at_once, self.at_once["PUT"] + self.at_once["POST"])
        try:
            waiting = self.replies.get(method)
            return await (waiting.popleft() if waiting else self.do)(request)
        finally:
            self.at_once[method] -= 1

    async def do(self, request: Request) -> bytes:
        """Return the answer of a sound partition."""
        method = request.method.decode()
        path, _, query = request.target.decode().partition("?")
        collection, *rest = path.split("/")[2:]
        prefix = "~" if collection == "topics" else ""
        if not rest:
            given = dict(pair.split("=") for pair in query.split("&"))
            names = {q.removeprefix("~") for q in self.queues if q.startswith("~") == bool(prefix)}
            found = sorted(n for n in names if n > unquote(given["marker"]))[: int(given["limit"])]
            return answer(200, json.dumps({collection: [{"name": name} for name in found]}).encode())
        if method in ("PUT", "POST"):
            self.queues.add(prefix + rest[0])
            return answer(201)
        assert method == "DELETE"
        self.queues.discard(prefix + rest[0])
        return NO_CONTENT


async def drop(_: Request) -> bytes:
    """The request is read, and the connection closed."""
    raise ConnectionResetError


def say(status: int) -> Reply:
    async def reply(_: Request) -> bytes:
        return answer(status, b"{}")

    return reply


class Timers:
    """Timers of a worker; ``run`` lets them fire."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.waiting: list[tuple[float, Callable[[], object]]] = []

    def __call__(self, seconds: float, function: Callable[..., object], *arguments: object) -> None:
        self.waiting.append((self._clock.now + seconds, partial(function, *arguments)))

    def run(self) -> None:
        due = [act for at, act in self.waiting if at <= self._clock.now]
        self.waiting = [one for one in self.waiting if one[0] > self._clock.now]
        for act in due:
            act()


class Stage:
    """A catalog, partitions by name, and as many workers as the test wants.

    ``wall`` is the clock that is only written down. Unless a test sets it, it shows the same as ``clock``.
    """

    def __init__(self, catalog: Staged, partitions: dict[str, Partition], pool: Pool, clock: Clock) -> None:
        self.catalog = catalog
        self.partitions = partitions
        self.pool = pool
        self.clock = clock
        self.wall: Callable[[], float] = clock

    def open_upstream(self, opened: Any) -> Upstream:
        return Upstream(opened, self.pool, UpstreamLimits(deadline=PATIENCE), random.Random(1))

    async def stored(self, queue: str = "q") -> Placement | None:
        return await self.catalog.real.placements.get(key(queue))

    async def state(self, queue: str = "q") -> tuple[PlacementState, str] | None:
        found = await self.stored(queue)
        return None if found is None else (found.state, found.partition)

    async def put(self, *placements: Placement) -> None:
        for one in placements:
            _, inserted = await self.catalog.real.placements.insert(one)
            assert inserted


class Worker:
    def __init__(
        self, stage: Stage, catalog: Staged, gate: WriteGate | None = None, later: Timers | None = None
    ) -> None:
        self.directory = Directory(catalog, stage.open_upstream, cache_size=100)  # type: ignore[arg-type]
        self.lifecycle = Lifecycle(
            catalog,  # type: ignore[arg-type]
            self.directory,
            takeover_after=TAKEOVER_AFTER,
            deadline=DEADLINE,
            clock=stage.clock,
            wall=lambda: stage.wall(),  # noqa: PLW0108 - a test may set another one later
            later=later,
            token=lambda: BORN,
            begin=None if gate is None else partial(gate.begin, lasting=True),
        )

    async def stop(self) -> None:
        await self.lifecycle.stop()
        await self.directory.stop()

    def sender(self, call: UpstreamCall) -> Callable[[Placement], Awaitable[UpstreamAnswer]]:
        async def send(placement: Placement) -> UpstreamAnswer:
            upstream = await self.directory.upstream(placement.partition)
            assert upstream is not None
            return await upstream.send(call)

        return send

    async def create(
        self, call: UpstreamCall = PUT, asked: QueueKey = Q, dead_letter: str | None = None, version: str = "v2"
    ) -> int | None:
        """Have a creating call done; return the status of its answer, None if the queue was open."""
        got = await self.lifecycle.create(asked, version, self.sender(call), dead_letter)
        return None if got is None else got.status

    async def delete(self, asked: QueueKey = Q, call: UpstreamCall = DELETE) -> int | None:
        got = await self.lifecycle.delete(asked, self.sender(call))
        return None if got is None else got.status


async def abandoned(stage: Stage, worker: Worker) -> None:
    """Let the worker watch the queue without a change until it may take it over."""
    await worker.lifecycle.settle(Q, HERE)
    stage.clock.now += TAKEOVER_AFTER + 1


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """The partitions p1 and p2; new queues of the project go to p1."""
    partitions = {"p1": Partition(), "p2": Partition()}
    pool = Pool(connect_timeout=PATIENCE, idle_timeout=60.0, max_head=65536)
    catalog = await SQLiteCatalog.open(str(tmp_path / "catalog.db"))
    async with AsyncExitStack() as stack:
        for name, one in partitions.items():
            await stack.enter_async_context(one.host)
            await catalog.partitions.insert(partition(name, one.host.url))
        await catalog.tenants.put(Tenant(PROJECT, pinned="p1"))
        yield Stage(Staged(catalog), partitions, pool, Clock())
        await catalog.close()
        pool.close()
        await settled(lambda: not pool._all)


@pytest.fixture
async def worker(stage: Stage) -> AsyncIterator[Worker]:
    worker = Worker(stage, stage.catalog)
    await worker.directory.start(PATIENCE)
    yield worker
    await worker.stop()


@pytest.fixture
def p1(stage: Stage) -> Partition:
    return stage.partitions["p1"]


@pytest.fixture
def p2(stage: Stage) -> Partition:
    return stage.partitions["p2"]


# -- creation ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [PUT, POST], ids=["put", "post"])
async def test_a_queue_that_was_just_created_is_known_though_the_catalog_is_away(
    stage: Stage, worker: Worker, p1: Partition, call: UpstreamCall
) -> None:
    assert await worker.create(call) == 201
    stage.catalog.fail("placements.get", 10_000_000)
    found = await worker.directory.find(Q)
    assert found == await stage.stored()


@pytest.mark.parametrize(("call", "log"), [(PUT, "PUT /v2/queues/q"), (POST, "POST /v2/queues/q/messages")])
async def test_the_catalog_comes_first_and_the_partition_second(
    stage: Stage, worker: Worker, p1: Partition, call: UpstreamCall, log: str
) -> None:
    seen: list[Placement | None] = []

    async def look(request: Request) -> bytes:
        seen.append(await stage.stored())
        return await p1.do(request)

    p1.reply(call.method.decode(), look)
    assert await worker.create(call) == 201
    assert seen == [placement("q", "p1", CREATING, since=stage.clock.now)]
    assert await stage.stored() == placement("q", "p1", OPEN, epoch=2, since=stage.clock.now)
    assert p1.log == [log]


@pytest.mark.parametrize("state", [OPEN, SEALING])
async def test_an_open_queue_is_not_created(stage: Stage, worker: Worker, p1: Partition, state: PlacementState) -> None:
    await stage.put(placement("q", "p1", state))
    assert await worker.create() is None
    assert p1.log == []
    assert await stage.stored() == placement("q", "p1", state)


async def test_a_topic_lives_beside_the_queue_of_its_name(stage: Stage, worker: Worker, p1: Partition) -> None:
    call = PUT._replace(target=b"/v2/topics/q")
    assert await worker.create(call, key("~q")) == 201
    found = await stage.stored("~q")
    assert found is not None
    assert found.segments == (Segment(0, "p1", "q"),)
    assert p1.queues == {"~q"}
    assert await stage.stored("q") is None


async def test_fifty_first_calls_create_one_queue(stage: Stage, worker: Worker, p1: Partition) -> None:
    statuses = await asyncio.gather(*(worker.create(POST) for _ in range(50)))
    assert statuses.count(201) == 1
    assert statuses.count(None) == 49
    assert p1.log == ["POST /v2/queues/q/messages"]
    assert await stage.state() == (OPEN, "p1")


async def test_first_calls_of_other_queues_do_not_wait(stage: Stage, worker: Worker, p1: Partition) -> None:
    go = asyncio.Event()

    async def slow(request: Request) -> bytes:
        await go.wait()
        return await p1.do(request)

    p1.reply("PUT", slow)
    waiting = asyncio.create_task(worker.create())
    await settled(lambda: p1.log)
    assert await worker.create(PUT._replace(target=b"/v2/queues/r"), key("r")) == 201
    go.set()
    assert await waiting == 201


async def test_first_calls_through_two_workers_agree(
    stage: Stage, worker: Worker, p1: Partition, p2: Partition
) -> None:
    await stage.catalog.real.tenants.put(Tenant(PROJECT, spread=2))
    other = Worker(stage, Staged(stage.catalog.real))
    await other.directory.start(PATIENCE)
    statuses = await asyncio.gather(*(w.create(POST) for _ in range(25) for w in (worker, other)))
    # At most one call of each worker creates at a time; a call that meets that of the other worker succeeds like it.
    assert 1 <= statuses.count(201) <= 2
    assert set(statuses) <= {201, None}
    assert await stage.state() in ((OPEN, "p1"), (OPEN, "p2"))
    assert bool(p1.log) is not bool(p2.log)
    assert len(p1.log + p2.log) == statuses.count(201)
    await other.stop()


async def test_a_creation_that_a_crash_left_is_finished_where_it_began(
    stage: Stage, worker: Worker, p1: Partition, p2: Partition
) -> None:
    await stage.put(placement("q", "p2", CREATING, since=5.0))
    seen: list[Placement | None] = []

    async def look(request: Request) -> bytes:
        seen.append(await stage.stored())
        return await p2.do(request)

    p2.reply("PUT", look)
    assert await worker.create() == 201
    # Stamped first, so that the earlier creator takes nothing back.
    assert seen == [placement("q", "p2", CREATING, epoch=2, since=stage.clock.now)]
    assert await stage.stored() == placement("q", "p2", OPEN, epoch=3, since=stage.clock.now)
    assert p1.log == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409])
async def test_a_refused_creation_is_withdrawn(stage: Stage, worker: Worker, p1: Partition, status: int) -> None:
    p1.reply("PUT", say(status))
    assert await worker.create() == status
    assert await stage.stored() is None


@pytest.mark.parametrize("status", [400, 409])
async def test_a_refused_post_that_created_the_queue_opens_it(
    stage: Stage, worker: Worker, p1: Partition, status: int
) -> None:
    async def create_and_refuse(request: Request) -> bytes:
        await p1.do(request)
        return answer(status, b"{}")

    p1.reply("POST", create_and_refuse)
    assert await worker.create(POST) == status
    assert await stage.state() == (OPEN, "p1")


async def test_a_creation_that_was_not_sent_is_withdrawn(stage: Stage, worker: Worker) -> None:
    await stage.catalog.real.partitions.replace(partition("p1", f"http://127.0.0.1:{unused_port()}", version=2))
    await settled(lambda: all(u.partition.version == 2 for u in worker.directory.upstreams if u.partition.name == "p1"))
    with pytest.raises(ConnectFailed):
        await worker.create()
    assert await stage.stored() is None


@pytest.mark.parametrize("state", [CREATING, RESERVED])
async def test_a_creation_of_others_is_not_withdrawn_because_ours_was_not_sent(
    stage: Stage, worker: Worker, p1: Partition, state: PlacementState
) -> None:
    # Of one left in state creating the queue may well be there; what was reserved must stay so.
    group = "source" if state is RESERVED else None
    await stage.put(placement("q", "p1", state, group=group))
    p1.queues.add("q")

    async def not_sent(_: Segment) -> UpstreamAnswer:
        raise NotSent("the host cannot be reached")

    with pytest.raises(NotSent):
        await worker.lifecycle.create(Q, "v2", not_sent, None)
    assert await stage.stored() == placement(
        "q", "p1", state, epoch=3 if state is RESERVED else 2, since=stage.clock.now, group=group
    )


AMBIGUOUS: dict[str, tuple[Reply, type[UpstreamError] | int]] = {
    "500": (say(500), 500),
    "503": (say(503), 503),
    "no answer": (drop, Unanswered),
}


@pytest.mark.parametrize(("reply", "outcome"), AMBIGUOUS.values(), ids=AMBIGUOUS)
async def test_a_creation_that_nobody_knows_the_end_of_stays_until_the_next_call(
    stage: Stage, worker: Worker, p1: Partition, reply: Reply, outcome: type[UpstreamError] | int
) -> None:
    p1.reply("POST", reply)
    if isinstance(outcome, int):
        assert await worker.create(POST) == outcome
    else:
        with pytest.raises(outcome):
            await worker.create(POST)
    assert await stage.state() == (CREATING, "p1")
    assert await stage.catalog.real.placements.list_queues(PROJECT, "", "~", 10) == []
    assert await worker.create(POST) == 201
    assert await stage.state() == (OPEN, "p1")


@pytest.mark.parametrize("error", [DeadlineExceeded("late"), BadAnswer("garbage")], ids=repr)
async def test_other_ends_that_nobody_knows(stage: Stage, worker: Worker, error: UpstreamError) -> None:
    async def send(_: Placement) -> UpstreamAnswer:
        raise error

    with pytest.raises(type(error)):
        await worker.lifecycle.create(Q, "v2", send, None)
    assert await stage.state() == (CREATING, "p1")


async def test_a_creation_given_up_by_its_client_stays_until_the_next_call(
    stage: Stage, worker: Worker, p1: Partition
) -> None:
    async def never(_: Request) -> bytes:
        await asyncio.Event().wait()
        return b""

    p1.reply("PUT", never)
    creating = asyncio.create_task(worker.create())
    await settled(lambda: p1.log)
    creating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await creating
    assert await stage.state() == (CREATING, "p1")
    assert await worker.create() == 201
    assert await stage.state() == (OPEN, "p1")


async def test_a_store_that_goes_away_does_not_spoil_a_creation(stage: Stage, worker: Worker) -> None:
    stage.catalog.fail("placements.replace")
    assert await worker.create() == 201
    assert await stage.state() == (CREATING, "p1")
    assert await worker.create() == 201
    assert await stage.state() == (OPEN, "p1")


async def test_without_the_store_nothing_is_created(stage: Stage, worker: Worker, p1: Partition) -> None:
    await worker.directory.tenant(PROJECT)
    for verb in ("placements.get", "placements.insert"):
        stage.catalog.fail(verb)
        with pytest.raises(CatalogUnavailable):
            await worker.create()
    assert p1.log == []


# -- creation: where ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pinned", "version", "status", "retry_after"),
    [
        (partition("p1", state=PartitionState.CORDONED, version=2), "v2", 503, 30),
        (partition("p1", versions=("v1",), version=2), "v2", 503, 30),
        (partition("p1", weight=0, version=2), "v2", 503, 30),
    ],
    ids=["cordoned", "another version", "no weight"],
)
async def test_a_pinned_project_without_its_partition(
    stage: Stage,
    worker: Worker,
    pinned: Any,
    version: str,
    status: int,
    retry_after: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await stage.catalog.real.partitions.replace(pinned)
    await settled(lambda: pinned in worker.directory.partitions)
    for _ in range(3):
        with pytest.raises(RequestRefused) as caught:
            await worker.create(version=version)
        assert (caught.value.status, caught.value.retry_after) == (status, retry_after)
        assert "The request was not processed; ask your operator" in caught.value.description
        assert "p1" not in caught.value.description
    assert await stage.stored() is None
    (logged,) = [record.getMessage() for record in caplog.records if "are refused" in record.getMessage()]
    assert logged.startswith(f"new queues of project {PROJECT} are refused: it is pinned to partition p1, which takes")
    assert f"Next: marconi-proxy tenant set {PROJECT} --pin OTHER" in logged


@pytest.mark.parametrize(
    ("versions", "status"), [(("v1",), 404), ((), 503)], ids=["none speaks it", "perhaps one speaks it"]
)
async def test_a_version_that_no_partition_speaks(
    stage: Stage, worker: Worker, versions: tuple[str, ...], status: int
) -> None:
    for name in ("p1", "p2"):
        await stage.catalog.real.partitions.replace(partition(name, versions=versions, version=2))
    await settled(lambda: {p.api_versions for p in worker.directory.partitions} == {versions})
    with pytest.raises(RequestRefused) as caught:
        await worker.create()
    assert caught.value.status == status
    assert await stage.stored() is None


async def test_a_partition_removed_a_moment_ago(stage: Stage, p1: Partition) -> None:
    stage.catalog.hold_feed()
    behind = Worker(stage, stage.catalog)
    await behind.directory.start(PATIENCE)
    await stage.catalog.real.partitions.remove("p1")
    with pytest.raises(RequestRefused) as caught:
        await behind.create()
    assert caught.value.status == 503
    assert p1.log == []
    await behind.stop()


# -- creation: conflicts -----------------------------------------------------------------------------------------------


async def test_a_queue_that_another_worker_opens_meanwhile(stage: Stage, worker: Worker, p1: Partition) -> None:
    await stage.put(placement("q", "p1", CREATING))

    async def open_it() -> None:
        await stage.catalog.real.placements.replace(placement("q", "p1", OPEN, epoch=2))

    stage.catalog.before("placements.replace", open_it)
    assert await worker.create() is None
    assert p1.log == []


async def test_a_queue_that_another_worker_inserts_first(
    stage: Stage, worker: Worker, p1: Partition, p2: Partition
) -> None:
    async def insert() -> None:
        await stage.put(placement("q", "p2", CREATING))

    stage.catalog.before("placements.insert", insert)
    assert await worker.create() == 201
    assert await stage.state() == (OPEN, "p2")
    assert (p1.log, p2.log) == ([], ["PUT /v2/queues/q"])


async def test_a_queue_that_another_worker_stamps_while_we_create_it(
    stage: Stage, worker: Worker, p1: Partition
) -> None:
    async def stamp(request: Request) -> bytes:
        await stage.catalog.real.placements.replace(placement("q", "p1", CREATING, epoch=2, since=7.0))
        return await p1.do(request)

    p1.reply("PUT", stamp)
    assert await worker.create() == 201
    assert await stage.stored() == placement("q", "p1", OPEN, epoch=3, since=stage.clock.now)


async def test_a_refused_creation_that_another_worker_stamped_is_left_to_it(
    stage: Stage, worker: Worker, p1: Partition
) -> None:
    theirs = placement("q", "p1", CREATING, epoch=2, since=7.0)

    async def stamp(_: Request) -> bytes:
        await stage.catalog.real.placements.replace(theirs)
        return answer(400, b"{}")

    p1.reply("PUT", stamp)
    assert await worker.create() == 400
    assert await stage.stored() == theirs


@pytest.mark.parametrize("there", [True, False], ids=["it is there", "it is not"])
async def test_a_queue_that_was_deleted_while_we_created_it(
    stage: Stage, worker: Worker, p1: Partition, there: bool
) -> None:
    async def remove(request: Request) -> bytes:
        await stage.catalog.real.placements.remove(Q, 1, BORN)
        return await p1.do(request) if there else answer(201)

    p1.reply("PUT", remove)
    assert await worker.create() == 201
    # The state on the partition decides the race.
    assert await stage.state() == ((OPEN, "p1") if there else None)


@pytest.mark.parametrize("epoch", [1, 2, 3])
async def test_a_queue_of_a_later_life_is_left_to_who_creates_it(
    stage: Stage, worker: Worker, p1: Partition, epoch: int
) -> None:
    """Deleted and being created anew while we created it: the success of ours proves nothing about theirs."""
    theirs = placement("q", "p2", CREATING, epoch=epoch, incarnation="later")

    async def delete_and_create_anew(request: Request) -> bytes:
        reply = await p1.do(request)
        p1.queues.clear()
        await stage.catalog.real.placements.remove(Q, 1, BORN)
        await stage.put(theirs)
        return reply

    p1.reply("PUT", delete_and_create_anew)
    assert await worker.create() == 201
    assert await stage.stored() == theirs


async def test_a_failed_deletion_does_not_touch_a_later_life(stage: Stage, worker: Worker, p1: Partition) -> None:
    await stage.put(placement("q", "p1"))
    p1.queues.add("q")
    theirs = placement("q", "p2", DELETING, epoch=2, incarnation="later")

    async def finish_and_create_anew(_: Request) -> bytes:
        await stage.catalog.real.placements.remove(Q, 2, BORN)
        await stage.put(theirs)
        return NO_CONTENT

    p1.reply("DELETE", finish_and_create_anew)
    assert await worker.delete() == 204
    assert await stage.stored() == theirs


@pytest.mark.parametrize("state", [DELETING, OPEN, SEALING])
async def test_a_queue_that_went_on_to_another_state_while_we_created_it(
    stage: Stage, worker: Worker, p1: Partition, state: PlacementState
) -> None:
    theirs = placement("q", "p1", state, epoch=2)

    async def change(request: Request) -> bytes:
        await stage.catalog.real.placements.replace(theirs)
        return await p1.do(request)

    p1.reply("PUT", change)
    assert await worker.create() == 201
    assert await stage.stored() == theirs


async def test_a_queue_that_is_changed_again_and_again_is_refused_in_the_end(
    stage: Stage, worker: Worker, p1: Partition
) -> None:
    await stage.put(placement("q", "p1", CREATING))

    async def stamp() -> None:
        current = await stage.stored()
        assert current is not None
        await stage.catalog.real.placements.replace(placement("q", "p1", CREATING, epoch=current.epoch + 1, since=1.0))

    stage.catalog.before("placements.replace", *[stamp] * 100)
    with pytest.raises(RequestRefused) as caught:
        await worker.create()
    assert caught.value.status == 503
    assert p1.log == []


async def test_what_a_worker_believes_creating_and_is_open(stage: Stage) -> None:
    stage.catalog.hold_feed()
    behind = Worker(stage, stage.catalog)
    await behind.directory.start(PATIENCE)
    await stage.put(placement("q", "p1", CREATING))
    await behind.directory.find(Q)
    await stage.catalog.real.placements.replace(placement("q", "p1", OPEN, epoch=2))
    assert await behind.create() is None
    # Else the caller decides by what is old, and comes back here until it gives up.
    assert await behind.directory.find(Q) == placement("q", "p1", OPEN, epoch=2)
    await behind.stop()


# -- deletion ----------------------------------------------------------------------------------------------------------


async def test_a_deletion_is_noted_first_and_forgotten_last(stage: Stage, worker: Worker, p1: Partition) -> None:
    await stage.put(placement("q", "p1"))
    p1.queues.add("q")
    seen: list[Placement | None] = []

    async def look(request: Request) -> bytes:
        seen.append(await stage.stored())
        return await p1.do(request)

    p1.reply("DELETE", look)
    assert await worker.delete() == 204
    assert seen == [placement("q", "p1", DELETING, epoch=2, since=stage.clock.now)]
    assert await stage.stored() is None
    assert p1.queues == set()


async def test_a_queue_without_placement_is_not_deleted_here(worker: Worker, p1: Partition) -> None:
    assert await worker.delete() is None
    assert p1.log == []


async def test_what_a_worker_believes_open_and_is_gone(stage: Stage) -> None:
    stage.catalog.hold_feed()
    behind = Worker(stage, stage.catalog)
    await behind.directory.start(PATIENCE)
    await stage.put(placement("q", "p1"))
    await behind.directory.find(Q)
    await stage.catalog.real.placements.remove(Q, 1, BORN)
    assert await behind.delete() is None
    assert await behind.directory.find(Q) is None
    await behind.stop()


@pytest.mark.parametrize("status", [400, 401, 403])
@pytest.mark.parametrize("state", [OPEN, CREATING])
async def test_a_refused_deletion_changes_nothing(
    stage: Stage, worker: Worker, p1: Partition, status: int, state: PlacementState
) -> None:
    await stage.put(placement("q", "p1", state))
    p1.reply("DELETE", say(status))
    assert await worker.delete() == status
    assert await stage.stored() == placement("q", "p1", state, epoch=3, since=stage.clock.now)


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_a_refused_deletion_of_a_sealed_queue_ends_the_seal(
    stage: Stage, worker: Worker, p1: Partition, status: int
) -> None:
    """Writes went on while it was being deleted, so acknowledgements of the seal prove nothing any more."""
    sealed = seal(placement("q", "p1"), "m-1", 5.0, 4)
    await stage.put(sealed)
    p1.reply("DELETE", say(status))
    assert await worker.delete() == status
    assert await stage.stored() == placement("q", "p1", OPEN, epoch=4, since=stage.clock.now)
    with pytest.raises(PlacementConflict):
        await stage.catalog.real.placements.replace(switch(sealed, "m-1", "p2", "q", 6.0))


async def test_a_refused_deletion_of_a_moved_queue_leaves_its_move(stage: Stage, worker: Worker, p2: Partition) -> None:
    moved = switch(seal(placement("q", "p1"), "m-1", 5.0, 4), "m-1", "p2", "q", 6.0)
    await stage.put(seal(moved, "m-1", 7.0, 4))
    p2.reply("DELETE", say(403))
    assert await worker.delete() == 403
    found = await stage.stored()
    assert found is not None
    assert (found.state, found.segments, found.move) == (OPEN, moved.segments, "m-1")


async def test_a_switch_that_comes_after_the_deletion_has_begun_can_not_be(
    stage: Stage, worker: Worker, p1: Partition, p2: Partition
) -> None:
    sealed = seal(placement("q", "p1"), "m-1", 5.0, 4)
    await stage.put(sealed)
    p1.queues.add("q")

    async def switched(request: Request) -> bytes:
        with pytest.raises(PlacementConflict):
            await stage.catalog.real.placements.replace(switch(sealed, "m-1", "p2", "q", 6.0))
        return await p1.do(request)

    p1.reply("DELETE", switched)
    assert await worker.delete() == 204
    assert await stage.stored() is None
    assert p1.queues == set()
    assert p2.log == []


async def test_what_a_move_left_is_no_queue_that_was_forgotten(stage: Stage, worker: Worker, p1: Partition) -> None:
    """Its user has deleted it; the mover still has to delete what is on the partition that it came from."""
    p1.queues.add("q")
    await stage.catalog.real.moves.insert(Move("m-1", PROJECT, "q", "p1", "p2", MoveState.RETIRED, created=1.0))
    await worker.lifecycle.settle(Q, Segment(0, "p1", "q"))
    assert await stage.stored() is None
    found = await stage.catalog.real.moves.get("m-1")
    assert found is not None
    await stage.catalog.real.moves.replace(replace(found, version=2, state=MoveState.VOID), None)
    await worker.lifecycle.settle(Q, Segment(0, "p1", "q"))
    assert await stage.state() == (OPEN, "p1")


async def test_a_queue_is_created_beside_what_a_move_of_an_earlier_one_has_left(
    stage: Stage, worker: Worker, p1: Partition
) -> None:
    """A deletion of that may be under way: by another name it does no harm."""
    p1.queues.add("q")
    await stage.catalog.real.moves.insert(Move("m-1", PROJECT, "q", "p1", "p2", MoveState.RETIRED, created=1.0))
    assert await worker.create() == 201
    made = await stage.stored()
    assert made is not None
    assert made.state is OPEN
    # Not the first segment: then its name and ids are translated.
    (segment,) = made.segments
    assert (segment.n, segment.partition, segment.backend_name) == (1, "p1", hidden_name(PROJECT, "q", BORN, 1))


async def test_a_dead_letter_queue_waits_until_a_move_of_an_earlier_one_has_cleared_up(
    stage: Stage, worker: Worker, p1: Partition
) -> None:
    """Stores put dead letters into the queue that the metadata names: it can have no other name."""
    await stage.catalog.real.moves.insert(Move("m-1", PROJECT, "dead", "p1", "p2", MoveState.UNDOING, created=1.0))
    with pytest.raises(RequestRefused) as caught:
        await worker.create(dead_letter="dead")
    assert caught.value.status == 503
    assert await stage.stored("dead") is None
    assert p1.log == []


async def test_a_queue_with_a_hidden_name_takes_no_dead_letters(stage: Stage, worker: Worker) -> None:
    """Stores put them into the queue that the metadata names."""
    hidden = Segment(2, "p1", hidden_name(PROJECT, "dead", BORN, 2))
    moved = replace(placement("dead", "p1"), segments=(hidden,))
    await stage.put(moved)
    with pytest.raises(RequestRefused) as caught:
        await worker.lifecycle.placer.tie(placement("q", "p1"), "dead")
    assert caught.value.status == 409
    assert await stage.stored("dead") == moved


async def test_a_dead_letter_queue_that_is_being_moved_is_tied_to_nobody(stage: Stage, worker: Worker) -> None:
    """Where it will be is not decided."""
    for group in (None, "other"):
        sealed = seal(placement(f"dead-{group}", "p1", group=group), "m-1", 5.0, 4)
        await stage.put(sealed)
        with pytest.raises(RequestRefused) as caught:
            await worker.lifecycle.placer.tie(placement("q", "p1"), sealed.queue)
        assert caught.value.status == 503
        assert await stage.stored(sealed.queue) == sealed


class Guarding:
    """A guard that lets so many tries pass."""

    def __init__(self, most: int) -> None:
        self.left = most
        self.statuses: list[int] = []

    def sending(self) -> None:
        if not self.left:
            raise Withdrawn("not any more")
        self.left -= 1

    def answered(self, status: int) -> None:
        self.statuses.append(status)


async def test_what_a_deletion_does_to_older_segments_is_guarded_too(
    stage: Stage, worker: Worker, p1: Partition, p2: Partition
) -> None:
    await stage.put(switch(seal(placement("q", "p1"), "m-1", 5.0, 4), "m-1", "p2", "q", 6.0))
    p1.queues.add("q")
    p2.queues.add("q")
    with pytest.raises(RequestRefused) as caught:
        await worker.lifecycle.delete(Q, worker.sender(DELETE), guard=Guarding(0))
    assert caught.value.status == 503
    assert (p1.queues, p2.queues) == ({"q"}, set())
    assert (await stage.state()) == (DELETING, "p2")


async def test_a_deletion_that_is_taken_over_counts_as_a_write(stage: Stage, p1: Partition) -> None:
    await stage.put(placement("q", "p1", DELETING))
    p1.queues.add("q")
    gate = WriteGate(10.0, 60.0, stage.clock)
    worker = Worker(stage, stage.catalog, gate)
    await worker.directory.start(PATIENCE)
    await abandoned(stage, worker)
    with pytest.raises(RequestRefused):  # without a lease
        await worker.lifecycle.settle(Q, Segment(0, "p1", "q"))
    assert p1.queues == {"q"}
    gate.lease.confirmed(gate.lease.sent(stage.clock.now), stage.clock.now)
    under_way: list[bool] = []

    async def look(request: Request) -> bytes:
        under_way.append(not gate.fence.idle(stage.clock.now))
        return await p1.do(request)

    p1.reply("DELETE", look)
    await worker.lifecycle.settle(Q, Segment(0, "p1", "q"))
    assert under_way == [True]
    assert gate.fence.idle(stage.clock.now)
    assert await stage.stored() is None
    await worker.stop()


async def test_a_deletion_that_was_not_sent_changes_nothing(stage: Stage, worker: Worker) -> None:
    await stage.put(placement("q", "p1"))

    async def not_sent(_: Placement) -> UpstreamAnswer:
        raise NotSent("the host cannot be reached")

    with pytest.raises(NotSent):
        await worker.lifecycle.delete(Q, not_sent)
    assert await stage.state() == (OPEN, "p1")


@pytest.mark.parametrize(("reply", "outcome"), AMBIGUOUS.values(), ids=AMBIGUOUS)
async def test_a_deletion_that_nobody_knows_the_end_of(
    stage: Stage, worker: Worker, p1: Partition, reply: Reply, outcome: type[UpstreamError] | int
) -> None:
    await stage.put(placement("q", "p1"))
    p1.reply("DELETE", reply, reply)
    if isinstance(outcome, int):
        assert await worker.delete() == outcome
    else:
        with pytest.raises(outcome):
            await worker.delete()
    assert await stage.state() == (DELETING, "p1")


async def left_deleting(stage: Stage, worker: Worker, p1: Partition) -> None:
    """The partition has deleted the queue, and the worker died before it wrote that into the catalog."""
    await stage.put(placement("q", "p1"))
    p1.queues.add("q")
    stage.catalog.fail("placements.remove")
    assert await worker.delete() == 204
    assert p1.queues == set()
    assert await stage.stored() == placement("q", "p1", DELETING, epoch=2, since=stage.clock.now)
    p1.log.clear()


@pytest.mark.parametrize("age", [0.0, TAKEOVER_AFTER / 2, TAKEOVER_AFTER])
async def test_a_deletion_that_may_be_under_way_is_waited_for(
    stage: Stage, worker: Worker, p1: Partition, age: float
) -> None:
    await left_deleting(stage, worker, p1)
    await worker.lifecycle.settle(Q, HERE)
    stage.clock.now += age
    before = await stage.stored()
    for doing in (worker.create(), worker.create(POST), worker.delete()):
        with pytest.raises(RequestRefused) as caught:
            await doing
        assert (caught.value.status, caught.value.retry_after) == (503, int(TAKEOVER_AFTER))
    assert await stage.stored() == before
    assert p1.log == []


async def test_an_abandoned_deletion_is_finished_by_a_deletion(stage: Stage, worker: Worker, p1: Partition) -> None:
    await left_deleting(stage, worker, p1)
    await abandoned(stage, worker)
    assert await worker.delete() == 204
    assert p1.log == ["DELETE /v2/queues/q"]
    assert await stage.stored() is None


async def test_an_abandoned_deletion_is_finished_by_a_creation(stage: Stage, worker: Worker, p1: Partition) -> None:
    await left_deleting(stage, worker, p1)
    p1.queues.add("q")  # for all that the catalog shows
    await abandoned(stage, worker)
    assert await worker.create() == 201
    assert p1.log == ["DELETE /v2/queues/q", "PUT /v2/queues/q"]
    assert p1.queues == {"q"}
    assert await stage.stored() == placement("q", "p1", OPEN, epoch=2, since=stage.clock.now)


async def test_an_abandoned_deletion_does_not_bind_the_new_queue_to_its_partition(
    stage: Stage, worker: Worker, p1: Partition, p2: Partition
) -> None:
    await left_deleting(stage, worker, p1)
    await stage.catalog.real.tenants.put(Tenant(PROJECT, pinned="p2"))
    await abandoned(stage, worker)
    assert await worker.create() == 201
    assert await stage.state() == (OPEN, "p2")
    assert (p1.log, p2.log) == (["DELETE /v2/queues/q"], ["PUT /v2/queues/q"])


@pytest.mark.parametrize("step", [-1e6, 1e6], ids=["back", "on"])
async def test_a_clock_on_the_wall_that_is_set_abandons_nothing(
    stage: Stage, worker: Worker, p1: Partition, step: float
) -> None:
    """Neither this machine's nor that of the worker which is deleting: what counts is how long this one has watched."""
    await left_deleting(stage, worker, p1)
    await worker.lifecycle.settle(Q, HERE)
    stage.wall = lambda: stage.clock.now + step
    stage.clock.now += TAKEOVER_AFTER
    with pytest.raises(RequestRefused):
        await worker.create()
    stage.clock.now += 1
    assert await worker.create() == 201
    found = await stage.stored()
    assert found is not None
    assert found.since == stage.wall()


async def test_a_deletion_that_goes_on_is_watched_anew(stage: Stage, worker: Worker, p1: Partition) -> None:
    """Each change is a sign of life, also one of a later life of the queue."""
    await stage.put(placement("q", "p1", DELETING))
    await abandoned(stage, worker)
    await stage.catalog.real.placements.replace(placement("q", "p1", DELETING, epoch=2))
    with pytest.raises(RequestRefused):
        await worker.create()
    stage.clock.now += TAKEOVER_AFTER + 1
    await stage.catalog.real.placements.remove(Q, 2, BORN)
    await stage.put(placement("q", "p1", DELETING, epoch=2, incarnation="later"))
    with pytest.raises(RequestRefused):
        await worker.create()
    assert p1.log == []


async def test_a_worker_watches_for_itself(stage: Stage, worker: Worker, p1: Partition) -> None:
    """However long ago the deletion began, and however long another worker has watched it."""
    await stage.put(placement("q", "p1", DELETING, since=5.0))
    await abandoned(stage, worker)
    other = Worker(stage, stage.catalog)
    await other.directory.start(PATIENCE)
    with pytest.raises(RequestRefused):
        await other.create()
    assert p1.log == []
    await other.stop()


async def test_an_abandoned_deletion_is_looked_at_again_without_another_call(stage: Stage, p1: Partition) -> None:
    timers = Timers(stage.clock)
    worker = Worker(stage, stage.catalog, later=timers)
    await worker.directory.start(PATIENCE)
    await stage.put(placement("q", "p1", DELETING))
    for _ in range(3):
        with pytest.raises(RequestRefused):
            await worker.create()
    assert len(timers.waiting) == 1
    stage.clock.now += TAKEOVER_AFTER
    timers.run()
    assert len(timers.waiting) == 1
    stage.clock.now += 1.0
    timers.run()
    await settled(lambda: not worker.lifecycle._tasks)
    assert await stage.stored() is None
    assert p1.log == ["DELETE /v2/queues/q"]
    assert timers.waiting == []
    await worker.stop()


async def test_a_creation_that_was_left_is_looked_at_again_until_it_can_be_withdrawn(stage: Stage) -> None:
    timers = Timers(stage.clock)
    worker = Worker(stage, stage.catalog, later=timers)
    await worker.directory.start(PATIENCE)
    await stage.put(placement("q", "p1", CREATING))
    worker.lifecycle.settle_later(Q, HERE)
    await settled(lambda: not worker.lifecycle._tasks)
    assert await stage.state() == (CREATING, "p1")
    stage.clock.now += LATE
    timers.run()
    await settled(lambda: not worker.lifecycle._tasks)
    assert await stage.stored() is None
    await worker.stop()


async def test_a_worker_that_stopped_looks_at_nothing_again(stage: Stage, p1: Partition) -> None:
    timers = Timers(stage.clock)
    worker = Worker(stage, stage.catalog, later=timers)
    await worker.directory.start(PATIENCE)
    await stage.put(placement("q", "p1", DELETING))
    with pytest.raises(RequestRefused):
        await worker.create()
    await worker.stop()
    stage.clock.now += TAKEOVER_AFTER + 1
    timers.run()
    assert not worker.lifecycle._tasks
    assert p1.log == []


async def test_what_is_watched_is_bounded(stage: Stage, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement_watch, "_WATCHED", 3)
    for number in range(20):
        await stage.put(placement(f"q{number}", "p1", DELETING))
        with pytest.raises(RequestRefused):
            await worker.create(asked=key(f"q{number}"))
        assert len(worker.lifecycle._watch) <= 4


async def test_every_segment_of_an_abandoned_deletion_is_deleted(
    stage: Stage, worker: Worker, p1: Partition, p2: Partition
) -> None:
    chain = (Segment(0, "p1", "q", sealed=True), Segment(1, "p2", "q-2"))
    await stage.put(Placement(PROJECT, "q", 1, DELETING, chain, incarnation=BORN))
    await abandoned(stage, worker)
    await worker.create()
    assert p1.log == ["DELETE /v2/queues/q", "PUT /v2/queues/q"]
    assert p2.log == ["DELETE /v2/queues/q-2"]


async def test_a_takeover_deletes_nothing_when_another_may_have_taken_over(
    stage: Stage, worker: Worker, p1: Partition, p2: Partition
) -> None:
    chain = (Segment(0, "p1", "q", sealed=True), Segment(1, "p2", "q"))
    await stage.put(Placement(PROJECT, "q", 1, DELETING, chain, incarnation=BORN))

    async def slow(request: Request) -> bytes:
        stage.clock.now += TAKEOVER_AFTER / 2
        return await p1.do(request)

    p1.reply("DELETE", slow)
    await abandoned(stage, worker)
    with pytest.raises(Withdrawn):
        await worker.create()
    assert (p1.log, p2.log) == (["DELETE /v2/queues/q"], [])


async def test_a_takeover_that_fails_is_left_for_another(stage: Stage, worker: Worker, p1: Partition) -> None:
    await left_deleting(stage, worker, p1)
    await abandoned(stage, worker)
    p1.reply("DELETE", say(500))
    with pytest.raises(BadAnswer):
        await worker.create()
    # The worker that took over may still be deleting, so the wait begins anew.
    assert await stage.stored() == placement("q", "p1", DELETING, epoch=3, since=stage.clock.now)
    with pytest.raises(RequestRefused):
        await worker.create()
    stage.clock.now += TAKEOVER_AFTER + 1
    assert await worker.create() == 201


async def test_an_abandoned_deletion_that_another_worker_takes_over_first(
    stage: Stage, worker: Worker, p1: Partition
) -> None:
    await left_deleting(stage, worker, p1)
    await abandoned(stage, worker)

    async def take_over() -> None:
        await stage.catalog.real.placements.replace(placement("q", "p1", DELETING, epoch=3, since=stage.clock.now - 1))

    stage.catalog.before("placements.replace", take_over)
    with pytest.raises(RequestRefused) as caught:
        await worker.create()
    assert caught.value.status == 503
    assert p1.log == []


async def test_a_deletion_of_an_abandoned_deletion_that_is_refused(stage: Stage, worker: Worker, p1: Partition) -> None:
    await left_deleting(stage, worker, p1)
    await abandoned(stage, worker)
    p1.reply("DELETE", say(403))
    assert await worker.delete() == 403
    # The outcome of the first deletion is unknown; an open placement shows the state of the partition.
    assert await stage.state() == (OPEN, "p1")


async def test_creation_and_deletion_at_the_same_time_in_one_worker(
    stage: Stage, worker: Worker, p1: Partition
) -> None:
    await stage.put(placement("q", "p1"))
    p1.queues.add("q")
    go = asyncio.Event()

    async def slow(request: Request) -> bytes:
        await go.wait()
        return await p1.do(request)

    p1.reply("DELETE", slow)
    deleting = asyncio.create_task(worker.delete())
    await settled(lambda: p1.log)
    creating = asyncio.create_task(worker.create())
    go.set()
    assert await deleting == 204
    # It may be decided by what was known before the deletion, and is then decided anew by the caller.
    assert await creating in (201, None)
    assert p1.log[0] == "DELETE /v2/queues/q"


# -- deletion of queues with history -----------------------------------------------------------------------------------

CHAIN = (Segment(0, "p1", "q", sealed=True), Segment(1, "p2", "q-1", sealed=True), Segment(2, "p1", "q-2"))


def chained(state: PlacementState = OPEN, epoch: int = 5, **more: Any) -> Placement:
    return Placement(PROJECT, "q", epoch, state, CHAIN, incarnation=BORN, **more)


def delete_last(worker: Worker) -> Awaitable[UpstreamAnswer | None]:
    """Delete as a client's call does that is translated for the last segment."""
    call = DELETE._replace(target=b"/v2/queues/q-2")
    return worker.lifecycle.delete(Q, worker.sender(call))


async def test_a_deletion_is_for_every_segment_and_the_last_comes_first(
    stage: Stage, worker: Worker, p1: Partition, p2: Partition
) -> None:
    await stage.put(chained())
    seen: list[tuple[PlacementState, str] | None] = []

    async def look(request: Request) -> bytes:
        seen.append(await stage.state())
        return await p2.do(request)

    p2.reply("DELETE", look)
    p1.queues, p2.queues = {"q", "q-2"}, {"q-1"}
    got = await delete_last(worker)
    assert got is not None
    assert got.status == 204
    assert (p1.log, p2.log) == (["DELETE /v2/queues/q-2", "DELETE /v2/queues/q"], ["DELETE /v2/queues/q-1"])
    assert seen == [(DELETING, "p1")]
    assert await stage.stored() is None


async def test_a_deletion_that_the_last_segment_refuses_changes_nothing(
    stage: Stage, worker: Worker, p1: Partition, p2: Partition
) -> None:
    await stage.put(chained())
    p1.reply("DELETE", say(403))
    got = await delete_last(worker)
    assert got is not None
    assert got.status == 403
    assert (p1.log, p2.log) == (["DELETE /v2/queues/q-2"], [])
    assert await stage.stored() == chained(epoch=7, since=stage.clock.now)


@pytest.mark.parametrize("status", [403, 500, 503])
async def test_a_deletion_that_was_done_in_part_is_finished_later(
    stage: Stage, worker: Worker, p1: Partition, p2: Partition, status: int
) -> None:
    await stage.put(chained())
    p2.reply("DELETE", say(status))
    p2.queues.add("q-1")
    with pytest.raises(RequestRefused, match="in part") as refused:
        await delete_last(worker)
    assert (refused.value.status, refused.value.retry_after) == (503, int(TAKEOVER_AFTER))
    assert await stage.stored() == chained(DELETING, epoch=6, since=stage.clock.now)
    await abandoned(stage, worker)
    got = await delete_last(worker)
    assert got is not None
    assert got.status == 204
    assert p2.queues == set()
    assert await stage.stored() is None


async def test_a_deletion_of_many_segments_is_given_up_before_it_is_taken_over(
    stage: Stage, worker: Worker, p1: Partition, p2: Partition
) -> None:
    await stage.put(chained())

    async def slow(request: Request) -> bytes:
        stage.clock.now += TAKEOVER_AFTER / 2
        return await p1.do(request)

    p1.reply("DELETE", slow)
    with pytest.raises(RequestRefused, match="in part"):
        await delete_last(worker)
    assert (p1.log, p2.log) == (["DELETE /v2/queues/q-2"], [])


async def test_a_deleted_dead_letter_queue_keeps_the_place_of_its_last_segment_and_its_number(
    stage: Stage, worker: Worker
) -> None:
    await stage.put(chained(group="source"))
    await delete_last(worker)
    assert await stage.stored() == Placement(
        PROJECT, "q", 7, RESERVED, CHAIN[-1:], since=stage.clock.now, group="source", incarnation=BORN
    )


async def test_a_queue_with_history_that_a_post_created_anew_keeps_its_number(
    stage: Stage, worker: Worker, p1: Partition
) -> None:
    p1.queues.add("q-2")
    await worker.lifecycle.settle(Q, CHAIN[-1])
    assert await stage.stored() == Placement(PROJECT, "q", 1, OPEN, CHAIN[-1:], since=stage.clock.now, incarnation=BORN)


# -- dead-letter queues ------------------------------------------------------------------------------------------------


async def test_a_dead_letter_queue_that_is_not_there_is_reserved_beside_its_source(
    stage: Stage, worker: Worker, p1: Partition
) -> None:
    assert await worker.create(dead_letter="dlq") == 201
    assert await stage.state() == (OPEN, "p1")
    assert await stage.stored("dlq") == placement("dlq", "p1", RESERVED, since=stage.clock.now, group="q")
    listed = await stage.catalog.real.placements.list_queues(PROJECT, "", "~", 10)
    assert [one.queue for one in listed] == ["q"]
    assert p1.log == ["PUT /v2/queues/q"]


async def test_a_reservation_comes_before_its_source(stage: Stage, worker: Worker) -> None:
    order: list[str] = []

    async def look() -> None:
        order.append(f"q is {await stage.state('q')}, dlq is {await stage.state('dlq')}")

    stage.catalog.before("placements.insert", look, look)
    await worker.create(dead_letter="dlq")
    assert order == ["q is None, dlq is None", "q is None, dlq is (<PlacementState.RESERVED: 'reserved'>, 'p1')"]


async def test_a_queue_that_is_its_own_dead_letter_queue(stage: Stage, worker: Worker) -> None:
    assert await worker.create(dead_letter="q") == 201
    assert await stage.stored() == placement("q", "p1", OPEN, epoch=2, since=stage.clock.now)


async def test_a_source_goes_where_its_dead_letter_queue_is(
    stage: Stage, worker: Worker, p1: Partition, p2: Partition
) -> None:
    await stage.put(placement("dlq", "p2"))
    assert await worker.create(dead_letter="dlq") == 201
    assert await stage.state() == (OPEN, "p2")
    assert await stage.stored("dlq") == placement("dlq", "p2", OPEN, epoch=2, group="q")
    assert (p1.log, p2.log) == ([], ["PUT /v2/queues/q"])


async def test_two_sources_share_a_dead_letter_queue(stage: Stage, worker: Worker) -> None:
    await worker.create(dead_letter="dlq")
    await stage.catalog.real.tenants.put(Tenant(PROJECT, pinned="p2"))
    await settled(lambda: PROJECT not in worker.directory._tenants)
    assert await worker.create(PUT._replace(target=b"/v2/queues/r"), key("r"), dead_letter="dlq") == 201
    assert await stage.state("r") == (OPEN, "p1")
    found = await stage.stored("dlq")
    assert found is not None
    assert (found.epoch, found.group) == (1, "q")


@pytest.mark.parametrize(
    "home",
    [
        partition("p2", state=PartitionState.CORDONED, version=2),
        partition("p2", weight=0, version=2),
        partition("p2", versions=("v1",), version=2),
    ],
    ids=["cordoned", "no weight", "another version"],
)
async def test_a_source_that_cannot_go_where_its_dead_letter_queue_is(
    stage: Stage, worker: Worker, p1: Partition, home: Any
) -> None:
    await stage.put(placement("dlq", "p2"))
    await stage.catalog.real.partitions.replace(home)
    await settled(lambda: home in worker.directory.partitions)
    with pytest.raises(RequestRefused) as caught:
        await worker.create(dead_letter="dlq")
    assert caught.value.status == 503
    assert await stage.stored() is None
    assert p1.log == []


async def test_a_reserved_queue_is_created_where_it_was_reserved(
    stage: Stage, worker: Worker, p1: Partition, p2: Partition
) -> None:
    await stage.put(placement("q", "p2", RESERVED, group="source"))
    assert await worker.create() == 201
    assert await stage.stored() == placement("q", "p2", OPEN, epoch=3, since=stage.clock.now, group="source")
    assert (p1.log, p2.log) == ([], ["PUT /v2/queues/q"])


async def test_a_reserved_queue_is_created_where_its_source_is_by_now(
    stage: Stage, worker: Worker, p1: Partition, p2: Partition
) -> None:
    """Its source was moved: dead letters stay within a partition."""
    await stage.put(placement("source", "p1"), placement("q", "p2", RESERVED, group="source"))
    assert await worker.create() == 201
    found = await stage.stored()
    assert found is not None
    assert (found.state, found.group) == (OPEN, "source")
    # The queue may have existed on the other one: no old id may mean a new message.
    assert found.segments == (Segment(1, "p1", "q"),)
    assert (p1.log, p2.log) == (["PUT /v2/queues/q"], [])


async def test_a_dead_letter_queue_whose_source_is_just_being_moved_is_not_created(
    stage: Stage, worker: Worker, p1: Partition, p2: Partition
) -> None:
    reserved = placement("q", "p1", RESERVED, group="source")
    await stage.put(placement("source", "p1", SEALING), reserved)
    with pytest.raises(RequestRefused) as caught:
        await worker.create()
    assert caught.value.status == 503
    assert await stage.stored() == reserved
    assert p1.log == p2.log == []


@pytest.mark.parametrize(("destination", "where"), [("p2", "p2"), ("p3", "p1")])
async def test_a_reserved_queue_is_created_where_its_source_is_going(
    stage: Stage, worker: Worker, destination: str, where: str
) -> None:
    """A queue that was on the target before the move was prepared stays there."""
    await stage.put(placement("source", "p1"), placement("q", "p2", RESERVED, group="source"))
    await stage.catalog.real.moves.insert(
        Move("m1", PROJECT, "source", "p1", destination, created=1.0, incarnation=BORN)
    )
    assert await worker.create() == 201
    assert await stage.state() == (OPEN, where)


async def test_a_reserved_queue_that_others_change_meanwhile_is_looked_at_anew(
    stage: Stage, worker: Worker, p1: Partition
) -> None:
    reserved = placement("q", "p2", RESERVED, group="source")
    await stage.put(placement("source", "p1"), reserved)

    async def follow() -> None:
        await stage.catalog.real.placements.replace(rehome(reserved, "p1", 5.0))

    stage.catalog.before("placements.replace", follow)
    assert await worker.create() == 201
    found = await stage.stored()
    assert found is not None
    assert (found.state, found.segments) == (OPEN, (Segment(1, "p1", "q"),))
    assert p1.log == ["PUT /v2/queues/q"]


async def test_a_refused_creation_of_a_reserved_queue_leaves_it_reserved(
    stage: Stage, worker: Worker, p2: Partition
) -> None:
    await stage.put(placement("q", "p2", RESERVED, group="source"))
    p2.reply("PUT", say(400))
    assert await worker.create() == 400
    assert await stage.stored() == placement("q", "p2", RESERVED, epoch=3, since=stage.clock.now, group="source")


@pytest.mark.parametrize("state", [RESERVED, CREATING])
async def test_a_queue_that_was_reserved_or_left_creating_has_a_dead_letter_queue_of_its_own(
    stage: Stage, worker: Worker, state: PlacementState
) -> None:
    await stage.put(placement("q", "p2", state, group="source"))
    assert await worker.create(dead_letter="dlq") == 201
    assert await stage.state() == (OPEN, "p2")
    assert await stage.stored("dlq") == placement("dlq", "p2", RESERVED, since=stage.clock.now, group="q")


async def test_a_reserved_queue_whose_dead_letter_queue_lives_apart(
    stage: Stage, worker: Worker, p2: Partition
) -> None:
    await stage.put(placement("q", "p2", RESERVED, group="source"), placement("dlq", "p1"))
    with pytest.raises(RequestRefused) as caught:
        await worker.create(dead_letter="dlq")
    assert caught.value.status == 409
    assert p2.log == []
    assert await stage.state() == (RESERVED, "p2")


async def test_deleting_a_dead_letter_queue_keeps_its_place(stage: Stage, worker: Worker, p2: Partition) -> None:
    await stage.put(placement("q", "p2", group="source"))
    p2.queues.add("q")
    assert await worker.delete() == 204
    assert await stage.stored() == placement("q", "p2", RESERVED, epoch=3, since=stage.clock.now, group="source")
    assert p2.queues == set()


async def test_deleting_what_is_only_reserved_gives_up_the_reservation(
    stage: Stage, worker: Worker, p2: Partition
) -> None:
    await stage.put(placement("q", "p2", RESERVED, group="source"))
    assert await worker.delete() == 204
    assert p2.log == ["DELETE /v2/queues/q"]
    assert await stage.stored() is None


async def test_a_refused_deletion_of_what_is_reserved(stage: Stage, worker: Worker, p2: Partition) -> None:
    await stage.put(placement("q", "p2", RESERVED, group="source"))
    p2.reply("DELETE", say(400))
    assert await worker.delete() == 400
    assert await stage.stored() == placement("q", "p2", RESERVED, epoch=3, since=stage.clock.now, group="source")


@pytest.mark.parametrize(
    ("there", "after"),
    [
        (None, placement("dlq", "p1", RESERVED, since=1000.0, group="q")),
        (placement("dlq", "p1"), placement("dlq", "p1", epoch=2, group="q")),
        (placement("dlq", "p1", CREATING), placement("dlq", "p1", CREATING, epoch=2, group="q")),
        (placement("dlq", "p1", group="other"), placement("dlq", "p1", group="other")),
        (placement("dlq", "p1", RESERVED, group="other"), placement("dlq", "p1", RESERVED, group="other")),
    ],
    ids=["not there", "open", "being created", "tied to another", "reserved by another"],
)
async def test_tying_a_dead_letter_queue(
    stage: Stage, worker: Worker, there: Placement | None, after: Placement
) -> None:
    source = placement("q", "p1")
    await stage.put(source, *([there] if there else []))
    await worker.lifecycle.placer.tie(source, "dlq")
    assert await stage.stored("dlq") == after
    # Again is as good as once.
    await worker.lifecycle.placer.tie(source, "dlq")
    assert await stage.stored("dlq") == after


async def test_tying_a_queue_to_itself(stage: Stage, worker: Worker) -> None:
    await stage.put(placement("q", "p1"))
    await worker.lifecycle.placer.tie(placement("q", "p1"), "q")
    assert await stage.stored() == placement("q", "p1")


@pytest.mark.parametrize("state", [OPEN, RESERVED])
async def test_a_dead_letter_queue_that_lives_apart_cannot_be_tied(
    stage: Stage, worker: Worker, state: PlacementState
) -> None:
    await stage.put(placement("q", "p1"), placement("dlq", "p2", state, group="other"))
    with pytest.raises(RequestRefused, match="is placed apart") as caught:
        await worker.lifecycle.placer.tie(placement("q", "p1"), "dlq")
    assert (caught.value.status, caught.value.title) == (409, "Resource conflict")
    assert await stage.stored("dlq") == placement("dlq", "p2", state, group="other")


async def test_a_dead_letter_queue_that_is_changed_while_it_is_tied(stage: Stage, worker: Worker) -> None:
    await stage.put(placement("q", "p1"), placement("dlq", "p1", CREATING))

    async def open_it() -> None:
        await stage.catalog.real.placements.replace(placement("dlq", "p1", OPEN, epoch=2))

    stage.catalog.before("placements.replace", open_it)
    await worker.lifecycle.placer.tie(placement("q", "p1"), "dlq")
    assert await stage.stored("dlq") == placement("dlq", "p1", OPEN, epoch=3, group="q")


async def test_a_dead_letter_queue_that_is_deleted_while_it_is_tied(stage: Stage, worker: Worker) -> None:
    await stage.put(placement("q", "p1"), placement("dlq", "p1"))

    async def remove() -> None:
        await stage.catalog.real.placements.remove(key("dlq"), 1, BORN)

    stage.catalog.before("placements.replace", remove)
    await worker.lifecycle.placer.tie(placement("q", "p1"), "dlq")
    assert await stage.stored("dlq") == placement("dlq", "p1", RESERVED, since=stage.clock.now, group="q")


# -- settling ----------------------------------------------------------------------------------------------------------

LATE = TAKEOVER_AFTER + DEADLINE + 1


@pytest.mark.parametrize(
    ("before", "there", "age", "after"),
    [
        (None, True, 0.0, (OPEN, "p1")),
        (None, False, 0.0, None),
        (CREATING, True, 0.0, (OPEN, "p1")),
        (CREATING, False, 0.0, (CREATING, "p1")),
        (CREATING, False, LATE - 2, (CREATING, "p1")),
        (CREATING, False, LATE, None),
        (CREATING, True, LATE, (OPEN, "p1")),
        (OPEN, False, LATE, (OPEN, "p1")),
        (SEALING, False, LATE, (SEALING, "p1")),
        (RESERVED, True, LATE, (RESERVED, "p1")),
        (DELETING, True, TAKEOVER_AFTER, (DELETING, "p1")),
        (DELETING, True, TAKEOVER_AFTER + 1, None),
        (DELETING, False, TAKEOVER_AFTER + 1, None),
    ],
)
async def test_settling(
    stage: Stage,
    worker: Worker,
    p1: Partition,
    before: PlacementState | None,
    there: bool,
    age: float,
    after: tuple[PlacementState, str] | None,
) -> None:
    if before is not None:
        await stage.put(placement("q", "p1", before, since=stage.clock.now))
    if there:
        p1.queues.add("q")
    await worker.lifecycle.settle(Q, HERE)
    stage.clock.now += age
    await worker.lifecycle.settle(Q, HERE)
    assert await stage.state() == after
    # Only an order to delete deletes.
    assert p1.queues == ({"q"} if (there and before is not DELETING) or after == (DELETING, "p1") else set())


async def test_settling_a_creation_that_a_dead_letter_queue_waits_for(stage: Stage, worker: Worker) -> None:
    await stage.put(placement("q", "p1", CREATING, since=stage.clock.now, group="source"))
    await worker.lifecycle.settle(Q, HERE)
    stage.clock.now += LATE
    await worker.lifecycle.settle(Q, HERE)
    assert await stage.stored() == placement("q", "p1", RESERVED, epoch=2, since=stage.clock.now, group="source")


async def test_settling_in_the_background_is_done_once_at_a_time(stage: Stage, worker: Worker, p1: Partition) -> None:
    go = asyncio.Event()
    p1.queues.add("q")

    async def slow(request: Request) -> bytes:
        await go.wait()
        return await p1.do(request)

    p1.reply("GET", slow)
    for _ in range(10):
        worker.lifecycle.settle_later(Q, HERE)
    await settled(lambda: p1.at_once["GET"] == 1)
    worker.lifecycle.settle_later(Q, HERE)
    go.set()
    await settled(lambda: not worker.lifecycle._tasks)
    assert len(p1.host.requests) == 1
    assert await stage.state() == (OPEN, "p1")
    worker.lifecycle.settle_later(Q, HERE)
    await settled(lambda: not worker.lifecycle._tasks)


async def test_settling_is_done_once_more_for_news_that_comes_while_it_looks(
    stage: Stage, worker: Worker, p1: Partition
) -> None:
    looked, go = asyncio.Event(), asyncio.Event()

    async def slow(request: Request) -> bytes:
        seen = await p1.do(request)
        looked.set()
        await go.wait()
        return seen

    p1.reply("GET", slow)
    worker.lifecycle.settle_later(Q, HERE)
    await looked.wait()
    # A call forwarded by an old placement creates the queue anew, behind the back of the look under way.
    p1.queues.add("q")
    worker.lifecycle.settle_later(Q, HERE)
    worker.lifecycle.settle_later(Q, HERE)
    go.set()
    await settled(lambda: not worker.lifecycle._tasks)
    assert await stage.state() == (OPEN, "p1")
    assert len(p1.host.requests) == 2


@pytest.mark.parametrize("reply", [say(500), drop], ids=["an error", "no answer"])
async def test_settling_in_the_background_that_fails_is_only_noted(
    stage: Stage, worker: Worker, p1: Partition, reply: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    p1.reply("GET", reply, reply)
    worker.lifecycle.settle_later(Q, HERE)
    await settled(lambda: not worker.lifecycle._tasks)
    assert "not settled yet" in caplog.text
    assert await stage.stored() is None


async def test_stopping_gives_up_what_runs_in_the_background(stage: Stage, worker: Worker, p1: Partition) -> None:
    async def never(_: Request) -> bytes:
        await asyncio.Event().wait()
        return b""

    p1.reply("GET", never)
    worker.lifecycle.settle_later(Q, HERE)
    await settled(lambda: p1.at_once["GET"] == 1)
    await worker.lifecycle.stop()
    await settled(lambda: not worker.lifecycle._tasks)
    assert await stage.stored() is None


async def test_settling_on_a_partition_that_is_gone(stage: Stage, worker: Worker) -> None:
    with pytest.raises(RequestRefused) as caught:
        await worker.lifecycle.settle(Q, Segment(0, "p9", "q"))
    assert caught.value.status == 503
