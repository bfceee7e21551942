"""Calls that write, through the whole front door in one process: taken before ASGI, and by ASGI.

The catalog is real, and its feed shows changes at the test's command. The partitions are scripted. The test sets the
clock of the lease.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from catalog.errors import CatalogUnavailable
from catalog.model import (
    API_VERSIONS,
    Change,
    ChangeSubject,
    Move,
    MoveState,
    PartitionState,
    Placement,
    Seal,
    Synced,
    Tenant,
)
from catalog.sqlite.driver import SQLiteCatalog
from marconi_proxy import options
from marconi_proxy.fencing.transitions import abort, retire, seal, switch
from marconi_proxy.front_door import worker
from marconi_proxy.front_door.application import FrontDoor
from marconi_proxy.front_door.settings import Settings
from marconi_proxy.front_door.write_gate import WriteGate
from serving.asgi import CALL
from tests.faults.evil_host import PATIENCE, EvilHost, Request, answer, serve, settled
from tests.unit.catalog_stage import BORN, PROJECT, Staged, key, partition, placement

LEASE, LINGER = 30.0, 60.0
QUEUE = "/v2/queues/q"
POST = ("POST", f"{QUEUE}/messages")
DELETE_MESSAGE = ("DELETE", f"{QUEUE}/messages/0123456789abcdef01234567")
Q = key("q")

Reply = Callable[[Request], Awaitable[bytes]]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Partition:
    """Answers 201 unless a test set another answer. ``log``: the requests; ``epochs``: those that they carried."""

    def __init__(self) -> None:
        self.host = EvilHost([serve(self.handle)])
        self.replies: deque[Reply] = deque()
        self.log: list[str] = []
        self.epochs: list[str | None] = []

    async def handle(self, request: Request) -> bytes:
        self.log.append(f"{request.method.decode()} {request.target.decode()}")
        epoch = request.headers.get(b"x-marconi-epoch")
        self.epochs.append(None if epoch is None else epoch.decode())
        return await self.replies.popleft()(request) if self.replies else answer(201, b"{}")


async def closed(_: Request) -> bytes:
    return answer(409, b"{}", b"x-marconi-closed: 3")


async def drop(_: Request) -> bytes:
    raise ConnectionResetError


class Client:
    """One call. As a ``BufferedRequest`` it is offered to ``try_fast_path`` first; if that does not answer it, it
    comes by ASGI."""

    def __init__(self, door: FrontDoor, method: str, target: str, document: Any = None) -> None:
        self.body = b"" if document is None else json.dumps(document).encode()
        self._door = door
        self.scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "target": target.encode(),
            "path": target.partition("?")[0],
            "query_string": target.partition("?")[2].encode(),
            "http_version": "1.1",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "headers": [
                (b"client-id", b"3381af92-2b9e-11e3-b191-71861300734c"),
                (b"x-project-id", PROJECT.encode()),
                (b"content-length", str(len(self.body)).encode()),
            ],
            "client": ("127.0.0.1", 1),
            "scheme": "http",
            "extensions": {CALL: self},
        }
        self.gone = self.half_closed = self.draining = False
        self.on_left: Callable[[bool], None] | None = None
        self.client = ("127.0.0.1", 1)
        self.left = asyncio.Event()
        self.status = 0
        self.answer = b""
        self.taken = False
        self._said = False
        self._task: asyncio.Task[None] | None = None
        self.done = asyncio.Event()

    def respond(self, status: int, headers: Any, body: bytes) -> None:
        self.status, self.answer = status, body
        self.done.set()

    def hand_over(self, application: Callable[..., Awaitable[None]]) -> None:
        async def run() -> None:
            await application(self.scope, self._receive, self._send)
            self.done.set()

        self._task = asyncio.ensure_future(run())

    @property
    def recognised(self) -> Any:
        """The server's recognition of the request, as if it had come with a Host."""
        lines = b"".join(b"%b: %b\r\n" % pair for pair in [(b"host", b"door"), *self.scope["headers"]])
        return self._door.recognise(
            b"%b %b HTTP/1.1\r\n%b\r\n" % (self.scope["method"].encode(), self.scope["target"], lines)
        )

    async def _receive(self) -> dict[str, Any]:
        if not self._said:
            self._said = True
            return {"type": "http.request", "body": self.body}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.answer += message.get("body", b"")

    def begin(self, *, offer: bool = True) -> Client:
        self.taken = offer and self._door.try_fast_path(self)  # type: ignore[arg-type]
        if not self.taken:
            self.hand_over(self._door)
        return self

    async def ended(self) -> Client:
        async with asyncio.timeout(PATIENCE):
            await self.done.wait()
        return self


