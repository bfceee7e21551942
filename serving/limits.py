"""The bounds of a worker's connections."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds, sizes in bytes.

    ``max_head``: of a request line and its headers. ``head_timeout`` and ``body_timeout``: for these and for the body
    to arrive. ``keep_alive``: for the next request to begin. ``send_timeout``: for a client that reads nothing.
    ``max_bodies``: of all bodies of requests in flight. ``max_connections`` in all, and ``max_per_client`` from one
    address (0: no limit) that is not in ``trusted_clients``.
    """

    max_head: int
    head_timeout: float
    body_timeout: float
    keep_alive: float
    send_timeout: float
    max_bodies: int
    max_connections: int
    max_per_client: int = 0
    trusted_clients: Collection[str] = frozenset()
