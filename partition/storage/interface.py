"""The interface of a store. Semantics are those of API section 6; every driver passes one contract suite.

Each method is one atomic step unless its docstring states otherwise, and its effects are on disk, or on a majority,
when it returns. All may raise StorageUnavailable. Expired messages, claims and subscriptions are invisible, whether or
not they were swept.

A driver is a class found by the entry point group ``marconi_partition.storage`` under the scheme of its URIs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from partition.model.clock import Clock, system_clock
from partition.model.message import Claim, Deletion, Lease, Message, MessageQuery, NewMessage, Stats
from partition.model.queue import Epoch, Kind, Metadata, Queue, QueueKey, QueueQuery
from partition.model.subscription import NewSubscription, Subscription, SubscriptionChange


class Storage(ABC):
    """One open store. Not shared between processes: each opens its own, and any number may."""

    @classmethod
    @abstractmethod
    async def open(cls, uri: str, clock: Clock = system_clock) -> Storage:
        """Open the store at ``uri`` and prepare it if it is new. Raises BadStorageURI, WrongStore."""

    @classmethod
    async def exists(cls, uri: str) -> bool:
        """Return whether a store exists at ``uri``. A driver that cannot find out returns True. Raises
        BadStorageURI."""
        return True

    @property
    @abstractmethod
    def identity(self) -> str:
        """The random identity that the store got when it was created: the same for all users of it, and for a copy."""

    @abstractmethod
    async def close(self) -> None:
        """Finish calls in flight and release all resources. Idempotent."""

    @abstractmethod
    async def ping(self) -> None:
        """Check that the store can be written, and has room for posts."""

    @abstractmethod
    async def check(self) -> list[str]:
        """Return the faults of the store, a sentence each; for operators, and slow. Raises WrongStore."""

    @abstractmethod
    async def sweep(self) -> bool:
        """Remove a bounded number of entries that have expired, or were deleted with their queue; return whether there
        may be more."""

    # Queues and topics

    @abstractmethod
    async def get_queue(self, key: QueueKey) -> Queue | None: ...

    @abstractmethod
    async def create_queue(self, key: QueueKey, metadata: Metadata, epoch: Epoch | None = None) -> bool:
        """Return whether the queue is new; an existing one is not changed. Raises QueueClosed."""

    @abstractmethod
    async def replace_metadata(
        self, key: QueueKey, metadata: Metadata, version: str | None = None, epoch: Epoch | None = None
    ) -> None:
        """Raises QueueClosed; QueueMissing; QueueChanged if ``version`` is not None and not the queue's."""

    @abstractmethod
    async def delete_queue(self, key: QueueKey) -> None:
        """Delete it with all its messages and claims, not its subscriptions; nothing happens if there is none."""

    @abstractmethod
    async def list_queues(self, query: QueueQuery) -> list[Queue]:
        """By name, in the order of its bytes."""

    @abstractmethod
    async def count_queues(self, project: str, kind: Kind) -> int: ...

    @abstractmethod
    async def inventory(self, after: QueueKey | None, limit: int) -> list[tuple[QueueKey, Queue]]:
        """The queues after ``after``: by project, in it queues before topics, each by name, in the order of bytes.

        A range of an index: the cost does not depend on where a page begins. Queues that only dead letters created are
        left out, as everywhere.
        """

    @abstractmethod
    async def stats(self, key: QueueKey) -> Stats:
        """Raises QueueMissing."""

    # Fences

    @abstractmethod
    async def fence(self, key: QueueKey, epoch: Epoch) -> None:
        """Close the queue, which need not exist, to writes of this life with an epoch below ``epoch.number``.

        When it returns, no such post can be stored any more, not even one in flight. The mark only grows, and stays
        when the queue is deleted. Besides, the queue is *shut*: posts without an epoch are refused as well, until one
        with an epoch is accepted, or the queue is deleted. Marks of the last MARKED_LIVES lives are kept.

        ``post``, ``create_queue`` and ``replace_metadata`` raise QueueClosed by these marks, each in the step in which
        it would write; the latter two never without an epoch.
        """

    @abstractmethod
    async def reopen(self) -> int:
        """Remove the marks of all queues; return how many queues had some. Refused writes are then accepted."""

    # Messages

    @abstractmethod
    async def post(
        self,
        key: QueueKey,
        messages: Sequence[NewMessage],
        client: bytes,
        version: str | None = None,
        epoch: Epoch | None = None,
    ) -> list[str]:
        """Return the identifiers, in the order of ``messages``, of which there is at least one.

        No message becomes visible behind a marker that was returned before. Raises QueueClosed; QueueMissing;
        QueueChanged if ``version`` is not None and not the queue's.
        """

    @abstractmethod
    async def list_messages(self, key: QueueKey, query: MessageQuery) -> tuple[list[Message], Queue | None]:
        """Return a page, and the queue it is from; a missing queue, or an invalid marker, gives an empty page."""

    @abstractmethod
    async def get_messages(self, key: QueueKey, ids: Sequence[str]) -> list[Message]:
        """Return those that exist, in the order of ``ids``, each once. Delayed and claimed ones too."""

    @abstractmethod
    async def delete_messages(self, key: QueueKey, ids: Sequence[str], claim_ids: Sequence[str] | None = None) -> bool:
        """Delete those that exist, claimed or not; with ``claim_ids`` only if each is under one of these live claims.

        Return whether each was; if not, nothing is deleted. In some stores each deletion is a step of its own, and
        messages stay if their claim ends in the meantime.
        """

    @abstractmethod
    async def delete_message(self, key: QueueKey, message_id: str, claim_id: str | None) -> Deletion:
        """Delete one message by the rules of API section 2.12."""

    @abstractmethod
    async def pop(self, key: QueueKey, limit: int) -> list[Message]:
        """Delete and return the oldest that are not claimed, delayed ones included."""

    @abstractmethod
    async def purge(self, key: QueueKey) -> None:
        """Delete every message that is not claimed. Not one step: other calls may come in between."""

    # Claims

    @abstractmethod
    async def claim(self, key: QueueKey, lease: Lease, limit: int) -> Claim | None:
        """Claim the oldest messages that are neither claimed nor delayed; None if there are none.

        A message is never under two live claims. Messages claimed too often go to the dead letter queue, if the queue
        has one, instead of to the claim (API section 6.9).
        """

    @abstractmethod
    async def get_claim(self, key: QueueKey, claim_id: str) -> Claim:
        """Raises ClaimMissing."""

    @abstractmethod
    async def renew_claim(self, key: QueueKey, claim_id: str, lease: Lease) -> None:
        """Restart it with another lease, message by message in some stores. Raises ClaimMissing."""

    @abstractmethod
    async def release_claim(self, key: QueueKey, claim_id: str) -> None:
        """End it, and free its messages, one by one in some stores; nothing happens if there is none."""

    # Subscriptions

    @abstractmethod
    async def subscribe(self, key: QueueKey, wanted: NewSubscription) -> tuple[Subscription, bool]:
        """Return the subscription of this subscriber, and whether it is new. One that exists is not changed."""

    @abstractmethod
    async def get_subscription(self, key: QueueKey, subscription_id: str) -> Subscription:
        """Raises SubscriptionMissing."""

    @abstractmethod
    async def list_subscriptions(self, key: QueueKey, limit: int, marker: str | None) -> list[Subscription]:
        """In the order of their creation, after the identifier ``marker``."""

    @abstractmethod
    async def change_subscription(self, key: QueueKey, subscription_id: str, change: SubscriptionChange) -> None:
        """Change it and restart its ttl. Raises SubscriptionMissing, SubscriberTaken."""

    @abstractmethod
    async def confirm_subscription(self, key: QueueKey, subscription_id: str, confirmed: bool) -> None:
        """Raises SubscriptionMissing."""

    @abstractmethod
    async def delete_subscription(self, key: QueueKey, subscription_id: str) -> None:
        """Nothing happens if there is none."""

    @abstractmethod
    async def purge_subscriptions(self, key: QueueKey) -> None:
        """Delete all of the queue."""