class Stage:
    def __init__(self, door: FrontDoor, catalog: Staged, p1: Partition, p2: Partition, clock: Clock) -> None:
        self.door, self.catalog, self.clock = door, catalog, clock
        self.p1, self.p2 = p1, p2
        self._position = 100

    @property
    def gate(self) -> WriteGate:
        return self.door.worker.gate

    def call(self, method: str, target: str, document: Any = None, *, offer: bool = True) -> Client:
        return Client(self.door, method, target, document).begin(offer=offer)

    async def ask(self, method: str, target: str, document: Any = None, *, offer: bool = True) -> int:
        return (await self.call(method, target, document, offer=offer).ended()).status

    async def put(self, changed: Placement, *, show: bool = True) -> None:
        """Store a placement, and have it shown."""
        await self.catalog.real.placements.replace(changed)
        if show:
            await self.show(changed)

    async def show(self, changed: Placement) -> None:
        self._position += 1
        sealing = changed.state.value == "sealing"
        change = Change(
            self._position, ChangeSubject.PLACEMENT, changed.key, changed.epoch, changed.incarnation, sealing
        )
        self.catalog.show(change)
        await settled(lambda: self.door.worker.directory.applied == self._position)

    async def fence(self) -> None:
        """Mark both partitions as fencing in the catalog, and show that in the feed."""
        for name in ("p1", "p2"):
            known = await self.catalog.real.partitions.get(name)
            assert known is not None
            await self.catalog.real.partitions.replace(replace(known, fences=True, version=known.version + 1))
            self._position += 1
            self.catalog.show(Change(self._position, ChangeSubject.PARTITION, (name,)))
        await settled(lambda: self.door.worker.directory.applied == self._position)
        self.p1.epochs.clear()

    async def acks(self) -> frozenset[Seal]:
        (member,) = await self.catalog.real.members.all()
        return member.acks

    async def acknowledged(self, sealed: Placement) -> None:
        async with asyncio.timeout(PATIENCE):
            while sealed.seal not in await self.acks():  # noqa: ASYNC110 - the store rings no bell
                await asyncio.sleep(0)

    def kept(self) -> bool:
        """Whether there is a connection to spare, so that a call can be taken."""
        return "1 idle" in repr(self.door.worker.pool)


OPEN = placement("q", "p1")
SEALED = seal(OPEN, "m-1", 5.0, 4)
SWITCHED = switch(SEALED, "m-1", "p2", "q", 6.0)


@pytest.fixture
async def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    """A front door with a registered worker that knows the queue q on p1."""
    real = await SQLiteCatalog.open(str(tmp_path / "catalog.db"))
    catalog, clock = Staged(real), Clock()
    catalog.hold_feed()
    catalog.position = 100

    async def open_catalog(uri: str) -> Staged:
        return catalog

    monkeypatch.setattr(worker, "open_catalog", open_catalog)
    monkeypatch.setattr(worker, "WriteGate", lambda lease, ambiguity: WriteGate(lease, ambiguity, clock))
    conf = options.load(
        overrides={
            "catalog.uri": f"sqlite:///{tmp_path / 'catalog.db'}",
            "directory.member_interval": 10.0,
            "moving.hold_max": 60.0,
            "moving.seal_overdue": 3600.0,
            "moving.linger": LINGER,
            "upstream.deadline": PATIENCE,
        }
    )
    p1, p2 = Partition(), Partition()
    async with AsyncExitStack() as stack:
        for name, one in (("p1", p1), ("p2", p2)):
            await stack.enter_async_context(one.host)
            await real.partitions.insert(partition(name, one.host.url))
        await real.tenants.put(Tenant(PROJECT, pinned="p1"))
        await real.placements.insert(OPEN)
        door = FrontDoor(Settings.from_options(conf))
        await door.worker.start()
        stage = Stage(door, catalog, p1, p2, clock)
        assert await stage.ask(*POST, {"messages": []}) == 201
        p1.log.clear()
        assert stage.kept()
        yield stage
        await door.worker.stop()


OFFERED = pytest.mark.parametrize("offer", [True, False], ids=["taken", "by ASGI"])


# -- clients that leave ------------------------------------------------------------------------------------------------


