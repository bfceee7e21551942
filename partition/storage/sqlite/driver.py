"""``SQLiteStorage``: the verbs of the interface, each one job on one of two connection threads."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from functools import partial

from partition.errors import BadStorageURI, StorageError, WrongStore
from partition.model.clock import Clock, system_clock
from partition.model.identifier import Identifiers
from partition.model.message import Claim, Deletion, Lease, Message, MessageQuery, NewMessage, Stats
from partition.model.queue import Epoch, Kind, Metadata, Queue, QueueKey, QueueQuery
from partition.model.subscription import NewSubscription, Subscription, SubscriptionChange
from partition.storage.interface import Storage
from partition.storage.sqlite import (
    checking,
    claims,
    marks,
    messages,
    queues,
    schema,
    stats,
    subscriptions,
    sweeping,
)
from partition.storage.sqlite.connection_thread import BUSY_TIMEOUT, ConnectionThread
from partition.storage.sqlite.room import check_room
from partition.storage.sqlite.translation import FAULTS, translate
from partition.storage.uri import split
from partition.validation.json_document import text


def path_of(uri: str) -> str:
    """Return the path in ``sqlite:////absolute/path``. Raises BadStorageURI."""
    parts = split(uri)
    # Four slashes: an empty authority, then an absolute path.
    if parts.scheme != "sqlite" or parts.authority or not parts.path.startswith("//") or parts.query or parts.fragment:
        raise BadStorageURI("SQLite's storage URI is sqlite:////absolute/path, with four slashes")
    path = parts.path[1:]
    if path.endswith("/"):
        raise BadStorageURI("SQLite's storage URI names a file: sqlite:////absolute/path")
    return path


