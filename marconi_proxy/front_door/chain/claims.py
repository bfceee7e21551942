"""Claims and pops: from the first segment that has a message, never from two (API sections 2.13, 3.5).

An empty answer does not mean that a segment is empty: with several consumers, Zaqar answers 204 to a fifth of its
claims while there are free messages. Stepping on then would hand out newer messages before older ones. So a sealed
segment that answers so is checked, and asked again if it has a free message.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable

from catalog.model import Segment
from marconi_proxy.front_door.chain.segment_client import Reply, SegmentClient
from marconi_proxy.front_door.refusals import ClientGone
from marconi_proxy.partition_client.existence import has_free_message
from marconi_proxy.routing.route import RouteKind
from marconi_proxy.upstream.connection import UpstreamAnswer

LOG = logging.getLogger(__name__)

# The most tries at a sealed segment before the client gets an empty answer.
TRIES = 5
# Seconds of the longest pause before the second try, doubled with each, to spread consumers that have collided.
_PAUSE = 0.01


class ChainClaims:
    """Belongs to one worker. ``sleep`` and ``chance`` space the tries."""

    def __init__(self, sleep: Callable[[float], Awaitable[object]], chance: random.Random) -> None:
        self._sleep = sleep
        self._chance = chance

    async def take(
        self, client: SegmentClient, segments: tuple[Segment, ...], wanted: Callable[[], bool]
    ) -> UpstreamAnswer:
        """Return the answer of the first segment that has a message, else that of the last. Raises ClientGone when
        ``wanted`` returns False: a message that is taken then would be lost. Raises as ``SegmentClient.send``."""
        for segment in segments[:-1]:
            reply = await self._from_sealed(client, segment, wanted)
            if reply is not None:
                return client.shown(reply)
        return client.shown(await self._ask(client, segments[-1], wanted))

    async def _from_sealed(self, client: SegmentClient, segment: Segment, wanted: Callable[[], bool]) -> Reply | None:
        """Return a sealed segment's answer, None once it is seen to have nothing free."""
        pause = _PAUSE
        reply = await self._ask(client, segment, wanted)
        for _ in range(TRIES - 1):
            if not self._is_empty(client, reply):
                return reply
            if not await self._has_free_message(client, segment):
                return None
            await self._sleep(self._chance.uniform(0, pause))
            pause *= 2
            reply = await self._ask(client, segment, wanted)
        if self._is_empty(client, reply):
            # An empty answer is always allowed; one from a newer segment would be out of order.
            LOG.info("partition %s has free messages and hands out none", segment.partition)
        return reply

    async def _ask(self, client: SegmentClient, segment: Segment, wanted: Callable[[], bool]) -> Reply:
        if not wanted():
            raise ClientGone
        return await client.ask(segment)

    def _is_empty(self, client: SegmentClient, reply: Reply) -> bool:
        if client.route.rule.kind is RouteKind.CLAIMS:
            return reply.status == 204
        return reply.status == 200 and not client.messages(reply)

    async def _has_free_message(self, client: SegmentClient, segment: Segment) -> bool:
        upstream = await client.upstream(segment)
        # Pops ignore delays, claims mind them (API section 6.10).
        delayed = client.route.rule.kind is RouteKind.MESSAGES
        return await has_free_message(
            upstream,
            client.placement.key,
            segment.backend_name,
            client.route.version,
            delayed=delayed,
            within=client.left,
        )
