"""Numbers that identifiers hide: counted up for the whole store, never issued twice."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pymongo import ReturnDocument

from partition.errors import WrongStore
from partition.storage.mongodb.schema import STORE

if TYPE_CHECKING:
    from partition.storage.mongodb.store import Session, Store

# How many a process takes at once. Unused ones are lost, which is harmless: there are 2**52.
_BLOCK = 10_000


class Numbers:
    """Issues numbers of a block that belongs to this process alone."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._turn = asyncio.Lock()
        self._next = 0
        self._end = 0

    async def take(self, count: int, session: Session) -> int:
        """Return the first of ``count`` fresh numbers in a row. Mostly without a round trip."""
        async with self._turn:
            if self._next + count > self._end:
                size = max(count, _BLOCK)
                self._next = await self._reserve(size, session)
                self._end = self._next + size
            first = self._next
            self._next += count
        return first

    async def take_latest(self, session: Session) -> int:
        """Return one greater than every number that any process has taken so far."""
        return await self._reserve(1, session)

    async def _reserve(self, size: int, session: Session) -> int:
        document = await self._store.store.find_one_and_update(
            {"_id": STORE}, {"$inc": {"last": size}}, return_document=ReturnDocument.AFTER, session=session
        )
        if document is None:
            raise WrongStore(f"storage {self._store.where}: it is not prepared")
        return int(document["last"]) - size + 1
