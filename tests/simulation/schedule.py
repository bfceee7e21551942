"""One schedule: a world, clients, moves back and forth, and what goes wrong meanwhile, all drawn from a seed."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

from catalog.model import Placement, PlacementState, QueueKey
from marconi_proxy.moving.protocol.machine import Event
from tests.checker.judge import Violation, judge
from tests.checker.record import History
from tests.simulation import world as worlds_
from tests.simulation.ambushes import FROZEN, GIVEN_UP, PAUSED, Ambushes
from tests.simulation.clients import (
    CLAIM_TTL,
    DELAY,
    Auditor,
    Client,
    Consumer,
    Producer,
    Remover,
    Scene,
    Setter,
    Subscriber,
)
from tests.simulation.front import Worker
from tests.simulation.stories import Plot, plot
from tests.simulation.virtual_loop import Actor, VirtualLoop
from tests.simulation.world import (
    AMBIGUITY,
    DEADLINE,
    ELECTION,
    FAIR,
    HASTE,
    LEASE,
    PACE,
    PARTITIONS,
    PROJECT,
    Ambush,
    Stall,
    Weather,
    World,
    WorldLine,
    substituted,
)

TTL = CLAIM_TTL / HASTE
# Seconds of the world for a move to end after everything is well again: two looks at an empty queue, back-offs, and a
# slow consumer that lets claims lapse one after the other.
_SETTLING = PACE.linger * 12 + LEASE * 6
_PATIENCE = 4.0
# Seconds that no schedule lasts.
_TOO_LONG = 200.0


@dataclass
class Outcome:
    """The result of a schedule. ``stuck``: processes that did not end, or failed, besides the findings of the judge."""

    seed: int
    violations: list[Violation]
    stuck: list[str]
    trace: list[str]
    seconds: float
    steps: int
    figures: dict[str, int] = field(default_factory=dict)

    @property
    def fine(self) -> bool:
        return not self.violations and not self.stuck

    def __str__(self) -> str:
        found = [*map(str, self.violations), *self.stuck]
        return "\n".join(
            [
                f"seed {self.seed}: {len(found)} promises broken",
                *found,
                f"again, with a trace: python -m tests.simulation.again {self.seed}",
            ]
        )


class Schedule:
    """Made of a ``world``; ``chance`` decides what is tried, as the world's decides how it goes.

    ``about``: its plot."""

    def __init__(self, world: World, chance: random.Random, about: Plot) -> None:
        self.world = world
        self.chance = chance
        self.clients: list[Client] = []
        self.scenes: list[Scene] = []
        self.plot = about
        self.story = about.story
        self._names: Counter[str] = Counter()
        # How often it is noticed that a worker does nothing.
        self._alert = 0.98 if about.story == "trap" else 0.8
        # The worker that most calls go to.
        self.favourite: Worker | None = None

    def _client(self, kind: Callable[..., Any], scene: Scene) -> Any:
        seeded = random.Random(self.chance.random())
        name = f"{kind.__name__.lower()}-{self._names[kind.__name__]}"
        self._names[kind.__name__] += 1
        client = kind(name, seeded, self._balanced, scene, TTL, _PATIENCE, self.world.note)
        self.clients.append(client)
        return client

    def _pick(self) -> Worker:
        return self.chance.choice(self.world.workers)

    def _balanced(self) -> Worker:
        """Pick a worker as a balancer does that most often notices when one does nothing."""
        worker = self._pick()
        if self.favourite is not None and self.chance.random() < 0.8:
            return self.favourite
        if worker.actor.frozen and self.chance.random() < self._alert:
            return self.chance.choice([one for one in self.world.workers if not one.actor.frozen] or [worker])
        return worker

    def _scene(self, queue: str, **what: Any) -> Scene:
        history = self.world.histories[queue] = History()
        scene = Scene(queue, history, **what)
        self.scenes.append(scene)
        return scene

    # -- what goes wrong ---------------------------------------------------------------------------------------------

    async def _trouble(self, until: float) -> None:
        """Until then, one thing after the other goes wrong for a while, some of them at the same time."""
        loop, chance = self.world.loop, self.chance
        troubles: list[Callable[[], Any]] = [
            self._weather,
            self._weather,
            self._kill_worker,
            self._crash_partition,
            self._kill_mover,
            self._freeze_mover,
        ]
        if self.unheard:
            troubles += [self._cut_worker, self._blind_worker, self._freeze_worker, self._stall_write]
        if worlds_.PRIMARIES_STALE:
            troubles.append(self._depose_primary)
        if worlds_.CLOCKS_DIFFER:
            troubles.append(self._step_clock)
        favourites = chance.sample(troubles, chance.choice((1, 2, 3)))
        if self.world.machines_pause and chance.random() < 0.5:
            favourites.append(self._pause_machine)
        while loop.time() < until:
            await asyncio.sleep(chance.uniform(0.1, 2.0))
            self.world.begin(chance.choice(favourites)())

    @property
    def unheard(self) -> bool:
        """Whether workers may go on for long without having heard of changes."""
        return worlds_.DELETIONS_UNHEARD or not any(scene.removed for scene in self.scenes)

    def _while(self, longest: float = 3.0) -> Any:
        return asyncio.sleep(self.chance.choice((0.3, 1.5, longest)) * self.chance.random())

    async def _weather(self) -> None:
        weather = self._drawn(self.chance.choice((1, 2, 3)))
        self.world.weather = weather
        self.world.note(f"{weather}")
        await self._while()
        if self.world.weather is weather:
            self.world.weather = self.world.climate

    def _drawn(self, kinds: int) -> Weather:
        """Draw what goes badly, of so many kinds."""
        chance = self.chance
        bad: dict[str, Callable[[], float]] = {
            "slow": lambda: chance.choice((0.1, 0.5, DEADLINE)),
            "sluggish": lambda: chance.uniform(0.2, 0.9),
            "late": lambda: chance.uniform(0.05, 0.5),
            "lost": lambda: chance.uniform(0.05, 0.3),
            "mute": lambda: chance.uniform(0.05, 0.3),
            "lag": lambda: chance.uniform(0.0, PACE.linger * 0.8),
            "shy": lambda: chance.uniform(0.1, 0.5),
            "answers": lambda: chance.choice((0.03, 0.2)),
            "away": lambda: chance.uniform(0.05, 0.4),
            "forgotten": lambda: chance.uniform(0.05, 0.4),
            "stale": lambda: chance.uniform(0.1, 0.6),
            "news": lambda: chance.choice((0.2, 0.6, 1.5)),
            "dying": lambda: chance.uniform(0.05, 0.2),
        }
        if not self.unheard:
            del bad["news"]
        if not worlds_.PRIMARIES_STALE:
            del bad["stale"]
        return Weather(**{name: bad[name]() for name in chance.sample(sorted(bad), kinds)})

    async def _freeze_worker(self) -> None:
        self.world.counts["workers frozen"] += 1
        self._freeze(self._pick().actor, LEASE * 2)

    def _freeze(self, actor: Actor, longest: float) -> None:
        self.world.freeze(actor, self.chance.choice((0.3, 1.5, longest)) * self.chance.random())

    async def _stall_write(self) -> None:
        seconds = self.chance.choice((0.5, 3.0, LEASE * 1.2)) * self.chance.random()
        paused = self.world.machines_pause and self.chance.random() < 0.5
        self.world.stall[self._pick().actor.name] = Stall(seconds, paused)

    async def _kill_worker(self) -> None:
        self.world.kill_worker(self.chance.randrange(len(self.world.workers)))

    async def _cut_worker(self) -> None:
        """A worker loses the catalog; just before, its answers take longer and longer."""
        line = self._line()
        line.slow = self.chance.choice((0.0, 1.0, LEASE / 2))
        await self._while()
        self.world.note(f"a worker loses the catalog, whose answers took {line.slow:.1f} s")
        line.cut = True
        self.world.counts["catalogs lost"] += 1
        await self._while(LEASE * 2)
        line.cut, line.slow = False, 0.0

    def _line(self) -> WorldLine:
        """Return a worker's way to the catalog."""
        return self.world.lines.get(self._pick().actor.name) or WorldLine(self.world, self._pick().actor)

    async def _blind_worker(self) -> None:
        """A worker loses its feed, and nothing else."""
        line = self._line()
        line.blind = True
        self.world.counts["feeds lost"] += 1
        await self._while(LEASE)
        line.blind = False

    async def _depose_primary(self) -> None:
        """A process goes on talking to a primary that was deposed: it reads what was, and writes nothing."""
        line = self.chance.choice(sorted(self.world.lines.items()))[1]
        line.deposed = self.world.store.position
        self.world.counts["primaries deposed"] += 1
        await self._while(ELECTION * 2)
        line.deposed = None

    async def _step_clock(self) -> None:
        """Set the clock of a machine."""
        name = self.chance.choice(sorted(self.world.clocks))
        seconds = self.chance.choice((-3600.0, -60.0, 60.0, 3600.0))
        self.world.note(f"the clock of {name} is set by {seconds:g} s")
        self.world.clocks[name].step(seconds)

    async def _pause_machine(self) -> None:
        actors = [*self.world.movers]
        if self.unheard:
            actors += [worker.actor for worker in self.world.workers]
        actor = self.chance.choice(actors)
        if not actor.frozen and self.world.is_alive(actor):
            self.world.counts["machines paused"] += 1
            self.world.freeze(actor, self.chance.uniform(0.1, 2.0) * LEASE, paused=True)

    async def _crash_partition(self) -> None:
        host = self.world.hosts[self.chance.choice(PARTITIONS)]
        self.world.note(f"{host.name} crashes")
        self.world.counts["partitions crashed"] += 1
        host.crash()
        await self._while(3.0)
        host.restart()

    async def _kill_mover(self) -> None:
        actor = self.chance.choice(self.world.movers)
        self.world.note(f"{actor.name} is killed")
        self.world.counts["movers killed"] += 1
        self.world.kill(actor)

    async def _freeze_mover(self) -> None:
        self.world.counts["movers frozen"] += 1
        self._freeze(self.chance.choice(self.world.movers), PACE.hold * 2)

    async def _keep_movers(self) -> None:
        """Have two movers, most of the time."""
        while True:
            self.world.tend_movers(2)
            await asyncio.sleep(self.chance.uniform(0.2, 2.0))

    # -- moves -------------------------------------------------------------------------------------------------------

    def _order(self, scene: Scene) -> bool:
        """Order a move to another partition; return whether that could be."""
        placement = self.world.placement(scene.queue)
        if placement is None:
            return False
        others = [name for name in PARTITIONS if name != placement.partition]
        return self.world.order_move(scene.queue, self.chance.choice(others))

    async def _move(self, until: float, hurry: float = 2.0) -> None:
        """Be an operator that cannot decide."""
        world, chance = self.world, self.chance
        while world.loop.time() < until:
            scene = chance.choice(self.scenes)
            if not self._order(scene) and chance.random() < 0.6:
                event = chance.choice((Event.REVERSE, Event.REVERSE, Event.ONWARD, Event.CANCEL, Event.PAUSE))
                world.decide(scene.queue, event, chance.choice(PARTITIONS) if event is Event.ONWARD else None)
            await asyncio.sleep(chance.uniform(0.1, hurry))
            world.decide(scene.queue, Event.RESUME)

    async def _move_once(self, until: float) -> None:
        """Have one move each, and leave it alone."""
        for scene in self.scenes:
            self._order(scene)
        await asyncio.sleep(until - self.world.loop.time())

    async def _move_again(self, until: float) -> None:
        """Have one move after the other, each when the one before is done."""
        while self.world.loop.time() < until:
            for scene in self.scenes:
                self._order(scene)
            await asyncio.sleep(0.5)

    async def _move_on(self, until: float) -> None:
        """Have one move after the other, and each sent back or on once it is switched: as many seals as can be."""
        world, chance = self.world, self.chance
        while world.loop.time() < until:
            for scene in self.scenes:
                if not self._order(scene):
                    event = chance.choice((Event.REVERSE, Event.ONWARD))
                    world.decide(scene.queue, event, chance.choice(PARTITIONS) if event is Event.ONWARD else None)
            await asyncio.sleep(chance.uniform(0.5, 2.0))

    async def _lapse(self, until: float) -> None:
        """One worker loses the catalog, the last answer of which took long. About when its lease is over, the queue is
        moved. In a comeback it has the catalog again soon after that."""
        world, chance = self.world, self.chance
        if self.story == "lapse" and chance.random() < (0.8 if world.apart else 0.2):
            await self._lapse_in_a_seal(until)
            return
        line = self._line()
        # So slow that the lease counts much less from then on, and so quick that it does not end before.
        line.slow = chance.choice((0.0, 1.0, 1.0, 1.0)) * chance.uniform(0.4, 0.54) * LEASE
        line.last = asyncio.Event()
        await line.last.wait()
        world.note(f"a worker has lost the catalog, whose last answer took {line.slow:.1f} s")
        lost = world.loop.time()
        await asyncio.sleep(max(0.0, LEASE - line.slow + chance.uniform(-0.6, 0.3)))
        last = max(until, lost + LEASE * 2.5)
        if self.story == "comeback":
            await self._come_back(line, last)
        elif chance.random() < 0.3:
            await self._move(last, 0.5)
        else:
            await self._move_again(last)
        line.last, line.cut, line.slow, line.blind = None, False, 0.0, False

    async def _come_back(self, line: WorldLine, until: float) -> None:
        """Once the queue is moved, the worker has the catalog again, but for its feed."""
        world, scene = self.world, self.scenes[0]
        before = world.placement(scene.queue)
        move = asyncio.ensure_future(self._move_again(until))
        while (now := world.placement(scene.queue)) and before and now.segments == before.segments:
            if world.loop.time() > until:
                break
            await asyncio.sleep(0.05)
        line.blind = self.chance.random() < 0.7
        line.last, line.cut, line.slow = None, False, 0.0
        await self._while(LEASE)
        line.blind = False
        await move

    async def _come_home(self, until: float) -> None:
        """The queue goes to another partition and back, and a worker hears of none of it."""
        world, scene, loop = self.world, self.scenes[0], self.world.loop
        line, home = self._line(), world.placement(scene.queue)
        assert home is not None
        line.cut = True
        for target in (self.chance.choice([name for name in PARTITIONS if name != home.partition]), home.partition):
            while loop.time() < until and not world.order_move(scene.queue, target):  # noqa: ASYNC110
                await asyncio.sleep(0.2)
        await asyncio.sleep(max(1.0, until - loop.time()))
        line.cut = False

    async def _lapse_in_a_seal(self, until: float) -> None:
        """The worker with the slowest clock loses the catalog, and its lease ends while the queue is sealed."""
        world = self.world
        worker = min(world.workers, key=lambda one: world.clock_of(one.actor.name).rate)
        line = world.lines[worker.actor.name]
        line.last = asyncio.Event()
        await line.last.wait()
        # At another worker they would be held by the seal, and write nothing when it ends.
        self.favourite = worker
        sealed = world.loop.time() + LEASE - PACE.seal_timeout + self.chance.uniform(0.0, 0.1)
        world.ambushes.append(Ambush("arming", lambda actor, key: max(0.0, sealed - world.loop.now)))
        await self._move_once(max(until, world.loop.time() + LEASE * 1.5))
        line.last, line.cut, self.favourite = None, False, None

    # -- the whole ---------------------------------------------------------------------------------------------------

    async def _stage(self) -> None:
        """Make the queues, most often one."""
        chance = self.chance
        more = ["plain", "delays", "removed", "set", "dead letters"]
        if self.story in ("lapse", "comeback", "homecoming") and not worlds_.DELETIONS_UNHEARD:
            more.remove("removed")
        others = 0 if self.story in ("trap", "lapse") else chance.choice((0, 0, 0, 1, 1, 2))
        kinds = ["plain", *chance.choices(more, k=others)]
        if chance.random() < 0.5:
            kinds = kinds[1:] or kinds
        for n, kind in enumerate(kinds):
            queue = f"orders-{n}"
            if kind == "delays":
                self._scene(queue, versions=("v2",), metadata={"_default_message_delay": 1}, delays=DELAY)
            elif kind == "dead letters":
                dead = self._scene(f"dead-{n}", versions=("v1.1", "v2"), fed=True)
                metadata = {"_dead_letter_queue": dead.queue, "_max_claim_count": 2}
                source = self._scene(queue, metadata=metadata, careless=0.4)
                source.history.dead_letters = dead.history
            else:
                self._scene(queue, removed=kind == "removed", set_=kind == "set")
        for scene in self.scenes:
            await self._client(Auditor, scene).create()

    async def run(self) -> list[str]:
        """Run it; return what has not ended."""
        world, chance, loop, story = self.world, self.chance, self.world.loop, self.story
        await asyncio.sleep(0.1)
        await self._stage()
        world.note(f"{self.plot}: {', '.join(scene.queue for scene in self.scenes)}")
        movers = asyncio.ensure_future(self._keep_movers())
        world.climate = self._drawn(chance.choice((0, 1, 1, 2)) if story != "ambush" else chance.choice((0, 0, 1)))
        if story == "crawl":
            world.climate = replace(FAIR, sluggish=0.6)
        if story == "behind":
            # And no consumer takes it meanwhile.
            world.climate = replace(FAIR, lag=PACE.linger * 0.9)
        if story in ("lapse", "comeback"):
            world.climate = replace(FAIR, lag=PACE.linger * 0.9) if chance.random() < 0.1 else FAIR
        if story in ("free", "ambush", "lazy") and chance.random() < 0.15:
            world.climate = replace(world.climate, shy=0.4)
        world.weather = world.climate
        world.note(f"{world.climate}")
        longest = {"behind": 1.5, "lapse": 1.2, "comeback": 1.2, "lazy": 3.0, "homecoming": 4.0}.get(story)
        if story == "trap":
            # Of these, for as long as may still be done what is under way, or comes late.
            longest = {FROZEN: 2.8, GIVEN_UP: 2.8, PAUSED: 2.0}.get(self.plot.trap or "", 1.1)
            world.climate = world.weather = FAIR
        until = loop.time() + (chance.uniform(1.5, 4.5) if longest is None else PACE.linger * longest)
        rests = {"crawl": 0.15, "lapse": 0.05, "comeback": 0.15, "lazy": 0.6, "homecoming": 0.6}
        # A late post that was given up is to be taken while others still post; one of a frozen worker is not.
        rests["trap"] = {GIVEN_UP: 0.3, FROZEN: 0.12, PAUSED: 0.12}.get(self.plot.trap or "", 0.06)
        rest = rests.get(story) or chance.choice((0.1, 0.3, 0.6))
        working = self._begin(until, rest)
        moving: dict[str, Callable[[float], Any]] = {
            "lapse": self._lapse,
            "comeback": self._lapse,
            "behind": self._move_once,
            "lazy": self._move_again,
            "homecoming": self._come_home,
        }
        hurried = partial(self._move, hurry=0.5) if story == "ambush" else self._move
        if story == "trap":
            # Another seal would spoil the moment that these wait for.
            hurried = self._move_again if self.plot.trap in (FROZEN, GIVEN_UP, PAUSED) else self._move_on
        move = asyncio.ensure_future(moving.get(story, hurried)(until))
        trouble = story == "free" and chance.random() < 0.8
        if trouble:
            await self._trouble(until)
        if story in ("ambush", "trap"):
            await Ambushes(self, self.plot.traps if story == "ambush" else self.plot.traps[:1]).lay(until)
        await move
        world.climate = world.weather = FAIR
        world.ambushes.clear()
        await asyncio.gather(*working.ending)
        for client in self.clients:
            client.calm = True
        # Nothing of what went wrong lasts longer, and what may still be done late is done.
        await asyncio.sleep(DEADLINE + AMBIGUITY)
        stuck = await self._settled(working)
        movers.cancel()
        return stuck

    def _begin(self, until: float, rest: float) -> Working:
        """Have clients at work on every queue; those after the first have fewer."""
        chance, story, loop = self.chance, self.story, self.world.loop
        working = Working([], [], [], [])
        for n, scene in enumerate(self.scenes):
            few = 1 if n else 2
            if not scene.fed:
                for _ in range(4 if story == "trap" else few):
                    producing = self._client(Producer, scene).run(until, rest * 2)
                    working.ending.append(asyncio.ensure_future(producing))
            if scene.removed:
                removing = self._client(Remover, scene).run(until, rest * 4, chance.choice((0.0, 0.5, 1.0)))
                working.ending.append(asyncio.ensure_future(removing))
            if scene.set_:
                setting = self._client(Setter, scene).run(until, rest)
                working.ending.append(asyncio.ensure_future(setting))
            begin = until - loop.time() if story == "crawl" or chance.random() < 0.3 else 0.0
            if story == "behind":
                begin = PACE.linger * 2
            if self.plot.trap == GIVEN_UP:
                begin = 0.0
            patient = 4.0 if story == "lazy" else chance.choice((1.0, 4.0))
            if story == "trap" and self.plot.trap != GIVEN_UP:
                number, patient = (1 if self.plot.trap == FROZEN else 2), 1.0
            else:
                number = chance.randint(1, few)
            for _ in range(number):
                consumer = self._client(Consumer, scene)
                working.consumers.append(consumer)
                working.consuming.append(asyncio.ensure_future(consumer.run(rest * patient, begin)))
            for _ in range(1 if story == "trap" else few):
                naps = PACE.linger * 3.2 if story == "lazy" else 0.0
                reading = self._client(Subscriber, scene).run(rest, naps)
                working.reading.append(asyncio.ensure_future(reading))
        return working

    async def _settled(self, working: Working) -> list[str]:
        """Wait until all that is left is read and moved; return what is not."""
        loop, store = self.world.loop, self.world.store
        limit = loop.time() + _SETTLING
        while loop.time() < limit and not all(move.finished for move in store.moves.values()):  # noqa: ASYNC110
            await asyncio.sleep(1.0)
        for consumer in working.consumers:
            consumer.stopped = True
        await asyncio.gather(*working.consuming)
        for client in self.clients:
            client.stopped = True
        await asyncio.gather(*working.reading)
        for auditor in (client for client in self.clients if isinstance(client, Auditor)):
            auditor.history.left = await auditor.left()
            if auditor.history.settings:
                auditor.history.setting = await auditor.setting()
        return [
            f"stuck: move {m.id} is {m.state}: {m.measured.waits}" for m in store.moves.values() if not m.finished
        ] + [
            f"stuck: {p.queue} has {len(p.segments)} segments and no move"
            for p in store.placements.values()
            if len(p.segments) > 1 and all(m.key != p.key or m.finished for m in store.moves.values())
        ]


