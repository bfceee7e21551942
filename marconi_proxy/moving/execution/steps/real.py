"""The steps with effect: the catalog's verbs, and calls to partitions."""

from __future__ import annotations

import asyncio

from catalog.errors import PartitionUnknown
from catalog.interface import Catalog
from catalog.model import (
    HeldWrites,
    Move,
    Partition,
    Placement,
    PlacementState,
    QueueKey,
    Segment,
)
from marconi_proxy.clock import Clock
from marconi_proxy.fencing.barrier import MemberSighting
from marconi_proxy.moving.execution.known_partitions import KnownPartitions
from marconi_proxy.moving.execution.member_watch import MemberWatch
from marconi_proxy.moving.execution.steps.interface import BUSY, Steps
from marconi_proxy.partition_client.outcome import CALL, Look, Unready
from marconi_proxy.partition_client.queue_calls import QueueCalls, together
from marconi_proxy.partition_client.subscriptions import changes
from marconi_proxy.partition_client.upstreams import Open, Upstreams

# The number of queues to fetch metadata of concurrently.
_AT_A_TIME = 16


class RealSteps(Steps):
    """Belongs to one event loop. Run ``watch`` as a task, so that the live members are known before a seal. A feed may
    keep ``partitions`` current."""

    def __init__(self, catalog: Catalog, open_upstream: Open, clock: Clock) -> None:
        self._catalog = catalog
        self._clock = clock
        self.watch = MemberWatch(catalog.members.all, catalog.members.expire, clock)
        self.partitions = KnownPartitions(catalog.partitions.get)
        self._upstreams = Upstreams(open_upstream)

    # -- the catalog -------------------------------------------------------------------------------------------------

    async def placement(self, key: QueueKey) -> Placement | None:
        return await self._catalog.placements.get(key)

    async def move(self, move_id: str) -> Move | None:
        return await self._catalog.moves.get(move_id)

    async def has_plan(self, plan_id: str) -> bool:
        return await self._catalog.plans.exists(plan_id)

    async def partition(self, name: str) -> Partition | None:
        return await self.partitions.get(name)

    async def members(self) -> list[MemberSighting]:
        return await self.watch.look()

    async def busy(self, partition: str, limit: int) -> int:
        return len(await self._catalog.moves.find(partition=partition, states=BUSY, limit=limit))

    async def record(self, move: Move, token: int) -> None:
        await self._catalog.moves.replace(move, token)

    async def place(self, placement: Placement, what: str) -> None:
        try:
            await self._catalog.placements.replace(placement)
        except PartitionUnknown as error:
            raise Unready(f"{error}") from error

    async def held_writes(self, move_id: str) -> list[HeldWrites]:
        return await self._catalog.held_writes.find(move_id)

    async def forget_held_writes(self, move_id: str) -> None:
        await self._catalog.held_writes.remove(move_id)

    # -- partitions --------------------------------------------------------------------------------------------------

    async def _calls(self, key: QueueKey, segment: Segment, within: float = CALL) -> QueueCalls | None:
        """Return the calls to a segment's queue, None if its partition is no longer registered."""
        partition = await self.partitions.get(segment.partition)
        if partition is None:
            self._upstreams.pop(segment.partition, None)
            return None
        return QueueCalls(self._upstreams.of(partition), key, segment.backend_name, within)

    async def _registered(self, key: QueueKey, segment: Segment, within: float = CALL) -> QueueCalls:
        calls = await self._calls(key, segment, within)
        if calls is None:
            raise Unready(f"partition {segment.partition} is not registered")
        return calls

    async def dead_letter_queue(self, key: QueueKey, segment: Segment) -> str | None:
        return await (await self._registered(key, segment)).dead_letter_queue()

    async def source_of(self, key: QueueKey, partition: str) -> str | None:
        after: QueueKey | None = None
        while page := await self._catalog.placements.find(
            project=key.project, partitions=[partition], after=after, limit=_AT_A_TIME
        ):
            after = page[-1].key
            there = [
                (placement, segment)
                for placement in page
                for segment in placement.segments
                if segment.partition == partition and placement.key != key
            ]
            names = await together(*(self.dead_letter_queue(placement.key, segment) for placement, segment in there))
            for (placement, _), name in zip(there, names, strict=True):
                if name == key.queue and placement.state is not PlacementState.RESERVED:
                    return placement.queue
        return None

    async def sync_metadata(self, key: QueueKey, source: Segment, target: Segment, within: float) -> None:
        try:
            async with asyncio.timeout(within):
                # PERF: clients may be waiting.
                old, new = await together(self._registered(key, source, within), self._registered(key, target, within))
                await together(new.take_over(old), _subscribe(old, new))
        except TimeoutError:
            raise Unready(
                f"partitions {source.partition} and {target.partition} did not answer within {within:.1f} s"
            ) from None

    async def close(self, placement: Placement, within: float) -> None:
        calls = await self._registered(placement.key, placement.segments[-1], within)
        if calls.has_fences:
            await calls.fence(placement.incarnation, placement.epoch + 1)

    async def look(self, key: QueueKey, segment: Segment) -> Look:
        try:
            calls = await self._registered(key, segment)
            return await calls.look(self._clock.now())
        except Unready as error:
            return Look(segment.partition, problem=str(error))

    async def unsubscribe(self, key: QueueKey, segment: Segment) -> None:
        calls = await self._calls(key, segment)
        if calls is not None:
            for subscription in await calls.subscriptions():
                await calls.unsubscribe(subscription.id)

    async def remove(self, key: QueueKey, segment: Segment) -> None:
        calls = await self._calls(key, segment)
        if calls is not None:
            await calls.delete()


async def _subscribe(source: QueueCalls, target: QueueCalls) -> None:
    """Give the target the subscriptions of the source. Raises Unready."""
    if not source.has_subscriptions or not target.has_subscriptions:
        return
    wanted = changes(*await together(source.subscriptions(), target.subscriptions()))
    for one in wanted.made:
        await target.subscribe(one)
    for identifier, one in wanted.changed:
        await target.resubscribe(identifier, one)
    for identifier in wanted.ended:
        await target.unsubscribe(identifier)
