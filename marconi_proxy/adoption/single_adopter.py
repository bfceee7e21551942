"""Adopt queues that are on one partition."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from catalog.errors import PlacementConflict as Changed
from catalog.interface import Catalog
from catalog.model import TOPIC_PREFIX, Placement, PlacementState, QueueKey, Segment
from marconi_proxy.adoption.entries import Single
from marconi_proxy.adoption.outcome import AdoptionOutcome, DiffersFromPlan
from marconi_proxy.adoption.placements import PlanPlacements
from marconi_proxy.adoption.presence import Entry, Presence
from marconi_proxy.clock import Clock

_ROUNDS = 10


class Placed(NamedTuple):
    """The stored placement after an attempt to insert one, and whether it is the inserted one."""

    stored: Placement
    new: bool


class SingleAdopter:
    """Adopt single queues of one plan, and reserve the placements of their dead-letter queues."""

    def __init__(self, catalog: Catalog, placements: PlanPlacements, presence: Presence, clock: Clock) -> None:
        self._catalog = catalog
        self._placements = placements
        self._presence = presence
        self._clock = clock

    async def place_together(self, batch: list[Entry]) -> dict[QueueKey, Placed]:
        """Place the existing queues of a batch in one step; return their placements.

        The caller places the others, and a batch of one, individually.
        """
        if len(batch) == 1:
            return {}
        wanted = [entry for _, entry in batch if isinstance(entry, Single)]
        there = await self._presence.existing([single.key for single in wanted], wanted[0].partition)
        clear = [
            single
            for single in wanted
            if single.key in there and await self._placements.about_to_go(single.key) is None
        ]
        placements = [self._placements.new_single(single) for single in clear]
        stored = await self._catalog.placements.insert_many(placements)
        return {new.key: Placed(found, found == new) for new, found in zip(placements, stored, strict=True)}

    async def adopt(self, wanted: Single, placed: Placed | None = None) -> AdoptionOutcome:
        """Adopt a queue on one partition. ``placed``: the result of ``place_together``, if it has one.

        Raises DiffersFromPlan.
        """
        placed = placed or await self._alone(wanted)
        if placed is None:
            return AdoptionOutcome.GONE
        if placed.new:
            return AdoptionOutcome.ADOPTED
        stored = placed.stored
        if self._placements.made(stored):
            # Placed by an earlier run, and perhaps moved since.
            return AdoptionOutcome.THERE
        for _ in range(_ROUNDS):
            settled = self._settled(stored, wanted)
            if settled is None:
                return AdoptionOutcome.THERE
            try:
                await self._catalog.placements.replace(settled)
            except Changed as conflict:
                if conflict.current is None:
                    raise DiffersFromPlan("it was deleted concurrently") from conflict
                stored = conflict.current
            else:
                return AdoptionOutcome.ADOPTED if stored.state is PlacementState.RESERVED else AdoptionOutcome.THERE
        raise DiffersFromPlan("too many concurrent calls change it")

    async def _alone(self, wanted: Single) -> Placed | None:
        """Place one queue; return None if it is missing, and this plan has not placed it before.

        Raises DiffersFromPlan.
        """
        known = await self._catalog.placements.get(wanted.key)
        if known is not None and self._placements.made(known):
            return Placed(known, new=False)
        if not await self._presence.exists(wanted.key, wanted.partition):
            return None
        if wanted.dead_letters is not None:
            # Before its source, as the front door does: a crash leaves a reservation, which no client sees.
            await self.bind(wanted.key, wanted.dead_letters, wanted.partition)
        await self._placements.check_cleared(wanted.key)
        return Placed(*await self._catalog.placements.insert(self._placements.new_single(wanted)))

    def _settled(self, stored: Placement, wanted: Single) -> Placement | None:
        """Return the change to a stored placement that makes it equal to the plan, None if it is.

        Raises DiffersFromPlan.
        """
        last = stored.segments[-1]
        if stored.partition != wanted.partition or last.backend_name != wanted.queue.removeprefix(TOPIC_PREFIX):
            named = "" if stored.partition != wanted.partition else f" as {last.backend_name}"
            raise DiffersFromPlan(f"it is placed on {stored.partition}{named}, and found on {wanted.partition} as well")
        if stored.state is PlacementState.DELETING:
            raise DiffersFromPlan("it is being deleted")
        state = PlacementState.OPEN if stored.state is PlacementState.RESERVED else stored.state
        group = wanted.group if stored.group is None else stored.group
        if stored.state is PlacementState.SEALING and group != stored.group:
            raise DiffersFromPlan("it is being moved; apply the plan again when the move has ended")
        if (state, group) == (stored.state, stored.group):
            return None
        return replace(stored, epoch=stored.epoch + 1, state=state, since=self._clock.now(), group=group)

    async def bind(self, source: QueueKey, dead_letters: str, partition: str) -> None:
        """Reserve the placement of the dead-letter queue of ``source``.

        Raises DiffersFromPlan if it is on another partition.
        """
        key = QueueKey(source.project, dead_letters)
        reserved = self._placements.new(
            key, (Segment(0, partition, dead_letters),), group=source.queue, state=PlacementState.RESERVED
        )
        stored = await self._catalog.placements.get(key)
        if stored is None:
            await self._placements.check_cleared(key)
            stored, _ = await self._catalog.placements.insert(reserved)
        for _ in range(_ROUNDS):
            if stored.partition != partition:
                raise DiffersFromPlan(f"its dead-letter queue {dead_letters} is on {stored.partition} now")
            if stored.group is not None:
                return
            if stored.state is not PlacementState.OPEN or stored.segments[-1].backend_name != dead_letters:
                raise DiffersFromPlan(f"its dead-letter queue {dead_letters} is {stored.state} now")
            try:
                await self._catalog.placements.replace(replace(stored, epoch=stored.epoch + 1, group=source.queue))
            except Changed as conflict:
                if conflict.current is None:
                    raise DiffersFromPlan(
                        f"its dead-letter queue {dead_letters} was deleted concurrently"
                    ) from conflict
                stored = conflict.current
            else:
                return
        raise DiffersFromPlan(f"too many concurrent calls change its dead-letter queue {dead_letters}")
