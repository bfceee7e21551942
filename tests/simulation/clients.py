"""Clients of the simulated world, in every version of the API. What they do and are told goes into the history."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from typing import Any

from tests.checker.record import Body, Claim, Deletion, History, Outcome, Page, Post, Release, Shown
from tests.simulation.front import Answer, Unreachable, Worker

VERSIONS = ("v1", "v1.1", "v2")
# Of the messages and claims, in seconds of the partitions' clocks.
MESSAGE_TTL = 86400
CLAIM_TTL = 60

DONE, REFUSED, UNKNOWN = Outcome.ACKNOWLEDGED, Outcome.REFUSED, Outcome.UNKNOWN


def outcome_of(answer: Answer | None) -> Outcome:
    """Return what an answer says of its call. Ours say it in words; a partition's refusal is one."""
    if answer is None:
        return UNKNOWN
    if answer.status < 300:
        return DONE
    if answer.status == 503:
        return REFUSED if answer.json().get("description", "").endswith("Nothing was done.") else UNKNOWN
    return REFUSED if answer.status < 500 else UNKNOWN


def _body(value: Any) -> Body:
    return Body(value["producer"], value["number"])


def _id(href: str) -> str:
    return href.partition("?")[0].rpartition("/")[2]


def _shown(messages: list[dict[str, Any]]) -> tuple[Shown, ...]:
    return tuple(Shown(_body(message["body"]), _id(message["href"])) for message in messages)


class Client:
    """One client. ``worker`` picks the one that its next call goes to; ``ttl`` is what CLAIM_TTL is for the world's
    clock; ``patience``: seconds that it waits for an answer."""

    def __init__(
        self,
        name: str,
        chance: random.Random,
        worker: Callable[[], Worker],
        history: History,
        queue: str,
        ttl: float,
        patience: float,
        note: Callable[[str], None],
    ) -> None:
        self.name = name
        self.chance = chance
        self.history = history
        self.version = chance.choice(VERSIONS)
        self.path = f"/{self.version}/queues/{queue}"
        self.stopped = False
        # Nobody posts any more: there is no hurry.
        self.calm = False
        self.ttl = ttl
        self._worker = worker
        self._patience = patience
        self._note = note
        self._headers = [
            (b"x-project-id", b"project"),
            (b"client-id", b"3381af92-2b9e-11e3-b191-%012x" % chance.getrandbits(48)),
            (b"content-type", b"application/json"),
        ]

    async def ask(self, method: str, target: str, body: Any = None) -> tuple[float, float, Outcome, Answer | None]:
        """Return (when it was sent, when answered, what became of it, the answer)."""
        data = None if body is None else json.dumps(body).encode()
        loop = asyncio.get_running_loop()
        sent = loop.time()
        await asyncio.sleep(self.chance.uniform(0.0, 0.002))
        answer, outcome = None, REFUSED
        worker = self._worker()
        try:
            answer = await worker.ask(method, target, self._headers, data, self._patience)
            outcome = outcome_of(answer)
        except Unreachable:
            await asyncio.sleep(0.05)
        await asyncio.sleep(self.chance.uniform(0.0, 0.002))
        told = "no answer" if answer is None else answer.status
        self._note(f"{self.name} {method} {target} {'' if body is None else body} by {worker.actor.name}: {told}")
        return sent, loop.time(), outcome, answer

    async def pause(self, longest: float) -> None:
        await asyncio.sleep(self.chance.uniform(0.0, longest) * (6.0 if self.calm else 1.0))


class Producer(Client):
    """Posts, one call after the other; what is refused it says again, as another message."""

    async def run(self, until: float, rest: float) -> None:
        number = 0
        while asyncio.get_running_loop().time() < until:
            count = self.chance.choice((1, 1, 1, 2))
            bodies = tuple(Body(self.name, number + n) for n in range(count))
            number += count
            messages = [{"ttl": MESSAGE_TTL, "body": {"producer": b.producer, "number": b.number}} for b in bodies]
            document: Any = messages if self.version == "v1" else {"messages": messages}
            sent, answered, outcome, _ = await self.ask("POST", f"{self.path}/messages", document)
            self.history.posts.append(Post(bodies, sent, answered, outcome))
            await self.pause(rest)


