"""What keeps a worker from writing to a segment after another was opened behind it. Pure: clocks are arguments.

The order of a write is the whole protection; each step is wrong without the one before::

    ticket = fence.begin(key)                  counted, before anything is known
    term = lease.term(now)                     0: refuse; nobody may rely on what this worker knows
    placement = look it up                     from the cache, or from the catalog
    lease.term(now) == term, or begin again    what was known in an earlier term is not known any more
    send; wait for the answer
    lease.term(now) == term, or it was late    this process was frozen: the write may have gone to a retired segment
    fence.end(ticket, now, ambiguous)          ambiguous: sent, and no answer

A late write is counted and never answered with success, nor sent again: nobody can tell whether it will be read.

And of a change of a queue that the feed shows, in one go: forget the placement, ``fence.change``. The worker then
acknowledges ``fence.acks(now)``: the seals in force, one by one. A queue whose writes hang is not acknowledged and is
not switched; it holds up no other queue.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable


class WriteLease:
    """This worker's right to write, as far as it can know it: for ``duration`` seconds after a renewal was stored.

    It cannot know when a renewal was stored, only that this was not before it was sent: so that is what counts, less
    ``margin`` for clocks that go at different rates. Times are of one monotonic clock of the worker.

    A lease that has lapsed and is renewed begins a new *term*. Whatever the worker knew before is void then: while it
    did not count, queues may have been switched without asking it.

    PERF: ``until`` and ``number`` are what ``term`` is made of, for whom a call is too much. To be read only.
    """

    __slots__ = ("_duration", "_margin", "number", "until")

    def __init__(self, duration: float, margin: float) -> None:
        if not 0 <= margin < duration:
            raise ValueError(f"margin: {margin!r} is not from 0 to less than the lease of {duration!r} s")
        self._duration = duration
        self._margin = margin
        self.until = float("-inf")
        self.number = 0

    def __repr__(self) -> str:
        return f"<Lease until {self.until} term={self.number}>"

    def sent(self, now: float) -> float:
        """Tell that a renewal is about to be sent. Return what ``confirmed`` must be given if it succeeds."""
        return now

    def confirmed(self, renewal: float, now: float) -> bool:
        """Take in that a renewal was stored. Return whether a new term begins by it: all that is known is void.

        The caller must forget it (cached placements, readings under way) before it lets anybody write. Answers may
        come late and out of order. A renewal whose answer comes when it is over already begins nothing.
        """
        until = renewal + self._duration - self._margin
        begins = now >= self.until and now < until
        if begins:
            self.number += 1
        if until > self.until:
            self.until = until
        return begins

    def revoke(self) -> None:
        """End the term: the catalog does not know this worker any more, so no mover waits for it."""
        self.until = float("-inf")

    def close(self) -> None:
        """End the term, and begin no other: also not by a renewal that is in flight."""
        self._duration = float("-inf")
        self.revoke()

    def term(self, now: float) -> int:
        """Return the number of the term, from 1; 0 if this worker must not write."""
        return self.number if now < self.until else 0

    def may_write(self, now: float) -> bool:
        """Tell whether a write may be started."""
        return now < self.until

    def left(self, now: float) -> float:
        """How many seconds are left, 0 if none are."""
        return max(0.0, self.until - now)


class Ticket:
    """The writes of one queue that began between the same two changes of it, and are under way. ``Fence`` makes it.

    ``overtaken``: a change of the queue was shown since they began.
    """

    __slots__ = ("key", "overtaken", "writes")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.writes = 0
        self.overtaken = False

    def __repr__(self) -> str:
        return f"<Ticket {self.key!r} writes={self.writes}{' overtaken' if self.overtaken else ''}>"


class Fence:
    """Counts the writes of this worker that are under way. Knows queues by any hashable ``key``, and the seals that are
    in force by any hashable value.

    ``ambiguity``: for how many seconds a write that was sent and not answered may still be done by its partition.

    PERF: ``begin`` and ``end`` are on the path of every write: one look in a dictionary each, while nothing changes.
    """

    __slots__ = ("_ambiguity", "_ambiguous", "_current", "_overtaken", "_seals")

    def __init__(self, ambiguity: float = 60.0) -> None:
        self._ambiguity = ambiguity
        self._current: dict[Hashable, Ticket] = {}
        self._overtaken: dict[Hashable, list[Ticket]] = {}
        self._seals: dict[Hashable, Hashable] = {}
        self._ambiguous: deque[tuple[float, Ticket]] = deque()

    def __repr__(self) -> str:
        return (
            f"<Fence {len(self._current)} queues, {len(self._overtaken)} overtaken, {len(self._seals)} seals, "
            f"{len(self._ambiguous)} ambiguous>"
        )

    def begin(self, key: Hashable) -> Ticket:
        """Count a write, *before* the placement of its queue is looked up. Each one is given back by one ``end``."""
        ticket = self._current.get(key)
        if ticket is None:
            ticket = self._current[key] = Ticket(key)
        ticket.writes += 1
        return ticket

    def end(self, ticket: Ticket, now: float, ambiguous: bool = False) -> None:
        """Give a write back: it was answered, or never sent. ``ambiguous``: it was sent and not answered.

        An ambiguous one goes on counting for as long as it may still be done.
        """
        if ambiguous:
            self._ambiguous.append((now + self._ambiguity, ticket))
            return
        ticket.writes -= 1
        if not ticket.writes:
            if ticket.overtaken:
                tickets = self._overtaken[ticket.key]
                tickets.remove(ticket)
                if not tickets:
                    del self._overtaken[ticket.key]
            else:
                del self._current[ticket.key]

    def change(self, key: Hashable, seal: Hashable | None) -> None:
        """Take in that a queue has changed: it has ``seal`` now, or none. A seal that was in force before is over."""
        ticket = self._current.pop(key, None)
        if ticket is not None:
            ticket.overtaken = True
            self._overtaken.setdefault(key, []).append(ticket)
        if seal is None:
            self._seals.pop(key, None)
        else:
            self._seals[key] = seal

    def missed(self) -> None:
        """Take in that the feed was cut and begins anew: any queue may have changed meanwhile.

        No seal is acknowledged before it is taken in again by ``change``.
        """
        for key in list(self._current):
            self.change(key, None)
        self._seals.clear()

    def acks(self, now: float) -> frozenset[Hashable]:
        """Return the seals in force that can be acknowledged: no write of the queue that was begun before the seal was
        taken in is under way. What can be acknowledged once, always can."""
        self._expire(now)
        if not self._seals:
            return frozenset()
        return frozenset(seal for key, seal in self._seals.items() if key not in self._overtaken)

    def idle(self, now: float) -> bool:
        """Tell whether no write is under way, so that this worker may sign off rather than wait out its lease."""
        self._expire(now)
        return not self._current and not self._overtaken

    def _expire(self, now: float) -> None:
        ambiguous = self._ambiguous
        while ambiguous and ambiguous[0][0] <= now:
            self.end(ambiguous.popleft()[1], now)
