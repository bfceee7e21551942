"""A partition's store in memory: what it does it does at once. It passes the contract suite as the real ones do.

Messages are lists that are walked, which is good for the dozens that a simulated queue has.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from partition.errors import (
    ClaimMissing,
    QueueChanged,
    QueueClosed,
    QueueMissing,
    SubscriberTaken,
    SubscriptionMissing,
)
from partition.model import attributes
from partition.model.clock import MILLISECONDS, Clock, age, system_clock
from partition.model.identifier import MULTIPLIERS, TAGS, Identifiers, well_formed
from partition.model.message import (
    Claim,
    Deletion,
    Edge,
    Lease,
    Message,
    MessageQuery,
    NewMessage,
    Stats,
    marked_position,
)
from partition.model.queue import MARKED_LIVES, Epoch, Kind, Metadata, Queue, QueueKey, QueueQuery, place
from partition.model.subscription import NewSubscription, Subscription, SubscriptionChange
from partition.storage.interface import Storage

# The most that one sweep removes.
_SWEPT = 1000


@dataclass(slots=True, eq=False)
class _Claim:
    id: str
    ttl: int
    created: int
    until: int


@dataclass(slots=True, eq=False)
class _Message:
    number: int
    id: str
    ttl: int
    created: int
    expires: int
    due: int
    body: str
    client: bytes
    claim: _Claim | None = None
    count: int = 0

    def holder(self, now: int) -> _Claim | None:
        """The live claim that it is under."""
        return self.claim if self.claim is not None and self.claim.until > now else None


@dataclass(slots=True)
class _Subscription:
    number: int
    key: QueueKey
    id: str
    subscriber: str
    ttl: int
    created: int
    options: Mapping[str, Any]
    confirmed: bool = False

    def shown(self, now: int) -> Subscription:
        since = age(self.created, now)
        return Subscription(
            self.id, self.key.name, self.subscriber, self.ttl, since, self.options, confirmed=self.confirmed
        )


@dataclass
class Shelf:
    """The content of a store, for all that have it open. ``chance`` makes its identifiers unique."""

    chance: random.Random
    queues: dict[QueueKey, Queue] = field(default_factory=dict)
    messages: dict[QueueKey, list[_Message]] = field(default_factory=lambda: defaultdict(list))
    subscriptions: list[_Subscription] = field(default_factory=list)
    marks: dict[QueueKey, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    shut: set[QueueKey] = field(default_factory=set)
    numbers: int = 0

    def __post_init__(self) -> None:
        self._ids = Identifiers(self.chance.randrange(TAGS), self.chance.randrange(MULTIPLIERS) | 1)

    @property
    def identity(self) -> str:
        return self._ids.tag

    def number(self) -> tuple[int, str]:
        """Return a new number and its identifier."""
        self.numbers += 1
        return self.numbers, self._ids.identifier(self.numbers)


class MemoryStorage(Storage):
    """One that has a ``Shelf`` open."""

    def __init__(self, shelf: Shelf, clock: Clock) -> None:
        self._shelf = shelf
        self._clock = clock

    @classmethod
    async def open(cls, uri: str, clock: Clock = system_clock) -> MemoryStorage:
        """Open a new store for each call; ``uri`` is only the seed of its chance."""
        return cls(Shelf(random.Random(uri)), clock)

    @property
    def identity(self) -> str:
        return self._shelf.identity

    async def close(self) -> None: ...

    async def ping(self) -> None: ...

    async def check(self) -> list[str]:
        return []

    async def sweep(self) -> bool:
        now = self._clock()
        left = _SWEPT
        for messages in self._shelf.messages.values():
            gone = [message for message in messages if message.expires <= now]
            for message in gone[:left]:
                messages.remove(message)
            left -= len(gone)
        return left < 0

    # -- queues ------------------------------------------------------------------------------------------------------

    async def get_queue(self, key: QueueKey) -> Queue | None:
        return self._shelf.queues.get(key)

    async def create_queue(self, key: QueueKey, metadata: Metadata, epoch: Epoch | None = None) -> bool:
        self._check(key, epoch)
        if key in self._shelf.queues:
            return False
        self._put(key, metadata)
        return True

    def _put(self, key: QueueKey, metadata: Metadata) -> None:
        self._shelf.queues[key] = Queue(key.name, str(self._shelf.number()[0]), metadata)

    async def replace_metadata(
        self, key: QueueKey, metadata: Metadata, version: str | None = None, epoch: Epoch | None = None
    ) -> None:
        self._check(key, epoch)
        self._must_be(key, version)
        self._put(key, metadata)

    def _must_be(self, key: QueueKey, version: str | None = None) -> Queue:
        queue = self._shelf.queues.get(key)
        if version is not None and (queue is None or queue.version != version):
            raise QueueChanged(key.name)
        if queue is None:
            raise QueueMissing(key.name)
        return queue

    async def delete_queue(self, key: QueueKey) -> None:
        if self._shelf.queues.pop(key, None) is not None:
            self._shelf.messages.pop(key, None)
            self._shelf.shut.discard(key)

    # -- fences ------------------------------------------------------------------------------------------------------

    async def fence(self, key: QueueKey, epoch: Epoch) -> None:
        marks = self._shelf.marks[key]
        if epoch.number > marks.get(epoch.life, -1):
            marks[epoch.life] = epoch.number
            self._shelf.shut.add(key)
            for life in list(marks)[:-MARKED_LIVES]:
                del marks[life]

    async def reopen(self) -> int:
        reopened = len(self._shelf.marks)
        self._shelf.marks.clear()
        self._shelf.shut.clear()
        return reopened

    def _check(self, key: QueueKey, epoch: Epoch | None) -> None:
        closed = self._shelf.marks[key].get(epoch.life, 0) if epoch is not None and key in self._shelf.marks else 0
        if epoch is not None and closed > epoch.number:
            raise QueueClosed(key.name, closed)

    # -- listings ----------------------------------------------------------------------------------------------------

    async def list_queues(self, query: QueueQuery) -> list[Queue]:
        found = [
            queue
            for key, queue in sorted(self._shelf.queues.items())
            if (key.project, key.kind) == (query.project, query.kind)
            if key.name > query.after and query.name_part in key.name
            if all(_equal(queue.metadata.get(name), value) for name, value in query.filters)
        ]
        return found[: query.limit]

    async def count_queues(self, project: str, kind: Kind) -> int:
        return sum((key.project, key.kind) == (project, kind) for key in self._shelf.queues)

    async def inventory(self, after: QueueKey | None, limit: int) -> list[tuple[QueueKey, Queue]]:
        found = sorted(self._shelf.queues.items(), key=lambda one: place(one[0]))
        return [(key, queue) for key, queue in found if after is None or place(key) > place(after)][:limit]

    async def stats(self, key: QueueKey) -> Stats:
        self._must_be(key)
        now = self._clock()
        alive = list(self._alive(key))
        claimed = sum(message.holder(now) is not None for message in alive)
        edges = [Edge(m.id, age(m.created, now), m.created) for m in (alive[:1] + alive[-1:])]
        return Stats(len(alive), claimed, *edges)

    # -- messages ----------------------------------------------------------------------------------------------------

    def _alive(self, key: QueueKey) -> Iterator[_Message]:
        now = self._clock()
        # A queue that does not exist may have dead letters already, which stay unseen.
        found = self._shelf.messages.get(key, ()) if key in self._shelf.queues else ()
        return (message for message in found if message.expires > now)

    def _shown(self, message: _Message, now: int) -> Message:
        claim = message.holder(now)
        since = age(message.created, now)
        marker = str(message.number)
        return Message(
            message.id, marker, message.ttl, since, message.body, None if claim is None else claim.id, message.count
        )

    async def post(
        self,
        key: QueueKey,
        messages: Sequence[NewMessage],
        client: bytes,
        version: str | None = None,
        epoch: Epoch | None = None,
    ) -> list[str]:
        self._check(key, epoch)
        if epoch is None and key in self._shelf.shut:
            raise QueueClosed(key.name, max(self._shelf.marks[key].values()))
        self._must_be(key, version)
        self._shelf.shut.discard(key)
        return [self._add(key, new.ttl, new.body, client, new.delay) for new in messages]

    def _add(self, key: QueueKey, ttl: int, body: str, client: bytes, delay: int = 0) -> str:
        now = self._clock()
        number, identifier = self._shelf.number()
        expires, due = now + ttl * MILLISECONDS, now + delay * MILLISECONDS
        message = _Message(number, identifier, ttl, now, expires, due, body, client)
        self._shelf.messages[key].append(message)
        return identifier

    async def list_messages(self, key: QueueKey, query: MessageQuery) -> tuple[list[Message], Queue | None]:
        after, queue, now = marked_position(query.marker), self._shelf.queues.get(key), self._clock()
        if queue is None or after is None:
            return [], queue
        found = [
            message
            for message in self._alive(key)
            if message.number > after and message.client != query.hidden_from
            if query.include_claimed or message.holder(now) is None
            if query.include_delayed or not _delayed(queue, message, now)
        ]
        return [self._shown(message, now) for message in found[: query.limit]], queue

    async def get_messages(self, key: QueueKey, ids: Sequence[str]) -> list[Message]:
        alive = {message.id: message for message in self._alive(key)}
        return [self._shown(alive[one], self._clock()) for one in dict.fromkeys(ids) if one in alive]

    def _remove(self, key: QueueKey, message: _Message) -> None:
        self._shelf.messages[key].remove(message)

    async def delete_messages(self, key: QueueKey, ids: Sequence[str], claim_ids: Sequence[str] | None = None) -> bool:
        now = self._clock()
        found = [message for message in self._alive(key) if message.id in ids]
        if claim_ids is not None:
            holders = [message.holder(now) for message in found]
            if not all(holder is not None and holder.id in claim_ids for holder in holders):
                return False
        for message in found:
            self._remove(key, message)
        return True

    async def delete_message(self, key: QueueKey, message_id: str, claim_id: str | None) -> Deletion:
        message = next((one for one in self._alive(key) if one.id == message_id), None)
        if message is None:
            return Deletion.DONE
        holder = message.holder(self._clock())
        if claim_id is not None and not well_formed(claim_id):
            return Deletion.BAD_CLAIM
        if holder is None and claim_id is not None:
            return Deletion.NOT_CLAIMED
        if holder is not None and holder.id != claim_id:
            return Deletion.CLAIMED
        self._remove(key, message)
        return Deletion.DONE

    async def pop(self, key: QueueKey, limit: int) -> list[Message]:
        now = self._clock()
        taken = [message for message in self._alive(key) if message.holder(now) is None][:limit]
        for message in taken:
            self._remove(key, message)
        return [self._shown(message, now) for message in taken]

    async def purge(self, key: QueueKey) -> None:
        now = self._clock()
        for message in list(self._alive(key)):
            if message.holder(now) is None:
                self._remove(key, message)

    # -- claims ------------------------------------------------------------------------------------------------------

    async def claim(self, key: QueueKey, lease: Lease, limit: int) -> Claim | None:
        queue = self._shelf.queues.get(key)
        if queue is None:
            return None
        now = self._clock()
        self._bury(key, queue.metadata, now)
        found = [
            message for message in self._alive(key) if message.holder(now) is None and not _delayed(queue, message, now)
        ][:limit]
        if not found:
            return None
        claim = _Claim(self._shelf.number()[1], lease.ttl, now, 0)
        for message in found:
            message.claim = claim
        self._lease(claim, found, lease, now)
        return self._claim(claim, found, now)

    def _bury(self, key: QueueKey, metadata: Metadata, now: int) -> None:
        """Count the claims that have ended, and move what was claimed too often (API section 6.9)."""
        rule = attributes.dead_letters(metadata)
        for message in list(self._alive(key)):
            if message.claim is not None and message.holder(now) is None:
                message.claim = None
                message.count += 1
                if rule is not None and message.count >= rule[1]:
                    self._remove(key, message)
                    left = max(1, (message.expires - now) // MILLISECONDS)
                    self._add(key._replace(name=rule[0]), rule[2] or left, message.body, message.client)

    def _lease(self, claim: _Claim, messages: Sequence[_Message], lease: Lease, now: int) -> None:
        claim.ttl, claim.created, claim.until = lease.ttl, now, now + lease.ttl * MILLISECONDS
        for message in messages:
            if claim.until > message.expires:
                message.ttl = lease.ttl + lease.grace
                message.expires = now + message.ttl * MILLISECONDS

    def _claim(self, claim: _Claim, messages: Sequence[_Message], now: int) -> Claim:
        shown = tuple(self._shown(message, now) for message in messages)
        return Claim(claim.id, claim.ttl, age(claim.created, now), shown)

    def _held(self, key: QueueKey, claim_id: str) -> tuple[_Claim, list[_Message]]:
        now = self._clock()
        holders = [(message.holder(now), message) for message in self._alive(key)]
        held = [(holder, message) for holder, message in holders if holder is not None and holder.id == claim_id]
        if not held:
            raise ClaimMissing(claim_id)
        return held[0][0], [message for _, message in held]

    async def get_claim(self, key: QueueKey, claim_id: str) -> Claim:
        return self._claim(*self._held(key, claim_id), self._clock())

    async def renew_claim(self, key: QueueKey, claim_id: str, lease: Lease) -> None:
        self._lease(*self._held(key, claim_id), lease, self._clock())

    async def release_claim(self, key: QueueKey, claim_id: str) -> None:
        for message in self._alive(key):
            if message.claim is not None and message.claim.id == claim_id:
                message.claim = None

    # -- subscriptions -----------------------------------------------------------------------------------------------

    def _subscriptions(self, key: QueueKey) -> list[_Subscription]:
        now = self._clock()
        return [s for s in self._shelf.subscriptions if s.key == key and s.created + s.ttl * MILLISECONDS > now]

    def _subscription(self, key: QueueKey, subscription_id: str) -> _Subscription:
        for found in self._subscriptions(key):
            if found.id == subscription_id:
                return found
        raise SubscriptionMissing(subscription_id)

    async def subscribe(self, key: QueueKey, wanted: NewSubscription) -> tuple[Subscription, bool]:
        now = self._clock()
        for found in self._subscriptions(key):
            if found.subscriber == wanted.subscriber:
                return found.shown(now), False
        made = _Subscription(*_after_number(self._shelf, key), wanted.subscriber, wanted.ttl, now, wanted.options)
        self._shelf.subscriptions.append(made)
        return made.shown(now), True

    async def get_subscription(self, key: QueueKey, subscription_id: str) -> Subscription:
        return self._subscription(key, subscription_id).shown(self._clock())

    async def list_subscriptions(self, key: QueueKey, limit: int, marker: str | None) -> list[Subscription]:
        found = self._subscriptions(key)
        if marker is not None:
            after = next((s.number for s in self._shelf.subscriptions if s.id == marker), None)
            found = [s for s in found if after is not None and s.number > after]
        return [s.shown(self._clock()) for s in found[:limit]]

    async def change_subscription(self, key: QueueKey, subscription_id: str, change: SubscriptionChange) -> None:
        changed = self._subscription(key, subscription_id)
        others = (s.subscriber for s in self._subscriptions(key) if s is not changed)
        if change.subscriber is not None and change.subscriber in others:
            raise SubscriberTaken(change.subscriber)
        given = {name: getattr(change, name) for name in ("subscriber", "ttl", "options")}
        new = replace(changed, created=self._clock(), **{k: v for k, v in given.items() if v is not None})
        self._shelf.subscriptions[self._shelf.subscriptions.index(changed)] = new

    async def confirm_subscription(self, key: QueueKey, subscription_id: str, confirmed: bool) -> None:
        self._subscription(key, subscription_id).confirmed = confirmed

    async def delete_subscription(self, key: QueueKey, subscription_id: str) -> None:
        self._shelf.subscriptions = [s for s in self._shelf.subscriptions if (s.key, s.id) != (key, subscription_id)]

    async def purge_subscriptions(self, key: QueueKey) -> None:
        self._shelf.subscriptions = [s for s in self._shelf.subscriptions if s.key != key]


def _equal(stored: object, wanted: int | str) -> bool:
    return type(stored) is type(wanted) and stored == wanted


def _delayed(queue: Queue, message: _Message, now: int) -> bool:
    return message.due > now and attributes.delay(queue.metadata) > 0


def _after_number(shelf: Shelf, key: QueueKey) -> tuple[int, QueueKey, str]:
    number, identifier = shelf.number()
    return number, key, identifier
