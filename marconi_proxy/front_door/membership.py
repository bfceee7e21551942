"""This worker's registration in the catalog: a lease that it renews while it lives, and the seals that it acknowledges.

What it may do by its lease, and owes by its fence, is ``write_gate``; here it is sent and heard of.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import random
import secrets
import socket  # noqa: TID251 - only for the host's name
from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol

from catalog.errors import CatalogError, NotRegistered
from catalog.interface import Catalog
from catalog.model import HeldWrites, Member, Seal
from catalog.unchanged import Unchanged
from marconi_proxy.background import ended
from marconi_proxy.fencing.barrier import CHAINS
from marconi_proxy.front_door.directory import Directory
from marconi_proxy.front_door.write_gate import WriteGate

LOG = logging.getLogger(__name__)

# A member that has not renewed for so long (seconds), nor for its lease, was killed; any other removes it.
FORGOTTEN_AFTER = 600.0
# What this release can do that the first could not.
CAPABILITIES = (CHAINS,)
_RENEWALS_BETWEEN_SWEEPS = 30
# Seconds between two reports of held writes, if there are any.
_REPORT_INTERVAL = 0.5
# After a renewal that failed, while a mover waits for what it was to acknowledge.
_RETRY = 0.1
# Seconds within which preparations of seals are acknowledged, several by one renewal: no writes are held for them.
LEISURE = 0.25


class HoldReporter(Protocol):
    def report(self, member: str) -> Mapping[str, HeldWrites]:
        """Return what has changed of the writes that waited for moves, by the moves' ids."""

    def reported(self, found: Mapping[str, HeldWrites]) -> None:
        """Take in that this was stored."""


class Membership:
    """Belongs to one worker. ``start`` it, and ``stop`` it.

    ``interval`` is how often it renews, in seconds; what it promises each time is the lease of ``writing``. ``holding``
    reports the writes that waited.
    """

    def __init__(
        self, catalog: Catalog, directory: Directory, gate: WriteGate, holds: HoldReporter, interval: float
    ) -> None:
        self.id = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"
        self._catalog = catalog
        self._directory = directory
        self._gate = gate
        self._holds = holds
        self._interval = interval
        self._beat = 0
        self._registered = False
        self._registering = asyncio.Lock()
        self._sent: frozenset[Seal] = frozenset()
        self._lapsed = False
        self._others: Unchanged[str] = Unchanged(gate.clock)
        self._news = asyncio.Event()
        self._tried = asyncio.Event()
        self._renewer: asyncio.Task[None] | None = None
        self._reporter: asyncio.Task[None] | None = None

    async def start(self, patience: float) -> None:
        """Begin to renew; return when it was tried once, or after ``patience`` seconds at the latest."""
        self._renewer = asyncio.create_task(self._renew_forever(), name="membership")
        self._reporter = asyncio.create_task(self._report_forever(), name="held writes")
        with suppress(TimeoutError):
            await asyncio.wait_for(self._tried.wait(), patience)

    async def stop(self) -> None:
        """Begin no more writes, stop renewing, and sign off if no write is under way and the catalog can be reached.

        To sign off is to say that nothing can come of this worker's writes any more. While something can, its lease
        is what movers wait for.
        """
        self._gate.close()
        async with self._registering:  # one that came after the removal would bring this member back
            await ended([self._renewer, self._reporter])
        if not self._gate.fence.idle(self._gate.clock()):
            LOG.info("member %s stops with writes that may still be done, and lets its lease lapse", self.id)
            return
        try:
            await self._catalog.members.remove(self.id)
        except CatalogError as error:
            LOG.info("could not sign off as member %s: %s", self.id, error)

    def hurry(self) -> None:
        """Renew at once if a seal can be acknowledged that was not yet, and soon if a preparation can. However often
        it is called while a renewal is under way: one follows it."""
        self._news.set()

    async def _renew_forever(self) -> None:
        renewals = 0
        while True:
            # Whatever comes from here on is part of the next renewal.
            self._news.clear()
            failed = True
            try:
                await self._renew()
                failed = False
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
            await self._pause(failed)

    async def _renew(self) -> None:
        gate = self._gate
        renewal = gate.lease.sent(gate.clock())
        member = self._member()
        if self._registered:
            try:
                await self._catalog.members.renew(member)
            except NotRegistered:
                # A mover has watched this worker in silence for its lease. It may write again in a new term.
                gate.lease.revoke()
                self._registered = False
        if not self._registered:
            async with self._registering:
                await self._catalog.members.register(member)
            self._registered = True
        self._sent = member.acks
        if gate.lease.confirmed(renewal, gate.clock()):
            # In the same step: what is known is from a time when no mover waited for this worker.
            self._directory.forget_all()
            LOG.info("registered as member %s: what was known is read anew", self.id)
            self._lapsed = False

    def _mind_lapse(self) -> None:
        """Say once that the lease is over."""
        gate = self._gate
        if not self._lapsed and not gate.lease.may_write(gate.clock()):
            self._lapsed = True
            LOG.warning("the lease of this worker could not be renewed in time: it takes no writes until it can")

    async def _pause(self, failed: bool) -> None:
        """Wait until the next renewal is due: the interval, or until another seal or preparation is to be acknowledged.

        One that the last renewal was to acknowledge, and that failed, is tried again soon: a mover waits for it with
        writes held.
        """
        if failed and self._acks() - self._sent:
            await asyncio.sleep(min(_RETRY, self._interval))
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(self._interval) as due:
                soon = math.inf
                while True:
                    await self._news.wait()
                    self._news.clear()
                    unused = set(self._directory.unused)
                    acks = self._acks() - self._sent
                    # A seal needs no acknowledgement besides that of its preparation.
                    if any(ack not in unused and ack.preparation not in self._sent for ack in acks):
                        return
                    if acks & unused and soon == math.inf:
                        soon = asyncio.get_running_loop().time() + random.uniform(0.0, LEISURE)  # noqa: S311 - spreads load
                        due.reschedule(min(soon, due.when() or soon))

    async def _report_forever(self) -> None:
        """Store the counts of held writes. Apart from renewals, which acknowledge seals and must not wait for it."""
        while True:
            await asyncio.sleep(_REPORT_INTERVAL)
            try:
                if found := self._holds.report(self.id):
                    await self._catalog.held_writes.put(found)
                    self._holds.reported(found)
            except CatalogError as error:
                LOG.debug("could not store the counts of held writes: %s", error)

    def _acks(self) -> frozenset[Seal]:
        gate = self._gate
        return frozenset(seal for seal in gate.fence.acks(gate.clock()) if isinstance(seal, Seal))

    def _member(self) -> Member:
        directory, gate = self._directory, self._gate
        self._beat += 1
        return Member(
            self.id,
            self._beat,
            directory.applied,
            directory.synced,
            self._acks(),
            CAPABILITIES,
            gate.seconds,
            gate.late_writes,
        )

    async def _sweep(self) -> None:
        """Remove members that this worker has watched in silence for so long."""
        asked = self._others.now()
        members = await self._catalog.members.all()
        for member in members:
            if self._others.seen(member.id, member.stamp, asked) > max(FORGOTTEN_AFTER, member.patience):
                await self._catalog.members.expire(member)
        ids = {member.id for member in members}
        self._others.keep(lambda id_: id_ in ids)
