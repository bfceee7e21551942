"""The records of a plan's moves, as an executor knows them without reading all of them in each of its rounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from catalog import Catalog
from catalog.model import Move
from marconi_proxy.moving.plans.names import planned_move_id
from marconi_proxy.moving.plans.survey import UNFINISHED, all_moves


class Records:
    """``believed``: for how many seconds of ``clock`` a record is taken for what it was when it was read, unless
    ``changed`` has said otherwise. One that is older than it should be tells of less progress, never of more."""

    def __init__(self, catalog: Catalog, clock: Callable[[], float], believed: float = 0.0) -> None:
        self._catalog = catalog
        self._clock = clock
        self._believed = believed
        self._known: dict[str, dict[str, Move]] = {}
        self._read_at: dict[str, float] = {}
        self._changed: set[str] = set()

    def changed(self, move_id: str | None) -> None:
        """Take in that a move has changed, or with None that any may have."""
        if move_id is None:
            self._read_at.clear()
        else:
            self._changed.add(move_id)

    async def of(self, plan_id: str, numbers: Iterable[int]) -> dict[int, Move]:
        """Return the records of these moves of a plan, by number, as far as there are any. Raises CatalogError."""
        wanted = {planned_move_id(plan_id, number): number for number in numbers}
        known = {id_: move for id_, move in self._known.get(plan_id, {}).items() if id_ in wanted}
        self._known[plan_id] = known
        now = self._clock()
        if wanted and not 0 <= now - self._read_at.get(plan_id, float("-inf")) < self._believed:
            known.clear()
            self._read_at[plan_id] = now
            self._changed -= wanted.keys()
            found = {move.id: move async for move in all_moves(self._catalog, plan=plan_id, states=UNFINISHED)}
            known.update((id_, found[id_]) for id_ in wanted.keys() & found.keys())
        # What changed while it was read is read again.
        for id_ in sorted(wanted.keys() - known.keys() | wanted.keys() & self._changed):
            self._changed.discard(id_)
            move = await self._catalog.get_move(id_)
            if move is not None:
                known[id_] = move
        return {wanted[id_]: move for id_, move in known.items()}

    def forget_all_but(self, plans: Iterable[str]) -> None:
        """Let go of what is known of other plans."""
        kept = set(plans)
        self._known = {id_: moves for id_, moves in self._known.items() if id_ in kept}
        self._read_at = {id_: at for id_, at in self._read_at.items() if id_ in kept}
        if not kept:
            self._changed.clear()
