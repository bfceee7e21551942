"""The partitions as a mover knows them.

PERF: a move needs its two partitions some twenty times, three of them while writes are held.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from catalog.model import Partition


class KnownPartitions:
    """Read each partition by ``read``, and while a feed shows their changes, only once and after each change.

    Without a feed nothing is kept. With one, an answer may lag behind the catalog as the feed does.
    """

    def __init__(self, read: Callable[[str], Awaitable[Partition | None]]) -> None:
        self._read = read
        self._known: dict[str, Partition] = {}
        self._is_fed = False
        self._changes = 0

    def fed(self, is_fed: bool) -> None:
        """Take in that a feed shows all changes from here on, or no longer does."""
        self._is_fed = is_fed
        self._changes += 1
        self._known.clear()

    def changed(self, name: str) -> None:
        """Take in that the feed has shown a change of a partition."""
        self._changes += 1
        self._known.pop(name, None)

    async def get(self, name: str) -> Partition | None:
        """Return the partition, None if it is not registered. Raises CatalogError."""
        partition = self._known.get(name)
        if partition is None:
            changes = self._changes
            partition = await self._read(name)
            # A read that a change has overtaken may be older than the change.
            if partition is not None and self._is_fed and self._changes == changes:
                self._known[name] = partition
        return partition
