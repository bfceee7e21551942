"""Record the calls of clients to one queue, and their answers.

Times are of one clock that all recorders share: ``sent`` before the request left, ``answered`` when its answer had come
or was given up. A call took effect in between; one of unknown outcome may take effect later.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from catalog.model import Placement


class Outcome(Enum):
    """The meaning of an answer. acknowledged: the call was done. refused: nothing was done. unknown: either."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class Body(NamedTuple):
    """The content of a message: its producer, and a number that grows with each. No two messages have the same."""

    producer: str
    number: int

    def __str__(self) -> str:
        return f"{self.producer}#{self.number}"


class Shown(NamedTuple):
    """A message in an answer. ``id`` is the one that the client was shown."""

    body: Body
    id: str


@dataclass(frozen=True, slots=True)
class Post:
    """One call with one or more messages, in this order. A producer has one post under way at a time. ``delay``:
    seconds of the clock before they may be claimed."""

    bodies: tuple[Body, ...]
    sent: float
    answered: float
    outcome: Outcome
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Claim:
    """``taken``: in the order of the answer; nothing if there was nothing to take. ``ttl`` in seconds of the clock.
    ``pops``: it is no claim but a pop of up to so many, which are deleted as they are taken.

    With an unknown outcome, the messages taken are unknown. They return when a claim lapses; after a pop they do not.
    """

    consumer: str
    sent: float
    answered: float
    outcome: Outcome
    ttl: float
    taken: tuple[Shown, ...] = ()
    pops: int = 0


@dataclass(frozen=True, slots=True)
class Deletion:
    """Of a message under the claim with this index in ``History.claims``."""

    claim: int
    body: Body
    sent: float
    answered: float
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Release:
    """Of the claim with this index in ``History.claims``, with all that it still had."""

    claim: int
    sent: float
    answered: float
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Renewal:
    """Of the claim with this index in ``History.claims``, which ends ``ttl`` seconds later then. ``missing``: it was
    refused because there is no such claim."""

    claim: int
    sent: float
    answered: float
    outcome: Outcome
    ttl: float
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """One answered page of a subscriber, which lists everything and follows its bookmark from one page to the next."""

    subscriber: str
    sent: float
    answered: float
    seen: tuple[Shown, ...]


@dataclass(frozen=True, slots=True)
class Removal:
    """Of all that is in the queue: the queue was deleted, or purged, which spares messages under a claim."""

    sent: float
    answered: float
    outcome: Outcome
    purge: bool = False

    @property
    def end(self) -> float:
        """When it can remove nothing more. One of unknown outcome may be finished by any later call."""
        return self.answered if self.outcome is Outcome.ACKNOWLEDGED else float("inf")


@dataclass(frozen=True, slots=True)
class Setting:
    """A change of one member of the metadata to ``value``. One client makes all of a queue, one after the other."""

    value: int
    sent: float
    answered: float
    outcome: Outcome


@dataclass(slots=True)
class History:
    """``pages`` are in the order in which each subscriber read them. ``left``: what was in the queue at the end, when
    all clients had stopped; ``setting``: what was set then. ``placements``: every one that the catalog stored, in that
    order. ``dead_letters``: what was done to the dead-letter queue, which has no posts of its own. ``leases_kept``: the
    lease of no worker has ended, so that the queue vouches for posts without an answer too, once they were seen.
    ``strays``: messages that came to the former place of the queue after its deletion was stored, without being taken
    over by its next life: no promise covers them, whatever their answers are."""

    posts: list[Post] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    deletions: list[Deletion] = field(default_factory=list)
    releases: list[Release] = field(default_factory=list)
    renewals: list[Renewal] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)
    left: list[Shown] = field(default_factory=list)
    placements: list[Placement] = field(default_factory=list)
    removals: list[Removal] = field(default_factory=list)
    settings: list[Setting] = field(default_factory=list)
    setting: int | None = None
    dead_letters: History | None = None
    leases_kept: bool = False
    strays: set[Body] = field(default_factory=set)
