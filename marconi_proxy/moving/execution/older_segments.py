"""A look at the older segments of a queue that was switched, and at the messages that may still enter them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from catalog.model import Move, Placement, PlacementState
from marconi_proxy.moving.execution.driven_move import DrivenMove
from marconi_proxy.moving.execution.progress import left, why
from marconi_proxy.partition_client.outcome import Look


class OlderSegments(NamedTuple):
    """The result of a look at the older segments. ``awaited``: messages that may still enter them, None if none may.
    ``record``: the move with the facts that the look has found."""

    looks: list[Look]
    awaited: str | None
    record: Move

    @property
    def unknown(self) -> bool:
        return any(look.problem is not None for look in self.looks)

    @property
    def empty(self) -> bool:
        return self.awaited is None and all(look.empty for look in self.looks)

    @property
    def left(self) -> int:
        return left(self.looks)

    @property
    def why(self) -> str:
        return self.awaited or why(self.looks)

    @property
    def counted(self) -> Move:
        """The record with the number of messages left as well; an unknown number leaves the last one."""
        measured = self.record.measured
        remaining = (measured.left or 0) if self.unknown else self.left
        return replace(self.record, measured=replace(measured, left=remaining, waits=self.why))


async def look(driven: DrivenMove, placement: Placement) -> OlderSegments:
    """Look at all sealed segments, and read the members' counts of held writes. Raises CatalogError, Unready."""
    looks = [await driven.steps.look(driven.move.key, segment) for segment in placement.segments[:-1]]
    progress, measured = driven.move.progress, driven.move.measured
    if measured.left_at_switch is None and not any(look.problem for look in looks):
        measured = replace(measured, left_at_switch=left(looks))
    if held := await driven.steps.held_writes(driven.move.id):
        measured = replace(measured, holds=tuple(held))
    awaited = None
    if placement.group not in (None, placement.queue) and all(look.empty for look in looks):
        source = await _dead_letters_from(driven, placement)
        progress = replace(progress, dead_letters_from=source)
        awaited = f"dead letters of queue {source} may still come" if source is not None else None
    return OlderSegments(looks, awaited, replace(driven.move, progress=progress, measured=measured))


async def _dead_letters_from(driven: DrivenMove, placement: Placement) -> str | None:
    """Return the name of a queue whose dead letters may still enter a sealed segment, None if there is none.

    A store puts them there while their source has a segment on the same partition (API section 8.4). Raises
    CatalogError, Unready.
    """
    places = sorted({segment.partition for segment in placement.segments[:-1]})
    # The catalog names one source, and there may be others. Polling all queues at each look would cost too much, so
    # check the last known one first.
    last = str(driven.move.progress.dead_letters_from or placement.group)
    if await _still_from(driven, last, placement, places):
        return last
    for place in places:
        other = await driven.steps.source_of(placement.key, place)
        if other is not None:
            return other
    return None


async def _still_from(driven: DrivenMove, queue: str, placement: Placement, places: Sequence[str]) -> bool:
    key = placement.key._replace(queue=queue)
    source = await driven.steps.placement(key)
    if source is None or source.state is PlacementState.RESERVED:
        return False
    names = [await driven.steps.dead_letter_queue(key, s) for s in source.segments if s.partition in places]
    return placement.queue in names
