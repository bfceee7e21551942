"""Every kind of disagreement between catalog and partitions, with its repair. One table, which the documentation
shows."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class FindingKind(StrEnum):
    """The kinds of findings, as operators see them."""

    GHOST = "ghost"
    ORPHAN = "orphan"
    LEFTOVER = "leftover"
    DOUBLE = "double"
    FOREIGN_WRITER = "foreign-writer"
    DRIFT = "drift"
    UNFINISHED = "unfinished"
    STRANDED = "stranded"


class Meaning(NamedTuple):
    """``repair``: the automatic repair, empty if there is none; ``otherwise``: the action of the operator, and why."""

    what: str
    repair: str
    otherwise: str


KINDS: Mapping[FindingKind, Meaning] = {
    FindingKind.GHOST: Meaning(
        "The catalog has the queue on a partition that does not have it: the queue was deleted there directly, or the "
        "partition has lost it. Clients see an empty queue without metadata, those of v1 no queue (404).",
        "The queue is created on the partition again, as by a post in v1.1 or v2, without touching later arrivals. A "
        "queue that is being moved gets the metadata of its previous place. Removing the placement instead would lose "
        "posts in flight.",
        "If the queue is not wanted, delete it through the front door.",
    ),
    FindingKind.ORPHAN: Meaning(
        "A partition has a queue that is unknown to the catalog: it was created there directly, or the catalog was "
        "restored from an earlier backup. Clients of the front door do not see it.",
        "",
        "If it is wanted, adopt it: marconi-proxy catalog adopt plan PARTITION. It is not deleted, because it may "
        "hold messages.",
    ),
    FindingKind.LEFTOVER: Meaning(
        "A partition has a queue under a name that only a move assigns, and that move has ended: no placement names "
        "it, and none ever will.",
        "An empty one is deleted. The name has no other use, and numbers of segments are never reused.",
        "One with messages is kept: they arrived after the queue was found empty, and not through the front door. "
        "Read them directly, and delete the queue there.",
    ),
    FindingKind.DOUBLE: Meaning(
        "A queue of one project and name is on several partitions, and the catalog does not name all of them. Clients "
        "of the front door cannot reach the other copies: a client writes to a partition directly, or did so before "
        "the adoption.",
        "",
        "Decide which copy counts, or in which order they are read: marconi-proxy catalog adopt plan PARTITION... "
        "shows the queue as a conflict, with its rules.",
    ),
    FindingKind.FOREIGN_WRITER: Meaning(
        "A message was posted to a sealed segment of a queue, longer after its switch than any call of the front door "
        "may take: a client writes to the partition directly, or a worker was frozen for that time. Not reported for "
        "segments on a partition where the project has more than 500 queues: the store may have put the message "
        "there, as the dead letter of any of them, and checking them all would take too long.",
        "",
        "The message is delivered, but out of order, and the move does not end while such messages arrive. Find the "
        "client that bypasses the front door. Once the segment is retired, its posts create a queue there again: a "
        "double, or a leftover with messages.",
    ),
    FindingKind.DRIFT: Meaning(
        "The segments of a queue that is being moved have different metadata: a change did not reach all of them, "
        "because a partition was down.",
        "The older segments get the metadata of the last one, which clients see.",
        "",
    ),
    FindingKind.UNFINISHED: Meaning(
        "A queue is being created, deleted or switched for longer than any call may take: the worker or mover died, "
        "and no call has used the queue since.",
        "The operation is finished as by the next call: a queue that exists on its partition counts as created, an "
        "interrupted deletion is completed, and a seal is aborted.",
        "",
    ),
    FindingKind.STRANDED: Meaning(
        "A queue has older segments, and no move that empties them: an adoption was interrupted between its two "
        "writes, or the record of the move was lost. Clients are not affected, but the state persists, and blocks "
        "other moves of the queue.",
        "The queue gets a move, which is paused-after-switch and so deletes nothing. Resume it when no client writes "
        "to the older segments directly; an interrupted adoption continues when its plan is applied again. If there "
        "are no older segments, the reference to the move is removed from the placement.",
        "",
    ),
}
