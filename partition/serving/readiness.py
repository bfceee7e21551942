"""Whether the store takes writes, for readiness probes."""

from __future__ import annotations

import asyncio

from partition.errors import StorageError
from partition.storage.interface import Storage
from serving.readiness import Condition

# Seconds for which an answer of the store is repeated, because each costs a write to the disk.
_AGE = 1.0
# Seconds for which a probe waits for the store: less than load balancers wait for a probe.
_PATIENCE = 1.5


class StorageProbe:
    """Belongs to one worker. Asks ``storage`` at most once a second, and one probe at a time."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._asked_at = 0.0
        self._asking: asyncio.Task[Condition] | None = None

    async def condition(self) -> Condition:
        """Return whether the store takes writes. A store that does not answer soon does not."""
        now = asyncio.get_running_loop().time()
        if self._asking is None or (self._asking.done() and now - self._asked_at >= _AGE):
            self._asked_at = now
            self._asking = asyncio.create_task(self._ask())
        done, _ = await asyncio.wait({self._asking}, timeout=_PATIENCE)
        if done:
            return self._asking.result()
        return Condition("storage", False, f"no answer within {_PATIENCE:g} s")

    async def _ask(self) -> Condition:
        try:
            await self._storage.ping()
        except StorageError as error:
            return Condition("storage", False, str(error))
        return Condition("storage", True, "it takes writes")

    async def stop(self) -> None:
        """Give up a probe that is not answered."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking})
