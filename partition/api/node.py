"""The context of every handler: the store, the limits, and a few other objects."""

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
    """One process of the server. ``secret`` signs URLs; None refuses sharing. ``clock`` is for signatures only.

    ``known`` caches queues for posting. An entry may be stale: a post names the version of its validation.
    """

    storage: Storage
    limits: Limits = field(default_factory=Limits)
    secret: str | None = None
    clock: Clock = system_clock
    known: MutableMapping[QueueKey, Queue] = field(default_factory=lambda: LRUCache(10_000))
