"""Work in the background: what several processes take turns at, and the end of tasks."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from catalog.errors import CatalogError
from marconi_proxy.moving.clock import Clock

# Seconds between two looks at whether it is one's turn, at most.
LOOK = 60.0
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


async def take_turns(
    visit: Callable[[], Awaitable[float]],
    held: type[CatalogError],
    lost: type[CatalogError],
    clock: Clock,
    chance: random.Random,
    log: logging.Logger,
) -> None:
    """Visit for ever what only one of several processes is at, whatever goes wrong.

    ``visit`` returns after how many seconds to come again; it raises ``held`` while another one is at it, and ``lost``
    if it was taken away meanwhile.
    """
    troubled = False
    while True:
        wait = LOOK
        try:
            wait = await visit()
            troubled = False
        except held as error:
            log.debug("%s", error)
        except lost as error:
            log.warning("%s: another one goes on", error)
        except CatalogError as error:
            if not troubled:
                log.warning("waits: the catalog is not available: %s", error)
            troubled = True
        except Exception:
            log.exception("failed, and is tried again")
        await clock.sleep(wait * chance.uniform(0.7, 1.3))


def rest(ended: float | None, interval: float, now: float) -> float:
    """Return how many seconds there are until the next turn is due, ``interval`` after the last one ``ended``; none if
    there was none, or if the clock was set back meanwhile."""
    if ended is None:
        return 0.0
    since = now - ended
    return interval - since if since >= 0 else 0.0
