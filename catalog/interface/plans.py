"""Plans, and their planned moves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection

from catalog.model import Ending, MoveOutcome, MovePlan, PlannedMove, PlanState, QueueKey, WholePlan


class PlanStore(ABC):
    """``Catalog.plans``."""

    @abstractmethod
    async def get(self, plan_id: str) -> MovePlan | None: ...

    @abstractmethod
    async def exists(self, plan_id: str) -> bool:
        """Return whether the plan exists, without reading its document."""

    @abstractmethod
    async def remove(self, plan_id: str, version: int) -> None:
        """Remove the plan if it has this version, and its planned moves. Records of its moves stay.

        Succeeds also if there is no plan. Raises PlanConflict(current) if it has another version. An interrupted
        removal leaves planned moves without the plan; a repeated call with any version removes these.
        """

    @abstractmethod
    async def orphaned(self) -> list[str]:
        """Return the ids of plans that have planned moves but do not exist themselves.

        Such a plan is being inserted or removed, or was when a process died. The cost grows with the number of plans,
        not of their moves."""

    @abstractmethod
    async def insert(self, whole: WholePlan) -> None:
        """Store a new plan (``version`` 1) and its moves.

        Raises PlanConflict(current) if the id is taken, unless exactly this plan is stored already (a repeated write).
        The moves are stored first, some hundreds at a time, so that no seal waits for all of them. After an
        interruption some of them remain; only ``orphaned`` shows these, and no backup has them.
        """

    @abstractmethod
    async def replace(self, plan: MovePlan) -> None:
        """Compare-and-set on ``plan.version - 1`` of state and progress.

        Raises PlanConflict(current or None), unless exactly ``plan`` is stored already (a repeated write).
        """

    @abstractmethod
    async def find(
        self,
        *,
        states: Collection[PlanState] | None = None,
        active: bool = False,
        after: str | None = None,
        limit: int,
    ) -> list[MovePlan]:
        """Return plans by id, after the id ``after`` (exclusive), at most ``limit``; None filters nothing.

        ``active`` keeps those that are ``MovePlan.active``: one index range, independent of all other plans.
        """


class PlannedMoveStore(ABC):
    """``Catalog.planned_moves``. ``Catalog.plans`` inserts and removes them."""

    @abstractmethod
    async def get(self, plan_id: str, key: QueueKey) -> PlannedMove | None:
        """Return the planned move of the queue, None if the plan has none."""

    @abstractmethod
    async def find(
        self,
        plan_id: str,
        *,
        numbers: Collection[int] | None = None,
        outcomes: Collection[MoveOutcome | None] | None = None,
        after: int = -1,
        before: int | None = None,
        limit: int,
    ) -> list[PlannedMove]:
        """Return moves of a plan by number, with after < number < before, at most ``limit``; None filters nothing.

        ``numbers`` keeps moves with one of these, ``outcomes`` those that ended so; None in ``outcomes`` stands for
        moves without a stored ending. The cost is independent of the number of other moves.
        """

    @abstractmethod
    async def end(self, plan_id: str, endings: Collection[Ending]) -> None:
        """Store the endings of moves of a plan, some hundreds in a call. A stored ending stays.

        Feeds do not show this.
        """
