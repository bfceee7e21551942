"""Backups: reading all that a catalog keeps, and loading it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence

from catalog.model import BackupValue


class BackupStore(ABC):
    """``Catalog.backups``."""

    @abstractmethod
    def snapshot(self) -> AsyncGenerator[list[BackupValue], None]:
        """Yield everything that a backup keeps, as of one instant, in batches: in the order of KINDS, each by its key.

        Moves have no ``holder``. Nobody waits for it, and it holds a batch in memory at a time. Close it if it is not
        read to its end. Raises SnapshotTooOld if that takes longer than the store remembers.
        """

    @abstractmethod
    async def begin_load(self, *, replace: bool) -> str:
        """Empty the catalog to load a backup into it; return the token of this load.

        Until ``end_load``, and also if that never comes, ``check`` raises LoadUnfinished and no member can register.
        Another load that was begun before is over.

        Raises CatalogInUse while a member is registered or an unfinished move is held, by a process that lives or not;
        and NotEmpty, unless ``replace`` is given or what is there is the beginning of a load: nothing was changed then.
        A load that dies before it has begun to empty the catalog may leave a mark that only refuses: ``init`` takes
        that away.
        """

    @abstractmethod
    async def load(self, token: str, values: Sequence[BackupValue]) -> None:
        """Store values that are not there yet, as they are: some hundreds at a time, in the order of KINDS.

        Nobody holds the moves, and their next holds get larger tokens than any hold ever had, in this catalog or
        before. Raises LoadRefused if one is there already, if a queue has two unfinished moves or a placement names a
        partition that there is not; or if the load is over.
        """

    @abstractmethod
    async def end_load(self, token: str) -> None:
        """Let the catalog be used. Raises LoadRefused if the load is over."""
