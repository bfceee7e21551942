"""A whole system in one process: partitions, workers, movers and their catalog, in virtual time.

Everything that takes time or may go wrong is drawn from one seed. The code of production runs unchanged: the front
door, its upstream and the driving of moves. Its outside (sockets, the catalog, clocks, chance) is the world's.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter, deque
from collections.abc import Callable, Collection, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest.mock import patch

from catalog.errors import CatalogUnavailable
from catalog.model import LogEntry, Move, MoveState, Partition, Placement, PlacementState, QueueKey
from marconi_proxy.fencing.transitions import withdraw
from marconi_proxy.front_door import lifecycle, worker, write_gate
from marconi_proxy.front_door.application import FrontDoor
from marconi_proxy.front_door.pages import PageLimits
from marconi_proxy.front_door.settings import Settings
from marconi_proxy.moving.execution.pace import MovePace
from marconi_proxy.moving.orders.direction import came_from, settled, turned
from marconi_proxy.moving.orders.order import CatalogView, MoveRefused, MoveRequest, check_onward, order
from marconi_proxy.moving.protocol.machine import TABLE, Event, after
from marconi_proxy.option_table import GROUPS
from marconi_proxy.upstream.limits import UpstreamLimits
from tests.checker.record import History
from tests.simulation.front import Worker
from tests.simulation.memory_catalog import Line, MemoryCatalog, Store
from tests.simulation.memory_storage import Shelf
from tests.simulation.mover_process import WorldClock, run_mover
from tests.simulation.network import Fate, Host, Network, Request
from tests.simulation.strays import Strays
from tests.simulation.virtual_loop import Actor, VirtualLoop, acting

# Only a protocol that reads no clock of another machine, nor the order of changes of different queues, can stand these:
# wall clocks that differ, drift and are set; a feed of several shards, each with its own delay.
CLOCKS_DIFFER = True
SHARDS = 3
# Only names that are never used again can stand these: readers cut off while a queue goes away and comes back.
READERS_STAY_BEHIND = True
# Only a catalog that reads the latest state for an unknown id can stand this: a primary that was deposed and answers.
PRIMARIES_STALE = True
# Only a fence that deletions wait for, too, can stand these: queues that are deleted and made anew under another name
# while a worker has not been shown it.
DELETIONS_UNHEARD = False

PROJECT = "project"
EPOCH = 1_700_000_000.0
# A second of the world is so many of production: a schedule is to be over soon. Partitions' clocks go by those.
HASTE = 20


def _hastened(group: str, option: str) -> float:
    """Return the default of production, in seconds of the world."""
    return float(next(known.default for known in GROUPS[group] if known.name == option)) / HASTE


# So these are to each other as they are in production. Times of a few calls to the catalog are not
# shortened so far: calls take as long here as there.
DEADLINE = _hastened("upstream", "deadline")
AMBIGUITY = _hastened("moving", "ambiguity")
LEASE = _hastened("directory", "lease")
SETTINGS = Settings(
    catalog_uri="simulated",
    max_body=1_000_000,
    trust_forwarded_for=False,
    cache_size=100,
    member_interval=LEASE / 3,
    lease=LEASE,
    takeover_after=_hastened("directory", "takeover_after"),
    hold_max=1.0,
    max_held=100,
    seal_overdue=2.0,
    ambiguity=AMBIGUITY,
    linger=_hastened("moving", "linger"),
    default_page=10,
    max_page=20,
    pages=PageLimits(scan=1000, ask=100, deadline=DEADLINE),
    upstream=UpstreamLimits(deadline=DEADLINE, connect_timeout=0.5, fresh_idle=1.0, eject_for=1.0, probe_interval=0.0),
)
PACE = MovePace(
    seal_timeout=1.0,
    back_off=_hastened("moving", "back_off"),
    linger=_hastened("moving", "linger"),
    hold=_hastened("moving", "hold"),
    ambiguity=AMBIGUITY,
)

PARTITIONS = ("north", "south", "west")
# By how much monotonic clocks may go faster or slower, which the margin of a lease makes up for.
RATES = 0.04
# The longest (seconds) for which a primary that was deposed, or was just elected, answers readings.
ELECTION = 0.5
# The verbs of the catalog's nouns that a primary answers which was deposed and does not know it.
READING = frozenset({"get", "find", "find_ended", "under_way", "all", "list_queues"})


@dataclass
class Weather:
    """How things go just now. Shares are of 1. ``slow``: the longest that a request to a partition takes;
    ``sluggish``: the share of posts that take as long as they may and are answered all the same; ``late``,
    ``lost``, ``mute``: shares of requests, see ``Fate``; ``lag``: of the readings of movers, in seconds. ``answers``:
    the longest that an answer of the catalog takes; ``away``, ``forgotten``: shares of its calls that fail before they
    are done, and after. ``stale``: the share of its readings that an earlier state answers. ``news``: the longest that
    changes take to be shown. ``dying``: the share of calls to the catalog at which a mover dies, before or after they
    are done. ``shy``: the share of claims that find nothing though there is something."""

    slow: float = 0.01
    sluggish: float = 0.0
    late: float = 0.0
    lost: float = 0.0
    mute: float = 0.0
    lag: float = 0.0
    answers: float = 0.003
    away: float = 0.0
    forgotten: float = 0.0
    stale: float = 0.0
    news: float = 0.01
    dying: float = 0.0
    shy: float = 0.0


FAIR = Weather()


class Stall(NamedTuple):
    """A worker does nothing for so many ``seconds``; ``paused``: its whole machine stands still, clocks included."""

    seconds: float
    paused: bool = False


class Ambush(NamedTuple):
    """A fault at a ``moment``, in words of ``World``: ``spring`` gets the calling process and the queue, and returns
    the seconds for which the call is held back."""

    moment: str
    spring: Callable[[Actor, QueueKey], float]


class WorldLine(Line):
    """A process's way to the catalog. ``cut``: it is lost; ``slow``: seconds more that answers take, and ``dim`` those
    that are placements; ``blind``: its feed is cut; ``late``: seconds more that changes take to be shown; ``deposed``:
    the position up to which the primary knows that it talks to, which is none any more."""

    def __init__(self, world: World, actor: Actor) -> None:
        self._world = world
        self._actor = actor
        self._chance = world.chance
        self.cut = False
        self.closed = False
        self.blind = False
        self.slow = 0.0
        self.dim = 0.0
        self.late = 0.0
        self.deposed: int | None = None
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

    async def there(self, verb: str, *args: Any) -> None:
        if self.closed:
            self._check()
        weather = self._world.weather
        if weather.dying:
            self._may_die(verb, "before")
        held = self._world.reached(self._actor, verb, args) if self._world.ambushes else 0.0
        await asyncio.sleep(self._chance.uniform(0.0005, weather.answers) + held)
        self._check()
        if self.deposed is not None and verb.rpartition(".")[2] not in READING:
            raise CatalogUnavailable("the catalog's primary was deposed")
        if weather.away and self._chance.random() < weather.away:
            self._world.counts["catalog away"] += 1
            raise CatalogUnavailable("the catalog did not do it")

    async def back(self, verb: str, *args: Any) -> None:
        if self.closed:
            self._check()
        weather = self._world.weather
        if weather.dying:
            self._may_die(verb, "after")
        more = self.slow + self.dim if verb == "placements.get" else self.slow
        await asyncio.sleep(self._chance.uniform(0.0005, weather.answers) + more)
        self._check()
        if self.last is not None and verb == "members.renew":
            self.cut = True
            self.last.set()
        if weather.forgotten and self._chance.random() < weather.forgotten:
            self._world.counts["catalog mute"] += 1
            raise CatalogUnavailable("the catalog did not say whether it did it")

    def feed(self) -> None:
        self._check()
        if self.blind:
            raise CatalogUnavailable("the feed is cut")

    def delay(self, shard: int) -> float:
        longest = self._world.weather.news
        if self.deposed is not None:
            longest += ELECTION
        return self._chance.uniform(0.0005, longest) + self.late

    def shown(self, seen: int, newest: int) -> int:
        position = newest
        if self.deposed is not None:
            position = max(seen, self.deposed)
        elif self._world.weather.stale and self._chance.random() < self._world.weather.stale:
            position = self._chance.randint(max(seen, self._world.settled_position), newest)
        self._world.counts["stale readings"] += position < newest
        return position


class World:
    """Made inside ``substituted``. ``note`` keeps a line of the trace, if that is wanted. ``fencing``: the partitions
    that fence by themselves, as ours do; the others go by leases alone, as Zaqar's."""

    def __init__(
        self,
        seed: int,
        loop: VirtualLoop,
        workers: int = 2,
        *,
        fencing: Collection[str] = (),
        trace: bool = False,
    ) -> None:
        self.chance = random.Random(seed)
        # Whether movers prepare seals, though there are few members. Those of the mutations' seeds do not.
        prepares = seed % 16 in (4, 5, 9, 13)
        self.pace = replace(PACE, prepare_from=1) if prepares else PACE
        self.loop = loop
        # How things are when nothing special happens, and how they are now.
        self.climate = FAIR
        self.weather = FAIR
        # The calls of clients, by queue.
        self.histories: dict[str, History] = {}
        # How often each thing happened that can go wrong, or be decided.
        self.counts: Counter[str] = Counter()
        self.trace: list[str] | None = [] if trace else None
        # Of each process, the store and the operators: each has a machine of its own.
        self.clocks: dict[str, WorldClock] = {}
        self.apart = False
        self.store = Store(self.clock_of("store").now, shards=SHARDS)
        self.store.on_put = self._placed
        self.strays = Strays()
        self.lines: dict[str, WorldLine] = {}
        self.ambushes: list[Ambush] = []
        # Posts that are sent until then take so many seconds, at least and at most.
        self.slow_posts = (0.0, 0.0, 0.0)
        self._positions: deque[tuple[float, int]] = deque()
        self.network = Network(lambda: self.chance.uniform(0.0005, 0.002))
        loop.connect = self.network.connect
        self.hosts = {name: self._host(name) for name in PARTITIONS}
        # Addresses and not names, which the threads of a resolver would look up.
        addresses = dict(zip(PARTITIONS, ("192.0.2.1", "192.0.2.2", "192.0.2.3"), strict=True))
        self.network.hosts = {addresses[name]: host for name, host in self.hosts.items()}
        # Whether workers' clocks go as slowly, and movers' as fast, as they may.
        self.apart = self.chance.random() < 0.25
        for name in PARTITIONS:
            versions = ("v1", "v1.1", "v2")
            host = f"http://{addresses[name]}:8888"
            self.store.insert_partition(Partition(name, (host,), 100, api_versions=versions, fences=name in fencing))
        # Only a fence in the store can stand this: a machine that is paused, and then sends its next request.
        self.machines_pause = set(PARTITIONS) <= set(fencing)
        self.workers: list[Worker] = []
        self.movers: list[Actor] = []
        self._buried: list[Actor] = []
        # Of no actor: its timers fire whichever actor is frozen.
        self._own = copy_context()
        self._besides: list[asyncio.Task[None]] = []
        self._names = 0
        self._moves = count(1)
        # One worker's next write to a partition is held back for so long, and the worker with it.
        self.stall: dict[str, Stall] = {}
        for _ in range(workers):
            self.workers.append(self._worker())

    def note(self, line: str) -> None:
        if self.trace is not None:
            self.trace.append(f"{self.loop.now - 1000.0:8.3f} {line}")

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Have something happen besides."""
        self._besides.append(self.loop.create_task(work))

    # -- partitions --------------------------------------------------------------------------------------------------

    def _host(self, name: str) -> Host:
        return Host(
            name,
            self.loop,
            Shelf(random.Random(f"{name} {self.chance.random()}")),
            lambda: int((EPOCH + self.loop.now) * 1000 * HASTE),
            partial(self._fate, name),
            lambda: self.chance.uniform(0.0002, 0.002),
            self._stall,
            partial(self._done, name),
        )

    def _done(self, name: str, request: Request, status: int) -> None:
        if status == 201 and request.target.endswith("/messages"):
            queue = request.target.split("/")[-2]
            if self.strays.posted(name, queue, request.body, self.store.placements):
                self.counts["posts to where a queue was"] += 1
                self.note(f"  {name}: a post to {queue}, which was deleted")

    def _fate(self, name: str, request: Request) -> Fate:
        weather, chance = self.weather, self.chance
        fate = Fate(chance.uniform(0.0005, weather.slow), chance.uniform(0.0005, weather.slow))
        drawn = chance.random()
        slow_until, shortest, longest = self.slow_posts
        if slow_until > self.loop.now and request.method == "POST" and request.target.endswith("/messages"):
            fate = replace(fate, before=chance.uniform(shortest, longest))
            self.counts["slow posts"] += 1
        elif weather.sluggish and request.method == "POST" and chance.random() < weather.sluggish:
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
        if weather.shy and "/claims" in request.target and request.method == "POST" and chance.random() < weather.shy:
            fate = replace(fate, shy=True)
            self.counts["shy claims"] += 1
        if weather.lag and request.whose.startswith("mover") and request.method == "GET":
            fate = replace(fate, lag=chance.uniform(0.0, weather.lag) * 1000 * HASTE)
            self.counts["readings that lag"] += 1
        if (self.trace is not None and fate.before + fate.after > 0.1) or fate.lost or fate.mute:
            self.note(f"  {name}: {request.method} {request.target} of {request.whose}: {fate}")
        return fate

    def _stall(self, actor: Actor, data: bytes) -> float:
        first = data[:200].partition(b" HTTP/")[0]
        if actor.name not in self.stall or not (first.startswith(b"POST") and first.endswith(b"/messages")):
            return 0.0
        seconds, paused = self.stall.pop(actor.name)
        self.counts["writes of paused machines" if paused else "writes stalled"] += 1
        self.note(f"before it writes {data[:60]!r}")
        # It writes before anything else that has become due.
        self.freeze(actor, seconds + 1e-6, paused=paused)
        return seconds

    # -- processes ---------------------------------------------------------------------------------------------------

    def catalog(self, actor: Actor) -> MemoryCatalog:
        """Return a way to the catalog of a process's own."""
        line = self.lines[actor.name] = WorldLine(self, actor)
        return MemoryCatalog(self.store, line)

    def clock_of(self, name: str) -> WorldClock:
        """Return the clock of a process's machine."""
        if name not in self.clocks:
            rate = 1.0 if name == "store" else 1.0 + self.chance.choice((-RATES, 0.0, RATES))
            if self.apart and name.startswith(("worker", "mover")):
                rate = 1.0 - RATES if name.startswith("worker") else 1.0 + RATES
            offset = drift = 0.0
            if CLOCKS_DIFFER:
                offset, drift = self.chance.choice((0.0, 0.5, -60.0, 60.0)), self.chance.uniform(-0.001, 0.001)
            self.clocks[name] = WorldClock(self.loop, EPOCH, offset, drift, rate)
        return self.clocks[name]

    # -- moments -----------------------------------------------------------------------------------------------------

    def reached(self, actor: Actor, verb: str, args: tuple[Any, ...]) -> float:
        """Spring what waits for this call of a process to the catalog; return for how long the call is held back.

        Moments are ``seal``, ``switch``, ``abort``, ``retirement``, ``deletion`` of a queue and ``arming`` of a move,
        before they are stored, each with ``done`` after it; ``counting``, of the members for a seal; and ``resuming``,
        of a worker that asks which queues are sealed when its feed begins anew.
        """
        if verb == "placements.replace":
            return self._spring(_change(self.store.placements.get(args[0].key), args[0]), actor, args[0].key)
        if verb == "moves.replace":
            move: Move = args[0]
            arming = move.state in (MoveState.ARMED, MoveState.REROUTE_ARMED)
            if arming and self.store.moves[move.id].state is not move.state:
                return self._spring("arming", actor, move.key)
        if verb == "placements.find" and actor.name.startswith("worker"):
            return self._spring("resuming", actor, QueueKey(PROJECT, ""))
        if verb == "members.all" and actor.name.startswith("mover"):
            for key, placement in self.store.placements.items():
                if placement.state is PlacementState.SEALING:
                    return self._spring("counting", actor, key)
        return 0.0

    def _placed(self, old: Placement | None, new: Placement) -> None:
        self.strays.placed(new)
        self._positions.append((self.loop.now, self.store.position))
        change, actor = _change(old, new), acting()
        self.counts["preparations"] += new.preparation is not None
        withdrawn = old is not None and old.preparation is not None and new == withdraw(old)
        self.counts["withdrawals"] += withdrawn
        if change is not None and actor is not None and self.ambushes:
            self._spring(f"{change} done", actor, new.key)

    def _spring(self, moment: str | None, actor: Actor, key: QueueKey) -> float:
        for ambush in self.ambushes:
            if ambush.moment == moment:
                self.ambushes.remove(ambush)
                self.counts[f"ambushes: {moment}"] += 1
                self.note(f"at the {moment} of {key.queue} by {actor.name}")
                return ambush.spring(actor, key)
        return 0.0

    @property
    def settled_position(self) -> int:
        """The position that every primary knows, however new or old it is."""
        known = self._positions
        while len(known) > 1 and known[1][0] <= self.loop.now - ELECTION:
            known.popleft()
        return known[0][1] if known and known[0][0] <= self.loop.now - ELECTION else 0

    def _name(self, what: str) -> str:
        self._names += 1
        return f"{what}-{self._names}"

    def _worker(self) -> Worker:
        return Worker(self._name("worker"), self.loop, self._door)

    def _door(self) -> FrontDoor:
        door = FrontDoor(SETTINGS)
        door.worker.chance = random.Random(self.chance.random())
        return door

    def start_mover(self) -> None:
        actor = Actor(self._name("mover"))
        chance = random.Random(self.chance.random())
        clock = self.clock_of(actor.name)
        work = run_mover(actor, self.catalog(actor), clock, self.pace, SETTINGS.upstream, chance)
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

    def freeze(self, actor: Actor, seconds: float, *, paused: bool = False) -> None:
        """Have nothing of a process done for a while. ``paused``: its whole machine stands still, clocks included."""
        self.note(f"{actor.name} is {'paused' if paused else 'frozen'} for {seconds:.3f} s")
        paused = paused and actor.paused_at is None
        if paused:
            self.loop.pause(actor)
            self.clock_of(actor.name).pause()
        else:
            self.loop.freeze(actor)
        self.loop.call_later(seconds, self._go_on, actor, paused, context=self._own)

    def _go_on(self, actor: Actor, paused: bool) -> None:
        if paused:
            self.clock_of(actor.name).resume()
            self.loop.resume(actor)
        if self.is_alive(actor):
            self.loop.thaw(actor)
        else:
            self.loop.freeze(actor)

    def later(self, seconds: float, what: Callable[[], object]) -> None:
        """Call ``what`` after a while, whichever actor is frozen then."""
        self.loop.call_later(seconds, what, context=self._own)

    @property
    def leases_kept(self) -> bool:
        """Whether no worker was killed, nor had its lease end."""
        doors = [worker.door for worker in self.workers]
        return not self.counts["workers restarted"] and all(d is None or d.worker.gate.lease.number == 1 for d in doors)

    # -- operators ---------------------------------------------------------------------------------------------------

    def placement(self, queue: str) -> Placement | None:
        return self.store.placements.get(QueueKey(PROJECT, queue))

    def _catalog_view(self) -> CatalogView:
        under_way = {move.key: move for move in self.store.moves.values() if not move.finished}
        return CatalogView(self.store.placements, self.store.partitions, under_way, PACE.max_segments)

    def order_move(self, queue: str, target: str) -> bool:
        """Order a move, of its dead-letter group with it; return whether it could be."""
        request = MoveRequest(QueueKey(PROJECT, queue), target, created=self.clock_of("operator").now())
        ids = (f"m-{n:02}" for n in self._moves)
        try:
            moves = order(request, self._catalog_view(), ids)
        except MoveRefused:
            return False
        for move in moves:
            self.store.insert_move(move)
            self.note(f"move {move.id} of {move.queue} from {move.source} to {target} is ordered")
        return True

    def decide(self, queue: str, event: Event, onward: str | None = None) -> None:
        """Do what an operator does to the move of a queue and its group, as the admin API does it; nothing if that
        cannot be just now. ``onward``: where a move is sent on to."""
        view = self._catalog_view()
        first = view.under_way.get(QueueKey(PROJECT, queue))
        if first is None:
            return
        decided = []
        for move in (move for move in view.under_way.values() if move is first or move.id in first.group):
            if event not in TABLE[move.state].next:
                continue
            entry = LogEntry(self.clock_of("operator").now(), after(move.state, event), f"an operator: {event}")
            entered = settled(move.entered(entry))
            if event in (Event.REVERSE, Event.ONWARD):
                placement = self.store.placements.get(move.key)
                try:
                    if placement is None:
                        raise MoveRefused("it was deleted")
                    destination = onward or came_from(move, placement)
                    check_onward(move, placement, destination, view)
                except MoveRefused:
                    return
                entered = turned(entered, placement, destination)
            decided.append(replace(entered, due=0.0))
        for entered in decided:
            self.note(f"{entered.id} {self.store.moves[entered.id].state}: {event}")
            self.store.replace_move(entered, None)
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
            if actor.paused_at is not None:
                self.loop.resume(actor)
            self.loop.thaw(actor)
        for _ in range(20):
            running = [task for actor in actors for task in actor.tasks if not task.done()]
            if not running:
                return
            for task in running:
                task.cancel()
            await asyncio.wait(running, timeout=1.0)
        raise AssertionError(f"these do not end: {running}")


