"""The conditions under which a queue may be moved, by the catalog. Pure; the execution checks them again.

Facts that only partitions have (that they answer, the metadata of a queue) are checked when the move is prepared.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from catalog.model import (
    TOPIC_PREFIX,
    Move,
    MoveState,
    Partition,
    PartitionState,
    Placement,
    PlacementState,
    QueueKey,
)
from marconi_proxy.moving.orders.direction import came_from, goes_back
from marconi_proxy.moving.orders.groups import together
from marconi_proxy.moving.protocol.machine import TABLE, UNDER_WAY_AGAIN, Event

# The beginning of the reason in a move's log when an operator changed the state.
OPERATOR = "an operator: "
# The events that an operator may cause, in the order in which they are offered.
ORDERS = (Event.PAUSE, Event.RESUME, Event.CANCEL, Event.REVERSE)


class MoveRefused(ValueError):
    """The move cannot be ordered. The message has the reason, and the action to take instead."""


@dataclass(frozen=True, slots=True)
class CatalogView:
    """The part of the catalog that an order depends on.

    ``placements``: all of a project that may belong to one group, by queue. ``partitions``: by name. ``under_way``: the
    unfinished moves, by queue. ``longest``: the most segments that a chain may have.
    """

    placements: Mapping[QueueKey, Placement]
    partitions: Mapping[str, Partition]
    under_way: Mapping[QueueKey, Move]
    longest: int


@dataclass(frozen=True, slots=True)
class MoveRequest:
    """One order: the queue, its target, the most milliseconds to hold writes (None: no own limit), its time in seconds
    since 1970, and its plan, if any."""

    key: QueueKey
    target: str
    max_pause_ms: float | None = None
    created: float = 0.0
    plan: str | None = None


def order(request: MoveRequest, view: CatalogView, ids: Iterable[str]) -> tuple[Move, ...]:
    """Return the moves to insert: of the queue, and of the dead-letter queues that must go with it. Raises MoveRefused.

    ``ids``: at least as many as the group has queues; the first is for the queue itself.
    """
    placement = view.placements.get(request.key)
    if placement is None:
        raise MoveRefused("there is no such queue")
    group = next(group for group in together(view.placements.values()) if placement in group)
    members = [placement, *(p for p in group if p is not placement and _goes_along(p, request.target))]
    for member in members:
        try:
            check(member, request.target, view)
        except MoveRefused as refused:
            if member is placement:
                raise
            raise MoveRefused(f"{member.queue}, which belongs to its dead-letter group, cannot go: {refused}") from None
    named = list(zip(islice(ids, len(members)), members, strict=False))
    if len(named) < len(members):
        raise ValueError(f"ids: the group has {len(members)} queues")
    return tuple(made(request, member, move_id, [i for i, _ in named if i != move_id]) for move_id, member in named)


def onward(request: MoveRequest, view: CatalogView) -> tuple[Move, ...]:
    """Return the moves under way that this order sends on, unchanged: of the queue, and of the dead-letter queues that
    must go with it. Some or all may be on their way there already. Empty if the order is one for a new move. Raises
    MoveRefused."""
    move = view.under_way.get(request.key)
    placement = view.placements.get(request.key)
    if move is None or placement is None:
        return ()
    if not (is_on_its_way(move, request.target) and _is_of(move, placement)):
        if Event.ONWARD not in TABLE[move.state].next:
            return ()
        check_onward(move, placement, request.target, view)
    found = [move]
    group = next(group for group in together(view.placements.values()) if placement in group)
    for member in (p for p in group if p is not placement and _goes_along(p, request.target)):
        mate = view.under_way.get(member.key)
        why = f"{member.queue}, which belongs to its dead-letter group, cannot go"
        if mate is None or mate.id not in move.group:
            raise MoveRefused(f"{why}: it has no part in move {move.id}; wait until that has ended")
        try:
            if not is_on_its_way(mate, request.target):
                check_onward(mate, member, request.target, view)
        except MoveRefused as refused:
            raise MoveRefused(f"{why}: {refused}") from None
        found.append(mate)
    return tuple(found)


def is_on_its_way(move: Move, target: str) -> bool:
    """Return whether ``move`` was switched before and is on its way to ``target`` now."""
    return move.state in UNDER_WAY_AGAIN - {MoveState.REROUTE_UNDOING} and move.destination == target


def check_onward(move: Move, placement: Placement | None, target: str, view: CatalogView) -> None:
    """Raise MoveRefused unless ``move``, which was switched before, may send writes on to ``target``."""
    if placement is None or not _is_of(move, placement):
        raise MoveRefused("the queue was deleted")
    if Event.ONWARD not in TABLE[move.state].next or len(placement.segments) >= view.longest:
        raise MoveRefused(_under_way(move, placement, view.longest))
    if placement.state is not PlacementState.OPEN:
        raise MoveRefused(_NOT_OPEN.get(placement.state, f"it is {placement.state}"))
    if placement.partition == target:
        raise MoveRefused(f"writes go to partition {target} already; move {move.id} is {move.state}")
    check_target(placement.partition, target, view.partitions)
    _check_name(placement, target)


def way_to(target: str, move: Move, placement: Placement | None) -> Event:
    """Return the event that sends the writes of a move under way to ``target``: onward, or reverse."""
    return Event.REVERSE if placement is not None and came_from(move, placement) == target else Event.ONWARD


def _is_of(move: Move, placement: Placement) -> bool:
    # A later queue may have the name of a deleted one.
    return not move.incarnation or placement.incarnation == move.incarnation


def _goes_along(placement: Placement, target: str) -> bool:
    # A reserved placement, of a dead-letter queue that does not exist, has nothing to move.
    return placement.state is not PlacementState.RESERVED and placement.partition != target


def made(request: MoveRequest, placement: Placement, move_id: str, others: Collection[str]) -> Move:
    """Return the record of a move of ``placement``. ``others``: the ids of the other moves of its group."""
    return Move(
        move_id,
        placement.project,
        placement.queue,
        placement.partition,
        request.target,
        created=request.created,
        max_pause_ms=request.max_pause_ms,
        plan=request.plan,
        group=tuple(others),
        incarnation=placement.incarnation,
    )


def check(placement: Placement, target: str, view: CatalogView) -> None:
    """Raise MoveRefused unless this one queue may go to ``target``."""
    move = view.under_way.get(placement.key)
    if move is not None:
        raise MoveRefused(_under_way(move, placement, view.longest))
    if placement.state is PlacementState.SEALING or (placement.move is not None and placement.preparation is None):
        raise MoveRefused(f"move {placement.move} is still under way; wait until it has ended")
    if placement.state is not PlacementState.OPEN:
        raise MoveRefused(_NOT_OPEN[placement.state])
    if placement.partition == target:
        raise MoveRefused(f"it is on partition {target} already")
    if len(placement.segments) >= view.longest:
        raise MoveRefused(_full(placement, view.longest))
    check_target(placement.partition, target, view.partitions)


def check_target(source: str, target: str, partitions: Mapping[str, Partition]) -> None:
    """Raise MoveRefused unless queues may go from partition ``source`` to ``target``."""
    to, come_from = partitions.get(target), partitions.get(source)
    if to is None:
        raise MoveRefused(f"there is no partition {target}")
    if to.state is PartitionState.DISABLED:
        raise MoveRefused(f"partition {target} is disabled: nothing is forwarded to it")
    if not takes(to):
        why = "has weight 0" if to.state is PartitionState.ENABLED else f"is {to.state}"
        raise MoveRefused(f"partition {target} {why}: it takes no more queues")
    if come_from is None or not come_from.api_versions:
        raise MoveRefused(f"the API versions of partition {source} are not known yet; see 'partition show'")
    lacking = [version for version in come_from.api_versions if version not in to.api_versions]
    if lacking:
        raise MoveRefused(
            f"partition {target} does not speak {', '.join(lacking)}, as {source} does; clients may use it"
        )


def takes(partition: Partition) -> bool:
    """Return whether the partition takes queues: it is enabled, and its weight is above 0."""
    return partition.state is PartitionState.ENABLED and partition.weight > 0


_NOT_OPEN = {
    PlacementState.RESERVED: "it does not exist: its place is kept beside a queue whose dead letters it is to take",
    PlacementState.CREATING: "it is being created; try again when it is there",
    PlacementState.DELETING: "it is being deleted",
}


def check_reverse(move: Move, placement: Placement | None, view: CatalogView) -> str:
    """Return the partition that writes go to if ``move`` is reversed: the previous one. Raises MoveRefused, also if a
    move of its group, which is reversed with it, cannot go there."""
    back = _check_back(move, placement, view)
    for mate in (mate for mate in view.under_way.values() if mate.id in move.group):
        member = view.placements.get(mate.key)
        if member is None or not _is_of(mate, member) or not _goes_along(member, back):
            continue
        try:
            check_not_sent_on(mate, member)
            _check_back(mate, member, view)
        except MoveRefused as refused:
            raise MoveRefused(f"{member.queue}, which belongs to its dead-letter group, cannot go: {refused}") from None
    return back


def check_not_sent_on(move: Move, placement: Placement) -> None:
    """Raise MoveRefused if ``move`` is on its way to yet another partition, so that it cannot be reversed."""
    if move.state in UNDER_WAY_AGAIN and _is_of(move, placement) and not goes_back(move, placement):
        undone = move.state is MoveState.REROUTE_UNDOING
        what = "that is being cancelled, try again" if undone else "cancel that first"
        raise MoveRefused(f"it is being sent on to {move.destination}; {what}")


def _check_back(move: Move, placement: Placement | None, view: CatalogView) -> str:
    if placement is None or not _is_of(move, placement):
        raise MoveRefused("the queue was deleted")
    back = came_from(move, placement)
    partition = view.partitions.get(back)
    if partition is None:
        raise MoveRefused(f"there is no partition {back} any more; move the queue elsewhere when this move is done")
    if partition.state is PartitionState.DISABLED:
        raise MoveRefused(f"partition {back} is disabled: nothing is forwarded to it")
    if len(placement.segments) >= view.longest:
        raise MoveRefused(_full(placement, view.longest))
    _check_name(placement, back)
    return back


def _check_name(placement: Placement, target: str) -> None:
    """Raise MoveRefused if a queue would need another name on ``target``, and must keep its own. This stays so while
    the move is under way, because segments are retired at its end."""
    own = placement.queue.removeprefix(TOPIC_PREFIX)
    taken = any(segment.partition == target and segment.backend_name == own for segment in placement.segments)
    if taken and placement.group is not None:
        raise MoveRefused(
            f"it takes dead letters, so it keeps its name, and partition {target} still has its older messages under "
            "that name; when this move is done, order a new one there"
        )


def offers(state: MoveState) -> tuple[str, ...]:
    """Return the names of the events that an operator can cause for a move in this state."""
    return tuple(event.value for event in ORDERS if event in TABLE[state].next)


def _under_way(move: Move, placement: Placement, longest: int) -> str:
    words = f"move {move.id} to {move.destination} is still {move.state}"
    if len(placement.segments) >= longest:
        words += f" and the chain is full ({len(placement.segments)} segments)"
    can = [event for event in offers(move.state) if event in (Event.CANCEL, Event.REVERSE)]
    return f"{words}; wait until it has ended{''.join(f', or {event} it' for event in can)}"


def _full(placement: Placement, longest: int) -> str:
    return (
        f"its chain is full: {len(placement.segments)} segments of at most {longest}; its consumers must empty the "
        "older ones first"
    )
