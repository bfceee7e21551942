"""Queues and topics: their names, their attributes, and the epochs of writes to them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

# v1 without X-Project-Id. No project has this name: an empty header is refused (API section 1.2).
NO_PROJECT = ""

Metadata = Mapping[str, Any]

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
# Sorts after every name.
_AFTER_NAMES = "~"
# No client can address them: paths with such a segment are normalised on the way.
_UNREACHABLE = frozenset({".", ".."})

# The lives of one name with kept marks: only the last one takes writes, but an old mover may close late.
MARKED_LIVES = 8
LARGEST_EPOCH = 2**63 - 1
_EPOCH = re.compile(rb"([A-Za-z0-9_-]{0,64})/([0-9]{1,19})")


def well_named(name: str) -> bool:
    """Whether a queue or topic can have this name (API section 1.4)."""
    return _NAME.fullmatch(name) is not None and name not in _UNREACHABLE


class Kind(IntEnum):
    """Two independent namespaces (API section 4.12). The numbers are stored."""

    QUEUE = 0
    TOPIC = 1


class QueueKey(NamedTuple):
    """The key of a queue (API section 1.3). ``project`` is NO_PROJECT or the header's text."""

    project: str
    name: str
    kind: Kind = Kind.QUEUE


def place(key: QueueKey) -> tuple[str, Kind, str]:
    """The sort key of inventories."""
    return key.project, key.kind, key.name


def lower_bound(after: QueueKey | None, kind: Kind) -> tuple[str, str]:
    """Return the (project, name) after which those of ``kind`` come next in an inventory that has come to ``after``."""
    if after is None:
        return "", ""
    if after.kind is kind:
        return after.project, after.name
    # Queues come before topics: none of the project's queues is left, and all of its topics are.
    return after.project, _AFTER_NAMES if kind is Kind.QUEUE else ""


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue as it was at one moment.

    ``version`` is opaque, and different whenever the metadata was changed or the queue was deleted and created again.
    """

    name: str
    version: str
    metadata: Metadata


@dataclass(frozen=True, slots=True)
class QueueQuery:
    """A page of a listing (API section 4.2): names after ``after``, with all ``filters`` true of stored metadata."""

    project: str
    kind: Kind
    limit: int
    after: str = ""
    name_part: str = ""
    filters: tuple[tuple[str, int | str], ...] = ()


class Epoch(NamedTuple):
    """The age of the proxy's catalog read behind a forwarded write.

    ``number`` grows with every change of a queue's location; ``life`` is the token of one queue from its creation to
    its deletion, in which numbers are comparable ("" for one without a token).
    """

    life: str
    number: int

    @staticmethod
    def read(value: bytes) -> Epoch | None:
        """Read ``LIFE/NUMBER``; None if it is spelled otherwise."""
        spelled = _EPOCH.fullmatch(value)
        if spelled is None or int(spelled[2]) > LARGEST_EPOCH:
            return None
        return Epoch(spelled[1].decode(), int(spelled[2]))
