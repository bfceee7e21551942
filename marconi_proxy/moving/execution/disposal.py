"""The deletion of the queues that a move created or emptied on partitions, and that the placement does not name.

Before each deletion the lock and the placement are checked once more (``_make_sure``).
"""

from __future__ import annotations

import logging
from dataclasses import replace

from catalog.errors import PlacementConflict
from catalog.model import BackendQueue, Segment
from marconi_proxy.moving.execution.driven_move import DrivenMove
from marconi_proxy.moving.execution.preparation import keeps_name
from marconi_proxy.partition_client.outcome import CALL, Unready

LOG = logging.getLogger(__name__)


async def dispose(driven: DrivenMove) -> float:
    """Delete the queues that this move created or emptied and that the placement does not name.

    Returns the seconds after which the move may end (``_left_to_reuse``). Raises CatalogError, Unready. A queue that is
    created anew meanwhile has another name (``Placing``), and no other move of it can begin.
    """
    key, placement = driven.move.key, driven.placement
    deleted = driven.move.progress.deleted
    gone = placement is None or placement.incarnation != driven.move.incarnation
    behind = [s for s in _left_behind(driven) if (s.partition, s.backend_name) not in deleted]
    behind = [s for s in behind if await driven.steps.partition(s.partition) is not None]
    if not gone:
        behind = [segment for segment in behind if await _is_empty(driven, segment)]
    for segment in behind:
        await driven.steps.unsubscribe(key, segment)
        await _make_sure(driven, segment)
        await driven.steps.remove(key, segment)
        # From here on it is not deleted again. A crash before this leaves a deletion of unknown outcome.
        await driven.note(replace(driven.move, progress=driven.move.progress.ended_deletion()))
    if (wait := _left_to_reuse(driven)) > 0:
        await driven.wait_for("until its name can be used again")
    return wait


def _left_behind(driven: DrivenMove) -> tuple[Segment, ...]:
    """Return, as segments, the touched queues that the placement does not name. It must have just been read."""
    placement = driven.placement
    named = {(s.partition, s.backend_name) for s in placement.segments} if placement is not None else set()
    return tuple(
        Segment(n, partition, backend_name)
        for n, (partition, backend_name) in enumerate(driven.move.progress.touched)
        if (partition, backend_name) not in named
    )


async def _is_empty(driven: DrivenMove, segment: Segment) -> bool:
    """Return whether a queue that is to be deleted is empty. Raises CatalogError, Unready."""
    look = await driven.steps.look(driven.move.key, segment)
    if look.problem is not None:
        raise Unready(f"to delete a queue: {look.problem}")
    if not look.empty:
        # The message was not posted through this proxy. Keep it rather than lose it.
        LOG.warning(
            "%s: queue %s is kept on partition %s, because it is not empty; next: look at its messages there",
            driven.name,
            segment.backend_name,
            segment.partition,
        )
    return look.empty


async def _make_sure(driven: DrivenMove, segment: Segment) -> None:
    """Check, right before a deletion, that this mover holds the lock and that the placement is unchanged.

    The same write records the deletion as begun. If a later mover finds that entry, the outcome of the deletion is
    unknown. Raises LockLost, MoveConflict, Conflict.
    """
    queue = BackendQueue(segment.partition, segment.backend_name)
    await driven.note(replace(driven.move, progress=driven.move.progress.begun_deletion(queue)))
    now = await driven.steps.placement(driven.move.key)
    if now != driven.placement:
        raise PlacementConflict(now)


def _left_to_reuse(driven: DrivenMove) -> float:
    """Return the seconds until a deleted name may be used again on its partition; the move ends no earlier. They
    count from the moment when this process saw the deletions done.

    A queue that keeps its name may return there, and until then a worker that is cut off may read by a stale placement.
    A deletion without an answer may be executed late, when a new incarnation of the queue may have its plain name
    again.
    """
    placement, deleted = driven.placement, driven.move.progress.deleted
    wait = 0.0
    if driven.move.progress.doubtful:
        wait = CALL + driven.pace.ambiguity
    if deleted and placement is not None and placement.incarnation == driven.move.incarnation and keeps_name(placement):
        wait = max(driven.pace.linger, CALL + driven.pace.ambiguity)
    return max(0.0, wait - driven.stood("deleted", len(deleted)))
