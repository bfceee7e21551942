"""A whole system in one process: partitions, workers, movers and their catalog, in virtual time.

Everything that takes time or may go wrong is drawn from one seed. What is production's runs unchanged: the front door,
its upstream and the driving of moves; what it takes from outside (sockets, the catalog, clocks, chance) is the world's.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from catalog.errors import CatalogUnavailable
from catalog.model import LogEntry, Move, Partition
from marconi_proxy.front_door import application, lifecycle, writing
from marconi_proxy.front_door.application import FrontDoor
from marconi_proxy.front_door.pages import PageLimits
from marconi_proxy.front_door.settings import Settings
from marconi_proxy.moving.driving.pace import Pace
from marconi_proxy.moving.orders.turning import came_from, settled, turned
from marconi_proxy.moving.protocol.machine import TABLE, Event, after
from marconi_proxy.option_table import GROUPS
from marconi_proxy.upstream.exchange import Limits
from tests.checker.record import History
from tests.simulation.front import Worker
from tests.simulation.memory_catalog import Line, MemoryCatalog, Store
from tests.simulation.memory_storage import Shelf
from tests.simulation.mover_process import WorldClock, run_mover
from tests.simulation.network import Fate, Host, Network, Request
from tests.simulation.virtual_loop import Actor, VirtualLoop, acting

EPOCH = 1_700_000_000.0
# A second of the world is so many of production: a schedule is to be over soon. Partitions' clocks go by those.
HASTE = 20


def _hastened(group: str, option: str) -> float:
    """What is production's default, in seconds of the world."""
    return float(next(known.default for known in GROUPS[group] if known.name == option)) / HASTE


# So these are to each other as they are in production. What takes no longer than a few calls to the catalog is not
# shortened so far: calls take as long here as there.
DEADLINE = _hastened("upstream", "deadline")
AMBIGUITY = _hastened("moving", "ambiguity")
LEASE = _hastened("directory", "lease")
SETTINGS = Settings(
    catalog_uri="simulated",
    max_body=1_000_000,
    body_timeout=30.0,
    trust_forwarded_for=False,
    cache_size=100,
    member_interval=LEASE / 3,
    lease=LEASE,
    takeover_after=_hastened("directory", "takeover_after"),
    hold_max=1.0,
    max_held=100,
    seal_overdue=2.0,
    ambiguity=AMBIGUITY,
    default_page=10,
    max_page=20,
    pages=PageLimits(scan=1000, ask=100, deadline=DEADLINE),
    upstream=Limits(deadline=DEADLINE, connect_timeout=0.5, fresh_idle=1.0, eject_for=1.0),
)
PACE = Pace(
    seal_timeout=1.0,
    back_off=_hastened("moving", "back_off"),
    linger=_hastened("moving", "linger"),
    hold=_hastened("moving", "hold"),
    ambiguity=AMBIGUITY,
)

PARTITIONS = ("north", "south", "west")


@dataclass
class Weather:
    """How things go just now. Shares are of 1. ``slow``: the longest that a request to a partition takes;
    ``sluggish``: the share of posts that take as long as they may and are answered all the same; ``late``,
    ``lost``, ``mute``: shares of requests, see ``Fate``; ``lag``: of the readings of movers, in seconds. ``answers``:
    the longest that an answer of the catalog takes; ``away``, ``forgotten``: shares of its calls that fail before they
    are done, and after. ``news``: the longest that changes take to be shown. ``dying``: the share of calls to the
    catalog at which a mover dies, before or after they are done."""

    slow: float = 0.01
    sluggish: float = 0.0
    late: float = 0.0
    lost: float = 0.0
    mute: float = 0.0
    lag: float = 0.0
    answers: float = 0.003
    away: float = 0.0
    forgotten: float = 0.0
    news: float = 0.01
    dying: float = 0.0


FAIR = Weather()


