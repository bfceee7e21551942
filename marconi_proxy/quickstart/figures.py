"""The fate of messages posted and claimed while their queue was moved. Pure: observations in, figures out.

A producer numbers its messages and posts one at a time. Claims overlap, so the order of two messages is known only in
these cases: one was handed out before the other if the claim that brought it was answered before the other's claim was
sent, or if it comes first in the same claim.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Name(NamedTuple):
    """Of a message: it is the ``number``-th of its ``producer``."""

    producer: int
    number: int


@dataclass(frozen=True, slots=True)
class ClaimRecord:
    """Times in seconds, of one clock. ``names`` in the order of the answer."""

    sent: float
    answered: float
    names: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """``lost``: acknowledged and never delivered. ``duplicated``: deliveries after the first. ``out_of_order``: first
    deliveries that surely came after that of a later message of the same producer. ``strange``: deliveries of messages
    that were never posted. ``longest_write``: seconds from the first try of a post to its acknowledgement."""

    posted: int
    delivered: int
    lost: int
    duplicated: int
    out_of_order: int
    strange: int
    longest_write: float

    @property
    def clean(self) -> bool:
        return not (self.lost or self.duplicated or self.out_of_order or self.strange)

    def __str__(self) -> str:
        strange = f", never posted {self.strange}" if self.strange else ""
        return (
            f"posted {self.posted}, delivered {self.delivered}, lost {self.lost}, duplicated {self.duplicated}, "
            f"out of order {self.out_of_order}{strange}"
        )


def judge(posted: Mapping[Name, float], claims: Iterable[ClaimRecord]) -> Figures:
    """Return the figures. ``posted``: the acknowledged messages, and how many seconds each of them took."""
    first: dict[Name, ClaimRecord] = {}
    deliveries = 0
    for claim in sorted(claims, key=lambda claim: claim.answered):
        for name in claim.names:
            deliveries += 1
            first.setdefault(name, claim)
    return Figures(
        posted=len(posted),
        delivered=len(first.keys() & posted.keys()),
        lost=len(posted.keys() - first.keys()),
        duplicated=deliveries - len(first),
        out_of_order=_out_of_order(first),
        strange=len(first.keys() - posted.keys()),
        longest_write=max(posted.values(), default=0.0),
    )


def _out_of_order(first: Mapping[Name, ClaimRecord]) -> int:
    producers: dict[int, list[int]] = defaultdict(list)
    for name in first:
        producers[name.producer].append(name.number)
    late = 0
    for producer, numbers in producers.items():
        earliest = math.inf  # answer to a claim that brought a later message
        for number in sorted(numbers, reverse=True):
            name = Name(producer, number)
            claim = first[name]
            ahead = claim.names[: claim.names.index(name)]
            behind = any(other.producer == producer and other.number > number for other in ahead)
            late += behind or earliest < claim.sent
            earliest = min(earliest, claim.answered)
    return late
