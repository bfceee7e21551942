"""Clients of the simulated world, in every version of the API. Their calls and the answers go into the history."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.checker.record import (
    Body,
    Claim,
    Deletion,
    History,
    Outcome,
    Page,
    Post,
    Release,
    Removal,
    Renewal,
    Setting,
    Shown,
)
from tests.simulation.front import Answer, Unreachable, Worker

VERSIONS = ("v1", "v1.1", "v2")
# Of the messages and claims, in seconds of the partitions' clocks.
MESSAGE_TTL = 86400
CLAIM_TTL = 60
# The longest delay of a message, by the same clock.
DELAY = 40
# Of how many calls of a consumer are pops.
_POPS = (0.0, 0.0, 0.0, 0.0, 0.0, 0.2, 0.5, 1.0)
_JSON_PATCH = b"application/openstack-messaging-v2.0-json-patch"

DONE, REFUSED, UNKNOWN = Outcome.ACKNOWLEDGED, Outcome.REFUSED, Outcome.UNKNOWN


def outcome_of(answer: Answer | None) -> Outcome:
    """Return the outcome of a call by its answer. Our answers have words for it; a refusal of a partition is one."""
    if answer is None:
        return UNKNOWN
    if answer.status < 300:
        return DONE
    if answer.status == 503:
        words = answer.json().get("description", "")
        return REFUSED if "was not processed" in words else UNKNOWN
    return REFUSED if answer.status < 500 else UNKNOWN


def _body(value: Any) -> Body:
    return Body(value["producer"], value["number"])


def _id(href: str) -> str:
    return href.partition("?")[0].rpartition("/")[2]


def _shown(messages: list[dict[str, Any]]) -> tuple[Shown, ...]:
    return tuple(Shown(_body(message["body"]), _id(message["href"])) for message in messages)


@dataclass
class Scene:
    """A queue as its clients know it. ``metadata``: what it is created with; ``delays``: the longest delay of its
    messages, in seconds of the partitions' clocks; ``careless``: the share of claims that are left to lapse; ``fed``:
    with dead letters, not by producers; ``removed``, ``set_``: now and then, and of its metadata. ``lives`` counts
    deletions that were begun, and those that were ended."""

    queue: str
    history: History
    versions: tuple[str, ...] = VERSIONS
    metadata: dict[str, Any] | None = None
    delays: int = 0
    careless: float = 0.07
    fed: bool = False
    removed: bool = False
    set_: bool = False
    lives: int = 0


class Client:
    """One client. ``worker`` picks the one that its next call goes to; ``ttl`` is what CLAIM_TTL is for the world's
    clock; ``patience``: seconds that it waits for an answer. ``speaks``: the versions of the API that it may use."""

    speaks: tuple[str, ...] = VERSIONS

    def __init__(
        self,
        name: str,
        chance: random.Random,
        worker: Callable[[], Worker],
        scene: Scene,
        ttl: float,
        patience: float,
        note: Callable[[str], None],
    ) -> None:
        self.name = name
        self.chance = chance
        self.scene = scene
        self.history = scene.history
        self.version = chance.choice([version for version in self.speaks if version in scene.versions])
        self.path = f"/{self.version}/queues/{scene.queue}"
        self.stopped = False
        # All producers have stopped: there is no hurry.
        self.calm = False
        self.ttl = ttl
        self._worker = worker
        self._patience = patience
        self._note = note
        self._headers = [
            (b"x-project-id", b"project"),
            (b"client-id", b"3381af92-2b9e-11e3-b191-%012x" % chance.getrandbits(48)),
        ]

    async def ask(
        self, method: str, target: str, body: Any = None, kind: bytes = b"application/json"
    ) -> tuple[float, float, Outcome, Answer | None]:
        """Return (when it was sent, when answered, what became of it, the answer)."""
        data = None if body is None else json.dumps(body).encode()
        loop = asyncio.get_running_loop()
        sent = loop.time()
        await asyncio.sleep(self.chance.uniform(0.0, 0.002))
        answer, outcome = None, REFUSED
        worker = self._worker()
        try:
            answer = await worker.ask(method, target, [*self._headers, (b"content-type", kind)], data, self._patience)
            outcome = outcome_of(answer)
        except Unreachable:
            await asyncio.sleep(0.05)
        await asyncio.sleep(self.chance.uniform(0.0, 0.002))
        told = "no answer" if answer is None else answer.status
        self._note(f"{self.name} {method} {target} {'' if body is None else body} by {worker.actor.name}: {told}")
        return sent, loop.time(), outcome, answer

    async def create(self) -> None:
        """Make the queue."""
        while True:
            _, _, outcome, _ = await self.ask("PUT", self.path, self.scene.metadata)
            if outcome is DONE:
                return
            await asyncio.sleep(0.1)

    @property
    def delayed(self) -> str:
        """The part of a list's query that shows delayed messages."""
        return "&include_delayed=true" if self.version == "v2" else ""

    async def pause(self, longest: float) -> None:
        await asyncio.sleep(self.chance.uniform(0.0, longest) * (6.0 if self.calm else 1.0))


