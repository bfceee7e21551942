"""One schedule: a world, clients, moves back and forth, and what goes wrong meanwhile, all drawn from a seed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from catalog.model import Placement, PlacementState
from marconi_proxy.moving.protocol.machine import Event
from tests.checker.judge import Violation, judge
from tests.simulation.clients import CLAIM_TTL, Auditor, Client, Consumer, Producer, Subscriber
from tests.simulation.front import Worker
from tests.simulation.virtual_loop import Actor, VirtualLoop
from tests.simulation.world import (
    AMBIGUITY,
    DEADLINE,
    FAIR,
    HASTE,
    LEASE,
    PACE,
    PARTITIONS,
    Weather,
    World,
    substituted,
)

QUEUE = "orders"
TTL = CLAIM_TTL / HASTE
# Seconds of the world for a move to end after everything is well again: two looks at an empty queue, back-offs, and a
# consumer who is slow and lets claims lapse one after the other.
_SETTLING = PACE.linger * 12 + LEASE * 6
_PATIENCE = 4.0
# Seconds that no schedule lasts.
_TOO_LONG = 200.0


@dataclass
class Outcome:
    """What came of a schedule. ``stuck``: what has not ended, or failed, besides what the judge found."""

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
    """Made of a ``world``; ``chance`` decides what is tried, as the world's decides how it goes."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self.world = world
        self.chance = chance
        self.clients: list[Client] = []
        self._names = 0

    def _client(self, kind: Callable[..., Any], name: str) -> Any:
        seeded = random.Random(self.chance.random())
        client = kind(name, seeded, self._pick, self.world.history, QUEUE, TTL, _PATIENCE, self.world.note)
        self.clients.append(client)
        return client

    def _pick(self) -> Worker:
        return self.chance.choice(self.world.workers)

    # -- what goes wrong ---------------------------------------------------------------------------------------------

    async def _trouble(self, until: float) -> None:
        """Until then, one thing after the other goes wrong for a while, some of them at the same time."""
        loop, chance = self.world.loop, self.chance
        troubles: tuple[Callable[[], Any], ...] = (
            self._weather,
            self._weather,
            self._freeze_worker,
            self._stall_write,
            self._kill_worker,
            self._cut_worker,
            self._crash_partition,
            self._kill_mover,
            self._freeze_mover,
        )
        favourites = chance.sample(troubles, chance.choice((1, 2, 3)))
        while loop.time() < until:
            await asyncio.sleep(chance.uniform(0.1, 2.0))
            self.world.begin(chance.choice(favourites)())

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
            "answers": lambda: chance.choice((0.03, 0.2)),
            "away": lambda: chance.uniform(0.05, 0.4),
            "forgotten": lambda: chance.uniform(0.05, 0.4),
            "news": lambda: chance.choice((0.2, 0.6, 1.5)),
            "dying": lambda: chance.uniform(0.05, 0.2),
        }
        return Weather(**{name: bad[name]() for name in chance.sample(sorted(bad), kinds)})

    async def _freeze_worker(self) -> None:
        self.world.counts["workers frozen"] += 1
        await self._freeze(self._pick().actor, LEASE * 2)

    async def _freeze(self, actor: Actor, longest: float) -> None:
        self.world.note(f"{actor.name} is frozen")
        self.world.loop.freeze(actor)
        await self._while(longest)
        self.world.note(f"{actor.name} goes on")
        self.world.thaw(actor)

    async def _stall_write(self) -> None:
        self.world.stall[self._pick().actor.name] = self.chance.choice((0.5, 3.0, LEASE * 1.2)) * self.chance.random()

    async def _kill_worker(self) -> None:
        self.world.kill_worker(self.chance.randrange(len(self.world.workers)))

    async def _cut_worker(self) -> None:
        """A worker loses the catalog; just before, its answers take longer and longer."""
        line = self.world.lines.get(self._pick().actor.name)
        if line is not None:
            line.slow = self.chance.choice((0.0, 1.0, LEASE / 2))
            await self._while()
            self.world.note(f"a worker loses the catalog, whose answers took {line.slow:.1f} s")
            line.cut = True
            self.world.counts["catalogs lost"] += 1
            await self._while(LEASE * 2)
            line.cut, line.slow = False, 0.0

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
        await self._freeze(self.chance.choice(self.world.movers), PACE.hold * 2)

    async def _keep_movers(self) -> None:
        """Have two movers, most of the time."""
        while True:
            self.world.tend_movers(2)
            await asyncio.sleep(self.chance.uniform(0.2, 2.0))

    def _order(self) -> bool:
        """Order a move to another partition; return whether that could be."""
        (placement,) = self.world.store.placements.values()
        others = [name for name in PARTITIONS if name != placement.partition]
        return self.world.order_move(QUEUE, self.chance.choice(others))

    async def _move(self, until: float) -> None:
        """Be an operator who cannot decide."""
        world, chance = self.world, self.chance
        while world.loop.time() < until:
            if not self._order() and chance.random() < 0.6:
                event = chance.choice((Event.REVERSE, Event.REVERSE, Event.ONWARD, Event.CANCEL, Event.PAUSE))
                world.decide(event, chance.choice(PARTITIONS) if event is Event.ONWARD else None)
            await asyncio.sleep(chance.uniform(0.1, 2.0))
            world.decide(Event.RESUME)

    async def _move_once(self, until: float) -> None:
        """Have one move, and leave it alone."""
        self._order()
        await asyncio.sleep(until - self.world.loop.time())

    async def _lapse(self, until: float) -> None:
        """One worker loses the catalog, the last answer of which took long. About when its lease is over, by the
        store's clock, the queue is moved."""
        world, chance = self.world, self.chance
        line = world.lines[self._pick().actor.name]
        line.slow = chance.uniform(0.5, 0.8) * LEASE
        line.last = asyncio.Event()
        asked = world.loop.time()
        await line.last.wait()
        world.note(f"a worker has lost the catalog, whose last answer took {line.slow:.1f} s")
        await asyncio.sleep(max(0.0, LEASE - line.slow + chance.uniform(-0.6, 0.2)))
        await self._move(max(until, asked + LEASE * 2.5))
        line.last, line.cut, line.slow = None, False, 0.0

    # -- the whole ---------------------------------------------------------------------------------------------------

    async def run(self) -> list[str]:
        """Run it; return what has not ended."""
        world, chance, loop = self.world, self.chance, self.world.loop
        await asyncio.sleep(0.1)
        auditor = self._client(Auditor, "auditor")
        await auditor.create()
        movers = asyncio.ensure_future(self._keep_movers())
        story = chance.random()
        lapse, crawl, behind = story < 0.12, 0.12 <= story < 0.27, 0.27 <= story < 0.35
        world.climate = self._drawn(chance.choice((0, 1, 1, 2)))
        if crawl:
            # Posts are slow all the time, so that some are under way at every seal.
            world.climate = replace(FAIR, sluggish=0.6)
        if behind:
            # Movers do not see what was posted lately, and nobody takes it meanwhile.
            world.climate = replace(FAIR, lag=PACE.linger * 0.9)
        world.weather = world.climate
        world.note(f"{world.climate}")
        until = loop.time() + (PACE.linger * 1.5 if lapse or behind else chance.uniform(1.5, 4.5))
        rest = 0.15 if crawl or lapse else chance.choice((0.3, 0.6))
        producing = [
            asyncio.ensure_future(self._client(Producer, f"producer-{n}").run(until, rest * 2)) for n in range(2)
        ]
        consumers = [self._client(Consumer, f"consumer-{n}") for n in range(chance.randint(1, 2))]
        patient = chance.choice((1.0, 4.0))
        begin = until - loop.time() if crawl or chance.random() < 0.3 else 0.0
        if behind:
            begin = PACE.linger * 2
        consuming = [asyncio.ensure_future(consumer.run(rest * patient, begin)) for consumer in consumers]
        subscribers = [self._client(Subscriber, f"subscriber-{n}") for n in range(2)]
        reading = [asyncio.ensure_future(subscriber.run(rest)) for subscriber in subscribers]
        move = self._lapse if lapse else self._move_once if behind else self._move
        moving = asyncio.ensure_future(move(until))
        trouble = (
            asyncio.ensure_future(self._trouble(until))
            if not (lapse or crawl or behind) and chance.random() < 0.7
            else None
        )
        await moving
        if trouble is not None:
            await trouble
        await asyncio.gather(*producing)
        world.climate = world.weather = FAIR
        for client in self.clients:
            client.calm = True
        # Nothing of what went wrong lasts longer, and what may still be done late is done.
        await asyncio.sleep(DEADLINE + AMBIGUITY)
        stuck = await self._settled(consumers, consuming, subscribers, reading, auditor)
        movers.cancel()
        return stuck

    async def _settled(
        self,
        consumers: list[Consumer],
        consuming: list[asyncio.Future[Any]],
        subscribers: list[Subscriber],
        reading: list[asyncio.Future[Any]],
        auditor: Auditor,
    ) -> list[str]:
        """Wait until all that is left is read and moved; return what is not."""
        loop, store = self.world.loop, self.world.store
        limit = loop.time() + _SETTLING
        while loop.time() < limit and not all(move.finished for move in store.moves.values()):  # noqa: ASYNC110
            await asyncio.sleep(1.0)
        for consumer in consumers:
            consumer.stopped = True
        await asyncio.gather(*consuming)
        for subscriber in subscribers:
            subscriber.stopped = True
        await asyncio.gather(*reading)
        self.world.history.left = await auditor.left()
        return [
            f"stuck: move {m.id} is {m.state}: {m.facts.get('waits')}" for m in store.moves.values() if not m.finished
        ]