class SQLiteStorage(Storage):
    """A store in the file ``path``, used by any number of processes of one machine at once.

    Writes take turns on one connection thread, and in ``BEGIN IMMEDIATE`` with those of other processes. Reads have
    another thread and never wait for a writer (write-ahead log).
    """

    def __init__(self, path: str, identifiers: Identifiers, clock: Clock) -> None:
        self._path = path
        self._identifiers = identifiers
        self._clock = clock
        self._writing = ConnectionThread(path, "write", begin="BEGIN IMMEDIATE", writing=True, judge=self._same_store)
        self._reading = ConnectionThread(path, "read", begin="BEGIN", writing=False, judge=self._same_store)
        self._swept = 0  # the last queue that the sweep has looked at

    def __repr__(self) -> str:
        return f"<SQLiteStorage {self._path}>"

    @classmethod
    async def open(cls, uri: str, clock: Clock = system_clock) -> SQLiteStorage:
        path = path_of(uri)
        try:
            identifiers = await asyncio.to_thread(schema.open_or_prepare, path, BUSY_TIMEOUT)
        except FAULTS as error:
            raise translate(error, path) from error
        return cls(path, identifiers, clock)

    @classmethod
    async def exists(cls, uri: str) -> bool:
        return await asyncio.to_thread(schema.bytes_of, path_of(uri)) > 0

    @property
    def identity(self) -> str:
        return self._identifiers.tag

    async def close(self) -> None:
        await self._writing.close()
        await self._reading.close()

    def _same_store(self, connection: sqlite3.Connection) -> None:
        """Raise WrongStore if another store has taken its place: its numbers belong to other identifiers."""
        if schema.verify(connection, self._path).identifier(1) != self._identifiers.identifier(1):
            raise WrongStore(f"storage {self._path}: another store has taken its place; restart the server to use it")

    def _sweep_queue(self, queue: int, connection: sqlite3.Connection) -> bool:
        return sweeping.sweep_queue(connection, queue, self._clock())

    def _post_each(self, connection: sqlite3.Connection, posts: list[messages.PostJob]) -> list[range | StorageError]:
        return messages.post(connection, posts, self._clock())

    def _purge_some(self, key: QueueKey, up_to: int | None, connection: sqlite3.Connection) -> int | None:
        return messages.purge_some(connection, key, up_to, self._clock())

    def _claim_each(
        self, connection: sqlite3.Connection, jobs: list[claims.ClaimJob]
    ) -> list[tuple[Claim | None, bool] | StorageError]:
        return claims.create(connection, jobs, self._identifiers, self._clock())

    def _delete_each(
        self, connection: sqlite3.Connection, jobs: list[messages.DeletionJob]
    ) -> list[Deletion | StorageError]:
        return messages.delete_each(connection, jobs, self._identifiers, self._clock())

    async def ping(self) -> None:
        await asyncio.to_thread(check_room, self._path)
        await self._writing.run(lambda connection: connection.execute("UPDATE store SET last=last"))

    async def check(self) -> list[str]:
        await self._reading.run(lambda connection: schema.verify(connection, self._path))
        return await self._reading.run(checking.faults)

    async def sweep(self) -> bool:
        now = self._clock()
        dirty, self._swept = await self._reading.run(lambda c: sweeping.work(c, self._swept, now))
        more = self._swept != 0
        for queue in dirty:
            more |= await self._writing.run(partial(self._sweep_queue, queue))
        if await self._reading.run(sweeping.has_dropped):
            more |= await self._writing.run(sweeping.sweep_dropped)
        if await self._reading.run(lambda c: sweeping.has_expired_subscriptions(c, now)):
            more |= await self._writing.run(lambda c: sweeping.sweep_subscriptions(c, self._clock()))
        return more

    # Queues and topics

    async def get_queue(self, key: QueueKey) -> Queue | None:
        return await self._reading.run(lambda c: queues.get(c, key))

    async def create_queue(self, key: QueueKey, metadata: Metadata, epoch: Epoch | None = None) -> bool:
        stored = text(dict(metadata))
        return await self._writing.run(lambda c: queues.create(c, key, stored, epoch, self._clock()))

    async def replace_metadata(
        self, key: QueueKey, metadata: Metadata, version: str | None = None, epoch: Epoch | None = None
    ) -> None:
        stored = text(dict(metadata))
        await self._writing.run(lambda c: queues.replace_metadata(c, key, stored, version, epoch))

    async def delete_queue(self, key: QueueKey) -> None:
        await self._writing.run(lambda c: queues.delete(c, key))

    async def list_queues(self, query: QueueQuery) -> list[Queue]:
        return await self._reading.run(lambda c: queues.list_page(c, query))

    async def count_queues(self, project: str, kind: Kind) -> int:
        return await self._reading.run(lambda c: queues.count(c, project, kind))

    async def inventory(self, after: QueueKey | None, limit: int) -> list[tuple[QueueKey, Queue]]:
        return await self._reading.run(lambda c: queues.inventory(c, after, limit))

    async def stats(self, key: QueueKey) -> Stats:
        return await self._reading.run(lambda c: stats.of_queue(c, key, self._identifiers, self._clock()))

    # Fences

    async def fence(self, key: QueueKey, epoch: Epoch) -> None:
        await self._writing.run(lambda c: marks.fence(c, key, epoch))

    async def reopen(self) -> int:
        return await self._writing.run(marks.reopen)

    # Messages

    async def post(
        self,
        key: QueueKey,
        new: Sequence[NewMessage],
        client: bytes,
        version: str | None = None,
        epoch: Epoch | None = None,
    ) -> list[str]:
        numbers = await self._writing.run_shared(self._post_each, messages.PostJob(key, new, client, version, epoch))
        return [self._identifiers.identifier(number) for number in numbers]

    async def list_messages(self, key: QueueKey, query: MessageQuery) -> tuple[list[Message], Queue | None]:
        return await self._reading.run(lambda c: messages.list_page(c, key, query, self._identifiers, self._clock()))

    async def get_messages(self, key: QueueKey, ids: Sequence[str]) -> list[Message]:
        return await self._reading.run(lambda c: messages.by_ids(c, key, ids, self._identifiers, self._clock()))

    async def delete_messages(self, key: QueueKey, ids: Sequence[str], claim_ids: Sequence[str] | None = None) -> bool:
        return await self._writing.run(
            lambda c: messages.delete_many(c, key, ids, claim_ids, self._identifiers, self._clock())
        )

    async def delete_message(self, key: QueueKey, message_id: str, claim_id: str | None) -> Deletion:
        job = messages.DeletionJob(key, message_id, claim_id)
        return await self._writing.run_shared(self._delete_each, job)

    async def pop(self, key: QueueKey, limit: int) -> list[Message]:
        return await self._writing.run(lambda c: messages.pop(c, key, limit, self._identifiers, self._clock()))

    async def purge(self, key: QueueKey) -> None:
        up_to: int | None = None
        while True:
            up_to = await self._writing.run(partial(self._purge_some, key, up_to))
            if up_to is None:
                return

    # Claims

    async def claim(self, key: QueueKey, lease: Lease, limit: int) -> Claim | None:
        while True:
            claim, more = await self._writing.run_shared(self._claim_each, claims.ClaimJob(key, lease, limit))
            if not more:
                return claim

    async def get_claim(self, key: QueueKey, claim_id: str) -> Claim:
        return await self._reading.run(lambda c: claims.get(c, key, claim_id, self._identifiers, self._clock()))

    async def renew_claim(self, key: QueueKey, claim_id: str, lease: Lease) -> None:
        await self._writing.run(lambda c: claims.renew(c, key, claim_id, lease, self._identifiers, self._clock()))

    async def release_claim(self, key: QueueKey, claim_id: str) -> None:
        await self._writing.run(lambda c: claims.release(c, key, claim_id, self._identifiers, self._clock()))

    # Subscriptions

    async def subscribe(self, key: QueueKey, wanted: NewSubscription) -> tuple[Subscription, bool]:
        return await self._writing.run(lambda c: subscriptions.create(c, key, wanted, self._identifiers, self._clock()))

    async def get_subscription(self, key: QueueKey, subscription_id: str) -> Subscription:
        return await self._reading.run(
            lambda c: subscriptions.get(c, key, subscription_id, self._identifiers, self._clock())
        )

    async def list_subscriptions(self, key: QueueKey, limit: int, marker: str | None) -> list[Subscription]:
        return await self._reading.run(
            lambda c: subscriptions.list_page(c, key, limit, marker, self._identifiers, self._clock())
        )

    async def change_subscription(self, key: QueueKey, subscription_id: str, change: SubscriptionChange) -> None:
        await self._writing.run(
            lambda c: subscriptions.change(c, key, subscription_id, change, self._identifiers, self._clock())
        )

    async def confirm_subscription(self, key: QueueKey, subscription_id: str, confirmed: bool) -> None:
        await self._writing.run(
            lambda c: subscriptions.confirm(c, key, subscription_id, confirmed, self._identifiers, self._clock())
        )

    async def delete_subscription(self, key: QueueKey, subscription_id: str) -> None:
        await self._writing.run(lambda c: subscriptions.delete(c, key, subscription_id, self._identifiers))

    async def purge_subscriptions(self, key: QueueKey) -> None:
        await self._writing.run(lambda c: subscriptions.purge(c, key))
