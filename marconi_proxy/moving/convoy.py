"""Moves that go together: a queue and its dead-letter queue, or most often one move by itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from catalog.model import MoveState
from marconi_proxy.moving.drive import SHORTLY, Drive

_SEALING = frozenset({MoveState.SEALING, MoveState.BACK_SEALING})
_SWITCHED = frozenset({MoveState.DRAINING, MoveState.LINGERING, MoveState.RETIRED, MoveState.DONE, MoveState.SUSPENDED})

# Seals several queues in one round (``sealing.Round``).
Seal = Callable[[Sequence[Drive]], Awaitable[None]]


class Convoy:
    """``drives`` are those of a whole group, held by one mover."""

    def __init__(self, drives: Sequence[Drive], seal: Seal) -> None:
        self.drives = list(drives)
        self._seal = seal

    def __repr__(self) -> str:
        return f"<Convoy {self.drives}>"

    async def step(self) -> float:
        """Do one step of each move; return the seconds after which the next is worth making, infinite if not before a
        record is changed by others. Raises CatalogError."""
        nexts = [(drive, await drive.step()) for drive in self.drives]
        wait = min(next_.wait for _, next_ in nexts if not next_.ready) if not all(n.ready for _, n in nexts) else 0.0
        ready = [drive for drive, next_ in nexts if next_.ready]
        # A seal that was found goes on, whatever the others do: clients are waiting.
        sealing = [drive for drive in ready if drive.move.state in _SEALING]
        together = [] if sealing else [drive for drive in ready if self._blocker(drive, ready) is None]
        if sealing or together:
            await self._seal(sealing or together)
            return 0.0
        for drive in ready:
            blocker = self._blocker(drive, ready)
            if blocker is not None:
                await drive.wait_for(f"move {blocker.move.id} of its group is {blocker.move.state}")
        return min(wait, SHORTLY) if ready else wait

    def _blocker(self, drive: Drive, ready: Sequence[Drive]) -> Drive | None:
        """Return a move of the group without which this one must not be switched, None if there is none: each of them
        is ready too, or went the same way before."""
        for mate in self.drives:
            gone_before = mate.move.state in _SWITCHED and mate.move.toward == drive.move.toward
            if mate is not drive and mate not in ready and not gone_before:
                return mate
        return None
