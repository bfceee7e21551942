"""Movers over a real catalog and partitions in memory, with members that acknowledge: all in this process."""

from __future__ import annotations

import asyncio
import itertools
import random
import secrets
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import replace
from types import TracebackType
from typing import Self

from catalog import Catalog
from catalog.errors import CatalogError, MoveConflict, NotRegistered
from catalog.model import (
    Change,
    ChangeSubject,
    LogEntry,
    Member,
    Move,
    MoveState,
    Partition,
    Placement,
    PlacementState,
    QueueKey,
    Seal,
    Segment,
)
from marconi_proxy.background import ended
from marconi_proxy.clock import SystemClock
from marconi_proxy.fencing.barrier import CHAINS
from marconi_proxy.moving.execution.move_feed import follow
from marconi_proxy.moving.execution.pace import MovePace
from marconi_proxy.moving.execution.steps.interface import Steps
from marconi_proxy.moving.execution.steps.real import RealSteps
from marconi_proxy.moving.mover import Mover
from marconi_proxy.moving.protocol.machine import Event, NotNow, after
from marconi_proxy.upstream.exchange import Upstream
from marconi_proxy.upstream.limits import UpstreamLimits
from marconi_proxy.upstream.pool import Pool
from tests.servers.fake_partition import FakePartition

PROJECT = "project"
# Seconds to wait for what must come. Only failures wait so long.
PATIENCE = 90.0
PACE = MovePace(seal_timeout=1.0, back_off=0.05, linger=0.05, hold=1.0, ambiguity=0.05)
_TICK = 0.02


