"""The mover's view of the change feed: changed moves and partitions."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import aclosing

from catalog.errors import CatalogError
from catalog.interface import Catalog
from catalog.model import Change, ChangeSubject, Synced
from marconi_proxy.moving.execution.known_partitions import KnownPartitions

LOG = logging.getLogger(__name__)

# The most seconds between two attempts to reopen a feed that was cut; jittered.
_RETRY_INTERVAL = 1.0
_SUBJECTS = frozenset({ChangeSubject.MOVE, ChangeSubject.PARTITION})


async def follow(
    catalog: Catalog, on_move: Callable[[str | None, int | None], None], partitions: KnownPartitions
) -> None:
    """Follow the feed for ever, and reopen it after an error.

    ``on_move`` is called with the id and new version of each changed move, and with (None, None) when any move may have
    changed. ``partitions`` take in the changes of partitions.
    """
    synced = False
    while True:
        try:
            async with aclosing(catalog.watch(_SUBJECTS)) as feed:
                async for event in feed:
                    if isinstance(event, Synced) and event.fresh:
                        synced = True
                        partitions.fed(True)
                        on_move(None, None)
                    elif isinstance(event, Change) and event.subject is ChangeSubject.PARTITION:
                        partitions.changed(event.name[0])
                    elif isinstance(event, Change):
                        on_move(event.name[0], event.epoch)
        except CatalogError as error:
            if synced:
                LOG.warning("the catalog's change feed is cut: %s", error)
        except Exception:
            LOG.exception("the catalog's change feed failed")
        synced = False
        partitions.fed(False)
        await asyncio.sleep(random.uniform(0.1, _RETRY_INTERVAL))  # noqa: S311 - spreads load, guards nothing
