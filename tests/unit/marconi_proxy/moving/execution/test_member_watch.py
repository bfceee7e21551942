"""A mover's view of the front-door workers, by its own clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from catalog.errors import CatalogUnavailable
from catalog.model import UNPROMISED_LEASE, Member
from marconi_proxy.fencing.barrier import MemberSighting
from marconi_proxy.moving.execution.member_watch import MemberWatch
from tests.faults.evil_host import settled
from tests.unit.moving_world import FakeClock

LEASE = 30.0


class Roll:
    """The members in the catalog. A reading waits for ``go``, and takes ``slow`` seconds on its way back."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.members: dict[str, Member] = {}
        self.readings = 0
        self.expired: list[tuple[str, str]] = []
        self.slow = 0.0
        self.failing = False
        self.go = asyncio.Event()
        self.go.set()
        self.watch = MemberWatch(self.read, self.expire, self.clock)

    def renew(self, name: str, stamp: str, lease: float = LEASE) -> None:
        self.members[name] = Member.from_json(Member(name, lease=lease).to_json(), stamp=stamp)

    async def read(self) -> list[Member]:
        self.readings += 1
        members, failing = list(self.members.values()), self.failing
        await self.go.wait()
        if failing:
            raise CatalogUnavailable("away")
        self.clock.time += self.slow
        return members

    async def expire(self, member: Member) -> bool:
        self.expired.append((member.id, member.stamp))
        if self.members[member.id].stamp != member.stamp:
            return False
        del self.members[member.id]
        return True

    async def look(self) -> dict[str, MemberSighting]:
        return {sighting.member.id: sighting for sighting in await self.watch.look()}


@pytest.fixture
async def roll() -> AsyncIterator[Roll]:
    roll = Roll()
    roll.renew("w", "1")
    return roll


# -- silence and expiry ------------------------------------------------------------------------------------------------


async def test_a_member_expires_when_it_was_watched_in_silence_for_its_lease(roll: Roll) -> None:
    assert (await roll.look())["w"].silence == 0.0
    roll.clock.time += LEASE
    seen = (await roll.look())["w"]
    assert (seen.silence, seen.expired) == (LEASE, False)
    assert roll.expired == []
    roll.clock.time += 0.1
    seen = (await roll.look())["w"]
    assert seen.expired
    assert roll.expired == [("w", "1")]
    assert roll.members == {}
    assert await roll.look() == {}


async def test_a_renewal_begins_anew(roll: Roll) -> None:
    await roll.look()
    roll.clock.time += LEASE
    roll.renew("w", "2")
    assert (await roll.look())["w"].silence == 0.0
    roll.clock.time += LEASE
    assert not (await roll.look())["w"].expired


async def test_a_clock_on_the_wall_that_is_set_expires_nothing(roll: Roll) -> None:
    await roll.look()
    roll.clock.set = 1e6
    assert (await roll.look())["w"].silence == 0.0


async def test_a_member_without_a_lease_is_waited_for_longer(roll: Roll) -> None:
    roll.renew("old", "1", lease=0.0)
    await roll.look()
    roll.clock.time += UNPROMISED_LEASE
    seen = await roll.look()
    assert (seen["w"].expired, seen["old"].expired) == (True, False)
    roll.clock.time += 0.1
    assert (await roll.look())["old"].expired


async def test_a_slow_reading_is_no_proof_of_silence(roll: Roll) -> None:
    """The result may be as old as the request: the member may have renewed since."""
    roll.slow = 100.0
    assert (await roll.look())["w"].silence == 0.0
    roll.clock.time += 10.0
    assert (await roll.look())["w"].silence == 10.0
    assert roll.expired == []


async def test_a_compare_and_set_that_is_refused_is_a_sign_of_life(roll: Roll) -> None:
    await roll.look()
    roll.clock.time += LEASE + 0.1
    roll.go.clear()
    looking = asyncio.create_task(roll.look())
    await settled(lambda: roll.readings >= 2)
    # After it was read, and before it is removed.
    roll.renew("w", "2")
    roll.go.set()
    seen = (await looking)["w"]
    assert not seen.expired
    assert roll.expired == [("w", "1")]
    assert "w" in roll.members
    assert (await roll.look())["w"].silence == 0.0


async def test_a_member_that_is_gone_and_comes_back_begins_anew(roll: Roll) -> None:
    await roll.look()
    del roll.members["w"]
    roll.clock.time += LEASE + 1.0
    assert await roll.look() == {}
    roll.renew("w", "1")
    assert (await roll.look())["w"].silence == 0.0


# -- proof of life -----------------------------------------------------------------------------------------------------


async def test_a_member_of_the_first_reading_is_unproven_until_it_renews(roll: Roll) -> None:
    """It may have been killed long ago."""
    assert not (await roll.look())["w"].proven
    roll.clock.time += 1.0
    assert not (await roll.look())["w"].proven
    roll.renew("w", "2")
    assert (await roll.look())["w"].proven
    roll.clock.time += LEASE
    assert (await roll.look())["w"].proven


async def test_a_member_that_registers_later_is_proven(roll: Roll) -> None:
    await roll.look()
    roll.renew("later", "1")
    seen = await roll.look()
    assert (seen["w"].proven, seen["later"].proven) == (False, True)


async def test_a_member_that_expired_and_registers_again_is_proven(roll: Roll) -> None:
    await roll.look()
    roll.clock.time += LEASE + 0.1
    await roll.look()
    roll.renew("w", "2")
    assert (await roll.look())["w"].proven


# -- one reading for all -----------------------------------------------------------------------------------------------


async def test_all_that_ask_while_a_reading_is_under_way_share_the_next_one(roll: Roll) -> None:
    roll.go.clear()
    first = asyncio.create_task(roll.watch.look())
    await settled(lambda: roll.readings)
    # The first reading is from before these requests.
    roll.renew("w", "2")
    others = [asyncio.create_task(roll.watch.look()) for _ in range(50)]
    await asyncio.sleep(0)
    assert roll.readings == 1
    roll.go.set()
    ((one,), *rest) = await asyncio.gather(first, *others)
    assert roll.readings == 2
    assert one.member.stamp == "1"
    assert {sighting.member.stamp for (sighting,) in rest} == {"2"}


async def test_an_asker_that_gives_up_does_not_take_the_answer_from_others(roll: Roll) -> None:
    roll.go.clear()
    impatient, patient = (asyncio.create_task(roll.watch.look()) for _ in range(2))
    await settled(lambda: roll.readings)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    roll.go.set()
    assert len(await patient) == 1
    assert roll.readings == 1


async def test_a_reading_that_fails_fails_for_those_that_asked_and_no_later_one(roll: Roll) -> None:
    roll.failing = True
    roll.go.clear()
    first = asyncio.create_task(roll.watch.look())
    await settled(lambda: roll.readings)
    second = asyncio.create_task(roll.watch.look())
    roll.failing = False
    roll.go.set()
    with pytest.raises(CatalogUnavailable):
        await first
    assert len(await second) == 1
    # None that failed counts as the first: what is proven is not known by it.
    assert not (await roll.look())["w"].proven


async def test_it_watches_all_the_time_and_goes_on_when_the_catalog_is_away(roll: Roll) -> None:
    """So that which members live is known before a queue is sealed."""
    running = asyncio.create_task(roll.watch.run())
    await settled(lambda: roll.readings >= 3)
    roll.failing = True
    await settled(lambda: roll.readings >= 6)
    roll.failing = False
    await settled(lambda: not roll.members)
    assert roll.expired == [("w", "1")]
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
