"""A soak from beginning to end: traffic without kills, traffic with kills, and the drain.

``Stage`` runs in two threads: clients and the director are tasks of one loop in a thread of their own; whoever calls it
kills processes meanwhile.

Which queue is judged by what: every queue by every rule of the checker. What Zaqar does by itself is kept out by what
is asked of it, not by what is overlooked:

* A queue that visits Zaqar has one producer. (With several, a bookmark may pass a message of Zaqar's default store that
  becomes visible behind it.) The others, which move between our own nodes, have two.
* Zaqar's store is a MongoDB that is not killed: Zaqar repeats a whole post when its primary was lost, and may then have
  the messages twice. Zaqar itself is killed like every other host.
* Zaqar counts whole seconds: its claims may end up to one second before their time. ``CLAIM_SLACK`` is for its queues.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from catalog.opening import open_catalog
from tests.checker.judge import Violation, judge
from tests.checker.record import History, Outcome
from tests.wire.keep_alive import KeepAlive
from tests.wire.soak import dialect
from tests.wire.soak.clients import HEADERS, PROJECT, Consumer, Journal, Producer, Subscriber, Trouble
from tests.wire.soak.director import Director, watch_placements
from tests.wire.soak.system import KINDS, System

QUEUES, PRODUCERS, CONSUMERS, SUBSCRIBERS = 20, 8, 8, 2
# The first of the queues, which never visit Zaqar.
OURS_ONLY = 8
CLAIM_SLACK = 1.0
# Seconds to wait for what must come: claims that nobody was told of end, leases too.
DRAIN_PATIENCE = 240.0


@dataclass
class Report:
    """What came of a soak."""

    seed: int
    violations: dict[str, list[Violation]] = field(default_factory=dict)
    quiet_troubles: list[Trouble] = field(default_factory=list)
    bad_troubles: list[Trouble] = field(default_factory=list)
    excused: Counter[str] = field(default_factory=Counter)
    stuck: list[str] = field(default_factory=list)
    undrained: list[str] = field(default_factory=list)
    kills: list[str] = field(default_factory=list)
    figures: dict[str, object] = field(default_factory=dict)

    @property
    def faults(self) -> dict[str, object]:
        """Everything that is wrong, nothing if all is well."""
        found: dict[str, object] = {
            "violations": {queue: [str(one) for one in some][:5] for queue, some in self.violations.items()},
            "errors without kills": [str(trouble) for trouble in self.quiet_troubles][:10],
            "errors that kills do not excuse": [str(trouble) for trouble in self.bad_troubles][:10],
            "stuck moves": self.stuck,
            "queues that do not drain": self.undrained,
        }
        return {what: some for what, some in found.items() if some}

    def lines(self) -> list[str]:
        told = [f"{name}: {figure}" for name, figure in self.figures.items()]
        return [f"seed {self.seed}", *told, *(f"{n} x {what}" for what, n in self.excused.most_common()), *self.kills]


class Stage:
    """``pace``: seconds between two posts of a producer, on the average."""

    def __init__(self, system: System, seed: int, pace: float = 0.15, moves_at_once: int = 8) -> None:
        self.system = system
        self.seed = seed
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
        self.report = Report(seed)

    def _random(self) -> random.Random:
        return random.Random(self._chance.random())

    # -- from outside ------------------------------------------------------------------------------------------------

    def run(self, quiet: float, kills: float) -> Report:
        """Run so many seconds without kills, and so many with; then drain, judge, and return what came of it."""
        self._prepare()
        began = time.monotonic()
        self._thread.start()
        try:
            self._wait(quiet)
            first_kill = time.monotonic()
            self._kill_until(first_kill + kills)
        finally:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._ending.set)
            self._thread.join()
        if self._failure is not None:
            raise self._failure
        self._judge(began, first_kill)
        return self.report

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

    def _wait(self, seconds: float) -> None:
        self._thread.join(seconds)
        assert self._thread.is_alive(), f"traffic has ended: {self._failure!r}"

    def _kill_until(self, end: float) -> None:
        """Kill one after the other; each kind once in each round, in any order."""
        chance = self._random()
        kinds: list[str] = []
        while time.monotonic() < end:
            if not kinds:
                kinds = chance.sample(KINDS, len(KINDS))
            at = time.monotonic()
            who = self.system.kill(kinds.pop(), chance)
            self.report.kills.append(f"killed {who} at {at:.3f}, replaced after {time.monotonic() - at:.1f} s")
            self._wait(chance.uniform(0.5, 4.0))

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
        watching = asyncio.create_task(watch_placements(catalog, self.journal.histories))
        try:
            async with asyncio.TaskGroup() as group:
                directing = group.create_task(self.director.run())
                posting = [group.create_task(producer.run()) for producer in self._producers]
                for reader in self._readers:
                    group.create_task(reader.run())
                await self._ending.wait()
                self.director.over = True
                for producer in self._producers:
                    producer.over = True
                await asyncio.gather(directing, *posting)
                await self._drain()
                for reader in self._readers:
                    reader.over = True
            await self._left()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
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
        observer = Director(self.system.admin, {}, 0, self._random())
        full, unfinished = list(self.queues), None
        while time.monotonic() < began + DRAIN_PATIENCE and (full or unfinished != []):
            full = [queue for queue in full if not await self._is_empty(connection, queue)]
            unfinished = await observer.unfinished()
            for move in unfinished or []:
                # What the director had paused is not stuck.
                if "resume" in move["can"]:
                    await observer.resume(move["id"])
            await asyncio.sleep(0.3)
        connection.close()
        observer.close()
        self.report.undrained = full
        self.report.stuck = [
            f"{move['id']} of {move['queue']} is {move['state']}: {move['waits']}" for move in unfinished or []
        ]
        self.report.figures["seconds to drain"] = round(time.monotonic() - began, 1)

    async def _is_empty(self, connection: KeepAlive, queue: str) -> bool:
        path = f"{dialect.queue_path('v2', queue)}/messages?limit=1&echo=true&include_claimed=true"
        reply = await connection.ask("GET", path)
        return reply is not None and reply.status == 200 and not dialect.messages(reply)

    async def _left(self) -> None:
        """Keep what is there at the end."""
        journal = Journal({queue: History() for queue in self.queues})
        subscriber = Subscriber("the end", self.system.doors[0].public_address, journal, self.queues, ["v2"] * QUEUES)
        subscriber.over = True
        await subscriber.run()
        for queue, history in journal.histories.items():
            self.journal.histories[queue].left = [shown for page in history.pages for shown in page.seen]

    # -- the end -----------------------------------------------------------------------------------------------------

    def _judge(self, began: float, first_kill: float) -> None:
        journal, report = self.journal, self.report
        for queue, history in journal.histories.items():
            found = judge(history)
            if found:
                report.violations[queue] = found
        report.quiet_troubles = [trouble for trouble in journal.troubles if trouble.when < first_kill]
        report.bad_troubles = [trouble for trouble in journal.troubles if not trouble.excused_by_kills]
        for trouble in journal.troubles:
            if trouble.excused_by_kills and trouble.when >= first_kill:
                report.excused[f"{trouble.what.partition(' ')[0]}: {trouble.words or 'no answer'}"] += 1
        histories = journal.histories.values()
        moved = {queue: _switches(history) for queue, history in journal.histories.items()}
        report.figures |= {
            "seconds": round(time.monotonic() - began, 1),
            "messages acknowledged": sum(
                len(p.bodies) for h in histories for p in h.posts if p.outcome is Outcome.ACKNOWLEDGED
            ),
            "messages delivered": len({s.body for h in histories for c in h.claims for s in c.taken}),
            "messages seen by subscribers": sum(len(page.seen) for h in histories for page in h.pages),
            "calls": dict(journal.calls),
            "switches": sum(moved.values()),
            "queues that were moved": sum(1 for switches in moved.values() if switches),
            "longest chain": max((len(p.segments) for h in histories for p in h.placements), default=1),
            "director": {f"{what} {status}": n for (what, status), n in sorted(self.director.answers.items())},
            "longest post (s)": round(max(took.seconds for took in journal.posts), 3),
            "longest post without kills (s)": round(max(t.seconds for t in journal.posts if t.sent < first_kill), 3),
        }


def _switches(history: History) -> int:
    return history.placements[-1].segments[-1].n if history.placements else 0