@OFFERED
async def test_a_client_that_is_gone_gives_its_place_back(stage: Stage, offer: bool) -> None:
    """Its read ends, and its write goes on without a place."""
    gate = asyncio.Event()

    async def slowly(_: Request) -> bytes:
        await gate.wait()
        return answer(201, b"{}")

    places = stage.door.worker.directory.known_upstream("p1")._places  # type: ignore[union-attr]
    stage.p1.replies.extend([slowly, slowly])
    reader = stage.call("GET", "/v2/queues/q/stats", offer=offer)
    await settled(lambda: len(stage.p1.log) == 1)
    assert (places.taken, reader.taken) == (1, offer)
    assert reader.on_left is not None
    reader.on_left(True)
    await settled(lambda: places.taken == 0)
    writer = stage.call(*POST, {"messages": []}, offer=False)
    await settled(lambda: len(stage.p1.log) == 2)
    assert writer.on_left is not None
    writer.on_left(True)
    assert (places.taken, len(places.apart)) == (0, 1)
    gate.set()
    assert (await writer.ended()).status == 201
    assert (places.taken, len(places.apart)) == (0, 0)


# -- the lease ---------------------------------------------------------------------------------------------------------


@OFFERED
async def test_under_its_lease_a_worker_writes(stage: Stage, offer: bool) -> None:
    call = await stage.call(*POST, {"messages": []}, offer=offer).ended()
    assert (call.status, call.taken) == (201, offer)
    assert stage.gate.fence.idle(stage.clock.now)


@OFFERED
@pytest.mark.parametrize(
    ("method", "target"),
    [
        POST,
        DELETE_MESSAGE,
        ("POST", f"{QUEUE}/claims"),
        ("DELETE", f"{QUEUE}/messages?pop=1"),
        ("POST", f"{QUEUE}/purge"),
        ("PUT", QUEUE),
        ("PATCH", QUEUE),
        ("DELETE", QUEUE),
        ("PUT", "/v2/queues/unknown"),
        ("POST", "/v1/queues/unknown/messages"),
        ("PUT", "/v1/queues/q/metadata"),
        ("POST", f"{QUEUE}/subscriptions"),
    ],
)
async def test_without_a_lease_every_write_is_refused(stage: Stage, method: str, target: str, offer: bool) -> None:
    stage.clock.now += LEASE
    call = await stage.call(method, target, offer=offer).ended()
    assert call.status == 503
    assert b"takes no writes" in call.answer
    assert stage.p1.log == []
    assert stage.gate.fence.idle(stage.clock.now)


@OFFERED
@pytest.mark.parametrize("path", ["", "/stats", "/messages", "/messages?ids=1", "/claims/1"])
async def test_reads_go_on_without_a_lease(stage: Stage, path: str, offer: bool) -> None:
    stage.clock.now += LEASE
    assert await stage.ask("GET", QUEUE + path, offer=offer) == 201
    assert stage.p1.log == [f"GET {QUEUE}{path}"]


SINGLE = retire(SWITCHED, 0, 7.0)
TIED = replace(OPEN, epoch=2, group="source")


@OFFERED
@pytest.mark.parametrize("known", [SWITCHED, SINGLE, TIED], ids=["two segments", "one of them", "dead-letter queue"])
async def test_reads_of_a_queue_that_was_moved_ask_the_catalog_when_movers_stop_waiting(
    stage: Stage, known: Placement, offer: bool
) -> None:
    """Its older segments may be deleted by then, and a dead-letter queue's name be used again."""
    for step in (SEALED, SWITCHED, SINGLE)[: known.epoch - 1] if known is not TIED else (TIED,):
        await stage.put(step)
    await stage.ask("GET", f"{QUEUE}/stats", offer=offer)  # looked up, and known from here on
    stage.clock.now += LINGER
    call = await stage.call("GET", f"{QUEUE}/stats", offer=offer).ended()
    assert call.status != 503
    seen = len(stage.p1.log + stage.p2.log)
    stage.clock.now += 0.1
    stage.catalog.fail("placements.get")
    call = await stage.call("GET", f"{QUEUE}/stats", offer=offer).ended()
    assert call.status == 503
    assert b"was not processed" in call.answer
    assert len(stage.p1.log + stage.p2.log) == seen
    # The feed is cut, and the catalog is not.
    await settled(lambda: stage.door.worker.catalog_guard.reads.breaker.opened_at is None)
    asked = stage.catalog.calls["placements.get"]
    assert await stage.ask("GET", f"{QUEUE}/stats", offer=offer) != 503
    assert stage.catalog.calls["placements.get"] == asked + 1
    # A proof of life is enough.
    stage.catalog.show(Synced(900, fresh=False))
    await settled(lambda: stage.door.worker.directory.applied == 900)
    assert await stage.ask("GET", f"{QUEUE}/stats", offer=offer) != 503


