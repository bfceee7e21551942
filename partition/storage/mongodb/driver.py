"""``MongoDBStorage``: the verbs of the interface, each handed to the module of its noun."""

from __future__ import annotations

from collections.abc import Sequence

from partition.model.clock import Clock, system_clock
from partition.model.identifier import Identifiers
from partition.model.message import Claim, Deletion, Lease, Message, MessageQuery, NewMessage, Stats
from partition.model.queue import Epoch, Kind, Metadata, Queue, QueueKey, QueueQuery
from partition.model.subscription import NewSubscription, Subscription, SubscriptionChange
from partition.storage.interface import Storage
from partition.storage.mongodb import checking, schema, stats, sweeping
from partition.storage.mongodb.burial import Burial
from partition.storage.mongodb.claims import Claims
from partition.storage.mongodb.marks import Marks
from partition.storage.mongodb.messages import Messages
from partition.storage.mongodb.numbers import Numbers
from partition.storage.mongodb.pages import Pages
from partition.storage.mongodb.posting import Posting
from partition.storage.mongodb.queues import Queues
from partition.storage.mongodb.store import Store
from partition.storage.mongodb.subscriptions import Subscriptions


class MongoDBStorage(Storage):
    """A store in the MongoDB database that the URI names, used by any number of processes at once."""

    def __init__(self, store: Store, identifiers: Identifiers, clock: Clock) -> None:
        self._store = store
        self._identifiers = identifiers
        self._clock = clock
        self._numbers = Numbers(store)
        self._pages = Pages(store)
        self._queues = Queues(store, self._numbers)
        self._posting = Posting(store, self._numbers, clock)
        self._marks = Marks(store, self._numbers, self._posting)
        self._messages = Messages(store, self._pages, self._numbers, identifiers, clock)
        burial = Burial(store, self._posting)
        self._claims = Claims(store, self._pages, self._numbers, burial, identifiers, clock)
        self._subscriptions = Subscriptions(store, self._numbers, identifiers, clock)

    def __repr__(self) -> str:
        return f"<MongoDBStorage {self._store.where}>"

    @classmethod
    async def open(cls, uri: str, clock: Clock = system_clock) -> MongoDBStorage:
        store = Store(uri)
        try:
            identifiers = await schema.open_or_prepare(store)
        except BaseException:
            await store.close()
            raise
        return cls(store, identifiers, clock)

    @property
    def identity(self) -> str:
        return self._identifiers.tag

    async def close(self) -> None:
        for batches in (self._posting, self._claims, self._messages, self._pages):
            await batches.close()
        await self._store.close()

    async def ping(self) -> None:
        async with self._store.writing() as session:
            now = {"$currentDate": {"pinged": True}}
            await self._store.store.update_one({"_id": schema.STORE}, now, session=session)

    async def check(self) -> list[str]:
        async with self._store.reading() as session:
            await schema.verify(self._store, session)
            return await checking.faults(self._store, session)

    async def sweep(self) -> bool:
        now = self._clock()
        async with self._store.writing() as session:
            await self._posting.sweep(session)
            more = await self._queues.sweep(session)
            more |= await sweeping.sweep_expired(self._store, now, session)
            more |= await sweeping.sweep_held(self._store, now, session)
        return more

    # Queues and topics

    async def get_queue(self, key: QueueKey) -> Queue | None:
        return await self._queues.get(key)

    async def create_queue(self, key: QueueKey, metadata: Metadata, epoch: Epoch | None = None) -> bool:
        return await self._queues.create(key, metadata, epoch)

    async def replace_metadata(
        self, key: QueueKey, metadata: Metadata, version: str | None = None, epoch: Epoch | None = None
    ) -> None:
        await self._queues.replace_metadata(key, metadata, version, epoch)

    async def delete_queue(self, key: QueueKey) -> None:
        await self._queues.delete(key)

    async def list_queues(self, query: QueueQuery) -> list[Queue]:
        return await self._queues.list_page(query)

    async def count_queues(self, project: str, kind: Kind) -> int:
        return await self._queues.count(project, kind)

    async def inventory(self, after: QueueKey | None, limit: int) -> list[tuple[QueueKey, Queue]]:
        return await self._queues.inventory(after, limit)

    async def stats(self, key: QueueKey) -> Stats:
        return await stats.of_queue(self._store, self._pages, key, self._identifiers, self._clock())

    # Fences

    async def fence(self, key: QueueKey, epoch: Epoch) -> None:
        await self._marks.fence(key, epoch)

    async def reopen(self) -> int:
        return await self._marks.reopen()

    # Messages

    async def post(
        self,
        key: QueueKey,
        messages: Sequence[NewMessage],
        client: bytes,
        version: str | None = None,
        epoch: Epoch | None = None,
    ) -> list[str]:
        numbers = await self._posting.post(key, messages, client, version, epoch)
        return [self._identifiers.identifier(number) for number in numbers]

    async def list_messages(self, key: QueueKey, query: MessageQuery) -> tuple[list[Message], Queue | None]:
        return await self._messages.list_page(key, query)

    async def get_messages(self, key: QueueKey, ids: Sequence[str]) -> list[Message]:
        return await self._messages.get(key, ids)

    async def delete_messages(self, key: QueueKey, ids: Sequence[str], claim_ids: Sequence[str] | None = None) -> bool:
        return await self._messages.delete_many(key, ids, claim_ids)

    async def delete_message(self, key: QueueKey, message_id: str, claim_id: str | None) -> Deletion:
        return await self._messages.delete_one(key, message_id, claim_id)

    async def pop(self, key: QueueKey, limit: int) -> list[Message]:
        return await self._messages.pop(key, limit)

    async def purge(self, key: QueueKey) -> None:
        await self._messages.purge(key)

    # Claims

    async def claim(self, key: QueueKey, lease: Lease, limit: int) -> Claim | None:
        return await self._claims.create(key, lease, limit)

    async def get_claim(self, key: QueueKey, claim_id: str) -> Claim:
        return await self._claims.get(key, claim_id)

    async def renew_claim(self, key: QueueKey, claim_id: str, lease: Lease) -> None:
        await self._claims.renew(key, claim_id, lease)

    async def release_claim(self, key: QueueKey, claim_id: str) -> None:
        await self._claims.release(key, claim_id)

    # Subscriptions

    async def subscribe(self, key: QueueKey, wanted: NewSubscription) -> tuple[Subscription, bool]:
        return await self._subscriptions.create(key, wanted)

    async def get_subscription(self, key: QueueKey, subscription_id: str) -> Subscription:
        return await self._subscriptions.get(key, subscription_id)

    async def list_subscriptions(self, key: QueueKey, limit: int, marker: str | None) -> list[Subscription]:
        return await self._subscriptions.list_page(key, limit, marker)

    async def change_subscription(self, key: QueueKey, subscription_id: str, change: SubscriptionChange) -> None:
        await self._subscriptions.change(key, subscription_id, change)

    async def confirm_subscription(self, key: QueueKey, subscription_id: str, confirmed: bool) -> None:
        await self._subscriptions.confirm(key, subscription_id, confirmed)

    async def delete_subscription(self, key: QueueKey, subscription_id: str) -> None:
        await self._subscriptions.delete(key, subscription_id)

    async def purge_subscriptions(self, key: QueueKey) -> None:
        await self._subscriptions.purge(key)
