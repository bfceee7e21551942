"""Subscriptions (API section 4.11)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class NewSubscription:
    """A requested subscription. ``ttl`` in seconds."""

    subscriber: str
    ttl: int
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SubscriptionChange:
    """A requested change; None leaves a part as it is."""

    subscriber: str | None = None
    ttl: int | None = None
    options: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Subscription:
    """A live subscription of the queue ``source``."""

    id: str
    source: str
    subscriber: str
    ttl: int
    age: int
    options: Mapping[str, Any]
    confirmed: bool
