"""The changes of a placement by a move: one value to the next, ``epoch`` plus one, to be stored by compare-and-set.

A chain is sealed segments and one open segment behind them. Writes go to that last one. ``prepare`` announces a seal,
and ``withdraw`` ends that, both without effect on writes. ``seal`` makes writes wait;
then ``switch`` opens a new segment behind the last, or ``abort`` lets writes continue where they went. ``retire``
removes a sealed segment that is known to be empty. Numbers of segments are never reused, and the last is never retired,
so a reference to a retired segment continues at the first one with a higher number. ``hidden_name`` makes the name of
a new segment's queue on its partition.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

from catalog.model import TOPIC_PREFIX, Placement, PlacementState, Segment

_LONGEST_NAME = 64


class TransitionRefused(ValueError):
    """The placement does not allow the change. The message is for operators."""


class NotOpen(TransitionRefused):
    """The queue is being created, deleted or switched."""


class NotSealing(TransitionRefused):
    """No seal is in force: it was aborted or switched already."""


class UnderWay(TransitionRefused):
    """Another move has this queue. ``move`` is its id."""

    def __init__(self, move: str) -> None:
        super().__init__(f"the move {move} of this queue is still under way")
        self.move = move


class ChainFull(TransitionRefused):
    """The queue has the maximum number of segments: older ones must be emptied first."""


class AlreadyThere(TransitionRefused):
    """The queue is on the destination already."""


class NotSealed(TransitionRefused):
    """The segment is not in the chain, or it takes writes."""


class NotReserved(TransitionRefused):
    """The queue may exist, so only a move may bring it to another partition."""


def prepare(placement: Placement, move: str) -> Placement:
    """Announce a seal in the name of ``move``, for a queue of one segment.

    A worker that acknowledges the preparation must ``withdraw`` it before it uses the queue again. So a seal that
    follows directly, which is a compare-and-set on the prepared placement, finds that worker without any write.

    Raises NotOpen, UnderWay.
    """
    _must_be_open(placement)
    if placement.move is not None:
        raise UnderWay(placement.move)
    return replace(placement, epoch=placement.epoch + 1, move=move)


def withdraw(placement: Placement) -> Placement:
    """End a preparation: a seal that relies on it fails its compare-and-set."""
    return replace(placement, epoch=placement.epoch + 1, move=None)


def seal(placement: Placement, move: str, now: float, longest: int) -> Placement:
    """Make writes wait, in the name of ``move``. ``longest``: the most segments that the chain may come to have.

    Raises NotOpen, UnderWay, ChainFull. The move under way may seal again: a reversal does. The preparation of another
    move is a leftover: a queue has one unfinished move at most.
    """
    _must_be_open(placement)
    if placement.move not in (None, move) and placement.preparation is None:
        raise UnderWay(str(placement.move))
    if len(placement.segments) >= longest:
        raise ChainFull(f"the queue has {len(placement.segments)} segments already, of at most {longest}")
    return replace(placement, epoch=placement.epoch + 1, state=PlacementState.SEALING, since=now, move=move)


def switch(placement: Placement, move: str, partition: str, backend_name: str, now: float) -> Placement:
    """Open a segment behind the last one: from here on writes go to queue ``backend_name`` on ``partition``.

    The caller must know that no worker writes to the last segment any more. Raises NotSealing, UnderWay, AlreadyThere.
    """
    _must_be_sealing(placement)
    if placement.move is not None and placement.move != move:
        raise UnderWay(placement.move)
    last = placement.segments[-1]
    if last.partition == partition:
        raise AlreadyThere(f"the queue is on partition {partition} already")
    segments = (
        *placement.segments[:-1],
        replace(last, sealed=True),
        Segment(placement.next_n, partition, backend_name),
    )
    return replace(
        placement, epoch=placement.epoch + 1, state=PlacementState.OPEN, since=now, segments=segments, move=move
    )


def abort(placement: Placement, now: float) -> Placement:
    """Let writes continue where they went. Always safe: no segment was opened. Raises NotSealing.

    A queue of one segment then has no move. A longer chain keeps its move, which still has to end it.
    """
    _must_be_sealing(placement)
    move = placement.move if len(placement.segments) > 1 else None
    return replace(placement, epoch=placement.epoch + 1, state=PlacementState.OPEN, since=now, move=move)


def bar(placement: Placement, now: float) -> Placement:
    """Bump the epoch only, so that a writer holding a stale read fails its compare-and-set.

    First store that the move is over, then bar, and only then undo the preparation of a switch: between the first two,
    a mover that was frozen may still seal and switch, but not later. A seal is aborted. Raises NotOpen.
    """
    if placement.state is PlacementState.SEALING:
        return abort(placement, now)
    _must_be_open(placement)
    move = placement.move if len(placement.segments) > 1 else None
    return replace(placement, epoch=placement.epoch + 1, since=now, move=move)


def retire(placement: Placement, n: int, now: float) -> Placement:
    """Remove the sealed segment ``n`` from the chain; with the last of them the move ends.

    The caller must know that the segment is empty and that nothing can arrive in it. Raises NotOpen, NotSealed.
    """
    _must_be_open(placement)
    segments = tuple(segment for segment in placement.segments if segment.n != n)
    if len(segments) == len(placement.segments):
        raise NotSealed(f"the queue has no segment {n}")
    if n == placement.segments[-1].n:
        raise NotSealed(f"segment {n} is the last one: it takes the writes")
    move = placement.move if len(segments) > 1 else None
    return replace(placement, epoch=placement.epoch + 1, since=now, segments=segments, move=move)


def rehome(placement: Placement, partition: str, now: float) -> Placement:
    """Reserve the place of a nonexistent dead-letter queue on another partition: its source is there now.

    Its segment gets a new number: the queue may have existed before, and no old id may ever mean a new message. Raises
    NotReserved.
    """
    if placement.state is not PlacementState.RESERVED:
        raise NotReserved(f"the queue is {placement.state}")
    segment = Segment(placement.next_n, partition, placement.queue.removeprefix(TOPIC_PREFIX))
    return replace(placement, epoch=placement.epoch + 1, since=now, segments=(segment,))


def _must_be_open(placement: Placement) -> None:
    if placement.state is not PlacementState.OPEN:
        raise NotOpen(f"the queue is {placement.state}")


def _must_be_sealing(placement: Placement) -> None:
    if placement.state is not PlacementState.SEALING:
        raise NotSealing(f"the queue is {placement.state}, not being switched")


def hidden_name(project: str, queue: str, incarnation: str, n: int, attempt: str = "") -> str:
    """Return the name of segment ``n`` on its partition; every segment but the first has a name of its own.

    ``attempt`` distinguishes attempts to open that segment: a queue of an abandoned attempt may still be deleted late.
    So no name is ever reused on a partition, and neither a stale reader nor a late deletion meets a newer segment under
    its name.

    The name is legal everywhere (API section 1.4; without the dot that early releases refuse). Clients do not hit it by
    accident: it has the number and a hash of everything that identifies the queue.
    """
    spelled = "\0".join((project, queue, incarnation, str(n), attempt))
    suffix = f"-{n}-{sha256(spelled.encode()).hexdigest()[:12]}"
    return queue.removeprefix(TOPIC_PREFIX)[: _LONGEST_NAME - len(suffix)] + suffix
