"""The change feed: polling the change log.

``PRAGMA data_version`` changes whenever *another* connection has committed, in any process, and costs one read of
shared memory. The feed has a connection of its own, so it detects every commit. Writers of its own process also set an
event, ``bell``, so that their changes are shown at once.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Collection

from catalog.model import Change, ChangeSubject, Synced
from catalog.sqlite import changes
from catalog.sqlite.connection_thread import ConnectionThread

# Seconds without changes between two heartbeats; the interface promises one second.
PROOF_OF_LIFE = 0.5
_BATCH = 500


def _data_version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA data_version").fetchone()
    return int(version)


async def watch(
    path: str, thread: ConnectionThread, bell: asyncio.Event, poll: float, subjects: Collection[ChangeSubject]
) -> AsyncGenerator[Change | Synced, None]:
    """Implement ``Catalog.watch``: read through ``thread`` every ``poll`` seconds, and when ``bell`` is set."""
    loop = asyncio.get_running_loop()
    position = await thread.transact(changes.last)
    yield Synced(position, fresh=True)
    spoke = loop.time()
    seen = None
    while True:
        # Clear the bell and read the version before the log: a write in between sets the bell or changes the version,
        # and is read in the next round.
        bell.clear()
        version = await thread.call(_data_version)
        if version != seen:
            while batch := await thread.transact(changes.after, position, _BATCH, path):
                for change in batch:
                    position = change.position
                    if change.subject in subjects:
                        yield change
                        spoke = loop.time()
            seen = version
        if loop.time() - spoke >= PROOF_OF_LIFE:
            yield Synced(position, fresh=False)
            spoke = loop.time()
        try:
            async with asyncio.timeout(poll):
                await bell.wait()
        except TimeoutError:
            pass
