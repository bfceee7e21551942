"""The places of one partition: how many calls of a worker may be in flight to it, and which call waits. Pure.

A call that finds no place waits in a short queue. A place that comes free goes to the projects in turn, so that one
project with many calls does not keep others out. If the queue is full, a call of a project with fewer waiting calls
displaces the last one of the project with the most.

A call goes on after its client has left if it may have an effect. It is counted apart, so that departed clients do not
hold the places of others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

W = TypeVar("W")

GiveUp = Callable[[], None]


class Places(Generic[W]):
    """``taken`` of ``limit`` places; ``waiting`` calls of at most ``most_waiting``; ``apart``: the calls of clients
    that have left, at most ``limit``, each with the function that gives it up, or None if it has to go on.

    PERF: a call that finds a place counts ``taken`` up itself.
    """

    __slots__ = ("_queues", "apart", "limit", "most_waiting", "taken", "waiting")

    def __init__(self, limit: int, most_waiting: int) -> None:
        self.limit = limit
        self.most_waiting = most_waiting
        self.taken = 0
        self.waiting = 0
        self.apart: dict[Hashable, GiveUp | None] = {}
        # By project; a project's turn comes when it is first.
        self._queues: dict[bytes, deque[W]] = {}

    def wait(self, project: bytes, waiter: W) -> W | None:
        """Queue a waiter; return the one that has to leave the queue for it, itself perhaps, or None."""
        displaced = None
        if self.waiting >= self.most_waiting:
            own = len(self._queues.get(project, ()))
            longest = max(self._queues, key=lambda name: len(self._queues[name]), default=project)
            if len(self._queues.get(longest, ())) <= own + 1:
                return waiter
            displaced = self._queues[longest][-1]
            self.withdraw(longest, displaced)
        self._queues.setdefault(project, deque()).append(waiter)
        self.waiting += 1
        return displaced

    def withdraw(self, project: bytes, waiter: W) -> None:
        """Take a waiter out of the queue. Idempotent."""
        queue = self._queues.get(project)
        if queue is not None and waiter in queue:
            queue.remove(waiter)
            self.waiting -= 1
            if not queue:
                del self._queues[project]

    def give_back(self, key: Hashable = None) -> W | None:
        """End a call; return the waiter that has its place now, if any. ``key``: as in ``set_apart``."""
        if key in self.apart:
            del self.apart[key]
            return None
        if not self.waiting:
            self.taken -= 1
            return None
        project, queue = next(iter(self._queues.items()))
        waiter = queue.popleft()
        self.waiting -= 1
        del self._queues[project]
        if queue:
            self._queues[project] = queue
        return waiter

    def set_apart(self, key: Hashable, give_up: GiveUp | None) -> tuple[W | None, GiveUp | None]:
        """Count a call apart, under ``key``: its client has left. ``give_up``: None if it has to go on.

        Return the waiter that has its place now, and the function that gives up an older call, if there were too many;
        each None if there is none. If no older call may be given up, the call keeps its place.
        """
        victim = None
        if len(self.apart) >= self.limit:
            oldest = next((key for key, function in self.apart.items() if function is not None), None)
            if oldest is None:
                return None, None
            # It may end later; until then no other call may pick it again.
            victim = self.apart[oldest]
            self.apart[oldest] = None
        waiter = self.give_back()
        self.apart[key] = give_up
        return waiter, victim
