"""Orders moves, back and forth, by the admin API, and keeps every placement that the catalog stored."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence
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
    """``homes``: by queue, the partitions between which it goes. ``at_once``: how many moves there are at a time.

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
                if move["can"]:
                    verb = self._chance.choice([verb for verb in move["can"] if verb != "pause"] or ["resume"])
                    await self._ask("POST", f"/v1/moves/{move['id']}/{verb}", verb)
            await asyncio.sleep(self._chance.uniform(0.05, 0.3))
        self.close()

    def close(self) -> None:
        self._connection.close()

    async def resume(self, move: str) -> None:
        await self._ask("POST", f"/v1/moves/{move}/resume", "resume")

    async def _ask(self, method: str, path: str, what: str, document: object = None) -> Reply | None:
        reply = await self._connection.ask(method, path, document)
        self.answers[what, 0 if reply is None else reply.status] += 1
        return reply

    async def _order(self, queue: str) -> None:
        self._orders[queue] += 1
        target = self._chance.choice(self._homes[queue])
        document = {"project": PROJECT, "queue": queue, "to": target}
        await self._ask("POST", "/v1/moves", "order", document)

    async def unfinished(self) -> list[dict[str, Any]] | None:
        """Return the moves that have not ended, None if nobody says."""
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
                    placement = await catalog.get_placement(key)
                    if placement is not None and placement.epoch > last.get(key.queue, 0):
                        last[key.queue] = placement.epoch
                        histories[key.queue].placements.append(placement)
        except CatalogError:
            await asyncio.sleep(0.2)
