"""Faults at the moments of a move at which the protocol is narrow: the schedules that chance would rarely find.

Each ambush waits for its moment (``World.reached``), is sprung once, and is laid anew now and then.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from catalog.model import QueueKey
from marconi_proxy.moving.protocol.machine import Event
from tests.simulation import world
from tests.simulation.virtual_loop import Actor
from tests.simulation.world import DEADLINE, LEASE, PACE, SETTINGS, Ambush, Stall, World, WorldLine

if TYPE_CHECKING:
    from tests.simulation.schedule import Schedule


class Trap(NamedTuple):
    """A ``moment``, and what is done at it."""

    moment: str
    what: Callable[[Ambushes, Actor, QueueKey], float]


class Ambushes:
    """Those of one schedule. ``names``: of traps, those that fit first."""

    def __init__(self, schedule: Schedule, names: Sequence[str]) -> None:
        self._names = names
        self.world: World = schedule.world
        self.chance: random.Random = schedule.chance
        self._unheard = schedule.unheard
        # When a call was held, a seal made late, and posts given up.
        self._held = self._missed = self._given_up = float("-inf")

    async def lay(self, until: float) -> None:
        """Lay some, until a time of the loop."""
        names = self.fit(self._names)[: self.chance.choice((2, 3, 4))]
        self.world.note(f"ambushes: {', '.join(names)}")
        while self.world.loop.now < until:
            for trap in (trap for name in names for trap in TRAPS[name]):
                if trap.moment not in {ambush.moment for ambush in self.world.ambushes}:
                    self._lay(trap)
            await asyncio.sleep(self.chance.uniform(0.1, 0.6))

    def fit(self, names: Sequence[str]) -> list[str]:
        """Return those of them that a world can stand as it is."""
        unfit = set() if self._unheard else UNHEARD
        if not world.PRIMARIES_STALE:
            unfit = unfit | {Ambushes.depose}
        if not self.world.machines_pause:
            unfit = unfit | {Ambushes.pause}
        return [name for name in names if unfit.isdisjoint(trap.what for trap in TRAPS[name])]

    def _lay(self, trap: Trap) -> None:
        self.world.ambushes.append(Ambush(trap.moment, lambda actor, key: trap.what(self, actor, key)))

    # -- what is done ------------------------------------------------------------------------------------------------

    def _for(self, shortest: float, longest: float, begin: Callable[[], object], end: Callable[[], object]) -> None:
        begin()
        self.world.later(self.chance.uniform(shortest, longest), end)

    def _set(self, line: WorldLine, name: str, value: object, shortest: float, longest: float) -> None:
        """Have something wrong with a way to the catalog for a while."""
        was = getattr(WorldLine(self.world, line._actor), name)
        self.world.note(f"{line._actor.name}: {name} {value}")
        self._for(shortest, longest, lambda: setattr(line, name, value), lambda: setattr(line, name, was))

    def _line(self) -> WorldLine:
        worker = self.chance.choice(self.world.workers)
        return self.world.lines.get(worker.actor.name) or WorldLine(self.world, worker.actor)

    def hold(self, actor: Actor, key: QueueKey) -> float:
        """The call takes so long to come to the catalog that others have just ended the seal."""
        now = self.world.loop.now
        if now < self._held + 2 * SETTINGS.seal_overdue:
            # It may be the same call once more.
            return 0.0
        self._held = now
        return self.chance.uniform(0.95, 1.3) * SETTINGS.seal_overdue

    def freeze(self, actor: Actor, key: QueueKey) -> float:
        """The process is frozen, or its machine paused, until others may have taken over or not."""
        self.world.counts["movers frozen"] += 1
        seconds = self.chance.choice((0.4, 1.0, 3.0)) * self.chance.random() * PACE.hold
        self.world.freeze(actor, seconds, paused=self.world.machines_pause and self.chance.random() < 0.5)
        return 0.0

    def crawl(self, actor: Actor, key: QueueKey) -> float:
        """Posts that are sent now are done late."""
        posts = self.world.loop.now + self.chance.uniform(0.05, 0.5)
        self.world.slow_posts = (posts, 0.1, self.chance.choice((0.3, 0.8, DEADLINE * 0.95)))
        return self.chance.uniform(0.0, 0.3)

    def time_out(self, actor: Actor, key: QueueKey) -> float:
        """Posts that are sent now are given up, and may be done after that."""
        now = self.world.loop.now
        if now < self._given_up + DEADLINE + SETTINGS.ambiguity:
            return 0.0
        self._given_up = now
        posts = now + self.chance.uniform(0.05, 0.3)
        self.world.slow_posts = (posts, DEADLINE, DEADLINE + SETTINGS.ambiguity * 0.9)
        return self.chance.uniform(0.0, 0.3)

    def blind(self, actor: Actor, key: QueueKey) -> float:
        """A worker loses its feed before it is shown what is stored now."""
        self._set(self._line(), "blind", True, 0.0, PACE.seal_timeout)
        return 0.0

    def belate(self, actor: Actor, key: QueueKey) -> float:
        """A worker is shown it late."""
        self._set(self._line(), "late", self.chance.uniform(0.1, 1.5), 0.1, 0.5)
        return 0.0

    def cut(self, actor: Actor, key: QueueKey) -> float:
        """A worker loses the catalog."""
        self.world.counts["catalogs lost"] += 1
        self._set(self._line(), "cut", True, 0.2, LEASE * 2)
        return 0.0

    def stall(self, actor: Actor, key: QueueKey) -> float:
        """A worker is frozen before its next write, until its lease is over."""
        worker = self.chance.choice(self.world.workers)
        leases = self.chance.choice((1.0, 2.7, 2.7)) * self.chance.uniform(0.6, 1.0)
        self.world.stall[worker.actor.name] = Stall(leases * LEASE)
        # So that it has begun that write before the seal.
        return self.chance.uniform(0.1, 0.6)

    def pause(self, actor: Actor, key: QueueKey) -> float:
        """The machine of a worker is paused before its next write, until others have watched its lease end and the
        queue is switched."""
        worker = self.chance.choice(self.world.workers)
        self.world.stall[worker.actor.name] = Stall(self.chance.uniform(0.8, 3.0) * LEASE, paused=True)
        return self.chance.uniform(0.05, 0.4)

    def restart(self, actor: Actor, key: QueueKey) -> float:
        """A worker dies, and the next one begins before the call is done."""
        self.world.kill_worker(self.chance.randrange(len(self.world.workers)))
        return self.chance.uniform(0.0, 0.2)

    def drizzle(self) -> None:
        """Posts that are sent now take a while, and less than a seal."""
        self.world.slow_posts = (self.world.loop.now + 0.6, 0.02, 0.25)

    def miss(self, actor: Actor, key: QueueKey) -> float:
        """A seal comes so late that it is aborted at once; what is read then takes until after the next one."""
        now = self.world.loop.now
        if now < self._missed + 2 * PACE.seal_timeout:
            return 0.0
        self._missed = now

        def read(actor: Actor, key: QueueKey) -> float:
            for worker in self.world.workers:
                if worker.actor.name in self.world.lines:
                    self._set(self.world.lines[worker.actor.name], "dim", self.chance.uniform(0.4, 0.7), 0.1, 0.2)
            self.world.later(0.4, self.drizzle)
            return 0.0

        self.world.ambushes.append(Ambush("abort done", read))
        return PACE.seal_timeout * 1.1 + 0.02

    def resume(self, actor: Actor, key: QueueKey) -> float:
        """A worker's feed is cut, and begins anew while the seal is on its way; then what it reads takes longer than
        its question which queues are sealed, which comes after the seal, and what the feed shows takes even longer."""
        line, held = self._line(), 0.55 * PACE.seal_timeout
        sealed = self.world.loop.now + held

        def stay(actor: Actor, key: QueueKey) -> float:
            stays = sealed + 0.01 - self.world.loop.now
            if actor is not line._actor or stays <= 0.0:
                return 0.0
            self._set(line, "dim", stays + 0.05, stays, stays + 0.05)
            self._set(line, "late", self.chance.uniform(0.2, 0.6), stays + 0.1, stays + 0.3)
            self.world.later(stays, self.drizzle)
            return stays

        self._set(line, "blind", True, 0.01, 0.02)
        self.world.later(0.001, self.world.store.ring)
        self.world.ambushes.append(Ambush("resuming", stay))
        return held

    def reverse(self, actor: Actor, key: QueueKey) -> float:
        """An operator reverses the move before any process has read that it is switched."""
        self.world.later(self.chance.uniform(0.005, 0.05), partial(self.world.decide, key.queue, Event.REVERSE))
        return 0.0

    def rush(self, actor: Actor, key: QueueKey) -> float:
        """Posts that are sent now are under way when the seal comes."""
        self.drizzle()
        return self.chance.uniform(0.02, 0.15)

    def dim(self, actor: Actor, key: QueueKey) -> float:
        """A worker's readings take long."""
        self._set(self._line(), "dim", self.chance.uniform(0.05, 0.6), 0.1, 0.5)
        return 0.0

    def depose(self, actor: Actor, key: QueueKey) -> float:
        """A worker goes on talking to a primary that was deposed."""
        self.world.counts["primaries deposed"] += 1
        self._set(self._line(), "deposed", self.world.store.position, 0.1, 1.0)
        return 0.0