async def test_a_reader_that_is_cut_off_from_changes_goes_by_what_the_catalog_has_now(stage: Stage) -> None:
    for step in (SEALED, SWITCHED):
        await stage.put(step)
    await stage.ask("GET", f"{QUEUE}/stats")
    await stage.put(SINGLE, show=False)
    stage.clock.now += LINGER + 0.1
    stage.p1.log.clear()
    assert await stage.ask("GET", f"{QUEUE}/stats") == 201
    assert stage.p1.log == []


@OFFERED
async def test_reads_of_a_queue_that_was_never_moved_go_on(stage: Stage, offer: bool) -> None:
    stage.clock.now += 100 * LINGER
    assert await stage.ask("GET", f"{QUEUE}/stats", offer=offer) == 201


@OFFERED
async def test_a_late_answer_is_no_success(stage: Stage, offer: bool) -> None:
    async def freeze(_: Request) -> bytes:
        stage.clock.now += LEASE
        return answer(201, b'{"resources": []}')

    stage.p1.replies.append(freeze)
    call = await stage.call(*POST, {"messages": []}, offer=offer).ended()
    assert call.status == 503
    assert b"may have been processed" in call.answer
    assert len(stage.p1.log) == 1  # never sent again
    assert stage.gate.late_writes == 1
    assert stage.gate.fence.idle(stage.clock.now)


@OFFERED
async def test_a_second_try_is_not_made_after_the_lease(stage: Stage, offer: bool) -> None:
    async def freeze(_: Request) -> bytes:
        stage.clock.now += LEASE
        raise ConnectionResetError

    stage.p1.replies.append(freeze)
    call = await stage.call(*DELETE_MESSAGE, offer=offer).ended()
    assert call.status == 503
    assert b"may have been processed" in call.answer
    assert len(stage.p1.log) == 1


async def test_a_late_deletion_concludes_nothing(stage: Stage) -> None:
    async def freeze(_: Request) -> bytes:
        stage.clock.now += LEASE
        return answer(204)

    stage.p1.replies.append(freeze)
    assert await stage.ask("DELETE", QUEUE) == 503
    found = await stage.catalog.real.placements.get(Q)
    assert found is not None
    assert found.state.value == "deleting"  # until a later deletion finishes it


# -- what is under way -------------------------------------------------------------------------------------------------


@OFFERED
async def test_a_seal_is_acknowledged_when_the_writes_under_way_have_ended(stage: Stage, offer: bool) -> None:
    go = asyncio.Event()

    async def slow(_: Request) -> bytes:
        await go.wait()
        return answer(201, b"{}")

    stage.p1.replies.append(slow)
    write = stage.call(*POST, {"messages": []}, offer=offer)
    await settled(lambda: stage.p1.log)
    await stage.put(SEALED)
    assert await stage.acks() == frozenset()
    go.set()
    assert (await write.ended()).status == 201
    await stage.acknowledged(SEALED)


@OFFERED
@pytest.mark.parametrize(("call", "counts"), [(POST, True), (DELETE_MESSAGE, False)], ids=["post", "delete"])
async def test_a_write_without_an_answer_counts_on(
    stage: Stage, call: tuple[str, str], counts: bool, offer: bool
) -> None:
    stage.p1.replies.extend([drop, drop])
    assert await stage.ask(*call, offer=offer) == 503
    assert stage.gate.fence.idle(stage.clock.now) is not counts
    assert stage.gate.fence.idle(stage.clock.now + 60.0)


@OFFERED
async def test_an_answer_of_something_in_between_is_none(stage: Stage, offer: bool) -> None:
    async def gateway_timeout(_: Request) -> bytes:
        return answer(504)

    stage.p1.replies.append(gateway_timeout)
    await stage.ask(*POST, {"messages": []}, offer=offer)
    assert not stage.gate.fence.idle(stage.clock.now)


async def test_a_client_that_leaves_does_not_end_its_write(stage: Stage) -> None:
    go = asyncio.Event()

    async def slow(_: Request) -> bytes:
        await go.wait()
        return answer(201, b"{}")

    stage.p1.replies.append(slow)
    write = stage.call(*POST, {"messages": []}, offer=False)
    await settled(lambda: stage.p1.log)
    write.left.set()
    await stage.put(SEALED)
    assert stage.gate.fence.acks(stage.clock.now) == frozenset()
    go.set()
    await write.ended()
    await stage.acknowledged(SEALED)


