"""The seals in force that this worker has seen. It aborts those that are overdue.

A mover that dies between seal and switch leaves writes waiting. To abort a seal is always safe, because no segment was
opened: the compare-and-set of a mover that was merely slow fails.

A seal is overdue after this worker has watched it for ``overdue`` seconds by its own clock. ``since`` in the placement
is of another machine's clock. If that were behind, every seal would be aborted at once, and no queue could be moved; if
it were ahead, no seal would be aborted. The price is small: a worker that has just started gives each seal its full
time once more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple, Protocol

from catalog.errors import CatalogError, PlacementConflict
from catalog.interface import Catalog
from catalog.model import Change, Placement, PlacementState, QueueKey
from marconi_proxy.background import ended
from marconi_proxy.fencing.transitions import abort

LOG = logging.getLogger(__name__)

# Seconds between two tries to abort a seal, while the catalog cannot be reached.
_RETRY_INTERVAL = 1.0


class Timer(Protocol):
    def cancel(self) -> object: ...


class _Seal(NamedTuple):
    epoch: int
    incarnation: str
    timer: Timer


class Seals:
    """Belongs to one worker. ``overdue``: seconds; ``clock``: seconds since 1970, only to be written down.

    ``later(seconds, function, argument)`` calls the function after that many seconds: an event loop's ``call_later``.
    """

    def __init__(
        self, catalog: Catalog, overdue: float, clock: Callable[[], float], later: Callable[..., Timer]
    ) -> None:
        self._catalog = catalog
        self._overdue = overdue
        self._clock = clock
        self._later = later
        self._seen: dict[QueueKey, _Seal] = {}
        self._aborting: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._seen)

    def shown(self, key: QueueKey, change: Change) -> None:
        """Take in a queue's change from the feed."""
        if change.sealing and change.epoch is not None and change.incarnation is not None:
            self._see(key, change.epoch, change.incarnation)
            return
        known = self._seen.get(key)
        # A seal from a read may be newer than the feed.
        if known is not None and (
            change.epoch is None or change.incarnation != known.incarnation or change.epoch > known.epoch
        ):
            self._end(key)

    def read(self, placement: Placement) -> None:
        """Take in a placement as the catalog has it."""
        if placement.state is PlacementState.SEALING:
            self._see(placement.key, placement.epoch, placement.incarnation)

    def _see(self, key: QueueKey, epoch: int, incarnation: str) -> None:
        known = self._seen.get(key)
        if known is not None:
            if (known.epoch, known.incarnation) == (epoch, incarnation):
                return
            known.timer.cancel()
        self._seen[key] = _Seal(epoch, incarnation, self._later(self._overdue, self._due, key))

    def _end(self, key: QueueKey) -> None:
        seal = self._seen.pop(key, None)
        if seal is not None:
            seal.timer.cancel()

    def _due(self, key: QueueKey) -> None:
        task = asyncio.ensure_future(self._abort(key, self._seen[key]))
        self._aborting.add(task)
        task.add_done_callback(self._aborting.discard)

    async def _abort(self, key: QueueKey, seal: _Seal) -> None:
        try:
            placement = await self._catalog.placements.get(key)
            if placement is not None and (placement.epoch, placement.incarnation) == (seal.epoch, seal.incarnation):
                await self._catalog.placements.replace(abort(placement, self._clock()))
                LOG.warning(
                    "aborted the seal of move %s on queue %s/%s, which its mover had not ended in %g s. Next: "
                    "marconi-proxy move show %s",
                    placement.move,
                    key.project or "-",
                    key.queue,
                    self._overdue,
                    placement.move,
                )
        except PlacementConflict:
            pass  # its mover or another worker has just ended it
        except CatalogError as error:
            LOG.info(
                "queue %s/%s: its seal is overdue and cannot be aborted yet: %s", key.project or "-", key.queue, error
            )
            if self._seen.get(key) is seal:
                self._seen[key] = seal._replace(timer=self._later(_RETRY_INTERVAL, self._due, key))
            return
        if self._seen.get(key) is seal:
            self._end(key)

    async def stop(self) -> None:
        """Forget all seals."""
        for key in list(self._seen):
            self._end(key)
        await ended(self._aborting)
