"""The memory of an executor about a plan between rounds, so that no round looks at the whole plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from catalog.model import PlannedMove
from marconi_proxy.moving.plans.names import planned_number

# The most moves to look at in a round.
LOOKED_AT = 100


class Agenda:
    """The moves of one plan to look at: the changed ones, and all unfinished ones, some in each round, in case the feed
    missed a change.

    ``clock``: monotonic seconds of this process. ``believed``: seconds for which the feed is trusted after all moves
    were looked at; 0 without a feed. ``yields``: seconds for which the plan is left to another process that changed it.
    """

    def __init__(self, clock: Callable[[], float], believed: float, yields: float = 0.0) -> None:
        self._clock = clock
        self._believed = believed
        self._yields = yields
        # The version of the plan last seen, and since when; and the one stored by this process.
        self._version: int | None = None
        self._version_at = 0.0
        self._own: int | None = None
        self._changed: dict[int, None] = {}
        # The sweep has passed all moves up to this number; None if it has passed all, at ``_swept_at``.
        self._swept: int | None = -1
        self._swept_at = 0.0
        self._begun = -1
        self._begun_at = self._now = clock()

    def is_due(self, version: int) -> bool:
        """Return whether to look at the plan, as it was read with ``version``. A plan that another process has changed
        is left to that one, until it stands unchanged."""
        first, now = self._version is None, self._clock()
        if version != self._version:
            self._version, self._version_at = version, now
        return first or version == self._own or now - self._version_at >= self._yields

    def stored(self, version: int) -> None:
        """Record that this process has stored the plan with ``version``."""
        self._version = self._own = version

    def add(self, numbers: Iterable[int]) -> None:
        self._changed.update(dict.fromkeys(numbers))

    def forget(self) -> None:
        """Begin a new sweep, because any move may have changed."""
        self._swept = -1

    def take(self) -> list[int]:
        """Return the numbers of moves to look at, oldest entries first, and remove them from the agenda."""
        found = list(self._changed)[:LOOKED_AT]
        for number in found:
            del self._changed[number]
        return found

    def sweep(self) -> int | None:
        """Return the number after which the sweep continues, None if it pauses now."""
        if len(self._changed) >= LOOKED_AT:
            return None
        if self._swept is None and self._clock() - self._swept_at >= self._believed:
            self._swept = -1
        return self._swept

    def swept(self, found: Sequence[PlannedMove]) -> None:
        """Record the result of the sweep: the unfinished moves after that number, at most LOOKED_AT."""
        self.add(move.number for move in found)
        self._swept = found[-1].number if len(found) == LOOKED_AT else None
        self._swept_at = self._clock()

    def since_begun(self, begun: int) -> float:
        """Return the seconds for which this process has seen that ``begun`` moves of the plan are begun.

        That is at most the true time since the last one was begun by any process, and 0 at first sight.
        """
        self._now = self._clock()
        if begun != self._begun:
            self._begun, self._begun_at = begun, self._now
        return self._now - self._begun_at

    def have_begun(self, begun: int) -> None:
        """Record that ``begun`` moves are begun, as of the last call of ``since_begun``."""
        self._begun, self._begun_at = begun, self._now


class Agendas:
    """The agendas of the plans that are active, by id."""

    def __init__(self, clock: Callable[[], float], believed: float, yields: float = 0.0) -> None:
        self._clock = clock
        self._believed = believed
        self._yields = yields
        self._of: dict[str, Agenda] = {}

    def changed(self, move_id: str | None) -> None:
        """Put a changed move on its plan's agenda; with None, begin a new sweep of all."""
        if move_id is None:
            for agenda in self._of.values():
                agenda.forget()
        elif (found := planned_number(move_id)) is not None and found[0] in self._of:
            self._of[found[0]].add([found[1]])

    def of(self, plan_id: str) -> Agenda:
        return self._of.setdefault(plan_id, Agenda(self._clock, self._believed, self._yields))

    def keep(self, plan_ids: Iterable[str]) -> None:
        """Discard the agendas of all other plans."""
        kept = set(plan_ids)
        self._of = {plan_id: agenda for plan_id, agenda in self._of.items() if plan_id in kept}
