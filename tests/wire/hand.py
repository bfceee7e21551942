"""A mover in a test's hands: the test takes each step, by the rules of movers and on their catalog."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from catalog.factory import open_catalog
from catalog.interface import Catalog
from catalog.model import HeldWrites, Member, Move, Placement, QueueKey
from catalog.unchanged import Unchanged
from marconi_proxy.fencing import transitions
from marconi_proxy.fencing.barrier import CHAINS, Barrier, MemberSighting, Passed, Verdict, Waiting
from marconi_proxy.fencing.transitions import hidden_name
from tests.servers.fake_partition import until

MAX_SEGMENTS = 4
T = TypeVar("T")


@dataclass
class Sealed:
    """A queue that was sealed, as it was stored, and the members that this concerns, as they were seen last."""

    placement: Placement
    barrier: Barrier


class Hand:
    """Moves queues in the catalog at ``uri``, and knows the members as long as it looks at them."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._watched: Unchanged[str] = Unchanged(time.monotonic)

    def _do(self, work: Callable[[Catalog], Awaitable[T]]) -> T:
        async def done() -> T:
            catalog = await open_catalog(self._uri)
            try:
                return await work(catalog)
            finally:
                await catalog.close()

        return asyncio.run(done())

    def placement(self, project: str, queue: str) -> Placement:
        found = self._do(lambda catalog: catalog.placements.get(QueueKey(project, queue)))
        assert found is not None
        return found

    def members(self) -> list[Member]:
        """Those that are registered."""
        return self._do(lambda catalog: catalog.members.all())

    def order(self, project: str, queue: str, move: str, source: str, target: str) -> None:
        """Store a record of the move; for what is kept beside it."""
        self._do(lambda catalog: catalog.moves.insert(Move(move, project, queue, source, target)))

    def held_writes(self, move: str) -> list[HeldWrites]:
        """Return the members' counts of the writes that waited for a move."""
        return self._do(lambda catalog: catalog.held_writes.find(move))

    def seal(self, project: str, queue: str, move: str) -> Sealed:
        """Seal the queue, and then read the members to wait for."""

        async def sealed(catalog: Catalog) -> Sealed:
            before = await catalog.placements.get(QueueKey(project, queue))
            assert before is not None
            placement = transitions.seal(before, move, time.time(), MAX_SEGMENTS)
            await catalog.placements.replace(placement)
            assert placement.seal is not None
            return Sealed(placement, Barrier.after_seal(placement.seal, await self._sightings(catalog), CHAINS))

        return self._do(sealed)

    async def _sightings(self, catalog: Catalog) -> list[MemberSighting]:
        asked = self._watched.now()
        sightings = []
        for member in await catalog.members.all():
            silence = self._watched.seen(member.id, member.stamp, asked)
            expired = silence > member.patience and await catalog.members.expire(member)
            sightings.append(MemberSighting(member, silence, expired=expired))
        return sightings

    def verdict(self, sealed: Sealed) -> Verdict:
        """Return the present state of the barrier."""
        sealed.barrier = sealed.barrier.seen(self._do(self._sightings))
        return sealed.barrier.verdict

    def passed(self, sealed: Sealed) -> Passed:
        """Return when no worker writes to the sealed segment any more."""

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
        switched = transitions.switch(before, before.move, partition, next_name(before), time.time())
        self._do(lambda catalog: catalog.placements.replace(switched))

    def abort(self, sealed: Sealed) -> None:
        """Have writes go on where they went."""
        aborted = transitions.abort(sealed.placement, time.time())
        self._do(lambda catalog: catalog.placements.replace(aborted))


@contextmanager
def locked(catalog: Path) -> Iterator[None]:
    """Let no process write to a catalog on SQLite; all go on reading."""
    with closing(sqlite3.connect(catalog, isolation_level=None, timeout=60)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def pid_of(member: str) -> int:
    return int(member.split("/")[1])


def next_name(placement: Placement) -> str:
    """Return the name of the queue in its next segment."""
    return hidden_name(*placement.key, placement.incarnation, placement.segments[-1].n + 1)
