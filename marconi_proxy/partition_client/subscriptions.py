"""Subscriptions from one partition to another (API section 4.11). Pure.

A subscription is its subscriber: that is unique in a queue. Identifiers are the partition's own, so those of the new
partition differ, as they do for whoever subscribes anew after the old one has expired.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

# The least that can be asked for; one that ends sooner is given this much.
_LEAST = 60
# Seconds: ends of the same subscription that differ by no more are the same, for ages are whole seconds.
_TOLERANCE = 10


@dataclass(frozen=True, slots=True)
class SubscriptionEntry:
    """``remaining``: whole seconds until it expires, at least as many as one can ask for."""

    id: str
    subscriber: str
    remaining: int
    options: Mapping[str, Any] = field(default_factory=dict)
    confirmed: bool = False

    @staticmethod
    def from_json(doc: Mapping[str, Any]) -> SubscriptionEntry:
        """Read an entry of a list. Raises KeyError, TypeError."""
        return SubscriptionEntry(
            id=str(doc["id"]),
            subscriber=str(doc["subscriber"]),
            remaining=max(_LEAST, int(doc["ttl"]) - int(doc["age"])),
            options=dict(doc.get("options") or {}),
            confirmed=bool(doc.get("confirmed")),
        )


class Changes(NamedTuple):
    """What to do on the target: subscriptions to make, (identifier there, as it shall be), identifiers to end."""

    made: list[SubscriptionEntry]
    changed: list[tuple[str, SubscriptionEntry]]
    ended: list[str]

    def __bool__(self) -> bool:
        return bool(self.made or self.changed or self.ended)


def changes(source: Iterable[SubscriptionEntry], target: Iterable[SubscriptionEntry]) -> Changes:
    """Return how the target comes to have the subscriptions of the source."""
    there = {one.subscriber: one for one in target}
    made, changed = [], []
    for wanted in source:
        has = there.pop(wanted.subscriber, None)
        if has is None:
            made.append(wanted)
        elif not _same(wanted, has):
            changed.append((has.id, wanted))
    return Changes(made, changed, [one.id for one in there.values()])


def _same(wanted: SubscriptionEntry, has: SubscriptionEntry) -> bool:
    return (
        wanted.options == has.options
        and abs(wanted.remaining - has.remaining) <= _TOLERANCE
        and (has.confirmed or not wanted.confirmed)
    )
