"""What every handler works with: the store, the limits, and the few things beside them."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass, field

from cachetools import LRUCache

from partition.model.clock import Clock, system_clock
from partition.model.limits import Limits
from partition.model.queue import Queue, QueueKey
from partition.storage.interface import Storage


@dataclass(frozen=True)
class Node:
    """One process of the server. ``secret`` signs URLs; None refuses to. ``clock`` is for signatures only.

    ``known`` remembers queues for posting. What it says may be old: a post names the version that it was judged by.
    """

    storage: Storage
    limits: Limits = field(default_factory=Limits)
    secret: str | None = None
    clock: Clock = system_clock
    known: MutableMapping[QueueKey, Queue] = field(default_factory=lambda: LRUCache(10_000))
