"""The life of a worker process: what it opens when it starts, and how it stops. One ``Worker`` per process."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from functools import partial

from catalog.factory import open_catalog
from catalog.interface import Catalog
from catalog.model import Partition
from marconi_proxy.clock import SystemClock
from marconi_proxy.front_door.catalog_guard import CatalogGuard
from marconi_proxy.front_door.chain.dispatch import Chain
from marconi_proxy.front_door.directory import Directory
from marconi_proxy.front_door.lifecycle import Lifecycle
from marconi_proxy.front_door.local import make_local_application
from marconi_proxy.front_door.membership import Membership
from marconi_proxy.front_door.readiness import WorkerReadiness
from marconi_proxy.front_door.seals import Seals
from marconi_proxy.front_door.settings import Settings
from marconi_proxy.front_door.write_gate import WriteGate
from marconi_proxy.front_door.write_holds import WriteHolds
from marconi_proxy.partition_client.host_probes import HostProbes
from marconi_proxy.routing.headers import pseudonym
from marconi_proxy.upstream.exchange import Upstream
from marconi_proxy.upstream.pool import Pool

# Seconds that a starting worker waits for the catalog before it serves (and refuses) without it.
START_PATIENCE = 10.0


class Worker:
    """The parts of a worker, for the code that serves its calls. ``start`` it, and ``stop`` it.

    ``own``: the pseudonym of this catalog's front doors in Via, by which each recognises the requests that any of them
    has forwarded. Until the catalog is known, it is one of the worker's own.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.chance = random.Random()  # noqa: S311 - balances load, guards nothing
        self.own = pseudonym(secrets.token_hex(8))

    async def start(self) -> None:
        """Open the catalog and the pool, and get in step. Raises CatalogError if the catalog cannot be used."""
        settings = self.settings
        limits = settings.upstream
        self.pool = Pool(
            connect_timeout=limits.connect_timeout,
            idle_timeout=limits.idle_timeout,
            max_head=limits.max_response_head,
            resolve_for=limits.resolve_for,
        )
        self.catalog: Catalog = await open_catalog(settings.catalog_uri)
        self.catalog_guard = CatalogGuard(self.catalog)
        guarded = self.catalog_guard.catalog
        loop = asyncio.get_running_loop()
        self.gate = WriteGate(settings.lease, settings.ambiguity)
        self.seals = Seals(self.catalog, settings.seal_overdue, time.time, loop.call_later)
        self.directory = Directory(
            guarded,
            self._open_upstream,
            settings.cache_size,
            self.gate.fence,
            self.seals,
            self.gate.clock,  # its silence counts while the machine sleeps, too
        )
        self.holds = WriteHolds(settings.hold_max, settings.max_held, loop.time)
        self.membership = Membership(self.catalog, self.directory, self.gate, self.holds, settings.member_interval)
        self.directory.on_seal = self.membership.hurry
        self.gate.on_end = self._hurry
        self.lifecycle = Lifecycle(
            guarded,
            self.directory,
            takeover_after=settings.takeover_after,
            deadline=limits.deadline,
            begin=partial(self.gate.begin, lasting=True),
            later=loop.call_later,
        )
        self.chain = Chain(self.directory, limits.deadline, self.chance)
        # A post that was forwarded before the feed showed a deletion may have created the queue anew.
        self.directory.on_removal = self.lifecycle.settle_later
        self._probes = HostProbes(lambda: self.directory.upstreams, limits.probe_interval, SystemClock(), self.chance)
        readiness = WorkerReadiness(self.directory, self.gate, self.catalog_guard)
        self.local = make_local_application(guarded, self.directory, settings.pages, readiness.conditions)
        self.directory.on_identity = self._take_identity
        await self.directory.start(START_PATIENCE)
        # Before the worker serves: without a registration it would refuse the first writes.
        await self.membership.start(START_PATIENCE if self.directory.synced else 0.0)
        self._probes.start()

    def _take_identity(self, identity: str) -> None:
        """Take the pseudonym of the catalog's identity, by which its front doors recognise forwarded requests."""
        self.own = pseudonym(identity)

    def _hurry(self) -> None:
        """Renew the membership at once, because a write to a queue has ended that may have been sealed meanwhile."""
        if self.seals:
            self.membership.hurry()

    def _open_upstream(self, partition: Partition) -> Upstream:
        return Upstream(partition, self.pool, self.settings.upstream, self.chance)

    async def stop(self) -> None:
        """End the background work, sign off, and close the connections."""
        await self._probes.stop()
        # The background work may write, so it ends before the worker signs off.
        await self.lifecycle.stop()
        await self.seals.stop()
        await self.membership.stop()
        await self.directory.stop()
        await self.catalog_guard.stop()
        self.pool.close()
        await self.catalog.close()
