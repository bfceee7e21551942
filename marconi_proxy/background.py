"""Work in the background: what several processes take turns at, and the end of tasks."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import Any, TypeVar

from catalog.errors import CatalogError, LockHeld, LockLost
from catalog.model import Holder
from catalog.unchanged import Unchanged
from marconi_proxy.clock import Clock

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

# Seconds between two looks at whether it is one's turn, at most.
LOOK = 60.0
_NOT_ASKED = object()
# Seconds until a task is asked again: longer than one takes that lets go of something in the catalog at its end.
_AGAIN = 6.0


async def ended(tasks: Iterable[asyncio.Task[Any] | None], again: float = _AGAIN) -> None:
    """Cancel tasks and wait until they are over, however they end; None counts as a task that is over.

    A cancellation can be lost: pymongo, and ``asyncio.wait_for`` before Python 3.12, let a call that is just then
    answered return its answer, and a loop around it goes on. So whoever has not ended is asked ``again`` after so many
    seconds.
    """
    ending = [task for task in tasks if task is not None]
    while left := [task for task in ending if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=again)
    for task in ending:
        if not task.cancelled():
            task.exception()  # else asyncio complains that nobody looked


async def run_as_singleton(
    visit: Callable[[], Awaitable[float]], clock: Clock, chance: random.Random, log: logging.Logger
) -> None:
    """Visit for ever what only one of several processes is at, whatever goes wrong.

    ``visit`` returns after how many seconds to come again; it raises LockHeld while another one is at it, and LockLost
    if it was taken away meanwhile.
    """
    troubled = False
    while True:
        wait = LOOK
        try:
            wait = await visit()
            troubled = False
        except LockHeld as error:
            log.debug("%s", error)
        except LockLost as error:
            log.warning("%s: another one goes on", error)
        except CatalogError as error:
            if not troubled:
                log.warning("waits: the catalog is not available: %s", error)
            troubled = True
        except Exception:
            log.exception("failed, and is tried again")
        await clock.sleep(wait * chance.uniform(0.7, 1.3))


async def take_lock(watched: Unchanged[K], lock: K, take: Callable[[Holder | None], Awaitable[T]]) -> T:
    """Take a lock, also over a process that was ``watched`` without a renewal for as long as it had promised to renew.

    ``take`` takes the lock, over the holder that it is given, if any; it raises LockHeld, and so does this.
    """
    asked = watched.now()
    try:
        return await take(None)
    except LockHeld as error:
        if watched.seen(lock, error.holder, asked) <= error.holder.patience:
            raise
        return await take(error.holder)


class Interval:
    """Tells when work is due again that any of several processes does, ``seconds`` after it was done last.

    That it was done shows by a changed ``mark``. How long ago it was done when this process began to watch is not
    known: some part of the interval is taken to have passed, drawn by chance, so that restarts do not put it off for
    ever.
    """

    def __init__(self, seconds: float, clock: Clock, chance: random.Random) -> None:
        self._seconds = seconds
        self._watched: Unchanged[None] = Unchanged(clock.monotonic)
        self._passed = chance.uniform(0.0, seconds)
        self._first: object = _NOT_ASKED

    def left(self, mark: object) -> float:
        """Return how many seconds there are until it is due; none if it was never done (``mark`` None)."""
        if self._first is _NOT_ASKED:
            self._first = mark
        if mark is None:
            return 0.0
        passed = self._passed if mark == self._first else 0.0
        return self._seconds - passed - self._watched.seen(None, mark, self._watched.now())
