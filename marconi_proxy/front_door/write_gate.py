"""A worker's right to write, and the calls by which it does: ``fencing.fence`` as calls go through it.

A ``GuardedWrite`` is one call that changes what a queue holds, from before its queue is looked up until nothing more
can come of it. It is the guard of its call upstream: each try asks whether the term is still that in which the queue
was looked up, and whether one was left unanswered is known at the end.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial

from catalog.model import QueueKey
from marconi_proxy.fencing.fence import Fence, Ticket, WriteLease
from marconi_proxy.front_door.refusals import NOT_PROCESSED, RequestRefused, unavailable
from marconi_proxy.upstream.connection import UpstreamAnswer
from marconi_proxy.upstream.errors import Unanswered, Withdrawn

LOG = logging.getLogger(__name__)

# Of a lease: what it is shorter for this worker than for the others, whose clocks may go faster.
MARGIN = 0.1
# Not the partition's word, but of something in front of it that has lost sight of it: the call may still be done.
LOST_SIGHT = frozenset({502, 504})

# Goes on while the machine sleeps, as the lease does (Linux, clock_gettime(2)).
awake_or_not: Callable[[], float] = partial(time.clock_gettime, time.CLOCK_BOOTTIME)


class Late(Unanswered):
    """The answer came when the worker's lease had ended: the call may have gone to a segment that was closed."""


class WriteGate:
    """Belongs to one worker. ``lease``, ``ambiguity``: seconds; ``clock``: seconds since whenever, never set.

    ``late_writes`` counts those whose answers came too late. ``on_end`` is called when writes have ended that may have
    kept this worker from acknowledging a change.
    """

    def __init__(self, lease: float, ambiguity: float, clock: Callable[[], float] = awake_or_not) -> None:
        self.clock = clock
        self.lease = WriteLease(lease, lease * MARGIN)
        self.fence = Fence(ambiguity)
        self.late_writes = 0
        self.on_end: Callable[[], None] | None = None
        self.seconds = lease

    def __repr__(self) -> str:
        return f"<WriteGate {self.lease!r} {self.fence!r} late={self.late_writes}>"

    def close(self) -> None:
        """Begin no write from here on."""
        self.lease.close()

    def begin(self, key: QueueKey, *, lasting: bool) -> GuardedWrite:
        """Count a call that writes, before its queue is looked up. Raises RequestRefused if this worker must not write.

        ``lasting``: count it as in flight until the ambiguity window ends, even after its client gave up; no segment
        may open before then.
        """
        ticket = self.fence.begin(key)
        term = self.lease.term(self.clock())
        if not term:
            self.end(ticket)
            raise self.refusal()
        return GuardedWrite(self, ticket, term, lasting=lasting)

    def refusal(self) -> RequestRefused:
        """Return what a call is told that this worker must not do."""
        return unavailable(f"This server cannot reach the catalog and takes no writes. {NOT_PROCESSED}")

    def holds(self, term: int) -> bool:
        """Tell whether what was looked up in this term is known still."""
        return self.lease.term(self.clock()) == term

    def end(self, ticket: Ticket, *, ambiguous: bool = False) -> None:
        """Give a write back."""
        self.fence.end(ticket, self.clock() if ambiguous else 0.0, ambiguous)
        if ticket.overtaken and self.on_end is not None:
            self.on_end()

    def ended(self, ticket: Ticket, term: int, answer: UpstreamAnswer, ambiguous: bool) -> Late | None:
        """Give a write back that was sent once and answered. Returns what to raise if that was late.

        PERF: for calls that need no ``GuardedWrite``.
        """
        lease = self.lease
        late = None if self.clock() < lease.until and lease.number == term else self.late(answer)
        if ambiguous or ticket.overtaken:
            self.end(ticket, ambiguous=ambiguous)
        else:
            self.fence.end(ticket, 0.0)
        return late

    def failed(self, ticket: Ticket, term: int, *, lasting: bool) -> GuardedWrite:
        """Return a write that was sent once, and not answered, as it goes on."""
        write = GuardedWrite(self, ticket, term, lasting=lasting)
        write.unanswered = 1
        return write

    def late(self, answer: UpstreamAnswer) -> Late:
        """Count a late write and give up its answer; return what to raise."""
        self.late_writes += 1
        LOG.warning("late write %d of this worker: its lease ended before the answer came", self.late_writes)
        answer.abandon()
        return Late("this worker's lease ended before the answer came")


class GuardedWrite:
    """One call. ``WriteGate`` makes it; ``end`` it once. ``unanswered``: how many of its tries were."""

    __slots__ = ("_gate", "_lasting", "_term", "_ticket", "unanswered")

    def __init__(self, gate: WriteGate, ticket: Ticket, term: int, *, lasting: bool) -> None:
        self._gate = gate
        self._ticket = ticket
        self._term = term
        self._lasting = lasting
        self.unanswered = 0

    @property
    def overtaken(self) -> bool:
        """Whether a change of its queue was shown since it began: what was looked up may be from before it."""
        return self._ticket.overtaken

    def sending(self) -> None:
        """As ``upstream.exchange.Guard``: raises Withdrawn if the term has ended in which its queue was looked up."""
        if not self._gate.holds(self._term):
            raise Withdrawn("this worker's lease ended before the call was sent")
        self.unanswered += 1

    def answered(self, status: int) -> None:
        """As ``upstream.exchange.Guard``."""
        if status not in LOST_SIGHT:
            self.unanswered -= 1

    def check(self, answer: UpstreamAnswer) -> None:
        """Raise Late if the term has ended, so that the answer must not be believed. Gives the answer up then."""
        if not self._gate.holds(self._term):
            raise self._gate.late(answer)

    def end(self) -> None:
        """Give it back. It counts on if it lasts and a try was left unanswered."""
        self._gate.end(self._ticket, ambiguous=self._lasting and self.unanswered > 0)
