"""The mover's view of the change feed: the ids of changed moves."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import aclosing

from catalog.errors import CatalogError
from catalog.interface import Catalog
from catalog.model import Change, ChangeSubject, Synced

LOG = logging.getLogger(__name__)

# The most seconds between two attempts to reopen a feed that was cut; jittered.
_RETRY_INTERVAL = 1.0


async def follow(catalog: Catalog, on_move: Callable[[str | None, int | None], None]) -> None:
    """Follow the feed for ever, and reopen it after an error.

    ``on_move`` is called with the id and new version of each changed move, and with (None, None) when any move may have
    changed.
    """
    synced = False
    while True:
        try:
            async with aclosing(catalog.watch({ChangeSubject.MOVE})) as feed:
                async for event in feed:
                    if isinstance(event, Synced) and event.fresh:
                        synced = True
                        on_move(None, None)
                    elif isinstance(event, Change):
                        on_move(event.name[0], event.epoch)
        except CatalogError as error:
            if synced:
                LOG.warning("the catalog's change feed is cut: %s", error)
        except Exception:
            LOG.exception("the catalog's change feed failed")
        synced = False
        await asyncio.sleep(random.uniform(0.1, _RETRY_INTERVAL))  # noqa: S311 - spreads load, guards nothing
