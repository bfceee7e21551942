"""Keep a worker from writing to a segment after another was opened behind it. Pure: clocks are arguments.

The order of a write is the whole protection; each step is wrong without the one before::

    ticket = fence.begin(key)                  counted, before anything is known
    term = lease.term(now)                     0: refuse; the worker's knowledge may be stale
    placement = look it up                     from the cache, or from the catalog
    lease.term(now) == term, or begin again    knowledge of an earlier term is void
    send; wait for the answer
    lease.term(now) == term, or it was late    this process was frozen: the write may have gone to a retired segment
    fence.end(ticket, now, ambiguous)          ambiguous: sent, and no answer

A late write is counted. It is never answered with success and never sent again, because it may be unreadable.

When the feed shows a change of a queue, one step forgets the placement and calls ``fence.change``. The worker then
acknowledges ``fence.acks(now)``: the seals in force, one by one. A queue with a hanging write is not acknowledged and
not switched; other queues are unaffected.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable


class WriteLease:
    """This worker's right to write, as far as it can know: ``duration`` seconds from the storing of a renewal.

    The worker cannot know the time of the storing, only that it was not before the sending. So the lease counts from
    the sending, less ``margin`` for clocks of different rates. Times are of one monotonic clock of the worker.

    A renewal after a lapse begins a new *term*. All knowledge of earlier terms is void: during the lapse, movers may
    have switched queues without waiting for this worker.

    PERF: ``until`` and ``number`` are the parts of ``term``, for callers on the path of every write. Read only.
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
        """Mark that a renewal is about to be sent. Returns the argument for ``confirmed``."""
        return now

    def confirmed(self, renewal: float, now: float) -> bool:
        """Take in that a renewal was stored. Returns whether a new term begins by it.

        Then the caller must forget cached placements and readings under way before it admits a write. Answers may come
        late and out of order. A renewal that is confirmed after its own end begins nothing.
        """
        until = renewal + self._duration - self._margin
        begins = now >= self.until and now < until
        if begins:
            self.number += 1
        if until > self.until:
            self.until = until
        return begins

    def revoke(self) -> None:
        """End the term: the catalog has removed this worker, so no mover waits for it."""
        self.until = float("-inf")

    def close(self) -> None:
        """End the term and begin no other, even by a renewal in flight."""
        self._duration = float("-inf")
        self.revoke()

    def term(self, now: float) -> int:
        """Return the number of the term, from 1; 0 if this worker must not write."""
        return self.number if now < self.until else 0

    def may_write(self, now: float) -> bool:
        """Return whether a write may be started."""
        return now < self.until

    def left(self, now: float) -> float:
        """Return the seconds left, 0 if none are."""
        return max(0.0, self.until - now)


class Ticket:
    """The writes in flight of one queue that began between the same two changes of it. Made by ``Fence``.

    ``overtaken``: the queue was changed after they began.
    """

    __slots__ = ("key", "overtaken", "writes")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.writes = 0
        self.overtaken = False

    def __repr__(self) -> str:
        return f"<Ticket {self.key!r} writes={self.writes}{' overtaken' if self.overtaken else ''}>"


class Fence:
    """The writes of this worker in flight, by any hashable ``key`` of a queue, and the seals in force, as any hashable
    value.

    ``ambiguity``: seconds for which a partition may still process a write that was sent and not answered.

    PERF: ``begin`` and ``end`` are on the path of every write: one dictionary lookup each, while nothing changes.
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
        """Count a write, *before* the lookup of its queue's placement. Each ``begin`` needs exactly one ``end``."""
        ticket = self._current.get(key)
        if ticket is None:
            ticket = self._current[key] = Ticket(key)
        ticket.writes += 1
        return ticket

    def end(self, ticket: Ticket, now: float, ambiguous: bool = False) -> None:
        """End a write that was answered, or never sent. ``ambiguous``: it was sent and not answered.

        An ambiguous write stays in flight until the ambiguity window ends.
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
        """Take in a change of a queue: its ``seal`` now, or None. An earlier seal of the queue is no longer in
        force."""
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

        No seal is acknowledged until ``change`` has taken it in again.
        """
        for key in list(self._current):
            self.change(key, None)
        self._seals.clear()

    def acks(self, now: float) -> frozenset[Hashable]:
        """Return the seals in force that can be acknowledged: no write that began before the seal is in flight. A seal
        stays acknowledgeable."""
        self._expire(now)
        if not self._seals:
            return frozenset()
        return frozenset(seal for key, seal in self._seals.items() if key not in self._overtaken)

    def idle(self, now: float) -> bool:
        """Return whether no write is in flight. Then this worker may sign off instead of waiting out its lease."""
        self._expire(now)
        return not self._current and not self._overtaken

    def _expire(self, now: float) -> None:
        ambiguous = self._ambiguous
        while ambiguous and ambiguous[0][0] <= now:
            self.end(ambiguous.popleft()[1], now)
