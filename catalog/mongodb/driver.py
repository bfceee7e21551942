"""``MongoDBCatalog``: the nouns of the catalog in one database, and the verbs of the database itself."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection

from catalog.interface import ALL_SUBJECTS, Catalog
from catalog.model import AuditState, Change, ChangeSubject, Synced
from catalog.mongodb import feed, schema
from catalog.mongodb.backups import MongoDBBackups
from catalog.mongodb.lock import MongoDBLockedValue
from catalog.mongodb.members import MongoDBMembers
from catalog.mongodb.moves import MongoDBHeldWrites, MongoDBMoves
from catalog.mongodb.partitions import MongoDBPartitions
from catalog.mongodb.placements import MongoDBPlacements
from catalog.mongodb.plans import MongoDBPlannedMoves, MongoDBPlans
from catalog.mongodb.statistics import MongoDBStatistics
from catalog.mongodb.store import CatalogDatabase
from catalog.mongodb.tenants import MongoDBTenants


class MongoDBCatalog(Catalog):
    """A catalog in the MongoDB database that the URI names.

    Verbs that write in several steps run to their end even if the caller is cancelled (``store.finished``).
    """

    plans: MongoDBPlans

    def __init__(self, store: CatalogDatabase) -> None:
        self._store = store
        partitions = self.partitions = MongoDBPartitions(store)
        self.placements = MongoDBPlacements(store, partitions)
        self.tenants = MongoDBTenants(store)
        members = self.members = MongoDBMembers(store)
        moves = self.moves = MongoDBMoves(store)
        self.held_writes = MongoDBHeldWrites(store)
        planned_moves = self.planned_moves = MongoDBPlannedMoves(store)
        self.plans = MongoDBPlans(store, planned_moves)
        statistics = self.statistics = MongoDBStatistics(store)
        audit = self.audit = MongoDBLockedValue(store, "audit", "the audit", AuditState(), AuditState.from_json)
        self.backups = MongoDBBackups(store, members, moves, self.plans, statistics.walk, audit)

    def __repr__(self) -> str:
        return f"<MongoDBCatalog {self._store.where}>"

    @classmethod
    async def open(cls, uri: str) -> MongoDBCatalog:
        """Return a catalog for ``uri``, which connects at its first use. Raises BadCatalogURI."""
        return cls(CatalogDatabase(uri))

    async def init(self) -> None:
        await schema.init(self._store, self.plans)

    async def check(self) -> None:
        await schema.check(self._store)

    async def ping(self) -> None:
        await schema.ping(self._store)

    async def close(self) -> None:
        await self._store.close()

    async def identity(self) -> str:
        return await schema.identity(self._store)

    def watch(self, subjects: Collection[ChangeSubject] = ALL_SUBJECTS) -> AsyncGenerator[Change | Synced, None]:
        return feed.watch(self._store, subjects)
