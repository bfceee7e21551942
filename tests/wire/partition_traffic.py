"""Producers and consumers of one queue that go on through every failure of the server, and record what they see.

``Record`` has the facts, and returns the rules that they break.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.wire.keep_alive import KeepAlive, Reply
from tests.wire.script import CLIENT

HEADERS = {"Client-ID": CLIENT, "X-Project-Id": "p"}
QUEUE = "/v2/queues/orders"
MESSAGES = f"{QUEUE}/messages"
BATCH = 10
CLAIMED_AT_ONCE = 20
# Longer than any run: no claim ends by itself, so whatever is handed out twice is a fault.
LEASE = {"ttl": 3600, "grace": 60}
TTL = 7200


class Sent(NamedTuple):
    """One message: the ``number``-th of its producer, counted from 0."""

    producer: int
    number: int

    @property
    def batch(self) -> tuple[int, int]:
        """The post that it was part of."""
        return self.producer, self.number // BATCH


def sent(body: str) -> Sent:
    producer, _, number = body.partition("-")
    return Sent(int(producer), int(number))


@dataclass
class Record:
    """The acknowledged calls, those without an answer, and the messages that were handed out."""

    acknowledged: set[Sent] = field(default_factory=set)
    unanswered: set[Sent] = field(default_factory=set)
    delivered: list[Sent] = field(default_factory=list)
    deleted: set[Sent] = field(default_factory=set)
    unordered: list[str] = field(default_factory=list)
    # By producer: the last message of all answered claims.
    newest: Counter[int] = field(default_factory=Counter)

    def take(self, messages: list[Sent], before: Counter[int]) -> None:
        """Write down a claim's answer; ``before`` is what ``newest`` was when it was asked for."""
        self.delivered += messages
        last: dict[int, int] = {}
        for producer, number in messages:
            if number <= last.get(producer, -1):
                self.unordered.append(f"{producer}-{number} after {last[producer]} in one claim")
            elif producer in before and number <= before[producer]:
                self.unordered.append(f"{producer}-{number} in a claim asked for after {before[producer]} was claimed")
            last[producer] = number
        for producer, number in last.items():
            self.newest[producer] = max(number, self.newest.get(producer, -1))

    def faults(self) -> dict[str, object]:
        """Every rule that is broken once everything was consumed, with examples; nothing, if all is well."""
        delivered = set(self.delivered)
        possible = self.acknowledged | self.unanswered
        halves = {one.batch for one in delivered} & {one.batch for one in self.unanswered - delivered}
        found = {
            "acknowledged and lost": self.acknowledged - delivered,
            "delivered twice": [one for one, times in Counter(self.delivered).items() if times > 1],
            "never posted": delivered - possible,
            "half of a post": halves,
            "delivered and not deleted": delivered - self.deleted,
            "out of order": self.unordered,
        }
        return {rule: sorted(cases)[:5] for rule, cases in found.items() if cases}


