"""The protocol of moves, broken on purpose in one place each: production's functions are replaced while it lasts.

What the checker does not catch of these, it would not catch of a mistake either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from catalog.model import Placement
from marconi_proxy.moving.driving import drive
from marconi_proxy.moving.driving.drive import Drive, Next
from marconi_proxy.moving.protocol.barrier import Barrier, Passed
from marconi_proxy.moving.protocol.fence import Fence, Lease
from marconi_proxy.routing import tags, translation


@contextmanager
def skip_the_barrier() -> Iterator[None]:
    """The mover switches without asking anybody whether writes are under way to the old segment."""
    with patch.object(Barrier, "verdict", property(lambda self: Passed((), (), ()))):
        yield


@contextmanager
def acknowledge_at_once() -> Iterator[None]:
    """A worker acknowledges a seal as soon as it is shown it, whatever writes of its own are under way."""
    with patch.object(Fence, "acked", lambda self, applied, now: applied):
        yield


@contextmanager
def leave_markers_untagged() -> Iterator[None]:
    """What a segment calls its ids and markers is what clients are shown."""

    def as_it_is(text: str, n: int, base: int) -> str:
        return text

    with patch.object(tags, "tagged", as_it_is), patch.object(translation, "tagged", as_it_is):
        yield


@contextmanager
def retire_after_one_look() -> Iterator[None]:
    """The mover takes the older segments away as soon as it has seen them empty once."""
    linger = Drive._linger

    async def blindly(self: Drive) -> Next:
        async def nothing(placement: Placement) -> Any:
            return drive._Seen([], None, {})

        with patch.object(self, "_look", nothing):
            return await linger(self)

    look = drive.Drive._drain

    async def at_once(self: Drive) -> Next:
        self.pace = replace(self.pace, linger=0.0)
        return await look(self)

    with patch.dict(drive._STEPS, {drive.MoveState.LINGERING: blindly, drive.MoveState.DRAINING: at_once}):
        yield


@contextmanager
def count_the_lease_from_the_reply() -> Iterator[None]:
    """A worker's lease counts from when it heard that a renewal was stored."""
    confirmed = Lease.confirmed
    with patch.object(Lease, "confirmed", lambda self, renewal, now: confirmed(self, now, now)):
        yield


BREAKAGES: tuple[Callable[[], AbstractContextManager[None]], ...] = (
    skip_the_barrier,
    acknowledge_at_once,
    leave_markers_untagged,
    retire_after_one_look,
    count_the_lease_from_the_reply,
)
