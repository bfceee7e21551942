"""Writes that wait while their queue is switched to another segment.

They continue in the order of their arrival. Their number and longest wait are counted by move, for its certificate.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from catalog.model import HeldWrites
from marconi_proxy.front_door.refusals import NOT_PROCESSED, ClientGone, RequestRefused, unavailable

# Seconds for which the counts of a move are kept after its last held call, and the most moves with counts.
_KEPT_FOR = 120.0
_KEPT_OF = 250

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class _Figures:
    def __init__(self) -> None:
        self.at = 0.0
        self.held = 0
        self.refused = 0
        self.longest = 0.0
        self.stored: HeldWrites | None = None

    def counts(self, member: str) -> HeldWrites:
        return HeldWrites(member, self.held, self.refused, round(self.longest * 1000))


class WriteHolds:
    """The held calls of one worker. ``longest``: seconds that a call waits in total; ``most``: calls that wait at the
    same time; ``clock``: that of the event loop."""

    def __init__(self, longest: float, most: int, clock: Callable[[], float]) -> None:
        self._longest = longest
        self._most = most
        self._clock = clock
        self._figures: OrderedDict[str, _Figures] = OrderedDict()
        self.waiting = 0

    def __repr__(self) -> str:
        return f"<WriteHolds {self.waiting} calls>"

    async def wait(self, move: str | None, since: float, change: asyncio.Future[None], receive: Receive) -> None:
        """Return when ``change`` is done. ``since``: when the call began to wait; ``receive``: of its client.

        Raises RequestRefused if the wait would be too long or too many calls wait, ClientGone if the client has left.
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

    def _refuse(self, move: str | None, since: float) -> RequestRefused:
        self._note(move, since).refused += 1
        return unavailable(f"This queue is being moved. {NOT_PROCESSED}")

    def _note(self, move: str | None, since: float) -> _Figures:
        figures = self._figures.setdefault(move or "", _Figures())
        self._figures.move_to_end(move or "")
        figures.at = self._clock()
        figures.longest = max(figures.longest, figures.at - since)
        return figures

    def report(self, member: str) -> dict[str, HeldWrites]:
        """Return the counts of ``member`` that have changed since the last report, by the moves' ids."""
        figures = self._figures
        horizon = self._clock() - _KEPT_FOR
        while figures and (len(figures) > _KEPT_OF or next(iter(figures.values())).at < horizon):
            figures.popitem(last=False)
        counts = {move: one.counts(member) for move, one in figures.items() if move}
        return {move: count for move, count in counts.items() if count != figures[move].stored}

    def reported(self, found: Mapping[str, HeldWrites]) -> None:
        """Take in that the catalog has stored ``found``, a result of ``report``."""
        for move, count in found.items():
            if move in self._figures:
                self._figures[move].stored = count


async def _gone(receive: Receive) -> None:
    """Return when the client has left. Its other messages belong to its next requests."""
    while (await receive())["type"] != "http.disconnect":
        pass