class Traffic:
    """Runs against the node at ``address``, where the process may change at any time.

    Producers and consumers are spread over all addresses.
    """

    def __init__(
        self,
        address: tuple[str, int],
        *more: tuple[str, int],
        producers: int,
        consumers: int,
        messages: int,
    ) -> None:
        self.record = Record()
        self._address = address
        self._addresses = (address, *more)
        self._producers = producers
        self._consumers = consumers
        self._each = messages // producers
        self._producing = 0
        self._progress = asyncio.Condition()

    async def run(self) -> None:
        """Post everything, and consume until nothing can be claimed any more."""
        self._producing = self._producers
        async with asyncio.TaskGroup() as group:
            for producer in range(self._producers):
                group.create_task(self._with_connection(self._produce, producer))
            for consumer in range(self._consumers):
                group.create_task(self._with_connection(self._consume, consumer))

    async def reaches(self, acknowledged: int) -> None:
        """Return as soon as so many messages are acknowledged."""
        async with self._progress:
            await self._progress.wait_for(lambda: len(self.record.acknowledged) >= acknowledged)

    async def _with_connection(self, work: Callable[[KeepAlive, int], Awaitable[None]], which: int) -> None:
        connection = KeepAlive(self._addresses[which // 2 % len(self._addresses)], HEADERS)
        try:
            await work(connection, which)
        finally:
            connection.close()

    async def _produce(self, connection: KeepAlive, producer: int) -> None:
        """Post until as many are acknowledged as there are to be. One post after the other; none is repeated."""
        acknowledged = first = 0
        while acknowledged < self._each:
            batch = [Sent(producer, number) for number in range(first, first + BATCH)]
            first += BATCH
            messages = [{"ttl": TTL, "body": f"{one.producer}-{one.number}"} for one in batch]
            reply = await connection.ask("POST", MESSAGES, {"messages": messages})
            if reply is None or reply.status == 503:  # a busy disk keeps the store locked for longer than a call waits
                self.record.unanswered.update(batch)
                continue
            assert reply.status == 201, reply
            acknowledged += BATCH
            self.record.acknowledged.update(batch)
            async with self._progress:
                self._progress.notify_all()
        self._producing -= 1

    async def _consume(self, connection: KeepAlive, consumer: int) -> None:
        one_by_one = consumer % 2 == 0
        while True:
            last_look = self._producing == 0
            before = self.record.newest.copy()
            reply = await connection.ask("POST", f"{QUEUE}/claims?limit={CLAIMED_AT_ONCE}", LEASE)
            if reply is None or reply.status == 503:
                continue
            if reply.status == 204 and last_look:
                return
            assert reply.status in (201, 204), reply
            if reply.status == 201:
                messages = reply.document["messages"]
                self.record.take([sent(message["body"]) for message in messages], before)
                await self._delete(connection, messages, one_by_one)
                one_by_one = not one_by_one

    async def _delete(self, connection: KeepAlive, messages: list[dict[str, str]], one_by_one: bool) -> None:
        """Delete them, each through its href or all by their ids, and again until there is an answer."""
        if one_by_one:
            deletions = {message["href"]: [message] for message in messages}
        else:
            deletions = {f"{MESSAGES}?ids={','.join(message['id'] for message in messages)}": messages}
        for path, gone in deletions.items():
            reply = None
            while reply is None:
                reply = await connection.ask("DELETE", path)
            assert reply.status == 204, reply
            self.record.deleted.update(sent(message["body"]) for message in gone)

    # Afterwards

    async def remaining(self) -> dict[Sent, str | None]:
        """Every message that is still there, with the claim that it is under."""
        found: dict[Sent, str | None] = {}
        connection = KeepAlive(self._address, HEADERS)
        path = f"{MESSAGES}?limit=20&echo=true&include_claimed=true"
        while True:
            page = answered(await connection.ask("GET", path), 200).document
            for message in page["messages"]:
                claim = re.search(r"claim_id=(\w+)", message["href"])
                found[sent(message["body"])] = claim and claim.group(1)
            if not page["links"]:
                connection.close()
                return found
            path = page["links"][0]["href"]

    async def release(self, claim: str) -> None:
        """End a claim without an answer."""
        connection = KeepAlive(self._address, HEADERS)
        answered(await connection.ask("DELETE", f"{QUEUE}/claims/{claim}"), 204)
        connection.close()

    async def consume_the_rest(self) -> None:
        """Consume what can be claimed now, as one more consumer."""
        self.record.newest.clear()  # what was hidden under a lost claim comes later than its successors
        await self._with_connection(self._consume, 0)

    async def total(self) -> int:
        """How many messages there are by the queue's stats."""
        connection = KeepAlive(self._address, HEADERS)
        reply = answered(await connection.ask("GET", f"{QUEUE}/stats"), 200)
        connection.close()
        return int(reply.document["messages"]["total"])


def answered(reply: Reply | None, status: int) -> Reply:
    assert reply is not None
    assert reply.status == status, reply
    return reply
