"""Orders moves, back and forth, by the admin API, and keeps every placement that the catalog stored.

The director pauses moves, and resumes only those that it has paused: a move that the mover has given up stays paused,
and the report names it.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from catalog.errors import CatalogError
from catalog.interface import Catalog
from catalog.model import Change, ChangeSubject, QueueKey
from tests.checker.record import History
from tests.wire.keep_alive import KeepAlive, Reply
from tests.wire.soak.clients import PROJECT

# How often, of the times that it looks, it decides something about a move that is under way.
DECIDES = 0.1


class Director:
    """``homes``: by queue, the partitions between which it goes, from where it is on. ``at_once``: how many moves there
    are at a time.

    ``answers`` counts statuses by what was asked for.
    """

    def __init__(
        self, admin: tuple[str, int], homes: Mapping[str, Sequence[str]], at_once: int, chance: random.Random
    ) -> None:
        self._connection = KeepAlive(admin, {"Content-Type": "application/json"})
        self._homes = homes
        self._at_once = at_once
        self._chance = chance
        self.over = False
        self._orders: Counter[str] = Counter()
        # Where it is unless that move was cancelled, or another one reversed.
        self._last = {queue: partitions[0] for queue, partitions in homes.items()}
        self._paused: set[str] = set()
        self.answers: Counter[tuple[str, int]] = Counter()

    async def run(self) -> None:
        """Order moves until it is ``over``."""
        while not self.over:
            under_way = await self.unfinished()
            if under_way is not None and len(under_way) < self._at_once:
                busy = {move["queue"] for move in under_way}
                idle = [queue for queue in self._homes if queue not in busy]
                if idle:
                    await self._order(min(idle, key=lambda queue: (self._orders[queue], self._chance.random())))
            if under_way and self._chance.random() < DECIDES:
                move = self._chance.choice(under_way)
                if move["can"] and ("resume" not in move["can"] or move["id"] in self._paused):
                    await self.decide(move["id"], self._chance.choice(move["can"]))
            await asyncio.sleep(self._chance.uniform(0.05, 0.3))

    def close(self) -> None:
        self._connection.close()

    async def resume(self, moves: Iterable[Mapping[str, Any]]) -> None:
        """Resume those of the moves that it has paused."""
        for move in moves:
            if "resume" in move["can"] and move["id"] in self._paused:
                await self.decide(move["id"], "resume")

    async def decide(self, move: str, verb: str) -> None:
        """As an operator: pause, resume, cancel or reverse."""
        if verb == "pause":
            # Before it is asked: an answer that is lost may have been a good one.
            self._paused.add(move)
        reply = await self._ask("POST", f"/v1/moves/{move}/{verb}", verb)
        if verb != "pause" and reply is not None and reply.status == 200:
            self._paused.discard(move)

    async def _ask(self, method: str, path: str, what: str, document: object = None) -> Reply | None:
        reply = await self._connection.ask(method, path, document)
        self.answers[what, 0 if reply is None else reply.status] += 1
        return reply

    async def _order(self, queue: str) -> None:
        self._orders[queue] += 1
        target = self._chance.choice([home for home in self._homes[queue] if home != self._last[queue]])
        self._last[queue] = target
        document = {"project": PROJECT, "queue": queue, "to": target}
        await self._ask("POST", "/v1/moves", "order", document)

    async def unfinished(self) -> list[dict[str, Any]] | None:
        """Return the moves that have not ended, None without an answer."""
        reply = await self._ask("GET", "/v1/moves?state=unfinished&limit=1000", "list")
        if reply is None or reply.status != 200:
            return None
        found: list[dict[str, Any]] = reply.document["moves"]
        return found


async def watch_placements(catalog: Catalog, histories: Mapping[str, History]) -> None:
    """Keep every placement of these queues that can be read, for ever."""
    last: dict[str, int] = {}
    while True:
        try:
            async with aclosing(catalog.watch()) as feed:
                async for event in feed:
                    if not isinstance(event, Change) or event.subject is not ChangeSubject.PLACEMENT:
                        continue
                    key = QueueKey(*event.name)
                    if key.queue not in histories:
                        continue
                    placement = await catalog.placements.get(key)
                    if placement is not None and placement.epoch > last.get(key.queue, 0):
                        last[key.queue] = placement.epoch
                        histories[key.queue].placements.append(placement)
        except CatalogError:
            await asyncio.sleep(0.2)
