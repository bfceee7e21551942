"""Which kind of call does what ``routing.decision`` says of a queue with history."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from catalog.model import Placement
from marconi_proxy.front_door.chain.asking import Asking
from marconi_proxy.front_door.chain.gathering import by_ids, stats
from marconi_proxy.front_door.chain.paging import page
from marconi_proxy.front_door.chain.taking import Taking
from marconi_proxy.front_door.chain.telling import mirror, tell_all
from marconi_proxy.front_door.directory import Directory
from marconi_proxy.routing.decision import All, FirstNonEmpty, Merge, One, Page, Spread, Sum
from marconi_proxy.routing.route import Route
from marconi_proxy.upstream.connection import Answer
from marconi_proxy.upstream.exchange import Call


class Chain:
    """Belongs to one worker. ``deadline``: seconds that a call may take, whatever it is made of."""

    def __init__(
        self,
        directory: Directory,
        deadline: float,
        chance: random.Random,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._directory = directory
        self._deadline = deadline
        self._taking = Taking(sleep, chance)

    def asking(self, call: Call, route: Route, placement: Placement, until: float | None = None) -> Asking:
        """Return the client's call as it can be put to segments, until a loop time if that is not the deadline's."""
        if until is None:
            until = asyncio.get_running_loop().time() + self._deadline
        return Asking(self._directory, placement, route, call, until)

    async def carry_out(
        self, decision: Spread, call: Call, route: Route, placement: Placement, wanted: Callable[[], bool]
    ) -> Answer:
        """Do it; return the answer as the client is shown it. ``wanted``: whether the client still waits. Raises
        ClientGone, Refused, CatalogError, UpstreamError."""
        asking = self.asking(call, route, placement)
        if isinstance(decision, One):
            return await asking.one(decision.segment)
        if isinstance(decision, FirstNonEmpty):
            return await self._taking.take(asking, decision.segments, wanted)
        if isinstance(decision, Page):
            return await page(asking, decision.segments, decision.marker)
        if isinstance(decision, Merge):
            return await by_ids(asking, decision.segments, decision.ids)
        if isinstance(decision, Sum):
            return await stats(asking, decision.segments)
        if isinstance(decision, All):
            return await tell_all(asking, decision.segments)
        return await mirror(asking, decision.segments)
