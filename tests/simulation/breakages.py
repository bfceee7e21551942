"""The protocol of moves, broken on purpose in one place each: production's functions are replaced while it lasts.

What the checker does not catch of these, it would not catch of a mistake either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

from catalog.model import Placement
from marconi_proxy.moving.driving import drive
from marconi_proxy.moving.driving.drive import Drive, Next
from marconi_proxy.moving.driving.progress import Look
from marconi_proxy.moving.protocol.barrier import Barrier, Passed
from marconi_proxy.moving.protocol.fence import Fence, Lease
from marconi_proxy.routing import query as raw_query
from marconi_proxy.routing.translation import Translation


@contextmanager
def skip_the_barrier() -> Iterator[None]:
    """The mover switches without asking anybody whether writes are under way to the old segment."""
    with patch.object(Barrier, "verdict", property(lambda self: Passed((), (), ()))):
        yield


@contextmanager
def acknowledge_at_once() -> Iterator[None]:
    """A worker acknowledges a seal as soon as it is shown it, whatever writes of its own are under way."""
    with patch.object(Fence, "acks", lambda self, now: frozenset(self._seals.values())):
        yield


@contextmanager
def leave_markers_untagged() -> Iterator[None]:
    """The marker of a next page is what the page's segment calls it; ids and hrefs are as they should be."""
    outward = Translation.outward

    def as_it_is(self: Translation, href: str) -> str:
        path, _, query = outward(self, href).partition("?")
        marker = raw_query.last(href.partition("?")[2], "marker")
        return f"{path}?{raw_query.replaced(query, 'marker', marker)}" if marker else outward(self, href)

    with patch.object(Translation, "outward", as_it_is):
        yield


@contextmanager
def retire_after_one_look() -> Iterator[None]:
    """The mover sees the older segments empty once, and does not look again before it takes them away."""
    linger = Drive._linger

    async def blindly(self: Drive) -> Next:
        async def nothing(placement: Placement) -> Any:
            return drive._Seen([], None, {})

        with patch.object(self, "_look", nothing):
            return await linger(self)

    with patch.dict(drive._STEPS, {drive.MoveState.LINGERING: blindly}):
        yield


@contextmanager
def look_past_claimed_messages() -> Iterator[None]:
    """A segment counts as empty as soon as all that is in it is claimed."""
    with patch.object(Look, "empty", property(lambda self: self.problem is None and not self.free)):
        yield


@contextmanager
def count_the_lease_from_the_reply() -> Iterator[None]:
    """A worker's lease counts from when it heard that a renewal was stored."""
    confirmed = Lease.confirmed
    with patch.object(Lease, "confirmed", lambda self, renewal, now: confirmed(self, now, now)):
        yield


# What comes of a write that arrives in an older segment after the switch.
_OVERTAKEN = frozenset({"skipped", "disorder", "order"})
# Each with the promises by whose breach alone the checker is to know it.
BREAKAGES: tuple[tuple[Callable[[], AbstractContextManager[None]], frozenset[str]], ...] = (
    (skip_the_barrier, _OVERTAKEN),
    (acknowledge_at_once, _OVERTAKEN),
    (leave_markers_untagged, frozenset({"skipped", "repeated"})),
    (retire_after_one_look, frozenset({"lost"})),
    (look_past_claimed_messages, frozenset({"lost"})),
    (count_the_lease_from_the_reply, _OVERTAKEN),
)
