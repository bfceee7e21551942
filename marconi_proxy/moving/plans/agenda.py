"""What an executor remembers of a plan from round to round, so that no round needs to look at all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from catalog.model import PlannedMove
from marconi_proxy.moving.plans.names import planned_number

# How many moves are looked at in a round.
LOOKED_AT = 100


class Agenda:
    """Which moves of one plan are to be looked at: those that have changed; and, lest a change was not shown, all that
    have not ended, some in each round.

    ``clock`` counts seconds, of this process only. ``believed``: for how many of them the feed of changes is believed
    to have shown each, after all moves were looked at; 0 if there is no feed.
    """

    def __init__(self, clock: Callable[[], float], believed: float) -> None:
        self._clock = clock
        self._believed = believed
        self._changed: dict[int, None] = {}
        # All moves up to this number were looked at; None if all were, at the time of ``_swept_at``.
        self._swept: int | None = -1
        self._swept_at = 0.0
        self._begun = -1
        self._begun_at = self._now = clock()

    def add(self, numbers: Iterable[int]) -> None:
        self._changed.update(dict.fromkeys(numbers))

    def forget(self) -> None:
        """Take in that any move may have changed."""
        self._swept = -1

    def take(self) -> list[int]:
        """Return moves to look at, the longest known first, and strike them off."""
        found = list(self._changed)[:LOOKED_AT]
        for number in found:
            del self._changed[number]
        return found

    def sweep(self) -> int | None:
        """Return the number after which moves are to be looked at in any case, None if none are now."""
        if len(self._changed) >= LOOKED_AT:
            return None
        if self._swept is None and self._clock() - self._swept_at >= self._believed:
            self._swept = -1
        return self._swept

    def swept(self, found: Sequence[PlannedMove]) -> None:
        """Take in which moves that have not ended there are after that number, at most LOOKED_AT."""
        self.add(move.number for move in found)
        self._swept = found[-1].number if len(found) == LOOKED_AT else None
        self._swept_at = self._clock()

    def since_begun(self, begun: int) -> float:
        """Return for how many seconds it has been seen here that ``begun`` moves of the plan are begun.

        That is no longer than it is true, whoever began them, and none if it is seen for the first time.
        """
        self._now = self._clock()
        if begun != self._begun:
            self._begun, self._begun_at = begun, self._now
        return self._now - self._begun_at

    def have_begun(self, begun: int) -> None:
        """Take in that ``begun`` moves are begun since ``since_begun`` was asked last."""
        self._begun, self._begun_at = begun, self._now


class Agendas:
    """The agendas of the plans that are active, by id."""

    def __init__(self, clock: Callable[[], float], believed: float) -> None:
        self._clock = clock
        self._believed = believed
        self._of: dict[str, Agenda] = {}

    def changed(self, move_id: str | None) -> None:
        """Take in that a move has changed, or with None that any may have."""
        if move_id is None:
            for agenda in self._of.values():
                agenda.forget()
        elif (found := planned_number(move_id)) is not None and found[0] in self._of:
            self._of[found[0]].add([found[1]])

    def of(self, plan_id: str) -> Agenda:
        return self._of.setdefault(plan_id, Agenda(self._clock, self._believed))

    def keep(self, plan_ids: Iterable[str]) -> None:
        """Let go of what is known of other plans."""
        kept = set(plan_ids)
        self._of = {plan_id: agenda for plan_id, agenda in self._of.items() if plan_id in kept}