class Producer(Client):
    """Posts, one call after the other; refused messages are posted again, as other ones."""

    async def run(self, until: float, rest: float) -> None:
        number = 0
        while asyncio.get_running_loop().time() < until:
            count = self.chance.choice((1, 1, 1, 2))
            bodies = tuple(Body(self.name, number + n) for n in range(count))
            number += count
            messages = [{"ttl": MESSAGE_TTL, "body": {"producer": b.producer, "number": b.number}} for b in bodies]
            delay = self.chance.choice((0, 0, self.scene.delays))
            if delay:
                messages = [message | {"delay": delay} for message in messages]
            document: Any = messages if self.version == "v1" else {"messages": messages}
            sent, answered, outcome, _ = await self.ask("POST", f"{self.path}/messages", document)
            # A message without a delay of its own has that of the queue: a second of a partition.
            seconds = max(delay, 1) * self.ttl / CLAIM_TTL if self.scene.delays else 0.0
            self.history.posts.append(Post(bodies, sent, answered, outcome, seconds))
            await self.pause(rest)


class Consumer(Client):
    """Claims, works, and deletes; now and then it renews a claim, releases it, or lets it lapse. One in some pops, too,
    if its version can."""

    async def run(self, rest: float, begin: float) -> None:
        pops = 0.0 if self.version == "v1" else self.chance.choice(_POPS)
        await asyncio.sleep(begin)
        while not self.stopped:
            if pops and self.chance.random() < pops:
                await self.pause(0.02 if await self._pop() and self.calm else rest)
                continue
            number, taken = await self._claim()
            if number is not None and self.chance.random() >= self.scene.careless:
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

    async def _pop(self) -> bool:
        """Return whether there was something."""
        limit = self.chance.choice((1, 1, 2))
        number = len(self.history.claims)
        now = asyncio.get_running_loop().time()
        self.history.claims.append(Claim(self.name, now, float("inf"), UNKNOWN, float("inf"), pops=limit))
        sent, answered, outcome, answer = await self.ask("DELETE", f"{self.path}/messages?pop={limit}")
        messages = answer.json()["messages"] if answer is not None and answer.status == 200 else []
        taken = tuple(Shown(_body(message["body"]), message["id"]) for message in messages)
        self.history.claims[number] = Claim(self.name, sent, answered, outcome, float("inf"), taken, pops=limit)
        return bool(taken)

    async def _renew(self, number: int) -> None:
        ttl = self.chance.choice((CLAIM_TTL, CLAIM_TTL * 3 // 2))
        sent, answered, outcome, answer = await self.ask("PATCH", self._claimed, {"ttl": ttl, "grace": 60})
        missing = answer is not None and answer.status == 404
        lasts = self.ttl * ttl / CLAIM_TTL
        self.history.renewals.append(Renewal(number, sent, answered, outcome, lasts, missing))

    async def _work(self, number: int, taken: list[tuple[Body, str]]) -> None:
        await self.pause(0.2)
        if self.chance.random() < 0.15:
            await self._renew(number)
            await self.pause(0.2)
        if self.chance.random() < 0.06:
            sent, answered, outcome, _ = await self.ask("DELETE", self._claimed)
            self.history.releases.append(Release(number, sent, answered, outcome))
            return
        if self.chance.random() < 0.1:
            ids = ",".join(_id(href) for _, href in taken)
            await self._delete(number, [body for body, _ in taken], f"{self.path}/messages?ids={ids}")
            return
        for body, href in taken:
            if self.chance.random() < 0.95:
                await self._delete(number, [body], href)

    async def _delete(self, number: int, bodies: list[Body], target: str) -> None:
        place = len(self.history.deletions)
        now = asyncio.get_running_loop().time()
        self.history.deletions += [Deletion(number, body, now, float("inf"), UNKNOWN) for body in bodies]
        sent, answered, outcome, _ = await self.ask("DELETE", target)
        for n, body in enumerate(bodies, place):
            self.history.deletions[n] = Deletion(number, body, sent, answered, outcome)


class Subscriber(Client):
    """Lists all there is, and goes on where it was; from the beginning if the queue was deleted meanwhile."""

    async def run(self, rest: float, naps: float = 0.0) -> None:
        """``naps``: the longest time between two pages that it sleeps now and then."""
        limit = self.chance.choice((1, 2, 5))
        first = href = f"{self.path}/messages?limit={limit}&echo=true&include_claimed=true" + self.delayed
        life = self.scene.lives
        while not self.stopped:
            if self.scene.lives != life:
                life, href = self.scene.lives, first
                self.name += "+"
            href, some = await self._page(href)
            await self.pause(rest if some else rest * 3)
            if naps and self.chance.random() < 0.5:
                await asyncio.sleep(self.chance.uniform(0.5, 1.0) * naps)
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

    speaks = ("v2",)

    async def left(self) -> list[Shown]:
        """Return what the queue holds. Raises AssertionError if it cannot be listed."""
        found: list[Shown] = []
        href = f"{self.path}/messages?limit=20&echo=true&include_claimed=true" + self.delayed
        while True:
            _, _, _, answer = await self.ask("GET", href)
            assert answer is not None, "the queue cannot be listed at the end"
            assert answer.status in (200, 204), f"the queue cannot be listed at the end: {answer}"
            page = answer.json() if answer.body else {"messages": []}
            if not page["messages"]:
                return found
            found += _shown(page["messages"])
            href = page["links"][0]["href"]

    async def setting(self) -> int | None:
        """Return what a Setter has set last."""
        _, _, _, answer = await self.ask("GET", self.path)
        assert answer is not None, "the metadata cannot be read at the end"
        assert answer.status == 200, f"the metadata cannot be read at the end: {answer}"
        found: int | None = answer.json().get("colour")
        return found


class Remover(Client):
    """Purges the queue, or deletes it and makes it anew."""

    speaks = ("v2",)

    async def run(self, until: float, rest: float, purges: float) -> None:
        """``purges``: the share of those."""
        loop = asyncio.get_running_loop()
        while loop.time() < until:
            await self.pause(rest)
            purge = self.chance.random() < purges
            if purge:
                await self._remove("POST", f"{self.path}/purge", {"resource_types": ["messages"]}, purge=True)
                continue
            self.scene.lives += 1
            outcome = await self._remove("DELETE", self.path, None, purge=False)
            self.scene.lives += 1
            if outcome is DONE:
                await self.pause(0.5)
            await self.create()

    async def _remove(self, method: str, target: str, body: Any, *, purge: bool) -> Outcome:
        place = len(self.history.removals)
        now = asyncio.get_running_loop().time()
        self.history.removals.append(Removal(now, float("inf"), UNKNOWN, purge))
        sent, answered, outcome, _ = await self.ask(method, target, body)
        self.history.removals[place] = Removal(sent, answered, outcome, purge)
        return outcome


class Setter(Client):
    """Changes one member of the metadata, one call after the other."""

    speaks = ("v2",)

    async def run(self, until: float, rest: float) -> None:
        value = 0
        while asyncio.get_running_loop().time() < until:
            value += 1
            change = [{"op": "add", "path": "/metadata/colour", "value": value}]
            sent, answered, outcome, _ = await self.ask("PATCH", self.path, change, _JSON_PATCH)
            self.history.settings.append(Setting(value, sent, answered, outcome))
            await self.pause(rest)
