"""Reading, deleting and popping messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pymongo import DeleteOne

from partition.model import attributes
from partition.model.clock import MILLISECONDS, Clock
from partition.model.identifier import Identifiers, well_formed
from partition.model.message import Deletion, Message, MessageQuery, marked_position
from partition.model.queue import Queue, QueueKey
from partition.storage.mongodb.coalescer import Coalescer
from partition.storage.mongodb.documents import Document, bound, parsed, read_message, read_queue
from partition.storage.mongodb.pages import Condition, Page, Pages, Part, listed, takeable
from partition.storage.mongodb.schema import BY_STATE
from partition.storage.mongodb.taking import Take, take

if TYPE_CHECKING:
    from partition.storage.mongodb.numbers import Numbers
    from partition.storage.mongodb.store import Session, Store

# Messages deleted by one write of a purge, and popped or deleted one by one in one batch.
_PURGED_AT_A_TIME = 1000
_LARGEST_BATCH = 400
# Batches of deletions of one process in flight at once.
_LANES = 2
# Milliseconds for which a pop holds a message before it deletes it. After a crash in between, the undelivered message
# is free again then, even if it was delayed.
_HELD = 60 * MILLISECONDS


class Messages:
    """Messages, except posting and claiming."""

    def __init__(self, store: Store, pages: Pages, numbers: Numbers, identifiers: Identifiers, clock: Clock) -> None:
        self._store = store
        self._pages = pages
        self._numbers = numbers
        self._identifiers = identifiers
        self._clock = clock
        self._pops: Coalescer[QueueKey, int, list[Message]] = Coalescer(self._batch_of_pops, _LARGEST_BATCH)
        self._deletions: Coalescer[int, Condition, bool] = Coalescer(self._batch_of_deletions, _LARGEST_BATCH)

    async def close(self) -> None:
        await self._pops.close()
        await self._deletions.close()

    # Reading

    async def list_page(self, key: QueueKey, query: MessageQuery) -> tuple[list[Message], Queue | None]:
        now = self._clock()
        remembered = self._pages.remembered(key)
        while True:
            delayed = query.include_delayed or not _hides(remembered)
            page = await self._pages.read(key, self._parts(query, now, delayed=delayed))
            if page is None:
                return [], None
            if query.include_delayed or _hides(page.queue) != delayed:
                break
            remembered = page.queue  # which has begun or ceased to hide delayed messages
        messages = [read_message(document, self._identifiers, now) for document in page.messages[: query.limit]]
        return messages, read_queue(page.queue)

    def _parts(self, query: MessageQuery, now: int, *, delayed: bool) -> list[Part]:
        after = marked_position(query.marker)
        if after is None:
            return []
        extra: Condition = {"position": {"$gt": after}}
        if query.hidden_from is not None:
            extra["client"] = {"$ne": query.hidden_from}
        if query.include_claimed:
            return listed(query.limit, now, delayed=delayed, extra=extra)
        return takeable(query.limit, now, delayed=delayed, extra=extra)

    async def get(self, key: QueueKey, ids: Sequence[str]) -> list[Message]:
        now = self._clock()
        numbers = self._numbers_of(ids)
        if not numbers:
            return []
        page = await self._by_numbers(key, numbers, now)
        found = {} if page is None else {document["_id"]: document for document in page.messages}
        return [read_message(found[number], self._identifiers, now) for number in numbers if number in found]

    def _numbers_of(self, ids: Sequence[str]) -> list[int]:
        numbers = (self._identifiers.number(identifier) for identifier in dict.fromkeys(ids))
        return [number for number in numbers if number is not None]

    async def _by_numbers(self, key: QueueKey, numbers: list[int], now: int) -> Page | None:
        condition = {"_id": {"$in": numbers}, "expires": {"$gt": now}}
        return await self._pages.read(key, [Part(condition, {"_id": 1})])

    # Deleting

    async def delete_many(self, key: QueueKey, ids: Sequence[str], claim_ids: Sequence[str] | None) -> bool:
        """Delete them. With ``claim_ids``, a message stays if its claim ends in the meantime, and the result is
        False."""
        now = self._clock()
        numbers = self._numbers_of(ids)
        if not numbers:
            return True
        async with self._store.writing() as session:
            if claim_ids is None:
                with self._store.translated(writing=False):
                    queue = await self._pages.number(key, session)
                await self._delete({"_id": {"$in": numbers}, "queue": queue}, session)
                return True
            page = await self._by_numbers(key, numbers, now)
            if page is None or not page.messages:
                return True
            named = {self._identifiers.number(claim) for claim in claim_ids} - {None}
            if any(document["until"] <= now or document.get("claim") not in named for document in page.messages):
                return False
            held = {"claim": {"$in": list(named)}, "until": {"$gt": now}}
            there = {"_id": {"$in": numbers}, "queue": page.queue["queue"]}
            await self._delete(there | held, session)
            return await self._store.messages.find_one(there, {"_id": 1}, session=session) is None

    async def _delete(self, condition: Condition, session: Session) -> None:
        await self._store.repeated(lambda: self._store.messages.delete_many(condition, session=session))

    async def delete_one(self, key: QueueKey, message_id: str, claim_id: str | None) -> Deletion:
        """API section 2.12, row by row. One round trip if it may be deleted."""
        now = self._clock()
        number = self._identifiers.number(message_id)
        if number is None:
            return Deletion.DONE
        claim = None if claim_id is None else self._identifiers.number(claim_id)
        held = {"until": {"$lte": now}} if claim_id is None else {"claim": claim, "until": {"$gt": now}}
        # Documents under an old number belong to a deleted queue, and so are deleted anyway; a new number is looked up
        # below.
        queue = self._pages.remembered(key)
        while True:
            if queue is not None and (claim_id is None or claim is not None):
                condition = {"_id": number, "queue": queue["queue"], **held}
                if await self._deletions.take(number % _LANES, condition):
                    return Deletion.DONE
            page = await self._by_numbers(key, [number], now)
            if page is None or not page.messages:
                return Deletion.DONE
            outcome = _refusal(page.messages[0], claim_id, claim, now)
            if outcome is not None:
                return outcome
            queue = page.queue  # or its claim has ended, or begun, concurrently

    async def _batch_of_deletions(self, lane: int, conditions: list[Condition]) -> list[bool]:
        """Delete one message by each; return for all whether all were found. If not, each must be looked up."""
        async with self._store.writing() as session:
            result = await self._store.messages.bulk_write(
                [DeleteOne(condition) for condition in conditions], ordered=False, session=session
            )
        return [result.deleted_count == len(conditions)] * len(conditions)

    # Popping

    async def pop(self, key: QueueKey, limit: int) -> list[Message]:
        return await self._pops.take(key, limit, limit)

    async def _batch_of_pops(self, key: QueueKey, limits: list[int]) -> list[list[Message]]:
        """Win the messages, so that no other call gets them; then delete them; then return them."""
        async with self._store.writing() as session:
            now = self._clock()
            number = await self._numbers.take(len(limits), session)
            takes = [
                Take(number + n, limit, [{"$set": {"claim": number + n, "until": now + _HELD}}])
                for n, limit in enumerate(limits)
            ]
            while total := sum(one.wanted for one in takes):
                parts = takeable(total, now, delayed=True)
                page = await self._pages.read_unsettled(key, parts, session)
                if page is None or not page.messages:
                    break
                candidates = page.messages[:total]
                won = await take(self._store, takes, candidates, now, session, delayed=True)
                if won and len(candidates) < total:
                    break  # there were no more
            numbers = [one.number for one in takes if one.won]
            if numbers:
                await self._delete({"claim": {"$in": numbers}}, session)
        return [
            [
                read_message(document, self._identifiers, now)
                for document in sorted(one.won, key=lambda document: int(document["position"]))
            ]
            for one in takes
        ]

    async def purge(self, key: QueueKey) -> None:
        """Delete the unclaimed messages that exist now: otherwise a purge beside a busy producer would never end."""
        page = await self._pages.read(key, [])
        if page is None:
            return
        up_to = bound(page.queue)
        while True:
            now = self._clock()
            free = {"queue": page.queue["queue"], "until": {"$lte": now}, "position": {"$lte": up_to}}
            async with self._store.writing() as session:
                found = await self._store.messages.find(
                    free, {"_id": 1}, limit=_PURGED_AT_A_TIME, hint=BY_STATE, session=session
                ).to_list()
                if not found:
                    return
                numbers = [document["_id"] for document in found]
                await self._delete({"_id": {"$in": numbers}, "until": {"$lte": now}}, session)


def _hides(queue: Document | None) -> bool:
    """Whether the queue hides delayed messages from lists (API section 4.7)."""
    return queue is not None and attributes.delay(parsed(queue["metadata"])) != 0


def _refusal(found: Document, claim_id: str | None, claim: int | None, now: int) -> Deletion | None:
    """The reason to refuse the deletion of a message; None if it is allowed."""
    held: Any = found["claim"] if found["until"] > now else None
    if claim_id is None:
        return None if held is None else Deletion.CLAIMED
    if not well_formed(claim_id):
        return Deletion.BAD_CLAIM
    if held is None:
        return Deletion.NOT_CLAIMED
    return None if held == claim else Deletion.CLAIMED
