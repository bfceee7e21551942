"""``SQLiteCatalog``: the nouns of the catalog in one file, and the verbs of the file itself."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing

from catalog.interface import ALL_SUBJECTS, Catalog
from catalog.model import AuditState, Change, ChangeSubject, Synced
from catalog.sqlite import feed, schema
from catalog.sqlite.backups import SQLiteBackups
from catalog.sqlite.connection_thread import ConnectionThread
from catalog.sqlite.file import CatalogFile
from catalog.sqlite.lock import SQLiteLockedValue
from catalog.sqlite.members import SQLiteMembers
from catalog.sqlite.moves import SQLiteHeldWrites, SQLiteMoves
from catalog.sqlite.partitions import SQLitePartitions
from catalog.sqlite.placements import SQLitePlacements
from catalog.sqlite.plans import SQLitePlannedMoves, SQLitePlans
from catalog.sqlite.statistics import SQLiteStatistics
from catalog.sqlite.tenants import SQLiteTenants


class SQLiteCatalog(Catalog):
    """A catalog in the file ``path``, used by any number of processes at once."""

    def __init__(self, path: str) -> None:
        self._file = CatalogFile(path)
        self.placements = SQLitePlacements(self._file)
        self.partitions = SQLitePartitions(self._file)
        self.tenants = SQLiteTenants(self._file)
        self.members = SQLiteMembers(self._file)
        self.moves = SQLiteMoves(self._file)
        self.held_writes = SQLiteHeldWrites(self._file)
        self.plans = SQLitePlans(self._file)
        self.planned_moves = SQLitePlannedMoves(self._file)
        statistics = self.statistics = SQLiteStatistics(self._file)
        audit = self.audit = SQLiteLockedValue(self._file, "audits", "the audit", AuditState(), AuditState.from_json)
        self.backups = SQLiteBackups(self._file, statistics.walk, audit)

    def __repr__(self) -> str:
        return f"<SQLiteCatalog {self._file.path}, {len(self._file.feeds)} feeds>"

    @classmethod
    async def open(cls, path: str) -> SQLiteCatalog:
        """Open the file, and initialise it if it is new or empty.

        Raises CatalogUnavailable if this fails. A file with other content stays unchanged, and ``check`` raises.
        """
        catalog = cls(path)
        try:
            await catalog._file.writing.call(schema.init_if_empty, catalog._file.path)
        except BaseException:
            await catalog.close()
            raise
        return catalog

    async def init(self) -> None:
        await self._file.writing.call(schema.init, self._file.path)

    async def check(self) -> None:
        await self._file.reading.call(schema.check, self._file.path)

    async def ping(self) -> None:
        await self._file.write(schema.ping)

    async def close(self) -> None:
        await self._file.close()

    async def identity(self) -> str:
        return await self._file.reading.transact(schema.identity, self._file.path)

    async def watch(self, subjects: Collection[ChangeSubject] = ALL_SUBJECTS) -> AsyncGenerator[Change | Synced, None]:
        thread = ConnectionThread(self._file.path, "watch", begin="BEGIN")
        self._file.feeds.add(thread)
        try:
            async with aclosing(feed.watch(self._file.path, thread, subjects)) as items:
                async for item in items:
                    yield item
        finally:
            self._file.feeds.discard(thread)
            await thread.close()