# -- held --------------------------------------------------------------------------------------------------------------

HELD = [POST, ("PUT", QUEUE), ("PATCH", QUEUE), ("POST", f"{QUEUE}/purge"), ("POST", f"{QUEUE}/subscriptions")]


@pytest.mark.parametrize(("method", "target"), HELD)
async def test_a_held_write_goes_to_the_new_segment(stage: Stage, method: str, target: str) -> None:
    await stage.put(SEALED)
    await stage.acknowledged(SEALED)
    write = stage.call(method, target, [] if method == "PATCH" else {})
    await settled(lambda: stage.door.worker.holds.waiting == 1)
    # It does not keep its worker from acknowledging what comes.
    assert stage.gate.fence.idle(stage.clock.now)
    await stage.put(SWITCHED)
    assert (await write.ended()).status == 201
    assert stage.p2.log[0] == f"{method} {target}"
    if method == "POST" and not target.endswith("purge"):
        assert stage.p1.log == []
    assert stage.door.worker.holds.report("w")["m-1"].held == 1


async def test_a_held_write_goes_where_it_would_have_gone_if_the_seal_is_aborted(stage: Stage) -> None:
    await stage.put(SEALED)
    writes = [stage.call("POST", f"{QUEUE}/messages?n={n}", {"messages": []}) for n in range(10)]
    await settled(lambda: stage.door.worker.holds.waiting == 10)
    assert stage.p1.log == []
    await stage.put(abort(SEALED, 6.0))
    assert [(await write.ended()).status for write in writes] == [201] * 10
    assert sorted(stage.p1.log) == [f"POST {QUEUE}/messages?n={n}" for n in range(10)]


CONSUMERS = [("POST", f"{QUEUE}/claims"), DELETE_MESSAGE, ("GET", f"{QUEUE}/messages")]


@pytest.mark.parametrize("call", CONSUMERS, ids=["claim", "delete", "read"])
async def test_consumers_are_not_held(stage: Stage, call: tuple[str, str]) -> None:
    await stage.put(SEALED)
    await stage.ask(*call)
    assert len(stage.p1.log) == 1


async def test_a_held_client_that_leaves_is_let_go(stage: Stage) -> None:
    await stage.put(SEALED)
    write = stage.call(*POST, {"messages": []})
    await settled(lambda: stage.door.worker.holds.waiting == 1)
    write.left.set()
    await write.ended()
    assert stage.door.worker.holds.waiting == 0
    await stage.put(SWITCHED)
    assert stage.p1.log == stage.p2.log == []


async def test_a_switch_that_is_shown_while_the_seal_is_read_is_not_waited_for(stage: Stage) -> None:
    """The placement was read before the switch: no later event would wake the call."""
    await stage.put(SEALED)
    original = stage.catalog.real.placements.get

    async def overtaken(asked: Any) -> Placement | None:
        found = await original(asked)
        stage.catalog.real.placements.get = original  # type: ignore[method-assign]
        await stage.put(SWITCHED)
        return found

    stage.catalog.real.placements.get = overtaken  # type: ignore[method-assign]
    assert await stage.ask(*POST, {"messages": []}) == 201
    assert stage.p2.log == [f"POST {QUEUE}/messages"]


async def test_a_held_write_whose_queue_is_deleted_goes_where_the_queue_would_be(stage: Stage) -> None:
    await stage.put(SEALED)
    write = stage.call("POST", "/v1/queues/q/messages", [])
    await settled(lambda: stage.door.worker.holds.waiting == 1)
    await stage.catalog.real.placements.remove(Q, SEALED.epoch, SEALED.incarnation)
    stage.catalog.show(Change(200, ChangeSubject.PLACEMENT, Q))
    # As any call to a queue that is not there: where it would be.
    await write.ended()
    assert "POST /v1/queues/q/messages" in stage.p1.log


async def test_the_calls_held_at_a_time_are_bounded(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage.door.worker.holds, "_most", 3)
    await stage.put(SEALED)
    writes = [stage.call(*POST, {"messages": []}) for _ in range(3)]
    await settled(lambda: stage.door.worker.holds.waiting == 3)
    assert await stage.ask(*POST, {"messages": []}) == 503
    await stage.put(SWITCHED)
    assert [(await write.ended()).status for write in writes] == [201] * 3


async def test_one_that_is_held_for_too_long_is_refused(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage.door.worker.holds, "_longest", 0.0)
    await stage.put(SEALED)
    call = await stage.call(*POST, {"messages": []}).ended()
    assert call.status == 503
    assert b"being moved" in call.answer
    assert stage.p1.log == []


