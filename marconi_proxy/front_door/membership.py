"""This worker's registration in the catalog: a lease that it renews while it lives, and what it has acknowledged.

What it may do by its lease, and owes by its fence, is ``writing``; here it is sent and heard of.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket  # noqa: TID251 - only for the host's name
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

from catalog.errors import CatalogError
from catalog.interface import Catalog
from catalog.model import Member
from marconi_proxy.background import ended
from marconi_proxy.front_door.directory import Directory
from marconi_proxy.front_door.writing import Writing
from marconi_proxy.moving.protocol.barrier import CHAINS

LOG = logging.getLogger(__name__)

# A member that has not renewed for so long (seconds), nor for its lease, was killed; any other forgets it.
FORGOTTEN_AFTER = 600.0
# What this release can do that the first could not.
CAPABILITIES = (CHAINS,)
_RENEWALS_BETWEEN_SWEEPS = 30


class Reporter(Protocol):
    def report(self) -> Mapping[str, Any]: ...


class Membership:
    """Belongs to one worker. ``start`` it, and ``stop`` it.

    ``interval`` is how often it renews, in seconds; what it promises each time is the lease of ``writing``. ``holding``
    knows how it made clients wait.
    """

    def __init__(
        self, catalog: Catalog, directory: Directory, writing: Writing, holding: Reporter, interval: float
    ) -> None:
        self.id = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"
        self._catalog = catalog
        self._directory = directory
        self._writing = writing
        self._holding = holding
        self._interval = interval
        self._told = 0
        self._lapsed = False
        self._news = asyncio.Event()
        self._tried = asyncio.Event()
        self._renewer: asyncio.Task[None] | None = None

    async def start(self, patience: float) -> None:
        """Begin to renew; return when it was tried once, or after ``patience`` seconds at the latest."""
        self._renewer = asyncio.create_task(self._renew_forever(), name="membership")
        with suppress(TimeoutError):
            await asyncio.wait_for(self._tried.wait(), patience)

    async def stop(self) -> None:
        """Begin no more writes, stop renewing, and sign off if no write is under way and the catalog can be reached.

        To sign off is to say that nothing can come of this worker's writes any more. While something can, its lease
        is what movers wait for.
        """
        self._writing.close()
        await ended([self._renewer])
        if not self._writing.fence.idle(self._writing.clock()):
            LOG.info("member %s stops with writes that may still be done, and lets its lease lapse", self.id)
            return
        try:
            await self._catalog.remove_member(self.id)
        except CatalogError as error:
            LOG.info("could not sign off as member %s: %s", self.id, error)

    def hurry(self) -> None:
        """Renew at once if more can be acknowledged than was told. However often it is called, while a renewal is
        under way: one follows it."""
        self._news.set()

    async def _renew_forever(self) -> None:
        renewals = 0
        while True:
            # Whatever comes from here on, the next renewal tells.
            self._news.clear()
            try:
                await self._renew()
                renewals += 1
                self._tried.set()
                if renewals % _RENEWALS_BETWEEN_SWEEPS == 1:
                    await self._sweep()
            except CatalogError as error:
                LOG.debug("could not renew member %s: %s", self.id, error)
            except Exception:
                # A heartbeat that ends while the process goes on would be worse than any of its failures.
                LOG.exception("could not renew member %s", self.id)
            self._tried.set()
            self._mind_lapse()
            await self._pause()

    async def _renew(self) -> None:
        writing = self._writing
        renewal = writing.lease.sent(writing.clock())
        member = self._member()
        await self._catalog.renew_member(member)
        self._told = member.acked
        if writing.lease.confirmed(renewal, writing.clock()):
            # In the same step: what is known is from a time when nobody asked this worker before switching a queue.
            self._directory.forget_all()
            LOG.info("registered as member %s: what was known is read anew", self.id)
            self._lapsed = False

    def _mind_lapse(self) -> None:
        """Say once that the lease is over."""
        writing = self._writing
        if not self._lapsed and not writing.lease.may_write(writing.clock()):
            self._lapsed = True
            LOG.warning("the lease of this worker could not be renewed in time: it takes no writes until it can")

    async def _pause(self) -> None:
        """Wait until the next renewal is due: the interval, or until something more can be acknowledged."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._interval):
                while True:
                    await self._news.wait()
                    self._news.clear()
                    if self._acked() > self._told:
                        return

    def _acked(self) -> int:
        return self._writing.fence.acked(self._directory.applied, self._writing.clock())

    def _member(self) -> Member:
        directory = self._directory
        return Member(
            self.id,
            directory.applied,
            directory.synced,
            self._acked(),
            CAPABILITIES,
            self._writing.seconds,
            self._holding.report(),
        )

    async def _sweep(self) -> None:
        for sighting in await self._catalog.list_members():
            if sighting.age > FORGOTTEN_AFTER:
                await self._catalog.evict_member(sighting.member.id, idle=FORGOTTEN_AFTER)
