"""What a move does to the world: the one way from the driver of moves to catalog and partitions.

Each method may raise CatalogError or Unready, and may then have been done or not; all are safe to repeat. Segments are
named by values of the model; ``key`` tells whose they are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from catalog.model import HeldWrites, Move, MoveState, Partition, Placement, QueueKey, Segment
from marconi_proxy.fencing.barrier import MemberSighting
from marconi_proxy.partition_client.outcome import Look

# The states in which a move takes of a partition's budget.
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
        """Return the members, by a reading that begins after this call."""

    @abstractmethod
    async def busy(self, partition: str, limit: int) -> int:
        """Return how many moves from or to the partition are under way and not switched yet; at most ``limit``."""

    @abstractmethod
    async def record(self, move: Move, token: int) -> None:
        """Compare-and-set of the move, by its holder. Raises MoveConflict, LockLost."""

    @abstractmethod
    async def place(self, placement: Placement, what: str) -> None:
        """Compare-and-set of the placement; ``what`` says in a few words what it does. Raises Conflict."""

    @abstractmethod
    async def held_writes(self, move_id: str) -> list[HeldWrites]: ...

    @abstractmethod
    async def forget_held_writes(self, move_id: str) -> None: ...

    # -- partitions --------------------------------------------------------------------------------------------------

    @abstractmethod
    async def dead_letter_queue(self, key: QueueKey, segment: Segment) -> str | None:
        """Return the name of the queue that takes the dead letters of this one, None if there is none."""

    @abstractmethod
    async def source_of(self, key: QueueKey, partition: str) -> str | None:
        """Return the name of another queue that has a segment on the partition, whose dead letters come into this one
        there, by what is stored there; None if there is none. Asks all of the project. Raises Unready."""

    @abstractmethod
    async def sync_metadata(self, key: QueueKey, source: Segment, target: Segment, within: float) -> None:
        """Make sure that ``target`` is there, with the metadata and subscriptions of ``source``. ``within``: seconds
        after which it is given up. Raises Unready."""

    @abstractmethod
    async def close(self, placement: Placement, within: float) -> None:
        """Have the partition of a sealed queue's last segment, if it can, refuse what is written by a reading of before
        the seal ends: by an epoch below that which the placement gets then, switched or aborted. ``within`` as above.
        Raises Unready.

        Marks only grow, as epochs do: one that is set late refuses nothing that was looked up since.
        """

    @abstractmethod
    async def look(self, key: QueueKey, segment: Segment) -> Look:
        """Return what a segment holds; nothing if it has no queue. What goes wrong is in the answer."""

    @abstractmethod
    async def unsubscribe(self, key: QueueKey, segment: Segment) -> None:
        """End the subscriptions of a segment's queue, which outlive it, and would be those of a later one of that name
        (API section 4.11). Nothing to end is success, also if the partition itself is gone. Raises Unready."""

    @abstractmethod
    async def remove(self, key: QueueKey, segment: Segment) -> None:
        """Delete a segment's queue from its partition. Raises Unready unless it is gone: then it may still be done.

        The caller knows that no placement names it. Nothing to delete is success, also if the partition itself is gone.
        """
