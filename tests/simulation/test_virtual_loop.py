"""Virtual time, and processes that are frozen."""

from __future__ import annotations

import asyncio

import pytest

from tests.simulation.virtual_loop import Actor, Stuck, VirtualLoop, acting


def test_time_passes_only_when_all_wait() -> None:
    loop = VirtualLoop()
    seen: list[tuple[str, float]] = []

    async def wait(name: str, *pauses: float) -> None:
        for pause in pauses:
            await asyncio.sleep(pause)
            seen.append((name, loop.time() - 1000.0))

    async def main() -> None:
        await asyncio.gather(wait("a", 1.0, 3600.0), wait("b", 2.0, 0.0, 0.5))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5.0):
                await asyncio.Event().wait()

    loop.run(main())
    assert seen == [("a", 1.0), ("b", 2.0), ("b", 2.0), ("b", 2.5), ("a", 3601.0)]
    assert loop.time() == 4606.0
    assert loop.failures == []


def test_a_frozen_actor_does_nothing_and_misses_nothing() -> None:
    loop = VirtualLoop()
    actor = Actor("worker-1")
    seen: list[tuple[str, float]] = []
    bell = asyncio.Event()

    async def work() -> None:
        assert acting() is actor
        await asyncio.sleep(1.0)
        seen.append(("slept", loop.time()))
        await bell.wait()
        seen.append(("rung", loop.time()))

    async def main() -> None:
        task = loop.spawn(actor, work())
        await asyncio.sleep(0.5)
        loop.freeze(actor)
        bell.set()
        await asyncio.sleep(9.5)
        assert seen == []
        loop.thaw(actor)
        await task
        assert acting() is None

    loop.run(main())
    assert seen == [("slept", 1010.0), ("rung", 1010.0)]


def test_the_time_of_an_actor_that_is_paused_stands_still() -> None:
    loop = VirtualLoop()
    actor = Actor("worker-1")
    seen: list[tuple[str, float, float]] = []
    bell = asyncio.Event()

    def note(what: str) -> None:
        seen.append((what, loop.now, round(loop.time(), 6)))

    async def work() -> None:
        loop.call_later(1.0, note, "soon")
        loop.call_at(1030.0, note, "at")
        await bell.wait()
        note("rung")
        async with asyncio.timeout_at(1002.0):
            await asyncio.sleep(1.0)
        note("slept")

    async def main() -> None:
        task = loop.spawn(actor, work())
        await asyncio.sleep(0.5)
        loop.pause(actor)
        bell.set()
        await asyncio.sleep(9.5)
        # It may have been frozen besides.
        loop.thaw(actor)
        await asyncio.sleep(0.0)
        assert seen == []
        loop.resume(actor)
        await task
        await asyncio.sleep(50.0)

    loop.run(main())
    assert seen == [
        ("rung", 1010.0, 1000.5),
        ("soon", 1010.5, 1001.0),
        ("slept", 1011.0, 1001.5),
        ("at", 1039.5, 1030.0),
    ]


def test_what_an_actor_begins_is_its_own() -> None:
    loop = VirtualLoop()
    actor = Actor("mover")
    seen: list[float] = []

    async def work() -> None:
        loop.call_later(1.0, lambda: seen.append(loop.time()))
        asyncio.create_task(asyncio.sleep(2.0)).add_done_callback(lambda _: seen.append(loop.time()))

    async def main() -> None:
        await loop.spawn(actor, work())
        loop.freeze(actor)
        await asyncio.sleep(10.0)
        assert seen == []
        loop.thaw(actor)
        await asyncio.sleep(0.0)
        await asyncio.sleep(0.0)
        await asyncio.sleep(0.0)

    loop.run(main())
    assert seen == [1010.0, 1010.0]
    assert len(actor.tasks) == 2


def test_a_world_in_which_nothing_can_happen_any_more() -> None:
    with pytest.raises(Stuck):
        VirtualLoop().run(asyncio.Event().wait())


def test_failures_are_kept() -> None:
    loop = VirtualLoop()

    async def main() -> None:
        loop.call_soon(lambda: 1 / 0)
        await asyncio.sleep(0.0)
        with pytest.raises(ConnectionRefusedError):
            await loop.create_connection(asyncio.Protocol, "nowhere", 80)

    loop.run(main())
    assert [type(failure["exception"]) for failure in loop.failures] == [ZeroDivisionError]