def _change(old: Placement | None, new: Placement) -> str | None:
    """Return what a change of a placement is, as moments are called."""
    if old is None:
        return None
    if new.state is not PlacementState.OPEN:
        return {PlacementState.SEALING: "seal", PlacementState.DELETING: "deletion"}.get(new.state)
    if new.segments[-1].n > old.segments[-1].n:
        return "switch"
    if len(new.segments) < len(old.segments):
        return "retirement"
    return "abort" if old.state is PlacementState.SEALING else None


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

    def clock() -> WorldClock:
        actor = acting()
        assert actor is not None
        return worlds[0].clock_of(actor.name)

    def wall() -> float:
        return clock().now()

    def monotonic() -> float:
        return clock().monotonic()

    def make_write_gate(lease: float, ambiguity: float) -> write_gate.WriteGate:
        return write_gate.WriteGate(lease, ambiguity, clock().monotonic)

    state = random.getstate()
    random.seed(seed)
    with (
        _listening(loop),
        patch.object(worker, "open_catalog", open_catalog),
        patch.object(worker, "WriteGate", make_write_gate),
        patch.object(worker, "Lifecycle", partial(lifecycle.Lifecycle, clock=monotonic, wall=wall)),
        patch.object(worker, "time", SimpleNamespace(time=wall)),
        patch("secrets.token_hex", token_hex),
    ):
        try:
            yield worlds
        finally:
            random.setstate(state)
