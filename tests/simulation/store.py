"""The catalog of the explorer's world: one placement and the record of its move. An immutable value."""

from __future__ import annotations

from typing import NamedTuple

from catalog.model import MoveState, Placement, PlacementState, QueueKey, Segment
from marconi_proxy.moving.protocol.machine import FIRST, Event, after

KEY = QueueKey("project", "orders")
BORN = "b"


class Record(NamedTuple):
    """The record of a move. ``number``: the how manieth. ``holder``: the mover that has it. ``ready``: the queue that
    the switch would open is there."""

    number: int = 0
    state: MoveState = FIRST
    tail: int | None = None
    holder: int = 0
    ready: bool = False

    @property
    def id(self) -> str:
        return f"m{self.number}"

    def after(self, *events: Event) -> Record:
        state = self.state
        for event in events:
            state = after(state, event)
        return self._replace(state=state)


class Store(NamedTuple):
    """``opened``: the highest segment that was ever opened. ``prepared``: how often a seal was prepared."""

    placement: Placement
    record: Record = Record()
    opened: int = 0
    prepared: int = 0

    @property
    def position(self) -> int:
        """Where the feed ends. Every change is one of this placement, and adds one to its epoch."""
        return self.placement.epoch

    def stale(self, n: int) -> Placement:
        """Return a placement of before, by which writes went to segment ``n``."""
        segments = (*(Segment(m, f"p{m}", "orders", sealed=True) for m in range(n)), Segment(n, f"p{n}", "orders"))
        return Placement(*KEY, 1, PlacementState.OPEN, segments, incarnation="stale")

    def put(self, placement: Placement, compare: bool = True) -> Store | None:
        """Compare-and-set. Return the store after it, None if it was refused."""
        if compare and placement.epoch != self.placement.epoch + 1:
            return None
        opened = max(self.opened, placement.segments[-1].n)
        prepared = self.prepared + (placement.preparation is not None)
        return self._replace(placement=placement, opened=opened, prepared=prepared)


FIRST_STORE = Store(
    Placement(*KEY, 1, PlacementState.OPEN, (Segment(0, "p0", "orders"),), incarnation=BORN),
    Record().after(Event.START, Event.PREPARED)._replace(tail=0, ready=True),
)
