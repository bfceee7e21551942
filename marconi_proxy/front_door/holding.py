"""Calls that wait: writes to a queue that is just being switched to another segment.

Whoever comes first is let go first. How long they waited is kept by move, for the worker's registration.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from marconi_proxy.front_door.refusals import ClientGone, Refused, unavailable

# How long (seconds) figures of a move are told after its last call was held, and of how many moves.
_TOLD_FOR = 120.0
_TOLD_OF = 250

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class _Figures:
    def __init__(self) -> None:
        self.at = 0.0
        self.held = 0
        self.refused = 0
        self.longest = 0.0


class Holding:
    """Belongs to one worker. ``longest``: seconds that a call waits, all told; ``most``: calls that wait at a time.

    ``clock``: that of the event loop.
    """

    def __init__(self, longest: float, most: int, clock: Callable[[], float]) -> None:
        self._longest = longest
        self._most = most
        self._clock = clock
        self._figures: OrderedDict[str, _Figures] = OrderedDict()
        self.waiting = 0

    def __repr__(self) -> str:
        return f"<Holding {self.waiting} calls>"

    async def wait(self, move: str | None, since: float, change: asyncio.Future[None], receive: Receive) -> None:
        """Return when ``change`` is done. ``since``: when the call began to wait; ``receive``: of its client.

        Raises Refused if it would be for too long or too many do, ClientGone if nobody waits for an answer any more.
        """
        left = since + self._longest - self._clock()
        if left <= 0 or self.waiting >= self._most:
            raise self._refuse(move, since)
        gone = asyncio.ensure_future(_gone(receive))
        self.waiting += 1
        try:
            done, _ = await asyncio.wait({change, gone}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.waiting -= 1
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)
        if change in done:
            self._note(move, since).held += 1
        elif gone in done:
            raise ClientGone
        else:
            raise self._refuse(move, since)

    def _refuse(self, move: str | None, since: float) -> Refused:
        self._note(move, since).refused += 1
        return unavailable("This queue is just being moved. Nothing was done.")

    def _note(self, move: str | None, since: float) -> _Figures:
        figures = self._figures.setdefault(move or "", _Figures())
        self._figures.move_to_end(move or "")
        figures.at = self._clock()
        figures.longest = max(figures.longest, figures.at - since)
        return figures

    def report(self) -> dict[str, dict[str, int]]:
        """Return, of the last minutes' moves by their ids, how many calls were held and refused, and the longest wait
        in milliseconds."""
        figures = self._figures
        horizon = self._clock() - _TOLD_FOR
        while figures and (len(figures) > _TOLD_OF or next(iter(figures.values())).at < horizon):
            figures.popitem(last=False)
        return {
            move: {"held": one.held, "refused": one.refused, "longest_ms": round(one.longest * 1000)}
            for move, one in figures.items()
            if move
        }


async def _gone(receive: Receive) -> None:
    """Return when the client has gone. What it sends meanwhile is of its next requests, or nothing."""
    while (await receive())["type"] != "http.disconnect":
        pass
