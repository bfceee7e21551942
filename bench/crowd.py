"""Members that do nothing else: they follow the feed of the catalog, and acknowledge each seal that they are shown.

All of one process, which follows the feed once for them: so many feeds are the work of as many machines, and of the
store's own. But each acknowledges by a write of its own, as a worker does.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from contextlib import aclosing, suppress

from catalog.errors import CatalogError
from catalog.interface import Catalog
from catalog.model import Change, ChangeSubject, Member, QueueKey, Seal
from catalog.opening import open_catalog
from marconi_proxy.front_door.membership import CAPABILITIES

# A member renews so many times within its lease.
_RENEWALS = 15


def attend(uri: str, members: int, lease: float) -> None:
    """Be so many members of the catalog until the process ends."""
    asyncio.run(Crowd(lease).attend(uri, members))


class Crowd:
    """``lease``: what they promise, in seconds."""

    def __init__(self, lease: float) -> None:
        self._lease = lease
        self._applied = 0
        self._seals: dict[QueueKey, Seal] = {}
        self._shown = asyncio.Condition()

    async def attend(self, uri: str, members: int) -> None:
        """Be so many members until it is cancelled."""
        catalog = await open_catalog(uri)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow(catalog))
                for number in range(members):
                    group.create_task(self._renew(catalog, f"crowd/{number}/0"))
        finally:
            await catalog.close()

    async def _follow(self, catalog: Catalog) -> None:
        async with aclosing(catalog.watch()) as feed:
            async for event in feed:
                self._applied = event.position
                if isinstance(event, Change) and event.subject is ChangeSubject.PLACEMENT:
                    key = QueueKey(*event.name)
                    self._seals.pop(key, None)
                    if event.seal is not None:
                        self._seals[key] = event.seal
                        async with self._shown:
                            self._shown.notify_all()

    async def _renew(self, catalog: Catalog, id_: str) -> None:
        await asyncio.sleep(random.uniform(0.0, self._lease / _RENEWALS))
        for beat in itertools.count(1):
            acks = frozenset(self._seals.values())
            member = Member(id_, beat, self._applied, True, acks, CAPABILITIES, self._lease)
            with suppress(CatalogError):
                await (catalog.members.register if beat == 1 else catalog.members.renew)(member)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._lease / _RENEWALS), self._shown:
                    await self._shown.wait_for(lambda acks=acks: frozenset(self._seals.values()) - acks)