GIVEN_UP = "posts are given up at a seal"
FROZEN = "a worker is frozen before it writes"
PAUSED = "a machine is paused before its worker writes"
TRAPS: dict[str, tuple[Trap, ...]] = {
    "a switch comes when its seal is over": (Trap("switch", Ambushes.hold), Trap("abort done", Ambushes.crawl)),
    "a mover is frozen before its switch": (Trap("switch", Ambushes.freeze), Trap("abort done", Ambushes.crawl)),
    "a feed begins anew during a seal": (Trap("seal", Ambushes.crawl), Trap("seal done", Ambushes.blind)),
    "a feed is late with a seal": (Trap("seal done", Ambushes.belate),),
    "a feed is lost at a seal": (Trap("seal done", Ambushes.blind), Trap("switch done", Ambushes.crawl)),
    "a feed is late with a switch": (Trap("switch done", Ambushes.belate), Trap("arming", Ambushes.crawl)),
    "a worker loses the catalog at a seal": (Trap("seal done", Ambushes.cut),),
    FROZEN: (Trap("arming", Ambushes.stall),),
    PAUSED: (Trap("arming", Ambushes.pause),),
    "a worker joins at a seal": (Trap("seal", Ambushes.restart),),
    "a worker joins while members are counted": (Trap("counting", Ambushes.restart),),
    "a feed begins anew while a seal is stored": (Trap("seal", Ambushes.resume),),
    "a move is reversed at once": (Trap("switch done", Ambushes.reverse), Trap("seal", Ambushes.rush)),
    "a reading is under way after an abort": (Trap("abort done", Ambushes.dim), Trap("seal", Ambushes.crawl)),
    "a reading is under way at a seal": (Trap("seal", Ambushes.miss),),
    GIVEN_UP: (Trap("seal", Ambushes.time_out),),
    "posts are slow at a seal": (Trap("seal", Ambushes.crawl),),
    "a mover is frozen before it retires": (Trap("retirement", Ambushes.freeze), Trap("arming", Ambushes.stall)),
    "a primary is deposed at a switch": (Trap("switch", Ambushes.depose),),
    "a primary is deposed at a seal": (Trap("seal", Ambushes.depose),),
    "a deletion is held": (Trap("deletion", Ambushes.hold), Trap("switch done", Ambushes.crawl)),
}
# After which a worker may go on for long without having heard of changes.
UNHEARD = {
    *(Ambushes.blind, Ambushes.belate, Ambushes.cut, Ambushes.depose, Ambushes.miss, Ambushes.resume),
    *(Ambushes.stall, Ambushes.pause),
}
