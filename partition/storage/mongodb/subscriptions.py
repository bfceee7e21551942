"""Subscriptions: they belong to a name, and outlive the queue of that name (API section 4.11)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pymongo.errors import DuplicateKeyError

from partition.errors import SubscriberTaken, SubscriptionMissing
from partition.model.clock import MILLISECONDS, Clock, age
from partition.model.identifier import Identifiers, well_formed
from partition.model.queue import QueueKey
from partition.model.subscription import NewSubscription, Subscription, SubscriptionChange
from partition.storage.mongodb.documents import Document, queue_id
from partition.storage.mongodb.schema import gone

if TYPE_CHECKING:
    from partition.storage.mongodb.numbers import Numbers
    from partition.storage.mongodb.store import Session, Store


class Subscriptions:
    """All subscriptions."""

    def __init__(self, store: Store, numbers: Numbers, identifiers: Identifiers, clock: Clock) -> None:
        self._store = store
        self._stored = store.subscriptions
        self._numbers = numbers
        self._identifiers = identifiers
        self._clock = clock

    async def create(self, key: QueueKey, wanted: NewSubscription) -> tuple[Subscription, bool]:
        now = self._clock()
        same = {"scope": queue_id(key), "subscriber": wanted.subscriber}
        async with self._store.writing() as session:
            document = {
                # The latest of all processes, because it also orders listings.
                "_id": await self._numbers.take_latest(session),
                **same,
                "source": key.name,
                "confirmed": False,
                **_life(wanted.ttl, wanted.options, now),
            }
            while True:
                try:
                    await self._stored.insert_one(document, session=session)
                except DuplicateKeyError:
                    found = await self._stored.find_one(same | {"expires": {"$gt": now}}, session=session)
                else:
                    return self._read(document, now), True
                if found is not None:
                    return self._read(found, now), False
                await self._forget_expired(same, now, session)

    async def get(self, key: QueueKey, subscription_id: str) -> Subscription:
        """Raises SubscriptionMissing."""
        now = self._clock()
        async with self._store.reading() as session:
            document = await self._stored.find_one(self._one(key, subscription_id, now), session=session)
        if document is None:
            raise SubscriptionMissing(subscription_id)
        return self._read(document, now)

    async def list_page(self, key: QueueKey, limit: int, marker: str | None) -> list[Subscription]:
        now = self._clock()
        after: int | None = 0
        if marker is not None:
            after = self._identifiers.number(marker) if well_formed(marker) else None
        if after is None:
            return []
        wanted = {"scope": queue_id(key), "_id": {"$gt": after}, "expires": {"$gt": now}}
        async with self._store.reading() as session:
            documents = await self._stored.find(wanted, sort=[("_id", 1)], limit=limit, session=session).to_list()
        return [self._read(document, now) for document in documents]

    async def change(self, key: QueueKey, subscription_id: str, wanted: SubscriptionChange) -> None:
        """Raises SubscriptionMissing, SubscriberTaken."""
        now = self._clock()
        one = self._one(key, subscription_id, now)
        async with self._store.writing() as session:
            while True:
                with self._store.translated(writing=False):
                    current = await self._stored.find_one(one, session=session)
                if current is None:
                    raise SubscriptionMissing(subscription_id)
                subscriber = current["subscriber"] if wanted.subscriber is None else wanted.subscriber
                ttl = current["ttl"] if wanted.ttl is None else wanted.ttl
                options = json.loads(current["options"]) if wanted.options is None else wanted.options
                life = {"subscriber": subscriber, **_life(ttl, options, now)}
                # Parts outside of the change keep the values read before, so they must be unchanged since.
                seen = {"ttl": current["ttl"], "options": current["options"], "subscriber": current["subscriber"]}
                try:
                    if (await self._stored.update_one(one | seen, {"$set": life}, session=session)).matched_count:
                        return
                except DuplicateKeyError:
                    same = {"scope": queue_id(key), "subscriber": subscriber}
                    if await self._stored.find_one(same | {"expires": {"$gt": now}}, {"_id": 1}, session=session):
                        raise SubscriberTaken(subscriber) from None
                    await self._forget_expired(same, now, session)

    async def confirm(self, key: QueueKey, subscription_id: str, confirmed: bool) -> None:
        """Raises SubscriptionMissing."""
        one = self._one(key, subscription_id, self._clock())
        async with self._store.writing() as session:
            result = await self._stored.update_one(one, {"$set": {"confirmed": confirmed}}, session=session)
        if not result.matched_count:
            raise SubscriptionMissing(subscription_id)

    async def delete(self, key: QueueKey, subscription_id: str) -> None:
        one = {"_id": self._identifiers.number(subscription_id), "scope": queue_id(key)}
        async with self._store.writing() as session:
            await self._stored.delete_one(one, session=session)

    async def purge(self, key: QueueKey) -> None:
        async with self._store.writing() as session:
            await self._store.repeated(lambda: self._stored.delete_many({"scope": queue_id(key)}, session=session))

    def _one(self, key: QueueKey, subscription_id: str, now: int) -> dict[str, Any]:
        number = self._identifiers.number(subscription_id)
        return {"_id": number, "scope": queue_id(key), "expires": {"$gt": now}}

    async def _forget_expired(self, same: dict[str, Any], now: int, session: Session) -> None:
        await self._stored.delete_one(same | {"expires": {"$lte": now}}, session=session)

    def _read(self, document: Document, now: int) -> Subscription:
        return Subscription(
            self._identifiers.identifier(document["_id"]),
            document["source"],
            document["subscriber"],
            document["ttl"],
            age(document["created"], now),
            json.loads(document["options"]),
            document["confirmed"],
        )


def _life(ttl: int, options: Mapping[str, Any], now: int) -> dict[str, Any]:
    expires = now + ttl * MILLISECONDS
    return {
        "created": now,
        "ttl": ttl,
        "expires": expires,
        "options": json.dumps(dict(options)),
        "gone": gone(expires, now),
    }