class Consumer(Client):
    """Claims, works, and deletes; now and then it releases a claim, or lets it lapse."""

    async def run(self, rest: float, begin: float) -> None:
        await asyncio.sleep(begin)
        while not self.stopped:
            number, taken = await self._claim()
            if number is not None and self.chance.random() < 0.93:
                await self._work(number, taken)
            await self.pause(0.02 if taken and self.calm else rest)

    async def _claim(self) -> tuple[int | None, list[tuple[Body, str]]]:
        limit = self.chance.choice((1, 2, 3, 10))
        grant = {"ttl": CLAIM_TTL, "grace": 60}
        number = len(self.history.claims)
        loop = asyncio.get_running_loop()
        # In its place before its answer, which others may overtake.
        self.history.claims.append(Claim(self.name, loop.time(), float("inf"), UNKNOWN, self.ttl))
        sent, answered, outcome, answer = await self.ask("POST", f"{self.path}/claims?limit={limit}", grant)
        messages: list[dict[str, Any]] = []
        if answer is not None and answer.status == 201:
            found = answer.json()
            messages = found if self.version == "v1" else found["messages"]
        self.history.claims[number] = Claim(self.name, sent, answered, outcome, self.ttl, _shown(messages))
        if not messages:
            return None, []
        assert answer is not None
        self._claimed = answer.headers[b"location"].decode()
        return number, [(_body(message["body"]), message["href"]) for message in messages]

    async def _work(self, number: int, taken: list[tuple[Body, str]]) -> None:
        await self.pause(0.2)
        if self.chance.random() < 0.06:
            sent, answered, outcome, _ = await self.ask("DELETE", self._claimed)
            self.history.releases.append(Release(number, sent, answered, outcome))
            return
        for body, href in taken:
            if self.chance.random() < 0.95:
                place = len(self.history.deletions)
                now = asyncio.get_running_loop().time()
                self.history.deletions.append(Deletion(number, body, now, float("inf"), UNKNOWN))
                sent, answered, outcome, _ = await self.ask("DELETE", href)
                self.history.deletions[place] = Deletion(number, body, sent, answered, outcome)


class Subscriber(Client):
    """Lists all there is, and goes on where it was."""

    async def run(self, rest: float) -> None:
        limit = self.chance.choice((1, 2, 5))
        href = f"{self.path}/messages?limit={limit}&echo=true&include_claimed=true"
        while not self.stopped:
            href, some = await self._page(href)
            await self.pause(rest if some else rest * 3)
        # An empty answer may have been under way when the last message came.
        empty = 0
        while empty < 2:
            href, some = await self._page(href)
            empty = 0 if some else empty + 1

    async def _page(self, href: str) -> tuple[str, bool]:
        """Read a page; return (the href of the next, whether there was something or no answer)."""
        sent, answered, _, answer = await self.ask("GET", href)
        if answer is None or answer.status not in (200, 204):
            return href, True
        found = answer.json() if answer.body else {"messages": []}
        self.history.pages.append(Page(self.name, sent, answered, _shown(found["messages"])))
        return (found["links"][0]["href"], True) if found["messages"] else (href, False)


class Auditor(Client):
    """Looks, when all others have stopped, what is left."""

    async def left(self) -> list[Shown]:
        """Return what the queue holds. Raises AssertionError if it cannot be listed."""
        found: list[Shown] = []
        href = f"{self.path}/messages?limit=20&echo=true&include_claimed=true"
        while True:
            _, _, _, answer = await self.ask("GET", href)
            assert answer is not None, "the queue cannot be listed at the end"
            assert answer.status in (200, 204), f"the queue cannot be listed at the end: {answer}"
            page = answer.json() if answer.body else {"messages": []}
            if not page["messages"]:
                return found
            found += _shown(page["messages"])
            href = page["links"][0]["href"]

    async def create(self) -> None:
        """Make the queue."""
        while True:
            _, _, outcome, _ = await self.ask("PUT", self.path)
            if outcome is DONE:
                return
            await asyncio.sleep(0.1)
