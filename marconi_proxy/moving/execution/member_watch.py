"""The front-door workers, as a mover watches them on its own clock.

A member expires when its stamp has not changed for its whole lease. Its removal from the catalog is a compare-and-set
on that stamp, so neither a stale read nor a slow one can expire a live member.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from catalog.errors import CatalogError
from catalog.model import Member
from catalog.unchanged import Unchanged
from marconi_proxy.clock import Clock
from marconi_proxy.fencing.barrier import MemberSighting

LOG = logging.getLogger(__name__)

# Seconds between two reads while no move needs one, so that the live members are known before a queue is sealed.
_INTERVAL = 1.0


class MemberWatch:
    """Watch the members for one event loop. ``read`` and ``expire`` are those of ``Catalog.members``.

    ``look`` coalesces: all callers during a read share the next one.
    """

    def __init__(
        self, read: Callable[[], Awaitable[list[Member]]], expire: Callable[[Member], Awaitable[bool]], clock: Clock
    ) -> None:
        self._read = read
        self._expire = expire
        self._clock = clock
        self._watched: Unchanged[str] = Unchanged(clock.monotonic)
        self._unproven: dict[str, str] | None = None
        self._reading: asyncio.Task[list[MemberSighting]] | None = None
        self._next: asyncio.Task[list[MemberSighting]] | None = None

    def __repr__(self) -> str:
        return f"<MemberWatch {len(self._watched)} members>"

    async def run(self) -> None:
        """Read the members at intervals, for ever; a CatalogError is ignored until the next read."""
        while True:
            with suppress(CatalogError):
                await self.look()
            await self._clock.sleep(_INTERVAL)

    async def look(self) -> list[MemberSighting]:
        """Return the members, by a read that begins after this call. Raises CatalogError."""
        if self._next is None:
            self._next = asyncio.create_task(self._look_after(self._reading), name="members")
            self._next.add_done_callback(_heed)
        return await asyncio.shield(self._next)

    async def _look_after(self, before: asyncio.Task[list[MemberSighting]] | None) -> list[MemberSighting]:
        if before is not None and not before.done():
            await asyncio.wait({before})
        self._reading, self._next = self._next, None
        asked = self._watched.now()
        members = await self._read()
        if self._unproven is None:
            self._unproven = {member.id: member.stamp for member in members}
        sightings = [await self._sighting(member, asked) for member in members]
        ids = {member.id for member in members}
        self._watched.keep(lambda id_: id_ in ids)
        return sightings

    async def _sighting(self, member: Member, asked: float) -> MemberSighting:
        assert self._unproven is not None
        if self._unproven.get(member.id, member.stamp) != member.stamp:
            del self._unproven[member.id]
        silence = self._watched.seen(member.id, member.stamp, asked)
        expired = silence > member.patience and await self._expire(member)
        if expired:
            self._unproven.pop(member.id, None)
            LOG.warning("member %s expired: it has not renewed for its lease of %g s", member.id, member.patience)
        return MemberSighting(member, silence, member.id not in self._unproven, expired)


def _heed(task: asyncio.Task[list[MemberSighting]]) -> None:
    if not task.cancelled():
        task.exception()  # retrieved here, because every caller may have been cancelled
