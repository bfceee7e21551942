"""The audit in the background: one mover at a time, and what is kept of a round."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from catalog.errors import CatalogUnavailable, LockHeld, LockLost
from catalog.model import AuditState
from marconi_proxy.audit.auditor import HOLD, Auditor
from marconi_proxy.audit.kinds import FindingKind
from marconi_proxy.audit.observation import Finding
from marconi_proxy.audit.round import RoundSummary
from marconi_proxy.background import LOOK
from tests.simulation.memory_catalog import MemoryCatalog, Store
from tests.unit.moving_world import FakeClock

INTERVAL = 3600.0
GHOST = Finding(FindingKind.GHOST, "p", "q", "north", "q", ("b", 1), "open, and not there")


class Clock(FakeClock):
    """Lets other tasks run during each sleep."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        await asyncio.sleep(0)


class World:
    def __init__(self) -> None:
        self.clock = Clock()
        self.store = Store(self.clock.now)
        self.rounds = 0
        self.seconds = 100.0
        self.meanwhile: Callable[[], Awaitable[object]] | None = None

    async def round(self, on_finding: Callable[[Finding], Awaitable[None]], on_step: object) -> RoundSummary:
        self.rounds += 1
        await on_finding(GHOST)
        await self.clock.sleep(self.seconds)
        if self.meanwhile is not None:
            await self.meanwhile()
        return RoundSummary(7, 1, 2, {"west": "away"}, Counter({FindingKind.GHOST: 1}))

    def auditor(self, name: str = "mover") -> Auditor:
        return Auditor(MemoryCatalog(self.store), self.round, self.clock, random.Random(1), name, INTERVAL)


@pytest.fixture
def world() -> World:
    return World()


async def test_what_a_round_found_is_kept_and_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    begun = world.clock.now()
    assert await world.auditor().visit() == LOOK
    found = world.store.audit.value
    assert found == AuditState(begun, world.clock.now(), None, 7, 1, 2, {"ghost": 1}, {"west": "away"})
    assert found.holder is None
    assert "ghost: p/q on north as q: open, and not there" in caplog.text
    assert "partition west: away" in caplog.text


async def test_the_next_round_comes_after_the_interval(world: World) -> None:
    auditor = world.auditor()
    await auditor.visit()
    assert await auditor.visit() == LOOK
    assert world.rounds == 1
    await world.clock.sleep(INTERVAL - 10)
    assert await auditor.visit() == pytest.approx(10)
    await world.clock.sleep(11)
    await auditor.visit()
    assert world.rounds == 2


async def test_one_at_a_time(world: World) -> None:
    async def other() -> None:
        with pytest.raises(LockHeld):
            await world.auditor("other").visit()

    world.meanwhile = other
    await world.auditor().visit()
    assert world.rounds == 1


async def test_another_auditor_that_has_just_started_knows_not_how_long_ago_it_was(world: World) -> None:
    """Some part of the interval, drawn by chance, so that restarts do not put it off for ever."""
    await world.auditor().visit()
    world.clock.set = 1e9
    waits = []
    for seed in range(20):
        other = Auditor(MemoryCatalog(world.store), world.round, world.clock, random.Random(seed), "other", INTERVAL)
        waits.append(other._singleton._due.left(world.store.audit.value.ended))
    assert min(waits) >= 0.0
    assert max(waits) <= INTERVAL
    assert max(waits) - min(waits) > INTERVAL / 2
    assert world.rounds == 1


async def test_one_that_died_is_taken_over_when_it_was_watched_for_its_hold(world: World) -> None:
    world.store.audit.acquire("dead", HOLD, None)
    auditor = world.auditor()
    with pytest.raises(LockHeld):
        await auditor.visit()
    world.clock.set = 1e9
    await world.clock.sleep(HOLD)
    with pytest.raises(LockHeld):
        await auditor.visit()
    await world.clock.sleep(1.0)
    await auditor.visit()
    assert world.rounds == 1


async def test_who_has_lost_it_stops_and_keeps_nothing(world: World) -> None:
    async def lose() -> None:
        world.meanwhile = None
        world.store.audit.release(world.store.audit.acquired)
        world.store.audit.acquire("other", HOLD, None)

    world.meanwhile = lose
    with pytest.raises(LockLost):
        await world.auditor().visit()
    assert world.store.audit.value.ended is None


async def test_a_round_that_fails_is_begun_anew(world: World) -> None:
    async def fail() -> None:
        world.meanwhile = None
        raise CatalogUnavailable("away")

    world.meanwhile = fail
    with pytest.raises(CatalogUnavailable):
        await world.auditor().visit()
    assert world.store.audit.value.holder is None
    await world.auditor().visit()
    assert (world.rounds, world.store.audit.value.queues) == (2, 7)


async def test_it_goes_on_whatever_happens(world: World) -> None:
    async def fail() -> None:
        raise RuntimeError("a defect")

    world.meanwhile = fail
    running = asyncio.create_task(world.auditor().run())
    while world.rounds < 3:
        await world.clock.sleep(1)
    world.meanwhile = None
    while world.store.audit.value.ended is None:
        await world.clock.sleep(1)
    running.cancel()
