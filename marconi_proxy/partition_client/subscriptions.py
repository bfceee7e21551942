"""The difference between the subscriptions of two queues (API section 4.11). Pure.

The subscriber identifies a subscription within a queue. Identifiers are assigned by the partition, so they change with
it, as they do when a client subscribes again after expiry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

# The shortest ttl that the API accepts, in seconds; used for a shorter remaining time.
_LEAST = 60
# Seconds by which the remaining times of equal subscriptions may differ, because ages are whole seconds.
_TOLERANCE = 10


@dataclass(frozen=True, slots=True)
class SubscriptionEntry:
    """An entry of a list of subscriptions. ``remaining``: seconds until expiry, at least the shortest ttl."""

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
    """Changes to the target: subscriptions to create, (identifier, new value) to change, identifiers to delete."""

    made: list[SubscriptionEntry]
    changed: list[tuple[str, SubscriptionEntry]]
    ended: list[str]

    def __bool__(self) -> bool:
        return bool(self.made or self.changed or self.ended)


def changes(source: Iterable[SubscriptionEntry], target: Iterable[SubscriptionEntry]) -> Changes:
    """Return the changes that give the target the subscriptions of the source."""
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
