"""The placements that one plan makes, and the reasons to make none."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from catalog.interface import Catalog
from catalog.model import TOPIC_PREFIX, Move, Placement, PlacementState, QueueKey, Segment
from marconi_proxy.adoption.entries import Single
from marconi_proxy.adoption.outcome import DiffersFromPlan
from marconi_proxy.clock import Clock


class PlanPlacements:
    """``token``: returns eight random characters for each new placement, so that each incarnation is unique."""

    def __init__(self, catalog: Catalog, plan_id: str, clock: Clock, token: Callable[[], str]) -> None:
        self._catalog = catalog
        self._plan_id = plan_id
        self._clock = clock
        self._token = token

    def made(self, placement: Placement) -> bool:
        """Return whether this plan made the placement, in this run or an earlier one."""
        return placement.incarnation.startswith(self._origin(placement.key))

    def new(
        self,
        key: QueueKey,
        segments: tuple[Segment, ...],
        *,
        group: str | None,
        state: PlacementState = PlacementState.OPEN,
        move: str | None = None,
    ) -> Placement:
        incarnation = self._origin(key) + self._token()
        now = self._clock.now()
        return Placement(
            key.project, key.queue, 1, state, segments, since=now, group=group, incarnation=incarnation, move=move
        )

    def new_single(self, wanted: Single) -> Placement:
        segment = Segment(0, wanted.partition, wanted.queue.removeprefix(TOPIC_PREFIX))
        return self.new(wanted.key, (segment,), group=wanted.group)

    async def check_cleared(self, key: QueueKey) -> None:
        """Raise DiffersFromPlan if ``about_to_go``."""
        move = await self.about_to_go(key)
        if move is not None:
            raise DiffersFromPlan(f"move {move.id} will delete it, because the queue was deleted")

    async def about_to_go(self, key: QueueKey) -> Move | None:
        """Return the move that still deletes queues of this name after the placement was removed, None without one."""
        left = await self._catalog.moves.under_way(key)
        return left if left is not None and await self._catalog.placements.get(key) is None else None

    def _origin(self, key: QueueKey) -> str:
        """Return the prefix of ``incarnation`` by which a later run recognizes the placements of this plan."""
        return sha256("\0".join((self._plan_id, *key)).encode()).hexdigest()[:16]
