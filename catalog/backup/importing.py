"""From a stream of bytes to a catalog."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

from catalog.backup.reading import Backup
from catalog.errors import CatalogInUse, LoadUnfinished, NotEmpty
from catalog.interface import Catalog
from catalog.model import Placement

Seen = Callable[[Backup], None]


class HalfLoaded(Exception):
    """The catalog was emptied and not filled again, for the reason that is this exception's cause.

    ``emptied`` is False if that came while it was to be emptied: then nobody knows how far that went, if at all.
    """

    def __init__(self, *, emptied: bool) -> None:
        super().__init__(f"the catalog {'was' if emptied else 'may have been'} emptied and not filled again")
        self.emptied = emptied


async def verify(stream: BinaryIO, seen: Seen) -> dict[str, int]:
    """Read a backup to its end; return how many values there are of each kind. Raises BadBackup, OSError.

    ``seen`` is called after every batch.
    """
    backup = Backup(stream)
    batches = backup.batches()
    while await asyncio.to_thread(next, batches, None):
        seen(backup)
    return backup.counts


async def load(catalog: Catalog, stream: BinaryIO, now: float, *, replace: bool, seen: Seen) -> dict[str, int]:
    """Fill an initialised catalog from a backup; return how many values there are of each kind.

    ``now``, in seconds since 1970, is what epochs and numbers of segments go on from (``Placement.restored``): they say
    which backup of a queue's history is meant, and those that were given since the backup was taken mean other things.
    ``seen`` is called after every batch. A backup whose first batch is wrong changes nothing, nor does a catalog that
    refuses (NotEmpty, CatalogInUse, CatalogError of its ``check``). Raises HalfLoaded for whatever happens later: the
    catalog is not served until a load has come to its end.
    """
    with suppress(LoadUnfinished):  # this is what ends it
        await catalog.check()
    backup = Backup(stream)
    batches = backup.batches()
    batch = await asyncio.to_thread(next, batches, None)
    try:
        token = await catalog.begin_load(replace=replace)
    except (NotEmpty, CatalogInUse):
        raise
    except BaseException as error:
        raise HalfLoaded(emptied=False) from error
    try:
        while batch:
            await catalog.load(token, [v.restored(now) if isinstance(v, Placement) else v for v in batch])
            seen(backup)
            batch = await asyncio.to_thread(next, batches, None)
        await catalog.end_load(token)
    except BaseException as error:
        raise HalfLoaded(emptied=True) from error
    return backup.counts
