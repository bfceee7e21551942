"""The effects of a move: the one interface between the executor of moves and catalog and partitions.

Each method may raise CatalogError or Unready; the call may then have been executed or not. All are safe to repeat.
Segments are values of the model, and ``key`` is their queue.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from catalog.model import HeldWrites, Move, MoveState, Partition, Placement, QueueKey, Segment
from marconi_proxy.fencing.barrier import MemberSighting
from marconi_proxy.partition_client.outcome import Look

# The states in which a move counts against the budgets of its partitions.
BUSY = (
    MoveState.PREPARING,
    MoveState.ARMED,
    MoveState.SEALING,
    MoveState.REROUTE_PREPARING,
    MoveState.REROUTE_ARMED,
    MoveState.REROUTE_SEALING,
)


class Steps(ABC):
    # -- the catalog -------------------------------------------------------------------------------------------------

    @abstractmethod
    async def placement(self, key: QueueKey) -> Placement | None: ...

    @abstractmethod
    async def move(self, move_id: str) -> Move | None: ...

    @abstractmethod
    async def has_plan(self, plan_id: str) -> bool: ...

    @abstractmethod
    async def partition(self, name: str) -> Partition | None: ...

    @abstractmethod
    async def members(self) -> list[MemberSighting]:
        """Return the members, by a read that begins after this call."""

    @abstractmethod
    async def busy(self, partition: str, limit: int) -> int:
        """Return the number of moves from or to the partition that are in a state of ``BUSY``; at most ``limit``."""

    @abstractmethod
    async def record(self, move: Move, token: int) -> None:
        """Store the move by compare-and-set, as the holder of its lock. Raises MoveConflict, LockLost."""

    @abstractmethod
    async def place(self, placement: Placement, what: str) -> None:
        """Store the placement by compare-and-set; ``what`` is the change in a few words. Raises Conflict."""

    @abstractmethod
    async def held_writes(self, move_id: str) -> list[HeldWrites]: ...

    @abstractmethod
    async def forget_held_writes(self, move_id: str) -> None: ...

    # -- partitions --------------------------------------------------------------------------------------------------

    @abstractmethod
    async def dead_letter_queue(self, key: QueueKey, segment: Segment) -> str | None:
        """Return the name of the dead-letter queue of this queue, None if there is none. Raises Unready."""

    @abstractmethod
    async def source_of(self, key: QueueKey, partition: str) -> str | None:
        """Return the name of another queue with a segment on the partition whose stored metadata there names this queue
        as its dead-letter queue; None if there is none. Polls all queues of the project there. Raises Unready."""

    @abstractmethod
    async def sync_metadata(self, key: QueueKey, source: Segment, target: Segment, within: float) -> None:
        """Create ``target`` if needed, and give it the metadata and subscriptions of ``source``. ``within``: timeout in
        seconds. Raises Unready."""

    @abstractmethod
    async def close(self, placement: Placement, within: float) -> None:
        """Close the last segment of a sealed queue: its partition, if it has fences, refuses writes by a stale read.

        Stale is an epoch below the one that the end of the seal will give to the placement, by a switch or an abort.
        Marks only grow, as epochs do: a mark that is set late refuses no write that was looked up since. ``within``:
        timeout in seconds. Raises Unready.
        """

    @abstractmethod
    async def look(self, key: QueueKey, segment: Segment) -> Look:
        """Return the contents of a segment, empty if its queue does not exist. An error is in the result."""

    @abstractmethod
    async def unsubscribe(self, key: QueueKey, segment: Segment) -> None:
        """Delete the subscriptions of a segment's queue. They outlive the queue, and a later queue of that name would
        have them (API section 4.11). Success also if there are none, or if the partition is gone. Raises Unready."""

    @abstractmethod
    async def remove(self, key: QueueKey, segment: Segment) -> None:
        """Delete a segment's queue from its partition. Success also if there is no queue, or if the partition is gone.

        Raises Unready if the deletion is not confirmed; it may then be executed late. The caller guarantees that no
        placement names the queue.
        """
