"""A worker's right to write, and its calls that write: ``fencing.fence`` applied to calls.

A ``WritePermit`` lets one call change the content of a queue, from before the lookup of the queue until no further
effect of the call is possible. It is the guard of the call upstream: each try checks that the term of the lookup still
lasts, and counts as unanswered until its answer comes. A call to a partition that fences is also ``stamped`` with the
epoch of its placement.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial

from catalog.model import Placement, QueueKey
from marconi_proxy.fencing.fence import Fence, Ticket, WriteLease
from marconi_proxy.front_door.refusals import NOT_PROCESSED, RequestRefused, unavailable
from marconi_proxy.routing.decision import is_held
from marconi_proxy.routing.headers import epoch_line
from marconi_proxy.routing.route import ParsedRoute
from marconi_proxy.upstream.connection import UpstreamAnswer
from marconi_proxy.upstream.errors import Unanswered, Withdrawn
from marconi_proxy.upstream.exchange import Upstream, UpstreamCall

LOG = logging.getLogger(__name__)

# The part of a lease that this worker does not use, because the clocks of movers may run faster than its own.
MARGIN = 0.1
# The answers of an intermediary that has lost sight of the partition: the call may still be processed.
LOST_SIGHT = frozenset({502, 504})

# A clock that goes on while the machine sleeps, as the lease does (Linux, clock_gettime(2)).
awake_or_not: Callable[[], float] = partial(time.clock_gettime, time.CLOCK_BOOTTIME)


class Late(Unanswered):
    """The answer came after the end of the worker's lease: the call may have gone to a closed segment."""


class WriteGate:
    """The writes of one worker. ``lease``, ``ambiguity``: seconds; ``clock``: monotonic seconds.

    ``late_writes`` counts the writes with late answers. ``on_end`` is called at the end of a write to a queue
    that has changed meanwhile: the write may have kept this worker from acknowledging a seal.
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
        """Begin no further write."""
        self.lease.close()

    def begin(self, key: QueueKey, *, lasting: bool) -> WritePermit:
        """Count a call that writes, before its queue is looked up. Raises RequestRefused if this worker must not write.

        ``lasting``: count it as in flight until the ambiguity window ends, even after its client gave up; no segment
        may open before then.
        """
        ticket = self.fence.begin(key)
        term = self.lease.term(self.clock())
        if not term:
            self.end(ticket)
            raise self.refusal()
        return WritePermit(self, ticket, term, lasting)

    def begin_at_once(self, key: QueueKey, *, lasting: bool) -> WritePermit | None:
        """Begin a write as ``begin`` does, and count its first try; return None, and count nothing, without a lease.

        For a call that is sent in the step that has looked its queue up: the order of lookup and ``begin`` is free.
        """
        lease = self.lease
        if self.clock() >= lease.until:
            return None
        permit = WritePermit(self, self.fence.begin(key), lease.number, lasting)
        permit.unanswered = 1
        return permit

    def refusal(self) -> RequestRefused:
        """Return the refusal of a write without a lease."""
        return unavailable(f"This server cannot reach the catalog and takes no writes. {NOT_PROCESSED}")

    def holds(self, term: int) -> bool:
        """Return whether knowledge of this term is still valid."""
        return self.lease.term(self.clock()) == term

    def end(self, ticket: Ticket, *, ambiguous: bool = False) -> None:
        """End a write."""
        self.fence.end(ticket, self.clock() if ambiguous else 0.0, ambiguous)
        if ticket.overtaken and self.on_end is not None:
            self.on_end()

    def late(self, answer: UpstreamAnswer) -> Late:
        """Count a late write and give up its answer; return the error to raise."""
        self.late_writes += 1
        LOG.warning("late write %d of this worker: its lease ended before the answer came", self.late_writes)
        answer.abandon()
        return Late("this worker's lease ended before the answer came")


class WritePermit:
    """Made by ``WriteGate`` for one call. ``end`` it once. ``unanswered``: the number of tries without an answer."""

    __slots__ = ("_gate", "_lasting", "_term", "_ticket", "unanswered")

    def __init__(self, gate: WriteGate, ticket: Ticket, term: int, lasting: bool) -> None:
        self._gate = gate
        self._ticket = ticket
        self._term = term
        self._lasting = lasting
        self.unanswered = 0

    @property
    def overtaken(self) -> bool:
        """Return whether the feed has shown a change of its queue since it began, so that its placement may be
        stale."""
        return self._ticket.overtaken

    def sending(self) -> None:
        """Count a try, as ``upstream.exchange.Guard``. Raises Withdrawn if the term of its lookup has ended."""
        if not self._gate.holds(self._term):
            raise Withdrawn("this worker's lease ended before the call was sent")
        self.unanswered += 1

    def answered(self, status: int) -> None:
        """Count an answer, as ``upstream.exchange.Guard``."""
        if status not in LOST_SIGHT:
            self.unanswered -= 1

    def late(self, answer: UpstreamAnswer) -> Late | None:
        """Return Late, and give up the answer, if the term has ended: the answer must not be trusted then."""
        return None if self._gate.holds(self._term) else self._gate.late(answer)

    def check(self, answer: UpstreamAnswer) -> None:
        """Raise the error that ``late`` returns."""
        late = self.late(answer)
        if late is not None:
            raise late

    def end(self) -> None:
        """End the write. It stays in flight if it is lasting and a try was left unanswered."""
        self._gate.end(self._ticket, ambiguous=self._lasting and self.unanswered > 0)


def stamp(route: ParsedRoute, placement: Placement, upstream: Upstream) -> bytes:
    """Return the header line by which a partition that fences refuses a write of an epoch before a switch; b"" for
    other calls and partitions."""
    if upstream.fences and is_held(route.rule):
        return epoch_line(placement.incarnation, placement.epoch)
    return b""


def stamped(call: UpstreamCall, route: ParsedRoute, placement: Placement, upstream: Upstream) -> UpstreamCall:
    """Return the call with the line of ``stamp``, if any."""
    line = stamp(route, placement, upstream)
    return call._replace(lines=call.lines + line) if line else call
