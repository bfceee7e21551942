"""Putting messages into a queue so that no reader of markers ever misses one (API section 6.2).

Many processes post to one queue at once, each with writes of its own. If positions were only counted up, a message at
11 could appear before the one at 10, and a reader that has read up to 11 would never see 10. Hence three steps, each
one write:

1. *Reserve*: count up ``last`` of the queue, and in the same write record the range in ``pending``. The filter of this
   write also validates the queue: that it exists, is at the version that the caller has read, and is not closed to the
   post (``marks``).
2. *Insert* the messages, in order, at these positions, which the index BY_POSITION makes exclusive.
3. *Settle*: take the range from ``pending``. Then wait until no earlier range is pending, and only then answer.

Readers read the queue first, then its messages, and return none beyond its ``bound``: the position before the first
pending range, or ``last`` if there is none. The argument: of all positions up to the bound of a moment, none is in a
pending range, and ranges are only ever added behind ``last``; so every message that will ever be at one of them was
inserted before that moment, and every later reader sees it. Messages that become visible after a page are therefore at
later positions only. Acknowledged messages are within the bound, because of the waiting in step 3. All writes, and the
reads of lists, are those of a majority, so none of this is undone by a lost primary.

The state after a crash. After 1: a pending range without messages. During 2, if the primary dies as well: a range with
some of them. After 2: a range with all of them. None of them was acknowledged or is visible. The next post waits for
the range in step 3, and settles it for the dead process (``_settle_for``), as does the sweep: it puts a document
without ``expires`` at each position that is still unused. If the first process is alive after all, its later writes
meet these documents and fail as a whole; it then repeats the post. A complete range is kept. An incomplete one is taken
back completely, so a post is all or nothing; no reader can have seen any of it. The time to wait before is thus a
matter of efficiency, not of correctness, and no two clocks are compared.

Why no transaction: a transaction locks its documents until it ends, and that of a killed process lasts for a minute, in
which no post to the queue could proceed. Posts of one process to one queue are coalesced (``coalescer``), so they share
the three steps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from bson.datetime_ms import DatetimeMS
from bson.errors import BSONError
from pymongo import ReturnDocument
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure

from partition.errors import QueueChanged, QueueMissing
from partition.model.clock import MILLISECONDS, Clock, system_clock
from partition.model.message import NewMessage
from partition.model.queue import Epoch, QueueKey
from partition.storage.mongodb.coalescer import Coalescer
from partition.storage.mongodb.documents import at_version, queue_id, undeclared
from partition.storage.mongodb.marks import admitting_post, refuse
from partition.storage.mongodb.schema import gone
from partition.storage.mongodb.store import reason

if TYPE_CHECKING:
    from partition.storage.mongodb.numbers import Numbers
    from partition.storage.mongodb.store import Session, Store

# Bytes of bodies in one batch, with an allowance for the rest of each document.
_LARGEST_BATCH = 2_000_000
_AROUND_A_BODY = 300
# How often a post is repeated after others took it back.
_ATTEMPTS = 5
# Seconds between two checks of earlier ranges: doubled each time, up to the last value.
_FIRST_PAUSE = 0.002
_LAST_PAUSE = 0.128
# After so many checks this process settles the range of another one: about a second.
_PATIENCE = 13
# The same for the sweep, in milliseconds.
_STUCK = 2000
# Milliseconds for which a position is blocked. No command is in flight for so long.
_BLOCKED = 86_400_000

_DUPLICATE = 11000


class Batch(NamedTuple):
    """The posts that may share the three steps: to one queue, validated by one version of it and one epoch."""

    key: QueueKey
    version: str | None
    epoch: Epoch | None


class Post(NamedTuple):
    """One post."""

    messages: Sequence[NewMessage]
    client: bytes

    @property
    def weight(self) -> int:
        return sum(len(message.body) + _AROUND_A_BODY for message in self.messages)


class Range(NamedTuple):
    """A reserved range of positions of a queue. ``token`` names it."""

    queue: int
    token: int
    first: int
    size: int


class Posting:
    """Posts of this process."""

    def __init__(self, store: Store, numbers: Numbers, clock: Clock) -> None:
        self._store = store
        self._numbers = numbers
        self._clock = clock
        self._turns: Coalescer[Batch, Post, list[int]] = Coalescer(self._batch, _LARGEST_BATCH)
        self._sightings: dict[int, int] = {}  # token: when the sweep first saw it pending

    async def post(
        self,
        key: QueueKey,
        messages: Sequence[NewMessage],
        client: bytes,
        version: str | None,
        epoch: Epoch | None,
    ) -> list[int]:
        """Return the numbers of the messages, once they are visible. Raises QueueClosed, QueueMissing, QueueChanged."""
        post = Post(messages, client)
        return await self._turns.take(Batch(key, version, epoch), post, post.weight)

    async def close(self) -> None:
        await self._turns.close()

    async def _batch(self, batch: Batch, posts: list[Post]) -> list[list[int]]:
        wanted = {
            **{"_id": queue_id(batch.key), "declared": True},
            **at_version(batch.version),
            **admitting_post(batch.epoch),
        }
        total = sum(len(post.messages) for post in posts)
        async with self._store.writing() as session:
            for _ in range(_ATTEMPTS):
                with self._store.translated(writing=False):  # no message yet
                    number = await self._numbers.take(total, session)
                    reserved = await self._reserve(wanted, total, session, opens=batch.epoch is not None)
                    if reserved is None:
                        await self._refuse(batch, session)
                        name = batch.key.name
                        raise QueueMissing(name) if batch.version is None else QueueChanged(name)
                if await self._inserted(reserved, self._documents(posts, reserved, number), session):
                    with self._store.translated(writing=True, begun=True):
                        await self.settle(reserved, session)
                    numbers = iter(range(number, number + total))
                    return [[next(numbers) for _ in post.messages] for post in posts]
        raise self._store.unavailable(f"a post was taken back {_ATTEMPTS} times")

    async def _refuse(self, batch: Batch, session: Session) -> None:
        found = {"_id": 0, "closed": 1, "shut": 1}
        document = await self._store.unsettled.find_one({"_id": queue_id(batch.key)}, found, session=session)
        refuse(batch.key, document, batch.epoch)

    def _documents(self, posts: list[Post], reserved: Range, number: int) -> list[dict[str, Any]]:
        now = self._clock()
        documents: list[dict[str, Any]] = []
        for post in posts:
            for message in post.messages:
                offset = len(documents)
                expires = now + message.ttl * MILLISECONDS
                documents.append(
                    {
                        "_id": number + offset,
                        "queue": reserved.queue,
                        "position": reserved.first + offset,
                        "until": -(now + message.delay * MILLISECONDS) if message.delay else 0,
                        "expires": expires,
                        "client": post.client,
                        "created": now,
                        "ttl": message.ttl,
                        "claims": 0,
                        "body": message.body,
                        "gone": gone(expires, now),
                    }
                )
        return documents

    async def _reserve(
        self, wanted: dict[str, Any], size: int, session: Session, *, opens: bool = False
    ) -> Range | None:
        """``opens``: a shut queue is opened, because writes have come back, or because it has a new life."""
        token = await self._numbers.take(1, session)
        document = await self._store.queues.find_one_and_update(
            wanted,
            [
                {
                    "$set": {
                        "last": {"$add": ["$last", size]},
                        "pending": {
                            "$concatArrays": [
                                "$pending",
                                [{"token": token, "first": {"$add": ["$last", 1]}, "size": size}],
                            ]
                        },
                        **({"shut": "$$REMOVE"} if opens else {}),
                    }
                }
            ],
            projection={"_id": 0, "queue": 1, "last": 1},
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        if document is None:
            return None
        return Range(document["queue"], token, document["last"] - size + 1, size)

    async def reserve_undeclared(self, key: QueueKey, size: int, session: Session) -> Range:
        """Reserve positions of a queue for dead letters; create it if there is none (API section 6.9)."""
        while True:
            reserved = await self._reserve({"_id": queue_id(key)}, size, session)
            if reserved is not None:
                return reserved
            document = undeclared(key, await self._numbers.take(1, session))
            try:
                await self._store.queues.insert_one(document, session=session)
            except DuplicateKeyError:
                continue  # another process was faster

    async def _inserted(self, reserved: Range, documents: list[dict[str, Any]], session: Session) -> bool:
        """Insert them all; or none, and return False, if another process has settled the range."""
        try:
            await self._store.messages.insert_many(documents, session=session)
        except BulkWriteError as error:
            if not only_duplicates(error):
                raise
            # The first part may be inserted: it is invisible, and the process that settled the range takes it back too.
            await self._take_back([document["_id"] for document in documents], session)
            return False
        except (OperationFailure, BSONError) as error:
            # Answered, so nothing of it is in flight, and no other post needs to wait for it.
            whole = await self._settle_for(reserved, session)
            if whole is False:
                raise self._store.unavailable(reason(error)) from error
            if whole is None:
                raise
        return True

    async def _take_back(self, numbers: list[int], session: Session) -> None:
        await self._store.repeated(lambda: self._store.messages.delete_many({"_id": {"$in": numbers}}, session=session))

    async def settle(self, reserved: Range, session: Session) -> None:
        """Take the range from ``pending``, and return when nothing before it is pending any more."""
        pending = await self._unpend(reserved, session)
        pause, looks = _FIRST_PAUSE, 0
        while earlier := [entry for entry in pending if entry["first"] < reserved.first]:
            await asyncio.sleep(pause)
            pause, looks = min(2 * pause, _LAST_PAUSE), looks + 1
            if looks >= _PATIENCE:
                for entry in earlier:
                    await self._settle_for(_range(reserved.queue, entry), session)
            document = await self._store.queues.find_one(
                {"queue": reserved.queue}, {"_id": 0, "pending": 1}, session=session
            )
            pending = document["pending"] if document else []

    async def wait_for_earlier(self, queue: int, last: int, session: Session) -> None:
        """Return when no range up to the position ``last`` is pending any more."""
        # As for an empty range reserved behind it: no range has the token 0.
        await self.settle(Range(queue, 0, last + 1, 0), session)

    async def _unpend(self, reserved: Range, session: Session) -> list[dict[str, Any]]:
        document = await self._store.queues.find_one_and_update(
            {"queue": reserved.queue},
            {"$pull": {"pending": {"token": reserved.token}}},
            projection={"_id": 0, "pending": 1},
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        return document["pending"] if document else []  # deleted meanwhile, with its messages

    async def _settle_for(self, reserved: Range, session: Session) -> bool | None:
        """Settle a range that another process reserved, dead or alive. Several processes may do so at once.

        Return whether the post was complete; None if others settled it, so that this is unknown.
        """
        there = {
            "queue": reserved.queue,
            "position": {"$gte": reserved.first, "$lt": reserved.first + reserved.size},
        }
        unused = await self._block(reserved, session)
        # If the range is still pending, the blocked positions were never used. Otherwise another process has settled
        # it, and the blocked positions may be those of messages that were deleted since.
        pending = not unused or await self._is_pending(reserved, session)
        if unused and pending:
            # This applies to messages of a post: dead letters are moved, not posted, and stay where they have arrived.
            partial = await self._store.messages.find(
                there | {"expires": {"$exists": True}, "buried": {"$exists": False}}, {"_id": 1}, session=session
            ).to_list()
            await self._take_back([document["_id"] for document in partial], session)
        await self._unpend(reserved, session)
        return not unused if pending else None

    async def _is_pending(self, reserved: Range, session: Session) -> bool:
        wanted = {"queue": reserved.queue, "pending.token": reserved.token}
        return await self._store.queues.find_one(wanted, {"_id": 1}, session=session) is not None

    async def _block(self, reserved: Range, session: Session) -> int:
        """Block the unused positions of a range for good; return how many of its positions hold no message."""
        number = await self._numbers.take(reserved.size, session)
        until = DatetimeMS(system_clock() + _BLOCKED)
        blocks = [
            {"_id": number + n, "queue": reserved.queue, "position": reserved.first + n, "gone": until}
            for n in range(reserved.size)
        ]
        try:
            await self._store.messages.insert_many(blocks, ordered=False, session=session)
        except BulkWriteError as error:
            if not only_duplicates(error):
                raise
        # Not the number inserted by this call: an earlier attempt to settle may have been interrupted after some.
        return await self._store.messages.count_documents(
            {
                "queue": reserved.queue,
                "position": {"$gte": reserved.first, "$lt": reserved.first + reserved.size},
                "expires": {"$exists": False},
            },
            session=session,
        )

    async def sweep(self, session: Session) -> None:
        """Settle the ranges that have been pending for a while."""
        now = self._clock()
        seen = {}
        async for document in self._store.queues.find(
            {"pending.token": {"$exists": True}}, {"_id": 0, "queue": 1, "pending": 1}, limit=100, session=session
        ):
            for entry in document["pending"]:
                since = self._sightings.get(entry["token"], now)
                if now - since >= _STUCK:
                    await self._settle_for(_range(document["queue"], entry), session)
                else:
                    seen[entry["token"]] = since
        self._sightings = seen


def _range(queue: int, entry: dict[str, Any]) -> Range:
    return Range(queue, entry["token"], entry["first"], entry["size"])


def only_duplicates(error: BulkWriteError) -> bool:
    """Whether all failures are documents with an occupied position."""
    details = error.details
    return {failure["code"] for failure in details["writeErrors"]} == {_DUPLICATE} and not details["writeConcernErrors"]
