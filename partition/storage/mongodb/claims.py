"""Claims (API section 6.5). A claim consists of the messages with its number that are held ``until`` later than now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from partition.errors import ClaimMissing
from partition.model import attributes
from partition.model.clock import MILLISECONDS, Clock, age
from partition.model.identifier import Identifiers
from partition.model.message import Claim, Lease
from partition.model.queue import QueueKey
from partition.storage.mongodb.burial import Burial
from partition.storage.mongodb.coalescer import Coalescer
from partition.storage.mongodb.documents import Document, parsed, read_message
from partition.storage.mongodb.pages import Page, Pages, Part, takeable
from partition.storage.mongodb.schema import gone
from partition.storage.mongodb.taking import Take, take

if TYPE_CHECKING:
    from partition.storage.mongodb.numbers import Numbers
    from partition.storage.mongodb.store import Session, Store

# Messages claimed by one batch.
_LARGEST_BATCH = 400


class Wanted(NamedTuple):
    """A requested claim."""

    lease: Lease
    limit: int


class Claims:
    """Claims of this process."""

    def __init__(
        self, store: Store, pages: Pages, numbers: Numbers, burial: Burial, identifiers: Identifiers, clock: Clock
    ) -> None:
        self._store = store
        self._pages = pages
        self._numbers = numbers
        self._burial = burial
        self._identifiers = identifiers
        self._clock = clock
        self._turns: Coalescer[QueueKey, Wanted, Claim | None] = Coalescer(self._batch, _LARGEST_BATCH)

    async def close(self) -> None:
        await self._turns.close()

    async def create(self, key: QueueKey, lease: Lease, limit: int) -> Claim | None:
        """Claim up to ``limit`` messages."""
        return await self._turns.take(key, Wanted(lease, limit), limit)

    async def _batch(self, key: QueueKey, wanted: list[Wanted]) -> list[Claim | None]:
        async with self._store.writing() as session:
            now = self._clock()
            number = await self._numbers.take(len(wanted), session)
            takes = [Take(number + n, one.limit, _claiming(number + n, one.lease, now)) for n, one in enumerate(wanted)]
            while any(one.wanted for one in takes):
                total = sum(one.wanted for one in takes)
                parts = takeable(total, now, delayed=False)
                page = await self._pages.read_unsettled(key, parts, session)
                if page is None or not page.messages:
                    break
                candidates = page.messages[:total]
                good = await self._without_dead_letters(key, page, candidates, now, session)
                if not good:
                    continue
                won = await take(self._store, takes, good, now, session, delayed=False)
                if won and len(candidates) < total:
                    break  # there were no more
        return [self._claim(one, to.lease, now) for one, to in zip(takes, wanted, strict=True)]

    async def _without_dead_letters(
        self, key: QueueKey, page: Page, candidates: list[Document], now: int, session: Session
    ) -> list[Document]:
        rule = attributes.dead_letters(parsed(page.queue["metadata"]))
        if rule is None:
            return candidates
        name, allowed, ttl = rule
        dead = [document for document in candidates if document["claims"] >= allowed]
        if dead:
            await self._burial.bury(QueueKey(key.project, name, key.kind), dead, ttl, now, session)
        return [document for document in candidates if document["claims"] < allowed]

    def _claim(self, one: Take, lease: Lease, now: int) -> Claim | None:
        if not one.won:
            return None
        won = sorted((_claimed(document, one.number, lease, now) for document in one.won), key=_position)
        messages = tuple(read_message(document, self._identifiers, now) for document in won)
        return Claim(self._identifiers.identifier(one.number), lease.ttl, 0, messages)

    async def get(self, key: QueueKey, claim_id: str) -> Claim:
        """Raises ClaimMissing."""
        now = self._clock()
        number = self._identifiers.number(claim_id)
        if number is None:
            raise ClaimMissing(claim_id)
        condition = {"claim": number, "until": {"$gt": now}, "expires": {"$gt": now}}
        page = await self._pages.read(key, [Part(condition, {"position": 1})])
        if page is None or not page.messages:
            raise ClaimMissing(claim_id)
        # They are equal for all messages, unless a renewal was interrupted.
        ttl, until = max((document["lease"], document["until"]) for document in page.messages)
        messages = tuple(read_message(document, self._identifiers, now) for document in page.messages)
        return Claim(claim_id, ttl, age(until - ttl * MILLISECONDS, now), messages)

    async def renew(self, key: QueueKey, claim_id: str, lease: Lease) -> None:
        """Raises ClaimMissing. If the server is lost half-way, some messages may have the old lease."""
        now = self._clock()
        # A renewal proves a live worker: only expired claims count (API section 6.9).
        change = [{"$set": {"claims": 1, **_lease(lease, now)}}]
        if await self._change(key, claim_id, change, now) == 0:
            raise ClaimMissing(claim_id)

    async def release(self, key: QueueKey, claim_id: str) -> None:
        """Free its messages. If the server is lost half-way, some messages are free and the others claimed."""
        await self._change(key, claim_id, [{"$set": {"until": 0, "claims": 0}}], self._clock())

    async def _change(self, key: QueueKey, claim_id: str, change: list[dict[str, Any]], now: int) -> int:
        number = self._identifiers.number(claim_id)
        if number is None:
            return 0
        async with self._store.writing() as session:
            with self._store.translated(writing=False):
                queue = await self._pages.number(key, session)
            if queue is None:
                return 0
            held = {"claim": number, "queue": queue, "until": {"$gt": now}}
            result, again = await self._store.repeated(
                lambda: self._store.messages.update_many(held, change, session=session)
            )
            # The first attempt may have succeeded without an answer.
            return max(result.matched_count, int(again))


def _claiming(number: int, lease: Lease, now: int) -> list[dict[str, Any]]:
    counted = {"$add": ["$claims", 1]}
    return [{"$set": {"claim": number, "claims": counted, **_lease(lease, now)}}]


def _lease(lease: Lease, now: int) -> dict[str, Any]:
    """The changes of a lease: it extends messages that would expire before it, and leaves the others as they are (API
    section 6.5)."""
    until = now + lease.ttl * MILLISECONDS
    expires = until + lease.grace * MILLISECONDS
    outlived = {"$lt": ["$expires", until]}
    return {
        "until": until,
        "lease": lease.ttl,
        "expires": {"$cond": [outlived, expires, "$expires"]},
        "ttl": {"$cond": [outlived, lease.ttl + lease.grace, "$ttl"]},
        "gone": {"$cond": [outlived, gone(expires, now), "$gone"]},
    }


def _claimed(document: Document, number: int, lease: Lease, now: int) -> dict[str, Any]:
    """The message after ``_claiming``."""
    until = now + lease.ttl * MILLISECONDS
    claimed = {**document, "claim": number, "until": until, "claims": document["claims"] + 1}
    if document["expires"] < until:
        claimed["ttl"] = lease.ttl + lease.grace
    return claimed


def _position(document: Document) -> int:
    position: int = document["position"]
    return position
