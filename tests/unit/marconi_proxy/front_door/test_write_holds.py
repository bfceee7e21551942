"""Calls that wait for the end of a switch."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from catalog.model import HeldWrites
from marconi_proxy.front_door.refusals import ClientGone, RequestRefused
from marconi_proxy.front_door.write_holds import WriteHolds
from tests.faults.evil_host import settled

FOREVER = 3600.0


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Client:
    """A client that sends the rest of its request, and then nothing until it leaves."""

    def __init__(self) -> None:
        self.left = asyncio.Event()
        self.said = False

    async def receive(self) -> dict[str, Any]:
        if not self.said:
            self.said = True
            return {"type": "http.request", "body": b""}
        await self.left.wait()
        return {"type": "http.disconnect"}


def future() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


async def refused(waiting: Awaitable[None]) -> RequestRefused:
    with pytest.raises(RequestRefused) as caught:
        await waiting
    return caught.value


async def test_a_call_goes_on_with_the_change(clock: Clock) -> None:
    holds, change = WriteHolds(FOREVER, 10, clock), future()
    waiting = asyncio.create_task(holds.wait("m", clock.now, change, Client().receive))
    await settled(lambda: holds.waiting == 1)
    clock.now += 0.75
    change.set_result(None)
    await waiting
    assert holds.waiting == 0
    assert holds.report("w") == {"m": HeldWrites("w", 1, 0, 750)}


async def test_who_came_first_goes_on_first(clock: Clock) -> None:
    holds, change = WriteHolds(FOREVER, 100, clock), future()
    order: list[int] = []

    async def call(number: int) -> None:
        await holds.wait("m", clock.now, change, Client().receive)
        order.append(number)

    calls = [asyncio.create_task(call(number)) for number in range(50)]
    await settled(lambda: holds.waiting == 50)
    change.set_result(None)
    await asyncio.gather(*calls)
    assert order == list(range(50))


async def test_a_call_whose_time_is_up_is_refused(clock: Clock) -> None:
    refusal = await refused(WriteHolds(0.01, 10, clock).wait("m", clock.now, future(), Client().receive))
    assert (refusal.status, refusal.retry_after) == (503, 1)
    assert "being moved" in refusal.description


async def test_the_time_counts_from_when_the_call_began_to_wait(clock: Clock) -> None:
    """However often its queue is sealed again meanwhile."""
    holds, change = WriteHolds(FOREVER, 10, clock), future()
    change.set_result(None)
    since = clock.now
    for _ in range(3):
        await holds.wait("m", since, change, Client().receive)
        clock.now += 1000.0
    clock.now = since + FOREVER
    await refused(holds.wait("m", since, change, Client().receive))
    assert holds.report("w") == {"m": HeldWrites("w", 3, 1, 3600000)}


async def test_one_more_than_may_wait_is_refused_at_once(clock: Clock) -> None:
    holds, change = WriteHolds(FOREVER, 2, clock), future()
    waiting = [asyncio.create_task(holds.wait("m", clock.now, change, Client().receive)) for _ in range(2)]
    await settled(lambda: holds.waiting == 2)
    await refused(holds.wait("m", clock.now, change, Client().receive))
    change.set_result(None)
    await asyncio.gather(*waiting)
    assert holds.report("w")["m"].refused == 1
    # There is room again.
    await holds.wait("m", clock.now, change, Client().receive)


async def test_a_client_that_leaves_is_let_go(clock: Clock) -> None:
    holds, change, client = WriteHolds(FOREVER, 1, clock), future(), Client()
    waiting = asyncio.create_task(holds.wait("m", clock.now, change, client.receive))
    await settled(lambda: holds.waiting == 1)
    client.left.set()
    with pytest.raises(ClientGone):
        await waiting
    assert holds.waiting == 0
    assert not change.done()  # others wait for it


async def test_a_call_that_is_cancelled_leaves_nothing_behind(clock: Clock) -> None:
    holds, change = WriteHolds(FOREVER, 1, clock), future()
    waiting = asyncio.create_task(holds.wait("m", clock.now, change, Client().receive))
    await settled(lambda: holds.waiting == 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert holds.waiting == 0
    assert len(asyncio.all_tasks()) == 1


async def held(holds: WriteHolds, clock: Callable[[], float], move: str | None) -> None:
    change = future()
    change.set_result(None)
    await holds.wait(move, clock(), change, Client().receive)


async def test_counts_are_kept_for_some_minutes_and_of_some_moves(clock: Clock) -> None:
    holds = WriteHolds(FOREVER, 10, clock)
    await held(holds, clock, None)  # sealed by a mover that is not known
    assert holds.report("w") == {}
    for number in range(300):
        await held(holds, clock, f"m-{number}")
    found = holds.report("w")
    assert len(found) == 250
    assert "m-299" in found
    clock.now += 60.0
    await held(holds, clock, "m-60")
    clock.now += 61.0
    assert list(holds.report("w")) == ["m-60"]


async def test_only_what_has_changed_is_reported(clock: Clock) -> None:
    holds = WriteHolds(FOREVER, 10, clock)
    for move in ("m-1", "m-2"):
        await held(holds, clock, move)
    found = holds.report("w")
    assert found == {"m-1": HeldWrites("w", 1), "m-2": HeldWrites("w", 1)}
    # Until it is known to be stored, it is reported again.
    assert holds.report("w") == found
    await held(holds, clock, "m-2")
    holds.reported(found)
    assert holds.report("w") == {"m-2": HeldWrites("w", 2)}
    holds.reported(holds.report("w"))
    assert holds.report("w") == {}
    await held(holds, clock, "m-1")
    assert holds.report("w") == {"m-1": HeldWrites("w", 2)}


async def test_a_report_that_was_stored_late_is_of_a_move_that_is_not_kept_any_more(clock: Clock) -> None:
    holds = WriteHolds(FOREVER, 10, clock)
    await held(holds, clock, "m")
    found = holds.report("w")
    clock.now += 121.0
    assert holds.report("w") == {}
    holds.reported(found)
    assert holds.report("w") == {}
