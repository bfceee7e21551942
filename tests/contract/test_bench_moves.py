"""bench.moves: its crowd of workers, in a real catalog."""

from __future__ import annotations

import asyncio

from bench.crowd import Crowd
from bench.moves import stock
from catalog.factory import open_catalog
from marconi_proxy.background import ended
from marconi_proxy.fencing.transitions import seal
from tests.faults.evil_host import PATIENCE
from tests.unit.catalog_stage import partition, placement


async def test_a_crowd_acknowledges_what_it_is_shown(catalog_uri: str) -> None:
    await stock(catalog_uri, ("p1", "p2"), 0)
    catalog = await open_catalog(catalog_uri)
    attending = asyncio.create_task(Crowd(3, 15.0).attend(catalog_uri))
    try:
        async with asyncio.timeout(PATIENCE):
            while len(await catalog.members.all()) < 3:  # noqa: ASYNC110 - the store rings no bell
                await asyncio.sleep(0.01)
            await catalog.partitions.insert(partition("p1"))
            opened = placement("q")
            await catalog.placements.insert(opened)
            sealed = seal(opened, "m1", 0.0, 4)
            await catalog.placements.replace(sealed)
            while any(member.acks != {sealed.seal} for member in await catalog.members.all()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert {member.acks for member in await catalog.members.all()} == {frozenset({sealed.seal})}
    finally:
        await ended([attending])
        await catalog.close()
