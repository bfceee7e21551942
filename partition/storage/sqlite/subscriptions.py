"""Subscriptions: they belong to a name, and outlive the queue of that name (API section 4.11)."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from partition.errors import SubscriberTaken, SubscriptionMissing
from partition.model.clock import MILLISECONDS, age
from partition.model.identifier import Identifiers, well_formed
from partition.model.queue import QueueKey
from partition.model.subscription import NewSubscription, Subscription, SubscriptionChange
from partition.storage.sqlite.schema import take_numbers

_COLUMNS = "number, source, subscriber, ttl, created, options, confirmed"
_OF_QUEUE = "kind=? AND project=? AND source=?"


def _of_queue(key: QueueKey) -> tuple[int, str, str]:
    return key.kind, key.project, key.name


def _subscription(row: Any, identifiers: Identifiers, now: int) -> Subscription:
    number, source, subscriber, ttl, created, options, confirmed = row
    return Subscription(
        identifiers.identifier(number),
        source,
        subscriber,
        ttl,
        age(created, now),
        json.loads(options),
        bool(confirmed),
    )


def create(
    connection: sqlite3.Connection, key: QueueKey, wanted: NewSubscription, identifiers: Identifiers, now: int
) -> tuple[Subscription, bool]:
    _forget_expired(connection, key, wanted.subscriber, now)
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM subscription WHERE {_OF_QUEUE} AND subscriber=?",  # noqa: S608
        (*_of_queue(key), wanted.subscriber),
    ).fetchone()
    if row is not None:
        return _subscription(row, identifiers, now), False
    number = take_numbers(connection, 1)
    options = json.dumps(dict(wanted.options))
    connection.execute(
        "INSERT INTO subscription"
        " (number, kind, project, source, subscriber, created, ttl, expires, options, confirmed)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
        (number, *_of_queue(key), wanted.subscriber, now, wanted.ttl, now + wanted.ttl * MILLISECONDS, options),
    )
    row = (number, key.name, wanted.subscriber, wanted.ttl, now, options, 0)
    return _subscription(row, identifiers, now), True


def _forget_expired(connection: sqlite3.Connection, key: QueueKey, subscriber: str, now: int) -> None:
    connection.execute(
        f"DELETE FROM subscription WHERE {_OF_QUEUE} AND subscriber=? AND expires<=?",  # noqa: S608
        (*_of_queue(key), subscriber, now),
    )


def get(
    connection: sqlite3.Connection, key: QueueKey, subscription_id: str, identifiers: Identifiers, now: int
) -> Subscription:
    """Raises SubscriptionMissing."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM subscription WHERE number=? AND {_OF_QUEUE} AND expires>?",  # noqa: S608
        (identifiers.number(subscription_id), *_of_queue(key), now),
    ).fetchone()
    if row is None:
        raise SubscriptionMissing(subscription_id)
    return _subscription(row, identifiers, now)


def list_page(
    connection: sqlite3.Connection, key: QueueKey, limit: int, marker: str | None, identifiers: Identifiers, now: int
) -> list[Subscription]:
    after = 0
    if marker is not None:
        number = identifiers.number(marker) if well_formed(marker) else None
        if number is None:
            return []
        after = number
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM subscription WHERE {_OF_QUEUE} AND number>? AND expires>? ORDER BY number LIMIT ?",  # noqa: S608
        (*_of_queue(key), after, now, limit),
    )
    return [_subscription(row, identifiers, now) for row in rows]


def change(
    connection: sqlite3.Connection,
    key: QueueKey,
    subscription_id: str,
    wanted: SubscriptionChange,
    identifiers: Identifiers,
    now: int,
) -> None:
    """Raises SubscriptionMissing, SubscriberTaken."""
    current = get(connection, key, subscription_id, identifiers, now)
    number = identifiers.number(subscription_id)
    subscriber = current.subscriber if wanted.subscriber is None else wanted.subscriber
    _forget_expired(connection, key, subscriber, now)
    ttl = current.ttl if wanted.ttl is None else wanted.ttl
    options = current.options if wanted.options is None else wanted.options
    taken = connection.execute(
        f"SELECT 1 FROM subscription WHERE {_OF_QUEUE} AND subscriber=? AND number!=?",  # noqa: S608
        (*_of_queue(key), subscriber, number),
    ).fetchone()
    if taken:
        raise SubscriberTaken(subscriber)
    connection.execute(
        "UPDATE subscription SET subscriber=?, ttl=?, created=?, expires=?, options=? WHERE number=?",
        (subscriber, ttl, now, now + ttl * MILLISECONDS, json.dumps(dict(options)), number),
    )


def confirm(
    connection: sqlite3.Connection,
    key: QueueKey,
    subscription_id: str,
    confirmed: bool,
    identifiers: Identifiers,
    now: int,
) -> None:
    """Raises SubscriptionMissing."""
    get(connection, key, subscription_id, identifiers, now)
    number = identifiers.number(subscription_id)
    connection.execute("UPDATE subscription SET confirmed=? WHERE number=?", (confirmed, number))


def delete(connection: sqlite3.Connection, key: QueueKey, subscription_id: str, identifiers: Identifiers) -> None:
    connection.execute(
        f"DELETE FROM subscription WHERE number=? AND {_OF_QUEUE}",  # noqa: S608
        (identifiers.number(subscription_id), *_of_queue(key)),
    )


def purge(connection: sqlite3.Connection, key: QueueKey) -> None:
    connection.execute(f"DELETE FROM subscription WHERE {_OF_QUEUE}", _of_queue(key))  # noqa: S608
