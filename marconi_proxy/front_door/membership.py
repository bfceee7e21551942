"""This worker's heartbeat: a member document in the catalog, renewed while the process lives."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket  # noqa: TID251 - only for the host's name

from catalog.errors import CatalogError
from catalog.interface import Catalog
from catalog.model import Member
from marconi_proxy.front_door.directory import Directory

LOG = logging.getLogger(__name__)

# A member that has not renewed for so long (seconds), nor for its lease, was killed; any other forgets it.
FORGOTTEN_AFTER = 600.0
# What this release can do that the first could not.
CAPABILITIES: tuple[str, ...] = ()
_RENEWALS_BETWEEN_SWEEPS = 30


class Membership:
    """Belongs to one worker. ``start`` it, and ``stop`` it.

    ``interval`` is how often it renews, ``lease`` what it promises each time, both in seconds.
    """

    def __init__(self, catalog: Catalog, directory: Directory, interval: float, lease: float) -> None:
        self.id = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"
        self._catalog = catalog
        self._directory = directory
        self._interval = interval
        self._lease = lease
        self._renewer: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to renew."""
        self._renewer = asyncio.create_task(self._renew_forever(), name="membership")

    async def stop(self) -> None:
        """Stop renewing and sign off, if the catalog can be reached."""
        if self._renewer is not None:
            self._renewer.cancel()
            await asyncio.gather(self._renewer, return_exceptions=True)
        try:
            await self._catalog.remove_member(self.id)
        except CatalogError as error:
            LOG.info("could not sign off as member %s: %s", self.id, error)

    async def _renew_forever(self) -> None:
        renewals = 0
        while True:
            try:
                await self._catalog.renew_member(self._member())
                renewals += 1
                if renewals % _RENEWALS_BETWEEN_SWEEPS == 1:
                    await self._sweep()
            except CatalogError as error:
                LOG.debug("could not renew member %s: %s", self.id, error)
            except Exception:
                # A heartbeat that ends while the process goes on would be worse than any of its failures.
                LOG.exception("could not renew member %s", self.id)
            await asyncio.sleep(self._interval)

    def _member(self) -> Member:
        applied = self._directory.applied
        # Nothing is moved while no member is capable of it, so nobody waits for writes to end yet.
        return Member(self.id, applied, self._directory.synced, applied, CAPABILITIES, self._lease)

    async def _sweep(self) -> None:
        for sighting in await self._catalog.list_members():
            if sighting.age > FORGOTTEN_AFTER:
                await self._catalog.evict_member(sighting.member.id, idle=FORGOTTEN_AFTER)
