"""The catalog behind its breakers: it is frozen, and thawed, at the test's command."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from catalog.errors import CatalogUnavailable, PlacementConflict
from catalog.model import QueueKey
from marconi_proxy.front_door.catalog_guard import CatalogGuard

# More turns of the event loop than any step here takes.
TURNS = 10
KEY = QueueKey("project", "queue")
AWAY = CatalogUnavailable("no answer within 5 s")


async def settled() -> None:
    """Let all tasks go on until each waits for the test."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


class Frozen:
    """A catalog of which each call waits for its answer, until the test gives it."""

    def __init__(self) -> None:
        self.placements = self.partitions = self.tenants = self.moves = self
        self.calls: list[tuple[str, asyncio.Future[object]]] = []

    async def _call(self, verb: str) -> object:
        future = asyncio.get_running_loop().create_future()
        self.calls.append((verb, future))
        return await future

    async def get(self, key: QueueKey) -> object:
        return await self._call("get")

    async def replace(self, placement: object) -> object:
        return await self._call("replace")

    async def count_queues(self) -> object:
        return await self._call("count_queues")

    async def identity(self) -> object:
        return await self._call("identity")

    async def ping(self) -> object:
        return await self._call("ping")

    @property
    def waiting(self) -> list[str]:
        return [verb for verb, future in self.calls if not future.done()]

    def answer(self, verb: str, answer: object = None) -> None:
        """Answer the oldest call of the verb, an exception by raising it."""
        future = next(future for name, future in self.calls if name == verb and not future.done())
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)


class Stage:
    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []
        self.store = Frozen()
        self.guard = CatalogGuard(self.store, lambda: self.now, self._sleep)  # type: ignore[arg-type]

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)

    async def get(self) -> asyncio.Task[object]:
        """Begin a read."""
        task: asyncio.Task[object] = asyncio.create_task(self.guard.catalog.placements.get(KEY))  # type: ignore[arg-type]
        await settled()
        return task

    async def replace(self) -> asyncio.Task[object]:
        """Begin a write."""
        task = asyncio.create_task(self.guard.catalog.placements.replace(None))  # type: ignore[arg-type]
        await settled()
        return task


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    await stage.guard.stop()


async def test_an_answer_passes(stage: Stage) -> None:
    reading = await stage.get()
    stage.store.answer("get", "found")
    assert await reading == "found"
    assert stage.store.waiting == []


async def test_calls_fail_at_once_after_the_first_has_timed_out(stage: Stage) -> None:
    first = await stage.get()
    stage.now = 5.0
    stage.store.answer("get", AWAY)
    with pytest.raises(CatalogUnavailable, match="no answer within 5 s"):
        await first
    stage.now = 7.0
    with pytest.raises(CatalogUnavailable, match=r"not answered reads for 2.0 s"):
        await (await stage.get())
    assert stage.guard.reads.breaker.refused == 1
    assert stage.store.waiting == ["identity"]


async def test_calls_under_way_fail_with_the_first_that_times_out(stage: Stage) -> None:
    first, second = await stage.get(), await stage.get()
    stage.store.answer("get", AWAY)
    with pytest.raises(CatalogUnavailable):
        await first
    with pytest.raises(CatalogUnavailable, match="not answered reads"):
        await second


async def test_an_answered_probe_ends_it(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    first = await stage.get()
    stage.store.answer("get", AWAY)
    await asyncio.gather(first, return_exceptions=True)
    await asyncio.gather(await stage.get(), return_exceptions=True)
    stage.store.answer("identity", AWAY)
    await settled()
    assert len(stage.pauses) == 1
    stage.now = 3.0
    caplog.clear()
    stage.store.answer("identity")
    await settled()
    assert caplog.messages == ["the catalog answers reads again after 3.0 s; calls refused meanwhile: 1"]
    reading = await stage.get()
    stage.store.answer("get", "found")
    assert await reading == "found"
    assert stage.store.waiting == []


async def test_reads_go_on_while_writes_are_not_answered(stage: Stage) -> None:
    writing = await stage.replace()
    stage.store.answer("replace", AWAY)
    await asyncio.gather(writing, return_exceptions=True)
    with pytest.raises(CatalogUnavailable, match="not answered writes"):
        await (await stage.replace())
    assert stage.store.waiting == ["ping"]
    reading = await stage.get()
    stage.store.answer("get", "found")
    assert await reading == "found"


async def test_a_conflict_is_an_answer(stage: Stage) -> None:
    first, second = await stage.replace(), await stage.replace()
    stage.now = 1.0
    stage.store.answer("replace", PlacementConflict(None))
    with pytest.raises(PlacementConflict):
        await first
    stage.store.answer("replace", AWAY)
    with pytest.raises(CatalogUnavailable):
        await second
    assert stage.guard.writes.breaker.opened_at is None


async def test_a_count_that_takes_too_long_refuses_nothing(stage: Stage) -> None:
    counting = asyncio.create_task(stage.guard.catalog.placements.count_queues())  # type: ignore[call-arg]
    await settled()
    stage.store.answer("count_queues", AWAY)
    with pytest.raises(CatalogUnavailable):
        await counting
    assert stage.guard.reads.breaker.opened_at is None


async def test_a_caller_that_is_cancelled_opens_nothing(stage: Stage) -> None:
    reading = await stage.get()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert stage.guard.reads.breaker.opened_at is None
