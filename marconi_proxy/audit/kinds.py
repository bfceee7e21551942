"""Every kind of disagreement between catalog and partitions: what it is, and what is done about it. One table, which
the documentation shows."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    GHOST = "ghost"
    ORPHAN = "orphan"
    LEFTOVER = "leftover"
    DOUBLE = "double"
    FOREIGN_WRITER = "foreign-writer"
    DRIFT = "drift"
    UNFINISHED = "unfinished"
    STRANDED = "stranded"


class Meaning(NamedTuple):
    """``repair``: what is done about it, empty if nothing; ``otherwise``: what an operator can do, and why not we."""

    what: str
    repair: str
    otherwise: str


KINDS: Mapping[Kind, Meaning] = {
    Kind.GHOST: Meaning(
        "The catalog has the queue on a partition that does not have it: somebody has deleted it there directly, or "
        "the partition has lost it. Clients see an empty queue without metadata, those of v1 none (404).",
        "It is made on the partition again, as a post in v1.1 or v2 would do, and nothing that may have come "
        "meanwhile is touched. Of a queue that is being moved it gets the metadata of the place before. To remove "
        "the placement instead would lose what is just being posted.",
        "If it was to be deleted, delete it through the front door.",
    ),
    Kind.ORPHAN: Meaning(
        "A partition has a queue of which the catalog knows nothing: it was made there directly, or the catalog was "
        "restored from before it was made. Clients of the front door do not see it.",
        "",
        "Only you know whether it is wanted: marconi-proxy catalog adopt plan PARTITION. It may hold messages, so "
        "it is not deleted.",
    ),
    Kind.LEFTOVER: Meaning(
        "A partition has a queue under a name that only a move gives, and that move is over: no placement names it, "
        "and none ever will.",
        "If it is empty it is deleted. Nobody else uses the name, and numbers of segments are never given twice.",
        "What holds messages is kept: they came after it was seen to be empty, by a way that is not the front "
        "door's. Read them directly, and delete it there.",
    ),
    Kind.DOUBLE: Meaning(
        "A queue of one project and name is on several partitions, and the catalog names not all of them. What is "
        "elsewhere is out of reach of clients of the front door: somebody writes to a partition directly, or did "
        "before it was adopted.",
        "",
        "Which of them counts, or in which order they are to be read, is for you to decide: marconi-proxy catalog "
        "adopt plan PARTITION... shows it as a conflict, with its rules.",
    ),
    Kind.FOREIGN_WRITER: Meaning(
        "A message was posted to a part of a queue that takes no writes any more, longer after its switch than any "
        "call of the front door may take: somebody writes to the partition directly, or a worker was frozen all "
        "that time. Not told of parts on a partition where the project has more than 500 queues: the store may have "
        "put the message there, as the dead letter of any of them, and to ask them all would take too long.",
        "",
        "The message is delivered, but out of order, and the move does not end while such messages come. Find the "
        "client that does not use the front door. Once the part is retired, its posts make a queue there anew: a "
        "double, or a leftover with messages.",
    ),
    Kind.DRIFT: Meaning(
        "The parts of a queue that is being moved have different metadata: a change reached not all of them, as a "
        "partition was away.",
        "The older parts get that of the last one, which is what clients see.",
        "",
    ),
    Kind.UNFINISHED: Meaning(
        "A queue is being created, deleted or switched for longer than any call may take: who did it died, and "
        "nobody has called the queue since.",
        "It is finished as the next call would: what is on its partition counts as created; what is to be deleted "
        "is deleted; a seal is taken back.",
        "",
    ),
    Kind.STRANDED: Meaning(
        "A queue has older parts, and no move that empties them: an adoption was broken off between its two writes, or "
        "the record of the move was lost. Clients notice nothing, but it stays so, and no other move can have the "
        "queue.",
        "It gets a move, which is suspended and so deletes nothing. Resume that when no client writes to the older "
        "parts directly; what was being adopted goes on when its plan is applied again. If there are no older parts, "
        "the placement forgets the move.",
        "",
    ),
}