class FakeMember:
    """A front-door worker that has no writes under way: it acknowledges each seal that it is shown. ``deaf`` ones do
    not. It acknowledges preparations if it is ``idle``, and then no seals."""

    def __init__(self, catalog: Catalog, name: str) -> None:
        self.name = name
        self.deaf = False
        self.idle = False
        self.applied = 0
        self._seals: dict[QueueKey, Seal] = {}
        self._catalog = catalog
        self._tasks: list[asyncio.Task[None]] = []
        self._news = asyncio.Event()
        self._hears = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Return once it would hear of a seal."""
        self._tasks = [asyncio.create_task(self._follow()), asyncio.create_task(self._renew())]
        async with asyncio.timeout(PATIENCE):
            await self._hears.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pending = set(self._tasks)
        while pending:  # a database client may swallow a cancellation that comes just when it is done
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=1.0)

    async def _follow(self) -> None:
        async with aclosing(self._catalog.watch()) as feed:
            async for event in feed:
                self.applied = event.position
                self._hears.set()  # the feed begins with how far it is
                if isinstance(event, Change) and event.subject is ChangeSubject.PLACEMENT:
                    key = QueueKey(*event.name)
                    shown = event.preparation if self.idle else event.seal
                    if shown is not None:
                        self._seals[key] = shown
                    elif not self.idle:
                        self._seals.pop(key, None)
                    self._news.set()

    async def _renew(self) -> None:
        for beat in itertools.count(1):
            self._news.clear()
            acks = frozenset() if self.deaf else frozenset(self._seals.values())
            member = Member(self.name, beat, self.applied, self.applied > 0, acks, (CHAINS,), 30.0)
            with suppress(CatalogError):
                try:
                    await self._catalog.members.renew(member)
                except NotRegistered:
                    await self._catalog.members.register(member)
            with suppress(TimeoutError):
                # Not wait_for, which loses a cancellation now and then.
                async with asyncio.timeout(0.2):
                    await self._news.wait()


class Stage:
    """Partitions ``p1``, ``p2`` and ``p3`` over one catalog; ``movers`` are begun and stopped by the test."""

    def __init__(self, catalog: Catalog, hosts: dict[str, FakePartition]) -> None:
        self.catalog = catalog
        self.hosts = hosts
        self.members: list[FakeMember] = []
        self._stack = AsyncExitStack()
        self._limits = UpstreamLimits(deadline=5.0)

    async def __aenter__(self) -> Self:
        for name, host in self.hosts.items():
            known = await self.catalog.partitions.get(name)
            versions = ("v1", "v1.1", "v2")
            if known is None:
                await self.catalog.partitions.insert(Partition(name, (host.url,), api_versions=versions, fences=True))
            else:
                partition = replace(
                    known, hosts=(host.url,), api_versions=versions, fences=True, version=known.version + 1
                )
                await self.catalog.partitions.replace(partition)
        for name in ("w1", "w2"):
            self.members.append(await self._stack.enter_async_context(FakeMember(self.catalog, name)))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def steps(self, stack: AsyncExitStack) -> RealSteps:
        """Return the real steps; ``stack`` closes what they need."""
        pool = Pool(connect_timeout=2.0, idle_timeout=5.0, max_head=65536)
        stack.callback(pool.close)

        def open_upstream(partition: Partition) -> Upstream:
            return Upstream(partition, pool, self._limits, random.Random(1))

        return RealSteps(self.catalog, open_upstream, SystemClock())

    async def mover(self, name: str, wrap: Callable[[Steps], Steps] = lambda steps: steps) -> RunningMover:
        """Begin a mover."""
        running = RunningMover(self, name, wrap)
        await self._stack.enter_async_context(running)
        return running

    async def put(self, queue: str, *bodies: str, where: str = "p1") -> QueueKey:
        """Create a queue with messages."""
        key = QueueKey(PROJECT, queue)
        placement = Placement(
            PROJECT, queue, 1, PlacementState.OPEN, (Segment(0, where, queue),), incarnation=secrets.token_hex(8)
        )
        await self.catalog.placements.insert(placement)
        store = self.hosts[where].store
        store._ensure(PROJECT, queue, {"colour": "red"})
        for number, body in enumerate(bodies):
            store.queues[PROJECT, queue].messages.append((number + 1, {"body": body, "ttl": 300}))
        return key

    async def order(self, id_: str, queue: str, target: str = "p2", group: tuple[str, ...] = ()) -> Move:
        """Order a move."""
        placement = await self.catalog.placements.get(QueueKey(PROJECT, queue))
        assert placement is not None
        move = Move(
            id_,
            PROJECT,
            queue,
            placement.partition,
            target,
            created=time.time(),
            incarnation=placement.incarnation,
            group=group,
        )
        await self.catalog.moves.insert(move)
        return move

    async def decide(self, id_: str, event: Event) -> None:
        """Do what an operator does."""
        move = await self.move(id_)
        try:
            entry = LogEntry(time.time(), after(move.state, event), f"an operator: {event}")
            await self.catalog.moves.replace(move.entered(entry), None)
        except (NotNow, MoveConflict):
            # The mover is in the middle of a step: operators try again.
            await asyncio.sleep(_TICK)
            await self.decide(id_, event)

    async def move(self, id_: str) -> Move:
        found = await self.catalog.moves.get(id_)
        assert found is not None
        return found

    async def until(self, id_: str, *states: MoveState) -> Move:
        """Return the move once it is in one of the states."""
        return await self.wait_for(id_, lambda move: move.state in states)

    async def wait_for(self, id_: str, condition: Callable[[Move], object]) -> Move:
        """Return the move once the condition holds for it."""
        deadline = time.monotonic() + PATIENCE
        while not condition(move := await self.move(id_)):
            told = f"{move.state}, {move.measured.waits}; {[entry.reason for entry in move.log]}"
            assert time.monotonic() < deadline, f"not within {PATIENCE:g} s: {told}"
            await asyncio.sleep(_TICK)
        return move

    def empty(self, where: str, queue: str) -> None:
        """Let consumers empty a queue."""
        self.hosts[where].store.queues[PROJECT, queue].messages.clear()

    def has(self, where: str, queue: str) -> bool:
        return self.hosts[where].store.has(PROJECT, queue)

    async def partitions(self, queue: str) -> list[str]:
        """The partitions of a queue's segments."""
        return [segment.partition for segment in await self.segments(queue)]

    async def segments(self, queue: str) -> tuple[Segment, ...]:
        placement = await self.catalog.placements.get(QueueKey(PROJECT, queue))
        assert placement is not None
        return placement.segments


class RunningMover:
    """A mover at work. ``stop`` it in good order, or ``kill`` it: nothing more of what it has begun is done."""

    def __init__(self, stage: Stage, name: str, wrap: Callable[[Steps], Steps]) -> None:
        self._stage = stage
        self._name = name
        self._wrap = wrap
        self._stack = AsyncExitStack()
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        mover: Mover
        catalog = self._stage.catalog

        def changed(move_id: str | None, version: int | None) -> None:
            mover.changed(move_id, version)

        steps = self._stage.steps(self._stack)
        mover = Mover(catalog, self._wrap(steps), PACE, SystemClock(), random.Random(1), self._name)
        beside = (follow(catalog, changed, steps.partitions), steps.watch.run())
        self._tasks = [asyncio.create_task(task) for task in (mover.run(self._stop), *beside)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        self._stop.set()
        if self._tasks:
            running, *beside = self._tasks
            await asyncio.wait_for(running, PATIENCE)
            await ended(beside)
        self._tasks = []
        await self._stack.aclose()