async def test_the_second_seal_holds_as_the_first_did(stage: Stage) -> None:
    """Writes to a queue with history, which take the other way through the front door."""
    await stage.put(SEALED)
    await stage.put(SWITCHED)
    again = replace(seal(SWITCHED, "m-1", 7.0, 4))
    await stage.put(again)
    await stage.acknowledged(again)
    write = stage.call(*POST, {"messages": []})
    await settled(lambda: stage.door.worker.holds.waiting == 1)
    await stage.put(switch(again, "m-1", "p1", "q.2", 8.0))
    await write.ended()
    assert stage.p1.log == ["POST /v2/queues/q.2/messages"]
    assert stage.p2.log == []


async def test_a_queue_that_is_created_under_a_hidden_name_is_used_by_it(stage: Stage) -> None:
    """A move of an earlier queue of its name has not cleared up."""
    await stage.catalog.real.moves.insert(Move("m-1", PROJECT, "r", "p1", "p2", MoveState.RETIRED, created=1.0))
    assert (await stage.call("PUT", "/v2/queues/r").ended()).status == 201
    made = await stage.catalog.real.placements.get(key("r"))
    assert made is not None
    name = made.segments[-1].backend_name
    assert name != "r"
    assert (await stage.call("POST", "/v2/queues/r/messages", {"messages": [{"body": 1}]}).ended()).status == 201
    assert (stage.p1.log + stage.p2.log) == [f"PUT /v2/queues/{name}", f"POST /v2/queues/{name}/messages"]


# -- fenced ------------------------------------------------------------------------------------------------------------


@OFFERED
@pytest.mark.parametrize(("method", "target"), [*HELD, ("PUT", "/v1/queues/q/metadata")])
async def test_writes_carry_the_epoch_of_their_placement_to_partitions_that_fence(
    stage: Stage, method: str, target: str, offer: bool
) -> None:
    await stage.ask(method, target, [] if method == "PATCH" else {}, offer=offer)
    await stage.fence()
    await stage.ask(method, target, [] if method == "PATCH" else {}, offer=offer)
    assert stage.p1.epochs == [f"{BORN}/1"]


@OFFERED
@pytest.mark.parametrize("call", CONSUMERS, ids=["claim", "delete", "read"])
async def test_consumers_calls_carry_no_epoch(stage: Stage, call: tuple[str, str], offer: bool) -> None:
    await stage.fence()
    await stage.ask(*call, offer=offer)
    assert stage.p1.epochs == [None]


async def test_the_first_call_to_a_queue_carries_its_epoch(stage: Stage) -> None:
    await stage.fence()
    assert await stage.ask("PUT", "/v2/queues/new") == 201
    made = await stage.catalog.real.placements.get(key("new"))
    assert made is not None
    # That of the placement as it was inserted, before the queue was there.
    assert stage.p1.epochs == [f"{made.incarnation}/1"]


@OFFERED
@pytest.mark.parametrize(("method", "target"), HELD)
async def test_a_write_that_comes_after_the_switch_goes_to_the_new_segment(
    stage: Stage, method: str, target: str, offer: bool
) -> None:
    """As by a worker on a machine that was restored: it has seen nothing of the switch, and its lease seems to last."""
    await stage.fence()
    await stage.put(SEALED, show=False)
    await stage.put(SWITCHED, show=False)
    stage.p1.replies.append(closed)
    call = await stage.call(method, target, [] if method == "PATCH" else {}, offer=offer).ended()
    assert call.status == 201
    assert stage.p1.epochs[0] == f"{BORN}/1"
    assert stage.p2.epochs == [f"{BORN}/3"]
    if method == "POST" and not target.endswith("purge"):
        assert len(stage.p1.log) == 1
    assert stage.gate.fence.idle(stage.clock.now)
    assert stage.gate.late_writes == 0


@OFFERED
async def test_a_write_that_is_refused_before_the_switch_waits_for_it(stage: Stage, offer: bool) -> None:
    await stage.fence()
    await stage.put(SEALED, show=False)
    stage.p1.replies.append(closed)
    write = stage.call(*POST, {"messages": []}, offer=offer)
    await settled(lambda: stage.door.worker.holds.waiting == 1)
    await stage.put(SWITCHED)
    assert (await write.ended()).status == 201
    assert stage.p2.epochs == [f"{BORN}/3"]


