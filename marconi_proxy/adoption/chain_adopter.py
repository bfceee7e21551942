"""Adopt queues that are on several partitions, as chains.

A chain has the form of a moved queue: sealed segments, an open one, and the record of a move, by which movers retire
empty segments. Clients may still write to the older segments directly, so the move is *suspended*; ``retire`` resumes
it. The placement is written before the record. A crash in between leaves a chain without a move, until the plan is
applied again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from catalog.errors import MoveConflict, MoveUnderWay
from catalog.errors import PlacementConflict as Changed
from catalog.interface import Catalog
from catalog.model import TOPIC_PREFIX, LogEntry, MoveState, Placement, PlacementState, Segment
from marconi_proxy.adoption.entries import QueueConflict, Single
from marconi_proxy.adoption.outcome import AdoptionOutcome, AdoptionSummary, DiffersFromPlan
from marconi_proxy.adoption.placements import PlanPlacements
from marconi_proxy.adoption.presence import Presence
from marconi_proxy.adoption.single_adopter import SingleAdopter
from marconi_proxy.clock import Clock
from marconi_proxy.moving.orders.order import OPERATOR
from marconi_proxy.moving.protocol.evidence import suspended
from marconi_proxy.moving.protocol.machine import Event, after


class ChainAdopter:
    """Adopt chains of one plan. ``singles``: for a queue that only one partition has left."""

    def __init__(
        self,
        catalog: Catalog,
        placements: PlanPlacements,
        presence: Presence,
        singles: SingleAdopter,
        summary: AdoptionSummary,
        clock: Clock,
        *,
        retire: bool,
        token: Callable[[], str],
    ) -> None:
        self._catalog = catalog
        self._placements = placements
        self._presence = presence
        self._singles = singles
        self._summary = summary
        self._clock = clock
        self._retire = retire
        self._token = token

    async def adopt(self, name: str, wanted: QueueConflict) -> AdoptionOutcome:
        """Adopt a queue on several partitions as a chain. ``name``: unique prefix of its move's id.

        Raises DiffersFromPlan.
        """
        stored = await self._catalog.placements.get(wanted.key)
        if stored is not None and stored.move is not None and stored.move.startswith(name):
            # Placed by an earlier run, perhaps without its move.
            await self._record(stored.move, stored)
            return AdoptionOutcome.THERE
        if stored is not None and self._placements.made(stored):
            # Placed by an earlier run; its move has ended since.
            return AdoptionOutcome.THERE
        move_id = f"{name}{self._token()}"
        there = [
            c
            for c in wanted.found
            if c.partition == wanted.placed or await self._presence.exists(wanted.key, c.partition)
        ]
        if not there:
            return AdoptionOutcome.GONE
        last = there[-1]
        if last.partition != wanted.partitions[-1]:
            # The placement of its dead-letter group depends on that partition.
            raise DiffersFromPlan(f"it is missing on {wanted.partitions[-1]}, the destination of its writes")
        if len(there) == 1:
            if wanted.placed is not None:
                return AdoptionOutcome.GONE
            return await self._singles.adopt(
                Single(wanted.project, wanted.queue, last.partition, last.group, last.dead_letters)
            )
        if last.dead_letters is not None:
            await self._singles.bind(wanted.key, last.dead_letters, last.partition)
        await self._placements.check_cleared(wanted.key)
        names = [candidate.partition for candidate in there]
        if wanted.placed is None:
            placement = self._placements.new(wanted.key, _segments(wanted.queue, names), group=last.group, move=move_id)
            stored, inserted = await self._catalog.placements.insert(placement)
            if not inserted and stored.move is not None and stored.move.startswith(name):
                # Placed by a concurrent run of the same plan.
                await self._record(stored.move, stored)
                return AdoptionOutcome.THERE
            if not inserted:
                raise DiffersFromPlan(
                    f"it is placed on {stored.partition} alone now; make a new plan to chain the others"
                )
            placement = stored
        else:
            placement = await self._preceded(stored, wanted.placed, names, move_id)
        await self._record(move_id, placement)
        return AdoptionOutcome.ADOPTED

    async def _preceded(self, stored: Placement | None, placed: str, names: list[str], move_id: str) -> Placement:
        """Insert segments on other partitions before the only one of a placement. Raises DiffersFromPlan."""
        if stored is None:
            raise DiffersFromPlan("it was deleted since the plan was made; make a new one")
        only = stored.segments[0]
        fits = (
            stored.state is PlacementState.OPEN
            and len(stored.segments) == 1
            and only.partition == placed
            and only.n == stored.base
            and stored.move is None
        )
        if not fits:
            raise DiffersFromPlan("it was moved, or is changing, since the plan was made; make a new one")
        # No client has seen the segment's number: ids of the base are untagged, and the segment remains the base.
        segments = tuple(
            replace(only, n=only.n + number)
            if name == placed
            else Segment(only.n + number, name, stored.queue.removeprefix(TOPIC_PREFIX), sealed=True)
            for number, name in enumerate(names)
        )
        chained = replace(
            stored,
            epoch=stored.epoch + 1,
            since=self._clock.now(),
            segments=segments,
            base=segments[-1].n,
            move=move_id,
        )
        try:
            await self._catalog.placements.replace(chained)
        except Changed as conflict:
            raise DiffersFromPlan("it was changed concurrently; apply the plan again") from conflict
        return chained

    async def _record(self, move_id: str, placement: Placement) -> None:
        """Insert the move of a chain if it is missing, and resume it if ``retire``. Raises DiffersFromPlan."""
        if placement.move != move_id:
            return
        now = self._clock.now()
        move = await self._catalog.moves.get(move_id)
        if move is None:
            older = ", ".join(segment.partition for segment in placement.segments[:-1])
            until = f"until no client writes to {older} directly"
            waits = f"{until}: then apply the plan of its adoption again, with --retire"
            move = suspended(move_id, placement, now, "adopted: it was on several partitions", waits)
            try:
                await self._catalog.moves.insert(move)
            except MoveConflict as conflict:
                # Inserted by a concurrent run of the same plan.
                move = conflict.current or move
            except MoveUnderWay as error:
                raise DiffersFromPlan(f"its older segments cannot be retired: {error}") from error
        self._summary.chains += 1
        while self._retire and move.state is MoveState.SUSPENDED:
            state = after(move.state, Event.RESUME)
            entry = LogEntry(now, state, f"{OPERATOR}no client writes to its older segments directly any more")
            try:
                await self._catalog.moves.replace(
                    replace(move.entered(entry), due=0.0, facts={**move.facts, "waits": "", "failures": 0}), None
                )
            except MoveConflict as conflict:
                if conflict.current is None:
                    return
                move = conflict.current
            else:
                self._summary.retiring += 1
                return


def _segments(queue: str, names: list[str]) -> tuple[Segment, ...]:
    backend_name = queue.removeprefix(TOPIC_PREFIX)
    return tuple(Segment(n, name, backend_name, sealed=n < len(names) - 1) for n, name in enumerate(names))
