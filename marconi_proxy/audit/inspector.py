"""The inspector: a consistent reading of one queue, its placement, its move and its partitions.

The catalog is read before and after the partitions. Each change of a placement increases its epoch, so two equal
readings show that the placement did not change in between, and that the partitions' answers belong to it. A backend
name that a move assigned begins with the queue's own name (``fencing.transitions``).
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Collection, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from catalog.interface import Catalog
from catalog.model import (
    TOPIC_PREFIX,
    Move,
    Partition,
    PartitionState,
    Placement,
    PlacementState,
    QueueKey,
    Segment,
)
from catalog.model.field import one_line
from marconi_proxy.audit.findings import own_name, written_until
from marconi_proxy.audit.observation import Observation, SegmentObservation, UnexpectedCopy
from marconi_proxy.clock import Clock
from marconi_proxy.moving.execution.steps.interface import Steps
from marconi_proxy.partition_client.existence import just_before
from marconi_proxy.partition_client.outcome import CALL, Unready
from marconi_proxy.partition_client.queue_calls import QueueCalls
from marconi_proxy.partition_client.upstreams import Paced

_HIDDEN = re.compile(r"-(\d{1,9})-[0-9a-f]{12}")
_LONGEST = 64
_PAGE = 100
# The most queues that are polled one by one for the destination of their dead letters.
SOURCES = 500
# The most differences of metadata in a message, and the most characters for them.
_SHOWN = 5
_MOST_SHOWN = 160


class Unreachable(Exception):
    """A partition cannot be polled now. ``partition`` is its name; the message is the reason."""

    def __init__(self, partition: str, why: str) -> None:
        super().__init__(why)
        self.partition = partition


class _Owned(NamedTuple):
    """The owner of a backend name. ``in_use``: a placement or an unfinished move has it. ``move``: the finished move
    that assigned it, and will never use it again."""

    in_use: bool = False
    move: str | None = None


class Inspector:
    """``steps``: those of moves, over the same upstreams. ``late``: seconds, as in AuditBounds."""

    def __init__(self, catalog: Catalog, paced: Paced, steps: Steps, clock: Clock, late: float) -> None:
        self._catalog = catalog
        self._paced = paced
        self._steps = steps
        self._clock = clock
        self._late = late

    async def inspect(self, key: QueueKey, unexpected_copies: Sequence[str]) -> Observation | None:
        """Read a queue in the catalog and on its partitions; return None if it changed meanwhile.

        ``unexpected_copies``: further partitions to search for a queue of this name. Raises Unreachable, CatalogError.
        """
        placement, move = await self._stored(key)
        there = None
        parts: tuple[SegmentObservation, ...] = ()
        dead_letters = False
        if placement is not None and placement.state is PlacementState.OPEN:
            last = placement.segments[-1]
            calls = await self.calls(key, last)
            there = await self._exists(calls)
            if there:
                parts = tuple([part async for part in self._parts(placement, calls)])
            now = self._clock.now()
            dead_letters = await self._takes_dead_letters(placement, move, parts, now)
        found = [
            one
            for name in unexpected_copies
            if (one := await self._unexpected_copy(key, name, placement, move)) is not None
        ]
        now = self._clock.now()
        placed, moving = await self._stored(key)
        if placement != placed or _relevant(move) != _relevant(moving):
            return None
        return Observation(key, now, placement, move, there, parts, dead_letters, tuple(found))

    async def _stored(self, key: QueueKey) -> tuple[Placement | None, Move | None]:
        placement = await self._catalog.placements.get(key)
        return placement, await self._catalog.moves.under_way(key)

    async def calls(self, key: QueueKey, segment: Segment) -> QueueCalls:
        """Return the calls to the queue of a segment. Raises Unreachable, CatalogError."""
        partition = await self._catalog.partitions.get(segment.partition)
        if partition is None:
            raise Unreachable(segment.partition, "it is not registered")
        return self._calls(key, partition, segment.backend_name)

    def _calls(self, key: QueueKey, partition: Partition, backend_name: str) -> QueueCalls:
        if (why := reason_to_skip(partition)) is not None:
            raise Unreachable(partition.name, why)
        return QueueCalls(self._paced.open(partition), key, backend_name, CALL)

    async def _exists(self, calls: QueueCalls) -> bool:
        try:
            return await calls.exists()
        except Unready as error:
            raise Unreachable(calls.partition, str(error)) from error

    # -- older segments ----------------------------------------------------------------------------------------------

    async def _parts(self, placement: Placement, last: QueueCalls) -> AsyncIterator[SegmentObservation]:
        """Yield the older segments that exist. A deleted one counts as empty, and the mover retires it as such."""
        for segment in placement.segments[:-1]:
            calls = await self.calls(placement.key, segment)
            if not await self._exists(calls):
                continue
            try:
                age = await calls.newest_age()
                operations = await calls.unlike(last)
            except Unready as error:
                raise Unreachable(calls.partition, str(error)) from error
            digest = sha256(json.dumps(operations, sort_keys=True).encode()).hexdigest() if operations else ""
            yield SegmentObservation(segment.partition, segment.backend_name, age, _shown(operations), digest)

    async def _takes_dead_letters(
        self, placement: Placement, move: Move | None, parts: Sequence[SegmentObservation], now: float
    ) -> bool:
        """Return whether a store may have put messages there as dead letters.

        The check is expensive, so it runs only for segments with late messages. With more than SOURCES queues that
        might be the source, it is skipped and the answer is True.
        """
        since = written_until(move, placement)
        if since is None or placement.group is not None:
            return False
        for part in parts:
            if part.age is not None and now - part.age > since + self._late:
                others = await self._catalog.placements.find(
                    project=placement.project, partitions=[part.partition], limit=SOURCES + 1
                )
                if len(others) > SOURCES:
                    return True
                try:
                    if await self._steps.source_of(placement.key, part.partition) is not None:
                        return True
                except Unready as error:
                    raise Unreachable(part.partition, str(error)) from error
        return False

    # -- unexpected copies -------------------------------------------------------------------------------------------

    async def _unexpected_copy(
        self, key: QueueKey, name: str, placement: Placement | None, move: Move | None
    ) -> UnexpectedCopy | None:
        """Return the copy on partition ``name``, None if there is none, or a placement or move accounts for it."""
        backend_name = own_name(key.queue)
        if _names(placement, name, backend_name) or _uses(move, name, backend_name):
            return None
        partition = await self._catalog.partitions.get(name)
        if partition is None:
            return None
        before = await self._owner(key, name)
        if before.in_use:
            return None
        calls = self._calls(key, partition, backend_name)
        if not await self._exists(calls):
            return None
        if before != await self._owner(key, name):
            return None
        if before.move is None:
            return UnexpectedCopy(name)
        look = await self._steps.look(key, Segment(0, name, backend_name))
        if look.problem is not None:
            raise Unreachable(name, look.problem)
        return UnexpectedCopy(name, before.move, max(look.total, int(not look.empty)))

    async def _owner(self, key: QueueKey, partition: str) -> _Owned:
        """Return the owner of a queue's name if it has the form of a name that a move assigned."""
        backend_name = own_name(key.queue)
        suffix = _HIDDEN.search(backend_name, max(0, len(backend_name) - 24))
        if suffix is None or suffix.end() != len(backend_name) or not suffix.start():
            return _Owned()
        left = None
        async for queue, placement in self._candidates(
            key, backend_name[: suffix.start()], len(backend_name) == _LONGEST
        ):
            if _names(placement, partition, backend_name):
                return _Owned(in_use=True)
            after: str | None = None
            moves: list[Move] = []
            while page := await self._catalog.moves.find(project=key.project, queue=queue, after=after, limit=_PAGE):
                moves += page
                after = page[-1].id
            if any(not move.finished and _uses(move, partition, backend_name) for move in moves):
                return _Owned(in_use=True)
            under_way = any(not move.finished for move in moves)
            for move in moves:
                if not _made(move, partition, backend_name):
                    continue
                if under_way:
                    # That move may still use it. The first round after its end inspects the copy again.
                    return _Owned(in_use=True)
                # A name is assigned once: no incarnation of the queue will use it again.
                left = move.id
        return _Owned(move=left)

    async def _candidates(self, key: QueueKey, prefix: str, cut: bool) -> AsyncIterator[tuple[str, Placement | None]]:
        """Yield each queue that may have got a name with this ``prefix`` from a move.

        ``cut``: the assigned name has the maximal length, so that ``prefix`` may be only the beginning of the queue's.
        """
        topic = TOPIC_PREFIX if key.queue.startswith(TOPIC_PREFIX) else ""
        start = f"{topic}{prefix}"
        if not cut:
            yield start, await self._catalog.placements.get(QueueKey(key.project, start))
            return
        after: QueueKey | None = QueueKey(key.project, topic + just_before(prefix))
        while after is not None:
            page = await self._catalog.placements.find(project=key.project, after=after, limit=_PAGE)
            for placement in page:
                if placement.queue.startswith(start):
                    yield placement.queue, placement
            full = len(page) == _PAGE and page[-1].queue.startswith(start)
            after = page[-1].key if full else None
        if await self._catalog.placements.get(QueueKey(key.project, start)) is None:
            yield start, None  # a deleted queue, with a name that was not cut


