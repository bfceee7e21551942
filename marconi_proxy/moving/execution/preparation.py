"""The conditions of a seal, and the creation of the queue on its destination."""

from __future__ import annotations

from catalog.model import TOPIC_PREFIX, Move, MoveState, Partition, PartitionState, Placement, PlacementState, Segment
from marconi_proxy.clock import Clock
from marconi_proxy.fencing import transitions
from marconi_proxy.fencing.transitions import hidden_name
from marconi_proxy.moving.execution.pace import MovePace
from marconi_proxy.moving.execution.steps.interface import Steps
from marconi_proxy.partition_client.outcome import Unready

# Seconds to create a queue with all its subscriptions.
_MAKING = 60.0
# The states of a move that no longer goes with its group.
_LEAVING = (MoveState.UNDOING, MoveState.REROUTE_UNDOING)


class Preparation:
    """Check and create the destination of a move. Stateless: the caller records the results."""

    def __init__(self, steps: Steps, pace: MovePace, clock: Clock) -> None:
        self._steps = steps
        self._pace = pace
        self._clock = clock

    async def choose(self, move: Move, placement: Placement) -> str:
        """Return the queue's name on its destination. Raises CatalogError, and Unready if it cannot go there now.

        The name was never used before. A dead-letter queue keeps its own name, because a store puts dead letters into
        the queue that the source's metadata names; its move ends late enough to use the name again (``MoveExecutor``).
        """
        await self._check_partitions(move, placement)
        await self.check_dead_letters(move, placement)
        try:
            transitions.seal(placement, move.id, self._clock.now(), self._pace.max_segments)
        except transitions.TransitionRefused as refused:
            raise Unready(str(refused)) from refused
        n = placement.next_n
        if keeps_name(placement):
            return await self._own_name(move, placement, n)
        touched = [list(put) for put in move.facts.get("touched", [])]
        if move.backend_name is not None and [move.destination, move.backend_name] in touched:
            return move.backend_name
        return hidden_name(move.project, move.queue, placement.incarnation, n, f"{move.id}/{len(touched)}")

    async def _own_name(self, move: Move, placement: Placement, n: int) -> str:
        own = Segment(n, move.destination, move.queue.removeprefix(TOPIC_PREFIX))
        there = [segment.backend_name for segment in placement.segments if segment.partition == move.destination]
        if own.backend_name not in there:
            look = await self._steps.look(move.key, own)
            if look.problem is not None:
                raise Unready(look.problem)
            if look.empty:
                return own.backend_name
        raise Unready(
            f"partition {move.destination} still has messages of this queue, and a dead-letter queue keeps its name"
        )

    async def make(self, move: Move, placement: Placement) -> None:
        """Create the queue on its destination, with its present metadata and subscriptions. Raises CatalogError,
        Unready."""
        await self._steps.sync_metadata(move.key, placement.segments[-1], opened(move, placement), _MAKING)

    async def _check_partitions(self, move: Move, placement: Placement) -> None:
        source = await self._partition(placement.partition)
        target = await self._partition(move.destination)
        if target.name == source.name:
            raise Unready(f"the queue is on partition {target.name} already")
        # A cordoned partition takes no queues, except those with a segment there: they may return.
        comes_back = any(segment.partition == target.name for segment in placement.segments)
        if target.state is PartitionState.DISABLED or not (comes_back or target.state is PartitionState.ENABLED):
            raise Unready(f"partition {target.name} is {target.state}: it takes no queues")
        if not source.api_versions or not target.api_versions:
            unknown = target.name if source.api_versions else source.name
            raise Unready(f"the API versions of partition {unknown} are not known yet")
        missing = [version for version in source.api_versions if version not in target.api_versions]
        if missing:
            raise Unready(f"partition {target.name} does not speak {', '.join(missing)}, which clients may be using")

    async def _partition(self, name: str) -> Partition:
        partition = await self._steps.partition(name)
        if partition is None:
            raise Unready(f"partition {name} is not registered")
        return partition

    async def check_dead_letters(self, move: Move, placement: Placement) -> None:
        """Check that a queue and its dead-letter queue, which share a partition (API section 8.4), go together. Raises
        CatalogError, and Unready if one of them would stay."""
        mates = [await self._steps.move(name) for name in move.group]
        along = {mate.queue for mate in mates if mate is not None and not (mate.finished or mate.state in _LEAVING)}
        if placement.group is not None and placement.group not in (placement.queue, *along):
            # The source may have been deleted since; the placement does not show that.
            source = await self._steps.placement(move.key._replace(queue=placement.group))
            if (
                source is not None
                and source.state is not PlacementState.RESERVED
                and source.partition != move.destination
            ):
                raise Unready(f"this queue takes the dead letters of queue {source.queue}, which does not go with it")
        name = await self._steps.dead_letter_queue(move.key, placement.segments[-1])
        if name is None or name == move.queue or name in along:
            return
        theirs = await self._steps.placement(move.key._replace(queue=name))
        if theirs is None or theirs.partition == move.destination:
            return
        if theirs.state is PlacementState.RESERVED:
            raise Unready(f"its dead-letter queue {name} was not created yet; create it, so that it can go along")
        raise Unready(f"its dead-letter queue {name} does not go with it")


def keeps_name(placement: Placement) -> bool:
    """Return whether every segment of the queue must have the queue's own name."""
    return placement.group is not None


def opened(move: Move, placement: Placement) -> Segment:
    """Return the segment that a switch would open. Raises Unready if its name was not chosen yet."""
    if move.backend_name is None:
        raise Unready("the queue was not prepared")
    return Segment(placement.next_n, move.destination, move.backend_name)