@OFFERED
async def test_a_refused_write_of_an_aborted_seal_is_done_where_it_was_refused(stage: Stage, offer: bool) -> None:
    """Also if this worker did not know that the partition fences: the refusal shows it."""
    await stage.put(SEALED, show=False)
    await stage.put(abort(SEALED, 6.0), show=False)
    stage.p1.replies.append(closed)
    assert await stage.ask(*POST, {"messages": []}, offer=offer) == 201
    assert stage.p1.epochs[-2:] == [None, f"{BORN}/3"]


async def test_that_a_host_fences_is_known_on_until_the_partition_has_other_hosts(stage: Stage) -> None:
    await stage.put(SEALED, show=False)
    await stage.put(abort(SEALED, 6.0), show=False)
    stage.p1.replies.append(closed)
    assert await stage.ask(*POST, {"messages": []}) == 201
    known = await stage.catalog.real.partitions.get("p1")
    assert known is not None
    (host,) = known.hosts
    for version, changes, epoch in (
        (2, {"weight": 7}, f"{BORN}/3"),
        (3, {"hosts": (host, "http://127.0.0.1:1")}, None),
    ):
        await stage.catalog.real.partitions.replace(replace(known, **changes, version=version))
        stage.catalog.show(Change(900 + version, ChangeSubject.PARTITION, ("p1",)))
        await settled(lambda version=version: stage.door.worker.directory.applied == 900 + version)
        assert await stage.ask(*POST, {"messages": []}) == 201
        assert stage.p1.epochs[-1] == epoch


@OFFERED
async def test_a_refusal_that_comes_after_the_lease_leaves_no_doubt(stage: Stage, offer: bool) -> None:
    async def late(request: Request) -> bytes:
        stage.clock.now += LEASE
        return await closed(request)

    await stage.fence()
    stage.p1.replies.append(late)
    call = await stage.call(*POST, {"messages": []}, offer=offer).ended()
    assert call.status == 503
    assert b"takes no writes" in call.answer
    assert stage.gate.late_writes == 0
    assert stage.gate.fence.idle(stage.clock.now)


@OFFERED
async def test_another_conflict_is_the_client_s(stage: Stage, offer: bool) -> None:
    async def conflict(_: Request) -> bytes:
        return answer(409, b'{"title": "Resource conflict"}')

    stage.p1.replies.append(conflict)
    call = await stage.call("POST", f"{QUEUE}/subscriptions", {}, offer=offer).ended()
    assert (call.status, call.answer) == (409, b'{"title": "Resource conflict"}')


@OFFERED
async def test_a_catalog_that_was_put_back_is_named(
    stage: Stage, caplog: pytest.LogCaptureFixture, offer: bool
) -> None:
    await stage.fence()
    stage.p1.replies.extend([closed] * 10)
    call = await stage.call(*POST, {"messages": []}, offer=offer).ended()
    assert call.status == 503
    assert b"was not processed" in call.answer
    assert len(stage.p1.log) == 5 + offer
    assert "partition p1" in caplog.text
    assert "marconi-partition reopen" in caplog.text