def _shown(operations: Sequence[dict[str, Any]]) -> str:
    """Return a patch of metadata as text, ``add /metadata/colour``, without values, which are private to the tenant."""
    words = ", ".join(f"{operation['op']} {operation['path']}" for operation in operations[:_SHOWN])
    more = f", and {len(operations) - _SHOWN} more" if len(operations) > _SHOWN else ""
    return one_line("words", words)[:_MOST_SHOWN] + more


def reason_to_skip(partition: Partition) -> str | None:
    """Return why a partition must not be polled, None if it may be."""
    if partition.state is PartitionState.DISABLED:
        return "it is disabled"
    return None if partition.api_versions else "its API versions are not known yet"


def _names(placement: Placement | None, partition: str, backend_name: str) -> bool:
    if placement is None or placement.state is PlacementState.RESERVED:
        return False
    return any((segment.partition, segment.backend_name) == (partition, backend_name) for segment in placement.segments)


def _relevant(move: Move | None) -> tuple[Any, ...] | None:
    """Return the members of a move that matter to the audit, without its progress, which changes all the time."""
    if move is None:
        return None
    facts = [move.facts.get(name) for name in ("touched", "switched_at")]
    return move.id, move.incarnation, move.state, move.destination, move.backend_name, move.log, *facts


def _uses(move: Move | None, partition: str, backend_name: str) -> bool:
    """Return whether an unfinished move has created this queue, or will. The move is responsible for its deletion."""
    if move is None:
        return False
    return _made(move, partition, backend_name) or (move.destination, move.backend_name) == (partition, backend_name)


def _made(move: Move, partition: str, backend_name: str) -> bool:
    return [partition, backend_name] in [list(put) for put in move.facts.get("touched", [])]


async def projects_of(catalog: Catalog, partitions: Collection[str]) -> list[str]:
    """Return all projects with placements on these partitions, by one query per project."""
    found: list[str] = []
    after: QueueKey | None = None
    while page := await catalog.placements.find(partitions=partitions, after=after, limit=1):
        found.append(page[0].project)
        # Sorts after every name of a queue or topic.
        after = QueueKey(page[0].project, "\x7f")
    return found
