"""Moves, their locks, and the writes that waited for them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping

from catalog.interface.lock import Lock
from catalog.model import HeldWrites, Move, MoveState, QueueKey


class MoveStore(ABC):
    """``Catalog.moves``."""

    @abstractmethod
    async def get(self, move_id: str) -> Move | None: ...

    @abstractmethod
    async def insert(self, move: Move) -> None:
        """Store a new move (``version`` 1). A queue has at most one that is not finished, and the store sees to it.

        Raises MoveConflict(current) if the id is taken, unless exactly ``move`` is stored already (a repeated write).
        Raises MoveUnderWay(current) if another move of the queue is not finished.
        """

    @abstractmethod
    async def replace(self, move: Move, token: int | None) -> None:
        """Compare-and-set on ``move.version - 1``. The lock of the move is left as it is.

        With a token, only while the lock is held under it: a mover that lost the lock changes nothing any more. Without
        one, whatever mover holds it: for what operators decide (pause, cancel), which the holder then meets as a
        conflict.

        Raises LockLost, MoveConflict(current or None), MoveUnderWay if a finished move were to go on beside another
        one. None of them if exactly ``move`` is stored already (a repeated write).
        """

    @abstractmethod
    async def find(
        self,
        *,
        project: str | None = None,
        queue: str | None = None,
        partition: str | None = None,
        states: Collection[MoveState] | None = None,
        plan: str | None = None,
        ids: Collection[str] | None = None,
        after: str | None = None,
        limit: int,
    ) -> list[Move]:
        """Moves by id, after the id ``after`` (exclusive), at most limit; None filters nothing.

        ``partition`` keeps those with this source or target, ``states`` those in one of them, ``ids`` those with one of
        these (some hundreds). States that are all in UNFINISHED_STATES cost as much as there are unfinished moves,
        however many finished ones there are. Those of a plan in some states are an index range.
        """

    @abstractmethod
    async def under_way(self, key: QueueKey) -> Move | None:
        """Return the move of the queue that is not finished, None if there is none. One look into an index."""

    @abstractmethod
    async def find_ended(self, *, keep: int, skip: int, limit: int) -> list[Move]:
        """Finished moves in the order in which they ended, at most limit: all but the last ``keep``, after the first
        ``skip``.

        The order is that in which the catalog stored their ends, so that no clock has a say in which are the last.
        Those that the backup of an import or a catalog of schema version 3 had come first, by id.
        """

    @abstractmethod
    async def remove(self, ids: Collection[str]) -> None:
        """Remove those of these moves that are finished, with what members said of them. Nothing to remove is
        success."""

    @abstractmethod
    def lock(self, move_id: str) -> Lock[Move]:
        """Return the lock of the move. ``acquire`` raises MoveConflict(None) if there is no such move."""


class HeldWritesStore(ABC):
    """``Catalog.held_writes``."""

    @abstractmethod
    async def put(self, found: Mapping[str, HeldWrites]) -> None:
        """Store what a member says of the writes that waited for moves, by the moves' ids, in place of what it said of
        the same moves before. What it says of moves that are finished, or that there are not, is dropped."""

    @abstractmethod
    async def find(self, move_id: str) -> list[HeldWrites]:
        """What members said of the writes that waited for a move, by their ids."""

    @abstractmethod
    async def remove(self, move_id: str) -> None:
        """Forget what members said of a move; nothing to forget is success."""
