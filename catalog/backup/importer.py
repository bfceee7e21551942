"""Load a catalog from a stream of bytes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import BinaryIO, NamedTuple

from catalog.backup.reader import Backup
from catalog.errors import CatalogInUse, LoadUnfinished, LockHeld, NotEmpty
from catalog.interface import Catalog
from catalog.model import COMING_STATES, UNFINISHED_STATES, BackupValue, Holder, Move, Placement

Seen = Callable[[Backup], None]

_PAGE = 200
# Seconds between two reads of members and locks.
_GLANCE = 1.0


class HalfLoaded(Exception):
    """The catalog was emptied and not filled again. The cause of this exception is the reason.

    ``emptied`` is False if the failure came while the catalog was being emptied: then some, all or none of its values
    may be gone.
    """

    def __init__(self, *, emptied: bool) -> None:
        super().__init__(f"the catalog {'was' if emptied else 'may have been'} emptied and not filled again")
        self.emptied = emptied


async def verify(stream: BinaryIO, seen: Seen) -> dict[str, int]:
    """Check a backup to its end; return the number of values by kind. Raises BadBackup, OSError.

    ``seen`` is called after every batch.
    """
    backup = Backup(stream)
    batches = backup.batches()
    while await asyncio.to_thread(next, batches, None):
        seen(backup)
    return backup.counts


class _Sign(NamedTuple):
    """A value that a live process changes within ``patience`` seconds; ``end`` ends the claim of a dead one."""

    value: object
    patience: float
    end: Callable[[], Awaitable[object]]


async def let_lapse(
    catalog: Catalog,
    waiting: Callable[[float], None],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Watch the registered front-door workers and the locks of moves for the promised times of renewal. Remove those
    without a renewal; return at once when one is renewed: ``load`` then refuses the catalog.

    ``waiting`` is called repeatedly with the most seconds that remain. Raises CatalogError.
    """
    first = await _signs(catalog)
    begun = clock()
    while first:
        asked = clock()
        now = await _signs(catalog)
        if any(key not in first or sign.value != first[key].value for key, sign in now.items()):
            return
        for sign in now.values():
            if asked - begun > sign.patience:
                await sign.end()
        left = [sign.patience - (asked - begun) for sign in now.values() if asked - begun <= sign.patience]
        if not left:
            return
        waiting(max(left))
        await sleep(_GLANCE)


async def _signs(catalog: Catalog) -> dict[tuple[str, str], _Sign]:
    signs = {
        ("member", member.id): _Sign(member.stamp, member.patience, partial(catalog.members.expire, member))
        for member in await catalog.members.all()
    }
    after = None
    while moves := await catalog.moves.find(states=UNFINISHED_STATES, after=after, limit=_PAGE):
        after = moves[-1].id
        for move in moves:
            if move.holder is not None:
                end = partial(_take_and_release, catalog, move.id, move.holder)
                signs["move", move.id] = _Sign(move.holder, move.holder.patience, end)
    return signs


async def _take_and_release(catalog: Catalog, move_id: str, holder: Holder) -> None:
    with suppress(LockHeld):
        taken = await catalog.moves.lock(move_id).acquire("import", holder.seconds, over=holder)
        assert taken.holder is not None
        await catalog.moves.lock(move_id).release(taken.holder.token)


async def load(catalog: Catalog, stream: BinaryIO, now: float, *, replace: bool, seen: Seen) -> dict[str, int]:
    """Fill an initialised catalog from a backup; return the number of values by kind.

    Epochs and numbers of segments continue from ``now``, in seconds since 1970 (``Placement.restored``): the lost
    catalog may have given later ones than the backup has, and none may be used twice. ``seen`` is called after every
    batch. Nothing is changed if the first batch is wrong (BadBackup), or if the catalog refuses the load (NotEmpty,
    CatalogInUse, CatalogError of its ``check``). Raises HalfLoaded for any later failure: the catalog is not served
    until a load has ended.
    """
    with suppress(LoadUnfinished):  # this load ends that state
        await catalog.check()
    backup = Backup(stream)
    batches = backup.batches()
    batch = await asyncio.to_thread(next, batches, None)
    try:
        token = await catalog.backups.begin_load(replace=replace)
    except (NotEmpty, CatalogInUse):
        raise
    except BaseException as error:
        raise HalfLoaded(emptied=False) from error
    try:
        while batch:
            await catalog.backups.load(token, [_restored(value, now) for value in batch])
            seen(backup)
            batch = await asyncio.to_thread(next, batches, None)
        await catalog.backups.end_load(token)
    except BaseException as error:
        raise HalfLoaded(emptied=True) from error
    return backup.counts


def _restored(value: BackupValue, now: float) -> BackupValue:
    if isinstance(value, Placement):
        return value.restored(now)
    # The lost catalog may have used that name on the partition already.
    if isinstance(value, Move) and value.state in COMING_STATES:
        return replace(value, backend_name=None)
    return value
