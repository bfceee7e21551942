"""Queues under traffic that are moved back and forth, and the times that their clients and their moves took."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import signal
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from catalog.factory import open_catalog
from catalog.interface import Catalog
from catalog.model import FINISHED_STATES, Move, MoveState, Placement, PlacementState, QueueKey, Segment
from tests.checker.record import History
from tests.servers.marconi import CommandFailed
from tests.servers.suspension import suspend
from tests.wire.keep_alive import KeepAlive
from tests.wire.soak import dialect
from tests.wire.soak.clients import HEADERS, PROJECT, Consumer, Journal, Producer
from tests.wire.soak.system import System
from tests.wire.soak.traffic import traffic

QUEUES = 8
# Seconds to wait for a move.
PATIENCE = 60.0
BATCH = 500
_SWITCHED = frozenset({MoveState.DRAINING, MoveState.LINGERING, MoveState.RETIRED, *FINISHED_STATES})


class MovedQueues:
    """The queues of one run. ``count``: moves to measure; ``pace``: mean seconds between two posts of a producer;
    ``frozen``: stop a worker before each move; ``planned``: further queues, which a plan moves together with these.

    After ``run``: ``moves``, their records; ``journal``, the posts, refusals and histories of the clients; ``felt``,
    for each move the milliseconds of its longest post beyond the median; ``aborted``, for each aborted seal the
    milliseconds that it held writes; ``runnable``, for each move the processes that wanted a processor.
    """

    def __init__(self, system: System, count: int, pace: float, *, frozen: bool, planned: int = 0) -> None:
        self._system = system
        self._count = count
        self._pace = pace
        self._frozen = frozen
        self._planned = planned
        self._queues = [f"q{n}" for n in range(QUEUES)]
        self.journal = Journal({queue: History() for queue in self._queues})
        self._admin = KeepAlive(system.admin, {"Content-Type": "application/json"})
        self._homes = dict.fromkeys(self._queues, 0)
        self.moves: list[Move] = []
        self.felt: list[float] = []
        self.aborted: list[float] = []
        self.runnable: list[int] = []

    async def run(self) -> None:
        """Create the queues, start their clients, and move the queues. Raises RuntimeError if a step fails."""
        await self._create()
        doors = [door.public_address for door in self._system.doors]
        catalog = await open_catalog(self._system.catalog)
        try:
            async with traffic(catalog, doors[0], self.journal, *self._clients(doors)):
                if self._planned:
                    await self._plan(catalog)
                else:
                    await asyncio.sleep(3.0)
                    for n in range(self._count):
                        await self._one(catalog, self._queues[n % QUEUES])
        finally:
            self._admin.close()
            await catalog.close()

    async def _create(self) -> None:
        connection = KeepAlive(self._system.doors[0].public_address, HEADERS)
        for queue in self._queues:
            reply = await connection.ask("PUT", dialect.queue_path("v2", queue))
            if reply is None or reply.status != 201:
                raise RuntimeError(f"a queue was not created: {reply}")
        connection.close()

    def _clients(self, doors: Sequence[tuple[str, int]]) -> tuple[list[Producer], list[Consumer]]:
        producers, consumers = [], []
        for n, queue in enumerate(self._queues):
            chance = random.Random(n)
            producers.append(Producer(f"p{n}", "v2", doors[n % 2], self.journal, [queue], chance, self._pace))
            consumers.append(Consumer(f"c{n}", "v2", doors[(n + 1) % 2], self.journal, [queue], chance, {queue: 60.0}))
        return producers, consumers

    async def _plan(self, catalog: Catalog) -> None:
        """Move these and many more queues by a plan; return when enough of them are switched."""
        source, target = list(self._system.nodes)[:2]
        names = [f"planned-{n:05}" for n in range(self._planned)]
        node = KeepAlive(self._system.nodes[source][0].address, HEADERS)
        for name in names:
            reply = await node.ask("PUT", dialect.queue_path("v2", name))
            if reply is None or reply.status != 201:
                raise RuntimeError(f"a queue was not created: {reply}")
        node.close()
        placements = [
            Placement(PROJECT, n, 1, PlacementState.OPEN, (Segment(0, source, n),), incarnation=secrets.token_hex(8))
            for n in names
        ]
        for start in range(0, len(placements), BATCH):
            await catalog.placements.insert_many(placements[start : start + BATCH])
        proxy = self._system.doors[0]
        await asyncio.to_thread(proxy.run, "move", "tenant", PROJECT, "--to", target, "--pin", "--yes", "--no-wait")
        (plan,) = await catalog.plans.find(limit=1)
        enough = min(self._count, len(names))
        deadline = time.monotonic() + PATIENCE + enough
        while len(self.moves) < enough:
            if time.monotonic() > deadline:
                raise RuntimeError(f"plan {plan.id} has switched {len(self.moves)} of {enough} queues in time")
            await asyncio.sleep(1.0)
            self.moves = await catalog.moves.find(plan=plan.id, states=_SWITCHED, limit=BATCH)
            self.runnable.append(runnable())
        with suppress(CommandFailed):  # the plan has ended already
            await asyncio.to_thread(proxy.run, "plan", "stop", plan.id)

    async def _one(self, catalog: Catalog, queue: str) -> None:
        """Move a queue to its next partition; return when it is switched."""
        partitions = list(self._system.nodes)
        self._homes[queue] = (self._homes[queue] + 1) % len(partitions)
        victim = self._system.doors[0].worker_pids[0]
        before = time.monotonic()
        # Frozen before the order, the worker cannot acknowledge the seal.
        with frozen(victim) if self._frozen else nullcontext():
            id_ = await self._order(catalog, queue, partitions[self._homes[queue]])
            # The usual producers post too rarely to meet every pause.
            door = self._system.doors[len(self.moves) % 2].public_address
            probe = Producer(f"probe{len(self.moves)}", "v2", door, self.journal, [queue], random.Random(0), 0.005)
            probing = asyncio.create_task(probe.run())
            if self._frozen:
                await self._until(catalog, id_, switched=False)
        self.moves.append(await self._until(catalog, id_, switched=True))
        self.runnable.append(runnable())
        after = time.monotonic()
        probe.over = True
        await probing
        usual = statistics.median(took.seconds for took in self.journal.posts)
        mine = [t.seconds for t in self.journal.posts if t.queue == queue and before <= t.sent <= after]
        self.felt.append((max(mine, default=usual) - usual) * 1000.0)

    async def _order(self, catalog: Catalog, queue: str, target: str) -> str:
        """Order a move and return its id. Wait for the end of the queue's last move first, because an order before it
        would change that one."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if await catalog.moves.under_way(QueueKey(PROJECT, queue)) is not None:
                await asyncio.sleep(0.1)
                continue
            reply = await self._admin.ask("POST", "/v1/moves", {"project": PROJECT, "queue": queue, "to": target})
            if reply is None or reply.status != 201:
                raise RuntimeError(f"the order to move {queue} to {target} was refused: {reply}")
            (ordered,) = reply.document["moves"]
            found: str = ordered["id"]
            return found
        raise RuntimeError(f"the last move of {queue} has not ended after {PATIENCE:g} s")

    async def _until(self, catalog: Catalog, id_: str, *, switched: bool) -> Move:
        """Return the move when its queue is switched, or when its seal was aborted for the first time."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            move = await catalog.moves.get(id_)
            if move is None:
                raise RuntimeError(f"move {id_} is gone")
            sealed = [n for n, entry in enumerate(move.log) if entry.state is MoveState.SEALING]
            if switched and move.state in _SWITCHED:
                return move
            if not switched and sealed and len(move.log) > sealed[0] + 1:
                # The times of the records are those of their writing, just after the seal and its end.
                self.aborted.append((move.log[sealed[0] + 1].at - (move.measured.sealed_at or 0.0)) * 1000.0)
                return move
            await asyncio.sleep(0.02)
        raise RuntimeError(f"move {id_} of {move.queue} is {move.state} after {PATIENCE:g} s: {move.measured}")


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stop a process until the block ends."""
    suspend(pid)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def runnable() -> int:
    """Return the number of processes that run or wait for a processor, besides this one (Linux, proc(5))."""
    return int(Path("/proc/loadavg").read_text().split()[3].partition("/")[0]) - 1
