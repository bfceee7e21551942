"""Producers and claiming consumers of many queues, whose histories the checker judges."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from tests.checker.judge import Violation, judge
from tests.checker.record import Body, Claim, Deletion, History, Outcome, Post, Shown
from tests.wire.keep_alive import KeepAlive, Reply
from tests.wire.script import CLIENT

_BATCH = 3
# A producer waits while so many of its messages were not deleted: a queue is drained when its consumer keeps up.
_BACKLOG = 15
_CLAIM_TTL = 3600
# Seconds that a client waits between two calls: enough of them are to run on one machine.
_REST = 0.02


class Traffic:
    """One producer and one consumer for each of the queues, in version 2 of the API, until ``finish``.

    ``refused``: whatever was answered that a queue which is not moved would not have answered.
    """

    def __init__(self, address: tuple[str, int], queues: Sequence[str], project: str = "p") -> None:
        self.histories = {queue: History() for queue in queues}
        self.refused: list[Reply | None] = []
        self.acknowledged = 0
        self._address = address
        self._headers = {"Client-ID": CLIENT, "X-Project-Id": project}
        self._finishing = False
        self._progress = asyncio.Condition()

    async def run(self) -> None:
        """Post until it is enough, and consume until nothing is left."""
        async with asyncio.TaskGroup() as group:
            for queue, history in self.histories.items():
                group.create_task(self._clients(queue, history))

    def finish(self) -> None:
        """Have producers stop, and consumers when nothing is left."""
        self._finishing = True

    async def reaches(self, acknowledged: int) -> None:
        """Return as soon as so many messages are acknowledged."""
        async with self._progress:
            await self._progress.wait_for(lambda: self.acknowledged >= acknowledged)

    def violations(self) -> list[Violation]:
        """Return every promise that was broken, of any queue."""
        return [violation for history in self.histories.values() for violation in judge(history)]

    async def _clients(self, queue: str, history: History) -> None:
        producing = asyncio.create_task(self._produce(queue, history))
        await self._consume(queue, history, producing)
        await producing

    async def _produce(self, queue: str, history: History) -> None:
        connection = KeepAlive(self._address, self._headers)
        first = 0
        while not self._finishing:
            if first - len(history.deletions) >= _BACKLOG:
                await asyncio.sleep(_REST)
                continue
            bodies = tuple(Body(queue, number) for number in range(first, first + _BATCH))
            first += _BATCH
            messages = [{"ttl": 7200, "body": list(body)} for body in bodies]
            sent = time.monotonic()
            reply = await connection.ask("POST", f"/v2/queues/{queue}/messages", {"messages": messages})
            outcome = self._outcome(reply, 201)
            history.posts.append(Post(bodies, sent, time.monotonic(), outcome))
            if outcome is Outcome.ACKNOWLEDGED:
                async with self._progress:
                    self.acknowledged += _BATCH
                    self._progress.notify_all()
            await asyncio.sleep(_REST)
        connection.close()

    async def _consume(self, queue: str, history: History, producing: asyncio.Task[None]) -> None:
        connection = KeepAlive(self._address, self._headers)
        path = f"/v2/queues/{queue}/claims?limit=5"
        while True:
            last = producing.done()
            sent = time.monotonic()
            reply = await connection.ask("POST", path, {"ttl": _CLAIM_TTL, "grace": 60})
            outcome = self._outcome(reply, 201, 204)
            messages = reply.document["messages"] if reply is not None and reply.status == 201 else []
            taken = tuple(Shown(Body(*message["body"]), message["id"]) for message in messages)
            history.claims.append(Claim(queue, sent, time.monotonic(), outcome, _CLAIM_TTL, taken))
            number = len(history.claims) - 1
            for message, (body, _) in zip(messages, taken, strict=True):
                sent = time.monotonic()
                outcome = self._outcome(await connection.ask("DELETE", message["href"]), 204)
                history.deletions.append(Deletion(number, body, sent, time.monotonic(), outcome))
            if last and not messages:
                break
            await asyncio.sleep(_REST)
        connection.close()

    def _outcome(self, reply: Reply | None, *expected: int) -> Outcome:
        if reply is not None and reply.status in expected:
            return Outcome.ACKNOWLEDGED
        self.refused.append(reply)
        return Outcome.UNKNOWN if reply is None else Outcome.REFUSED
