"""Clients at work for as long as a block lasts, and then until all that they saw can be judged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from catalog.interface import Catalog
from tests.checker.record import History
from tests.wire.soak.clients import Consumer, Journal, Producer, Subscriber
from tests.wire.soak.director import watch_placements


async def _at_once() -> None:
    pass


@asynccontextmanager
async def traffic(
    catalog: Catalog,
    address: tuple[str, int],
    journal: Journal,
    producers: Sequence[Producer],
    readers: Sequence[Consumer | Subscriber],
    drained: Callable[[], Awaitable[None]] = _at_once,
) -> AsyncIterator[None]:
    """Run the clients, and keep what the catalog stores of their queues. After the block, producers end; readers do
    when ``drained`` returns; what is left then is read through ``address``. Raises what any of them raises, at once."""
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(watch_placements(catalog, journal.histories))
        posting = [group.create_task(producer.run()) for producer in producers]
        reading = [group.create_task(reader.run()) for reader in readers]
        yield
        for producer in producers:
            producer.over = True
        await asyncio.gather(*posting)
        await drained()
        for reader in readers:
            reader.over = True
        await asyncio.gather(*reading)
        watching.cancel()
    await _read_what_is_left(address, journal)


async def _read_what_is_left(address: tuple[str, int], journal: Journal) -> None:
    last = Journal({queue: History() for queue in journal.histories})
    queues = list(last.histories)
    subscriber = Subscriber("the end", address, last, queues, ["v2"] * len(queues))
    subscriber.over = True
    await subscriber.run()
    for queue, history in last.histories.items():
        journal.histories[queue].left = [shown for page in history.pages for shown in page.seen]
