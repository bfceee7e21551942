"""Steps without effect: they perform the checks, and record each effect as a sentence."""

from __future__ import annotations

from collections.abc import Sequence

from catalog.errors import MoveConflict
from catalog.model import HeldWrites, Move, Partition, Placement, QueueKey, Segment
from marconi_proxy.fencing.barrier import MemberSighting
from marconi_proxy.moving.execution.steps.interface import Steps
from marconi_proxy.partition_client.outcome import Look, Unready


class DryRun(Steps):
    """Read through ``steps``, and write into memory; ``sentences`` has the effects. Neither ``move`` nor the others of
    its group, ``mates``, need be stored. A dry run ends before the seal, because all later steps depend on one."""

    def __init__(self, steps: Steps, move: Move, mates: Sequence[Move] = ()) -> None:
        self._steps = steps
        self._move = move
        self._mates = {mate.id: mate for mate in mates}
        self.sentences: list[str] = []

    async def placement(self, key: QueueKey) -> Placement | None:
        return await self._steps.placement(key)

    async def move(self, move_id: str) -> Move | None:
        if move_id == self._move.id:
            return self._move
        return self._mates.get(move_id) or await self._steps.move(move_id)

    async def has_plan(self, plan_id: str) -> bool:
        return await self._steps.has_plan(plan_id)

    async def partition(self, name: str) -> Partition | None:
        return await self._steps.partition(name)

    async def members(self) -> list[MemberSighting]:
        return await self._steps.members()

    async def busy(self, partition: str, limit: int) -> int:
        # A full budget only delays a move, so it is no obstacle.
        return 0

    async def record(self, move: Move, token: int) -> None:
        if move.version != self._move.version + 1:
            raise MoveConflict(move.id, self._move)
        self._move = move

    async def place(self, placement: Placement, what: str) -> None:
        raise Unready(f"a dry run never {what}")

    async def held_writes(self, move_id: str) -> list[HeldWrites]:
        return await self._steps.held_writes(move_id)

    async def forget_held_writes(self, move_id: str) -> None:
        """Record nothing: the end of the move implies it."""

    async def dead_letter_queue(self, key: QueueKey, segment: Segment) -> str | None:
        return await self._steps.dead_letter_queue(key, segment)

    async def source_of(self, key: QueueKey, partition: str) -> str | None:
        return await self._steps.source_of(key, partition)

    async def sync_metadata(self, key: QueueKey, source: Segment, target: Segment, within: float) -> None:
        there = await self._steps.look(key, target)
        if there.problem is not None:
            raise Unready(there.problem)
        here = await self._steps.look(key, source)
        if here.problem is not None:
            raise Unready(here.problem)
        self.sentences.append(f"create queue {target.backend_name} on partition {target.partition}")
        self.sentences.append(f"leave {here.total} messages on partition {source.partition} to be read there first")

    async def close(self, placement: Placement, within: float) -> None:
        raise Unready("a dry run never closes a queue")

    async def look(self, key: QueueKey, segment: Segment) -> Look:
        return await self._steps.look(key, segment)

    async def unsubscribe(self, key: QueueKey, segment: Segment) -> None:
        """Record nothing: the deletion implies it."""

    async def remove(self, key: QueueKey, segment: Segment) -> None:
        self.sentences.append(f"delete queue {segment.backend_name} from partition {segment.partition}")
