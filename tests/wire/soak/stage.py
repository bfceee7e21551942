"""A soak from beginning to end: traffic without kills, traffic with kills, and the drain.

``Stage`` runs in two threads: clients and the director are tasks of one loop in a thread of their own, and the thread
of the caller kills processes meanwhile.

Every queue is judged by every rule of the checker. The traffic avoids the known behaviour of Zaqar that would break a
rule, so that no rule needs an exception:

* A queue that visits Zaqar has one producer. (With several, a bookmark may pass a message of Zaqar's default store that
  becomes visible behind it.) The others, which move between our own nodes, have two.
* Zaqar's store is a MongoDB that is not killed: Zaqar repeats a whole post when its primary was lost, and may then have
  the messages twice. Zaqar itself is killed like every other host.
* Zaqar counts whole seconds: its claims may end up to one second before their time. ``CLAIM_SLACK`` is for its queues.
"""

from __future__ import annotations

import asyncio
import math
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from catalog.factory import open_catalog
from tests.checker.record import History
from tests.wire.keep_alive import KeepAlive
from tests.wire.soak import dialect
from tests.wire.soak.clients import HEADERS, PROJECT, Consumer, Journal, Producer, Subscriber
from tests.wire.soak.director import Director
from tests.wire.soak.report import Hours, Kill, Soak
from tests.wire.soak.system import OPTIONS, System
from tests.wire.soak.traffic import traffic

QUEUES, PRODUCERS, CONSUMERS, SUBSCRIBERS = 20, 8, 8, 2
# The first of the queues, which never visit Zaqar.
OURS_ONLY = 8
CLAIM_SLACK = 1.0
# The most seconds to wait for the events that the report needs, beyond the requested duration.
PATIENCE = 300.0
# The most seconds until all is drained; claims with lost answers end in this time, and leases.
DRAIN_PATIENCE = 600.0


