"""Producers, claiming consumers and bookmarking subscribers: each is one task with one connection, and never gives up.

Their calls are kept in the history of the queue, and each unexpected answer in ``Journal.troubles``. An answer of 503
is a refusal if it has the sentence that the request was not processed. Otherwise the outcome is unknown, as it is for a
lost answer.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.checker.record import Body, Claim, Deletion, History, Outcome, Page, Post
from tests.wire.keep_alive import KeepAlive, Reply
from tests.wire.script import CLIENT
from tests.wire.soak import dialect

PROJECT = "soak"
HEADERS = {"Client-ID": CLIENT, "X-Project-Id": PROJECT, "Content-Type": "application/json"}
# Seconds, much longer than the front door takes for any call. A call that takes so long counts as unanswered.
PATIENCE = 120.0
# Seconds, within what a stock client waits before it asks again.
PAUSE = 0.2
# The answers to a deletion after the end of its claim.
_NOT_CLAIMED = frozenset({400, 403})


class Trouble(NamedTuple):
    """An unexpected answer. ``status`` is 0 if there was none."""

    asked: float
    when: float
    who: str
    what: str
    status: int
    body: bytes

    @property
    def words(self) -> str:
        """The description in the answer; without one the status, or an empty text if there was no answer."""
        try:
            return str(json.loads(self.body)["description"])
        except (ValueError, KeyError, TypeError):
            return f"{self.status} without words" if self.status else ""

    def __str__(self) -> str:
        return f"{self.when:.3f} {self.who}: {self.what} was answered {self.status} {self.body[:200]!r}"


class Took(NamedTuple):
    """The seconds that a post took, with any answer."""

    queue: str
    sent: float
    seconds: float


class Wait(NamedTuple):
    """The seconds from a producer's first attempt to post until the acknowledgement, or until the fate is unknown."""

    since: float
    seconds: float


@dataclass
class Journal:
    """The observations of all clients. Histories are by queue."""

    histories: dict[str, History]
    troubles: list[Trouble] = field(default_factory=list)
    posts: list[Took] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)

    def trouble(self, who: str, what: str, asked: float, reply: Reply | None) -> Outcome:
        status, body = (0, b"") if reply is None else (reply.status, reply.body)
        self.troubles.append(Trouble(asked, time.monotonic(), who, what, status, body))
        refused = reply is not None and (reply.status != 503 or dialect.nothing_was_done(reply))
        return Outcome.REFUSED if refused else Outcome.UNKNOWN


class _Client:
    def __init__(self, name: str, version: str, address: tuple[str, int], journal: Journal) -> None:
        self.name = name
        self.version = version
        self.journal = journal
        self.over = False
        self._connection = KeepAlive(address, HEADERS)

    async def _ask(self, method: str, path: str, document: object = None) -> Reply | None:
        self.journal.calls[method] += 1
        try:
            # Not wait_for, which loses a cancellation now and then.
            async with asyncio.timeout(PATIENCE):
                return await self._connection.ask(method, path, document)
        except TimeoutError:
            self._connection.close()
            return None

    async def run(self) -> None:
        """Do what it does until it is ``over``."""
        try:
            while not self.over:
                await self._turn()
            await self._finish()
        finally:
            self._connection.close()

    async def _turn(self) -> None:
        raise NotImplementedError

    async def _finish(self) -> None:
        pass


class Producer(_Client):
    """Posts one to three messages at a time to one of its queues; the same again if nothing was done."""

    def __init__(
        self,
        name: str,
        version: str,
        address: tuple[str, int],
        journal: Journal,
        queues: Sequence[str],
        chance: random.Random,
        pace: float,
    ) -> None:
        super().__init__(name, version, address, journal)
        self._queues = queues
        self._chance = chance
        self._pace = pace
        self._number = 0
        self._unvisited = list(queues)

    async def _turn(self) -> None:
        # Each once, so that none is empty for long.
        queue = self._unvisited.pop() if self._unvisited else self._chance.choice(self._queues)
        bodies = tuple(Body(self.name, self._number + n) for n in range(self._chance.choice((1, 1, 1, 2, 3))))
        self._number += len(bodies)
        since = time.monotonic()
        outcome = await self._post(queue, bodies)
        while outcome is Outcome.REFUSED:
            await asyncio.sleep(PAUSE)
            outcome = await self._post(queue, bodies)
        self.journal.waits.append(Wait(since, time.monotonic() - since))
        await asyncio.sleep(self._chance.uniform(0.0, 2.0 * self._pace))

    async def _post(self, queue: str, bodies: tuple[Body, ...]) -> Outcome:
        path = f"{dialect.queue_path(self.version, queue)}/messages"
        sent = time.monotonic()
        reply = await self._ask("POST", path, dialect.post(self.version, bodies))
        answered = time.monotonic()
        outcome = Outcome.ACKNOWLEDGED
        if reply is None or reply.status != 201:
            outcome = self.journal.trouble(self.name, f"POST {path}", sent, reply)
        self.journal.posts.append(Took(queue, sent, answered - sent))
        self.journal.histories[queue].posts.append(Post(bodies, sent, answered, outcome))
        return outcome


