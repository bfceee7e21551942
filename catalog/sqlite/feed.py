"""The change feed: reading the change log, when a writer has touched the file, and besides at intervals.

``PRAGMA data_version`` changes whenever *another* connection has committed, in any process, and costs one read of
shared memory. The feed has a connection of its own, so it detects every commit. Writers of every process touch the file
after a commit (``touches``), so that the feed need not poll often.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncGenerator, Collection, Iterator
from contextlib import contextmanager, suppress

from catalog.model import Change, ChangeSubject, Synced
from catalog.sqlite import changes
from catalog.sqlite.connection_thread import ConnectionThread
from catalog.sqlite.touches import Touches

LOG = logging.getLogger(__name__)

# Seconds without changes between two heartbeats; the interface promises one second.
PROOF_OF_LIFE = 0.5
# Seconds between two reads if the system cannot watch the file: a seal waits for the feeds of all workers.
POLL = 0.02
_BATCH = 500


def _data_version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA data_version").fetchone()
    return int(version)


@contextmanager
def _touched(path: str, bell: asyncio.Event) -> Iterator[float]:
    """Set ``bell`` after each touch of the file; yield the seconds after which to read without one."""
    try:
        touches = Touches(path, bell.set)
    except OSError as error:
        LOG.warning("catalog %s: %s; reading its changes every %g s instead", path, error, POLL)
        yield POLL
        return
    try:
        yield PROOF_OF_LIFE
    finally:
        touches.close()


async def watch(
    path: str, thread: ConnectionThread, subjects: Collection[ChangeSubject]
) -> AsyncGenerator[Change | Synced, None]:
    """Implement ``Catalog.watch``: read through ``thread``."""
    loop = asyncio.get_running_loop()
    bell = asyncio.Event()
    with _touched(path, bell) as patience:
        position = await thread.transact(changes.last)
        yield Synced(position, fresh=True)
        spoke = loop.time()
        seen = None
        while True:
            # Clear the bell and read the version before the log: a write in between sets the bell or changes the
            # version, and is read in the next round.
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
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await bell.wait()