class _WorldLine(Line):
    """A process's way to the catalog. ``cut``: it is lost; ``slow``: seconds more that answers take."""

    def __init__(self, world: World, actor: Actor) -> None:
        self._world = world
        self._actor = actor
        self._chance = world.chance
        self.cut = False
        self.closed = False
        self.slow = 0.0
        # Set: it is lost for good once it has answered a renewal.
        self.last: asyncio.Event | None = None

    def _may_die(self, verb: str, when: str) -> None:
        if self._chance.random() < self._world.weather.dying / 2 and self._actor.name.startswith("mover"):
            self._world.note(f"{self._actor.name} dies {when} {verb}")
            self._world.counts[f"movers died {when} a call"] += 1
            self._world.kill(self._actor)

    def _check(self) -> None:
        if self.cut or self.closed:
            raise CatalogUnavailable("the catalog is out of reach")

    async def there(self, verb: str) -> None:
        if self.closed:
            self._check()
        weather = self._world.weather
        if weather.dying:
            self._may_die(verb, "before")
        await asyncio.sleep(self._chance.uniform(0.0005, weather.answers))
        self._check()
        if weather.away and self._chance.random() < weather.away:
            self._world.counts["catalog away"] += 1
            raise CatalogUnavailable("the catalog did not do it")

    async def back(self, verb: str) -> None:
        if self.closed:
            self._check()
        weather = self._world.weather
        if weather.dying:
            self._may_die(verb, "after")
        await asyncio.sleep(self._chance.uniform(0.0005, weather.answers) + self.slow)
        self._check()
        if self.last is not None and verb == "renew_member":
            self.cut = True
            self.last.set()
        if weather.forgotten and self._chance.random() < weather.forgotten:
            self._world.counts["catalog mute"] += 1
            raise CatalogUnavailable("the catalog did not say whether it did it")

    async def news(self) -> None:
        if self.closed:
            self._check()
        await asyncio.sleep(self._chance.uniform(0.0005, self._world.weather.news))
        self._check()


