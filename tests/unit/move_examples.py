"""Queues, partitions and their documents in the catalog, for the tests of orders and plans."""

from __future__ import annotations

from collections.abc import Iterable

from catalog.model import Move, MoveState, Partition, PartitionState, Placement, PlacementState, QueueKey, Segment
from marconi_proxy.moving.orders.order import CatalogView
from tests.unit.catalog_stage import BORN, partition

LONGEST = 4


def queue(
    name: str,
    *where: str,
    project: str = "a",
    state: PlacementState = PlacementState.OPEN,
    group: str | None = None,
    move: str | None = None,
    incarnation: str = BORN,
) -> Placement:
    """A queue on partitions ``where`` (p1 if none is named), all but the last sealed."""
    names = where or ("p1",)
    segments = tuple(Segment(n, p, name, sealed=n < len(names) - 1) for n, p in enumerate(names))
    return Placement(project, name, 1, state, segments, group=group, incarnation=incarnation, move=move)


def partitions(*names: str, **others: Partition) -> dict[str, Partition]:
    return {name: partition(name) for name in names or ("p1", "p2", "p3")} | others


def catalog_view(
    placements: Iterable[Placement] = (),
    parts: dict[str, Partition] | None = None,
    moves: Iterable[Move] = (),
    longest: int = LONGEST,
) -> CatalogView:
    return CatalogView({p.key: p for p in placements}, parts or partitions(), {m.key: m for m in moves}, longest)


def key(name: str, project: str = "a") -> QueueKey:
    return QueueKey(project, name)


def move(name: str, state: MoveState, project: str = "a") -> Move:
    return Move(f"m-{name}", project, name, "p1", "p2", state, incarnation=BORN)


def cordoned(name: str) -> Partition:
    return partition(name, state=PartitionState.CORDONED)
