"""Every interleaving of the fence protocol, on the classes that run in production; and that a broken one is found out.

Two workers, one queue, two movers, a store with a clock; ``MARCONI_TEST_DEEP=1`` (nightly) has failures too.
The figures in the summary of a run are of different states: those that differ in nothing that can matter, and those
that are each other's mirror image, count once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import pytest

from marconi_proxy.fencing.fence import Fence, Ticket, WriteLease
from tests.depth import DEEP
from tests.simulation.fence_world import FenceWorld
from tests.simulation.rules import AMBIGUITY, LEASE, MARGIN, Rules
from tests.simulation.search import Found, explore

# (switches, failures, changes that a feed may be behind; if it is further behind, it is shown the older ones at once;
# preparations of seals): two moves, and one move that is prepared up to two times, with whatever may come late. Deeper:
# one move with any failure on top, and more: some minutes, and 2 GB (two moves with one failure alone are 3.6 million
# states, 131 s of CPU and 1.3 GB).
BOUNDS = [(2, 0, 1, 0), (1, 0, 1, 2)]
if DEEP:
    BOUNDS += [(1, 1, 1, 0), (2, 0, 9, 0), (2, 1, 1, 0), (1, 2, 1, 0), (1, 1, 1, 1)]


# The late events of live moves, in the words of the world.
LATE = {
    "worker joins",
    "worker is shown change",
    "worker hears that its lease was renewed",
    "worker takes a write and looks up the placement",
    "worker checks its lease and sends, if it holds",
    "worker gets the answer of segment",
    "mover seals",
    "mover reads who the members are",
    "mover sees nobody missing",
    "mover switches to segment",
    "mover retires segment",
}
FAILURES = {
    "worker never hears that its lease was renewed",
    "worker loses its feed",
    "worker has a feed again, and forgets what it knew",
    "worker checks its lease and freezes before it sends",
    "worker thaws and sends to segment",
    "worker thaws and sends to segment, late",
    "worker gives up the write to segment",
    "worker finds the seal overdue and aborts it",
    "worker signs off",
    "worker crashes",
    "mover takes the move over",
    "mover aborts the seal",
    "mover switches to segment, in vain",
    "mover bars the placement",
    "mover deletes the queue on the target",
    "the move is cancelled",
}
PREPARED = {
    "mover prepares the seal",
    "worker takes a write and looks up the placement, after a withdrawal of the preparation",
}
AGAIN = {"another move is ordered, and armed", "the move is reversed, and the way back armed"}


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(("switches", "failures", "lag", "preparations"), BOUNDS)
def test_every_interleaving_keeps_every_promise_and_can_end_well(
    switches: int, failures: int, lag: int, preparations: int, record_property: Callable[[str, object], None]
) -> None:
    world = FenceWorld(switches, failures, Rules(lag=lag, preparations=preparations))
    found = explore(world)
    limits = f"{switches} switches, {preparations} preparations, {failures} failures, feeds {lag} behind"
    record_property("explored", f"{limits}: {found}")
    assert found.problem is None, str(found)
    assert LATE | (AGAIN if switches > 1 else set()) | (PREPARED if preparations else set()) <= world.met
    if failures:
        assert world.met >= FAILURES
    else:
        assert not world.met & FAILURES


class Hasty(Fence):
    """Acknowledges what it was shown, whatever is still under way."""

    def acks(self, now: float) -> frozenset[Hashable]:
        super().acks(now)
        return frozenset(self._seals.values())


class Forgetful(Fence):
    """Forgets with the end of a seal what was under way before it."""

    def change(self, key: Hashable, seal: Hashable | None) -> None:
        super().change(key, seal)
        if seal is None:
            self._overtaken.pop(key, None)

    def end(self, ticket: Ticket, now: float, ambiguous: bool = False) -> None:
        if not ticket.overtaken or ticket in self._overtaken.get(ticket.key, ()):
            super().end(ticket, now, ambiguous)


class FromReply(WriteLease):
    """Counts from when the answer came."""

    def confirmed(self, renewal: float, now: float) -> bool:
        return super().confirmed(now, now)


STARTED = "a write to segment 0 was started after segment 1 was opened"
ACKNOWLEDGED = "a write was acknowledged that arrived in segment 0 after"
TIMED_OUT = "a segment was opened while a timed-out write"
STUCK = "no good end"

BREAKS: dict[str, tuple[dict[str, Any], int, str]] = {
    "the barrier is skipped": ({"barrier": False}, 0, STARTED),
    "writes under way are not waited for": ({"fence": lambda: Hasty(AMBIGUITY)}, 0, STARTED),
    "writes under way are forgotten with the end of a seal": ({"fence": lambda: Forgetful(AMBIGUITY)}, 1, STARTED),
    "a write is counted after it was looked up": ({"register_first": False}, 0, STARTED),
    "members are read before the seal": ({"snapshot_after_seal": False}, 0, STARTED),
    "the lease counts from the answer": ({"lease": lambda: FromReply(LEASE, MARGIN)}, 0, STARTED),
    "no margin for clocks": ({"lease": lambda: WriteLease(LEASE, 0.0)}, 1, STARTED),
    "a lease ends later than promised": ({"lease": lambda: WriteLease(LEASE + 2, MARGIN)}, 0, STARTED),
    "a seal is aborted after the switch": ({"abort_compares": False}, 1, STARTED),
    "what was known outlives the lease": ({"forget_on_new_term": False}, 0, STARTED),
    "what was looked up outlives the lease": ({"recheck_term": False}, 0, STARTED),
    "a late write is acknowledged": ({"refuse_late": False}, 0, ACKNOWLEDGED),
    "a timed-out write does not count": ({"count_ambiguous": False}, 1, TIMED_OUT),
    "a preparation is not withdrawn": ({"preparations": 1, "withdraw": False}, 0, STARTED),
}
if DEEP:
    # A search proves that a state cannot end well only after it has visited everything.
    BREAKS["a cancelled move bars nothing"] = ({"bar_before_undo": False}, 1, STUCK)


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_protocol_is_found_out(name: str) -> None:
    rules, failures, problem = BREAKS[name]
    found = explore(FenceWorld(1, failures, Rules(**rules)), problem)
    print(f"\n{name}: {found}")
    assert found.problem is not None
    assert found.problem.startswith(problem)
    assert found.trace


def test_a_dead_end_is_found_out() -> None:
    class Pit:
        """From 0 one may go to 1, the good end, or to 2, from where there is no way."""

        first = 0

        def steps(self, state: int) -> list[tuple[str, int, str | None, bool]]:
            return [("on", 1, None, 0), ("astray", 2, None, 0)] if state == 0 else []

        def is_good_end(self, state: int) -> bool:
            return state == 1

        def mirror(self, label: str) -> str:
            return label

    assert explore(Pit()) == Found(3, 2, "no good end can be reached", ("astray",))