class World:
    """Made inside ``substituted``. ``note`` keeps a line of the trace, if that is wanted."""

    def __init__(self, seed: int, loop: VirtualLoop, workers: int = 2, *, trace: bool = False) -> None:
        self.chance = random.Random(seed)
        self.loop = loop
        # How things are when nothing special happens, and how they are now.
        self.climate = FAIR
        self.weather = FAIR
        self.history = History()
        # How often each thing happened that can go wrong, or be decided.
        self.counts: Counter[str] = Counter()
        self.trace: list[str] | None = [] if trace else None
        self.clock = WorldClock(loop, EPOCH)
        self.store = Store(self.clock.now, placed=self.history.placements)
        self.lines: dict[str, _WorldLine] = {}
        self.network = Network(lambda: self.chance.uniform(0.0005, 0.002))
        loop.connect = self.network.connect
        self.hosts = {name: self._host(name) for name in PARTITIONS}
        self.network.hosts = self.hosts
        for name in PARTITIONS:
            versions = ("v1", "v1.1", "v2")
            # As Zaqar's, which go by leases alone, or as ours.
            fences = self.chance.random() < 0.5
            host = f"http://{name}:8888"
            self.store.insert_partition(Partition(name, (host,), 100, api_versions=versions, fences=fences))
        self.workers: list[Worker] = []
        self.movers: list[Actor] = []
        self._buried: list[Actor] = []
        # Nobody's: what is due in it happens whoever is frozen.
        self._own = copy_context()
        self._besides: list[asyncio.Task[None]] = []
        self._names = 0
        # One worker's next write to a partition is held back for so long, and the worker with it.
        self.stall: dict[str, float] = {}
        for _ in range(workers):
            self.workers.append(self._worker())

    def note(self, line: str) -> None:
        if self.trace is not None:
            self.trace.append(f"{self.loop.time() - 1000.0:8.3f} {line}")

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Have something happen besides."""
        self._besides.append(self.loop.create_task(work))

    # -- partitions --------------------------------------------------------------------------------------------------

    def _host(self, name: str) -> Host:
        return Host(
            name,
            self.loop,
            Shelf(random.Random(f"{name} {self.chance.random()}")),
            lambda: int(self.clock.now() * 1000 * HASTE),
            partial(self._fate, name),
            lambda: self.chance.uniform(0.0002, 0.002),
            self._stall,
        )

    def _fate(self, name: str, request: Request) -> Fate:
        weather, chance = self.weather, self.chance
        fate = Fate(chance.uniform(0.0005, weather.slow), chance.uniform(0.0005, weather.slow))
        drawn = chance.random()
        if weather.sluggish and request.method == "POST" and chance.random() < weather.sluggish:
            fate = replace(fate, before=chance.uniform(0.1, DEADLINE * 0.95))
            self.counts["sluggish"] += 1
        elif drawn < weather.late:
            # Until its caller gives up, and as long as it may be done after that.
            fate = replace(fate, before=chance.uniform(0.1, DEADLINE + AMBIGUITY * 0.9))
            self.counts["late"] += 1
        elif drawn < weather.late + weather.lost:
            fate = replace(fate, lost=True)
            self.counts["lost"] += 1
        elif drawn < weather.late + weather.lost + weather.mute:
            fate = replace(fate, mute=True)
            self.counts["mute"] += 1
        if weather.lag and request.whose.startswith("mover") and request.method == "GET":
            fate = replace(fate, lag=chance.uniform(0.0, weather.lag) * 1000 * HASTE)
            self.counts["readings that lag"] += 1
        if (self.trace is not None and fate.before + fate.after > 0.1) or fate.lost or fate.mute:
            self.note(f"  {name}: {request.method} {request.target} of {request.whose}: {fate}")
        return fate

    def _stall(self, actor: Actor, data: bytes) -> float:
        if not data.startswith(b"POST") or actor.name not in self.stall:
            return 0.0
        stalled = self.stall.pop(actor.name)
        self.counts["writes stalled"] += 1
        self.note(f"{actor.name} is frozen for {stalled:.1f} s before it writes: {data[:60]!r}")
        self.loop.freeze(actor)
        # It writes before anything else that has become due.
        self.loop.call_later(stalled + 1e-6, self.thaw, actor, context=self._own)
        return stalled

    # -- processes ---------------------------------------------------------------------------------------------------

    def catalog(self, actor: Actor) -> MemoryCatalog:
        """Return a way to the catalog of a process's own."""
        line = self.lines[actor.name] = _WorldLine(self, actor)
        return MemoryCatalog(self.store, line)

    def _name(self, what: str) -> str:
        self._names += 1
        return f"{what}-{self._names}"

    def _worker(self) -> Worker:
        return Worker(self._name("worker"), self.loop, self._door)

    def _door(self) -> FrontDoor:
        door = FrontDoor(SETTINGS)
        door._chance = random.Random(self.chance.random())
        return door

    def start_mover(self) -> None:
        actor = Actor(self._name("mover"))
        chance = random.Random(self.chance.random())
        work = run_mover(actor, self.catalog(actor), self.clock, PACE, SETTINGS.upstream, chance)
        self.loop.spawn(actor, work)
        self.movers.append(actor)

    def kill(self, actor: Actor) -> None:
        """As SIGKILL does: it does nothing any more, and its system closes what it had open."""
        if not self.is_alive(actor):
            return
        self._buried.append(actor)
        self.loop.freeze(actor)
        line = self.lines.get(actor.name)
        if line is not None:
            line.closed = True
        for host in self.hosts.values():
            for wire in list(host.wires):
                if wire.actor is actor:
                    wire.vanish()

    def is_alive(self, actor: Actor) -> bool:
        return actor not in self._buried

    def thaw(self, actor: Actor) -> None:
        """Let a process go on that was frozen, if it lives still."""
        if self.is_alive(actor):
            self.loop.thaw(actor)

    def kill_worker(self, place: int) -> None:
        """Kill a worker; another one takes its place."""
        worker = self.workers[place]
        self.note(f"{worker.actor.name} is killed")
        self.counts["workers restarted"] += 1
        worker.fall()
        self.kill(worker.actor)
        self.workers[place] = self._worker()

    def tend_movers(self, number: int) -> None:
        """Have so many movers."""
        self.movers = [actor for actor in self.movers if self.is_alive(actor)]
        while len(self.movers) < number:
            self.start_mover()

    def order_move(self, queue: str, target: str) -> bool:
        """Order a move; return whether it could be."""
        (placement,) = self.store.placements.values()
        if placement.partition == target or any(not move.finished for move in self.store.moves.values()):
            return False
        number = len(self.store.moves) + 1
        move = Move(
            f"m-{number}",
            placement.project,
            queue,
            placement.partition,
            target,
            created=self.clock.now(),
            born=placement.born,
        )
        self.store.insert_move(move)
        self.note(f"move m-{number} from {placement.partition} to {target} is ordered")
        return True

    def decide(self, event: Event, onward: str | None = None) -> None:
        """Do what an operator does, as the admin API does it; nothing if that cannot be just now. ``onward``: where a
        move is sent on to."""
        for move in list(self.store.moves.values()):
            if event not in TABLE[move.state].next:
                continue
            (placement,) = self.store.placements.values()
            once_more = event in (Event.REVERSE, Event.ONWARD)
            if once_more and (len(placement.segments) >= PACE.max_segments or placement.partition == onward):
                continue
            entry = LogEntry(self.clock.now(), after(move.state, event), f"an operator: {event}")
            decided = settled(move.entered(entry))
            if once_more:
                decided = turned(decided, placement, onward or came_from(move, placement))
            self.store.replace_move(replace(decided, due=0.0), None)
            self.note(f"{move.id} {move.state}: {event}")
            self.counts[f"operators: {event}"] += 1

    # -- the end -----------------------------------------------------------------------------------------------------

    async def end(self) -> None:
        """Stop everything that runs, dead processes included, so that nothing is left to the garbage collector."""
        actors = [*self._buried, *self.movers]
        actors += [process.actor for process in (*self.workers, *self.hosts.values())]
        for host in self.hosts.values():
            host.crash()
        for line in self.lines.values():
            line.closed = True
        for actor in actors:
            self.loop.thaw(actor)
        for _ in range(20):
            running = [task for actor in actors for task in actor.tasks if not task.done()]
            if not running:
                return
            for task in running:
                task.cancel()
            await asyncio.wait(running, timeout=1.0)
        raise AssertionError(f"these do not end: {running}")


