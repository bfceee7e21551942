"""Values for the tests of catalogs, and a reader of feeds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Self

from catalog import Catalog
from catalog.interface import ALL_SUBJECTS
from catalog.model import (
    Change,
    ChangeSubject,
    Move,
    MovePlan,
    MoveState,
    Partition,
    Placement,
    PlacementState,
    PlannedMove,
    PlanState,
    QueueKey,
    Segment,
    Synced,
    WholePlan,
)

# How long, in seconds, to wait for what must come. Only failures wait so long.
PATIENCE = 90.0

# The incarnation of every placement here, unless a test gives another.
BORN = "0123456789abcdef"


def partition(name: str, *, version: int = 1, weight: int = 100) -> Partition:
    return Partition(name=name, hosts=(f"http://{name.lower()}.example:8888",), weight=weight, version=version)


def placement(
    queue: str,
    *partitions: str,
    project: str = "project",
    epoch: int = 1,
    state: PlacementState = PlacementState.OPEN,
    since: float = 0.0,
    incarnation: str = BORN,
) -> Placement:
    """A placement on ``partitions`` (p1 if none is given), all but the last sealed."""
    names = partitions or ("p1",)
    segments = tuple(Segment(n, name, queue, sealed=n < len(names) - 1) for n, name in enumerate(names))
    return Placement(project, queue, epoch, state, segments, base=0, since=since, incarnation=incarnation)


def move(
    id_: str,
    queue: str = "orders",
    source: str = "p1",
    target: str = "p2",
    *,
    project: str = "project",
    state: MoveState = MoveState.PLANNED,
    version: int = 1,
    plan: str | None = None,
    created: float = 0.0,
) -> Move:
    return Move(id_, project, queue, source, target, state, version, created=created, plan=plan)


def plan(id_: str, *queues: str, version: int = 1, state: PlanState = PlanState.PLANNED) -> MovePlan:
    return whole_plan(id_, *queues, version=version, state=state).plan


def whole_plan(id_: str, *queues: str, version: int = 1, state: PlanState = PlanState.PLANNED) -> WholePlan:
    moves = tuple(
        PlannedMove("project", queue, "p1", "p2", id_, number, BORN)
        for number, queue in enumerate(queues or ("orders",))
    )
    made = MovePlan(id_, f"the plan {id_}", version=version, state=state, budgets={"at_once": 2})
    return WholePlan(made, moves)


async def store(catalog: Catalog, *placements: Placement) -> None:
    """Insert them all, a few at a time."""
    turns = asyncio.Semaphore(8)

    async def insert(one: Placement) -> None:
        async with turns:
            assert await catalog.placements.insert(one) == (one, True)

    async with asyncio.TaskGroup() as group:
        for one in placements:
            group.create_task(insert(one))


async def pages(catalog: Catalog, project: str, limit: int) -> list[str]:
    """All queues of a project, listed page by page."""
    names: list[str] = []
    while page := await catalog.placements.list_queues(project, names[-1] if names else "", "~", limit):
        assert len(page) <= limit
        names += [p.queue for p in page]
    return names


async def dangling(catalog: Catalog) -> list[QueueKey]:
    """The placements that name a partition that is not registered."""
    registered = {p.name for p in await catalog.partitions.all()}
    placements = await catalog.placements.find(limit=100_000)
    return [p.key for p in placements if not {s.partition for s in p.segments} <= registered]


class Feed:
    """Reads a catalog's feed in the background, from its first Synced (when ``async with`` returns) on."""

    def __init__(self, catalog: Catalog, subjects: Collection[ChangeSubject] = ALL_SUBJECTS) -> None:
        self.items: list[Change | Synced] = []
        self.ended: BaseException | None = None
        self._catalog = catalog
        self._subjects = subjects
        self._news = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._read())
        await self.until(lambda: bool(self.items))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    @property
    def changes(self) -> list[Change]:
        return [item for item in self.items if isinstance(item, Change)]

    @property
    def silences(self) -> list[Synced]:
        return [item for item in self.items if isinstance(item, Synced) and not item.fresh]

    def epochs(self, queue: str) -> list[int | None]:
        """The epochs shown of one queue, in order."""
        return [change.epoch for change in self.changes if change.name[1:] == (queue,)]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when the condition holds; fail if it does not become true, or the feed ends before."""
        async with self._news, asyncio.timeout(PATIENCE):
            await self._news.wait_for(lambda: condition() or self.ended is not None)
        assert condition(), f"the feed ended with {self.ended!r}"

    async def ends(self) -> None:
        """Return when the feed has ended; ``ended`` has the cause."""
        async with self._news, asyncio.timeout(PATIENCE):
            await self._news.wait_for(lambda: self.ended is not None)

    async def _read(self) -> None:
        watching = self._catalog.watch(self._subjects)
        try:
            async for item in watching:
                await self._tell(item)
        except Exception as error:
            self.ended = error
            await self._tell(None)
        finally:
            await watching.aclose()

    async def _tell(self, item: Change | Synced | None) -> None:
        async with self._news:
            if item is not None:
                self.items.append(item)
            self._news.notify_all()
