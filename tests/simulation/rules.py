"""The protocol as the explorer plays it: as it is, or broken in one way on purpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from marconi_proxy.fencing.fence import Fence, WriteLease

# Ticks. A lease is measured by the age of its renewal in whole ticks: one of 1.5 is over at 2. A worker's clock may
# lose one tick against the store's, and the margin makes up for it.
LEASE = 1.5
MARGIN = 1.0
# The time within which a timed-out write is done, if at all, and for which it counts as in flight.
AMBIGUITY = 1.0


@dataclass(frozen=True)
class Rules:
    """Each field is a rule of the protocol; the value it has here is the right one.

    register_first: a write is counted before its placement is looked up. recheck_term: nothing is sent that was looked
    up in an earlier term. forget_on_new_term: the cache is dropped then. refuse_late: a write is not answered with
    success if its term ended under way. count_ambiguous: a timed-out write goes on counting. barrier: the switch waits
    for the members. snapshot_after_seal: for those that were there after the seal. abort_compares: a seal is aborted on
    the epoch that it was seen with. bar_before_undo: a cancelled move makes earlier readings void before it deletes.
    withdraw: a worker that has acknowledged a preparation withdraws it before it uses the queue.
    """

    lease: Callable[[], WriteLease] = lambda: WriteLease(LEASE, MARGIN)
    fence: Callable[[], Fence] = lambda: Fence(AMBIGUITY)
    register_first: bool = True
    recheck_term: bool = True
    forget_on_new_term: bool = True
    refuse_late: bool = True
    count_ambiguous: bool = True
    barrier: bool = True
    snapshot_after_seal: bool = True
    abort_compares: bool = True
    bar_before_undo: bool = True
    withdraw: bool = True
    # No rule, but a bound: how often movers may prepare a seal.
    preparations: int = 0
    # No rule, but a bound: how many changes the feed of a worker may be behind.
    lag: int = 1
