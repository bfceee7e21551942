"""Seals that no mover ends: when they are overdue, and how a worker aborts them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from catalog.model import Change, ChangeSubject, Placement, PlacementState, QueueKey, Segment
from catalog.sqlite.driver import SQLiteCatalog
from marconi_proxy.fencing.transitions import abort, seal, switch
from marconi_proxy.front_door.seals import Seals
from tests.faults.evil_host import settled
from tests.unit.catalog_stage import BORN, Staged, key, partition, placement

OVERDUE, NOW = 5.0, 2000.0
Q = key("q")


class Timer:
    def __init__(self, seconds: float, function: Callable[[QueueKey], None], argument: QueueKey) -> None:
        self.seconds = seconds
        self.cancelled = False
        self._ring = lambda: function(argument)

    def cancel(self) -> None:
        self.cancelled = True

    def ring(self) -> None:
        assert not self.cancelled
        self._ring()


class Stage:
    def __init__(self, catalog: Staged) -> None:
        self.catalog = catalog
        self.timers: list[Timer] = []
        self.seals = Seals(catalog, OVERDUE, lambda: NOW, self.later)  # type: ignore[arg-type]

    def later(self, seconds: float, function: Callable[[QueueKey], None], argument: QueueKey) -> Timer:
        self.timers.append(Timer(seconds, function, argument))
        return self.timers[-1]

    @property
    def running(self) -> list[float]:
        return [timer.seconds for timer in self.timers if not timer.cancelled]

    def show(self, placed: Placement, *, sealing: bool | None = None) -> None:
        is_seal = placed.state is PlacementState.SEALING if sealing is None else sealing
        self.seals.shown(Q, Change(1, ChangeSubject.PLACEMENT, Q, placed.epoch, placed.incarnation, is_seal))

    async def stored(self) -> Placement | None:
        return await self.catalog.real.placements.get(Q)


OPEN = placement("q")
SEALED = seal(OPEN, "m-1", NOW, 4)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A queue that is sealed."""
    real = await SQLiteCatalog.open(str(tmp_path / "catalog.db"))
    for name in ("p1", "p2"):
        await real.partitions.insert(partition(name))
    await real.placements.insert(OPEN)
    await real.placements.replace(SEALED)
    stage = Stage(Staged(real))
    yield stage
    await stage.seals.stop()
    await real.close()


async def test_an_overdue_seal_is_aborted(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.show(SEALED)
    assert stage.running == [OVERDUE]
    stage.timers[0].ring()
    await settled(lambda: not stage.seals)
    assert await stage.stored() == abort(SEALED, NOW)
    assert "aborted the seal of move m-1" in caplog.text


async def test_one_that_a_call_has_come_upon_too(stage: Stage) -> None:
    """A worker that starts late is shown no seal; the first call that meets it reads it."""
    stage.seals.read(OPEN)
    assert not stage.seals
    stage.seals.read(SEALED)
    stage.timers[0].ring()
    await settled(lambda: not stage.seals)
    assert await stage.stored() == abort(SEALED, NOW)


@pytest.mark.parametrize("since", [0.0, NOW - OVERDUE, NOW + 86400.0])
async def test_the_clock_of_who_sealed_it_decides_nothing(stage: Stage, since: float) -> None:
    stage.seals.read(replace(SEALED, since=since))
    assert stage.running == [OVERDUE]


async def test_it_counts_from_when_it_was_first_seen(stage: Stage) -> None:
    stage.show(SEALED)
    stage.seals.read(SEALED)
    stage.show(SEALED)
    assert stage.running == [OVERDUE]


@pytest.mark.parametrize("end", ["switched", "aborted", "removed", "created anew"])
async def test_one_that_is_ended_needs_nothing(stage: Stage, end: str) -> None:
    stage.show(SEALED)
    if end == "removed":
        stage.seals.shown(Q, Change(2, ChangeSubject.PLACEMENT, Q))
    elif end == "created anew":
        stage.show(replace(OPEN, incarnation="another"))
    else:
        stage.show(switch(SEALED, "m-1", "p2", "q", NOW) if end == "switched" else abort(SEALED, NOW))
    assert stage.running == []
    assert not stage.seals


async def test_what_comes_late_ends_nothing(stage: Stage) -> None:
    """A placement that was read may be newer than the feed."""
    stage.seals.read(SEALED)
    stage.show(OPEN)
    stage.show(SEALED, sealing=False)  # a store may not know any more what a change was
    assert stage.running == [OVERDUE]


async def test_the_next_seal_has_its_own_time(stage: Stage) -> None:
    stage.show(SEALED)
    again = seal(abort(SEALED, NOW), "m-1", NOW, 4)
    stage.show(again)
    assert [timer.cancelled for timer in stage.timers] == [True, False]


@pytest.mark.parametrize("end", ["switched", "aborted and sealed again", "gone"])
async def test_a_seal_that_has_ended_unseen_is_left_alone(stage: Stage, end: str) -> None:
    stage.show(SEALED)
    if end == "gone":
        await stage.catalog.real.placements.remove(Q, SEALED.epoch, BORN)
    elif end == "switched":
        await stage.catalog.real.placements.replace(switch(SEALED, "m-1", "p2", "q", NOW))
    else:
        await stage.catalog.real.placements.replace(abort(SEALED, NOW))
        await stage.catalog.real.placements.replace(seal(abort(SEALED, NOW), "m-2", NOW, 4))
    before = await stage.stored()
    stage.timers[0].ring()
    await settled(lambda: not stage.seals)
    assert await stage.stored() == before


async def test_a_switch_at_the_same_moment_wins(stage: Stage) -> None:
    stage.show(SEALED)
    switched = switch(SEALED, "m-1", "p2", "q", NOW)

    async def just_before() -> None:
        await stage.catalog.real.placements.replace(switched)

    stage.catalog.before("placements.replace", just_before)
    stage.timers[0].ring()
    await settled(lambda: not stage.seals)
    assert await stage.stored() == switched
    assert switched.segments[-1] == Segment(1, "p2", "q")


@pytest.mark.parametrize("verb", ["placements.get", "placements.replace"])
async def test_while_the_catalog_is_away_it_is_tried_again(stage: Stage, verb: str) -> None:
    stage.show(SEALED)
    stage.catalog.fail(verb, 2)
    for number in range(3):
        assert stage.seals
        stage.timers[number].ring()
        await settled(lambda number=number: len(stage.timers) > number + 1 or not stage.seals)
    assert await stage.stored() == abort(SEALED, NOW)


async def test_stopping_forgets_all(stage: Stage) -> None:
    stage.show(SEALED)
    await stage.seals.stop()
    assert stage.running == []
    assert not stage.seals
