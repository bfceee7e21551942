"""Operators' decisions on moves, stored into their records by compare-and-set."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import falcon

from catalog import Catalog
from catalog.errors import MoveConflict
from catalog.model import LogEntry, Move, MoveState
from marconi_proxy.moving.orders.decisions import NUMBER, next_number
from marconi_proxy.moving.orders.direction import settled, turned
from marconi_proxy.moving.orders.order import (
    OPERATOR,
    CatalogView,
    MoveRefused,
    MoveRequest,
    check_onward,
    check_reverse,
    is_on_its_way,
    way_to,
)
from marconi_proxy.moving.plans.survey import catalog_view
from marconi_proxy.moving.protocol.machine import TABLE, Event, NotNow, after

# Seconds between two polls of a move during its switch.
_GLANCE = 0.1


async def nap(seconds: float) -> None:
    """Wait between two polls."""
    await asyncio.sleep(seconds)


class MoveDecisions:
    """Store decisions on moves. ``longest`` and ``patience``: see ``MovesResource``."""

    def __init__(self, catalog: Catalog, longest: int, patience: float, clock: Callable[[], float]) -> None:
        self._catalog = catalog
        self._longest = longest
        self._patience = patience
        self._clock = clock

    async def find(self, move_id: str) -> Move:
        """Raises HTTPNotFound."""
        move = await self._catalog.moves.get(move_id)
        if move is None:
            raise _not_found(move_id)
        return move

    async def change(
        self,
        move: Move,
        event: Event,
        request: MoveRequest | None = None,
        *,
        number: int = 0,
        destination: str | None = None,
    ) -> Move:
        """Store a decision. ``number``: its least number. ``request``: the new destination of a redirected move.
        ``destination``: the only valid one of a reversal, None for any. Raises NotNow, MoveRefused, HTTPNotFound."""
        while True:
            state = after(move.state, event)
            entered = settled(move.entered(self._entry(state, event, max(number, next_number([move])))))
            if event in (Event.REVERSE, Event.ONWARD):
                view = await catalog_view(self._catalog, move.key, self._longest)
                placement = view.placements.get(move.key)
                if request is not None:
                    entered = self.sent_on(move, request, view)
                else:
                    back = check_reverse(move, placement, view)
                    if destination not in (None, back):
                        raise MoveRefused(f"it would go to partition {back}")
                    assert placement is not None
                    entered = turned(entered, placement, back)
            if event is Event.RESUME:
                entered = replace(entered, due=0.0)
            if event is not Event.PAUSE:
                # Observations from before the decision are obsolete, and so is the time to give up.
                entered = replace(
                    entered,
                    progress=replace(entered.progress, failures=0),
                    measured=replace(entered.measured, waits=None),
                )
            try:
                await self._catalog.moves.replace(entered, None)
            except MoveConflict as conflict:
                # Each retry means that a concurrent change succeeded. The state machine bounds their number.
                if conflict.current is None:
                    raise _not_found(move.id) from conflict
                move = conflict.current
            else:
                return entered

    async def change_unsealed(self, move: Move, event: Event, number: int, destination: str | None = None) -> Move:
        """Store a decision as ``change`` does, once no seal of the move holds writes."""
        left = self._patience
        while True:
            try:
                return await self.change(move, event, number=number, destination=destination)
            except NotNow as refused:
                if not TABLE[refused.state].holds_writes or event is Event.RESUME or left <= 0.0:
                    raise
            await nap(_GLANCE)
            left -= _GLANCE
            move = await self.find(move.id)

    def sent_on(self, move: Move, request: MoveRequest, view: CatalogView) -> Move:
        """Return the redirected move. Raises NotNow, MoveRefused."""
        if is_on_its_way(move, request.target):
            return move
        placement = view.placements.get(move.key)
        check_onward(move, placement, request.target, view)
        assert placement is not None
        event = way_to(request.target, move, placement)
        entry = self._entry(after(move.state, event), f"{event} to {request.target}", next_number([move]))
        pause = move.max_pause_ms if request.max_pause_ms is None else request.max_pause_ms
        return replace(turned(move.entered(entry), placement, request.target), max_pause_ms=pause)

    def _entry(self, state: MoveState, what: str, number: int) -> LogEntry:
        return LogEntry(self._clock(), state, f"{OPERATOR}{what}", ((NUMBER, number),))


def _not_found(move_id: str) -> falcon.HTTPNotFound:
    return falcon.HTTPNotFound(title="Not found", description=f"There is no move {move_id}.")
