"""Moves, their locks, and the writes held for them."""

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
        """Store a new move (``version`` 1). The store enforces that a queue has at most one unfinished move.

        Raises MoveConflict(current) if the id is taken, unless exactly ``move`` is stored already (a repeated write).
        Raises MoveUnderWay(current) if another move of the queue is not finished.
        """

    @abstractmethod
    async def replace(self, move: Move, token: int | None) -> None:
        """Compare-and-set on ``move.version - 1``. The lock of the move stays unchanged.

        With a token, only while the lock is held under it: a mover that has lost the lock can change nothing. Without
        one, regardless of the lock: for decisions of operators (pause, cancel), after which the compare-and-set of the
        mover fails.

        Raises LockLost, MoveConflict(current or None), or MoveUnderWay if a finished move would become unfinished
        beside another one. Raises none of them if exactly ``move`` is stored already (a repeated write).
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
        """Return moves by id, after the id ``after`` (exclusive), at most ``limit``; None filters nothing.

        ``partition`` keeps moves with this source or target, ``states`` those in one of them, ``ids`` those with one of
        these (some hundreds). If all states are in UNFINISHED_STATES, the cost grows with the number of unfinished
        moves only. The moves of a plan in given states are an index range.
        """

    @abstractmethod
    async def under_way(self, key: QueueKey) -> Move | None:
        """Return the unfinished move of the queue, None if there is none. One lookup in an index."""

    @abstractmethod
    async def find_ended(self, *, keep: int, skip: int, limit: int) -> list[Move]:
        """Return finished moves in the order of their ends, at most ``limit``: all but the last ``keep``, after the
        first ``skip``.

        The order is that in which the catalog stored their ends, and depends on no clock. Moves from an imported backup
        or from a catalog of schema version 3 come first, by id.
        """

    @abstractmethod
    async def remove(self, ids: Collection[str]) -> None:
        """Remove those of these moves that are finished, with their held writes. Succeeds also if there is none."""

    @abstractmethod
    def lock(self, move_id: str) -> Lock[Move]:
        """Return the lock of the move. ``acquire`` raises MoveConflict(None) if there is no such move."""


class HeldWritesStore(ABC):
    """``Catalog.held_writes``."""

    @abstractmethod
    async def put(self, found: Mapping[str, HeldWrites]) -> None:
        """Store the reports of a member on held writes, by the ids of the moves, and replace its earlier reports on
        these. Reports on finished or unknown moves are dropped."""

    @abstractmethod
    async def find(self, move_id: str) -> list[HeldWrites]:
        """Return the reports of all members on the writes held for a move, by the ids of the members."""

    @abstractmethod
    async def remove(self, move_id: str) -> None:
        """Remove the reports of all members on a move. Succeeds also if there is none."""
