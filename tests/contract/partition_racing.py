"""The other processes in the tests of the partition's stores, started with ``spawn`` by ``racing.in_processes``."""

from __future__ import annotations

import asyncio

from partition.model.message import Deletion, Lease, MessageQuery
from partition.storage.interface import Storage
from partition.storage.opening import open_storage
from tests.contract import racing
from tests.contract.partition_stores import CLIENT, KEY, some


def post_and_follow(uri: str, producers: int, posts: int, n: int) -> list[str]:
    """Post three messages at a time, and follow the list by its markers until the posts of every process were
    acknowledged and there is nothing more; return its bodies."""

    async def produce(storage: Storage, producer: int) -> None:
        for post in range(posts):
            numbers = range(3 * post, 3 * post + 3)
            await storage.post(KEY, some(*(f"{n}-{producer}-{number}" for number in numbers)), CLIENT)

    async def produce_all(storage: Storage) -> None:
        await asyncio.gather(*(produce(storage, producer) for producer in range(producers)))
        await asyncio.to_thread(racing.together)

    async def run() -> list[str]:
        storage = await open_storage(uri)
        posting = asyncio.create_task(produce_all(storage))
        seen: list[str] = []
        marker = None
        while True:
            complete = posting.done()
            page, _ = await storage.list_messages(KEY, MessageQuery(limit=20, marker=marker))
            seen += [message.body for message in page]
            marker = page[-1].marker if page else marker
            if complete and not page:
                break
        await posting
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
