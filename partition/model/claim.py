"""Claims: leases on sets of messages (API section 6.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from partition.model.message import Message


class Lease(NamedTuple):
    """The grant of a claim or its renewal: ``ttl`` seconds, and ``grace`` seconds of life more for its messages."""

    ttl: int
    grace: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A live claim and the messages that are still under it, oldest first."""

    id: str
    ttl: int
    age: int
    messages: tuple[Message, ...]
