"""The reads of the catalog that orders and plans are based on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable
from math import ceil
from statistics import median
from typing import Any

from catalog import Catalog
from catalog.errors import CatalogUnavailable
from catalog.model import (
    UNFINISHED_STATES,
    Move,
    MovePlan,
    MoveState,
    Placement,
    PlannedMove,
    QueueKey,
    Tenant,
    WholePlan,
)
from marconi_proxy.moving.orders.order import CatalogView
from marconi_proxy.moving.plans.names import since
from marconi_proxy.moving.plans.planner import Layout, PlanKind, Selection, sources

PAGE = 1000
# The most seconds back, and the most finished moves, from which pauses are summed up.
_WEEK = 7 * 86400.0
_MEASURED = 1000


async def all_placements(
    catalog: Catalog, *, project: str | None = None, partition: str | None = None
) -> AsyncIterator[Placement]:
    """Yield every placement of a project or partition, page by page."""
    after = None
    partitions = None if partition is None else [partition]
    while page := await catalog.placements.find(project=project, partitions=partitions, after=after, limit=PAGE):
        for placement in page:
            yield placement
        after = page[-1].key


async def all_moves(
    catalog: Catalog,
    *,
    project: str | None = None,
    queue: str | None = None,
    plan: str | None = None,
    states: Collection[MoveState] | None = None,
) -> AsyncIterator[Move]:
    """Yield every move of a project, queue or plan in one of the states, page by page."""
    after = None
    while page := await catalog.moves.find(
        project=project, queue=queue, plan=plan, states=states, after=after, limit=PAGE
    ):
        for move in page:
            yield move
        after = page[-1].id


async def all_tenants(catalog: Catalog, *, pinned: str | None = None) -> AsyncIterator[Tenant]:
    """Yield every stored tenant, or those pinned to a partition, page by page."""
    after = None
    while page := await catalog.tenants.find(pinned=pinned, after=after, limit=PAGE):
        for tenant in page:
            yield tenant
        after = page[-1].project


async def whole_plan(catalog: Catalog, plan: MovePlan) -> WholePlan:
    """Return a plan with all its moves, verified by its hash. Raises CatalogUnavailable if they are damaged."""
    moves: list[PlannedMove] = []
    while page := await catalog.planned_moves.find(plan.id, after=len(moves) - 1, limit=PAGE):
        moves += page
    try:
        return await asyncio.to_thread(WholePlan, plan, tuple(moves))
    except ValueError as error:
        raise CatalogUnavailable(f"plan {plan.id} is damaged: {error}") from error


async def catalog_view(catalog: Catalog, key: QueueKey, longest: int) -> CatalogView:
    """Return the view for an order to move one queue: all of its project. Raises CatalogError."""
    placements = {p.key: p async for p in all_placements(catalog, project=key.project)}
    return CatalogView(
        placements,
        {partition.name: partition for partition in await catalog.partitions.all()},
        {move.key: move async for move in all_moves(catalog, project=key.project, states=UNFINISHED_STATES)},
        longest,
    )


async def layout_for(catalog: Catalog, selection: Selection, longest: int) -> Layout:
    """Return the layout for a new plan. Raises CatalogError, order.MoveRefused."""
    partitions = {partition.name: partition for partition in await catalog.partitions.all()}
    under_way = {move.key: move async for move in all_moves(catalog, states=UNFINISHED_STATES)}
    counts = await _counts(catalog, partitions, under_way.values())
    if selection.kind is PlanKind.TENANT:
        placements = {p.key: p async for p in all_placements(catalog, project=selection.subject)}
    else:
        placements = {}
        for name in sources(selection, partitions, counts):
            placements |= {p.key: p async for p in all_placements(catalog, partition=name)}
    tenants = {tenant.project: tenant async for tenant in all_tenants(catalog)}
    return Layout(CatalogView(placements, partitions, under_way, longest), counts, tenants)


async def layout_of(catalog: Catalog, whole: WholePlan, longest: int) -> Layout:
    """Return the present layout of the queues of a plan, for its preconditions. Raises CatalogError."""
    partitions = {partition.name: partition for partition in await catalog.partitions.all()}
    placements: dict[QueueKey, Placement] = {}
    wanted = {move.key for move in whole.moves}
    for name in sorted({move.source for move in whole.moves}):
        async for placement in all_placements(catalog, partition=name):
            if placement.key in wanted:
                placements[placement.key] = placement
    under_way = {move.key: move async for move in all_moves(catalog, states=UNFINISHED_STATES) if move.key in wanted}
    tenants = {tenant.project: tenant async for tenant in all_tenants(catalog)}
    return Layout(CatalogView(placements, partitions, under_way, longest), {}, tenants)


async def _counts(catalog: Catalog, partitions: Iterable[str], under_way: Iterable[Move]) -> dict[str, int]:
    """Return the number of placements that each partition will have when the moves under way are done.

    The catalog counts a queue with history on every partition that has a segment of it.
    """
    counts = Counter({name: await catalog.placements.count(partitions=[name]) for name in partitions})
    for move in under_way:
        placement = await catalog.placements.get(move.key)
        if placement is not None:
            counts.subtract(placement.partitions)
            counts[move.destination] += 1
    return dict(counts)


async def past_pauses(catalog: Catalog, now: float) -> dict[str, Any] | None:
    """Return statistics of the pauses of moves of the last week, as ``pauses`` does; None if none was finished.

    At most a thousand moves are read, the older ones. ``now``: seconds since 1970.
    """
    moves = await catalog.moves.find(states=[MoveState.DONE], after=since(now, _WEEK), limit=_MEASURED)
    return pauses([move.pause_ms for move in moves if move.pause_ms is not None])


def pauses(measured: Collection[float]) -> dict[str, Any] | None:
    """Return count, median, 99th percentile and maximum of pauses in milliseconds; None without any."""
    if not measured:
        return None
    ordered = sorted(measured)
    return {
        "count": len(ordered),
        "median_ms": round(median(ordered), 1),
        "p99_ms": round(ordered[ceil(len(ordered) * 0.99) - 1], 1),
        "longest_ms": round(ordered[-1], 1),
    }