class _Taken(NamedTuple):
    due: float
    queue: str
    claim: int
    body: Body
    href: str


class Consumer(_Client):
    """Claims from its queues in turn, and deletes each message some time later, so that subscribers see most of them.

    ``ttl``: how long a claim lasts at least, in seconds.
    """

    def __init__(
        self,
        name: str,
        version: str,
        address: tuple[str, int],
        journal: Journal,
        queues: Sequence[str],
        chance: random.Random,
        ttl: dict[str, float],
    ) -> None:
        super().__init__(name, version, address, journal)
        self._queues = deque(queues)
        self._chance = chance
        self._ttl = ttl
        self._taken: deque[_Taken] = deque()

    async def _turn(self) -> None:
        await self._delete(time.monotonic())
        queue = self._queues[0]
        self._queues.rotate(-1)
        await self._claim(queue)
        await asyncio.sleep(self._chance.uniform(0.0, PAUSE))

    async def _finish(self) -> None:
        await self._delete(float("inf"))

    async def _claim(self, queue: str) -> None:
        path = f"{dialect.queue_path(self.version, queue)}/claims?limit={self._chance.choice((1, 3, 10))}"
        sent = time.monotonic()
        reply = await self._ask("POST", path, dialect.CLAIM)
        answered = time.monotonic()
        claims = self.journal.histories[queue].claims
        ttl = self._ttl[queue]
        if reply is None or reply.status not in (201, 204):
            outcome = self.journal.trouble(self.name, f"POST {path}", sent, reply)
            claims.append(Claim(self.name, sent, answered, outcome, ttl))
            return
        messages = dialect.messages(reply)
        shown = tuple(dialect.shown(message) for message in messages)
        due = answered + self._chance.uniform(0.2, 1.5)
        for message, (body, _) in zip(messages, shown, strict=True):
            self._taken.append(_Taken(due, queue, len(claims), body, message["href"]))
        claims.append(Claim(self.name, sent, answered, Outcome.ACKNOWLEDGED, ttl, shown))

    async def _delete(self, until: float) -> None:
        """Delete what is due until then; each again until there is an answer."""
        while self._taken and self._taken[0].due <= until:
            _, queue, claim, body, href = self._taken[0]
            sent = time.monotonic()
            reply = await self._ask("DELETE", href)
            claimed = self.journal.histories[queue].claims[claim]
            outcome = Outcome.ACKNOWLEDGED
            if reply is not None and reply.status in _NOT_CLAIMED and time.monotonic() >= claimed.sent + claimed.ttl:
                # It was delayed for so long that the claim may have ended: the message can be claimed again.
                outcome = Outcome.REFUSED
            elif reply is None or reply.status != 204:
                outcome = self.journal.trouble(self.name, f"DELETE {href}", sent, reply)
            deletion = Deletion(claim, body, sent, time.monotonic(), outcome)
            self.journal.histories[queue].deletions.append(deletion)
            if reply is None or reply.status == 503:
                await asyncio.sleep(PAUSE)
            else:
                self._taken.popleft()


class Subscriber(_Client):
    """Lists every queue, each from its bookmark; when it is over, each to its end."""

    def __init__(
        self, name: str, address: tuple[str, int], journal: Journal, queues: Sequence[str], versions: Sequence[str]
    ) -> None:
        super().__init__(name, "", address, journal)
        self._bookmarks = {
            queue: f"{dialect.queue_path(version, queue)}/messages?limit=20&echo=true&include_claimed=true"
            for queue, version in zip(queues, versions, strict=True)
        }

    async def _turn(self) -> None:
        for queue in self._bookmarks:
            await self._page(queue)
            await asyncio.sleep(0.01)

    async def _finish(self) -> None:
        for queue in self._bookmarks:
            while await self._page(queue) is not False:
                pass

    async def _page(self, queue: str) -> bool | None:
        """Read one page; return whether it had a message, None without an answer."""
        sent = time.monotonic()
        reply = await self._ask("GET", self._bookmarks[queue])
        if reply is None or reply.status not in (200, 204):
            self.journal.trouble(self.name, f"GET {self._bookmarks[queue]}", sent, reply)
            await asyncio.sleep(PAUSE)
            return None
        shown = tuple(dialect.shown(message) for message in dialect.messages(reply))
        self.journal.histories[queue].pages.append(Page(self.name, sent, time.monotonic(), shown))
        self._bookmarks[queue] = dialect.next_page(reply) or self._bookmarks[queue]
        return bool(shown)
