"""Work in the background: singletons among processes, their locks and intervals, and the end of tasks."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Hashable, Iterable
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar

from catalog.errors import CatalogError, LockHeld, LockLost
from catalog.interface.lock import Held, LockedValue
from catalog.model import Holder
from catalog.unchanged import Unchanged
from marconi_proxy.clock import Clock


class Dated(Held, Protocol):
    """A value with the time of its last completion, in seconds since 1970; None before the first one."""

    @property
    def ended(self) -> float | None: ...


K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
V = TypeVar("V", bound=Dated)

# The most seconds between two visits.
LOOK = 60.0
_NOT_SEEN = object()
# Seconds until a task is cancelled again: longer than the release of a lock at its end takes.
_AGAIN = 6.0


async def ended(tasks: Iterable[asyncio.Task[Any] | None], again: float = _AGAIN) -> None:
    """Cancel tasks and wait until they are over, however they end; None counts as a task that is over.

    A cancellation can be lost: pymongo, and ``asyncio.wait_for`` before Python 3.12, let a call that is answered at
    that moment return its answer, and a loop around it continues. So a task that has not ended is cancelled again after
    ``again`` seconds.
    """
    ending = [task for task in tasks if task is not None]
    while left := [task for task in ending if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=again)
    for task in ending:
        if not task.cancelled():
            task.exception()  # else asyncio warns that the exception was never retrieved


async def take_lock(watched: Unchanged[K], lock: K, take: Callable[[Holder | None], Awaitable[T]]) -> T:
    """Take a lock, also from a holder that was ``watched`` without a renewal for the seconds of its promise.

    ``take`` takes the lock, from the holder that it is given, if any. Raises LockHeld.
    """
    asked = watched.now()
    try:
        return await take(None)
    except LockHeld as error:
        if watched.seen(lock, error.holder, asked) <= error.holder.patience:
            raise
        return await take(error.holder)


class Interval:
    """When work of any of several processes is due again: ``seconds`` after its last completion.

    A completion shows as a changed ``mark``. The age of the one that this process sees first is unknown. A random part
    of the interval counts as passed then, so that restarts do not postpone the work for ever.
    """

    def __init__(self, seconds: float, clock: Clock, chance: random.Random) -> None:
        self._seconds = seconds
        self._watched: Unchanged[None] = Unchanged(clock.monotonic)
        self._passed = chance.uniform(0.0, seconds)
        self._first: object = _NOT_SEEN

    def left(self, mark: object) -> float:
        """Return the seconds until the work is due; 0 if it was never done (``mark`` None)."""
        if self._first is _NOT_SEEN:
            self._first = mark
        if mark is None:
            return 0.0
        passed = self._passed if mark == self._first else 0.0
        return self._seconds - passed - self._watched.seen(None, mark, self._watched.now())


class Singleton(Generic[V]):
    """Work that one of several processes does at a time, again ``interval`` seconds after its last completion.

    ``stored``: the value that the work changes, and its lock. ``name``: of this process. ``hold``: the promise to renew
    the lock, in seconds.
    """

    def __init__(
        self,
        stored: LockedValue[V],
        name: str,
        hold: float,
        interval: float,
        clock: Clock,
        chance: random.Random,
        log: logging.Logger,
    ) -> None:
        self._stored = stored
        self._name = name
        self._hold = hold
        self._clock = clock
        self._chance = chance
        self._log = log
        self._due = Interval(interval, clock, chance)
        self._watched: Unchanged[None] = Unchanged(clock.monotonic)

    async def run(self, work: Callable[[V, int], Awaitable[V]]) -> None:
        """Visit until cancelled, and after any failure."""
        troubled = False
        while True:
            wait = LOOK
            try:
                wait = await self.visit(work)
                troubled = False
            except LockHeld as error:
                self._log.debug("%s", error)
            except LockLost as error:
                self._log.warning("%s: another one goes on", error)
            except CatalogError as error:
                if not troubled:
                    self._log.warning("waits: the catalog is not available: %s", error)
                troubled = True
            except Exception:
                self._log.exception("failed, and is tried again")
            await self._clock.sleep(wait * self._chance.uniform(0.7, 1.3))

    async def visit(self, work: Callable[[V, int], Awaitable[V]]) -> float:
        """Do the work if it is due; return the seconds until the next visit. Raises CatalogError.

        ``work`` gets the value and the token of its lock, saves the changed value, and returns it.
        """
        wait = self._due.left((await self._stored.get()).ended)
        if wait > 0:
            return min(wait, LOOK)
        value = await take_lock(self._watched, None, self._take)
        assert value.holder is not None
        token = value.holder.token
        try:
            # Another process may have finished just before.
            if self._due.left(value.ended) <= 0:
                value = await work(value, token)
        finally:
            with suppress(CatalogError):
                await self._stored.release(token)
        # From now, if this process has just finished.
        return min(self._due.left(value.ended), LOOK)

    async def _take(self, over: Holder | None) -> V:
        return await self._stored.acquire(self._name, self._hold, over=over)
