"""A plan in a catalog, and a mover that is none: it advances the records of moves at the test's command."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from catalog import Catalog
from catalog.errors import MoveConflict
from catalog.model import (
    FINISHED_STATES,
    Ending,
    LogEntry,
    Move,
    MoveOutcome,
    MoveState,
    Partition,
    Placement,
    PlacementState,
    PlanState,
    Progress,
    Segment,
    WholePlan,
)
from marconi_proxy.moving.plans.budgets import Budgets
from marconi_proxy.moving.plans.executor import PlanExecutor
from marconi_proxy.moving.plans.planner import plan
from marconi_proxy.moving.plans.selection import PlanKind, Selection
from marconi_proxy.moving.plans.survey import layout_for

VERSIONS = ("v1", "v1.1", "v2")
LONGEST = 4


class Clock:
    """Seconds since 1970, set by the test."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


async def furnish(catalog: Catalog, queues: Iterable[str], names: Iterable[str] = ("p1", "p2")) -> None:
    """Have partitions that speak all versions, and queues of project ``a`` on p1."""
    there = {partition.name: partition for partition in await catalog.partitions.all()}
    for name in names:
        wanted = Partition(name, (f"http://{name}.example:8888",), api_versions=VERSIONS)
        if name in there:
            await catalog.partitions.replace(replace(wanted, version=there[name].version + 1))
        else:
            await catalog.partitions.insert(wanted)
    for queue in queues:
        await place(catalog, queue)


async def place(
    catalog: Catalog,
    queue: str,
    state: PlacementState = PlacementState.OPEN,
    *,
    group: str | None = None,
    incarnation: str = "0123456789abcdef",
) -> Placement:
    segments = (Segment(0, "p1", queue),)
    placement = Placement("a", queue, 1, state, segments, group=group, incarnation=incarnation)
    await catalog.placements.insert(placement)
    return placement


async def running(
    catalog: Catalog,
    budgets: Budgets | None = None,
    selection: Selection | None = None,
    state: PlanState = PlanState.RUNNING,
) -> WholePlan:
    """Make, store and apply a plan that moves the ``selection``: tenant ``a`` to p2 by default."""
    selection = selection or Selection(PlanKind.TENANT, "a", ("p2",))
    layout = await layout_for(catalog, selection, LONGEST)
    made = plan(selection, layout, budgets or Budgets(), plan_id="plan", created=0.0)
    made = WholePlan(replace(made.plan, state=state), made.moves)
    await catalog.plans.insert(made)
    return made


def executor(catalog: Catalog, clock: Clock, believed: float = 0.0, yields: float = 0.0) -> PlanExecutor:
    return PlanExecutor(catalog, clock=clock, monotonic=clock, longest=LONGEST, believed=believed, yields=yields)


async def progress(catalog: Catalog) -> Progress:
    stored = await catalog.plans.get("plan")
    assert stored is not None
    return stored.progress


async def endings(catalog: Catalog) -> dict[int, Ending]:
    """How moves of the plan ended, as is written down at them or will be."""
    moves = await catalog.planned_moves.find("plan", limit=100_000)
    late = (await progress(catalog)).endings
    return {e.number: e for e in (*late, *(move.ending for move in moves if move.ending is not None))}


async def outcomes(catalog: Catalog) -> dict[int, MoveOutcome]:
    return {number: ending.outcome for number, ending in sorted((await endings(catalog)).items())}


async def state(catalog: Catalog) -> PlanState:
    stored = await catalog.plans.get("plan")
    assert stored is not None
    return stored.state


async def records(catalog: Catalog) -> list[Move]:
    return await catalog.moves.find(plan="plan", limit=1000)


async def enter(catalog: Catalog, move: Move, state: MoveState, reason: str = "it is so", **members: object) -> None:
    """Bring a move into a state, and its placement with it once it is switched or done."""
    entered = move.entered(LogEntry(0.0, state, reason))
    await catalog.moves.replace(replace(entered, **members), None)  # type: ignore[arg-type]
    if state in (MoveState.DRAINING, MoveState.DONE):
        placement = await catalog.placements.get(move.key)
        assert placement is not None
        segments = placement.segments
        if segments[-1].partition != move.destination:
            segments = (*segments, Segment(segments[-1].n + 1, move.destination, move.queue))
        if state is MoveState.DONE:
            segments = segments[-1:]
        ours = move.id if len(segments) > 1 else None
        await catalog.placements.replace(replace(placement, epoch=placement.epoch + 1, segments=segments, move=ours))


async def finish(catalog: Catalog, pause_ms: float = 20.0) -> int:
    """Be a mover that does everything at once; return how many moves it brought to their end."""
    ended = 0
    for move in await records(catalog):
        if move.state not in FINISHED_STATES:
            try:
                await enter(catalog, move, MoveState.DONE, pause_ms=pause_ms)
            except MoveConflict:
                continue
            ended += 1
    return ended