class Stage:
    """``pace``: seconds between two posts of a producer, on the average."""

    def __init__(self, system: System, seed: int, pace: float = 0.15, moves_at_once: int = 8) -> None:
        self.system = system
        self._chance = random.Random(seed)
        self._pace = pace
        self.queues = [f"q{number:02}" for number in range(QUEUES)]
        ours = list(system.nodes)
        every = [*ours, "zaqar"] if system.zaqar else ours
        self.homes = {queue: ours if n < OURS_ONLY else every for n, queue in enumerate(self.queues)}
        self.journal = Journal({queue: History() for queue in self.queues})
        self.director = Director(system.admin, self.homes, moves_at_once, self._random())
        self._producers: list[Producer] = []
        self._readers: list[Consumer | Subscriber] = []
        self._thread = threading.Thread(target=self._traffic, name="traffic")
        self._failure: BaseException | None = None
        self._ending = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        # The lease of a killed worker must end, then its work is repeated; meanwhile the next worker starts.
        aftermath = float(str(OPTIONS["directory.lease"])) + 30.0
        self.soak = Soak(self.journal, self.homes, system.victims, PRODUCERS, aftermath=aftermath)
        self.soak.answers = self.director.answers

    def _random(self) -> random.Random:
        return random.Random(self._chance.random())

    # -- from outside ------------------------------------------------------------------------------------------------

    def run(self, quiet: float, kills: float, enough: Callable[[], bool]) -> Soak:
        """Run so many seconds without kills, and so many with; then drain, and return what came of it.

        Without kills it goes on until it was ``enough()``, and with kills until nothing is missing, however long either
        takes on this machine, up to PATIENCE.
        """
        self._prepare()
        began = time.monotonic()
        self._thread.start()
        try:
            self._wait(quiet, enough)
            self.soak.quiet_switches = len(self.soak.switches())
            first_kill = time.monotonic()
            self.soak.hours = Hours(began, first_kill, math.inf, math.inf)
            if kills:
                self._kill_until(first_kill + kills)
            calm = time.monotonic()
        finally:
            if self._loop is not None:
                # If traffic has ended by itself, its loop is closed.
                with suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._ending.set)
            self._thread.join()
        if self._failure is not None:
            raise self._failure
        self.soak.hours = Hours(began, first_kill, calm, time.monotonic())
        return self.soak

    def _prepare(self) -> None:
        """Create the queues. They begin on one partition, and move soon."""
        door = self.system.doors[0]
        door.run("tenant", "set", PROJECT, "--pin", next(iter(self.system.nodes)))

        async def create() -> None:
            connection = KeepAlive(door.public_address, HEADERS)
            for queue in self.queues:
                reply = await connection.ask("PUT", dialect.queue_path("v2", queue))
                assert reply is not None
                assert reply.status == 201, reply
            connection.close()

        asyncio.run(create())

    def _wait(self, seconds: float, enough: Callable[[], bool] = lambda: True) -> None:
        """Return after so many seconds and when it is ``enough()``, at the latest PATIENCE later."""
        self._thread.join(seconds)
        last = time.monotonic() + PATIENCE
        while self._thread.is_alive() and not enough() and time.monotonic() < last:
            self._thread.join(0.5)
        if not self._thread.is_alive():
            raise RuntimeError("traffic has ended by itself") from self._failure

    def _kill_until(self, end: float) -> None:
        """Kill one after the other, each victim once in a round, until then and until nothing is missing."""
        chance = self._random()
        round_: list[str] = []
        while (now := time.monotonic()) < end or round_ or (now < end + PATIENCE and any(self.soak.missing())):
            if not round_:
                round_ = chance.sample(self.system.victims, len(self.system.victims))
            victim = round_.pop()
            at = time.monotonic()
            what = self.system.harm(victim, chance)
            self.soak.kills.append(Kill(victim, what, at, time.monotonic()))
            self._wait(chance.uniform(0.5, 8.0))

    # -- the traffic -------------------------------------------------------------------------------------------------

    def _traffic(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as failure:
            self._failure = failure

    async def _run(self) -> None:
        self._cast()
        self._loop = asyncio.get_running_loop()
        catalog = await open_catalog(self.system.catalog)
        address = self.system.doors[0].public_address
        try:
            clients = traffic(catalog, address, self.journal, self._producers, self._readers, self._drain)
            async with clients, asyncio.TaskGroup() as group:
                group.create_task(self.director.run())
                await self._ending.wait()
                self.director.over = True
            self.soak.moves = await catalog.moves.find(limit=10_000)
        finally:
            self.director.close()
            await catalog.close()

    def _cast(self) -> None:
        doors = [door.public_address for door in self.system.doors]
        versions = dialect.VERSIONS
        for n in range(PRODUCERS):
            mine = [q for i, q in enumerate(self.queues) if i % PRODUCERS == n]
            mine += [q for i, q in enumerate(self.queues[:OURS_ONLY]) if (i + 3) % PRODUCERS == n]
            self._producers.append(
                Producer(f"p{n}", versions[n % 3], doors[n % 2], self.journal, mine, self._random(), self._pace)
            )
        ttl = {
            queue: dialect.CLAIM_TTL - (CLAIM_SLACK if "zaqar" in homes else 0.0) for queue, homes in self.homes.items()
        }
        for n in range(CONSUMERS):
            shift = n * QUEUES // CONSUMERS
            mine = self.queues[shift:] + self.queues[:shift]
            self._readers.append(
                Consumer(f"c{n}", versions[n % 3], doors[n // 2 % 2], self.journal, mine, self._random(), ttl)
            )
        for n in range(SUBSCRIBERS):
            spoken = [versions[(n + i) % 3] for i in range(QUEUES)]
            self._readers.append(Subscriber(f"s{n}", doors[n % 2], self.journal, self.queues, spoken))

    async def _drain(self) -> None:
        """Return when consumers have emptied all queues and all moves have ended, or when that takes too long."""
        began = time.monotonic()
        connection = KeepAlive(self.system.doors[0].public_address, HEADERS)
        full, unfinished = list(self.queues), None
        while time.monotonic() < began + DRAIN_PATIENCE and (full or unfinished != []):
            full = [queue for queue in full if not await self._is_empty(connection, queue)]
            unfinished = await self.director.unfinished()
            await self.director.resume(unfinished or [])
            await asyncio.sleep(0.3)
        connection.close()
        self.soak.undrained = full
        self.soak.stuck = [
            f"{move['id']} of {move['queue']} is {move['state']}: {move['waits']}" for move in unfinished or []
        ]

    async def _is_empty(self, connection: KeepAlive, queue: str) -> bool:
        path = f"{dialect.queue_path('v2', queue)}/messages?limit=1&echo=true&include_claimed=true"
        reply = await connection.ask("GET", path)
        return reply is not None and reply.status == 200 and not dialect.messages(reply)
