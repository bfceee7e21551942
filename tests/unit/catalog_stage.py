"""A real catalog on a stage: the test sees what is asked of it, meddles with it, and decides when its feed speaks."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import aclosing
from typing import Any

from catalog.errors import CatalogUnavailable
from catalog.interface import ALL_SUBJECTS
from catalog.model import (
    Change,
    ChangeSubject,
    Partition,
    PartitionState,
    Placement,
    PlacementState,
    QueueKey,
    Segment,
    Synced,
)
from catalog.sqlite.driver import SQLiteCatalog
from tests.catalog_wraps import Passing

PROJECT = "project"
# The incarnation of every placement here, unless a test gives another.
BORN = "0123456789abcdef"
ALL_VERSIONS = ("v1", "v1.1", "v2")


def partition(
    name: str,
    *hosts: str,
    state: PartitionState = PartitionState.ENABLED,
    weight: int = 100,
    versions: tuple[str, ...] = ALL_VERSIONS,
    version: int = 1,
) -> Partition:
    urls = hosts or (f"http://{name}.example:8888",)
    return Partition(name, urls, weight=weight, state=state, api_versions=versions, version=version)


def placement(
    queue: str,
    where: str = "p1",
    state: PlacementState = PlacementState.OPEN,
    *,
    epoch: int = 1,
    since: float = 0.0,
    group: str | None = None,
    incarnation: str = BORN,
) -> Placement:
    segments = (Segment(0, where, queue),)
    return Placement(PROJECT, queue, epoch, state, segments, since=since, group=group, incarnation=incarnation)


def key(queue: str) -> QueueKey:
    return QueueKey(PROJECT, queue)


class Staged:
    """The catalog, with a count of ``calls`` by verb, as ``"placements.get"``; ``before`` runs at the next call of it.

    With ``hold_feed`` the feed shows only what the test puts into ``feed``: an exception cuts it.
    """

    def __init__(self, catalog: SQLiteCatalog) -> None:
        self.real = catalog
        self.calls: Counter[str] = Counter()
        self.feed: asyncio.Queue[Change | Synced | Exception] | None = None
        self._before: dict[str, deque[Callable[[], Awaitable[object]]]] = {}
        self.position = 0

    def hold_feed(self) -> None:
        self.feed = asyncio.Queue()

    def before(self, verb: str, *actions: Callable[[], Awaitable[object]]) -> None:
        """Run an action before each of the next calls of ``verb``; what it raises, the call raises."""
        self._before.setdefault(verb, deque()).extend(actions)

    def fail(self, verb: str, times: int = 1) -> None:
        """Let the store be away for the next calls of ``verb``."""

        async def away() -> None:
            raise CatalogUnavailable("the store is away")

        self.before(verb, *[away] * times)

    def show(self, event: Change | Synced | Exception) -> None:
        """Have the held feed show an event."""
        assert self.feed is not None
        self.feed.put_nowait(event)

    async def watch(self, subjects: Collection[ChangeSubject] = ALL_SUBJECTS) -> AsyncGenerator[Change | Synced, None]:
        self.calls["watch"] += 1
        for action in self._next("watch"):
            await action()
        if self.feed is None:
            async with aclosing(self.real.watch(subjects)) as items:
                async for item in items:
                    yield item
            return
        yield Synced(self.position, fresh=True)
        while True:
            event = await self.feed.get()
            if isinstance(event, Exception):
                raise event
            if isinstance(event, Synced) or event.subject in subjects:
                yield event

    def _next(self, verb: str) -> list[Callable[[], Awaitable[object]]]:
        actions = self._before.get(verb)
        return [actions.popleft()] if actions else []

    def __getattr__(self, name: str) -> Any:
        return getattr(Passing(self.real, self._through), name)

    async def _through(self, verb: str, call: Callable[[], Awaitable[Any]]) -> Any:
        self.calls[verb] += 1
        for action in self._next(verb):
            await action()
        return await call()
