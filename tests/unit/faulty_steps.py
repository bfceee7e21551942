"""Steps of a move that fail where a test wants them to, to show that the move survives it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import TypeVar

from catalog.errors import CatalogUnavailable
from catalog.model import HeldWrites, Move, Partition, Placement, QueueKey, Segment
from marconi_proxy.fencing.barrier import MemberSighting
from marconi_proxy.moving.execution.steps.interface import Steps
from marconi_proxy.partition_client.outcome import Look, Unready

T = TypeVar("T")

_OF_PARTITIONS = frozenset({"dead_letter_queue", "source_of", "sync_metadata", "close", "unsubscribe", "remove"})


class Died(BaseException):
    """The mover is dead: nothing that it still tries to do is done."""


class Fault(Enum):
    """A fault at a step: the mover dies before or after it; the step is done and its reply is lost; the store or the
    partition is away, so the step is not done; the step is slow."""

    DIE_BEFORE = "dies before"
    DIE_AFTER = "dies after"
    LOSE_REPLY = "loses the reply of"
    AWAY = "cannot do"
    DELAY = "is slow at"


class FaultySteps(Steps):
    """Does what ``steps`` does. ``fault_at`` is asked before each call, with its number (from 0) and name, and returns
    what is to go wrong, None if nothing; ``slow`` is awaited for a delay. ``done`` has the names of all calls."""

    def __init__(
        self,
        steps: Steps,
        fault_at: Callable[[int, str], Fault | None],
        slow: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(0),
    ) -> None:
        self._steps = steps
        self._fault_at = fault_at
        self._slow = slow
        self.done: list[str] = []
        self.dead = False

    def _die(self) -> None:
        self.dead = True
        raise Died

    async def _through(self, name: str, call: Callable[[], Awaitable[T]]) -> T:
        if self.dead:
            raise Died
        fault = self._fault_at(len(self.done), name)
        self.done.append(name)
        if fault is Fault.DIE_BEFORE:
            self._die()
        elif fault is Fault.AWAY:
            raise _away(name)
        elif fault is Fault.DELAY:
            await self._slow()
        try:
            return await call()
        finally:
            # An exception of the call is lost with its reply.
            if fault is Fault.DIE_AFTER:
                self._die()
            elif fault is Fault.LOSE_REPLY:
                raise _away(name)

    async def placement(self, key: QueueKey) -> Placement | None:
        return await self._through("placement", lambda: self._steps.placement(key))

    async def move(self, move_id: str) -> Move | None:
        return await self._through("move", lambda: self._steps.move(move_id))

    async def has_plan(self, plan_id: str) -> bool:
        return await self._through("has_plan", lambda: self._steps.has_plan(plan_id))

    async def partition(self, name: str) -> Partition | None:
        return await self._through("partition", lambda: self._steps.partition(name))

    async def members(self) -> list[MemberSighting]:
        return await self._through("members", self._steps.members)

    async def busy(self, partition: str, limit: int) -> int:
        return await self._through("busy", lambda: self._steps.busy(partition, limit))

    async def record(self, move: Move, token: int) -> None:
        await self._through("record", lambda: self._steps.record(move, token))

    async def place(self, placement: Placement, what: str) -> None:
        await self._through("place", lambda: self._steps.place(placement, what))

    async def held_writes(self, move_id: str) -> list[HeldWrites]:
        return await self._through("held_writes", lambda: self._steps.held_writes(move_id))

    async def forget_held_writes(self, move_id: str) -> None:
        await self._through("forget_held_writes", lambda: self._steps.forget_held_writes(move_id))

    async def dead_letter_queue(self, key: QueueKey, segment: Segment) -> str | None:
        return await self._through("dead_letter_queue", lambda: self._steps.dead_letter_queue(key, segment))

    async def source_of(self, key: QueueKey, partition: str) -> str | None:
        return await self._through("source_of", lambda: self._steps.source_of(key, partition))

    async def sync_metadata(self, key: QueueKey, source: Segment, target: Segment, within: float) -> None:
        await self._through("sync_metadata", lambda: self._steps.sync_metadata(key, source, target, within))

    async def close(self, placement: Placement, within: float) -> None:
        await self._through("close", lambda: self._steps.close(placement, within))

    async def look(self, key: QueueKey, segment: Segment) -> Look:
        return await self._through("look", lambda: self._steps.look(key, segment))

    async def unsubscribe(self, key: QueueKey, segment: Segment) -> None:
        await self._through("unsubscribe", lambda: self._steps.unsubscribe(key, segment))

    async def remove(self, key: QueueKey, segment: Segment) -> None:
        await self._through("remove", lambda: self._steps.remove(key, segment))


def _away(name: str) -> Exception:
    if name in _OF_PARTITIONS:
        return Unready("the partition did not answer")
    return CatalogUnavailable("the store did not answer")
