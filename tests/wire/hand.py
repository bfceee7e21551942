"""A mover whose every step is taken by a test, by the rules that movers go by and on the catalog that they share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import NamedTuple, TypeVar

from catalog.interface import Catalog
from catalog.model import Change, Member, Placement, QueueKey, Synced
from catalog.opening import open_catalog
from marconi_proxy.moving.protocol import transitions
from marconi_proxy.moving.protocol.barrier import CHAINS, Barrier, Passed, Verdict, Waiting
from tests.servers.fake_partition import until

MAX_SEGMENTS = 4
T = TypeVar("T")


class Sealed(NamedTuple):
    """A queue that was sealed, as it was stored, and whom that concerns."""

    placement: Placement
    barrier: Barrier


class Hand:
    """Moves queues in the catalog at ``uri``."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def _do(self, work: Callable[[Catalog], Awaitable[T]]) -> T:
        async def done() -> T:
            catalog = await open_catalog(self._uri)
            try:
                return await work(catalog)
            finally:
                await catalog.close()

        return asyncio.run(done())

    def placement(self, project: str, queue: str) -> Placement:
        found = self._do(lambda catalog: catalog.get_placement(QueueKey(project, queue)))
        assert found is not None
        return found

    def members(self) -> list[Member]:
        """Those that are live."""
        return [s.member for s in self._do(lambda catalog: catalog.list_members()) if not s.silent()]

    def seal(self, project: str, queue: str, move: str) -> Sealed:
        """Seal the queue, and then read whom to wait for."""
        return self._do(lambda catalog: _seal(catalog, QueueKey(project, queue), move))

    def verdict(self, sealed: Sealed) -> Verdict:
        """What has become of the barrier by now."""
        sightings = self._do(lambda catalog: catalog.list_members())
        return sealed.barrier.seen(sightings).verdict

    def passed(self, sealed: Sealed) -> Passed:
        """Return when nobody writes to the sealed segment any more."""

        def passed() -> Passed | None:
            verdict = self.verdict(sealed)
            return verdict if isinstance(verdict, Passed) else None

        found: Passed = until(passed, "no worker writes to the sealed segment")
        return found

    def only_waiting_for(self, sealed: Sealed, *workers: int) -> None:
        """Return when all have acknowledged the seal but these processes."""

        def waiting() -> bool:
            verdict = self.verdict(sealed)
            return isinstance(verdict, Waiting) and {pid_of(name) for name in verdict.names} == set(workers)

        until(waiting, f"all but {workers} have acknowledged")

    def switch(self, sealed: Sealed, partition: str) -> None:
        """Have writes go to a new segment on ``partition``."""
        before = sealed.placement
        assert before.move is not None
        switched = transitions.switch(before, before.move, partition, before.segments[-1].physical, time.time())
        self._do(lambda catalog: catalog.replace_placement(switched))

    def abort(self, sealed: Sealed) -> None:
        """Have writes go on where they went."""
        aborted = transitions.abort(sealed.placement, time.time())
        self._do(lambda catalog: catalog.replace_placement(aborted))


def pid_of(member: str) -> int:
    return int(member.split("/")[1])


async def _seal(catalog: Catalog, key: QueueKey, move: str) -> Sealed:
    async with aclosing(catalog.watch()) as feed:
        assert isinstance(await anext(feed), Synced)
        before = await catalog.get_placement(key)
        assert before is not None
        sealed = transitions.seal(before, move, time.time(), MAX_SEGMENTS)
        await catalog.replace_placement(sealed)
        async for shown in feed:
            if isinstance(shown, Change) and (shown.name, shown.epoch, shown.born) == (key, sealed.epoch, sealed.born):
                break
    return Sealed(sealed, Barrier.after_seal(shown.position, await catalog.list_members(), CHAINS))
