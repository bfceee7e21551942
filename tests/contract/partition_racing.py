"""What other processes do in the tests of the partition's stores, started with ``spawn`` by ``racing.in_processes``."""

from __future__ import annotations

import asyncio

from partition.model.claim import Lease
from partition.model.message import Deletion, MessageQuery
from partition.storage.interface import Storage
from partition.storage.opening import open_storage
from tests.contract.partition_stores import CLIENT, KEY, some


def post_and_follow(uri: str, producers: int, posts: int, total: int, n: int) -> list[str]:
    """Post three messages at a time, and follow the list by its markers; return its bodies, ``total`` of them."""

    async def produce(storage: Storage, producer: int) -> None:
        for post in range(posts):
            numbers = range(3 * post, 3 * post + 3)
            await storage.post(KEY, some(*(f"{n}-{producer}-{number}" for number in numbers)), CLIENT)

    async def follow(storage: Storage) -> list[str]:
        seen: list[str] = []
        marker = None
        while True:
            complete = (await storage.stats(KEY)).total == total
            page, _ = await storage.list_messages(KEY, MessageQuery(limit=20, marker=marker))
            seen += [message.body for message in page]
            marker = page[-1].marker if page else marker
            if complete and not page:
                return seen

    async def run() -> list[str]:
        storage = await open_storage(uri)
        seen, *_ = await asyncio.gather(follow(storage), *(produce(storage, p) for p in range(producers)))
        await storage.close()
        return seen

    return asyncio.run(run())


def claim_and_delete(uri: str, tasks: int, n: int) -> list[list[str]]:
    """Claim and delete until there is nothing left; return the bodies of each claim."""
    claims: list[list[str]] = []

    async def consume(storage: Storage) -> None:
        while (claim := await storage.claim(KEY, Lease(300, 60), 7)) is not None:
            claims.append([message.body for message in claim.messages])
            for message in claim.messages:
                assert await storage.delete_message(KEY, message.id, claim.id) is Deletion.DONE

    async def run() -> None:
        storage = await open_storage(uri)
        await asyncio.gather(*(consume(storage) for _ in range(tasks)))
        await storage.close()

    asyncio.run(run())
    return claims
