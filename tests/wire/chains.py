"""Queues with history made by hand: what a mover does to catalog and partitions, one step after the other.

A step returns when every worker has acknowledged it or, after a switch, writes as it should then.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from catalog.factory import open_catalog
from catalog.model import Placement, PlacementState, QueueKey, Segment
from marconi_proxy.fencing.transitions import retire
from tests.servers.fake_partition import until
from tests.wire.door import Door, request_headers
from tests.wire.hand import Hand
from tests.wire.raw_http import Answer, exchange

# One after the other, whatever the queue.
_MOVE = "by-hand"


class Chains:
    """The queues of a front door over the partitions at these addresses, by partition name."""

    def __init__(self, door: Door, addresses: Mapping[str, tuple[str, int]]) -> None:
        self._door = door
        self._hand = Hand(door.proxy.catalog)
        self._addresses = addresses

    def placement(self, project: str, queue: str) -> Placement:
        return asyncio.run(self._changed(QueueKey(project, queue), None))

    def _change(self, project: str, queue: str, change: Callable[[Placement], Placement]) -> Placement:
        return asyncio.run(self._changed(QueueKey(project, queue), change))

    async def _changed(self, key: QueueKey, change: Callable[[Placement], Placement] | None) -> Placement:
        catalog = await open_catalog(self._door.proxy.catalog)
        try:
            placement = await catalog.placements.get(key)
            assert placement is not None
            if change is not None:
                placement = replace(change(placement), epoch=placement.epoch + 1)
                await catalog.placements.replace(placement)
            return placement
        finally:
            await catalog.close()

    def ask(self, segment: Segment, method: str, path: str, project: str, body: Any = None) -> Answer:
        """Ask a segment's partition itself. ``path`` is below the queue."""
        data = None if body is None else json.dumps(body).encode()
        target = f"/v2/queues/{segment.backend_name}{path}"
        headers = request_headers(project, {}).items()
        return exchange(self._addresses[segment.partition], method, target, headers, data)

    def seal(self, project: str, queue: str) -> None:
        """Have writes held by every worker."""
        self._hand.passed(self._hand.seal(project, queue, _MOVE))

    def _until_writes(self, project: str, queue: str, status: int) -> None:
        for worker in self._door.workers:
            with self._door.through(worker) as client:
                until(
                    lambda client=client: client.ask("PUT", f"/v2/queues/{queue}", project).status == status,
                    f"worker {worker} answers {status} to writes",
                )

    def switch(self, project: str, queue: str, target: str, backend_name: str | None = None) -> None:
        """Have writes go to a new segment on ``target``."""

        def switched(placement: Placement) -> Placement:
            sealed = (*placement.segments[:-1], replace(placement.segments[-1], sealed=True))
            last = Segment(placement.segments[-1].n + 1, target, backend_name or queue)
            assert self.ask(last, "PUT", "", project).status == 201
            return replace(placement, state=PlacementState.OPEN, segments=(*sealed, last), move=_MOVE)

        self._change(project, queue, switched)

    def move(self, project: str, queue: str, target: str, backend_name: str | None = None) -> None:
        """``seal``, ``switch``, and return when every worker writes again."""
        self.seal(project, queue)
        self.switch(project, queue, target, backend_name)
        self._until_writes(project, queue, 204)

    def left(self, project: str, queue: str) -> int:
        """Return how many messages the oldest segment has left."""
        answer = self.ask(self.placement(project, queue).segments[0], "GET", "/stats", project)
        total: int = json.loads(answer.body)["messages"]["total"]
        return total

    def retire(self, project: str, queue: str) -> None:
        """Take the oldest segment, which must be empty, out of the chain and off its partition."""
        assert self.left(project, queue) == 0
        oldest = self.placement(project, queue).segments[0]
        self._change(project, queue, lambda placement: retire(placement, oldest.n, 0.0))
        assert self.ask(oldest, "DELETE", "", project).status == 204