def _is_abort(old: Placement, new: Placement) -> bool:
    return (old.state, new.state) == (PlacementState.SEALING, PlacementState.OPEN) and old.segments == new.segments


def play(seed: int, *, trace: bool = False) -> Outcome:
    """Play the schedule of a seed, and judge it."""
    loop = VirtualLoop()
    with substituted(loop, seed) as worlds:
        return loop.run(_play(seed, loop, worlds, trace))


async def _play(seed: int, loop: VirtualLoop, worlds: list[World], trace: bool) -> Outcome:
    world = World(seed, loop, trace=trace)
    worlds.append(world)
    try:
        async with asyncio.timeout(_TOO_LONG):
            stuck = await Schedule(world, random.Random(f"schedule {seed}")).run()
    except TimeoutError:
        stuck = [f"stuck: not over after {_TOO_LONG:g} s"]
    finally:
        await world.end()
    stuck += dict.fromkeys(f"failed: {failure}" for failure in loop.failures)
    history = world.history
    steps = list(pairwise(history.placements))
    figures = {
        **world.counts,
        "posts": len(history.posts),
        "claims": len(history.claims),
        "pages": len(history.pages),
        "moves": len(world.store.moves),
        "takeovers": world.store.takeovers,
        "switches": sum(new.segments[-1].n > old.segments[-1].n for old, new in steps),
        "aborts": sum(_is_abort(old, new) for old, new in steps),
        "retires": sum(new.segments[0].n > old.segments[0].n for old, new in steps),
        "unknown": sum(post.outcome.value == "unknown" for post in history.posts),
        "refused": sum(post.outcome.value == "refused" for post in history.posts),
    }
    seconds = loop.time() - 1000.0
    return Outcome(seed, judge(history), stuck, world.trace or [], seconds, loop.steps, figures)