class _Errors(logging.Handler):
    """Keeps what production logs as an error: it means that something is broken, not that something went wrong."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__(logging.ERROR)
        self._loop = loop

    def emit(self, record: logging.LogRecord) -> None:
        self._loop.failures.append({"message": self.format(record)})


@contextmanager
def _listening(loop: VirtualLoop) -> Iterator[None]:
    logger, errors = logging.getLogger("marconi_proxy"), _Errors(loop)
    before = logger.propagate, logger.level
    logger.addHandler(errors)
    logger.propagate = False
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.removeHandler(errors)
        logger.propagate = before[0]
        logger.setLevel(before[1])


@contextmanager
def substituted(loop: VirtualLoop, seed: int) -> Iterator[list[World]]:
    """Give production the world's clocks, chance and catalog while this lasts. The world is put into the list."""
    chance = random.Random(f"tokens {seed}")
    worlds: list[World] = []

    async def open_catalog(uri: str) -> MemoryCatalog:
        actor = acting()
        assert actor is not None
        return worlds[0].catalog(actor)

    def token_hex(length: int) -> str:
        return f"{chance.getrandbits(8 * length):0{2 * length}x}"

    def wall() -> float:
        return EPOCH + loop.time()

    state = random.getstate()
    random.seed(seed)
    with (
        _listening(loop),
        patch.object(application, "open_catalog", open_catalog),
        patch.object(application, "Writing", partial(writing.Writing, clock=loop.time)),
        patch.object(application, "Lifecycle", partial(lifecycle.Lifecycle, clock=wall)),
        patch.object(application, "time", SimpleNamespace(time=wall)),
        patch("secrets.token_hex", token_hex),
    ):
        try:
            yield worlds
        finally:
            random.setstate(state)