async def test_a_queue_that_was_deleted_before_it_was_closed_is_no_fault_of_the_catalog(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """A late mark of a switch that came to nothing: calls by rule have no epoch, and are refused by it."""
    await stage.fence()
    stage.p1.replies.extend([closed] * 10)
    call = await stage.call("POST", "/v1/queues/unknown/messages", []).ended()
    assert call.status == 503
    assert b"was not processed" in call.answer
    assert "marconi-partition reopen" not in caplog.text


@pytest.mark.parametrize(
    ("method", "target", "body"), [("POST", f"{QUEUE}/purge", {}), ("PATCH", QUEUE, []), (*POST, {"messages": []})]
)
async def test_a_write_to_a_chain_that_has_grown_is_done_on_all_of_it(
    stage: Stage, method: str, target: str, body: Any
) -> None:
    await stage.fence()
    await stage.put(SEALED)
    await stage.put(SWITCHED)
    assert await stage.door.worker.directory.find(Q) == SWITCHED
    again = seal(SWITCHED, "m-1", 7.0, 4)
    await stage.put(again, show=False)
    await stage.put(switch(again, "m-1", "p1", "q.2", 8.0), show=False)
    stage.p2.replies.append(closed)
    assert await stage.ask(method, target, body) == 201
    assert f"{method} {target.replace('/queues/q', '/queues/q.2')}" in stage.p1.log
    assert stage.p2.epochs[0] == f"{BORN}/3"
    # And what followed it, of the last segment at least.
    assert set(stage.p1.epochs[-1:] + stage.p2.epochs[1:]) == {f"{BORN}/5"}


async def test_what_clients_say_of_epochs_is_dropped(stage: Stage) -> None:
    for fences in (False, True):
        if fences:
            await stage.fence()
        for offer in (True, False):
            call = Client(stage.door, *POST, {"messages": []})
            call.scope["headers"].append((b"x-marconi-epoch", b"mine/999"))
            assert (await call.begin(offer=offer).ended()).status == 201
    assert stage.p1.epochs == [f"{BORN}/1"] * 2


async def test_clients_close_no_queues(stage: Stage) -> None:
    await stage.fence()
    assert await stage.ask("PUT", f"{QUEUE}/fence") == 404
    assert stage.p1.log == []


# -- probes ------------------------------------------------------------------------------------------------------------


async def readiness(stage: Stage, *, draining: bool = False, method: str = "GET") -> tuple[int, dict[str, bool]]:
    """Return the status of a probe, and which conditions are met."""
    client = Client(stage.door, method, "/v1/ready")
    client.scope["headers"] = []
    client.draining = draining
    await client.begin().ended()
    document = json.loads(client.answer)
    assert document["ready"] is (client.status == 200)
    assert all(condition["reason"] for condition in document["conditions"].values())
    return client.status, {name: condition["met"] for name, condition in document["conditions"].items()}


READY = {"lease": True, "catalog": True, "partitions": True, "accepting": True}


@pytest.mark.parametrize("version", API_VERSIONS)
async def test_a_worker_in_step_is_ready_without_any_header(stage: Stage, version: str) -> None:
    client = Client(stage.door, "GET", f"/{version}/ready")
    client.scope["headers"] = []
    assert (await client.begin().ended()).status == 200
    assert await readiness(stage) == (200, READY)


async def test_a_readiness_probe_takes_no_other_method(stage: Stage) -> None:
    assert await stage.ask("POST", "/v1/ready") == 405


async def test_a_worker_without_its_lease_is_alive_and_not_ready(stage: Stage) -> None:
    stage.clock.now += 3600.0
    assert await readiness(stage) == (503, READY | {"lease": False})
    assert await stage.ask("GET", "/v1/health") == 204


async def test_a_worker_with_a_cut_feed_is_alive_and_not_ready(stage: Stage) -> None:
    stage.catalog.fail("watch", 10_000_000)
    stage.catalog.show(CatalogUnavailable("the store is away"))
    await settled(lambda: not stage.door.worker.directory.synced)
    assert await readiness(stage) == (503, READY | {"catalog": False})
    for path in ("/v1/health", "/v1.1/ping", "/v2/ping"):
        assert await stage.ask("GET", path) == 204


@pytest.mark.parametrize("kind", ["reads", "writes"])
async def test_a_worker_with_an_open_breaker_is_not_ready(stage: Stage, kind: str) -> None:
    breaker = getattr(stage.door.worker.catalog_guard, kind).breaker
    breaker.failed(breaker.begin())
    breaker.begin()
    assert await readiness(stage) == (503, READY | {"catalog": False})
    shown = json.loads((await stage.call("GET", "/v1/ready").ended()).answer)["conditions"]["catalog"]
    other = "writes" if kind == "reads" else "reads"
    numbers = [shown[f"{one}_{counter}"] for one in (kind, other) for counter in ("outages", "refused")]
    assert numbers == [1, 1, 0, 0]
    breaker.succeeded()
    assert await readiness(stage) == (200, READY)


async def test_a_worker_whose_partitions_are_all_disabled_is_not_ready(stage: Stage) -> None:
    for name in ("p1", "p2"):
        known = await stage.catalog.real.partitions.get(name)
        assert known is not None
        changed = replace(known, state=PartitionState.DISABLED, version=known.version + 1)
        await stage.catalog.real.partitions.replace(changed)
    await stage.fence()  # shows the changes
    assert await readiness(stage) == (503, READY | {"partitions": False})


async def test_a_worker_of_which_one_partition_is_usable_is_ready(stage: Stage) -> None:
    one, other = stage.door.worker.directory.upstreams
    for upstream in (one, other):
        assert await readiness(stage) == (200, READY)
        (host,) = upstream._balancer.hosts
        for _ in range(5):
            upstream._balancer.failed(host, asyncio.get_running_loop().time())
    assert await readiness(stage) == (503, READY | {"partitions": False})


async def test_a_worker_that_stops_is_not_ready(stage: Stage) -> None:
    assert await readiness(stage, draining=True) == (503, READY | {"accepting": False})