class Working(NamedTuple):
    """The clients at work: what ends by itself, consumers and what they do, and what subscribers do."""

    ending: list[asyncio.Future[Any]]
    consumers: list[Consumer]
    consuming: list[asyncio.Future[Any]]
    reading: list[asyncio.Future[Any]]


def _is_abort(old: Placement, new: Placement) -> bool:
    return (old.state, new.state) == (PlacementState.SEALING, PlacementState.OPEN) and old.segments == new.segments


def play(seed: int, *, trace: bool = False) -> Outcome:
    """Play the schedule of a seed, and judge it."""
    loop = VirtualLoop()
    with substituted(loop, seed) as worlds:
        return loop.run(_play(seed, loop, worlds, trace))


async def _play(seed: int, loop: VirtualLoop, worlds: list[World], trace: bool) -> Outcome:
    about = plot(seed)
    world = World(seed, loop, fencing=about.fencing, trace=trace)
    worlds.append(world)
    try:
        async with asyncio.timeout(_TOO_LONG):
            stuck = await Schedule(world, random.Random(f"schedule {seed}"), about).run()
    except TimeoutError:
        stuck = [f"stuck: not over after {_TOO_LONG:g} s"]
    finally:
        await world.end()
    stuck += dict.fromkeys(f"failed: {failure}" for failure in loop.failures)
    world.strays.end()
    for queue, history in world.histories.items():
        history.placements = [placement for placement in world.store.placed if placement.queue == queue]
        history.leases_kept = world.leases_kept
        history.strays = world.strays.lost[QueueKey(PROJECT, queue)]
    histories = list(world.histories.values())
    violations = [
        found for queue, history in world.histories.items() if not _is_dead(queue) for found in judge(history)
    ]
    steps = [
        step
        for history in histories
        for step in pairwise(history.placements)
        if step[0].incarnation == step[1].incarnation
    ]
    posts = [post for history in histories for post in history.posts]
    figures = {
        **world.counts,
        "queues": len(histories),
        "posts": len(posts),
        "claims": sum(not claim.pops for history in histories for claim in history.claims),
        "pops": sum(bool(claim.pops) for history in histories for claim in history.claims),
        "renewals": sum(len(history.renewals) for history in histories),
        "pages": sum(len(history.pages) for history in histories),
        "deletions of queues": sum(not r.purge for history in histories for r in history.removals),
        "purges": sum(r.purge for history in histories for r in history.removals),
        "settings": sum(len(history.settings) for history in histories),
        "dead letters": sum(len(h.dead_letters.claims) for h in histories if h.dead_letters is not None),
        "moves": len(world.store.moves),
        "takeovers": world.store.takeovers,
        "switches": sum(new.segments[-1].n > old.segments[-1].n for old, new in steps),
        "aborts": sum(_is_abort(old, new) for old, new in steps),
        "retires": sum(new.segments[0].n > old.segments[0].n for old, new in steps),
        "unknown": sum(post.outcome.value == "unknown" for post in posts),
        "posts lost to deletions": sum(len(history.strays) for history in histories),
        "refused": sum(post.outcome.value == "refused" for post in posts),
    }
    seconds = loop.time() - 1000.0
    return Outcome(seed, violations, stuck, world.trace or [], seconds, loop.steps, figures)


def _is_dead(queue: str) -> bool:
    return queue.startswith("dead-")
