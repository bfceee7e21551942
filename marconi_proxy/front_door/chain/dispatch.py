"""Dispatch the decisions of ``routing.decision`` on queues with history."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from catalog.model import Placement
from marconi_proxy.front_door.chain.broadcast import mirror, send_to_all
from marconi_proxy.front_door.chain.claims import ChainClaims
from marconi_proxy.front_door.chain.merge import by_ids, stats
from marconi_proxy.front_door.chain.message_pages import page
from marconi_proxy.front_door.chain.segment_client import SegmentClient
from marconi_proxy.front_door.directory import Directory
from marconi_proxy.routing.decision import All, FirstNonEmpty, Merge, One, Paginate, Spread, Sum
from marconi_proxy.routing.route import ParsedRoute
from marconi_proxy.upstream.connection import UpstreamAnswer
from marconi_proxy.upstream.exchange import UpstreamCall


class Chain:
    """The calls of one worker. ``deadline``: seconds that a call may take with all its parts."""

    def __init__(
        self,
        directory: Directory,
        deadline: float,
        chance: random.Random,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._directory = directory
        self._deadline = deadline
        self._claims = ChainClaims(sleep, chance)

    def client(
        self, call: UpstreamCall, route: ParsedRoute, placement: Placement, until: float | None = None
    ) -> SegmentClient:
        """Return the client's call for segments, until a loop time in place of the deadline if that is given."""
        if until is None:
            until = asyncio.get_running_loop().time() + self._deadline
        return SegmentClient(self._directory, placement, route, call, until)

    async def carry_out(
        self, decision: Spread, call: UpstreamCall, route: ParsedRoute, placement: Placement, wanted: Callable[[], bool]
    ) -> UpstreamAnswer:
        """Carry out the decision; return the answer for the client. ``wanted`` returns whether the client still waits.
        Raises ClientGone, RequestRefused, CatalogError, UpstreamError."""
        client = self.client(call, route, placement)
        if isinstance(decision, One):
            return await client.one(decision.segment)
        if isinstance(decision, FirstNonEmpty):
            return await self._claims.take(client, decision.segments, wanted)
        if isinstance(decision, Paginate):
            return await page(client, decision.segments, decision.marker)
        if isinstance(decision, Merge):
            return await by_ids(client, decision.segments, decision.ids)
        if isinstance(decision, Sum):
            return await stats(client, decision.segments)
        if isinstance(decision, All):
            return await send_to_all(client, decision.segments)
        return await mirror(client, decision.segments)
