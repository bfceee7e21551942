"""Messages and claims on their way in and out.

``body`` is JSON text everywhere: parsed once, at the door, and never again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from partition.model.limits import DEFAULT_PAGE

_LARGEST_POSITION = 2**63 - 1


class NewMessage(NamedTuple):
    """A message as posted. Times in seconds."""

    ttl: int
    body: str
    delay: int = 0


class Message(NamedTuple):
    """A message as one answer shows it. ``claim_id`` is that of the live claim it is under, if any."""

    id: str
    marker: str
    ttl: int
    age: int
    body: str
    claim_id: str | None = None
    claim_count: int = 0


@dataclass(frozen=True, slots=True)
class MessageQuery:
    """A page of a list: the messages after ``marker`` (None: from the start), oldest first.

    The own messages of client ``hidden_from`` are left out. Delayed messages are left out only if the queue has a
    default delay (API section 4.7), and not even then with ``include_delayed``.
    """

    limit: int = DEFAULT_PAGE
    marker: str | None = None
    hidden_from: bytes | None = None
    include_claimed: bool = False
    include_delayed: bool = False


def marked_position(marker: str | None) -> int | None:
    """Return the position after which a page starts (API section 6.3): 0 without a marker, None for one that no store
    issued."""
    if marker is None:
        return 0
    if not (marker.isascii() and marker.isdigit()) or len(marker) > 19 or int(marker) > _LARGEST_POSITION:
        return None
    return int(marker)


class Deletion(Enum):
    """The result of a request to delete one message (API section 2.12)."""

    DONE = "there is no such message any more"
    CLAIMED = "it is claimed, and not by the claim that was named"
    NOT_CLAIMED = "a claim was named, and the message is not claimed now"
    BAD_CLAIM = "what was named as a claim cannot be one"


class Lease(NamedTuple):
    """The grant of a claim or its renewal: ``ttl`` seconds, and ``grace`` seconds of life more for its messages."""

    ttl: int
    grace: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A live claim (API section 6.5) and the messages that are still under it, oldest first."""

    id: str
    ttl: int
    age: int
    messages: tuple[Message, ...]


class Edge(NamedTuple):
    """The oldest or newest message in stats. ``created`` in milliseconds since 1970."""

    id: str
    age: int
    created: int


@dataclass(frozen=True, slots=True)
class Stats:
    """API section 6.7. ``total`` counts all messages, claimed and delayed ones included."""

    total: int
    claimed: int
    oldest: Edge | None = None
    newest: Edge | None = None

    @property
    def free(self) -> int:
        return self.total - self.claimed
