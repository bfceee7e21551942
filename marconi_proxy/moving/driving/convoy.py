"""Moves that go together: a queue and its dead-letter queue, or most often one move by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from catalog.model import MoveState
from marconi_proxy.moving.driving.drive import Drive

_SEALING = frozenset({MoveState.SEALING, MoveState.BACK_SEALING})
_ABOUT_TO = _SEALING | {MoveState.ARMED, MoveState.BACK_ARMED}
# Seconds until a group that cannot be switched yet is looked at again: the mover does something else meanwhile.
_LATER = 5.0

_SWITCHED = frozenset({MoveState.DRAINING, MoveState.LINGERING, MoveState.RETIRED, MoveState.DONE, MoveState.SUSPENDED})

# Seals several queues in one round (``sealing.Round``).
Seal = Callable[[Sequence[Drive]], Awaitable[None]]


class Convoy:
    """``drives`` are those of a whole group, held by one mover; while some of a group are missing, none is sealed.

    ``turns`` bounds how many steps are made at a time. Seals take none: clients wait for those.
    """

    def __init__(self, drives: Sequence[Drive], seal: Seal, turns: asyncio.Semaphore) -> None:
        self.drives = list(drives)
        self._seal = seal
        self._turns = turns

    def __repr__(self) -> str:
        return f"<Convoy {self.drives}>"

    @property
    def missing(self) -> list[str]:
        """The ids of moves that belong to the group and are not driven here."""
        here = {drive.move.id for drive in self.drives}
        return sorted({id_ for drive in self.drives for id_ in drive.move.group} - here)

    async def step(self) -> float:
        """Do one step of each move; return the seconds after which the next is worth making, infinite if not before a
        record is changed by others. Raises CatalogError."""
        async with self._turns:
            nexts = [(drive, await drive.step()) for drive in self.drives]
        ready = [drive for drive, next_ in nexts if next_.ready]
        blocked = {drive: why for drive in ready if (why := self._blocker(drive, ready)) is not None}
        if ready and not blocked:
            # Those whose seal was found, after the death of a mover, and those that it had not come to.
            await self._seal(ready)
            return 0.0
        sealing = [drive for drive in ready if drive.move.state in _SEALING]
        going = [drive.move.state for drive, next_ in nexts if not next_.ready and not next_.wait]
        if sealing and not (going and _ABOUT_TO.issuperset(going)):
            # Clients are waiting. To be switched alone would bring dead letters to where no placement leads.
            for drive in sealing:
                await drive.abort(blocked.get(drive, "its group is moved together"))
            return 0.0
        wait = min((next_.wait for _, next_ in nexts if not next_.ready), default=_LATER)
        if not ready or not wait:
            return wait
        for drive, why in blocked.items():
            await drive.wait_for(why)
        return min(wait, _LATER)

    def _blocker(self, drive: Drive, ready: Sequence[Drive]) -> str | None:
        """Return what of the group this move must not be switched without, None if there is nothing: each of the others
        is ready too, or went the same way before."""
        for id_ in self.missing:
            return f"for move {id_} of its group"
        for mate in self.drives:
            gone_before = mate.move.state in _SWITCHED and mate.move.toward == drive.move.toward
            if mate is not drive and mate not in ready and not gone_before:
                return f"for move {mate.move.id} of its group, which is {mate.move.state}"
        return None
