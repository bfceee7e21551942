"""Write a catalog to a stream of bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from datetime import datetime
from hashlib import sha256
from typing import BinaryIO

from catalog.backup.lines import end_line, header_line, kind_of, value_line
from catalog.interface import Catalog
from catalog.model import KINDS, BackupValue

Seen = Callable[[dict[str, int]], None]


class _Writer:
    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._digest = sha256()
        self.counts = dict.fromkeys(KINDS, 0)

    def write(self, lines: bytes) -> None:
        self._digest.update(lines)
        self._stream.write(lines)

    def write_values(self, values: list[BackupValue]) -> None:
        for value in values:
            self.write(value_line(value))
            self.counts[kind_of(value)] += 1

    def end(self) -> None:
        self._stream.write(end_line(self.counts, self._digest.hexdigest()))
        self._stream.flush()


async def export(catalog: Catalog, stream: BinaryIO, now: datetime, seen: Seen) -> dict[str, int]:
    """Write a backup of the catalog, as of one instant; return the number of values by kind.

    ``seen`` is called after every batch with the numbers so far. The stream is written in threads, because it may be a
    pipe with a slow reader. Raises OSError and the errors of ``Catalog.check`` and ``BackupStore.snapshot``.
    """
    await catalog.check()
    writer = _Writer(stream)
    async with aclosing(catalog.backups.snapshot()) as batches:
        await asyncio.to_thread(writer.write, header_line(now))
        async for batch in batches:
            await asyncio.to_thread(writer.write_values, batch)
            seen(writer.counts)
    await asyncio.to_thread(writer.end)
    return writer.counts
