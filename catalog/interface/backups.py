"""Backups: a snapshot of the catalog, and the load of one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence

from catalog.model import BackupValue


class BackupStore(ABC):
    """``Catalog.backups``."""

    @abstractmethod
    def snapshot(self) -> AsyncGenerator[list[BackupValue], None]:
        """Yield all values of a backup, as of one instant, in batches: in the order of KINDS, each kind by key.

        Moves have no ``holder``. The snapshot delays no other call, and has one batch in memory at a time. The caller
        must close it unless it reads to its end. Raises SnapshotTooOld if the read takes longer than the store keeps
        the snapshot.
        """

    @abstractmethod
    async def begin_load(self, *, replace: bool) -> str:
        """Empty the catalog to load a backup into it; return the token of this load.

        From now until ``end_load`` returns, ``check`` raises LoadUnfinished and no member can register. This ends any
        earlier load.

        Raises CatalogInUse while a member is registered or the lock of an unfinished move is held, by a live process or
        a dead one. Raises NotEmpty, unless ``replace`` is true or the catalog has only the beginning of a load. After
        both errors, nothing was changed. A load that dies before it begins to empty the catalog may leave a mark that
        refuses members; ``init`` removes it.
        """

    @abstractmethod
    async def load(self, token: str, values: Sequence[BackupValue]) -> None:
        """Store new values unchanged: some hundreds in a call, in the order of KINDS.

        The locks of the moves are free. The next token of each is larger than all before, in this catalog and in the
        one of the backup. Raises LoadRefused if a value exists already, if a queue has two unfinished moves, if a
        placement names an unknown partition, or if the load is over.
        """

    @abstractmethod
    async def end_load(self, token: str) -> None:
        """End the load, so that the catalog can be used. Raises LoadRefused if the load is over."""
