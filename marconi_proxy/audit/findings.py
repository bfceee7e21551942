"""The rules of the audit: which queues to inspect, and which findings an observation has. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from catalog.model import TOPIC_PREFIX, LogEntry, Move, MoveState, Placement, PlacementState
from marconi_proxy.audit.kinds import FindingKind
from marconi_proxy.audit.observation import Finding, Observation
from marconi_proxy.moving.execution.progress import moment
from marconi_proxy.moving.protocol.machine import before_switch

_PASSING = frozenset({PlacementState.CREATING, PlacementState.DELETING, PlacementState.SEALING})


class AuditBounds(NamedTuple):
    """``unfinished``: seconds after which no process works on a placement in a passing state any more.

    ``late``: seconds after a switch in which an earlier write may still arrive. Both include the difference of clocks.
    """

    unfinished: float
    late: float


def own_name(queue: str) -> str:
    return queue.removeprefix(TOPIC_PREFIX)


def needs_inspection(
    placement: Placement | None,
    name: str,
    found_on: Collection[str],
    listed: Collection[str],
    asked: Collection[str],
    now: float,
    bounds: AuditBounds,
) -> tuple[bool, tuple[str, ...]]:
    """Return whether to inspect a queue, and the partitions with an unexpected copy: one of its ``name`` that the
    placement does not account for.

    ``found_on``: the partitions that list the name. ``listed``: all partitions that were listed. ``asked``: the
    partitions in the scope of the audit. ``now``: seconds since 1970.
    """
    if placement is None:
        return bool(found_on), tuple(sorted(found_on))
    named = set()
    if placement.state is not PlacementState.RESERVED:
        named = {segment.partition for segment in placement.segments if segment.backend_name == name}
    unexpected = tuple(sorted(set(found_on) - named))
    if unexpected or (placement.state in _PASSING and _is_old(placement, now, bounds)):
        return True, unexpected
    if placement.state is not PlacementState.OPEN:
        return False, ()
    last = placement.segments[-1]
    if len(placement.segments) > 1 or placement.move is not None:
        return any(segment.partition in asked for segment in placement.segments), ()
    if last.partition not in asked:
        return False, ()
    return not (last.backend_name == name and last.partition in listed and last.partition in found_on), ()


def _is_old(placement: Placement, now: float, bounds: AuditBounds) -> bool:
    return now - placement.since > bounds.unfinished


def judge(observation: Observation, bounds: AuditBounds) -> frozenset[Finding]:
    """Return all findings of an observation."""
    return frozenset((*_placed(observation, bounds), *_unexpected(observation)))


def _placed(observation: Observation, bounds: AuditBounds) -> Iterator[Finding]:
    placement = observation.placement
    if placement is None:
        return
    last = placement.segments[-1]
    proof = (placement.incarnation, placement.epoch)
    if placement.state in _PASSING and _is_old(placement, observation.now, bounds):
        words = f"{placement.state} since {moment(placement.since)}"
        yield _finding(
            observation, FindingKind.UNFINISHED, last.partition, last.backend_name, proof, words, repairable=True
        )
    if placement.state is not PlacementState.OPEN:
        return
    if observation.there is False:
        words = f"open in the catalog, but missing on {last.partition}"
        yield _finding(observation, FindingKind.GHOST, last.partition, last.backend_name, proof, words, repairable=True)
    if _is_stranded(placement, observation.move):
        what = (
            f"{len(placement.segments) - 1} older segments" if len(placement.segments) > 1 else "a reference to a move"
        )
        words = f"{what}, but no such move in progress"
        yield _finding(
            observation, FindingKind.STRANDED, last.partition, last.backend_name, proof, words, repairable=True
        )
    since = written_until(observation.move, placement)
    for part in observation.parts:
        if part.unlike:
            words = f"metadata differs from that on {last.partition}: {part.unlike}"
            drifted = (*proof, part.unlike, part.digest)
            yield _finding(
                observation, FindingKind.DRIFT, part.partition, part.backend_name, drifted, words, repairable=True
            )
        if part.age is None or since is None or observation.dead_letters or placement.group is not None:
            continue
        if (posted := observation.now - part.age) > since + bounds.late:
            words = f"a message was posted at about {moment(posted)}, after the switch at {moment(since)}"
            yield _finding(observation, FindingKind.FOREIGN_WRITER, part.partition, part.backend_name, proof, words)


def _is_stranded(placement: Placement, move: Move | None) -> bool:
    """Return whether a queue waits for a move that does not exist. A move before its seal counts as existing."""
    if placement.move is None:
        return len(placement.segments) > 1 and move is None
    return move is None or move.id != placement.move


def written_until(move: Move | None, placement: Placement) -> float | None:
    """Return until when clients may have written to the sealed segments, in seconds since 1970, None if unknown.

    This is the time of the last switch. Clients may write directly to the older segments of an adopted queue until the
    operator resumes its move, which began suspended.
    """
    if (
        move is None
        or move.id != placement.move
        or move.incarnation != placement.incarnation
        or before_switch(move.state)
    ):
        return None
    switched = move.progress.switched_at
    if switched is None:
        return None
    log = move.log
    if log and log[0].state is MoveState.SUSPENDED:
        resumed = next((entry for entry in log if entry.state is not MoveState.SUSPENDED), None)
        return None if resumed is None else max(switched, resumed.at)
    return switched if _is_whole(log) else None


def _is_whole(log: tuple[LogEntry, ...]) -> bool:
    """Return whether a log still has its first entry, the state in which the move began."""
    return bool(log) and before_switch(log[0].state)


def _unexpected(observation: Observation) -> Iterator[Finding]:
    name = own_name(observation.key.queue)
    placed = observation.placement is not None and observation.placement.state is not PlacementState.RESERVED
    for copy in observation.unexpected_copies:
        place = copy.partition
        if copy.move is not None:
            empty = copy.holds == 0
            words = f"left by move {copy.move}" + ("" if empty else f", with {copy.holds} messages")
            proof = (copy.move, empty)
            yield _finding(observation, FindingKind.LEFTOVER, place, name, proof, words, repairable=empty)
        elif placed or len(observation.unexpected_copies) > 1:
            others = {one.partition for one in observation.unexpected_copies} - {place}
            if observation.placement is not None and placed:
                words = f"placed on {observation.placement.partition}, and found on {place} as well"
            else:
                words = f"without a placement, and found on {', '.join(sorted(others))} as well"
            yield _finding(observation, FindingKind.DOUBLE, place, name, (), words)
        else:
            yield _finding(observation, FindingKind.ORPHAN, place, name, (), "not in the catalog")


def _finding(
    observation: Observation,
    kind: FindingKind,
    partition: str,
    backend_name: str,
    proof: tuple[object, ...],
    words: str,
    *,
    repairable: bool = False,
) -> Finding:
    project, queue = observation.key
    return Finding(kind, project, queue, partition, backend_name, proof, words, repairable)
