"""What an executor reads of moves, and what it believes without."""

from __future__ import annotations

import pytest

from catalog import open_catalog
from catalog.model import Move, MoveState
from marconi_proxy.moving.plans.names import planned_move_id
from marconi_proxy.moving.plans.records import Records
from tests.contract.plan_stage import Clock, enter, furnish


class Reading:
    """A catalog that counts how often it is asked for moves."""

    def __init__(self, catalog):
        self._catalog = catalog
        self.asked = []

    async def get_move(self, move_id):
        self.asked.append(move_id)
        return await self._catalog.get_move(move_id)

    async def list_moves(self, **filters):
        self.asked.append("list")
        return await self._catalog.list_moves(**filters)


@pytest.fixture
async def catalog(tmp_path):
    catalog = await open_catalog(f"sqlite:///{tmp_path}/catalog.db")
    await catalog.init()
    await furnish(catalog, ["q0", "q1"])
    for n in (0, 1):
        await catalog.insert_move(Move(planned_move_id("plan", n), "a", f"q{n}", "p1", "p2", plan="plan"))
    yield catalog
    await catalog.close()


@pytest.fixture
def reading(catalog):
    return Reading(catalog)


async def _states(records, *numbers):
    return {number: move.state for number, move in (await records.of("plan", numbers)).items()}


P, D = MoveState.PLANNED, MoveState.DRAINING


async def test_without_belief_each_question_reads(catalog, reading):
    records = Records(reading, Clock())
    assert await _states(records, 0, 1) == {0: P, 1: P}
    await enter(catalog, await catalog.get_move(planned_move_id("plan", 0)), D)
    assert await _states(records, 0, 1) == {0: D, 1: P}


async def test_only_what_has_changed_is_read_again(catalog, reading):
    records = Records(reading, Clock(), 10.0)
    assert await _states(records, 0, 1) == {0: P, 1: P}
    first = planned_move_id("plan", 0)
    await enter(catalog, await catalog.get_move(first), D)
    records.changed(first)
    reading.asked.clear()
    assert await _states(records, 0, 1) == {0: D, 1: P}
    assert reading.asked == [first]
    assert await _states(records, 0, 1) == {0: D, 1: P}
    assert reading.asked == [first]


@pytest.mark.parametrize("why", ["any may have changed", "it is long ago", "the clock was set back"])
async def test_all_are_read_again(catalog, reading, why):
    clock = Clock()
    records = Records(reading, clock, 10.0)
    await _states(records, 0, 1)
    await enter(catalog, await catalog.get_move(planned_move_id("plan", 1)), D)
    if why == "any may have changed":
        records.changed(None)
    else:
        clock.now += 10.0 if why == "it is long ago" else -1.0
    assert await _states(records, 0, 1) == {0: P, 1: D}


async def test_what_has_ended_or_is_not_there_is_asked_for_by_its_id(catalog, reading):
    await enter(catalog, await catalog.get_move(planned_move_id("plan", 0)), MoveState.CANCELLED)
    records = Records(reading, Clock(), 10.0)
    assert await _states(records, 0, 1, 7) == {0: MoveState.CANCELLED, 1: P}
    reading.asked.clear()
    assert await _states(records, 0, 1, 7) == {0: MoveState.CANCELLED, 1: P}
    assert reading.asked == [planned_move_id("plan", 7)]


async def test_what_changes_while_it_is_read_is_read_again(catalog, reading):
    records = Records(reading, Clock(), 10.0)
    first = planned_move_id("plan", 0)
    real = reading.list_moves

    async def overtaken(**filters):
        found = await real(**filters)
        if found and found[0].state is P:
            await enter(catalog, found[0], D)
            records.changed(first)
        return found

    reading.list_moves = overtaken
    assert await _states(records, 0, 1) == {0: D, 1: P}


async def test_other_plans_are_forgotten(reading):
    records = Records(reading, Clock(), 10.0)
    await _states(records, 0)
    records.forget_all_but(["another"])
    reading.asked.clear()
    await _states(records, 0)
    assert "list" in reading.asked
