"""The mover's view of the change feed: where in it a placement was changed, and which moves have changed."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import aclosing

from cachetools import LRUCache

from catalog.errors import CatalogError, CatalogUnavailable
from catalog.interface import Catalog
from catalog.model import Change, ChangeSubject, Placement, Synced

LOG = logging.getLogger(__name__)

# Seconds between attempts to take up a cut feed: full jitter below this.
_RETRY_INTERVAL = 1.0
# How many changes of placements are remembered: a mover asks right after it made one.
_REMEMBERED = 10_000
# Seconds to wait for a change to be shown, and for a new feed to begin.
_PATIENCE = 0.5
_LONG_PATIENCE = 5.0


class Following:
    """Belongs to one mover. ``run`` it. ``on_move`` is told of every change of a move, by its id and new version;
    of None when any of them may have changed."""

    def __init__(self, catalog: Catalog, on_move: Callable[[str | None, int | None], None]) -> None:
        self._catalog = catalog
        self._on_move = on_move
        self._positions: LRUCache[tuple[tuple[str, ...], int | None, str | None], int] = LRUCache(_REMEMBERED)
        self._news = asyncio.Condition()
        self.synced = False

    def __repr__(self) -> str:
        return f"<Following {'synced' if self.synced else 'cut off'}, {len(self._positions)} changes>"

    async def run(self) -> None:
        """Follow for ever."""
        while True:
            try:
                async with aclosing(self._catalog.watch()) as feed:
                    async for event in feed:
                        await self._take_in(event)
            except CatalogError as error:
                if self.synced:
                    LOG.warning("the catalog's change feed is cut: %s", error)
            except Exception:
                LOG.exception("the catalog's change feed failed")
            await self._set_synced(False)
            await asyncio.sleep(random.uniform(0.1, _RETRY_INTERVAL))  # noqa: S311 - spreads load, guards nothing

    async def _set_synced(self, synced: bool) -> None:
        async with self._news:
            self.synced = synced
            self._news.notify_all()

    async def _take_in(self, event: Change | Synced) -> None:
        if isinstance(event, Synced):
            if event.fresh:
                await self._set_synced(True)
                self._on_move(None, None)
        elif event.subject is ChangeSubject.PLACEMENT:
            async with self._news:
                self._positions[event.name, event.epoch, event.born] = event.position
                self._news.notify_all()
        elif event.subject is ChangeSubject.MOVE:
            self._on_move(event.name[0], event.epoch)

    async def position(self, placement: Placement) -> int:
        """Return the position of the change that made a placement what it is, or a later one. Raises
        CatalogUnavailable.

        Nothing but that change has its name, epoch and ``born``. If this feed does not show it, for it was cut or began
        later, the first position of a new one is as good: it is not before anything that is stored already.
        """
        wanted = (tuple(placement.key), placement.epoch, placement.born)
        async with self._news:
            try:
                async with asyncio.timeout(_PATIENCE):
                    await self._news.wait_for(lambda: wanted in self._positions or not self.synced)
            except TimeoutError:
                pass
            found: int | None = self._positions.get(wanted)
        return await self._anew() if found is None else found

    async def _anew(self) -> int:
        try:
            async with asyncio.timeout(_LONG_PATIENCE), aclosing(self._catalog.watch()) as feed:
                async for event in feed:
                    return event.position
        except TimeoutError:
            pass
        raise CatalogUnavailable("no change feed began in time")
