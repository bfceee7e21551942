"""Plans, and the moves that they plan."""

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

        Nothing to remove is success. Raises PlanConflict(current) if it has another version. What fails in between
        leaves planned moves without the plan; with any version, those are removed too.
        """

    @abstractmethod
    async def orphaned(self) -> list[str]:
        """The ids of plans of which there are planned moves, but not the plan: one that is just being inserted or
        removed, or was when a process died. The cost grows with the number of plans, not of their moves."""

    @abstractmethod
    async def insert(self, whole: WholePlan) -> None:
        """Store a new plan (``version`` 1) and its moves. Raises PlanConflict(current) if the id is taken.

        Unless exactly this plan is stored already (a repeated write). The moves are stored first, some hundreds at a
        time, so that no seal waits for all of them. What fails in between leaves some of them, which neither a verb
        but ``orphaned`` nor a backup shows before there is the plan.
        """

    @abstractmethod
    async def replace(self, plan: MovePlan) -> None:
        """Compare-and-set on ``plan.version - 1`` of state and progress. Raises PlanConflict(current or None).

        Unless exactly ``plan`` is stored already (a repeated write).
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
        """Plans by id, after the id ``after`` (exclusive), at most limit; None filters nothing.

        ``active`` keeps those that are ``MovePlan.active``: one index range, however many others there are.
        """


class PlannedMoveStore(ABC):
    """``Catalog.planned_moves``. ``Catalog.plans`` inserts and removes them."""

    @abstractmethod
    async def get(self, plan_id: str, key: QueueKey) -> PlannedMove | None:
        """The move of a queue that the plan has, if any."""

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
        """Moves of a plan by number, with after < number < before, at most limit; None filters nothing.

        ``numbers`` keeps those with one of these, ``outcomes`` those that ended so: None among them stands for those of
        which it is not written down. The cost does not depend on how many others there are.
        """

    @abstractmethod
    async def end(self, plan_id: str, endings: Collection[Ending]) -> None:
        """Write down how moves of a plan ended. One that has an ending already keeps it; no change is shown by feeds.

        Some hundreds at a time.
        """
